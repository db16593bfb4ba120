//! Translation: sentence by sentence, in one batch, with everything between sentences kept.

use super::languages::{language_name, pair_name};
use super::passages::{Passages, Rewriter};
use crate::nn::beam::SearchOptions;
use crate::tasks::contract::{
    Asked, Input, Model, Output, Partial, Phase, Reading, Sentence, TaskError, Translated, Work, ended, own,
};

/// Most sentences that one text may have.
const MAX_SENTENCES: usize = 20_000;

/// An encoder-decoder that translates.
pub struct Translator(pub(super) Rewriter);

/// A text on its way.
struct Translating {
    passages: Passages,
    input_tokens: usize,
}

impl Work for Translating {
    fn tokens(&self) -> usize {
        self.input_tokens
    }

    fn remaining(&self) -> usize {
        self.passages.remaining()
    }

    fn load(&self) -> usize {
        self.passages.load()
    }

    fn failure(&mut self) -> Option<TaskError> {
        self.passages.failure.take()
    }

    fn phase(&self) -> Phase {
        if self.passages.steps == 0 { Phase::Prefill } else { Phase::Decode }
    }
}

impl Translator {
    /// What stands before every source: T5 is told the languages in words, a multilingual Marian by a
    /// mark.
    fn prefix(&self, from: &str, to: &str) -> Result<Vec<u32>, TaskError> {
        if self.0.is_t5() {
            let from = if from.is_empty() { "en" } else { from };
            let to = if to.is_empty() { "fr" } else { to };
            let words = format!("translate {} to {}:", t5_name(from)?, t5_name(to)?);
            return Ok(self.0.tokens(&words, 0)?.into_iter().map(|t| t.id).collect());
        }
        let known = self.0.tokenizer.languages();
        if !known.is_empty() && !to.is_empty() {
            if let Some(mark) = self.0.tokenizer.language(to) {
                return Ok(vec![mark]);
            }
            let why = format!("this model translates into {}, not '{to}'", known.join(", "));
            return Err(TaskError::Languages(why));
        }
        if let [own_from, own_to, ..] = &self.0.languages[..] {
            let differs = |asked: &str, own: &String| !asked.is_empty() && asked != own;
            if differs(from, own_from) || differs(to, own_to) {
                let asked =
                    pair_name(if from.is_empty() { own_from } else { from }, if to.is_empty() { own_to } else { to });
                let why = format!("the model translates {}, not {asked}", pair_name(own_from, own_to));
                return Err(TaskError::Languages(why));
            }
        }
        Ok(Vec::new())
    }

    /// How far a translation of `tokens` source tokens may go: languages differ in length, but not by
    /// more than this.
    fn search(&self, asked: &SearchOptions, tokens: usize) -> SearchOptions {
        let mut search = asked.clone();
        if search.beams == 0 {
            search.beams = self.0.network.config().beams;
        }
        search.beams = search.beams.min(crate::nn::beam::MAX_BEAMS);
        if search.max_tokens == 0 {
            // Few different lengths, so that sentences of like length are one batch.
            search.max_tokens = (tokens * 2 + 24).next_multiple_of(16);
        }
        search.max_tokens = search.max_tokens.min(self.0.network.config().positions - 1);
        search
    }
}

impl Model for Translator {
    fn bytes(&self) -> usize {
        self.0.network.bytes()
    }

    fn precision(&self) -> Option<&'static str> {
        self.0.precision()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let Input::Text(text) = asked.input else {
            return Err(TaskError::Input("a translation takes a text".into()));
        };
        let options = asked.options;
        let prefix = self.prefix(&options.translate.from, &options.translate.to)?;
        let places = options.translate.structure.passages(text);
        if places.is_empty() && text.trim().is_empty() {
            return Err(TaskError::Input("the text is empty".into()));
        }
        if places.len() > MAX_SENTENCES {
            let why =
                format!("the text has {} sentences; at most {MAX_SENTENCES} can be translated at once", places.len());
            return Err(TaskError::Prompt(why));
        }
        let room = self.0.room(prefix.len());
        let mut all = Vec::with_capacity(places.len());
        for place in places {
            if stop() {
                return Err(TaskError::Stopped);
            }
            let tokens = self.0.tokens(&text[place.clone()], place.start)?;
            // What is longer than the model reads is cut, at the end of a word if there is one.
            let (mut rest, mut from) = (&tokens[..], place.start);
            while !rest.is_empty() {
                let end = if rest.len() <= room { rest.len() } else { word_end(text, rest, room) };
                let (now, later) = rest.split_at(end);
                let search = self.search(&options.search, now.len());
                let to = if later.is_empty() { place.end } else { now[end - 1].end };
                all.push(self.0.passage(&prefix, from..to, now.to_vec(), search));
                (rest, from) = (later, later.first().map_or(to, |t| t.start));
            }
        }
        let passages = Passages::new(all, options.translate.align);
        let input_tokens = passages.tokens();
        Ok(Box::new(Translating { passages, input_tokens }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let mut all: Vec<&mut Passages> = works
            .iter_mut()
            .filter_map(|w| own::<Translating>(*w))
            .map(|w| &mut w.passages)
            .filter(|p| p.remaining() > 0)
            .collect();
        self.0.step(&mut all, max_tokens)
    }

    fn partial(&self, work: &mut dyn Work) -> Option<Partial> {
        let work = own::<Translating>(work)?;
        let passages = self.0.grown(&mut work.passages);
        let tokens = work.passages.take_fresh();
        Partial::of_passages(passages, tokens)
    }

    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work = *ended::<Translating>(work)?;
        Ok(Output::Translation(put_together(input.text(), work)))
    }
}

/// What T5 was taught to call a language.
fn t5_name(code: &str) -> Result<&str, TaskError> {
    if ["en", "fr", "de", "ro"].contains(&code) {
        return Ok(language_name(code));
    }
    Err(TaskError::Languages(format!("T5 knows English, French, German and Romanian, not '{code}'")))
}

/// How many of `tokens` (more than `room`) to take: up to the last end of a word in the later half.
fn word_end(text: &str, tokens: &[crate::models::sentencepiece::SourceToken], room: usize) -> usize {
    let ends_word = |i: &usize| {
        let next = &tokens[*i];
        let gap = tokens[*i - 1].end < next.start;
        gap || text[next.start..].starts_with(char::is_whitespace)
    };
    (room / 2..=room).rev().filter(|i| *i > 0).find(ends_word).unwrap_or(room)
}

/// The translated sentences with what stood between them.
fn put_together(text: &str, work: Translating) -> Translated {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let (mut at, mut tokens) = (0, 0);
    let mut sentences = Vec::new();
    let windows = work.passages.len();
    for (source, rewritten) in work.passages.into_done() {
        out.push_str(text.get(at..source.start).unwrap_or(""));
        at = source.end.max(at);
        let from = out.len();
        out.push_str(rewritten.alternatives.first().map_or("", |a| &a.text));
        tokens += rewritten.tokens;
        sentences.push(Sentence { source, target: from..out.len(), rewritten });
    }
    out.push_str(text.get(at..).unwrap_or(""));
    let reading = Reading { tokens: work.input_tokens, windows, ..Reading::default() };
    Translated { text: out, sentences, reading, tokens }
}
