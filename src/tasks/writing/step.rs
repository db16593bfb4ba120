//! One step of a language model: rows of all its texts in one pass, some reading prompts, some writing.

use super::language::LanguageModel;
use super::plan::{Reader, SHORT_EVERY, plan};
use super::text::Writing;
use crate::models::careful::said;
use crate::nn::decoder::{Admission, Logits, PAGE, pages_of};
use crate::nn::lock;
use crate::nn::sampling::{Choice, endless_cycle};
use crate::tasks::contract::{FinishReason, Step, TaskError};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

/// Tokens in which a cycle must have gone on to be called endless.
const ENDLESS: usize = 64;
/// Texts that are read or written at a time; others wait for one of them to end.
const MOST_TEXTS: usize = 64;

/// What a text's logits are to it.
enum Chosen {
    /// Its prompt has not been read to the end.
    Nothing,
    Token(Choice),
    /// Its beams have gone on.
    Beams,
}

/// Where a text's logits are: in which of several passes, and which of its parts.
type Place = Result<(usize, Range<usize>), TaskError>;

impl LanguageModel {
    /// One pass over `texts`: a token more of each that is written, and of prompts what is left of `max_tokens`.
    /// What goes wrong with one is noted there.
    pub(super) fn write(&mut self, texts: Vec<&mut Writing>, max_tokens: usize) {
        let mut turns = self.turns(texts, max_tokens);
        let (mut written, mut read) = (0, 0);
        for text in &mut turns {
            let (rows, sum) = if text.has_begun() { (text.rows(), &mut written) } else { (text.next.len(), &mut read) };
            text.taken = rows;
            *sum += rows;
        }
        if written + read == 0 {
            return;
        }
        let begun = Instant::now();
        let (passes, places) = self.forward(&mut turns);
        let chosen = self.choose(&mut turns, &passes, places);
        passes.into_iter().for_each(|logits| self.decoder.recycle(logits));
        for (text, chosen) in turns.iter_mut().zip(chosen) {
            let taken = chosen.and_then(|chosen| careful(|| self.accept(text, chosen)));
            if let Err(error) = taken {
                // What it read may be the fault: nobody else shall begin with it.
                if let Some(cache) = &mut text.cache {
                    cache.spoil();
                }
                text.failure = Some(error);
            }
        }
        self.pace.note(written, read, begun.elapsed().as_secs_f64() * 1e3);
    }

