//! The engine: one worker thread that owns the device and the models, and the handle to it.
//!
//! Commands go in by [`Engine`], events come out by the sink that each request brings. See
//! ARCHITECTURE.md for a request's life.

pub mod active;
pub mod budget;
pub mod librarian;
mod life;
pub mod message;
pub mod models;
pub mod news;
pub mod queue;
pub mod record;
pub mod shapes;
pub mod shelf;
pub mod trace;
pub mod usage;
pub mod worker;

use crate::error::UserMessage;
pub use crate::models::library::Library;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, available_memory};
use crate::tasks::Task;
use crossbeam_channel::{Sender, TrySendError};
use librarian::Desk;
use message::{CancelToken, Command, Event, EventSink, Request, RequestId, Submission};
use news::Errand;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use usage::{Usage, UsageReader};

/// Requests that may wait or run at a time.
pub const CAPACITY: usize = 256;

/// What an engine is made of.
pub struct EngineConfig {
    pub library: Library,
    pub device: DeviceChoice,
    /// CPU threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Weights in f32 or f16.
    pub precision: Option<Precision>,
    /// Tokens that a conversation may have, if not the default.
    pub context: Option<usize>,
    /// Bytes of weights that may be loaded at a time.
    pub budget: usize,
    /// Where the verifier keeps what it knows.
    pub cache: Option<PathBuf>,
    pub tasks: Vec<Box<dyn Task>>,
    /// Requests that may wait or run at a time.
    pub capacity: usize,
    /// Gets [`Event::Status`] at each change.
    pub status: Option<EventSink>,
}

impl EngineConfig {
    /// All tasks on `library`, automatic device, half of the memory that is free now as budget.
    pub fn new(library: Library) -> Self {
        let cache = directories::ProjectDirs::from("", "", "glossa").map(|d| d.cache_dir().to_owned());
        Self {
            library,
            device: DeviceChoice::Auto,
            threads: None,
            precision: None,
            context: None,
            budget: available_memory().unwrap_or(usize::MAX) / 2,
            cache,
            tasks: crate::tasks::all(),
            capacity: CAPACITY,
            status: None,
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full: try again when a request has ended.
    #[error("the engine is busy: too many requests are waiting")]
    Busy,
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

impl<T> From<TrySendError<T>> for SubmitError {
    fn from(error: TrySendError<T>) -> Self {
        if error.is_full() { Self::Busy } else { Self::Stopped }
    }
}

impl From<SubmitError> for UserMessage {
    fn from(error: SubmitError) -> Self {
        let next = match error {
            SubmitError::Busy => "Wait a moment, or press Stop, then try again.",
            SubmitError::Stopped => "Start again.",
        };
        Self::new("Nothing was run", error.to_string(), next)
    }
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub id: RequestId,
    pub cancel: CancelToken,
}

/// The handle to the worker. Dropping it stops the worker within one step.
pub struct Engine {
    commands: Sender<Command>,
    in_flight: Arc<AtomicUsize>,
    capacity: usize,
    next_id: AtomicU64,
    halt: CancelToken,
    usage: Arc<Usage>,
    errands: Option<Sender<Errand>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the worker. It opens the device and looks for models by itself; nothing waits here.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(config: EngineConfig) -> std::io::Result<Self> {
        let (commands, inbox) = crossbeam_channel::bounded(config.capacity + 64);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let capacity = config.capacity;
        let halt = CancelToken::default();
        let usage = Arc::new(Usage::default());
        let wires = (Arc::clone(&in_flight), halt.clone(), Arc::clone(&usage));
        let link = worker::Link { inbox, in_flight: wires.0, halt: wires.1, usage: wires.2 };
        // Whoever does not listen has no use for a librarian.
        let errands = match &config.status {
            Some(sink) => {
                let (sender, errands) = crossbeam_channel::bounded(config.capacity);
                let desk =
                    Desk { library: config.library.clone(), errands, worker: commands.clone(), sink: sink.clone() };
                std::thread::Builder::new().name("glossa-library".into()).spawn(move || librarian::run(&desk))?;
                Some(sender)
            }
            None => None,
        };
        let thread = std::thread::Builder::new().name("glossa-engine".into()).spawn(move || life::run(config, link))?;
        Ok(Self {
            commands,
            in_flight,
            capacity,
            next_id: AtomicU64::new(1),
            halt,
            usage,
            errands,
            thread: Some(thread),
        })
    }

    /// Hands a request over. Never waits.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when the queue is full.
    pub fn submit(&self, request: Request, sink: EventSink) -> Result<Ticket, SubmitError> {
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.capacity {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(SubmitError::Busy);
        }
        let id = RequestId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let cancel = CancelToken::default();
        let submission = Submission { id, request, cancel: cancel.clone(), sink, submitted: Instant::now() };
        match self.commands.try_send(Command::Submit(Box::new(submission))) {
            Ok(()) => Ok(Ticket { id, cancel }),
            Err(error) => {
                self.in_flight.fetch_sub(1, Ordering::AcqRel);
                Err(error.into())
            }
        }
    }

    /// Uses another device from the next step on.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn set_device(&self, choice: DeviceChoice, threads: Option<usize>) -> Result<(), SubmitError> {
        self.tell(Command::SetDevice { choice, threads })
    }

    /// Allows conversations of another length.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn set_context(&self, context: Option<usize>) -> Result<(), SubmitError> {
        self.tell(Command::SetContext(context))
    }

    /// Frees all models that no request uses.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn unload(&self) -> Result<(), SubmitError> {
        self.tell(Command::Unload)
    }

    /// Frees one model, unless a request uses it.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn unload_model(&self, id: &str) -> Result<(), SubmitError> {
        self.tell(Command::UnloadModel(id.to_owned()))
    }

    /// Asks what a model will need; the answer comes as [`Event::Forecast`].
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn forecast(&self, model: &str, context: usize) -> Result<(), SubmitError> {
        self.tell(Command::Forecast { model: model.to_owned(), context })
    }

    /// Something to be done with models as files; answers come as [`Event::Library`].
    ///
    /// # Errors
    /// If there is no librarian, or too much waits for it.
    pub fn ask(&self, errand: Errand) -> Result<(), SubmitError> {
        let desk = self.errands.as_ref().ok_or(SubmitError::Stopped)?;
        Ok(desk.try_send(errand)?)
    }

    fn tell(&self, command: Command) -> Result<(), SubmitError> {
        Ok(self.commands.try_send(command)?)
    }

    /// Tells other threads what the engine holds in memory.
    pub fn usage(&self) -> UsageReader {
        UsageReader { usage: Arc::clone(&self.usage), in_flight: Arc::clone(&self.in_flight), gpu: None }
    }

    /// Requests waiting or running.
    pub fn queue(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt.cancel();
        // A full channel is no matter: the worker looks at `halt` too.
        let _ = self.commands.send_timeout(Command::Shutdown, Duration::from_millis(100));
        if let Some(thread) = self.thread.take() {
            // The worker ends within one forward step. It never panics (it catches).
            let _ = thread.join();
        }
    }
}

/// Waits for a request's last event, handing every event to `each`. For callers without a window.
///
/// Returns `None` if the engine has stopped without one.
pub fn wait_for_end(events: &crossbeam_channel::Receiver<Event>, mut each: impl FnMut(&Event)) -> Option<Event> {
    loop {
        let event = events.recv().ok()?;
        each(&event);
        if event.is_terminal() {
            return Some(event);
        }
    }
}
