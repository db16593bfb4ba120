//! Python's formatting of texts: `'%s and %02d' % (a, b)` and `'{}'.format(a)`.

use super::number::Number;
use super::{MOST_BYTES, is_dict, items, refused, text, type_name};
use minijinja::formatting::{FormatStyle, format};
use minijinja::{Error, State, Value};

/// Widest place.
const WIDEST: usize = 9_999;

/// `template % value`: a tuple's items, a dict's entries or one value fill its places.
///
/// # Errors
/// Places and values that do not fit together.
pub fn percent(state: &State<'_, '_>, template: &str, value: &Value) -> Result<String, Error> {
    let by_place = if value.is_tuple() { items(state, value)? } else { vec![value.clone()] };
    let mut filler = Filler { rest: template, values: by_place.into_iter(), value, out: String::new() };
    let mut named = false;
    while let Some((before, after)) = filler.rest.split_once('%') {
        filler.out.push_str(before);
        filler.rest = after;
        named |= after.starts_with('(');
        filler.place()?;
        if filler.out.len() > MOST_BYTES {
            return Err(refused("a text is too long"));
        }
    }
    filler.out.push_str(filler.rest);
    // What has entries may be left over, a tuple and a text may not.
    let spare = filler.values.next().is_some();
    let entries = is_dict(value) || super::is_list(value) || value.is_undefined();
    if spare && !named && (value.is_tuple() || !entries) {
        return Err(refused("not all arguments converted during string formatting"));
    }
    Ok(filler.out)
}

/// `template.format(…)`
///
/// # Errors
/// As [`percent`].
pub fn braces(template: &str, arguments: &[Value]) -> Result<String, Error> {
    let mut digits = 0;
    for c in template.chars() {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 5 && template.contains('{') {
            return Err(refused("a place is too wide"));
        }
    }
    let text = format(FormatStyle::StrFormat, template, arguments)?;
    if text.len() > MOST_BYTES { Err(refused("a text is too long")) } else { Ok(text) }
}

/// Fills places one after the other.
struct Filler<'a> {
    /// After the last `%`.
    rest: &'a str,
    values: std::vec::IntoIter<Value>,
    value: &'a Value,
    out: String,
}

/// How a place is written.
#[derive(Default)]
struct Place {
    left: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    marked: bool,
    width: usize,
    precision: Option<usize>,
}

