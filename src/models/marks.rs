//! Whose words a prompt's marks are: those of the template are tokens of their own, those that somebody typed are text.
//!
//! What is typed is fenced where it spells a mark (`<|im_end|>`), before a template is filled. The template carries
//! the fences along; where one comes out, the text between the template's own marks around it is tokenized by
//! a tokenizer that knows no marks.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;
use tokenizers::{AddedToken, Tokenizer};

/// Noncharacters, which no text has: around a mark that somebody typed.
const FENCES: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];

/// A tokenizer's marks.
pub struct Marks {
    /// Longest first.
    all: Vec<Mark>,
    /// Bytes that marks begin with.
    first: [bool; 256],
    /// The same tokenizer without its marks, made when it is first needed.
    plain: OnceLock<Option<Box<Tokenizer>>>,
}

struct Mark {
    text: String,
    /// Whether it ends a turn or is no text at all; else only the template makes a mark of it.
    is_control: bool,
    /// Takes white space behind, or before it.
    strips: [bool; 2],
}

/// A filled template without its fences, and where they were.
#[derive(Debug, PartialEq, Eq)]
pub struct Fenced {
    pub text: String,
    /// Bytes of `text` that somebody typed and that spell marks.
    pub typed: Vec<Range<usize>>,
}

impl Marks {
    /// The added tokens that are no plain text: control tokens, `ends` of turns, and what `template` spells out.
    pub fn of(tokenizer: &Tokenizer, ends: &[u32], template: Option<&str>) -> Self {
        let added = tokenizer.get_added_tokens_decoder();
        let mut all: Vec<Mark> = added
            .iter()
            .filter(|(_, t)| !t.content.trim().is_empty())
            .filter_map(|(id, t)| {
                let is_control = t.special || ends.contains(id);
                let looks = t.content.len() > 2 && t.content.starts_with(['<', '[', '|', '{']);
                let named = || looks && template.is_some_and(|source| source.contains(&t.content));
                (is_control || named()).then(|| Mark {
                    text: t.content.clone(),
                    is_control,
                    strips: [t.rstrip, t.lstrip],
                })
            })
            .collect();
        all.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        let mut first = [false; 256];
        all.iter().for_each(|m| first[usize::from(m.text.as_bytes()[0])] = true);
        Self { all, first, plain: OnceLock::new() }
    }

    /// The mark that `text` has at byte `at`.
    fn at(&self, text: &str, at: usize) -> Option<&Mark> {
        let rest = &text.as_bytes()[at..];
        if !self.first[usize::from(rest[0])] {
            return None;
        }
        self.all.iter().find(|m| rest.starts_with(m.text.as_bytes()))
    }

    /// Whether `text` spells a mark.
    pub fn are_in(&self, text: &str) -> bool {
        text.char_indices().any(|(at, _)| self.at(text, at).is_some())
    }

