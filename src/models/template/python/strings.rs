//! Methods of Python's `str`. Positions count characters.

use super::{Arguments, MOST_BYTES, format, items, refused, type_name};
use crate::models::template::lexer::is_space;
use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use regex::Regex;
use std::sync::OnceLock;

/// `text.name(arguments)`
///
/// # Errors
/// Unknown methods and wrong arguments.
pub fn call(state: &State<'_, '_>, text: &str, name: &str, all: &[Value]) -> Result<Value, Error> {
    let mut arguments = Arguments::of_method(name, all)?;
    let result = match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss").replace('ς', "σ").replace('ſ', "s")),
        "capitalize" => Value::from(capitalized(text)),
        "title" => Value::from(titled(text)),
        "swapcase" => Value::from(swapped(text)),
        "strip" | "lstrip" | "rstrip" => {
            let chars = arguments.text("chars")?;
            Value::from(stripped(text, chars.as_deref(), name != "rstrip", name != "lstrip"))
        }
        "removeprefix" => {
            let prefix = text_of(&arguments.needed("prefix")?)?;
            Value::from(text.strip_prefix(prefix.as_str()).unwrap_or(text))
        }
        "removesuffix" => {
            let suffix = text_of(&arguments.needed("suffix")?)?;
            Value::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))
        }
        "split" | "rsplit" => {
            let separator = arguments.text("sep")?;
            let most = arguments.whole("maxsplit")?.unwrap_or(-1);
            let parts = split(text, separator.as_deref(), most, name == "rsplit")?;
            parts.into_iter().map(Value::from).collect()
        }
        "splitlines" => {
            let keep = arguments.flag("keepends")?.unwrap_or(false);
            lines(text, keep).into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let separator = text_of(&arguments.needed("sep")?)?;
            partition(text, &separator, name == "rpartition")?
        }
        "replace" => {
            let (old, new) = (text_of(&arguments.needed("old")?)?, text_of(&arguments.needed("new")?)?);
            let count = arguments.whole("count")?.unwrap_or(-1);
            Value::from(replaced(text, &old, &new, count)?)
        }
        "join" => Value::from(joined(state, text, &arguments.needed("iterable")?)?),
        "format" | "format_map" => return braced(state, text, name, all),
        "count" | "find" | "rfind" | "index" | "rindex" => searched(text, name, &mut arguments)?,
        "startswith" | "endswith" => begins(state, text, name == "startswith", &mut arguments)?,
        "center" | "ljust" | "rjust" | "zfill" => {
            let width = arguments.whole("width")?.ok_or_else(|| refused(format!("{name} needs a width")))?;
            let fill = if name == "zfill" { None } else { arguments.text("fillchar")? };
            Value::from(widened(text, name, width, fill.as_deref())?)
        }
        "expandtabs" => Value::from(expanded(text, arguments.whole("tabsize")?.unwrap_or(8))?),
        "copy" => return Err(Error::from(ErrorKind::UnknownMethod)),
        _ => match is(text, name) {
            Some(holds) => Value::from(holds),
            None => return Err(Error::from(ErrorKind::UnknownMethod)),
        },
    };
    arguments.end()?;
    Ok(result)
}

fn text_of(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(refused(format!("a str is needed, not {}", type_name(value)))),
    }
}

