//! A language model's tokenizer: text to ids, ids to text as it streams, and the prompt that a
//! conversation makes.

use super::ModelError;
use super::careful::caught;
use super::template::{Message, Role, Template};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// Text goes to the tokenizer in one piece up to this many bytes; longer is refused.
pub const MAX_BYTES: usize = 4 << 20;

/// What a file says about its special tokens.
#[derive(Clone, Debug, Default)]
pub struct Specials {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// Whether a text begins with `bos`.
    pub add_bos: bool,
    /// Tokens that end a turn or a text.
    pub ends: Vec<u32>,
    /// Jinja.
    pub template: Option<String>,
}

/// How a conversation becomes a prompt.
enum Dialogue {
    Template(Box<Template>),
    /// Turns with an end-of-text after each (DialoGPT).
    Turns,
    /// The file has no template: turns are named in plain words.
    Plain,
}

/// A tokenizer with all that belongs to it.
pub struct Codec {
    inner: Tokenizer,
    specials: Specials,
    dialogue: Dialogue,
}

/// One token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecToken {
    pub id: u32,
    /// The token as its vocabulary writes it.
    pub piece: String,
    /// Unicode scalar values of the text, end exclusive.
    pub start: usize,
    pub end: usize,
}

/// Turns ids into text as they come.
#[derive(Clone, Default)]
pub struct TextStream {
    ids: Vec<u32>,
    prefix: String,
    index: usize,
}

impl Codec {
    /// A tokenizer with what belongs to it.
    ///
    /// # Errors
    /// A chat template that cannot be compiled.
    pub fn new(inner: Tokenizer, specials: Specials) -> Result<Self, String> {
        let name = |id: Option<u32>| id.and_then(|id| inner.id_to_token(id)).unwrap_or_default();
        let (bos, eos) = (name(specials.bos), name(specials.eos));
        let dialogue = match &specials.template {
            Some(source) => {
                let template = Template::new(source, &bos, &eos);
                Dialogue::Template(Box::new(template.map_err(|why| format!("its chat template is wrong: {why}"))?))
            }
            None => Dialogue::Plain,
        };
        Ok(Self { inner, specials, dialogue })
    }

