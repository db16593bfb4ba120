//! Jinja's filters for texts and numbers, as far as `minijinja`'s differ or are missing.

use super::number::Number;
use super::strings::{self, capitalized, lines, stripped, widened};
use super::{Arguments, format, refused, text, type_name, undefined};
use crate::models::template::lexer::is_space;
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;

/// What Python's `urllib.parse.quote` leaves as it is, besides letters and digits.
const UNQUOTED: AsciiSet = NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// Adds them.
pub fn install(environment: &mut Environment<'static>) {
    let escape = |value: Value| text::shown(&value).map(|t| escaped(&t));
    environment.add_filter("string", |value: Value| text::shown(&value));
    environment.add_filter("safe", |value: Value| text::shown(&value));
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("forceescape", escape);
    environment.add_filter("upper", |value: Value| text::shown(&value).map(|t| t.to_uppercase()));
    environment.add_filter("lower", |value: Value| text::shown(&value).map(|t| t.to_lowercase()));
    environment.add_filter("capitalize", |value: Value| text::shown(&value).map(|t| capitalized(&t)));
    environment.add_filter("title", |value: Value| text::shown(&value).map(|t| title(&t)));
    environment.add_filter("trim", trim);
    environment.add_filter("replace", replace);
    environment.add_filter("indent", indent);
    environment.add_filter("center", center);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |value: Value| text::shown(&value).map(|t| word_count(&t)));
    environment.add_filter("striptags", |value: Value| text::shown(&value).map(|t| without_tags(&t)));
    environment.add_filter("urlencode", |value: Value| {
        text::shown(&value).map(|t| utf8_percent_encode(&t, &UNQUOTED).to_string())
    });
    environment.add_filter("format", fill);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("round", round);
    environment.add_filter("abs", absolute);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// Jinja's own title case: words begin after white space, `-`, `(`, `{`, `[` and `<`.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    let mut rest = text;
    while !rest.is_empty() {
        let parts = |c: char| is_space(c) || "-({[<".contains(c);
        let end = rest.find(|c| parts(c) == begins).filter(|at| *at > 0 || begins).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        if begins {
            let mut letters = piece.chars();
            out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            out.push_str(&letters.as_str().to_lowercase());
        } else {
            out.push_str(piece);
        }
        begins = !begins;
        rest = after;
    }
    out
}

fn trim(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("trim", &rest, names);
    let chars = arguments.text("chars")?;
    arguments.end()?;
    Ok(stripped(&text::shown(&value)?, chars.as_deref(), true, true).to_owned())
}

fn replace(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("replace", &rest, names);
    let (old, new) = (text::shown(&arguments.needed("old")?)?, text::shown(&arguments.needed("new")?)?);
    let count = arguments.whole("count")?.unwrap_or(-1);
    arguments.end()?;
    strings::replaced(&text::shown(&value)?, &old, &new, count)
}

fn text_of(value: &Value) -> Result<&str, Error> {
    match value.as_str() {
        Some(text) => Ok(text),
        None if value.is_undefined() => Err(undefined()),
        None => Err(refused(format!("a str is needed, not {}", type_name(value)))),
    }
}

fn indent(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("indent", &rest, names);
    let width = arguments.next("width")?.unwrap_or_else(|| Value::from(4));
    let (first, blank) = (arguments.flag("first")?.unwrap_or(false), arguments.flag("blank")?.unwrap_or(false));
    arguments.end()?;
    let space = match width.as_str() {
        Some(text) => text.to_owned(),
        None => widened("", "ljust", width.as_i64().ok_or_else(|| refused("indent wants a width"))?, None)?,
    };
    let text = format!("{}\n", text_of(&value)?);
    let all = lines(&text, false);
    if all.len().saturating_mul(space.len()).saturating_add(text.len()) > super::MOST_BYTES {
        return Err(refused("a text is too long"));
    }
    let mut out = if first { space.clone() } else { String::new() };
    for (index, line) in all.into_iter().enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(if blank || !line.is_empty() { &space } else { "" });
        }
        out.push_str(line);
    }
    Ok(out)
}

fn center(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("center", &rest, names);
    let width = arguments.whole("width")?.unwrap_or(80);
    arguments.end()?;
    widened(&text::shown(&value)?, "center", width, None)
}

fn truncate(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("truncate", &rest, names);
    let length = arguments.whole("length")?.unwrap_or(255);
    let cut_words = arguments.flag("killwords")?.unwrap_or(false);
    let end = arguments.text("end")?.unwrap_or_else(|| "...".into());
    let leeway = arguments.whole("leeway")?.unwrap_or(5);
    arguments.end()?;
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    if super::sequences::length(state, value.clone())? <= size(length.saturating_add(leeway)) {
        return Ok(value);
    }
    let text = text_of(&value)?;
    let most =
        size(length).checked_sub(end.chars().count()).ok_or_else(|| refused("truncate is shorter than its end"))?;
    let cut: String = text.chars().take(most).collect();
    let kept = if cut_words { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(kept, _)| kept) };
    Ok(Value::from(format!("{kept}{end}")))
}

fn word_count(text: &str) -> usize {
    Regex::new(r"[\p{L}\p{N}_]+").map_or(0, |words| words.find_iter(text).count())
}

