//! Encoders' tokenizers from tokenizer.json, or from a BERT vocab.txt as `transformers` builds them.

use super::ModelError;
use super::careful::caught;
use std::path::Path;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

/// Text goes to the tokenizer in pieces of about this many bytes, so that a long text can be
/// stopped in between.
const PIECE_BYTES: usize = 16 * 1024;

/// A tokenizer with the special tokens of BERT or RoBERTa.
pub struct TextTokenizer {
    inner: Tokenizer,
    pub cls: u32,
    pub sep: u32,
    /// What stands for a word that is not in the vocabulary.
    pub unknown: Option<u32>,
    /// Separators between two segments: one, or RoBERTa's two.
    pub between: usize,
}

/// One token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: u32,
    /// Bytes of the text that it stands for.
    pub start: usize,
    pub end: usize,
    /// Whether it begins a word.
    pub begins_word: bool,
}

impl TextTokenizer {
    /// Reads `path`: tokenizer.json, or vocab.txt with tokenizer_config.json beside it.
    ///
    /// # Errors
    /// A missing or damaged file, or one without `[CLS]` and `[SEP]`.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = super::read_bounded(path, super::MOST_VOCABULARY)?;
        let mut inner = if path.extension().is_some_and(|e| e == "txt") {
            from_vocabulary(path, &bytes)?
        } else {
            read_json(path, &bytes)?
        };
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| ModelError::damaged(path, e))?;
        let pair = |a: &str, b: &str| Some((inner.token_to_id(a)?, inner.token_to_id(b)?));
        let (marks, between) = match pair("[CLS]", "[SEP]") {
            Some(marks) => (Some(marks), 1),
            None => (pair("<s>", "</s>"), 2),
        };
        let missing = || ModelError::damaged(path, "it has no [CLS] and [SEP], nor <s> and </s>");
        let (cls, sep) = marks.ok_or_else(missing)?;
        let unknown = ["[UNK]", "<unk>"].iter().find_map(|mark| inner.token_to_id(mark));
        Ok(Self { inner, cls, sep, unknown, between })
    }

    /// The tokens of `text`, without special tokens. `stop` is asked between pieces.
    ///
    /// # Errors
    /// The tokenizer's own words, or `Ok(None)` when stopped.
    pub fn encode(&self, text: &str, stop: &dyn Fn() -> bool) -> Result<Option<Vec<Token>>, String> {
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if stop() {
                return Ok(None);
            }
            let end = piece_end(text, at);
            let encoding = caught(|| self.inner.encode(&text[at..end], false).map_err(|e| e.to_string()))?;
            let mut word = None;
            for ((&id, &(start, stop)), &of) in
                encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_word_ids())
            {
                let (start, end) = trimmed(text, at + start, at + stop);
                tokens.push(Token { id, start, end, begins_word: of.is_none() || of != word });
                word = of;
            }
            at = end;
        }
        Ok(Some(tokens))
    }

    /// The piece of text or mark that `id` stands for.
    pub fn name(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_else(|| format!("#{id}"))
    }
}

/// The range without white space at its ends (byte-level pieces carry the space before a word), on
/// character boundaries.
pub(super) fn trimmed(text: &str, start: usize, end: usize) -> (usize, usize) {
    let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
    let inner = text[start..end].trim();
    if inner.is_empty() {
        return (end, end);
    }
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    (start, start + inner.len())
}

/// Where the piece that begins at `start` ends: after white space if there is any in reach.
fn piece_end(text: &str, start: usize) -> usize {
    if text.len() - start <= PIECE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(start + PIECE_BYTES);
    text[start..limit]
        .rfind(char::is_whitespace)
        .map(|i| start + i)
        .and_then(|i| text[i..].chars().next().map(|c| i + c.len_utf8()))
        .filter(|end| *end > start)
        .unwrap_or(limit)
}

/// Reads a tokenizer.json.
///
/// # Errors
/// A damaged file.
pub(super) fn read_json(path: &Path, bytes: &[u8]) -> Result<Tokenizer, ModelError> {
    caught(|| Tokenizer::from_bytes(bytes).map_err(|e| e.to_string())).map_err(|e| ModelError::damaged(path, e))
}

fn from_vocabulary(path: &Path, bytes: &[u8]) -> Result<Tokenizer, ModelError> {
    let beside = path.with_file_name("tokenizer_config.json");
    let settings: serde_json::Value =
        std::fs::read(beside).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
    let lowercase = settings.get("do_lower_case").and_then(|v| v.as_bool()).unwrap_or(true);
    let strip = settings.get("strip_accents").and_then(|v| v.as_bool());
    let chinese = settings.get("tokenize_chinese_chars").and_then(|v| v.as_bool()).unwrap_or(true);
    std::str::from_utf8(bytes).map_err(|e| ModelError::damaged(path, e))?;
    let words = WordPiece::read_bytes(bytes).map_err(|e| ModelError::damaged(path, e))?;
    let model = WordPiece::builder().vocab(words).build().map_err(|e| ModelError::damaged(path, e))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, chinese, strip, lowercase)))
        .map_err(|e| ModelError::damaged(path, e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let present = marks.into_iter().filter(|m| tokenizer.token_to_id(m).is_some());
    let present: Vec<AddedToken> = present.map(|m| AddedToken::from(m, true)).collect();
    tokenizer.add_special_tokens(present).map_err(|e| ModelError::damaged(path, e))?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_long_text_and_break_at_white_space() {
        let text = "wörd ".repeat(9000);
        let mut at = 0;
        while at < text.len() {
            let end = piece_end(&text, at);
            assert!(end > at && text.is_char_boundary(end));
            assert!(end == text.len() || text[..end].ends_with(' '));
            at = end;
        }
        let solid = "é".repeat(20_000);
        assert!(piece_end(&solid, 0) > 0);
    }
}
