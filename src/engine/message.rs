//! What crosses the edge: one command enum in, one event enum out.

use super::news::News;
use super::trace::Stretch;
use crate::error::UserMessage;
use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, DeviceReport};
use crate::tasks::{Input, Options, Output, Partial};
use crossbeam_channel::{Receiver, Sender};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Names a request for as long as the engine lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RequestId(pub u64);

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A long list that nobody waits for word by word.
    Batch,
    /// Somebody looks at the screen.
    Interactive,
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
}

impl Request {
    /// Texts for a task's default model, with default options.
    pub fn texts(task: &'static str, texts: Vec<String>, priority: Priority) -> Self {
        let inputs = texts.into_iter().map(Input::Text).collect();
        Self { task, model: None, inputs, options: Options::default(), priority }
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

/// Where a request's events go, and how to wake whoever reads them.
#[derive(Clone)]
pub struct EventSink {
    sender: Sender<Event>,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl EventSink {
    /// A bounded channel. `wake` is called after every event, on the engine's thread.
    pub fn channel(wake: Option<Arc<dyn Fn() + Send + Sync>>) -> (Self, Receiver<Event>) {
        let (sender, receiver) = crossbeam_channel::bounded(4096);
        (Self { sender, wake }, receiver)
    }

    /// Delivers `event`; waits while the channel is full. False if nobody listens any more.
    pub fn send(&self, event: Event) -> bool {
        let delivered = self.sender.send(event).is_ok();
        if let Some(wake) = &self.wake {
            wake();
        }
        delivered
    }
}

/// What the worker is told.
pub enum Command {
    Submit(Box<Submission>),
    /// Uses another device from the next step on; loaded models are dropped.
    SetDevice {
        choice: DeviceChoice,
        threads: Option<usize>,
    },
    /// Allows conversations of another length from the next loading on; loaded models are dropped.
    SetContext(Option<usize>),
    /// Frees all models that no request uses.
    Unload,
    /// Frees one model, unless a request uses it.
    UnloadModel(String),
    /// What is decided about models, or which there are, has changed.
    Refresh,
    /// What a model will need at this context, in every precision.
    Forecast {
        model: String,
        context: usize,
    },
    Shutdown,
}

/// A request with everything that belongs to it.
pub struct Submission {
    pub id: RequestId,
    pub request: Request,
    pub cancel: CancelToken,
    pub sink: EventSink,
    pub submitted: Instant,
}

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
    /// The answer to [`Command::Forecast`]; goes to the status sink only.
    Forecast(Arc<Outlook>),
    /// A model has come or gone; goes to the status sink only, before the status that shows it.
    Model(ModelChange),
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
            Self::Status(_) | Self::Model(_) | Self::Library(_) | Self::Forecast(_) => None,
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
    /// From submission until work on it began.
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

/// What a model will need, by precision.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub model: String,
    pub context: usize,
    /// All bytes of the memory it would lie in.
    pub total: Option<usize>,
    pub prospects: Vec<Prospect>,
}

/// What a model will need in one precision.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// As it is asked for.
    pub precision: Precision,
    /// What its weights are really kept as, as measurements name it.
    pub name: String,
    pub forecast: Forecast,
}

/// A model in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadedModel {
    pub id: String,
    pub bytes: usize,
    /// How its weights are kept.
    pub precision: &'static str,
    /// Bytes that the process held before it was read, and after, on a CPU.
    pub memory: Option<(usize, usize)>,
}

/// What happened to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was read, in this time.
    Loaded(std::time::Duration),
    /// It made room for another.
    Evicted,
    /// It was not wanted any more, or could not be trusted after a fault.
    Dropped,
}

/// A model that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelChange {
    pub id: String,
    /// Of its weights.
    pub bytes: usize,
    pub happening: Happening,
    /// Bytes that the process held before and after, on a CPU.
    pub memory: Option<(usize, usize)>,
    pub at: Instant,
}

/// A model that can be asked for by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    pub id: String,
    /// As shown to people.
    pub name: String,
    /// The task that it is for.
    pub task: String,
    /// What it can and cannot do.
    pub description: String,
    /// Codes; of a translation model source and target.
    pub languages: Vec<String>,
}

/// The engine at a glance.
#[derive(Clone, Debug)]
pub struct Status {
    pub device: DeviceReport,
    pub precision: &'static str,
    /// Loaded models, sorted by id.
    pub loaded: Vec<LoadedModel>,
    /// The models that were found at the start.
    pub models: Arc<Vec<ModelInfo>>,
    /// Requests waiting or running.
    pub queue: usize,
    /// What went wrong with the engine itself, if anything.
    pub notice: Option<String>,
}
