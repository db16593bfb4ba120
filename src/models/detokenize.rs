//! Ids to text as they come, byte by byte: what is no UTF-8 becomes a replacement mark, and the text goes on.

use std::collections::HashSet;
use tokenizers::Tokenizer;

/// What pieces of a vocabulary stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// GPT-2's letters for bytes.
    Bytes,
    /// SentencePiece's: `▁` is a space, `<0xHH>` a byte. Whether the space before a first word is dropped.
    Pieces { strips: bool },
}

/// Stands for what is no letter.
const REPLACED: &str = "\u{FFFD}";

/// Turns ids into text.
pub struct Detokenizer {
    spelling: Spelling,
    /// Marks that are no text.
    special: HashSet<u32>,
}

/// A text that is on its way.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    /// Bytes of a letter that is not whole.
    open: Vec<u8>,
    /// Whether a space at the beginning belongs to the text.
    keeps_space: bool,
}

impl TextStream {
    /// One that goes on from a text: a space at its beginning counts.
    pub fn continued() -> Self {
        Self { open: Vec::new(), keeps_space: true }
    }
}

impl Detokenizer {
    /// By the tokenizer's own decoder.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let decoder = tokenizer.get_decoder().and_then(|d| serde_json::to_string(d).ok()).unwrap_or_default();
        let pieces = decoder.contains("\"ByteFallback\"") || decoder.contains("\"Metaspace\"");
        let spelling = if pieces {
            let strips = decoder.contains("\"Strip\"")
                || decoder.contains("\"Metaspace\"") && !decoder.contains("\"prepend_scheme\":\"never\"");
            Spelling::Pieces { strips }
        } else {
            Spelling::Bytes
        };
        let added = tokenizer.get_added_tokens_decoder();
        Self { spelling, special: added.iter().filter(|(_, t)| t.special).map(|(id, _)| *id).collect() }
    }

    /// The text that a token completes: whole letters only. `piece` is the token as its vocabulary writes it.
    pub fn push(&self, stream: &mut TextStream, id: u32, piece: &str) -> String {
        if self.special.contains(&id) {
            return String::new();
        }
        match self.spelling {
            Spelling::Bytes => match piece.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
                Some(bytes) => stream.open.extend(bytes),
                // A mark that somebody added, with letters that stand for no bytes.
                None => stream.open.extend(piece.as_bytes()),
            },
            Spelling::Pieces { .. } => match fallback_byte(piece) {
                Some(byte) => stream.open.push(byte),
                None => stream.open.extend(piece.replace('▁', " ").as_bytes()),
            },
        }
        let text = take_letters(&mut stream.open, self.spelling);
        self.stripped(stream, text)
    }

    /// What is left of a letter that was never finished, as a replacement mark.
    pub fn rest(&self, stream: &TextStream) -> String {
        match self.spelling {
            Spelling::Pieces { .. } => REPLACED.repeat(stream.open.len()),
            Spelling::Bytes => String::from_utf8_lossy(&stream.open).into_owned(),
        }
    }

    fn stripped(&self, stream: &mut TextStream, text: String) -> String {
        if text.is_empty() || stream.keeps_space {
            return text;
        }
        stream.keeps_space = true;
        let drops = self.spelling == Spelling::Pieces { strips: true };
        match text.strip_prefix(' ') {
            Some(rest) if drops => rest.to_owned(),
            _ => text,
        }
    }
}

/// The letters that `open` begins with; bytes that can be none are replaced, those of one that may still become
/// whole stay.
fn take_letters(open: &mut Vec<u8>, spelling: Spelling) -> String {
    let mut out = String::new();
    loop {
        match std::str::from_utf8(open) {
            Ok(whole) => {
                out.push_str(whole);
                open.clear();
                return out;
            }
            Err(error) => {
                let good = error.valid_up_to();
                out.push_str(&String::from_utf8_lossy(&open[..good]));
                let Some(bad) = error.error_len() else {
                    open.drain(..good);
                    return out;
                };
                // SentencePiece has a mark for each byte, GPT-2's decoder one for what might have been a letter.
                out.push_str(&REPLACED.repeat(if spelling == Spelling::Bytes { 1 } else { bad }));
                open.drain(..good + bad);
            }
        }
    }
}

