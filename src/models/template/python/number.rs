//! Numbers of templates.

use super::text;
use minijinja::Value;
use minijinja::value::ValueKind;

/// A number; true is 1.
#[derive(Clone, Copy)]
pub enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    /// `value` as a number, if it is one.
    pub fn of(value: &Value) -> Option<Self> {
        match value.kind() {
            ValueKind::Bool => Some(Self::Whole(i128::from(value.is_true()))),
            ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok().map(Self::Whole),
            ValueKind::Number => Some(Self::Float(text::as_float(value))),
            _ => None,
        }
    }

    /// With a point.
    pub fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// As a template has it.
    pub fn value(self) -> Value {
        match self {
            Self::Whole(number) => i64::try_from(number).map_or_else(|_| Value::from(number), Value::from),
            Self::Float(number) => Value::from(number),
        }
    }
}
