//! A text on its way: a prompt that is read, then tokens that are written.

use super::beams::Beams;
use super::line::Place;
use super::options::WritingOptions;
use super::plan::Reader;
use crate::models::codec::TextStream;
use crate::nn::decoder::{Cache, PAGE, Part, Want};
use crate::nn::sampling::Sampler;
use crate::tasks::contract::{FinishReason, Phase, PromptInfo, Step, TaskError, Work};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A text on its way.
pub struct Writing {
    pub prompt: Vec<u32>,
    /// Its keys and values, once there is room for them.
    pub cache: Option<Cache>,
    pub info: PromptInfo,
    pub sampler: Sampler,
    pub options: WritingOptions,
    pub ids: Vec<u32>,
    pub steps: Vec<Step>,
    pub stream: TextStream,
    pub text: String,
    /// Bytes of `text` and number of steps that have been handed out.
    pub shown: (usize, usize),
    pub finish: Option<FinishReason>,
    pub has_template: bool,
    /// What its reader should know of the model's file and of what was done to the conversation.
    pub notes: Vec<String>,
    /// Instead of the sampler, where several beams are asked for.
    pub beams: Option<Beams>,
    /// Tokens of the next step that it may take.
    pub allowed: usize,
    /// Where it stands while there is no room for it.
    pub place: Place,
    /// Rows that the last step took of it.
    pub taken: usize,
    pub failure: Option<TaskError>,
    /// What it reads in the next step.
    pub next: Vec<u32>,
}

impl Work for Writing {
    fn tokens(&self) -> usize {
        self.prompt.len()
    }

    fn remaining(&self) -> usize {
        match self.finish {
            Some(_) => 0,
            None => {
                let steps = self.beams.as_ref().map_or(self.ids.len(), Beams::steps);
                self.unread() + self.options.max_tokens.saturating_sub(steps) + 1
            }
        }
    }

    fn load(&self) -> usize {
        match (&self.finish, self.has_begun()) {
            (Some(_), _) => 0,
            (None, true) => self.rows(),
            (None, false) => self.unread().max(1),
        }
    }

    fn allow(&mut self, tokens: usize) {
        self.allowed = tokens;
    }

    fn is_waiting(&self) -> bool {
        self.place.is_waiting()
    }

    fn taken(&self) -> Option<usize> {
        Some(self.taken)
    }

    fn failure(&mut self) -> Option<TaskError> {
        self.failure.take()
    }

    fn phase(&self) -> Phase {
        if self.has_begun() { Phase::Decode } else { Phase::Prefill }
    }
}

impl Writing {
    /// The end of `text` that may still turn out to be the beginning of a stop string.
    pub fn held_back(&self) -> usize {
        let tail = |stop: &String| {
            (1..=stop.len().min(self.text.len()))
                .rev()
                .find(|n| stop.is_char_boundary(*n) && self.text.ends_with(&stop[..*n]))
                .unwrap_or(0)
        };
        self.options.stop.iter().map(tail).max().unwrap_or(0)
    }

    /// Ends at the first stop string, if one has come.
    pub fn cut_at_stop(&mut self) -> bool {
        let from = self.text.floor_char_boundary(self.shown.0.min(self.text.len()));
        let find = |stop: &String| self.text[from..].find(stop.as_str()).filter(|_| !stop.is_empty());
        let Some(at) = self.options.stop.iter().filter_map(find).min() else { return false };
        self.text.truncate(from + at);
        true
    }

    /// Whether tokens are written.
    pub fn has_begun(&self) -> bool {
        self.beams.as_ref().map_or(!self.ids.is_empty(), Beams::has_begun)
    }

    /// Tokens of the prompt that are still to be read.
    pub fn unread(&self) -> usize {
        self.prompt.len().saturating_sub(self.read())
    }

    /// Tokens that are read.
    fn read(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::len)
    }

    /// The search, once it has begun.
    pub fn searching(&mut self) -> Option<&mut Beams> {
        self.beams.as_mut().filter(|b| b.has_begun())
    }

    /// Rows that it takes of a step once it writes.
    pub fn rows(&self) -> usize {
        self.beams.as_ref().map_or(1, Beams::rows)
    }

    /// As the plan sees it while its prompt is read.
    pub fn reader(&self) -> Reader {
        let read = self.read();
        let page = self.page_at(read);
        let within = page.unwrap_or(self.place.number());
        let is_taken = page.is_some_and(|page| self.place.is_taken(page));
        let page = page.filter(|_| read.is_multiple_of(PAGE));
        Reader { unread: self.unread(), allowed: self.allowed, page, within, is_taken }
    }

    /// Notes the page in whose middle it will be when `rows` more are read.
    pub fn take_page(&self, rows: usize) {
        let read = self.read() + rows;
        self.place.take(self.page_at(read).filter(|_| !read.is_multiple_of(PAGE)));
    }

    /// The name of the page in which token `at` of the prompt lies: a full one, and where others can have it too. On a
    /// device pages are nobody else's.
    fn page_at(&self, at: usize) -> Option<u64> {
        let end = (at / PAGE + 1) * PAGE;
        let is_shared = self.cache.as_ref().is_some_and(Cache::is_paged) && end < self.prompt.len();
        is_shared.then(|| {
            let mut hasher = DefaultHasher::new();
            self.prompt[..end].hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Lays down what the next step reads: so many tokens of the prompt, or what was written last.
    pub fn lay_down(&mut self, rows: usize) -> Result<(), TaskError> {
        self.next.clear();
        if let Some(beams) = self.searching() {
            return beams.arrange();
        }
        match self.ids.last() {
            Some(last) => self.next.push(*last),
            None => {
                let read = self.read();
                self.next.extend(self.prompt.iter().skip(read).take(rows));
            }
        }
        Ok(())
    }

    /// Its parts of the step.
    pub fn parts(&mut self) -> Vec<Part<'_>> {
        if let Some(beams) = self.beams.as_mut().filter(|b| b.has_begun()) {
            return beams.parts().collect();
        }
        let whole = self.prompt.len();
        let Some(cache) = &mut self.cache else { return Vec::new() };
        let is_read = cache.len() + self.next.len() >= whole;
        let want = if is_read { Want::Last } else { Want::Nothing };
        vec![Part { cache, ids: &self.next, want }]
    }
}
