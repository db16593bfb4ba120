//! The engine at a glance: its device, its models and what they do.

use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::nn::runtime::DeviceReport;
use crate::tasks::Occupancy;
use std::sync::Arc;
use std::time::Instant;

/// What a model will need, by precision.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub model: String,
    pub context: usize,
    /// All bytes of the memory it would lie in.
    pub total: Option<usize>,
    pub prospects: Vec<Prospect>,
}

/// What a model will need in one precision.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// As it is asked for.
    pub precision: Precision,
    /// What its weights are really kept as, as measurements name it.
    pub name: String,
    pub forecast: Forecast,
}

/// A model in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadedModel {
    pub id: String,
    pub bytes: usize,
    /// How its weights are kept.
    pub precision: &'static str,
    /// Bytes that the process held before it was read, and after, on a CPU.
    pub memory: Option<(usize, usize)>,
}

/// What happened to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was read, in this time.
    Loaded(std::time::Duration),
    /// It made room for another.
    Evicted,
    /// It was not wanted any more, or could not be trusted after a fault.
    Dropped,
}

/// A model that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelChange {
    pub id: String,
    /// Of its weights.
    pub bytes: usize,
    pub happening: Happening,
    /// Bytes that the process held before and after, on a CPU.
    pub memory: Option<(usize, usize)>,
    pub at: Instant,
}

/// A model that can be asked for by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    pub id: String,
    /// As shown to people.
    pub name: String,
    /// The task that it is for.
    pub task: String,
    /// What it can and cannot do.
    pub description: String,
    /// Codes; of a translation model source and target.
    pub languages: Vec<String>,
}

/// The engine at a glance.
#[derive(Clone, Debug)]
pub struct Status {
    pub device: DeviceReport,
    pub precision: &'static str,
    /// Loaded models, sorted by id.
    pub loaded: Vec<LoadedModel>,
    /// The models that were found at the start.
    pub models: Arc<Vec<ModelInfo>>,
    /// Requests waiting or running.
    pub queue: usize,
    /// What the models at work are doing, sorted by id; nothing while the engine is idle.
    pub work: Vec<AtWork>,
    /// What a person should know of the engine itself: what went wrong, or what waits for what.
    pub notice: Option<String>,
}

/// What a model is doing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    pub id: String,
    /// Texts that are read, and texts that are written.
    pub reading: usize,
    pub writing: usize,
    /// Requests that wait for it: for its loading, for a turn, for memory or for their reader.
    pub waiting: usize,
    /// What its texts hold, of a model that keeps keys and values in pages.
    pub occupancy: Option<Occupancy>,
    /// Rows (tokens) of its last step.
    pub rows: usize,
}
