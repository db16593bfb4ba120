//! What a task is: a name, and how its models are opened.

use super::error::TaskError;
use super::model::Model;
use crate::models::library::ModelEntry;
use crate::nn::bert::HeadKind;
use crate::nn::runtime::Runtime;

/// Told the share of a loading that is done (0 to 1); answers whether to stop.
pub type Progress<'a> = &'a mut dyn FnMut(f32) -> bool;

/// A language task.
pub trait Task: Send + Sync {
    /// Short and stable: in commands, manifests and JSON.
    fn id(&self) -> &'static str;

    /// The task whose models this one uses; tasks that share models share them in memory too.
    fn model_task(&self) -> &'static str {
        self.id()
    }

    /// Whether its answers are texts that a model writes.
    fn writes(&self) -> bool {
        false
    }

    /// What stands on its encoder, of a task that has one.
    fn head(&self) -> Option<HeadKind> {
        None
    }

    /// Opens a model for this task on the runtime's device.
    ///
    /// # Errors
    /// [`TaskError::Stopped`] if `progress` says so; otherwise what is wrong with the files.
    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError>;
}
