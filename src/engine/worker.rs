//! The worker thread's loop: takes commands between steps, and gives whoever waits a turn. What it does is told in files
//! of their own: `arrivals` (requests and their models), `changes` (of device, context, precision), `turns`, `steps`,
//! `telling`.

use super::active::{Active, End};
use super::command::Command;
use super::loader::Reading;
use super::message::{CancelToken, Event, EventSink, ModelInfo, RequestId};
use super::models::Models;
use super::schedule::Scheduler;
use super::submission::Ledger;
use super::usage::Usage;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::tasks::Task;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether a request that cannot go on has been cancelled, or its mailbox read.
const GLANCE: Duration = Duration::from_millis(10);

/// The worker's end of the engine's wires.
pub struct Link {
    pub inbox: Receiver<Command>,
    /// For the loader's thread, to wake the worker.
    pub bell: Sender<Command>,
    pub ledger: Arc<Ledger>,
    pub halt: CancelToken,
    pub usage: Arc<Usage>,
}

/// Everything that the worker owns.
pub(super) struct Worker {
    pub tasks: Arc<[Box<dyn Task>]>,
    pub runtime: Runtime,
    pub precision: Option<Precision>,
    pub models: Models,
    pub active: Vec<Active>,
    pub arrivals: u64,
    pub scheduler: Scheduler,
    /// When the scheduler's clock began.
    pub epoch: Instant,
    /// The model that is being read.
    pub reading: Option<Reading>,
    /// Keys of models that fit when requests have ended, and whether one has since they were tried.
    pub postponed: Vec<(Arc<str>, bool)>,
    /// How often device or context have changed.
    pub edition: u64,
    pub known: Arc<Vec<ModelInfo>>,
    /// Model by task, where none is named.
    pub defaults: HashMap<String, String>,
    pub status: Option<EventSink>,
    /// When it was last told what is being done, and whether that was something.
    pub told: (Option<Instant>, bool),
    pub link: Link,
}

/// Commands that are taken between two steps.
const COMMANDS: usize = 512;

impl Worker {
    /// Takes commands and runs steps until told to stop.
    pub fn serve(&mut self) {
        let (mut is_idle, mut taken) = (false, 0);
        while !self.link.halt.is_cancelled() {
            // Whoever asks without end does not keep the others from their steps.
            let command = if taken < COMMANDS { self.command(is_idle) } else { Err(TryRecvError::Empty) };
            taken = if command.is_ok() { taken + 1 } else { 0 };
            match command {
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return,
                Ok(command) => {
                    is_idle = false;
                    self.take(command);
                }
                Err(TryRecvError::Empty) => {
                    self.attend();
                    is_idle = !self.turn();
                    self.tell_work(is_idle && self.active.is_empty());
                }
            }
        }
    }

    /// The next command. One that has nothing to do waits for it; for a moment only, while requests wait for something
    /// that is not told here.
    fn command(&self, is_idle: bool) -> Result<Command, TryRecvError> {
        if !is_idle {
            return self.link.inbox.try_recv();
        }
        if self.active.is_empty() && self.reading.is_none() {
            return self.link.inbox.recv().map_err(|_| TryRecvError::Disconnected);
        }
        self.link.inbox.recv_timeout(GLANCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => TryRecvError::Empty,
            RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
        })
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(submission) => self.arrive(*submission),
            Command::SetDevice { choice, threads } => self.set_device(choice, threads),
            Command::SetContext(context) => self.set_context(context),
            Command::Unload => {
                self.models.drop_unused(&self.in_use());
                self.send_status(None);
            }
            Command::UnloadModel(id) => {
                let is_free = self.models.unload(&id, &self.in_use());
                self.send_status((!is_free).then(|| format!("{id} is at work: stop its request first")));
            }
            Command::Refresh => self.refresh(),
            Command::Forecast { model, context } => {
                let look = || self.models.outlook(&model, context, &self.runtime);
                if let Ok(Some(outlook)) = catch_unwind(AssertUnwindSafe(look))
                    && let Some(sink) = &self.status
                {
                    sink.send(Event::Forecast(Arc::new(outlook)));
                }
            }
            Command::Look | Command::Shutdown => {}
        }
    }

    /// Keys of the models that requests have or wait for.
    pub fn in_use(&self) -> Vec<String> {
        self.active.iter().map(|a| a.key.to_string()).collect()
    }

    /// Keys of the models that requests have: they go on with them to their end.
    pub fn bound(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.active.iter().filter(|a| a.is_bound).map(|a| a.key.to_string()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The place of a request.
    pub fn find(&self, id: RequestId) -> Option<usize> {
        self.active.iter().position(|a| a.id() == id)
    }

    /// Ends all requests for which `is_meant`.
    pub fn end_all(&mut self, is_meant: impl Fn(&Active) -> bool, end: impl Fn() -> End) {
        for index in (0..self.active.len()).rev() {
            if is_meant(&self.active[index]) {
                self.end(index, end());
            }
        }
    }
}
