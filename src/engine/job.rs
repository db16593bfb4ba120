//! A model that is to be read: everything that a thread needs for it.

use super::put_away::{Kept, panic_message};
use crate::error::UserMessage;
use crate::models::ModelError;
use crate::models::library::ModelEntry;
use crate::models::verify::Verifier;
use crate::nn::lock;
use crate::nn::precision::Precision;
use crate::nn::runtime::{Runtime, process_memory};
use crate::tasks::{Task, TaskError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to read, and for what.
pub struct Job {
    pub key: String,
    pub entry: ModelEntry,
    /// All tasks, and which of them opens the model.
    pub tasks: Arc<[Box<dyn Task>]>,
    pub task: usize,
    pub runtime: Runtime,
    /// Chosen for this model, and whether the command line leaves no choice.
    pub asked: Option<Precision>,
    pub is_fixed: bool,
    /// How often device or context had changed when it was planned.
    pub edition: u64,
    pub verifier: Arc<Mutex<Verifier>>,
}

/// A model that was read.
pub struct Fresh {
    pub model: Kept,
    pub took: Duration,
    /// Bytes that the process held before and after, on a CPU.
    pub memory: Option<(usize, usize)>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Unread {
    /// It was not wanted any more.
    Stopped,
    Failed(UserMessage),
}

impl From<TaskError> for Unread {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Stopped | TaskError::Model(ModelError::Stopped) => Self::Stopped,
            error => Self::Failed(error.into()),
        }
    }
}

impl Job {
    /// Reads the model after checking its files. `progress` gets the share done, and says whether to stop.
    ///
    /// # Errors
    /// That it was stopped, or what is wrong with the files.
    pub fn read(&self, progress: &mut dyn FnMut(f32) -> bool) -> Result<Fresh, Unread> {
        let work = AssertUnwindSafe(|| self.try_read(progress));
        match catch_unwind(work) {
            Ok(result) => result.map_err(Unread::from),
            Err(payload) => Err(Unread::Failed(panic_message(&*payload))),
        }
    }

    fn try_read(&self, progress: &mut dyn FnMut(f32) -> bool) -> Result<Fresh, TaskError> {
        let begun = Instant::now();
        if progress(0.0) {
            return Err(TaskError::Stopped);
        }
        if let Some(manifest) = &self.entry.manifest {
            let stopped = std::cell::RefCell::new(&mut *progress);
            let stop = || (stopped.borrow_mut())(0.0);
            lock(&self.verifier).check(&self.entry.dir, manifest, &stop)?;
        }
        let before = process_memory().filter(|_| self.runtime.report.used == "cpu");
        let model = Kept::new(self.tasks[self.task].load(&self.entry, &self.runtime, progress)?);
        let memory = before.zip(process_memory());
        // Whoever was waiting may have gone in the last moment.
        if progress(1.0) {
            return Err(TaskError::Stopped);
        }
        Ok(Fresh { model, took: begun.elapsed(), memory })
    }
}
