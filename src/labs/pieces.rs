//! Any model's tokenizer, for a look at the pieces of a text.

use crate::error::UserMessage;
use crate::models::codec::{Codec, CodecToken};
use crate::models::gguf::Gguf;
use crate::models::library::Library;
use crate::models::sentencepiece::PairTokenizer;
use crate::models::tokenizer::TextTokenizer;
use crate::nn::seq2seq::config::Config;
use crate::tasks::{Need, TaskError};
use std::ops::Range;

/// A tokenizer of either kind.
pub enum Pieces {
    Language(Box<Codec>),
    Words(Box<TextTokenizer>),
    /// With the id of the end token.
    Pairs(Box<PairTokenizer>, u32),
}

impl Pieces {
    /// What the reader of the pieces should know of the tokenizer's file.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Language(codec) => codec.notes(),
            Self::Words(_) | Self::Pairs(..) => &[],
        }
    }

    /// The pieces of `text` where it is somebody's message in a chat: marks that it spells are letters there. `None` where
    /// that is no other reading.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn cut_typed(&self, text: &str, special: bool) -> Result<Option<Vec<CodecToken>>, UserMessage> {
        match self {
            Self::Language(codec) => codec.plain_tokens(text, special).map_err(too_long),
            Self::Words(_) | Self::Pairs(..) => Ok(None),
        }
    }

    /// That of `model` (default: the chat model).
    ///
    /// # Errors
    /// A model that cannot be found, or whose tokenizer cannot be read.
    pub fn open(library: &Library, model: Option<&str>) -> Result<Self, UserMessage> {
        let entry = library.resolve(model, "chat")?;
        if let Some(path) = entry.gguf() {
            return Ok(Self::Language(Box::new(Gguf::open(path)?.codec()?)));
        }
        let kind = entry.read_config()?;
        if kind.get("model_type").and_then(|v| v.as_str()) == Some("gpt2") {
            return Ok(Self::Language(Box::new(Codec::gpt2(&entry.tokenizer, Vec::new())?)));
        }
        if let Some("t5" | "mt5" | "marian") = kind.get("model_type").and_then(|v| v.as_str()) {
            let here = |source| TaskError::checkpoint(&entry, Need::Any, source);
            let config = Config::from_json(&kind).map_err(here)?;
            let tokenizer = PairTokenizer::open(&entry.tokenizer, [config.source_vocab, config.vocab])?;
            return Ok(Self::Pairs(Box::new(tokenizer), config.eos));
        }
        Ok(Self::Words(Box::new(TextTokenizer::open(&entry.tokenizer)?)))
    }

    /// The pieces of `text`, offsets in Unicode scalar values.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn cut(&self, text: &str, special: bool) -> Result<Vec<CodecToken>, UserMessage> {
        match self {
            Self::Language(codec) => codec.tokens(text, special).map_err(too_long),
            Self::Words(words) => {
                let tokens = words.encode(text, &|| false).map_err(too_long)?.unwrap_or_default();
                let places = tokens.into_iter().map(|t| (t.id, t.start..t.end));
                let mut out = in_letters(text, places, |id| words.name(id));
                if special {
                    let mark = |id: u32, at: usize| CodecToken { id, piece: words.name(id), start: at, end: at };
                    out.insert(0, mark(words.cls, 0));
                    out.push(mark(words.sep, text.chars().count()));
                }
                Ok(out)
            }
            Self::Pairs(pairs, end) => {
                let tokens = pairs.encode(text).map_err(too_long)?;
                let places = tokens.into_iter().map(|t| (t.id, t.start..t.end));
                let mut out = in_letters(text, places, |id| pairs.source_piece(id));
                if special {
                    let at = text.chars().count();
                    out.push(CodecToken { id: *end, piece: pairs.source_piece(*end), start: at, end: at });
                }
                Ok(out)
            }
        }
    }
}

fn too_long(why: String) -> UserMessage {
    UserMessage::new("The text could not be cut", why, "Try a shorter text.")
}

/// Tokens with byte offsets as tokens with offsets in letters.
fn in_letters(
    text: &str,
    tokens: impl Iterator<Item = (u32, Range<usize>)>,
    name: impl Fn(u32) -> String,
) -> Vec<CodecToken> {
    // Tokens come in order: letters are counted on from the last one's beginning.
    let (mut byte, mut letters) = (0, 0);
    tokens
        .map(|(id, place)| {
            letters += text[byte..place.start.max(byte)].chars().count();
            byte = place.start.max(byte);
            let end = letters + text[byte..place.end.max(byte)].chars().count();
            CodecToken { id, piece: name(id), start: letters, end }
        })
        .collect()
}
