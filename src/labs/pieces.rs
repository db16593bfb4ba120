//! Any model's tokenizer, for a look at the pieces of a text.

use crate::error::UserMessage;
use crate::models::codec::{Codec, CodecToken};
use crate::models::gguf::Gguf;
use crate::models::library::Library;
use crate::models::tokenizer::TextTokenizer;

/// A tokenizer of either kind.
pub enum Pieces {
    Language(Box<Codec>),
    Words(Box<TextTokenizer>),
}

impl Pieces {
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
            return Ok(Self::Language(Box::new(Codec::gpt2(&entry.tokenizer)?)));
        }
        Ok(Self::Words(Box::new(TextTokenizer::open(&entry.tokenizer)?)))
    }

    /// The pieces of `text`, offsets in Unicode scalar values.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn cut(&self, text: &str, special: bool) -> Result<Vec<CodecToken>, UserMessage> {
        let fail = |why: String| UserMessage::new("The text could not be cut", why, "Try a shorter text.");
        match self {
            Self::Language(codec) => codec.tokens(text, special).map_err(fail),
            Self::Words(words) => {
                let tokens = words.encode(text, &|| false).map_err(fail)?.unwrap_or_default();
                // Tokens come in order: letters are counted on from the last one's beginning.
                let (mut byte, mut letters) = (0, 0);
                let mut out: Vec<CodecToken> = tokens
                    .into_iter()
                    .map(|t| {
                        letters += text[byte..t.start].chars().count();
                        byte = t.start;
                        let end = letters + text[t.start..t.end].chars().count();
                        CodecToken { id: t.id, piece: words.name(t.id), start: letters, end }
                    })
                    .collect();
                if special {
                    let mark = |id: u32, at: usize| CodecToken { id, piece: words.name(id), start: at, end: at };
                    out.insert(0, mark(words.cls, 0));
                    out.push(mark(words.sep, text.chars().count()));
                }
                Ok(out)
            }
        }
    }
}
