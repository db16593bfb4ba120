//! The models that the worker holds: opened at first use, shared, evicted under the budget.

use super::budget::Budget;
use super::message::{Happening, LoadedModel, ModelChange, ModelInfo};
use crate::error::UserMessage;
use crate::models::library::{Library, ModelEntry};
use crate::models::verify::Verifier;
use crate::nn::runtime::Runtime;
use crate::tasks::{Model, Task, TaskError};
use std::collections::HashMap;
use std::time::Instant;

/// Loaded models by key (task and model as requested).
pub struct Models {
    library: Library,
    verifier: Verifier,
    budget: Budget,
    loaded: HashMap<String, Loaded>,
    /// What has happened and was not told yet.
    changes: Vec<ModelChange>,
}

/// A model in memory.
pub struct Loaded {
    pub id: String,
    pub model: Box<dyn Model>,
}

/// A model to be loaded.
pub struct Wanted<'a> {
    pub key: &'a str,
    pub task: &'a dyn Task,
    pub model: Option<&'a str>,
    pub runtime: &'a Runtime,
}

impl Models {
    /// None loaded yet.
    pub fn new(library: Library, verifier: Verifier, budget: usize) -> Self {
        Self { library, verifier, budget: Budget::new(budget), loaded: HashMap::new(), changes: Vec::new() }
    }

    /// The models that can be asked for by id.
    pub fn known(&self) -> Vec<ModelInfo> {
        let manifests = self.library.list().0.into_iter().filter_map(|e| e.manifest);
        let info = |m: crate::models::manifest::Manifest| ModelInfo {
            id: m.id,
            name: m.name,
            task: m.task,
            description: m.description,
            languages: m.languages,
        };
        manifests.map(info).collect()
    }

    /// The model under `key`, if it is loaded.
    pub fn get(&mut self, key: &str) -> Option<&mut Loaded> {
        self.loaded.get_mut(key)
    }

    /// Reads a model after checking its files, making room first. `progress` gets the model's id,
    /// the share done and the bytes of its files, and says whether to stop.
    ///
    /// # Errors
    /// What is wrong with the files, or [`TaskError::Stopped`].
    pub fn load(
        &mut self,
        wanted: &Wanted<'_>,
        progress: &mut dyn FnMut(&str, f32, u64) -> bool,
    ) -> Result<(), TaskError> {
        let begun = Instant::now();
        let entry: ModelEntry = self.library.resolve(wanted.model, wanted.task.model_task())?;
        let bytes = entry.weight_bytes();
        if progress(&entry.id, 0.0, bytes) {
            return Err(TaskError::Stopped);
        }
        if let Some(manifest) = &entry.manifest {
            let stopped = std::cell::RefCell::new(&mut *progress);
            let stop = || (stopped.borrow_mut())(&entry.id, 0.0, bytes);
            self.verifier.check(&entry.dir, manifest, &stop)?;
        }
        for key in self.budget.evict(usize::try_from(bytes).unwrap_or(usize::MAX), wanted.key) {
            tracing::info!(%key, "model dropped to make room");
            self.remove(&key, Happening::Evicted);
        }
        let mut report = |share: f32| progress(&entry.id, share, bytes);
        let model = wanted.task.load(&entry, wanted.runtime, &mut report)?;
        progress(&entry.id, 1.0, bytes);
        self.budget.touch(wanted.key, model.bytes());
        let happening = Happening::Loaded(begun.elapsed());
        let (id, bytes) = (entry.id.clone(), model.bytes());
        self.changes.push(ModelChange { id, bytes, happening, at: Instant::now() });
        self.loaded.insert(wanted.key.to_owned(), Loaded { id: entry.id, model });
        Ok(())
    }

    /// Notes a use.
    pub fn touch(&mut self, key: &str) {
        if let Some(loaded) = self.loaded.get(key) {
            self.budget.touch(key, loaded.model.bytes());
        }
    }

    /// Drops one model; it is read again at its next use.
    pub fn drop_model(&mut self, key: &str) {
        self.remove(key, Happening::Dropped);
    }

    fn remove(&mut self, key: &str, happening: Happening) {
        self.budget.forget(key);
        if let Some(Loaded { id, model }) = self.loaded.remove(key) {
            let bytes = model.bytes() - model.cache_bytes();
            // Gone only when its memory is: a large one takes a moment.
            drop(model);
            self.changes.push(ModelChange { id, bytes, happening, at: Instant::now() });
        }
    }

    /// What has happened since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<ModelChange> {
        std::mem::take(&mut self.changes)
    }

    /// Bytes of weights, and of keys and values, of all loaded models.
    pub fn bytes(&self) -> (usize, usize) {
        self.loaded.values().fold((0, 0), |(weights, caches), l| {
            let own = l.model.cache_bytes();
            (weights + l.model.bytes().saturating_sub(own), caches + own)
        })
    }

    /// Drops all models whose key is not in `used`.
    pub fn drop_unused(&mut self, used: &[String]) {
        let keys: Vec<String> = self.loaded.keys().filter(|k| !used.contains(k)).cloned().collect();
        for key in keys {
            self.drop_model(&key);
        }
    }

    /// What is loaded, sorted by id. `precision` is that of models whose file leaves it open.
    pub fn summary(&self, precision: &'static str) -> Vec<LoadedModel> {
        let each = self.loaded.values().map(|l| LoadedModel {
            id: l.id.clone(),
            bytes: l.model.bytes(),
            precision: l.model.precision().unwrap_or(precision),
        });
        let mut all: Vec<_> = each.collect();
        all.sort();
        all
    }
}

/// The message for a panic inside a task, with what the panic said.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> UserMessage {
    let said = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".into());
    UserMessage::new(
        "The model stopped unexpectedly",
        format!("an internal error: {said}"),
        "The engine goes on. Try again; if it repeats with this text, please report it with the text.",
    )
}
