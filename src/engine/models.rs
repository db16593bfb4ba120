//! The models that the worker holds: opened at first use, shared, evicted under the budget.

use super::budget::Budget;
use super::message::{Happening, LoadedModel, ModelChange, ModelInfo, Outlook, Prospect};
use crate::error::UserMessage;
use crate::models::catalogue;
use crate::models::gguf::Gguf;
use crate::models::library::{Library, ModelEntry};
use crate::models::manifest::Manifest;
use crate::models::registry::Registry;
use crate::models::verify::Verifier;
use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::nn::runtime::{Runtime, process_memory};
use crate::nn::source::TensorSource as _;
use crate::tasks::{Model, Task, TaskError, forecast};
use std::collections::HashMap;
use std::time::Instant;

/// Loaded models by key (task and model as requested).
pub struct Models {
    library: Library,
    verifier: Verifier,
    budget: Budget,
    loaded: HashMap<String, Loaded>,
    /// What was decided about models.
    registry: Registry,
    /// What has happened and was not told yet.
    changes: Vec<ModelChange>,
}

/// A model in memory.
pub struct Loaded {
    pub id: String,
    pub model: Box<dyn Model>,
    /// How its weights are kept, where the file leaves it open.
    precision: &'static str,
    /// Chosen for this model, and whether the command line leaves no choice.
    asked: Option<Precision>,
    is_fixed: bool,
    memory: Option<(usize, usize)>,
}

