//! Jinja's tests (`x is …`), as far as `minijinja`'s differ.

use super::number::Number;
use super::sequences::is_sequence;
use super::{is_dict, refused, text, type_name};
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

/// Adds them.
pub fn install(environment: &mut Environment<'static>) {
    environment.add_test("sequence", |value: Value| is_sequence(&value));
    environment.add_test("mapping", |value: Value| is_dict(&value));
    environment.add_test("iterable", |value: Value| {
        let kinds = [ValueKind::Undefined, ValueKind::String, ValueKind::Seq, ValueKind::Iterable];
        kinds.contains(&value.kind()) || is_dict(&value)
    });
    environment.add_test("number", |value: Value| Number::of(&value).is_some());
    environment.add_test("callable", |value: Value| {
        value.kind() == ValueKind::Plain || value.as_object().is_some_and(|o| o.type_name().contains("Macro"))
    });
    environment.add_test("escaped", |_: Value| false);
    environment.add_test("lower", |value: Value| text::shown(&value).map(|t| is_cased(&t, false)));
    environment.add_test("upper", |value: Value| text::shown(&value).map(|t| is_cased(&t, true)));
    environment.add_test("odd", |value: Value| rest(&value, 2).map(|rest| rest == 1));
    environment.add_test("even", |value: Value| rest(&value, 2).map(|rest| rest == 0));
    environment.add_test("divisibleby", |value: Value, by: i64| rest(&value, by).map(|rest| rest == 0));
}

fn is_cased(text: &str, upper: bool) -> bool {
    let (small, large) = (text.chars().any(char::is_lowercase), text.chars().any(char::is_uppercase));
    if upper { large && !small } else { small && !large }
}

/// What a division of a whole number leaves.
fn rest(value: &Value, by: i64) -> Result<i128, Error> {
    match Number::of(value) {
        Some(Number::Whole(number)) if by != 0 => Ok(number.rem_euclid(i128::from(by).abs())),
        Some(Number::Float(number)) if by != 0 => {
            let rest = number.rem_euclid(by as f64);
            Ok(if rest.fract() == 0.0 { rest as i128 } else { -1 })
        }
        _ => Err(refused(format!("a number is needed, not {}", type_name(value)))),
    }
}
