//! The worker's beginning and end: a device, a loop that survives its own faults, and nobody left
//! without a last event.

use super::EngineConfig;
use super::active::{Active, End, Place};
use super::message::Command;
use super::models::{Models, panic_message};
use super::worker::{Link, Worker};
use crate::error::UserMessage;
use crate::models::verify::Verifier;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, Runtime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Runs until shutdown. Opens the device first.
pub fn run(config: EngineConfig, link: Link) {
    let EngineConfig { library, device, threads, precision, context, budget, cache, tasks, status, .. } = config;
    let runtime = match open_runtime(device, threads, precision) {
        Ok(runtime) => runtime.with_context(context),
        Err(message) => {
            tracing::error!(%message, "no device");
            drop(status);
            refuse_all(&link, &message);
            return;
        }
    };
    let models = Models::new(library, Verifier::new(cache.as_deref()), budget);
    let (known, defaults) = models.survey(&tasks);
    let (known, active) = (Arc::new(known), Vec::new());
    let mut worker = Worker { tasks, runtime, precision, models, active, arrivals: 0, known, defaults, status, link };
    worker.send_status(None);
    loop {
        match catch_unwind(AssertUnwindSafe(|| worker.serve())) {
            Ok(()) => break,
            // Nothing but a fault of the worker's own gets here: tasks are caught where they run.
            Err(payload) => {
                let message = panic_message(&*payload);
                tracing::error!(%message, "the worker starts again");
                for index in (0..worker.active.len()).rev() {
                    worker.end(index, End::Failed(message.clone()));
                }
                worker.models.drop_unused(&[]);
                worker.send_status(Some(message.why));
            }
        }
    }
    for index in (0..worker.active.len()).rev() {
        worker.end(index, End::Cancelled);
    }
    refuse_rest(&worker);
}

/// Opens the device, or says in words why not.
pub(super) fn open_runtime(
    choice: DeviceChoice,
    threads: Option<usize>,
    precision: Option<Precision>,
) -> Result<Runtime, UserMessage> {
    Runtime::new(choice, threads, precision).map_err(|error| {
        UserMessage::new(
            "No device to compute on",
            error.to_string(),
            "Close other programs, or start with fewer threads (--threads 1).",
        )
    })
}

/// Without a device every request fails, with the reason.
fn refuse_all(link: &Link, message: &UserMessage) {
    while let Ok(command) = link.inbox.recv() {
        match command {
            Command::Submit(submission) => {
                Active::new(*submission, 0, "").finish(End::Failed(message.clone()), nowhere());
                link.in_flight.fetch_sub(1, Ordering::AcqRel);
            }
            Command::Shutdown => break,
            Command::SetDevice { .. }
            | Command::SetContext(_)
            | Command::Unload
            | Command::UnloadModel(_)
            | Command::Refresh
            | Command::Forecast { .. } => {}
        }
    }
}

/// Requests that were handed over but never looked at end as cancelled.
fn refuse_rest(worker: &Worker) {
    while let Ok(command) = worker.link.inbox.try_recv() {
        if let Command::Submit(submission) = command {
            Active::new(*submission, 0, "").finish(End::Cancelled, nowhere());
            worker.link.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn nowhere() -> Place {
    Place { model: String::new(), device: "none", precision: "" }
}