    /// The texts that take part, with what they read laid down.
    fn turns<'a>(&mut self, mut texts: Vec<&'a mut Writing>, max_tokens: usize) -> Vec<&'a mut Writing> {
        texts.iter_mut().for_each(|t| t.taken = 0);
        self.admit(&mut texts);
        texts.retain(|t| t.cache.is_some());
        let (writers, written) = texts.iter().filter(|t| t.has_begun()).fold((0, 0), |n, t| (n.0 + 1, n.1 + t.rows()));
        let readers: Vec<Reader> = texts.iter().filter(|t| !t.has_begun()).map(|t| t.reader()).collect();
        // The engine shares out among requests; what a step may cost those who read answers is known here.
        let room = max_tokens.min(self.pace.budget(writers) + written - writers).saturating_sub(written);
        self.since_short += 1;
        let is_due = written == 0 || self.since_short > SHORT_EVERY;
        let rows = plan(&readers, room, (written == 0, is_due));
        if rows.iter().sum::<usize>() > room {
            self.since_short = 0;
        }
        let mut rows = rows.into_iter();
        texts.retain_mut(|text| {
            let rows = if text.has_begun() { 1 } else { rows.next().unwrap_or(0) };
            if !text.has_begun() {
                text.take_page(rows);
            }
            match text.lay_down(rows) {
                Ok(()) => rows > 0,
                Err(error) => {
                    text.failure = Some(error);
                    false
                }
            }
        });
        texts
    }

    /// Room for texts that have none, whoever came first. What others have read meanwhile is taken over.
    fn admit(&self, texts: &mut [&mut Writing]) {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|at| texts[*at].place.number());
        for at in order {
            let text = &mut *texts[at];
            if text.has_begun() {
                continue;
            }
            if let Some(cache) = &mut text.cache {
                text.info.cached += cache.catch_up(&text.prompt);
            } else if text.place.is_first() && self.decoder.usage().texts < MOST_TEXTS {
                self.admit_one(text);
            } else {
                text.place.wait(true);
            }
            text.info.saved_ms = self.pace.reading_ms(text.info.cached).round() as u32;
        }
    }

    /// Room for one text, if there is any.
    fn admit_one(&self, text: &mut Writing) {
        let context = self.decoder.config().context;
        let (read, written) = (text.prompt.len(), text.options.max_tokens);
        let written = written.min(context.saturating_sub(read) + 1);
        // Beams write into pages of their own, from the prompt's last one on.
        let (most, more) = match &text.beams {
            Some(beams) => (read, beams.width() * pages_of(read % PAGE + written)),
            None => (read + written, 0),
        };
        match self.decoder.admit(&text.prompt, most, more) {
            Admission::Ready(cache) => {
                text.info.cached = cache.len();
                text.cache = Some(cache);
                text.place.wait(false);
            }
            Admission::Wait => text.place.wait(true),
            Admission::Never { needed, limit } => {
                let (needed, limit) = (needed * PAGE, limit * PAGE);
                let what = match &text.beams {
                    Some(beams) => format!("the prompt and {} beams", beams.width()),
                    None => "prompt and answer".into(),
                };
                let why = format!("{what} may need room for {needed} tokens, and there is room for {limit}");
                text.place.wait(false);
                text.failure = Some(TaskError::Room(why));
            }
        }
    }

    /// All texts in one pass; if that panics, or the device fails, each in a pass of its own, so that only who fails alone
    /// fails.
    fn forward(&self, texts: &mut [&mut Writing]) -> (Vec<Logits>, Vec<Place>) {
        let together = careful(|| {
            let (mut parts, mut places) = (Vec::new(), Vec::new());
            for text in texts.iter_mut() {
                let first = parts.len();
                parts.extend(text.parts());
                places.push(Ok((0, first..parts.len())));
            }
            (vec![self.decoder.step(&mut parts)], places)
        });
        let is_good = |(passes, _): &(Vec<Logits>, Vec<Place>)| texts.len() == 1 || !passes.iter().any(Logits::is_lost);
        together.ok().filter(is_good).unwrap_or_else(|| {
            let (mut passes, mut places) = (Vec::new(), Vec::new());
            for text in texts.iter_mut() {
                let pass = careful(|| {
                    let mut parts = text.parts();
                    (self.decoder.step(&mut parts), parts.len())
                });
                places.push(pass.map(|(logits, parts)| {
                    passes.push(logits);
                    (passes.len() - 1, 0..parts)
                }));
            }
            (passes, places)
        })
    }

    /// What follows from the logits, of many texts at a time.
    fn choose(
        &self,
        texts: &mut [&mut Writing],
        passes: &[Logits],
        places: Vec<Place>,
    ) -> Vec<Result<Chosen, TaskError>> {
        let rows = |place: Place| -> Result<Vec<&[f32]>, TaskError> {
            let (pass, parts) = place?;
            let given = passes[pass].parts().skip(parts.start).take(parts.len());
            given.map(|part| part.map_err(|e| TaskError::Alone(e.to_string()))).collect()
        };
        type Job<'a, 'b> = Mutex<(&'a mut Writing, Option<Result<Chosen, TaskError>>, Vec<&'b [f32]>)>;
        let mut jobs: Vec<Job<'_, '_>> = Vec::with_capacity(texts.len());
        for (text, place) in texts.iter_mut().zip(places) {
            let (failed, rows) = match rows(place) {
                Ok(rows) => (None, rows),
                Err(error) => (Some(Err(error)), Vec::new()),
            };
            jobs.push(Mutex::new((&mut **text, failed, rows)));
        }
        self.decoder.share_out(jobs.len(), |index| {
            let mut job = lock(&jobs[index]);
            let (text, chosen, rows) = &mut *job;
            if chosen.is_none() {
                *chosen = Some(careful(|| choice(text, rows)).and_then(|c| c));
            }
        });
        let done = jobs.into_iter().map(|job| job.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1);
        done.map(|chosen| chosen.unwrap_or(Ok(Chosen::Nothing))).collect()
    }

    fn accept(&self, text: &mut Writing, chosen: Chosen) {
        match chosen {
            Chosen::Nothing => {}
            Chosen::Token(choice) => self.take(text, choice),
            Chosen::Beams => self.follow(text),
        }
    }

    /// Takes a token that was chosen.
    fn take(&self, work: &mut Writing, choice: Choice) {
        if self.codec.is_end(choice.id) {
            self.end(work, FinishReason::Stop);
            return;
        }
        work.ids.push(choice.id);
        let text = self.codec.push(&mut work.stream, choice.id);
        work.text.push_str(&text);
        work.steps.push(self.step_of(choice));
        if work.cut_at_stop() {
            work.finish = Some(FinishReason::Stop);
        } else if work.ids.len() >= work.options.max_tokens {
            self.end(work, FinishReason::Length);
        } else if work.prompt.len() + work.ids.len() > self.decoder.config().context {
            self.end(work, FinishReason::Context);
        } else if endless_cycle(&work.ids, ENDLESS).is_some() {
            self.end(work, FinishReason::Repetition);
        }
    }

    /// Takes over what all beams agree on; at the end the best.
    fn follow(&self, work: &mut Writing) {
        let Some(beams) = work.beams.take() else { return };
        let (ids, reason) = if beams.is_over() {
            let (ids, ended) = beams.into_best();
            (ids, Some(if ended { FinishReason::Stop } else { FinishReason::Length }))
        } else {
            let ids = beams.stable().to_vec();
            work.beams = Some(beams);
            (ids, None)
        };
        for id in ids.into_iter().skip(work.ids.len()).filter(|id| !self.codec.is_end(*id)) {
            work.ids.push(id);
            let text = self.codec.push(&mut work.stream, id);
            work.text.push_str(&text);
        }
        if work.cut_at_stop() {
            work.finish = Some(FinishReason::Stop);
        } else if let Some(reason) = reason {
            self.end(work, reason);
        }
    }

    fn end(&self, work: &mut Writing, reason: FinishReason) {
        let rest = self.codec.rest(&work.stream);
        work.text.push_str(&rest);
        work.cut_at_stop();
        work.finish = Some(reason);
    }

    fn step_of(&self, choice: Choice) -> Step {
        let top = choice.top.iter().map(|c| (c.id, self.codec.shown(c.id), c.probability)).collect();
        let text = self.codec.shown(choice.id);
        Step { id: choice.id, text, probability: choice.probability, entropy: choice.entropy, top }
    }
}

/// What the logits of one text say.
fn choice(text: &mut Writing, rows: &[&[f32]]) -> Result<Chosen, TaskError> {
    if let Some(beams) = text.searching() {
        return beams.advance(rows).map(|()| Chosen::Beams);
    }
    let Some(cache) = text.cache.as_ref() else { return Ok(Chosen::Nothing) };
    let logits = match rows {
        [logits] if !logits.is_empty() => *logits,
        _ => return Ok(Chosen::Nothing),
    };
    match &mut text.beams {
        Some(beams) => beams.begin(cache.fork()?, logits).map(|()| Chosen::Beams),
        None => {
            let choice = text.sampler.choose(logits, cache.tokens(), text.options.candidates);
            choice.map(Chosen::Token).ok_or(TaskError::NotANumber)
        }
    }
}

/// A panic as an error.
fn careful<R>(run: impl FnOnce() -> R) -> Result<R, TaskError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| TaskError::Panicked(said(&*payload).to_owned()))
}
