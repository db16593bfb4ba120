//! The tasks of this wing: an encoder-decoder, and what is done with it.

use super::abstractive::Summarizer;
use super::passages::Rewriter;
use super::translate::Translator;
use crate::models::library::ModelEntry;
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Model, Need, Progress, Task, TaskError};

/// A task on an encoder-decoder.
pub struct Rewriting {
    id: &'static str,
    /// What its checkpoints must be.
    need: Need,
    model: fn(Rewriter) -> Box<dyn Model>,
}

/// Into another language.
pub const TRANSLATE: Rewriting =
    Rewriting { id: "translate", need: Need::Translator, model: |rewriter| Box::new(Translator(rewriter)) };

/// A summary in the model's own words.
pub const ABSTRACTIVE: Rewriting =
    Rewriting { id: "abstractive", need: Need::Summarizer, model: |rewriter| Box::new(Summarizer(rewriter)) };

impl Task for Rewriting {
    fn id(&self) -> &'static str {
        self.id
    }

    fn writes(&self) -> bool {
        true
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        Ok((self.model)(Rewriter::open(entry, self.need, runtime, progress)?))
    }
}
