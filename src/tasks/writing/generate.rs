//! Generate: a text continued, by the models of chat, without any template.

use super::language::LanguageModel;
use crate::models::library::ModelEntry;
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Model, Progress, Task, TaskError};

/// The task.
pub struct Generate;

impl Task for Generate {
    fn id(&self) -> &'static str {
        "generate"
    }

    fn model_task(&self) -> &'static str {
        "chat"
    }

    fn writes(&self) -> bool {
        true
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        Ok(Box::new(LanguageModel::load(entry, runtime, progress)?))
    }
}