/// Whether all of `text` is of a kind, or nothing where `name` asks for none.
fn is(text: &str, name: &str) -> Option<bool> {
    // Python's classes by what Unicode says of characters.
    static PATTERNS: OnceLock<Vec<(&str, Option<Regex>)>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        [
            ("isalpha", r"^\p{L}+$"),
            ("isdecimal", r"^\p{Nd}+$"),
            ("isdigit", r"^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]+$"),
            ("isnumeric", r"^\p{N}+$"),
            ("isalnum", r"^[\p{L}\p{N}]+$"),
            ("isidentifier", r"^[\p{XID_Start}_]\p{XID_Continue}*$"),
        ]
        .map(|(name, pattern)| (name, Regex::new(pattern).ok()))
        .into()
    });
    if let Some((_, pattern)) = patterns.iter().find(|(known, _)| *known == name) {
        return pattern.as_ref().map(|p| p.is_match(text));
    }
    let (lower, upper) = (text.chars().any(char::is_lowercase), text.chars().any(char::is_uppercase));
    Some(match name {
        "isascii" => text.is_ascii(),
        "islower" => lower && !upper,
        "isupper" => upper && !lower,
        "isspace" => !text.is_empty() && text.chars().all(is_space),
        "isprintable" => text.chars().all(super::text::is_printable),
        "istitle" => (lower || upper) && titled(text) == text,
        _ => return None,
    })
}

/// A character as a title begins.
fn title_case(c: char) -> String {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".into(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".into(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".into(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".into(),
        _ => {
            let mut upper = c.to_uppercase();
            // `ß` is `Ss` at a beginning.
            upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// Python's `capitalize`.
pub fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| title_case(first) + &rest.as_str().to_lowercase())
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_case(c));
        }
        inside = is_cased(c);
    }
    out
}

fn swapped(text: &str) -> String {
    let swap =
        |c: char| -> String { if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() } };
    text.chars().map(swap).collect()
}

/// Python's `strip`, at the beginning, the end or both.
pub fn stripped<'a>(text: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if start { text.trim_start_matches(goes) } else { text };
    if end { text.trim_end_matches(goes) } else { text }
}

fn split<'a>(text: &'a str, separator: Option<&str>, most: i64, right: bool) -> Result<Vec<&'a str>, Error> {
    let most = usize::try_from(most).unwrap_or(usize::MAX - 1);
    let Some(separator) = separator else {
        return Ok(words(text, most, right));
    };
    if separator.is_empty() {
        return Err(refused("empty separator"));
    }
    Ok(if right {
        let mut parts: Vec<&str> = text.rsplitn(most + 1, separator).collect();
        parts.reverse();
        parts
    } else {
        text.splitn(most + 1, separator).collect()
    })
}

