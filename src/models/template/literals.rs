//! Numbers and quoted strings as Python writes them, and strings as `minijinja` reads them.

/// A `+` or `-` at the beginning.
pub fn sign_of(rest: &str) -> Option<char> {
    rest.chars().next().filter(|c| matches!(c, '+' | '-'))
}

/// Bytes of digits, parted by single underscores.
fn digits_length(text: &str, is_digit: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        if is_digit(*byte) {
            end += 1;
        } else if *byte == b'_' && end > 0 && bytes.get(end + 1).is_some_and(|b| is_digit(*b)) {
            end += 2;
        } else {
            break;
        }
    }
    end
}

/// Bytes of a number with a fraction or an exponent.
pub fn float_length(text: &str) -> Option<usize> {
    let decimal = |text: &str| digits_length(text, |b| b.is_ascii_digit());
    let whole = decimal(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, decimal);
    let mut end = whole + if fraction > 0 { 1 + fraction } else { 0 };
    let mut exponent = 0;
    if let Some(rest) = text[end..].strip_prefix(['e', 'E']) {
        let sign = sign_of(rest).map_or(0, |_| 1);
        exponent = decimal(&rest[sign..]);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    (fraction > 0 || exponent > 0).then_some(end)
}

/// Radix and bytes of a whole number.
pub fn integer_length(text: &str) -> (u32, usize) {
    let radix = match text.as_bytes().get(..2) {
        Some(b"0b" | b"0B") => 2,
        Some(b"0o" | b"0O") => 8,
        Some(b"0x" | b"0X") => 16,
        _ => 10,
    };
    if radix != 10 {
        let first = 2 + usize::from(text[2..].starts_with('_'));
        let length = digits_length(&text[first..], |b| char::from(b).is_digit(radix));
        if length > 0 {
            return (radix, first + length);
        }
    }
    let zeros = text.starts_with('0');
    (10, digits_length(text, |b| if zeros { b == b'0' } else { b.is_ascii_digit() }))
}

/// Python's escapes in strings resolved; unknown ones stay as they are.
pub fn unescaped(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else { break };
        rest = &rest[kind.len_utf8()..];
        let plain = "\n\\'\"abfnrtv"
            .find(kind)
            .map(|at| ["", "\\", "'", "\"", "\u{7}", "\u{8}", "\u{c}", "\n", "\r", "\t", "\u{b}"][at]);
        if let Some(plain) = plain {
            out.push_str(plain);
            continue;
        }
        let (radix, least, most, skipped) = match kind {
            'x' => (16, 2, 2, 0),
            'u' => (16, 4, 4, 0),
            'U' => (16, 8, 8, 0),
            '0'..='7' => (8, 0, 3, 1),
            'N' => return Err("characters by name (\\N{…}) are not known here"),
            _ => {
                out.push('\\');
                out.push(kind);
                continue;
            }
        };
        // Octal digits begin with the one that was taken already.
        let digits = if skipped == 1 { &text[text.len() - rest.len() - 1..] } else { rest };
        let length = digits.bytes().take(most).take_while(|b| char::from(*b).is_digit(radix)).count();
        let value = u32::from_str_radix(&digits[..length], radix).ok().and_then(char::from_u32);
        out.push(value.filter(|_| length >= least).ok_or("an escape in a string names no character")?);
        rest = &digits[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A string as `minijinja` reads it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
