//! What the worker is told.

use super::submission::Submission;
use crate::nn::runtime::DeviceChoice;

/// What the worker is told.
pub enum Command {
    Submit(Box<Submission>),
    /// Uses another device: idle models are dropped, those at work go on with what they have until their requests end.
    SetDevice {
        choice: DeviceChoice,
        threads: Option<usize>,
    },
    /// Allows conversations of another length, in the same way.
    SetContext(Option<usize>),
    /// Frees all models that no request uses.
    Unload,
    /// Frees one model, unless a request uses it.
    UnloadModel(String),
    /// What is decided about models, or which there are, has changed.
    Refresh,
    /// What a model will need at this context, in every precision.
    Forecast {
        model: String,
        context: usize,
    },
    /// There is news from the loader.
    Look,
    Shutdown,
}
