//! A language model's tokenizer: text to ids, ids to text as it streams, and the prompt that a
//! conversation makes.

use super::ModelError;
use super::careful::caught;
use super::detokenize::Detokenizer;
pub use super::detokenize::TextStream;
use super::marks::Marks;
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
    /// What a reader of its answers should know of the file.
    pub notes: Vec<String>,
}

/// How a conversation becomes a prompt.
enum Dialogue {
    Template(Box<Template>),
    /// Turns with an end-of-text after each (DialoGPT).
    Turns,
    /// The file has no template: turns are named in plain words.
    Plain,
    /// The file's template cannot be compiled; why.
    Broken(String),
}

/// A tokenizer with all that belongs to it.
pub struct Codec {
    inner: Tokenizer,
    specials: Specials,
    dialogue: Dialogue,
    marks: Marks,
    detokenizer: Detokenizer,
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

/// The prompt that a conversation makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    pub ids: Vec<u32>,
    /// What was done to the conversation so that the model can read it.
    pub notes: Vec<&'static str>,
}

/// Why there is no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The template cannot be compiled, or refuses.
    #[error("{0}")]
    Template(String),
    /// The tokenizer's own words.
    #[error("{0}")]
    Text(String),
}

/// Said where a template takes no system turns.
const MERGED: &str =
    "this model's chat template takes no system turn: what the model was told stands before the first message";

impl Codec {
    /// A tokenizer with what belongs to it. A chat template that cannot be compiled ends chat, nothing else.
    pub fn new(inner: Tokenizer, specials: Specials) -> Self {
        let name = |id: Option<u32>| id.and_then(|id| inner.id_to_token(id)).unwrap_or_default();
        let (bos, eos) = (name(specials.bos), name(specials.eos));
        let dialogue = match &specials.template {
            Some(source) => match Template::new(source, &bos, &eos) {
                Ok(template) => Dialogue::Template(Box::new(template)),
                Err(why) => Dialogue::Broken(why),
            },
            None => Dialogue::Plain,
        };
        let marks = Marks::of(&inner, &specials.ends, specials.template.as_deref());
        let detokenizer = Detokenizer::of(&inner);
        Self { inner, specials, dialogue, marks, detokenizer }
    }

    /// GPT-2's tokenizer from a folder: tokenizer.json, or vocab.json with merges.txt. `ends` are the ids that its
    /// configurations call ends of text, beside `<|endoftext|>`.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn gpt2(path: &Path, ends: Vec<u32>) -> Result<Self, ModelError> {
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
        let mut all = ends;
        all.extend(eos.filter(|id| !all.contains(id)));
        if let Some(id) = all.iter().find(|id| inner.id_to_token(**id).is_none()) {
            return Err(damaged(&format!("the end of text {id} is none of its tokens")));
        }
        let specials = Specials { bos: eos, eos, ends: all, ..Specials::default() };
        let mut codec = Self::new(inner, specials);
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
        self.tokens_by(&self.inner, text, special)
    }

    fn tokens_by(&self, tokenizer: &Tokenizer, text: &str, special: bool) -> Result<Vec<CodecToken>, String> {
        let encoding = caught(|| tokenizer.encode_char_offsets(text, false).map_err(|e| e.to_string()))?;
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

    /// What a reader of its answers should know of the file.
    pub fn notes(&self) -> &[String] {
        &self.specials.notes
    }

    /// The prompt that `messages` make, up to where the model begins to answer. What somebody typed is
    /// text in it, whatever it spells; marks are only those of the template.
    ///
    /// # Errors
    /// What the template says, or the tokenizer.
    pub fn prompt(&self, messages: &[Message]) -> Result<Prompt, PromptError> {
        let messages = self.fenced(messages);
        match &self.dialogue {
            Dialogue::Template(template) => {
                let (text, notes) = filled(template, &messages)?;
                let mut ids = self.marked(&text)?;
                // Most templates write the first token themselves.
                if let Some(bos) = self.first(true).filter(|bos| ids.first() != Some(bos)) {
                    ids.insert(0, bos);
                }
                Ok(Prompt { ids, notes })
            }
            Dialogue::Turns => {
                let merged = without_system(&messages);
                let notes = if merged.is_some() { vec![MERGED] } else { Vec::new() };
                let mut ids = Vec::new();
                for message in merged.as_ref().unwrap_or(&messages) {
                    ids.extend(self.marked(&message.content)?);
                    ids.extend(self.specials.eos);
                }
                Ok(Prompt { ids, notes })
            }
            Dialogue::Plain => {
                let mut ids = self.marked(&named_turns(&messages))?;
                ids.splice(..0, self.first(true));
                Ok(Prompt { ids, notes: Vec::new() })
            }
            Dialogue::Broken(why) => Err(PromptError::Template(format!("it cannot be read: {why}"))),
        }
    }

    fn fenced(&self, messages: &[Message]) -> Vec<Message> {
        let fence = |m: &Message| Message {
            role: m.role,
            content: self.marks.fence(&m.content, m.role == Role::Assistant).into_owned(),
        };
        messages.iter().map(fence).collect()
    }

    /// Ids of a filled template that has fences around typed marks.
    fn marked(&self, text: &str) -> Result<Vec<u32>, PromptError> {
        check_length(text).map_err(PromptError::Text)?;
        let fenced = Marks::unfence(text);
        let encode = |part: &str| if part.is_empty() { Ok(Vec::new()) } else { self.encode(part, false) };
        self.marks.encode(&self.inner, &fenced, encode).map_err(PromptError::Text)
    }

    /// As [`Self::tokens`], with marks that are written out read as nothing but text; `None` where there are none.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn plain_tokens(&self, text: &str, special: bool) -> Result<Option<Vec<CodecToken>>, String> {
        check_length(text)?;
        if !self.marks.are_in(text) {
            return Ok(None);
        }
        self.tokens_by(self.marks.plain(&self.inner)?, text, special).map(Some)
    }

    /// Text of `ids`, special tokens left out, replacement marks for bytes that are no letters.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = TextStream::default();
        let mut text: String = ids.iter().map(|id| self.push(&mut stream, *id)).collect();
        text.push_str(&self.rest(&stream));
        text
    }

    /// The text that `id` completes: whole letters only, "" while one is unfinished.
    pub fn push(&self, stream: &mut TextStream, id: u32) -> String {
        let piece = self.inner.id_to_token(id).unwrap_or_default();
        self.detokenizer.push(stream, id, &piece)
    }

    /// What is left of an unfinished letter at the end, marked as such.
    pub fn rest(&self, stream: &TextStream) -> String {
        self.detokenizer.rest(stream)
    }
}