/// Parts between white space.
fn words(text: &str, most: usize, right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = stripped(text, None, !right, right);
    while !rest.is_empty() {
        if parts.len() == most {
            // The last part keeps its white space at the far end.
            parts.push(rest);
            break;
        }
        let found = if right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = found else {
            parts.push(rest);
            break;
        };
        if right {
            let width = rest[at..].chars().next().map_or(1, char::len_utf8);
            parts.push(&rest[at + width..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            parts.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if right {
        parts.reverse();
    }
    parts
}

/// Lines of `text` by all of Python's line ends.
pub fn lines(text: &str, keep: bool) -> Vec<&str> {
    let ends = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends) {
        let width =
            if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        found.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

fn partition(text: &str, separator: &str, right: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(refused("empty separator"));
    }
    let found = if right { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// Python's `replace`; a negative count replaces all.
///
/// # Errors
/// A text that becomes too long.
pub fn replaced(text: &str, old: &str, new: &str, count: i64) -> Result<String, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let places = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    if text.len().saturating_add(places.min(count).saturating_mul(new.len())) > MOST_BYTES.max(text.len()) {
        return Err(refused("a text is too long"));
    }
    Ok(text.replacen(old, new, count))
}

fn joined(state: &State<'_, '_>, separator: &str, parts: &Value) -> Result<String, Error> {
    let mut out = String::new();
    for (index, part) in items(state, parts)?.iter().enumerate() {
        let Some(part) = part.as_str() else {
            return Err(refused(format!("sequence item {index}: expected str instance, {} found", type_name(part))));
        };
        state.consume_fuel(((separator.len() + part.len()) / 64) as u64)?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(part);
    }
    Ok(out)
}

fn braced(state: &State<'_, '_>, text: &str, name: &str, all: &[Value]) -> Result<Value, Error> {
    if name == "format" {
        return format::braces(text, all).map(Value::from);
    }
    let [mapping] = all else { return Err(refused("format_map takes one argument")) };
    let pairs: Result<Vec<(String, Value)>, Error> =
        items(state, mapping)?.iter().map(|key| Ok((text_of(key)?, mapping.get_item(key)?))).collect();
    let named = Value::from(minijinja::value::Kwargs::from_iter(pairs?));
    format::braces(text, &[named]).map(Value::from)
}

/// The part of `text` that `start` and `end` choose, with how many characters come before it.
fn chosen<'a>(text: &'a str, arguments: &mut Arguments<'_>) -> Result<Option<(&'a str, usize)>, Error> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let bound = |at: i64| usize::try_from(if at < 0 { (at.saturating_add(length)).max(0) } else { at }).unwrap_or(0);
    let start = bound(arguments.whole("start")?.unwrap_or(0));
    let end = bound(arguments.whole("end")?.unwrap_or(length).min(length));
    if start > end {
        return Ok(None);
    }
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    Ok(Some((&text[byte(start)..byte(end)], start)))
}

fn searched(text: &str, name: &str, arguments: &mut Arguments<'_>) -> Result<Value, Error> {
    let part = text_of(&arguments.needed("sub")?)?;
    let chosen = chosen(text, arguments)?;
    if name == "count" {
        return Ok(Value::from(chosen.map_or(0, |(text, _)| text.matches(part.as_str()).count())));
    }
    let found = chosen.and_then(|(text, before)| {
        let at = if name.starts_with('r') { text.rfind(&part) } else { text.find(&part) };
        at.map(|at| before + text[..at].chars().count())
    });
    match found {
        Some(at) => Ok(Value::from(at)),
        None if name.ends_with("index") => Err(refused("substring not found")),
        None => Ok(Value::from(-1)),
    }
}

fn begins(state: &State<'_, '_>, text: &str, start: bool, arguments: &mut Arguments<'_>) -> Result<Value, Error> {
    let wanted = arguments.needed("prefix")?;
    let wanted = match wanted.kind() {
        ValueKind::String => vec![wanted],
        _ if wanted.is_tuple() => items(state, &wanted)?,
        _ => return Err(refused(format!("a str or a tuple of str is needed, not {}", type_name(&wanted)))),
    };
    let chosen = chosen(text, arguments)?;
    for part in wanted {
        let part = text_of(&part)?;
        if chosen.is_some_and(|(text, _)| if start { text.starts_with(&part) } else { text.ends_with(&part) }) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

/// `center`, `ljust`, `rjust`, `zfill`.
///
/// # Errors
/// A text that becomes too long.
pub fn widened(text: &str, name: &str, width: i64, fill: Option<&str>) -> Result<String, Error> {
    let fill = fill.unwrap_or(if name == "zfill" { "0" } else { " " });
    if fill.chars().count() != 1 {
        return Err(refused("the fill character must be exactly one character long"));
    }
    let width = usize::try_from(width).unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    if missing.saturating_mul(fill.len()) > MOST_BYTES {
        return Err(refused("a text is too long"));
    }
    let left = match name {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let (left, right) = (fill.repeat(left), fill.repeat(missing - left));
    Ok(match text.strip_prefix(['+', '-']).filter(|_| name == "zfill") {
        Some(digits) => format!("{}{left}{digits}", &text[..1]),
        None => format!("{left}{text}{right}"),
    })
}

fn expanded(text: &str, size: i64) -> Result<String, Error> {
    let size = usize::try_from(size).unwrap_or(0);
    if text.matches('\t').count().saturating_mul(size) > MOST_BYTES {
        return Err(refused("a text is too long"));
    }
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let spaces = if size > 0 { size - column % size } else { 0 };
                out.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            _ => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(out)
}
