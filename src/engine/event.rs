//! What the engine says of a request, and what a request cost.

use super::news::News;
use super::status::{ModelChange, Outlook, Status};
use super::trace::Stretch;
use crate::error::UserMessage;
use crate::tasks::{Output, Partial};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Names a request for as long as the engine lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RequestId(pub u64);
/// What the engine says. After `Done`, `Cancelled` or `Failed` no event of that request follows.
#[derive(Clone, Debug)]
pub enum Event {
    /// The model is being read; share 0 to 1.
    Loading {
        id: RequestId,
        model: String,
        share: f32,
        bytes: u64,
    },
    /// Work on the request has begun.
    Started {
        id: RequestId,
    },
    /// More of an answer that streams: which input's, and what has come since the last time.
    Partial {
        id: RequestId,
        index: usize,
        partial: Partial,
    },
    /// A single long input is on its way: share 0 to 1.
    Progress {
        id: RequestId,
        share: f32,
    },
    /// Some inputs are answered: index and answer of each, and how many of all are done.
    Items {
        id: RequestId,
        items: Vec<(usize, ItemResult)>,
        done: usize,
        total: usize,
    },
    Done {
        id: RequestId,
        report: Report,
    },
    Cancelled {
        id: RequestId,
        report: Report,
    },
    Failed {
        id: RequestId,
        message: UserMessage,
        report: Report,
    },
    /// State of the engine itself; goes to the status sink only.
    Status(Status),
    /// Of models as files; goes to the status sink only.
    Library(News),
    /// The answer to a question about a model's needs; goes to the status sink only.
    Forecast(Arc<Outlook>),
    /// A model has come or gone; goes to the status sink only, before the status that shows it.
    Model(ModelChange),
    /// The worker has ended without being asked to, and why; goes to the status sink only. Every request has had its last
    /// event before.
    Stopped(UserMessage),
}

/// One input's answer, or why there is none.
pub type ItemResult = Result<Output, UserMessage>;

impl Event {
    /// The request that the event belongs to.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Loading { id, .. }
            | Self::Started { id }
            | Self::Partial { id, .. }
            | Self::Progress { id, .. }
            | Self::Items { id, .. }
            | Self::Done { id, .. }
            | Self::Cancelled { id, .. }
            | Self::Failed { id, .. } => Some(*id),
            Self::Status(_) | Self::Model(_) | Self::Library(_) | Self::Forecast(_) | Self::Stopped(_) => None,
        }
    }

    /// The first input's answer, if the event brings it.
    pub fn first_answer(&self) -> Option<&Output> {
        match self {
            Self::Items { items, .. } => items.iter().find(|i| i.0 == 0).and_then(|i| i.1.as_ref().ok()),
            _ => None,
        }
    }

    /// Whether it is the request's last.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Cancelled { .. } | Self::Failed { .. })
    }
}

/// What a request cost, measured on the worker.
#[derive(Clone, Debug)]
pub struct Report {
    pub task: &'static str,
    pub model: String,
    /// `cpu` or `cuda`
    pub device: &'static str,
    pub precision: &'static str,
    pub submitted: Instant,
    /// When work began; the submission if it never did.
    pub started: Instant,
    pub finished: Instant,
    pub timing: Timing,
    /// The same time as stretches, in order.
    pub trace: Vec<Stretch>,
    /// Other requests that shared forward steps, up to 64.
    pub shared_with: Vec<RequestId>,
    /// Input tokens.
    pub tokens: usize,
    /// Of these, found already read, and the milliseconds that reading them would have taken.
    pub cached: usize,
    pub saved_ms: u32,
    /// Tokens written.
    pub generated: usize,
    /// Inputs answered.
    pub done: usize,
    /// Most inputs that shared one forward step with this request's, of this and other requests.
    pub batch: usize,
    pub warnings: Vec<String>,
}

impl Report {
    /// Tokens per second of writing. The first token belongs to the reading of the prompt.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let after_first = self.generated.checked_sub(1).filter(|n| *n > 0)?;
        (self.timing.decode > 0.0).then(|| after_first as f64 / (self.timing.decode / 1e3))
    }
}

/// Milliseconds by stage.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq)]
pub struct Timing {
    /// From submission until its first step, less loading and tokenizing.
    pub queue: f64,
    /// Reading the model (0 when it was loaded already).
    pub load: f64,
    pub tokenize: f64,
    /// Forward steps that the request took part in.
    pub forward: f64,
    /// Steps that read a prompt.
    pub prefill: f64,
    /// Steps that wrote.
    pub decode: f64,
    /// From submission until the first token was there (0 if none was written).
    pub ttft: f64,
    pub postprocess: f64,
    /// From submission to the end, by the clock.
    pub total: f64,
}
