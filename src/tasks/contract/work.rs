//! An input on its way through a model.

use super::error::TaskError;
use std::any::Any;

/// An input on its way through a model.
pub trait Work: Any + Send {
    /// Input tokens, special tokens included.
    fn tokens(&self) -> usize;

    /// Tokens still to be computed; 0 when finished. It falls with every step that moves it.
    fn remaining(&self) -> usize;

    /// Tokens that the next step would take of it: what the worker fills a step with.
    fn load(&self) -> usize {
        self.remaining()
    }

    /// Allows it `tokens` of the next step; what cannot be cut so small may take more where there is room.
    fn allow(&mut self, _tokens: usize) {}

    /// Whether it waits for memory that others hold: a step would not move it.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Rows that the last step took of it, where that is not what [`Work::remaining`] fell by: what was found already read
    /// takes none.
    fn taken(&self) -> Option<usize> {
        None
    }

    /// Why it alone failed in the last step, if it did; asked once.
    fn failure(&mut self) -> Option<TaskError> {
        None
    }

    /// What the next step will do.
    fn phase(&self) -> Phase {
        Phase::Forward
    }
}

/// `work` as what it is, if it is a `W`.
pub fn own<W: Work>(work: &mut dyn Work) -> Option<&mut W> {
    (work as &mut dyn Any).downcast_mut()
}

/// Finished work as what it is.
///
/// # Errors
/// [`TaskError::Input`] for another task's.
pub fn ended<W: Work>(work: Box<dyn Work>) -> Result<Box<W>, TaskError> {
    let work = (work as Box<dyn Any>).downcast::<W>();
    work.map_err(|_| TaskError::Input("work of another task".into()))
}

/// The stage that a step's time counts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One pass from input to answer.
    Forward,
    /// Reading a prompt.
    Prefill,
    /// Writing, token by token.
    Decode,
}