    /// GPT-2's tokenizer from a folder: tokenizer.json, or vocab.json with merges.txt.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn gpt2(path: &Path) -> Result<Self, ModelError> {
        let damaged = |e: &dyn ToString| ModelError::damaged(path, e.to_string());
        let inner = if path.file_name().is_some_and(|n| n == "vocab.json") {
            let merges = path.with_file_name("merges.txt");
            if !merges.is_file() {
                return Err(ModelError::Missing(merges));
            }
            let (vocab, merges) = (path.display().to_string(), merges.display().to_string());
            let model = BPE::from_file(&vocab, &merges).build().map_err(|e| damaged(&e))?;
            let mut tokenizer = Tokenizer::new(model);
            tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            tokenizer.with_decoder(Some(ByteLevel::default()));
            let end = AddedToken::from("<|endoftext|>", true);
            tokenizer.add_special_tokens([end]).map_err(|e| damaged(&e))?;
            tokenizer
        } else {
            let bytes = super::read_bounded(path, super::MOST_VOCABULARY)?;
            super::tokenizer::read_json(path, &bytes)?
        };
        let eos = inner.token_to_id("<|endoftext|>");
        let specials = Specials { bos: eos, eos, add_bos: false, ends: eos.into_iter().collect(), template: None };
        let mut codec = Self::new(inner, specials).map_err(|e| damaged(&e))?;
        codec.dialogue = Dialogue::Turns;
        Ok(codec)
    }

    /// Ids of `text`. Special tokens that are written out in it count as such; `special` adds
    /// those that the model expects at the beginning.
    ///
    /// # Errors
    /// The tokenizer's own words, or that the text is too long.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, String> {
        check_length(text)?;
        let encoding = caught(|| self.inner.encode_fast(text, false).map_err(|e| e.to_string()))?;
        Ok(self.first(special).into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// As [`Self::encode`], with pieces and offsets.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn tokens(&self, text: &str, special: bool) -> Result<Vec<CodecToken>, String> {
        check_length(text)?;
        let encoding = caught(|| self.inner.encode_char_offsets(text, false).map_err(|e| e.to_string()))?;
        let first = self.first(special).map(|id| CodecToken { id, piece: self.piece(id), start: 0, end: 0 });
        let pieces = encoding.get_ids().iter().zip(encoding.get_tokens()).zip(encoding.get_offsets());
        let rest = pieces.map(|((id, piece), (start, end))| CodecToken {
            id: *id,
            piece: piece.clone(),
            start: *start,
            end: *end,
        });
        Ok(first.into_iter().chain(rest).collect())
    }

    fn first(&self, special: bool) -> Option<u32> {
        self.specials.bos.filter(|_| special && self.specials.add_bos)
    }

    /// The token as its vocabulary writes it.
    pub fn piece(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_else(|| format!("#{id}"))
    }

    /// The text that a token stands for, by itself: what cannot be shown alone (a part of a
    /// letter) as its piece.
    pub fn shown(&self, id: u32) -> String {
        match self.inner.decode(&[id], false) {
            Ok(text) if !text.is_empty() && !text.contains('\u{FFFD}') => {
                // Decoders drop the space before a first word; the piece still has it.
                let piece = self.piece(id);
                if piece.starts_with('▁') && !text.starts_with(' ') { format!(" {text}") } else { text }
            }
            _ => self.piece(id),
        }
    }

    /// Tokens that end a turn or a text.
    pub fn ends(&self) -> &[u32] {
        &self.specials.ends
    }

    /// Whether `id` ends a turn.
    pub fn is_end(&self, id: u32) -> bool {
        self.specials.ends.contains(&id)
    }

    /// Whether the file brings a chat template, or the family has one of its own.
    pub fn is_for_chat(&self) -> bool {
        !matches!(self.dialogue, Dialogue::Plain)
    }

    /// Strings that end an answer where the file has no template.
    pub fn plain_stops(&self) -> Vec<String> {
        if self.is_for_chat() { Vec::new() } else { vec!["\nUser:".into()] }
    }

    /// Ids of the prompt that `messages` make, up to where the model begins to answer.
    ///
    /// # Errors
    /// What the template says, or the tokenizer.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, String> {
        match &self.dialogue {
            Dialogue::Template(template) => {
                let text = template.render(messages).map_err(|why| format!("the chat template refused: {why}"))?;
                let mut ids = self.encode(&text, false)?;
                // Most templates write the first token themselves.
                if let Some(bos) = self.first(true).filter(|bos| ids.first() != Some(bos)) {
                    ids.insert(0, bos);
                }
                Ok(ids)
            }
            Dialogue::Turns => {
                let mut ids = Vec::new();
                for message in messages.iter().filter(|m| m.role != Role::System) {
                    ids.extend(self.encode(&message.content, false)?);
                    ids.extend(self.specials.eos);
                }
                Ok(ids)
            }
            Dialogue::Plain => {
                let mut text = String::new();
                for message in messages {
                    let who = match message.role {
                        Role::System => "",
                        Role::User => "User: ",
                        Role::Assistant => "Assistant: ",
                    };
                    text.push_str(&format!("{who}{}\n", message.content));
                }
                text.push_str("Assistant:");
                self.encode(&text, true)
            }
        }
    }

    /// Text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn decode(&self, ids: &[u32]) -> Result<String, String> {
        caught(|| self.inner.decode(ids, true).map_err(|e| e.to_string()))
    }

    /// The text that `id` completes: whole characters only, "" while one is unfinished.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn push(&self, stream: &mut TextStream, id: u32) -> Result<String, String> {
        let TextStream { ids, prefix, index } = stream;
        let next = tokenizers::tokenizer::step_decode_stream(&self.inner, vec![id], true, ids, prefix, index);
        if let Ok(part) = next {
            return Ok(part.unwrap_or_default());
        }
        // Bytes that are no characters can change how those before them read. What was shown stays; this token
        // begins anew.
        (*prefix, *index) = (String::new(), 0);
        *ids = vec![id];
        self.decode(ids)
    }

    /// What is left of unfinished characters at the end, marked as such.
    pub fn rest(&self, stream: &TextStream) -> String {
        let all = self.inner.decode(&stream.ids, true).unwrap_or_default();
        all.strip_prefix(stream.prefix.as_str()).unwrap_or("").to_owned()
    }
}

fn check_length(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("a text of {} bytes is longer than the {MAX_BYTES} that can be read at once", text.len()));
    }
    Ok(())
}
