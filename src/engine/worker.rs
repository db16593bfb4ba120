//! The worker thread: takes commands between steps, picks a group, runs one step, reports.

use super::active::{Active, End, Place, deliver, finished};
use super::life::open_runtime;
use super::message::{CancelToken, Command, Event, EventSink, ItemResult, ModelInfo, RequestId, Status};
use super::models::{Models, Wanted, panic_message};
use super::queue::next_group;
use super::usage::Usage;
use crate::error::UserMessage;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::tasks::{Asked, Phase, STEP_TOKENS, Task, TaskError, Work};
use crossbeam_channel::{Receiver, TryRecvError};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Inputs of one request that a turn answers without a step.
const ANSWERS: usize = 256;
/// What to do about a fault of ours.
const FAULT: &str = "Choose another model or another device; this is a fault of Glossa's, please report it.";

/// The worker's end of the engine's wires.
pub struct Link {
    pub inbox: Receiver<Command>,
    pub in_flight: Arc<AtomicUsize>,
    pub halt: CancelToken,
    pub usage: Arc<Usage>,
}

/// Everything that the worker owns.
pub(super) struct Worker {
    pub tasks: Vec<Box<dyn Task>>,
    pub runtime: Runtime,
    pub precision: Option<Precision>,
    pub models: Models,
    pub active: Vec<Active>,
    pub arrivals: u64,
    pub known: Arc<Vec<ModelInfo>>,
    /// Model by task, where none is named.
    pub defaults: HashMap<String, String>,
    pub status: Option<EventSink>,
    pub link: Link,
}

