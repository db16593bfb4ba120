//! The engine: one worker thread that owns the device and the models, and the handle to it.
//!
//! Commands go in by [`Engine`], events come out by the sink that each request brings. See
//! ARCHITECTURE.md for a request's life.

mod active;
mod arrivals;
mod budget;
mod changes;
mod command;
mod event;
mod job;
pub mod librarian;
mod life;
mod loader;
mod mailbox;
pub mod message;
mod models;
pub mod news;
mod patience;
mod pile;
mod planning;
mod put_away;
pub mod record;
pub mod schedule;
pub mod shapes;
pub mod shelf;
mod status;
mod steps;
mod submission;
mod telling;
pub mod trace;
mod turns;
pub mod usage;
mod worker;
mod works;

use crate::error::UserMessage;
pub use crate::models::library::Library;
use crate::nn::lock;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, available_memory};
use crate::tasks::Task;
use command::Command;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use librarian::Desk;
use life::Setup;
use message::{CancelToken, Event, EventSink, Events, Request, RequestId};
use news::Errand;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use submission::{Ledger, Submission};
use usage::{Usage, UsageReader};
use worker::Link;

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
    /// The queue is full.
    #[error("the engine is busy: too many requests are waiting; try again in about {} s", .retry_after.as_secs_f64().ceil())]
    Busy {
        /// About when there will be a place.
        retry_after: Duration,
    },
    /// The engine has stopped, or was never reached.
    #[error("the engine has stopped")]
    Stopped,
}

impl SubmitError {
    /// Whether there was no place.
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    fn of<T>(error: &TrySendError<T>) -> Self {
        let retry_after = Duration::from_secs(1);
        if error.is_full() { Self::Busy { retry_after } } else { Self::Stopped }
    }
}

