//! What tasks have made and what becomes of it when it panics: in words, and without taking the engine down.

use crate::error::UserMessage;
use crate::models::careful::said;
use crate::tasks::{Asked, Input, Model, Output, TaskError, Work};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops `thing`; a panic in that is only noted.
pub fn put_away<T>(thing: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(thing))) {
        tracing::error!(why = said(&*payload), "something panicked while it was put away");
        // A payload can panic in its turn; what is left of it then is not worth a process.
        std::mem::forget(payload);
    }
}

/// The message for a panic inside a task, with what the panic said.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> UserMessage {
    TaskError::Panicked(said(payload).to_owned()).into()
}

/// A model in memory, put away with care.
pub struct Kept(Box<dyn Model>);

impl Kept {
    /// Takes a model in.
    pub fn new(model: Box<dyn Model>) -> Self {
        Self(model)
    }
}

impl std::ops::Deref for Kept {
    type Target = dyn Model;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::ops::DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        put_away(std::mem::replace(&mut self.0, Box::new(Gone)));
    }
}

/// What stands in the place of a model that was put away.
struct Gone;

impl Model for Gone {
    fn bytes(&self) -> usize {
        0
    }

    fn prepare(&self, _: &Asked<'_>, _: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        Err(TaskError::Stopped)
    }

    fn step(&mut self, _: &mut [&mut dyn Work], _: usize) -> Result<(), TaskError> {
        Err(TaskError::Stopped)
    }

    fn finish(&self, _: &Input, _: Box<dyn Work>) -> Result<Output, TaskError> {
        Err(TaskError::Stopped)
    }
}