/// Text without tags and comments, white space as single spaces.
fn without_tags(text: &str) -> String {
    let tags = Regex::new(r"(?s)<!--.*?-->|<.*?>")
        .map_or_else(|_| text.into(), |tags| tags.replace_all(text, "").into_owned());
    let words: Vec<&str> = tags.split(is_space).filter(|word| !word.is_empty()).collect();
    words
        .join(" ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

fn fill(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let pairs: Result<Vec<(String, Value)>, Error> =
        names.args().map(|name| Ok((name.to_owned(), names.get::<Value>(name)?))).collect();
    let pairs = pairs?;
    let values = match (rest.is_empty(), pairs.is_empty()) {
        (false, false) => return Err(refused("can't handle positional and keyword arguments at the same time")),
        (true, false) => Value::from_pairs(pairs),
        _ => Value::from(Tuple::from(rest.0)),
    };
    format::percent(state, &text::shown(&value)?, &values)
}

/// Python's `float(text)`.
fn float_of(text: &str) -> Option<f64> {
    let plain = stripped(text, None, true, true).replace('_', "");
    let known = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let named =
        matches!(plain.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan");
    plain.parse().ok().filter(|_| named || plain.chars().all(known))
}

/// Python's `int(text, base)`.
fn int_of(text: &str, base: i64) -> Option<i128> {
    let text = stripped(text, None, true, true).to_ascii_lowercase();
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixed = [("0b", 2), ("0o", 8), ("0x", 16)];
    let prefix = prefixed.iter().find(|(prefix, own)| digits.starts_with(prefix) && (base == *own || base == 0));
    let (radix, digits) = match prefix {
        Some((prefix, own)) => (*own, &digits[prefix.len()..]),
        None => (if base == 0 { 10 } else { base }, digits),
    };
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix))?;
    let bare = digits.strip_prefix('_').filter(|_| prefix.is_some()).unwrap_or(digits);
    if bare.is_empty() || bare.starts_with(['_', '+', '-']) || bare.ends_with('_') || bare.contains("__") {
        return None;
    }
    let number = i128::from_str_radix(&bare.replace('_', ""), radix).ok()?;
    Some(if minus { -number } else { number })
}

fn int(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("int", &rest, names);
    let default = arguments.next("default")?.unwrap_or_else(|| Value::from(0));
    let base = arguments.whole("base")?.unwrap_or(10);
    arguments.end()?;
    if value.is_undefined() {
        return Err(undefined());
    }
    let number = match (value.as_str(), Number::of(&value)) {
        (Some(text), _) => int_of(text, base).or_else(|| float_of(text).and_then(whole)),
        (None, Some(Number::Whole(number))) => Some(number),
        (None, Some(Number::Float(number))) => whole(number),
        _ => None,
    };
    Ok(number.map_or(default, |number| Number::Whole(number).value()))
}

fn whole(number: f64) -> Option<i128> {
    (number.abs() < 1e37).then_some(number as i128)
}

fn float(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("float", &rest, names);
    let default = arguments.next("default")?.unwrap_or_else(|| Value::from(0.0));
    arguments.end()?;
    if value.is_undefined() {
        return Err(undefined());
    }
    let number = match value.as_str() {
        Some(text) => float_of(text),
        None => Number::of(&value).map(Number::float),
    };
    Ok(number.map_or(default, Value::from))
}

fn round(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("round", &rest, names);
    let places = arguments.whole("precision")?.unwrap_or(0).clamp(-300, 300);
    let method = arguments.text("method")?.unwrap_or_else(|| "common".into());
    arguments.end()?;
    let number = Number::of(&value).ok_or_else(|| refused(format!("type {} cannot be rounded", type_name(&value))))?;
    let power = 10f64.powi(i32::try_from(places).unwrap_or(0));
    match (method.as_str(), number) {
        ("common", Number::Whole(number)) if places >= 0 => Ok(Number::Whole(number).value()),
        ("common", number) => {
            let value = number.float();
            // Half to even, of the number as it is: what Rust's formatting does.
            let rounded = match usize::try_from(places) {
                Ok(places) => format!("{value:.places$}").parse().unwrap_or(value),
                Err(_) => (value * power).round_ties_even() / power,
            };
            Ok(match number {
                Number::Whole(_) => whole(rounded).map_or(Value::from(rounded), |n| Number::Whole(n).value()),
                Number::Float(_) => Value::from(rounded),
            })
        }
        ("ceil", number) => Ok(Value::from((number.float() * power).ceil() / power)),
        ("floor", number) => Ok(Value::from((number.float() * power).floor() / power)),
        _ => Err(refused("method must be common, ceil or floor")),
    }
}

fn absolute(value: Value) -> Result<Value, Error> {
    match Number::of(&value) {
        Some(Number::Whole(number)) => Ok(Number::Whole(number.saturating_abs()).value()),
        Some(Number::Float(number)) => Ok(Value::from(number.abs())),
        None => Err(refused(format!("bad operand type for abs(): '{}'", type_name(&value)))),
    }
}

fn default(value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("default", &rest, names);
    let other = arguments.next("default_value")?.unwrap_or_else(|| Value::from(""));
    let boolean = arguments.flag("boolean")?.unwrap_or(false);
    arguments.end()?;
    let missing = value.kind() == ValueKind::Undefined || (boolean && !value.is_true());
    Ok(if missing { other } else { value })
}