impl From<SubmitError> for UserMessage {
    fn from(error: SubmitError) -> Self {
        let next = match error {
            SubmitError::Busy { .. } => "Wait a moment, or press Stop on what runs, then try again.",
            SubmitError::Stopped => "Press 'Start the engine again' (Ctrl+K finds it), or start Glossa again.",
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

/// The handle to the worker: cheap to clone, usable from any thread. When the last one is dropped the worker stops within
/// one step.
#[derive(Clone)]
pub struct Engine(Arc<Core>);

/// What all handles share.
struct Core {
    ledger: Arc<Ledger>,
    capacity: usize,
    next_id: AtomicU64,
    usage: Arc<Usage>,
    commands: Sender<Command>,
    /// The worker's end too: what nobody took out when a worker ended must not lie there for ever.
    inbox: Receiver<Command>,
    errands: Option<Sender<Errand>>,
    setup: Mutex<Setup>,
    worker: Mutex<Running>,
    is_alive: Arc<AtomicBool>,
}

/// A worker's thread.
#[derive(Default)]
struct Running {
    halt: CancelToken,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the worker. It opens the device and looks for models by itself; nothing waits here.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(config: EngineConfig) -> std::io::Result<Self> {
        let (commands, inbox) = crossbeam_channel::bounded(config.capacity.saturating_add(64));
        // Whoever does not listen has no use for a librarian.
        let errands = match &config.status {
            Some(sink) => {
                let (sender, errands) = crossbeam_channel::bounded(config.capacity.max(1));
                let desk =
                    Desk { library: config.library.clone(), errands, worker: commands.clone(), sink: sink.clone() };
                std::thread::Builder::new().name("glossa-library".into()).spawn(move || librarian::run(&desk))?;
                Some(sender)
            }
            None => None,
        };
        let EngineConfig { library, device, threads, precision, context, budget, cache, tasks, capacity, status } =
            config;
        let tasks = tasks.into();
        let setup = Setup { library, device, threads, precision, context, budget, cache, tasks, status };
        let engine = Self(Arc::new(Core {
            ledger: Arc::new(Ledger::default()),
            capacity,
            next_id: AtomicU64::new(1),
            usage: Arc::default(),
            commands,
            inbox,
            errands,
            setup: Mutex::new(setup),
            worker: Mutex::default(),
            is_alive: Arc::new(AtomicBool::new(false)),
        }));
        engine.restart()?;
        Ok(engine)
    }

    /// Whether there is a worker: it ends by itself only after [`Event::Stopped`].
    pub fn is_alive(&self) -> bool {
        self.0.is_alive.load(Ordering::SeqCst)
    }

    /// Starts a new worker where the old one has ended, with the device and the context that were chosen last.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn restart(&self) -> std::io::Result<()> {
        let core = &*self.0;
        let mut worker = lock(&core.worker);
        if self.is_alive() {
            return Ok(());
        }
        if let Some(ended) = worker.thread.take() {
            let _ = ended.join();
        }
        core.ledger.say_last_words(None);
        let halt = CancelToken::default();
        let link = Link {
            inbox: core.inbox.clone(),
            bell: core.commands.clone(),
            ledger: Arc::clone(&core.ledger),
            halt: halt.clone(),
            usage: Arc::clone(&core.usage),
        };
        let (setup, is_alive) = (lock(&core.setup).clone(), Arc::clone(&core.is_alive));
        core.is_alive.store(true, Ordering::SeqCst);
        let run = move || life::run(setup, link, &is_alive);
        match std::thread::Builder::new().name("glossa-engine".into()).spawn(run) {
            Ok(thread) => *worker = Running { halt, thread: Some(thread) },
            Err(error) => {
                core.is_alive.store(false, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Hands a request over. Never waits. Where the worker has ended, the request fails at once, and says why.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when the queue is full.
    pub fn submit(&self, request: Request, sink: EventSink) -> Result<Ticket, SubmitError> {
        let core = &*self.0;
        let place = core.ledger.enter(core.capacity).map_err(|retry_after| SubmitError::Busy { retry_after })?;
        let id = RequestId(core.next_id.fetch_add(1, Ordering::Relaxed));
        let submission = Submission::new(id, request, sink, place);
        let cancel = submission.cancel.clone();
        match core.commands.try_send(Command::Submit(Box::new(submission))) {
            Ok(()) => {
                self.sweep();
                Ok(Ticket { id, cancel })
            }
            Err(error) => {
                let reason = SubmitError::of(&error);
                if let Command::Submit(submission) = error.into_inner() {
                    submission.withdraw();
                }
                Err(reason)
            }
        }
    }

    /// A worker that ended while something was handed over has not seen it: it ends here, with a last event.
    fn sweep(&self) {
        while !self.is_alive()
            && let Ok(command) = self.0.inbox.try_recv()
        {
            drop(command);
        }
    }

    /// Uses another device from now on: models at work finish what they have.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn set_device(&self, choice: DeviceChoice, threads: Option<usize>) -> Result<(), SubmitError> {
        {
            let mut setup = lock(&self.0.setup);
            (setup.device, setup.threads) = (choice, threads);
        }
        self.tell(Command::SetDevice { choice, threads })
    }

    /// Allows conversations of another length from now on: models at work finish what they have.
    ///
    /// # Errors
    /// If the worker cannot be reached.
    pub fn set_context(&self, context: Option<usize>) -> Result<(), SubmitError> {
        lock(&self.0.setup).context = context;
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
        let desk = self.0.errands.as_ref().ok_or(SubmitError::Stopped)?;
        desk.try_send(errand).map_err(|error| SubmitError::of(&error))
    }

    fn tell(&self, command: Command) -> Result<(), SubmitError> {
        if !self.is_alive() {
            return Err(SubmitError::Stopped);
        }
        self.0.commands.try_send(command).map_err(|error| SubmitError::of(&error))?;
        self.sweep();
        Ok(())
    }

    /// Tells other threads what the engine holds in memory.
    pub fn usage(&self) -> UsageReader {
        let (usage, ledger) = (Arc::clone(&self.0.usage), Arc::clone(&self.0.ledger));
        UsageReader { usage, ledger, gpu: None, seen: (0, 0) }
    }

    /// Requests waiting or running.
    pub fn queue(&self) -> usize {
        self.0.ledger.open()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.ledger.close();
        let worker = std::mem::take(&mut *lock(&self.worker));
        worker.halt.cancel();
        // A full channel is no matter: the worker looks at `halt` too.
        let _ = self.commands.send_timeout(Command::Shutdown, Duration::from_millis(100));
        // Whoever holds the last handle may be called by the worker itself, to be woken.
        if let Some(thread) = worker.thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // The worker ends within one forward step. It never panics (it catches).
            let _ = thread.join();
        }
        while let Ok(command) = self.inbox.try_recv() {
            drop(command);
        }
    }
}

/// Waits for a request's last event, handing every event to `each`. For callers without a window.
///
/// Returns `None` if the engine has stopped without one.
pub fn wait_for_end(events: &Events, mut each: impl FnMut(&Event)) -> Option<Event> {
    loop {
        let event = events.recv().ok()?;
        each(&event);
        if event.is_terminal() {
            return Some(event);
        }
    }
}