impl Loaded {
    /// How its weights are kept.
    pub fn precision(&self) -> &'static str {
        self.model.precision().unwrap_or(self.precision)
    }
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
        let registry = library.registry();
        Self { library, verifier, budget: Budget::new(budget), loaded: HashMap::new(), registry, changes: Vec::new() }
    }

    /// What there is: the models that can be asked for by id, and the default of each task that has one.
    pub fn survey(&self, tasks: &[Box<dyn Task>]) -> (Vec<ModelInfo>, HashMap<String, String>) {
        let entries = self.library.list().0;
        let of = |task: &dyn Task| {
            let id = self.library.default_id(&entries, &self.registry, task.model_task())?;
            Some((task.model_task().to_owned(), id))
        };
        let defaults = tasks.iter().filter_map(|t| of(&**t)).collect();
        let info = |m: Manifest| ModelInfo {
            id: m.id,
            name: m.name,
            task: m.task,
            description: m.description,
            languages: m.languages,
        };
        (entries.into_iter().filter_map(|e| e.manifest).map(info).collect(), defaults)
    }

    /// Takes over what was decided: models that are to be kept in another precision are dropped, unless
    /// somebody uses them now.
    pub fn refresh(&mut self, used: &[String]) {
        self.registry = self.library.registry();
        let is_idle = |k: &&String| self.is_stale(k) && !used.contains(k);
        let keys: Vec<String> = self.loaded.keys().filter(is_idle).cloned().collect();
        for key in keys {
            self.drop_model(&key);
        }
    }

    /// Whether another precision was chosen for a model since it was read.
    pub fn is_stale(&self, key: &str) -> bool {
        self.loaded.get(key).is_some_and(|l| !l.is_fixed && self.registry.precisions.get(&l.id).copied() != l.asked)
    }

    /// Drops the model called `id`; false if a request uses it.
    pub fn unload(&mut self, id: &str, used: &[String]) -> bool {
        let keys: Vec<String> = self.loaded.iter().filter(|(_, l)| l.id == id).map(|(k, _)| k.clone()).collect();
        if keys.iter().any(|k| used.contains(k)) {
            return false;
        }
        keys.iter().for_each(|k| self.drop_model(k));
        true
    }

    /// What a model will need, here or of the catalogue; `None` if it is neither, or damaged.
    pub fn outlook(&self, model: &str, context: usize, runtime: &Runtime) -> Option<Outlook> {
        let mut runtime = runtime.clone();
        runtime.context = Some(context);
        let entry = self.library.resolve(Some(model), "").ok();
        let known = catalogue::find(model);
        let own = match &entry {
            Some(entry) => entry.gguf().and_then(|p| Gguf::open(p).ok()?.precision()).map(str::to_owned),
            None => known.filter(|k| k.is_quantized()).map(|k| k.precision.clone()),
        };
        let all: Vec<Precision> = std::iter::once(Precision::Own).chain(Precision::ALL).collect();
        let forecasts = match &entry {
            Some(entry) => forecast::each(entry, &runtime, &all).ok()?,
            None => {
                let (known, place) = (known?, runtime.place());
                let file = (known.bytes, known.is_quantized());
                all.iter().map(|p| known.shape.forecast(file, *p, context, place)).collect()
            }
        };
        let prospect = |(precision, forecast): (Precision, Forecast)| {
            let name = own.clone().filter(|_| precision == Precision::Own);
            let name = name.unwrap_or_else(|| runtime.keeping(precision).precision().to_owned());
            Prospect { precision, name, forecast }
        };
        let prospects = all.into_iter().zip(forecasts).map(prospect).collect();
        Some(Outlook { model: model.to_owned(), context, total: runtime.total_memory(), prospects })
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
        let mut report = |share: f32| progress(&entry.id, share, bytes);
        // What was asked for on the command line counts for everything.
        let is_fixed = wanted.runtime.kept() != Precision::Own;
        let asked = self.registry.precisions.get(&entry.id).copied().filter(|_| !is_fixed);
        let runtime = asked.map_or_else(|| wanted.runtime.clone(), |p| wanted.runtime.keeping(p));
        self.make_room(&entry, &runtime, wanted.key)?;
        let on_cpu = runtime.report.used == "cpu";
        let before = process_memory().filter(|_| on_cpu);
        let model = wanted.task.load(&entry, &runtime, &mut report)?;
        let memory = before.zip(process_memory());
        progress(&entry.id, 1.0, bytes);
        self.budget.touch(wanted.key, model.bytes());
        let happening = Happening::Loaded(begun.elapsed());
        let (id, bytes) = (entry.id.clone(), model.bytes());
        self.changes.push(ModelChange { id, bytes, happening, memory, at: Instant::now() });
        let precision = runtime.precision();
        let loaded = Loaded { id: entry.id, model, precision, asked, is_fixed, memory };
        self.loaded.insert(wanted.key.to_owned(), loaded);
        Ok(())
    }

    /// Drops others, the least recently used first, until `entry` fits into the budget and into the memory
    /// that is free.
    ///
    /// # Errors
    /// [`TaskError::TooLarge`] if it does not fit even alone.
    fn make_room(&mut self, entry: &ModelEntry, runtime: &Runtime, key: &str) -> Result<(), TaskError> {
        // What cannot be forecast cannot be opened: its loading says why.
        let forecast = forecast::of(entry, runtime).ok();
        let weights = forecast.map_or(usize::try_from(entry.weight_bytes()).unwrap_or(usize::MAX), |f| f.weights);
        for key in self.budget.evict(weights, &|k| k == key || self.is_pinned(k)) {
            tracing::info!(%key, "model dropped to make room");
            self.remove(&key, Happening::Evicted);
        }
        let Some(mut forecast) = forecast else { return Ok(()) };
        loop {
            forecast.available = runtime.free_memory();
            if !forecast.is_too_much() {
                return Ok(());
            }
            let Some(oldest) = self.budget.oldest(&|k| k == key || self.is_pinned(k)) else {
                return Err(forecast::too_large(forecast, runtime));
            };
            tracing::info!(key = %oldest, "model dropped: too little memory is free");
            self.remove(&oldest, Happening::Evicted);
        }
    }

    fn is_pinned(&self, key: &str) -> bool {
        self.loaded.get(key).is_some_and(|l| self.registry.pinned.contains(&l.id))
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
        if let Some(Loaded { id, model, memory, .. }) = self.loaded.remove(key) {
            let bytes = model.bytes() - model.cache_bytes();
            let before = memory.and_then(|_| process_memory());
            // Gone only when its memory is: a large one takes a moment.
            drop(model);
            let memory = before.zip(process_memory());
            self.changes.push(ModelChange { id, bytes, happening, memory, at: Instant::now() });
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

    /// What is loaded, sorted by id.
    pub fn summary(&self) -> Vec<LoadedModel> {
        let each = self.loaded.values().map(|l| LoadedModel {
            id: l.id.clone(),
            bytes: l.model.bytes(),
            precision: l.precision(),
            memory: l.memory,
        });
        let mut all: Vec<_> = each.collect();
        all.sort();
        all
    }
}

/// The message for a panic inside a task, with what the panic said.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> UserMessage {
    let said = crate::models::careful::said(payload);
    UserMessage::new(
        "The model stopped unexpectedly",
        format!("an internal error: {said}"),
        "The engine goes on. Try again; if it repeats with this text, please report it with the text.",
    )
}
