//! How a request wants its answers: each task's own part, from the file where the task keeps it.

use crate::error::UserMessage;
use crate::nn::beam::SearchOptions;
use crate::tasks::reading::options::{ClassifyOptions, SummaryOptions};
use crate::tasks::rewriting::options::TranslateOptions;
use crate::tasks::writing::options::WritingOptions;

/// How a request wants its answers; a task looks at its own part alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub writing: WritingOptions,
    /// Of all that write and rewrite. 0 beams, 0 tokens: what suits the model and the text.
    pub search: SearchOptions,
    pub classify: ClassifyOptions,
    pub summarize: SummaryOptions,
    pub translate: TranslateOptions,
}

impl Options {
    /// Whether every number is in its range: the engine asks before it begins.
    ///
    /// # Errors
    /// Which is not, and what its range is.
    pub fn check(&self) -> Result<(), UserMessage> {
        let checked = self.writing.check().and_then(|()| self.search.check());
        checked.map_err(|why| UserMessage::new("Nothing was run", why, "Correct this option and ask again."))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writing: WritingOptions::default(),
            search: SearchOptions { beams: 0, max_tokens: 0, ..SearchOptions::default() },
            classify: ClassifyOptions::default(),
            summarize: SummaryOptions::default(),
            translate: TranslateOptions::default(),
        }
    }
}

impl From<WritingOptions> for Options {
    fn from(writing: WritingOptions) -> Self {
        Self { writing, ..Self::default() }
    }
}

impl From<ClassifyOptions> for Options {
    fn from(classify: ClassifyOptions) -> Self {
        Self { classify, ..Self::default() }
    }
}

impl From<SummaryOptions> for Options {
    fn from(summarize: SummaryOptions) -> Self {
        Self { summarize, ..Self::default() }
    }
}

impl From<TranslateOptions> for Options {
    fn from(translate: TranslateOptions) -> Self {
        Self { translate, ..Self::default() }
    }
}
