//! A loaded model, driven in steps.

use super::error::TaskError;
use super::generated::Partial;
use super::input::Input;
use super::options::Options;
use super::output::Output;
use super::work::Work;

/// Tokens that a conversation may have unless another context is asked for.
pub const DEFAULT_CONTEXT: usize = 4_096;
/// Tokens of one forward step: about a tenth of a second on two desktop cores, so that Stop and an
/// interactive request never wait long behind a batch.
pub const STEP_TOKENS: usize = 1024;

/// What the texts hold that a model is writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Texts that are read or written.
    pub sequences: usize,
    /// Pages of keys and values in use, those kept for later requests included, and all that there may be.
    pub pages: usize,
    pub limit: usize,
    /// Of the pages in use, those that running texts hold; and those that they may still take.
    pub held: usize,
    pub promised: usize,
}

/// A loaded model. It is driven in steps, so that requests can be cancelled, mixed and shown
/// while they run.
pub trait Model: Send {
    /// Bytes of weights held, and of what it keeps between requests.
    fn bytes(&self) -> usize;

    /// Of these, keys and values of conversations.
    fn cache_bytes(&self) -> usize {
        0
    }

    /// The type that most of its weights are kept in, where the file decides.
    fn precision(&self) -> Option<&'static str> {
        None
    }

    /// Tokens that a step should take at most, while `writing` texts get one more each.
    fn budget(&self, _writing: usize) -> usize {
        STEP_TOKENS
    }

    /// What its running texts hold, of a model that keeps keys and values in pages.
    fn occupancy(&self) -> Option<Occupancy> {
        None
    }

    /// Gives back memory that no running text needs: what is kept for later.
    fn release(&self) {}

    /// Tokenizes one input. `stop` is asked now and then.
    ///
    /// # Errors
    /// [`TaskError::Input`] for an input without content.
    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError>;

    /// One forward step over some of what is left of `works`, at most about `max_tokens`. A work either moves or stays as it
    /// was. What goes wrong with one alone it keeps to itself ([`Work::failure`]); others are not disturbed.
    ///
    /// # Errors
    /// An error of the device, which all share.
    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError>;

    /// What has come since the last call, of an answer that streams.
    fn partial(&self, _work: &mut dyn Work) -> Option<Partial> {
        None
    }

    /// The answer from finished work.
    ///
    /// # Errors
    /// [`TaskError::NotANumber`] if the model gave no usable numbers.
    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError>;
}

/// One input of a request, with the task that it is for: tasks may share a model.
pub struct Asked<'a> {
    pub task: &'static str,
    pub input: &'a Input,
    pub options: &'a Options,
}