impl Worker {
    /// Takes commands and runs steps until told to stop.
    pub fn serve(&mut self) {
        while !self.link.halt.is_cancelled() {
            let command = if self.active.is_empty() {
                self.link.inbox.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.link.inbox.try_recv()
            };
            match command {
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return,
                Ok(command) => self.take(command),
                Err(TryRecvError::Empty) => self.turn(),
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(submission) => {
                self.arrivals += 1;
                let task = submission.request.task;
                let model_task = self.tasks.iter().find(|t| t.id() == task).map_or(task, |t| t.model_task());
                let mut submission = submission;
                // The default by its id: who names it shares it.
                if submission.request.model.is_none() {
                    submission.request.model = self.defaults.get(model_task).cloned();
                }
                let wrong = submission.request.options.check().err();
                self.active.push(Active::new(*submission, self.arrivals, model_task));
                if let Some(message) = wrong {
                    self.end(self.active.len() - 1, End::Failed(message));
                }
            }
            Command::SetDevice { choice, threads } => match open_runtime(choice, threads, self.precision) {
                Ok(runtime) => {
                    self.models.drop_unused(&[]);
                    self.runtime = runtime.with_context(self.runtime.context);
                    self.send_status(None);
                }
                Err(message) => self.send_status(Some(message.to_string())),
            },
            Command::SetContext(context) => {
                self.models.drop_unused(&[]);
                self.runtime.context = context;
                self.send_status(None);
            }
            Command::Unload => {
                self.models.drop_unused(&self.in_use());
                self.send_status(None);
            }
            Command::UnloadModel(id) => {
                let is_free = self.models.unload(&id, &self.in_use());
                self.send_status((!is_free).then(|| format!("{id} is at work: stop its request first")));
            }
            Command::Refresh => {
                self.models.refresh(&self.in_use());
                let (known, defaults) = self.models.survey(&self.tasks);
                (self.known, self.defaults) = (Arc::new(known), defaults);
                self.send_status(None);
            }
            Command::Forecast { model, context } => {
                let look = || self.models.outlook(&model, context, &self.runtime);
                if let Ok(Some(outlook)) = catch_unwind(AssertUnwindSafe(look))
                    && let Some(sink) = &self.status
                {
                    sink.send(Event::Forecast(Arc::new(outlook)));
                }
            }
            Command::Shutdown => {}
        }
    }

    /// Keys of the models that requests use.
    fn in_use(&self) -> Vec<String> {
        self.active.iter().map(|a| a.key.clone()).collect()
    }

    /// One step of the group whose turn it is.
    fn turn(&mut self) {
        for index in (0..self.active.len()).rev() {
            if self.active[index].is_cancelled() {
                self.end(index, End::Cancelled);
            }
        }
        let tickets: Vec<_> = self.active.iter().map(Active::ticket).collect();
        let group = next_group(&tickets);
        let Some(&leader) = group.first() else { return };
        let key = self.active[leader].key.clone();
        self.active[leader].start();
        if self.models.get(&key).is_none() {
            // What arrived while the model was read may share the first step: look again.
            self.load_model(leader, &key);
            return;
        }
        self.models.touch(&key);
        let ids: Vec<_> = group.iter().map(|&i| self.active[i].id()).collect();
        let mut tokens = 0;
        for id in &ids {
            if let Some(index) = self.find(*id) {
                tokens += self.prepare(index, STEP_TOKENS.saturating_sub(tokens));
            }
            if tokens >= STEP_TOKENS {
                break;
            }
        }
        let ids: Vec<_> =
            ids.into_iter().filter(|id| self.find(*id).is_some_and(|i| !self.active[i].open.is_empty())).collect();
        if !ids.is_empty() {
            self.step(&ids);
        }
    }

    fn find(&self, id: RequestId) -> Option<usize> {
        self.active.iter().position(|a| a.id() == id)
    }

    /// Reads the leader's model, and ends the leader if that fails.
    fn load_model(&mut self, leader: usize, key: &str) {
        let begun = Instant::now();
        let active = &self.active[leader];
        let (id, request) = (active.id(), &active.submission.request);
        let Some(task) = self.tasks.iter().find(|t| t.id() == request.task) else {
            let known: Vec<&str> = self.tasks.iter().map(|t| t.id()).collect();
            let why = format!("there is no task '{}'", request.task);
            let next = format!("Known tasks: {}.", known.join(", "));
            self.end(leader, End::Failed(UserMessage::new("Nothing was run", why, next)));
            return;
        };
        let wanted = Wanted { key, task: &**task, model: request.model.as_deref(), runtime: &self.runtime };
        let (sink, cancel, halt) = (&active.submission.sink, &active.submission.cancel, &self.link.halt);
        let mut shown = -1f32;
        let mut progress = |model: &str, share: f32, bytes: u64| {
            if share >= 1.0 || share - shown >= 0.02 {
                shown = share;
                sink.send(Event::Loading { id, model: model.to_owned(), share, bytes });
            }
            cancel.is_cancelled() || halt.is_cancelled()
        };
        let models = &mut self.models;
        let result = catch_unwind(AssertUnwindSafe(|| models.load(&wanted, &mut progress)));
        let end = match result {
            Ok(Ok(())) => None,
            Ok(Err(TaskError::Stopped | TaskError::Model(crate::models::ModelError::Stopped))) => Some(End::Cancelled),
            Ok(Err(error)) => Some(End::Failed(error.into())),
            Err(payload) => Some(End::Failed(panic_message(&*payload))),
        };
        self.active[leader].add_load(begun);
        // Even a load that failed may have made others go.
        self.send_status(None);
        if let Some(end) = end {
            self.end(leader, end);
        }
    }

    /// Tokenizes inputs of one request until a step of `room` tokens is full; returns the tokens
    /// that wait in it. Inputs without content are answered at once.
    fn prepare(&mut self, index: usize, room: usize) -> usize {
        let halt = self.link.halt.clone();
        let active = &mut self.active[index];
        active.start();
        let begun = Instant::now();
        let Some(loaded) = self.models.get(&active.key) else { return 0 };
        let mut waiting: usize = active.open.iter().map(|(_, w)| w.load()).sum();
        let mut answered: Vec<(usize, ItemResult)> = Vec::new();
        let (mut end, mut is_new) = (None, false);
        // Answers without a step cost no tokens: a bound of their own lets others have their turn.
        while waiting < room && answered.len() < ANSWERS {
            let Some(input) = active.next_input() else { break };
            is_new = true;
            let cancel = active.submission.cancel.clone();
            let stop = || cancel.is_cancelled() || halt.is_cancelled();
            let request = &active.submission.request;
            let prepare = || {
                let asked = Asked { task: request.task, input: &request.inputs[input], options: &request.options };
                loaded.model.prepare(&asked, &stop)
            };
            match catch_unwind(AssertUnwindSafe(prepare)) {
                // Nothing to compute, so no step would ever answer it.
                Ok(Ok(work)) if work.remaining() == 0 => {
                    active.count(&*work);
                    answered.push((input, finished(&*loaded.model, active, input, work)));
                }
                Ok(Ok(work)) => {
                    waiting += work.load();
                    active.opened(input, work);
                }
                Ok(Err(TaskError::Stopped)) => {
                    end = Some(End::Cancelled);
                    break;
                }
                Ok(Err(error)) => answered.push((input, Err(error.into()))),
                Err(payload) => {
                    end = Some(End::Failed(panic_message(&*payload)));
                    break;
                }
            }
        }
        if is_new {
            active.add_tokenize(begun);
        }
        if end.is_none() {
            end = deliver(active, answered, Instant::now());
        }
        if let Some(end) = end {
            if matches!(end, End::Failed(_)) {
                tracing::warn!(request = ?self.active[index].id(), "ended while tokenizing");
            }
            self.end(index, end);
            return 0;
        }
        waiting
    }

    /// One forward step over the open inputs of `ids`, then the answers that it completed.
    fn step(&mut self, ids: &[RequestId]) {
        let Some(first) = self.find(ids[0]) else { return };
        let key = self.active[first].key.clone();
        let left = |active: &[Active]| -> Vec<(RequestId, usize, Phase)> {
            let mine = active.iter().filter(|a| ids.contains(&a.id()));
            mine.flat_map(|a| a.open.iter().map(|(_, w)| (a.id(), w.remaining(), w.phase()))).collect()
        };
        let before = left(&self.active);
        let begun = Instant::now();
        let Some(loaded) = self.models.get(&key) else { return };
        let mut works: Vec<&mut dyn Work> = Vec::new();
        for active in self.active.iter_mut().filter(|a| ids.contains(&a.id())) {
            works.extend(active.open.iter_mut().map(|(_, w)| &mut **w as &mut dyn Work));
        }
        let result = catch_unwind(AssertUnwindSafe(|| loaded.model.step(&mut works, STEP_TOKENS)));
        let ended = Instant::now();
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(UserMessage::from(error)),
            Err(payload) => {
                // Its state may be half written: the next use reads it afresh.
                self.models.drop_model(&key);
                self.send_status(None);
                Some(panic_message(&*payload))
            }
        };
        if let Some(message) = failure {
            self.fail_step(ids, &message);
            return;
        }
        // Only those that moved took part: the step may have been full before their turn.
        let after = left(&self.active);
        let moved: Vec<(RequestId, Phase)> =
            before.iter().zip(&after).filter(|(b, a)| a.1 < b.1).map(|(b, _)| (b.0, b.2)).collect();
        self.link.usage.count(&self.models);
        if before == after {
            let why = "the model was asked for a step and did nothing";
            self.fail_step(&ids[..1], &UserMessage::new("The model did not go on", why, FAULT));
            return;
        }
        for id in ids {
            let Some((_, phase)) = moved.iter().find(|m| m.0 == *id) else { continue };
            if let Some(index) = self.find(*id) {
                self.active[index].add_step(*phase, begun, ended, &moved);
                self.active[index].tell_progress();
                self.stream(index);
                self.answer(index);
            }
        }
    }

