//! What crosses the edge: requests in, events out.

pub use super::event::{Event, ItemResult, Report, RequestId, Timing};
pub use super::mailbox::{EventSink, Events};
pub use super::status::{AtWork, Happening, LoadedModel, ModelChange, ModelInfo, Outlook, Prospect, Status};
use crate::tasks::{Input, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A long list that nobody waits for word by word.
    Batch,
    /// Somebody looks at the screen.
    Interactive,
}

/// Whose request it is: turns are dealt out to clients, so that one with many requests does not push out another's only
/// one. The default is the window's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// One that nobody else has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Work for a task. All inputs are answered, in any order, one event item each.
#[derive(Clone, Debug)]
pub struct Request {
    /// Task id.
    pub task: &'static str,
    /// A model id or folder; `None` for the task's default.
    pub model: Option<String>,
    pub inputs: Vec<Input>,
    pub options: Options,
    pub priority: Priority,
    /// Who asks.
    pub client: ClientId,
}

impl Request {
    /// Texts for a task's default model, with default options.
    pub fn texts(task: &'static str, texts: Vec<String>, priority: Priority) -> Self {
        let inputs = texts.into_iter().map(Input::Text).collect();
        let (options, client) = (Options::default(), ClientId::default());
        Self { task, model: None, inputs, options, priority, client }
    }
}

/// Cancels the request that it came with, from any thread, at any time.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks for the end. It comes as [`Event::Cancelled`] within one forward step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