/// `<0xE2>` as its byte.
fn fallback_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>').filter(|d| d.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}

/// The byte that a letter stands for in GPT-2's vocabularies (Radford et al. 2019, `bytes_to_unicode`): printable ones
/// for themselves, the others numbered from U+0100 on.
fn byte_of(letter: char) -> Option<u8> {
    let is_own = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(letter);
    if let Ok(byte) = u8::try_from(code) {
        return is_own(byte).then_some(byte);
    }
    let nth = usize::try_from(code - 256).ok()?;
    (0..=255u8).filter(|b| !is_own(*b)).nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spelling: Spelling, pieces: &[&str]) -> (Vec<String>, String) {
        let detokenizer = Detokenizer { spelling, special: HashSet::from([99]) };
        let mut stream = TextStream::default();
        let parts = pieces.iter().map(|p| detokenizer.push(&mut stream, 0, p)).collect();
        (parts, detokenizer.rest(&stream))
    }

    #[test]
    fn letters_come_when_they_are_whole() {
        let pieces = Spelling::Pieces { strips: true };
        let (parts, rest) = read(pieces, &["▁a", "<0xE2>", "<0x82>", "<0xAC>", "▁b"]);
        assert_eq!((parts.concat(), parts[1].as_str(), parts[3].as_str()), ("a€ b".into(), "", "€"));
        assert_eq!(rest, "");
        let (parts, _) = read(Spelling::Bytes, &["Ġa", "â", "Ĥ", "¬", "Ċ"]);
        assert_eq!(parts.concat(), " a€\n");
    }

    /// What `step_decode_stream` ends with "Invalid prefix": bytes that are no letters, before, between and after whole ones.
    #[test]
    fn bytes_that_are_no_letters_are_replaced_and_the_text_goes_on() {
        let pieces = Spelling::Pieces { strips: true };
        let (parts, rest) =
            read(pieces, &["<0xFF>", "▁x", "<0xE2>", "<0x82>", "y", "<0xC3>", "<0xC3>", "<0xA9>", "<0xF0>"]);
        assert_eq!(parts.concat(), "\u{FFFD} x\u{FFFD}\u{FFFD}y\u{FFFD}é");
        assert_eq!(rest, "\u{FFFD}");
        let (parts, rest) = read(Spelling::Bytes, &["â", "Ĥ", "a", "â", "Ĥ"]);
        assert_eq!((parts.concat(), rest), ("\u{FFFD}a".into(), "\u{FFFD}".into()));
        // A letter that was shown stays as it was shown, whatever bytes follow.
        let (parts, _) = read(pieces, &["<0xE2>", "<0x82>", "<0xAC>", "<0x82>", "z"]);
        assert_eq!(parts, ["", "", "€", "\u{FFFD}", "z"]);
    }

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let letters: Vec<char> = (0..0x180u32).filter_map(char::from_u32).collect();
        let mut bytes: Vec<u8> = letters.iter().filter_map(|c| byte_of(*c)).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte_of('Ġ'), byte_of('Ċ'), byte_of('日')), (Some(b' '), Some(b'\n'), None));
    }

    #[test]
    fn a_text_that_goes_on_keeps_its_first_space() {
        let detokenizer = Detokenizer { spelling: Spelling::Pieces { strips: true }, special: HashSet::from([99]) };
        let mut stream = TextStream::continued();
        assert_eq!(detokenizer.push(&mut stream, 0, "▁time"), " time");
        assert_eq!(detokenizer.push(&mut stream, 99, "</s>"), "");
        let mut stream = TextStream::default();
        assert_eq!(detokenizer.push(&mut stream, 0, "▁time"), "time");
    }
}
