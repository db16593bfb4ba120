//! The open inputs of a request: tokenized, and not yet answered.

use super::put_away::put_away;
use crate::tasks::{Phase, Work};

/// Letters that are about one token: what a text will load a step with before it is tokenized.
const LETTERS: usize = 4;

/// Open inputs by index, in the order in which they were opened.
#[derive(Default)]
pub struct Works(Vec<(usize, Box<dyn Work>)>);

/// How far an input was before a step, and what it may take in it.
#[derive(Clone, Copy)]
pub struct Before {
    pub input: usize,
    pub remaining: usize,
    pub phase: Phase,
    /// Tokens that its next step could take, and that it may.
    pub load: usize,
    pub given: usize,
}

impl Works {
    /// Takes a tokenized input in.
    pub fn open(&mut self, input: usize, work: Box<dyn Work>) {
        self.0.push((input, work));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its input's index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &dyn Work)> {
        self.0.iter().map(|(input, work)| (*input, &**work))
    }

    /// Each with its input's index, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut dyn Work)> {
        self.0.iter_mut().map(|(input, work)| (*input, &mut **work as &mut dyn Work))
    }

    /// Tokens that the next step could take of them.
    pub fn load(&self) -> usize {
        self.0.iter().fold(0usize, |sum, (_, w)| sum.saturating_add(w.load()))
    }

    /// Whether all of them wait for memory that others hold.
    pub fn is_waiting(&self) -> bool {
        !self.is_empty() && self.0.iter().all(|(_, w)| w.is_waiting())
    }

    /// Deals `share` tokens of the next step out, in order; those that wait for memory come after the others. Who gets
    /// nothing takes no part.
    pub fn deal(&mut self, share: usize) -> Vec<Before> {
        let (mut left, mut out) = (share, Vec::new());
        for is_waiting in [false, true] {
            for (input, work) in self.0.iter_mut().filter(|(_, w)| w.is_waiting() == is_waiting) {
                let load = work.load().max(1);
                let given = load.min(left);
                if given == 0 {
                    return out;
                }
                left -= given;
                work.allow(given);
                let (remaining, phase) = (work.remaining(), work.phase());
                out.push(Before { input: *input, remaining, phase, load, given });
            }
        }
        out
    }

    /// Takes out the inputs that are computed.
    pub fn take_finished(&mut self) -> Vec<(usize, Box<dyn Work>)> {
        let (finished, open) = std::mem::take(&mut self.0).into_iter().partition(|(_, w)| w.remaining() == 0);
        self.0 = open;
        finished
    }

    /// Puts one away that has failed.
    pub fn discard(&mut self, input: usize) {
        if let Some(at) = self.0.iter().position(|(i, _)| *i == input) {
            put_away(self.0.remove(at));
        }
    }

    /// How many read and how many write.
    pub fn phases(&self) -> (usize, usize) {
        let writing = self.0.iter().filter(|(_, w)| w.phase() == Phase::Decode).count();
        (self.0.len() - writing, writing)
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        for work in self.0.drain(..) {
            put_away(work);
        }
    }
}

/// About the tokens of a text that was not tokenized yet.
pub fn estimate(text: &str) -> usize {
    (text.len() / LETTERS).max(1)
}