    /// Hands out what has come of one request's answers that stream.
    fn stream(&mut self, index: usize) {
        let active = &mut self.active[index];
        let Some(loaded) = self.models.get(&active.key) else { return };
        let partials: Vec<_> = active
            .open
            .iter_mut()
            .filter_map(|(input, work)| loaded.model.partial(&mut **work).map(|p| (*input, p)))
            .collect();
        for (input, partial) in partials {
            active.stream(input, partial);
        }
    }

    /// A step that several requests shared is tried again with each alone; one that failed alone
    /// has failed.
    fn fail_step(&mut self, ids: &[RequestId], message: &UserMessage) {
        for id in ids {
            let Some(index) = self.find(*id) else { continue };
            if ids.len() > 1 {
                self.active[index].isolate();
            } else {
                self.end(index, End::Failed(message.clone()));
            }
        }
    }

    /// Turns finished work of one request into answers, and ends the request after its last.
    fn answer(&mut self, index: usize) {
        let begun = Instant::now();
        let active = &mut self.active[index];
        let Some(loaded) = self.models.get(&active.key) else { return };
        let mut items = Vec::new();
        for (input, work) in active.take_finished() {
            items.push((input, finished(&*loaded.model, active, input, work)));
        }
        let end = deliver(active, items, begun);
        if let Some(end) = end {
            self.end(index, end);
        }
    }

    /// Removes a request and sends its last event.
    pub fn end(&mut self, index: usize, end: End) {
        let active = self.active.remove(index);
        let requested = active.submission.request.model.clone();
        let loaded = self.models.get(&active.key);
        let own = loaded.as_ref().map(|l| l.precision());
        let model = loaded.map(|l| l.id.clone()).or(requested).unwrap_or_default();
        let precision = own.unwrap_or(self.runtime.precision());
        let place = Place { model, device: self.runtime.report.used, precision };
        // Counted out first: who sees the last event may submit again at once.
        self.link.in_flight.fetch_sub(1, Ordering::AcqRel);
        let key = active.key.clone();
        active.finish(end, place);
        // What was chosen while it was at work takes effect now.
        if self.models.is_stale(&key) && self.active.iter().all(|a| a.key != key) {
            self.models.drop_model(&key);
            self.send_status(None);
        }
    }

    /// Tells what has become of the models, and how the engine is.
    pub fn send_status(&mut self, notice: Option<String>) {
        self.link.usage.count(&self.models);
        self.link.usage.on_cuda(self.runtime.report.used == "cuda");
        let changes = self.models.take_changes();
        if let Some(sink) = &self.status {
            for change in changes {
                sink.send(Event::Model(change));
            }
            sink.send(Event::Status(Status {
                device: self.runtime.report.clone(),
                precision: self.runtime.precision(),
                loaded: self.models.summary(),
                models: Arc::clone(&self.known),
                queue: self.link.in_flight.load(Ordering::Acquire),
                notice,
            }));
        }
    }
}