    /// `text` with fences around the marks that it spells. Of what a model said itself (`own`) only around those that
    /// are never text: templates look for the others (`</think>`) in it.
    pub fn fence<'a>(&self, text: &'a str, own: bool) -> Cow<'a, str> {
        let text = if text.contains(FENCES) { Cow::Owned(text.replace(FENCES, "\u{FFFD}")) } else { text.into() };
        if !self.are_in(&text) {
            return text;
        }
        let mut out = String::with_capacity(text.len() + 16);
        let mut skip = 0;
        for (at, letter) in text.char_indices() {
            if at < skip {
                continue;
            }
            match self.at(&text, at).filter(|m| m.is_control || !own) {
                Some(mark) => {
                    // Each letter has its own: a template may cut a text anywhere.
                    out.extend(mark.text.chars().flat_map(|letter| [FENCES[0], letter, FENCES[1]]));
                    skip = at + mark.text.len();
                }
                None => out.push(letter),
            }
        }
        Cow::Owned(out)
    }

    /// Takes the fences out of a filled template.
    pub fn unfence(filled: &str) -> Fenced {
        let (mut text, mut typed, mut from) = (String::with_capacity(filled.len()), Vec::new(), None);
        for letter in filled.chars() {
            if letter == FENCES[0] {
                from.get_or_insert(text.len());
            } else if letter == FENCES[1] {
                // Where a template cut the beginning off, its letter stands before it all the same.
                let start = from.take().or_else(|| text.char_indices().next_back().map(|(at, _)| at));
                typed.extend(start.map(|start| start..text.len()));
            } else {
                text.push(letter);
            }
        }
        // A template that cut the end off.
        typed.extend(from.map(|start| start..text.len()));
        Fenced { text, typed }
    }

    /// Ids of a filled template: `encode` reads what holds the template's marks, a tokenizer without marks the
    /// stretches that hold typed ones.
    ///
    /// # Errors
    /// The tokenizers' own words.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        fenced: &Fenced,
        encode: impl Fn(&str) -> Result<Vec<u32>, String>,
    ) -> Result<Vec<u32>, String> {
        let (text, mut ids, mut at) = (&fenced.text, Vec::new(), 0);
        for region in self.regions(fenced) {
            ids.extend(encode(&text[at..region.start])?);
            ids.extend(self.plainly(tokenizer, &text[region.clone()])?);
            at = region.end;
        }
        ids.extend(encode(&text[at..])?);
        Ok(ids)
    }

    /// Ids of `text` as nothing but text.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn plainly(&self, tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
        let plain = self.plain(tokenizer)?;
        let encoding = super::careful::caught(|| plain.encode_fast(text, false).map_err(|e| e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokenizer without its marks.
    ///
    /// # Errors
    /// That it could not be made.
    pub fn plain(&self, tokenizer: &Tokenizer) -> Result<&Tokenizer, String> {
        let made = self.plain.get_or_init(|| without(tokenizer, &self.all).map(Box::new));
        made.as_deref().ok_or_else(|| "its tokenizer cannot be used without its marks".into())
    }

    /// Stretches between the template's marks that hold typed ones, in order.
    fn regions(&self, fenced: &Fenced) -> Vec<Range<usize>> {
        let text = &fenced.text;
        let mut out: Vec<Range<usize>> = Vec::new();
        let (mut typed, mut at, mut from, mut holds) = (fenced.typed.iter().peekable(), 0, 0, false);
        while at < text.len() {
            if let Some(range) = typed.next_if(|r| r.start <= at) {
                holds |= !range.is_empty();
                at = at.max(range.end);
                continue;
            }
            if let Some(mark) = self.at(text, at) {
                let end = if mark.strips[1] { text[from..at].trim_end().len() + from } else { at };
                if std::mem::take(&mut holds) {
                    out.push(from..end.max(from));
                }
                at += mark.text.len();
                from = if mark.strips[0] { text.len() - text[at..].trim_start().len() } else { at };
                continue;
            }
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if holds || typed.any(|r| !r.is_empty()) {
            out.push(from..text.len());
        }
        out
    }
}

/// `tokenizer` with only those of its added tokens that are no marks.
fn without(tokenizer: &Tokenizer, marks: &[Mark]) -> Option<Tokenizer> {
    let mut plain = Tokenizer::new(tokenizer.get_model().clone());
    plain.with_normalizer(tokenizer.get_normalizer().cloned()).ok()?;
    plain.with_pre_tokenizer(tokenizer.get_pre_tokenizer().cloned());
    let mut added: Vec<(u32, AddedToken)> = tokenizer.get_added_tokens_decoder().into_iter().collect();
    added.sort_by_key(|(id, _)| *id);
    let kept = added.into_iter().map(|(_, t)| t).filter(|t| marks.iter().all(|m| m.text != t.content));
    // One that is not in the vocabulary would get another id here than it has.
    let kept: Vec<AddedToken> = kept.filter(|t| plain.token_to_id(&t.content).is_some()).collect();
    plain.add_tokens(kept).ok()?;
    Some(plain)
}
