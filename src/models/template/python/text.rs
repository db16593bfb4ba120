//! Values as Python prints them: `str()` and `repr()`.

use super::{MOST_BYTES, View, refused};
use minijinja::value::ValueKind;
use minijinja::{Error, Value};
use std::fmt::Write;

/// How deep containers are followed.
pub const DEEPEST: usize = 200;

/// Python's `str(value)`; nothing where it is undefined.
///
/// # Errors
/// Containers that nest too deep or become too long.
pub fn shown(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

/// Python's `repr(value)`.
///
/// # Errors
/// As [`shown`].
pub fn repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST || out.len() > MOST_BYTES {
        return Err(refused("a value is too large to be printed"));
    }
    if let Some(text) = value.as_str() {
        write_quoted(out, text);
        return Ok(());
    }
    let view = value.downcast_object_ref::<View>();
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Number if !value.is_integer() => out.push_str(&float(as_float(value))),
        ValueKind::Map if super::is_dict(value) => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            let (open, close) = match view {
                Some(view) => (format!("{}([", view.name), "])"),
                None if tuple => ("(".to_owned(), if value.len() == Some(1) { ",)" } else { ")" }),
                None => ("[".to_owned(), "]"),
            };
            out.push_str(&open);
            for (index, item) in value.try_iter()?.checked().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(out, &item?, depth + 1)?;
            }
            out.push_str(close);
        }
        ValueKind::Map if value.as_object().is_some_and(|o| o.type_name().ends_with("Namespace")) => {
            out.push_str("<Namespace>");
        }
        // Numbers, True, False, None; macros and the like.
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

/// The number that `value` holds; not a number where it holds none.
pub fn as_float(value: &Value) -> f64 {
    f64::try_from(value.clone()).unwrap_or(f64::NAN)
}

/// A string as Python's `repr` quotes it. U+FDD0 and U+FDD1 stay as they are: this program marks
/// what people wrote with them.
fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) || matches!(c, '\u{fdd0}' | '\u{fdd1}') => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Python's `str.isprintable` of one character. Rust escapes the same characters, and at a string's
/// beginning combining ones too.
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ => !format!("a{c}").escape_debug().skip(1).any(|e| e == '\\'),
    }
}

/// A floating-point number as Python prints it: the fewest digits that read back as the same.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_printed_as_python_does() {
        let numbers = [1.0, 0.1, 1e15, 1e16, 1.5e300, 1e-4, 1e-5, -2.5e-7, 123_456_789.125, -0.0];
        let texts: Vec<String> = numbers.into_iter().map(float).collect();
        let expected = [
            "1.0",
            "0.1",
            "1000000000000000.0",
            "1e+16",
            "1.5e+300",
            "0.0001",
            "1e-05",
            "-2.5e-07",
            "123456789.125",
            "-0.0",
        ];
        assert_eq!(texts, expected);
        let quoted = |text: &str| repr(&Value::from(text)).expect("short");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(
            quoted("'\"\\\n\u{7f}é\u{300}\u{200b}\u{1f600}\u{e000}"),
            "'\\'\"\\\\\\n\\x7fé\u{300}\\u200b\u{1f600}\\ue000'"
        );
        assert_eq!(quoted("\u{fdd0}a\u{fdd1}"), "'\u{fdd0}a\u{fdd1}'");
    }
}
