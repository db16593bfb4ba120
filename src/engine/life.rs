//! The worker's beginning and end: a device, a loop that survives its own faults, and nobody left without a last event.

use super::active::End;
use super::changes::open_runtime;
use super::message::{Event, EventSink};
use super::models::Models;
use super::put_away::{panic_message, put_away};
use super::schedule::Scheduler;
use super::submission::stopped;
use super::worker::{Link, Worker};
use crate::error::UserMessage;
use crate::models::careful::said;
use crate::models::library::Library;
use crate::models::verify::Verifier;
use crate::nn::precision::Precision;
use crate::nn::runtime::DeviceChoice;
use crate::tasks::Task;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Faults of the worker's own in a row, without a request that came in between, after which it gives up.
const FAULTS: usize = 3;

/// What a worker is made of. Kept, so that another one can be started.
#[derive(Clone)]
pub(super) struct Setup {
    pub library: Library,
    pub device: DeviceChoice,
    pub threads: Option<usize>,
    pub precision: Option<Precision>,
    pub context: Option<usize>,
    pub budget: usize,
    pub cache: Option<PathBuf>,
    pub tasks: Arc<[Box<dyn Task>]>,
    pub status: Option<EventSink>,
}

/// Runs until shutdown, or until the worker cannot go on: then whoever asked is told why.
pub(super) fn run(setup: Setup, link: Link, is_alive: &AtomicBool) {
    let status = setup.status.clone();
    let (inbox, ledger, halt) = (link.inbox.clone(), Arc::clone(&link.ledger), link.halt.clone());
    let result = match catch_unwind(AssertUnwindSafe(|| open(setup, link))) {
        Ok(Ok(worker)) => live(worker),
        Ok(Err(message)) => Err(message),
        Err(payload) => Err(stopped(&format!("an internal error at its start: {}", said(&*payload)))),
    };
    is_alive.store(false, Ordering::SeqCst);
    // What was handed over and never looked at ends by being dropped, with the reason.
    let message = result.err().filter(|_| !halt.is_cancelled());
    ledger.say_last_words(message.clone());
    while let Ok(command) = inbox.try_recv() {
        drop(command);
    }
    if let Some(message) = message {
        tracing::error!(%message, "the engine has stopped");
        if let Some(sink) = status {
            sink.send(Event::Stopped(message));
        }
    }
}

/// Opens the device and looks for models.
fn open(setup: Setup, link: Link) -> Result<Worker, UserMessage> {
    let Setup { library, device, threads, precision, context, budget, cache, tasks, status } = setup;
    let runtime = open_runtime(device, threads, precision)?.with_context(context);
    let models = Models::new(library, Verifier::new(cache.as_deref()), budget);
    let (known, defaults) = models.survey(&tasks);
    let mut worker = Worker {
        tasks,
        runtime,
        precision,
        models,
        active: Vec::new(),
        arrivals: 0,
        scheduler: Scheduler::default(),
        epoch: Instant::now(),
        reading: None,
        postponed: Vec::new(),
        edition: 0,
        known: Arc::new(known),
        defaults,
        status,
        told: (None, false),
        link,
    };
    worker.send_status(None);
    Ok(worker)
}

/// Serves until told to stop. A fault of the worker's own fails what runs, and the worker goes on; one that repeats at
/// once ends it.
fn live(mut worker: Worker) -> Result<(), UserMessage> {
    let (mut faults, mut answered) = (0, worker.arrivals);
    let result = loop {
        // Nothing but a fault of the worker's own gets here: tasks are caught where they run.
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| worker.serve())) else { break Ok(()) };
        faults = if worker.arrivals > answered { 1 } else { faults + 1 };
        answered = worker.arrivals;
        let message = panic_message(&*payload);
        tracing::error!(%message, "the worker starts again");
        let recover = || recover(&mut worker, &message);
        let failed = catch_unwind(AssertUnwindSafe(recover)).err();
        if let Some(payload) = failed {
            break Err(stopped(&format!("an internal error, and another after it: {}", said(&*payload))));
        }
        if faults >= FAULTS {
            break Err(stopped(&message.why));
        }
    };
    if let Err(message) = &result {
        worker.link.ledger.say_last_words(Some(message.clone()));
    }
    let end = || worker.end_all(|_| true, || result.clone().err().map_or(End::Cancelled, End::Failed));
    if catch_unwind(AssertUnwindSafe(end)).is_err() {
        tracing::error!("requests could not be ended in order");
    }
    put_away(worker);
    result
}

/// Fails what runs, and gives up what may be half written.
fn recover(worker: &mut Worker, message: &UserMessage) {
    if let Some(reading) = worker.reading.take() {
        worker.models.forgo(reading.key());
    }
    worker.end_all(|_| true, || End::Failed(message.clone()));
    worker.models.drop_unused(&[]);
    worker.send_status(Some(message.why.clone()));
}
