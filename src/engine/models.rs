//! The models that the worker holds: shared, dropped under the budget, never while somebody uses them.

use super::budget::Budget;
use super::message::{Happening, LoadedModel, ModelChange, ModelInfo, Outlook, Prospect};
use super::put_away::Kept;
use crate::models::catalogue;
use crate::models::gguf::Gguf;
use crate::models::library::Library;
use crate::models::manifest::Manifest;
use crate::models::registry::Registry;
use crate::models::verify::Verifier;
use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::nn::runtime::{Runtime, process_memory};
use crate::nn::source::TensorSource as _;
use crate::tasks::{Occupancy, Task, forecast};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Loaded models by key (task and model as requested).
pub struct Models {
    pub(super) library: Library,
    /// Also used by the thread that reads models.
    pub(super) verifier: Arc<Mutex<Verifier>>,
    pub(super) budget: Budget,
    pub(super) loaded: HashMap<String, Loaded>,
    /// What was decided about models.
    pub(super) registry: Registry,
    /// What has happened and was not told yet.
    pub(super) changes: Vec<ModelChange>,
}

/// A model in memory.
pub struct Loaded {
    pub id: String,
    pub model: Kept,
    /// What it was read for: device, context, precision.
    pub runtime: Runtime,
    /// Chosen for this model, and whether the command line leaves no choice.
    pub(super) asked: Option<Precision>,
    pub(super) is_fixed: bool,
    pub(super) memory: Option<(usize, usize)>,
    /// Another device, context or precision was chosen since, or it panicked: it serves those that have it, and nobody
    /// else.
    pub is_outdated: bool,
    /// Rows of its last step.
    pub rows: usize,
}

impl Loaded {
    /// How its weights are kept.
    pub fn precision(&self) -> &'static str {
        self.model.precision().unwrap_or(self.runtime.precision())
    }
}

impl Models {
    /// None loaded yet.
    pub fn new(library: Library, verifier: Verifier, budget: usize) -> Self {
        let registry = library.registry();
        let (verifier, budget) = (Arc::new(Mutex::new(verifier)), Budget::new(budget));
        Self { library, verifier, budget, loaded: HashMap::new(), registry, changes: Vec::new() }
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

    /// Takes over what was decided: models that are to be kept in another precision are dropped, or outdated while
    /// somebody uses them; these are told by key.
    pub fn refresh(&mut self, used: &[String]) -> Vec<String> {
        self.registry = self.library.registry();
        let mut keys: Vec<String> = self.loaded.keys().filter(|k| self.is_stale(k)).cloned().collect();
        keys.retain(|key| self.retire(key, used));
        keys
    }

    /// What all models were read for has changed: idle ones are dropped, the others outdated and told by key.
    pub fn outdate(&mut self, used: &[String]) -> Vec<String> {
        let mut keys: Vec<String> = self.loaded.keys().cloned().collect();
        keys.retain(|key| self.retire(key, used));
        keys
    }

    /// Drops a model, or outdates it if somebody uses it; whether it goes on for now.
    fn retire(&mut self, key: &str, used: &[String]) -> bool {
        if !used.iter().any(|u| u == key) {
            self.drop_model(key);
            return false;
        }
        self.loaded.get_mut(key).is_some_and(|l| !std::mem::replace(&mut l.is_outdated, true))
    }

    /// Whether another precision was chosen for a model since it was read.
    fn is_stale(&self, key: &str) -> bool {
        self.loaded.get(key).is_some_and(|l| !l.is_fixed && self.chosen(&l.id) != l.asked)
    }

    /// The precision that was chosen for a model.
    pub fn chosen(&self, id: &str) -> Option<Precision> {
        self.registry.precisions.get(id).copied()
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
    pub fn get(&self, key: &str) -> Option<&Loaded> {
        self.loaded.get(key)
    }

    /// The same, to work with.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Loaded> {
        self.loaded.get_mut(key)
    }

    pub(super) fn is_pinned(&self, key: &str) -> bool {
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

    pub(super) fn remove(&mut self, key: &str, happening: Happening) {
        self.budget.forget(key);
        if let Some(Loaded { id, model, memory, .. }) = self.loaded.remove(key) {
            let bytes = model.bytes().saturating_sub(model.cache_bytes());
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

    /// What the running texts of all models hold.
    pub fn occupancy(&self) -> Occupancy {
        let each = self.loaded.values().filter_map(|l| l.model.occupancy());
        each.fold(Occupancy::default(), |sum, o| Occupancy {
            sequences: sum.sequences + o.sequences,
            pages: sum.pages + o.pages,
            limit: sum.limit + o.limit,
            held: sum.held + o.held,
            promised: sum.promised + o.promised,
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
