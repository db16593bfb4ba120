//! `tojson` as `transformers` defines it: Python's `json.dumps` with `ensure_ascii`, `indent`,
//! `separators` and `sort_keys`, in this order.

use super::text::{self, DEEPEST, float};
use super::{Arguments, MOST_BYTES, View, refused};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, Value};
use std::fmt::Write;

/// How JSON is laid out.
struct Style {
    ascii: bool,
    /// One level.
    indent: Option<String>,
    between: String,
    after_key: String,
    sorted: bool,
}

/// The filter.
///
/// # Errors
/// Values that JSON does not know.
pub fn tojson(value: Value, places: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("tojson", &places, names);
    let ascii = arguments.flag("ensure_ascii")?.unwrap_or(false);
    let indent = match arguments.next("indent")?.filter(|v| !v.is_none()) {
        None => None,
        Some(value) => match (value.as_str(), value.as_i64()) {
            (Some(text), _) if text.len() <= 64 => Some(text.to_owned()),
            (None, Some(width)) => Some(" ".repeat(usize::try_from(width.clamp(0, 64)).unwrap_or(0))),
            _ => return Err(refused("tojson's indent is a number or a short text")),
        },
    };
    let separators = match arguments.next("separators")?.filter(|v| !v.is_none()) {
        Some(pair) => {
            let parts: Vec<Value> = pair.try_iter()?.collect();
            match parts.as_slice() {
                [a, b] => Some((text::shown(a)?, text::shown(b)?)),
                _ => return Err(refused("tojson's separators are two texts")),
            }
        }
        None => None,
    };
    let sorted = arguments.flag("sort_keys")?.unwrap_or(false);
    arguments.end()?;
    let (between, after_key) =
        separators.unwrap_or_else(|| (if indent.is_some() { "," } else { ", " }.into(), ": ".into()));
    let style = Style { ascii, indent, between, after_key, sorted };
    let mut out = String::new();
    write(&mut out, &value, &style, 0)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST || out.len() > MOST_BYTES {
        return Err(refused("a value is too large for JSON"));
    }
    if let Some(text) = value.as_str() {
        write_text(out, text, style.ascii);
        return Ok(());
    }
    let unknown = || Err(refused(format!("Object of type {} is not JSON serializable", super::type_name(value))));
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => {
            let _ = write!(out, "{value}");
        }
        ValueKind::Number => out.push_str(&number(text::as_float(value))),
        ValueKind::Seq | ValueKind::Iterable if value.downcast_object_ref::<View>().is_none() => {
            let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            write_items(out, ['[', ']'], items.len(), style, depth, |out, index| {
                write(out, &items[index], style, depth + 1)
            })?;
        }
        ValueKind::Map if super::is_dict(value) => write_map(out, value, style, depth)?,
        _ => return unknown(),
    }
    Ok(())
}

fn write_map(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    let mut keys: Vec<Value> = value.try_iter()?.collect();
    if style.sorted {
        if keys.iter().all(|k| k.as_str().is_some()) {
            keys.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        } else if keys.iter().all(|k| matches!(k.kind(), ValueKind::Number | ValueKind::Bool)) {
            keys.sort_by(|a, b| text::as_float(a).total_cmp(&text::as_float(b)));
        } else {
            return Err(refused("tojson cannot sort keys of different kinds"));
        }
    }
    write_items(out, ['{', '}'], keys.len(), style, depth, |out, index| {
        let key = &keys[index];
        let name = match key.kind() {
            ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
            ValueKind::None => "null".into(),
            ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
            ValueKind::Number if key.is_integer() => key.to_string(),
            ValueKind::Number => number(text::as_float(key)),
            _ => return Err(refused("keys must be str, int, float, bool or None")),
        };
        write_text(out, &name, style.ascii);
        out.push_str(&style.after_key);
        write(out, &value.get_item(key)?, style, depth + 1)
    })
}

fn write_items(
    out: &mut String,
    brackets: [char; 2],
    count: usize,
    style: &Style,
    depth: usize,
    mut item: impl FnMut(&mut String, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, level: usize| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    };
    out.push(brackets[0]);
    for index in 0..count {
        if index > 0 {
            out.push_str(&style.between);
        }
        line(out, depth + 1);
        item(out, index)?;
    }
    if count > 0 {
        line(out, depth);
    }
    out.push(brackets[1]);
    Ok(())
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        float(value)
    }
}

/// U+FDD0 and U+FDD1 are never escaped: this program marks what people wrote with them.
fn write_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{fdd0}' | '\u{fdd1}' => out.push(c),
            c if c < ' ' || (ascii && !(' '..='~').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
