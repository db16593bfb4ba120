//! What is decided before a model is read and after: what it may take, who goes for it, whether it waits.

use super::job::{Fresh, Job};
use super::message::{Happening, ModelChange};
use super::models::{Loaded, Models};
use crate::models::library::ModelEntry;
use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::tasks::{Task, TaskError, forecast};
use std::sync::Arc;
use std::time::Instant;

/// A model to be loaded.
pub struct Wanted<'a> {
    pub key: &'a str,
    pub tasks: &'a Arc<[Box<dyn Task>]>,
    pub task: usize,
    pub model: Option<&'a str>,
    pub runtime: &'a Runtime,
    pub edition: u64,
    /// Keys of models that requests use.
    pub used: &'a [String],
}

/// What can be done about it now.
pub enum Plan {
    /// Read it: there is room, and it is reserved.
    Read(Box<Job>),
    /// It fits when requests of others have ended; its name.
    Wait(String),
}

/// Whether there is room.
enum Room {
    Free,
    /// Once those at work have gone.
    Later,
}

impl Models {
    /// Finds a model's files and makes room for it.
    ///
    /// # Errors
    /// What is wrong with the files, or that it does not fit even alone.
    pub fn plan(&mut self, wanted: &Wanted<'_>) -> Result<Plan, TaskError> {
        let entry: ModelEntry = self.library.resolve(wanted.model, wanted.tasks[wanted.task].model_task())?;
        // What was asked for on the command line counts for everything.
        let is_fixed = wanted.runtime.kept() != Precision::Own;
        let asked = self.chosen(&entry.id).filter(|_| !is_fixed);
        let runtime = asked.map_or_else(|| wanted.runtime.clone(), |p| wanted.runtime.keeping(p));
        if matches!(self.make_room(&entry, &runtime, wanted)?, Room::Later) {
            return Ok(Plan::Wait(entry.id));
        }
        Ok(Plan::Read(Box::new(Job {
            key: wanted.key.to_owned(),
            entry,
            tasks: Arc::clone(wanted.tasks),
            task: wanted.task,
            runtime,
            asked,
            is_fixed,
            edition: wanted.edition,
            verifier: Arc::clone(&self.verifier),
        })))
    }

    /// Drops others, the least recently used first, until `entry` fits into the budget and into the memory that is
    /// free, and reserves its place. Those in use stay.
    ///
    /// # Errors
    /// [`TaskError::TooLarge`] if it does not fit even alone.
    fn make_room(&mut self, entry: &ModelEntry, runtime: &Runtime, wanted: &Wanted<'_>) -> Result<Room, TaskError> {
        let (key, used) = (wanted.key, wanted.used);
        // What cannot be forecast cannot be opened: its loading says why.
        let forecast = forecast::of(entry, runtime).ok();
        let weights = forecast.map_or(usize::try_from(entry.weight_bytes()).unwrap_or(usize::MAX), |f| f.weights);
        let is_scarce = |free: Option<usize>| forecast.is_some_and(|f| Forecast { available: free, ..f }.is_too_much());
        if !self.budget.has_room(weights) || is_scarce(runtime.free_memory()) {
            self.release();
        }
        let at_work = self.budget.of(used);
        for key in self.budget.evict(weights, &|k| k == key || used.iter().any(|u| u == k) || self.is_pinned(k)) {
            tracing::info!(%key, "model dropped to make room");
            self.remove(&key, Happening::Evicted);
        }
        // The budget bounds what lies there together; one that is larger than all of it may lie there alone.
        if at_work > 0 && !self.budget.has_room(weights) {
            return Ok(Room::Later);
        }
        if let Some(mut forecast) = forecast {
            loop {
                forecast.available = runtime.free_memory();
                if !forecast.is_too_much() {
                    break;
                }
                let stays = |k: &str| k == key || used.iter().any(|u| u == k) || self.is_pinned(k);
                if let Some(oldest) = self.budget.oldest(&stays) {
                    tracing::info!(key = %oldest, "model dropped: too little memory is free");
                    self.remove(&oldest, Happening::Evicted);
                    continue;
                }
                forecast.available = forecast.available.map(|free| free.saturating_add(at_work));
                if at_work > 0 && !forecast.is_too_much() {
                    return Ok(Room::Later);
                }
                forecast.available = runtime.free_memory();
                return Err(forecast::too_large(forecast, runtime));
            }
        }
        self.budget.reserve(key, weights);
        Ok(Room::Free)
    }

    /// Has all models give back what they keep for later: sooner than one of them goes.
    fn release(&mut self) {
        for (key, loaded) in &self.loaded {
            loaded.model.release();
            self.budget.resize(key, loaded.model.bytes());
        }
    }

    /// Takes in a model that was read.
    pub fn adopt(&mut self, job: &Job, fresh: Fresh) {
        let Fresh { model, took, memory } = fresh;
        let (id, bytes, happening) = (job.entry.id.clone(), model.bytes(), Happening::Loaded(took));
        self.budget.touch(&job.key, bytes);
        self.changes.push(ModelChange { id: id.clone(), bytes, happening, memory, at: Instant::now() });
        let (runtime, asked, is_fixed) = (job.runtime.clone(), job.asked, job.is_fixed);
        let loaded = Loaded { id, model, runtime, asked, is_fixed, memory, is_outdated: false, rows: 0 };
        self.loaded.insert(job.key.clone(), loaded);
    }

    /// Gives back what was reserved for a model that was not read.
    pub fn forgo(&mut self, key: &str) {
        self.budget.forget(key);
    }
}