impl Filler<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        self.values.next().ok_or_else(|| refused("not enough arguments for format string"))
    }

    fn skip(&mut self, c: char) -> bool {
        let found = self.rest.strip_prefix(c);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// Digits, or `*` for a value.
    fn number(&mut self) -> Result<Option<i64>, Error> {
        if self.skip('*') {
            let value = self.next()?;
            return value.as_i64().map(Some).ok_or_else(|| refused("* wants int"));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        Ok(Some(digits.parse().unwrap_or(i64::MAX)))
    }

    fn place(&mut self) -> Result<(), Error> {
        let mut chosen = None;
        if let Some(rest) = self.rest.strip_prefix('(') {
            let Some((key, rest)) = rest.split_once(')') else { return Err(refused("incomplete format key")) };
            if !is_dict(self.value) {
                return Err(refused("format requires a mapping"));
            }
            self.rest = rest;
            let entry = self.value.get_item(&Value::from(key))?;
            if entry.is_undefined() {
                return Err(refused(format!("the text names '{key}', which is not there")));
            }
            chosen = Some(entry);
        }
        let mut place = Place::default();
        loop {
            match self.rest.chars().next() {
                Some('-') => place.left = true,
                Some('+') => place.plus = true,
                Some(' ') => place.space = true,
                Some('0') => place.zeros = true,
                Some('#') => place.marked = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        let width = self.number()?.unwrap_or(0);
        place.left |= width < 0;
        place.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        if self.skip('.') {
            place.precision = Some(usize::try_from(self.number()?.unwrap_or(0).max(0)).unwrap_or(usize::MAX));
        }
        if place.width.max(place.precision.unwrap_or(0)) > WIDEST {
            return Err(refused("a place is too wide"));
        }
        let _ = self.skip('h') || self.skip('l') || self.skip('L');
        let Some(kind) = self.rest.chars().next() else { return Err(refused("incomplete format")) };
        self.rest = &self.rest[kind.len_utf8()..];
        if kind == '%' {
            self.out.push('%');
            return Ok(());
        }
        let value = match chosen {
            Some(value) => value,
            None => self.next()?,
        };
        let written = written(kind, &value, &place)?;
        self.out.push_str(&written);
        Ok(())
    }
}

fn written(kind: char, value: &Value, place: &Place) -> Result<String, Error> {
    Ok(match kind {
        's' => padded(cut(text::shown(value)?, place), "", place, false),
        'r' | 'a' => padded(cut(text::repr(value)?, place), "", place, false),
        'c' => {
            let code = value.as_i64().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32);
            let one = value.as_str().filter(|text| text.chars().count() == 1).map(str::to_owned);
            let text = one.or(code.map(String::from)).ok_or_else(|| refused("%c requires int or char"))?;
            padded(text, "", place, false)
        }
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
            let number = Number::of(value);
            let number = match number {
                Some(Number::Whole(number)) => number,
                Some(Number::Float(number)) if number.is_finite() && matches!(kind, 'd' | 'i' | 'u') => number as i128,
                _ => return Err(refused(format!("%{kind} format: a number is required, not {}", type_name(value)))),
            };
            whole(kind, number, place)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match Number::of(value) {
            Some(number) => fraction(kind, number.float(), place),
            None => return Err(refused(format!("must be real number, not {}", type_name(value)))),
        },
        _ => return Err(refused(format!("unsupported format character '{kind}'"))),
    })
}

fn cut(text: String, place: &Place) -> String {
    match place.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    }
}

fn whole(kind: char, number: i128, place: &Place) -> String {
    let size = number.unsigned_abs();
    let (digits, mark) = match kind {
        'o' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        _ => (size.to_string(), ""),
    };
    let digits = format!("{digits:0>width$}", width = place.precision.unwrap_or(0));
    let mark = if place.marked { mark } else { "" };
    padded(digits, &format!("{}{mark}", sign(number < 0, place)), place, true)
}

fn sign(negative: bool, place: &Place) -> &'static str {
    match (negative, place.plus, place.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn fraction(kind: char, number: f64, place: &Place) -> String {
    let precision = place.precision.unwrap_or(6);
    let size = number.abs();
    let text = match kind {
        _ if !number.is_finite() => text::float(size),
        'f' | 'F' => format!("{size:.precision$}"),
        'e' | 'E' => scientific(size, precision),
        _ => {
            let most = precision.max(1);
            let long = scientific(size, most - 1);
            let power: i32 = long.split_once('e').map_or(0, |(_, power)| power.parse().unwrap_or(0));
            let places = i32::try_from(most).unwrap_or(i32::MAX) - 1 - power;
            let (digits, end) = if power >= -4 && places >= 0 {
                (format!("{size:.*}", usize::try_from(places).unwrap_or(0)), "")
            } else {
                long.split_once('e')
                    .map_or((long.clone(), ""), |(digits, _)| (digits.to_owned(), &long[digits.len()..]))
            };
            let short = digits.trim_end_matches('0').trim_end_matches('.');
            let digits = if place.marked || !digits.contains('.') { &digits } else { short };
            format!("{digits}{end}")
        }
    };
    let text = if kind.is_ascii_uppercase() { text.to_uppercase() } else { text };
    padded(text, sign(number.is_sign_negative() && !number.is_nan(), place), place, number.is_finite())
}

/// `d.ddde+XX`
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

fn padded(text: String, sign: &str, place: &Place, number: bool) -> String {
    let length = text.chars().count() + sign.len();
    let missing = place.width.saturating_sub(length);
    if place.left {
        format!("{sign}{text}{}", " ".repeat(missing))
    } else if place.zeros && number {
        format!("{sign}{}{text}", "0".repeat(missing))
    } else {
        format!("{}{sign}{text}", " ".repeat(missing))
    }
}
