//! Text files of inputs, one per line, read with errors that name the file and the remedy.

use crate::error::UserMessage;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Largest file that is read.
pub const MAX_BYTES: u64 = 64 << 20;

/// The lines of a UTF-8 file (a byte-order mark and blank lines are dropped), gzipped or not.
///
/// # Errors
/// A file that is missing, unreadable, too large, not UTF-8 or without a line of text.
pub fn read(path: &Path) -> Result<Vec<String>, UserMessage> {
    decode(&bytes(path)?, &format!("'{}'", path.display()))
}

/// The whole text of a UTF-8 file, gzipped or not.
///
/// # Errors
/// As for [`read`].
pub fn text(path: &Path) -> Result<String, UserMessage> {
    utf8(&bytes(path)?, &format!("'{}'", path.display())).map(str::to_owned)
}

fn bytes(path: &Path) -> Result<Vec<u8>, UserMessage> {
    let shown = path.display();
    let fail = |why: String, next: &str| UserMessage::new("The file could not be read", why, next);
    let file = std::fs::File::open(path)
        .map_err(|e| fail(format!("'{shown}': {e}"), "Check the name, or choose another file."))?;
    let packed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    let reader: Box<dyn Read> = if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    bounded(reader, &format!("'{shown}'"))
}

/// Everything that `reader` gives, from wherever it comes: more than [`MAX_BYTES`] is refused, never cut.
///
/// # Errors
/// Too much, or what the system says.
pub fn bounded(reader: impl Read, name: &str) -> Result<Vec<u8>, UserMessage> {
    let fail = |why: String, next: &str| UserMessage::new("The input could not be read", why, next);
    let mut bytes = Vec::new();
    let read = reader.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| fail(format!("{name}: {e}"), "Check the file and its permissions."))?;
    if bytes.len() as u64 > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Err(fail(format!("{name} is larger than {limit} MiB"), "Split it into smaller parts."));
    }
    Ok(bytes)
}

/// The text of `bytes`, without a byte-order mark.
///
/// # Errors
/// Bytes that are no UTF-8, with their line.
pub fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, UserMessage> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        UserMessage::new(
            "The file could not be read",
            format!("{name} is not UTF-8 text (line {line})"),
            "Save it as plain text in UTF-8, then choose it again.",
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The lines of `bytes`; `name` says where they come from.
///
/// # Errors
/// Bytes that are not UTF-8, or no line of text.
pub fn decode(bytes: &[u8], name: &str) -> Result<Vec<String>, UserMessage> {
    let lines: Vec<String> = utf8(bytes, name)?.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(UserMessage::new(
            "There is nothing to analyse",
            format!("{name} has no line of text"),
            "Choose a file with one text per line.",
        ));
    }
    Ok(lines)
}

/// The strings of a list of `json`, without white space at their ends.
pub fn strings(json: &Value, key: &str) -> Option<Vec<String>> {
    let list = json.get(key)?.as_array()?.iter().filter_map(|s| s.as_str());
    Some(list.map(|s| s.trim().to_owned()).collect())
}

/// The text of a JSON row: its "text", or its "sentences" in a row.
pub fn document(json: &Value) -> Option<String> {
    let text = json.get("text").and_then(|t| t.as_str()).map(str::to_owned);
    text.or_else(|| Some(strings(json, "sentences")?.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_the_byte_order_mark_are_dropped() {
        assert_eq!(decode("\u{feff}a\r\n\n  \nb".as_bytes(), "x").expect("lines"), ["a", "b"]);
    }

    #[test]
    fn other_encodings_are_named_with_their_line() {
        let error = decode(b"fine\ncaf\xe9\n", "'menu.txt'").unwrap_err();
        assert!(error.why.contains("'menu.txt'") && error.why.contains("line 2"), "{error}");
        assert!(decode(b"\n \n", "x").unwrap_err().why.contains("no line"));
    }
}