/// What a template makes of `messages`. Where it takes no system turn, or says nothing of it, that text goes
/// before the first message.
fn filled(template: &Template, messages: &[Message]) -> Result<(String, Vec<&'static str>), PromptError> {
    let rendered = template.render(messages);
    let told = messages.first().filter(|m| m.role == Role::System && !m.content.trim().is_empty());
    // A template that writes the same whatever it is told says nothing of it.
    let is_lost = |text: &String| {
        told.is_some() && {
            let other = [&[Message::system("§")], &messages[1..]].concat();
            template.render(&other).is_ok_and(|same| same == *text)
        }
    };
    if (rendered.is_err() || rendered.as_ref().is_ok_and(is_lost))
        && let Some(merged) = without_system(messages)
        && let Ok(text) = template.render(&merged)
    {
        return Ok((text, vec![MERGED]));
    }
    rendered.map(|text| (text, Vec::new())).map_err(PromptError::Template)
}

/// The same conversation with its system text before the first message of the user's; `None` if there is no such text.
fn without_system(messages: &[Message]) -> Option<Vec<Message>> {
    let (told, rest) = messages.split_first().filter(|(m, _)| m.role == Role::System)?;
    let mut rest = rest.to_vec();
    let first = rest.iter_mut().find(|m| m.role == Role::User)?;
    if !told.content.trim().is_empty() {
        first.content = format!("{}\n\n{}", told.content.trim(), first.content);
    }
    Some(rest)
}

/// Turns in plain words, for files without a template. A line that begins as a turn does is indented: it is none.
fn named_turns(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let who = match message.role {
            Role::System => "",
            Role::User => "User: ",
            Role::Assistant => "Assistant: ",
        };
        text.push_str(who);
        for (at, line) in message.content.split_inclusive(['\n', '\r']).enumerate() {
            let is_turn = ["User:", "Assistant:"].iter().any(|turn| line.starts_with(turn));
            if is_turn && (at > 0 || who.is_empty()) {
                text.push(' ');
            }
            text.push_str(line);
        }
        text.push('\n');
    }
    text.push_str("Assistant:");
    text
}

fn check_length(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("a text of {} bytes is longer than the {MAX_BYTES} that can be read at once", text.len()));
    }
    Ok(())
}
