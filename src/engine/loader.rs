//! Reads models on a thread of its own, one at a time, while the worker goes on.

use super::command::Command;
use super::job::{Fresh, Job, Unread};
use super::put_away::put_away;
use crate::error::UserMessage;
use crate::nn::lock;
use crossbeam_channel::Sender;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Share of a model between two tellings of how far its loading is.
const GRAIN: f32 = 0.02;
/// How long the end of the engine waits for a loading to notice that it was stopped.
const GRACE: Duration = Duration::from_secs(5);

/// How far a loading is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub model: String,
    pub share: f32,
    pub bytes: u64,
}

/// What worker and thread share.
#[derive(Default)]
struct Desk {
    stop: AtomicBool,
    /// The share told last, and what the worker has not seen yet.
    progress: Mutex<(f32, Option<Progress>)>,
    ended: Mutex<Option<Result<Fresh, Unread>>>,
}

/// The model that is being read.
pub struct Reading {
    job: Arc<Job>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Reading {
    /// Begins to read. `worker` is told when there is something to see.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn begin(job: Job, worker: Sender<Command>) -> std::io::Result<Self> {
        let (job, desk) = (Arc::new(job), Arc::new(Desk::default()));
        let (theirs, shared) = (Arc::clone(&job), Arc::clone(&desk));
        let read = move || {
            let result = theirs.read(&mut |share| shared.tell(&theirs, share, &worker));
            // Given back before the worker looks, which wants the job for itself.
            drop(theirs);
            *lock(&shared.ended) = Some(result);
            // A full inbox is no matter: the worker is not asleep then.
            let _ = worker.try_send(Command::Look);
        };
        let thread = std::thread::Builder::new().name("glossa-loader".into()).spawn(read)?;
        Ok(Self { job, desk, thread: Some(thread) })
    }

    /// The key of the model.
    pub fn key(&self) -> &str {
        &self.job.key
    }

    /// What it is read for.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Asks for the end; what was taken is freed.
    pub fn stop(&self) {
        self.desk.stop.store(true, Ordering::Release);
    }

    /// Whether the end was asked for.
    pub fn is_stopping(&self) -> bool {
        self.desk.stop.load(Ordering::Acquire)
    }

    /// How far it is, if that has changed.
    pub fn progress(&self) -> Option<Progress> {
        lock(&self.desk.progress).1.take()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.desk.ended).is_some() || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What came of it, once it has ended.
    pub fn into_result(mut self) -> (Arc<Job>, Result<Fresh, Unread>) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let result = lock(&self.desk.ended).take().unwrap_or_else(|| {
            let why = "the thread that read it ended without a reason";
            Err(Unread::Failed(UserMessage::new("The model could not be loaded", why, "Try again.")))
        });
        (Arc::clone(&self.job), result)
    }
}

impl Drop for Reading {
    /// The engine goes: the loading is stopped, and waited for so that its memory is free afterwards, but not for ever.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop();
        let until = Instant::now() + GRACE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(result) = lock(&self.desk.ended).take() {
            put_away(result);
        }
    }
}

impl Desk {
    /// Notes how far `job` is; whether to stop.
    fn tell(&self, job: &Job, share: f32, worker: &Sender<Command>) -> bool {
        let mut progress = lock(&self.progress);
        if share >= 1.0 || share - progress.0 >= GRAIN || share == 0.0 && progress.1.is_none() && progress.0 == 0.0 {
            let (model, bytes) = (job.entry.id.clone(), job.entry.weight_bytes());
            // Past zero, so that the beginning is told once.
            *progress = (share.max(f32::MIN_POSITIVE), Some(Progress { model, share, bytes }));
            drop(progress);
            let _ = worker.try_send(Command::Look);
        }
        self.stop.load(Ordering::Acquire)
    }
}
