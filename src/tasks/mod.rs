//! Language tasks: what goes in, what comes out, how a model's numbers become an answer.
//!
//! A new task is one file here and one line in [`all`].

pub mod sentiment;

use crate::error::UserMessage;
use crate::models::ModelError;
use crate::models::library::ModelEntry;
use crate::nn::NnError;
use crate::nn::runtime::Runtime;
use serde::Serialize;
use std::any::Any;

/// Every task, in the order in which the window lists them.
pub fn all() -> Vec<Box<dyn Task>> {
    vec![Box::new(sentiment::Sentiment)]
}

/// A language task.
pub trait Task: Send + Sync {
    /// Short and stable: in commands, manifests and JSON.
    fn id(&self) -> &'static str;

    /// Opens a model for this task on the runtime's device.
    ///
    /// # Errors
    /// [`TaskError::Stopped`] if `progress` says so; otherwise what is wrong with the files.
    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError>;
}

/// Told the share of a loading that is done (0 to 1); answers whether to stop.
pub type Progress<'a> = &'a mut dyn FnMut(f32) -> bool;

/// A loaded model. It is driven in steps, so that requests can be cancelled, mixed and shown
/// while they run.
pub trait Model: Send {
    /// Bytes of weights held.
    fn bytes(&self) -> usize;

    /// Tokenizes one input. `stop` is asked now and then.
    ///
    /// # Errors
    /// [`TaskError::Input`] for an input without content.
    fn prepare(&self, input: &str, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError>;

    /// One forward step over some of what is left of `works`, at most about `max_tokens`.
    ///
    /// # Errors
    /// An error of the device.
    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError>;

    /// The answer from finished work.
    ///
    /// # Errors
    /// [`TaskError::NotANumber`] if the model gave no usable numbers.
    fn finish(&self, input: &str, work: Box<dyn Work>) -> Result<Output, TaskError>;
}

/// An input on its way through a model.
pub trait Work: Any + Send {
    /// Input tokens, special tokens included.
    fn tokens(&self) -> usize;

    /// Tokens still to be computed; 0 when finished.
    fn remaining(&self) -> usize;
}

/// An answer, by its shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Output {
    Scores(Scores),
}

/// A probability per label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Labels with their probabilities (summing to 1), in the model's order.
    pub scores: Vec<(String, f64)>,
    /// Input tokens, special tokens included.
    pub tokens: usize,
    /// The first pieces of the text, as the model sees it.
    pub pieces: Vec<Piece>,
    /// Parts that a long text was analysed in.
    pub windows: usize,
}

/// A token and the bytes of the text that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub text: String,
    pub id: u32,
    pub start: usize,
    pub end: usize,
}

impl Scores {
    /// The likeliest label and its probability.
    pub fn top(&self) -> (&str, f64) {
        let best = self.scores.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(("", 0.0), |(label, p)| (label, *p))
    }

    /// The probability of `label`, if the model has one of that name.
    pub fn of(&self, label: &str) -> Option<f64> {
        self.scores.iter().find(|s| s.0 == label).map(|s| s.1)
    }
}

/// Why a task could not answer.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{dir}: {source}")]
    Checkpoint { dir: String, source: NnError },
    #[error("{0}")]
    Nn(#[from] NnError),
    #[error("{0}")]
    Input(String),
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    #[error("the model gave no numbers (NaN)")]
    NotANumber,
    #[error("stopped")]
    Stopped,
}

impl From<TaskError> for UserMessage {
    fn from(error: TaskError) -> Self {
        let why = error.to_string();
        match error {
            TaskError::Model(e) => e.into(),
            TaskError::Checkpoint { .. } => Self::new(
                "The model could not be opened",
                why,
                "Choose a checkpoint of this task: BERT or DistilBERT with a sequence-classification head.",
            ),
            TaskError::Input(_) => {
                Self::new("There is nothing to analyse", why, "Type or paste a sentence, then press Run.")
            }
            TaskError::Tokenizer(_) => {
                Self::new("The text could not be read by the model", why, "Try a shorter or simpler text.")
            }
            TaskError::NotANumber => Self::new(
                "The model gave no answer",
                why,
                "The weights are damaged, or this precision is too small for them: try f32 or another model.",
            ),
            TaskError::Nn(_) => {
                Self::new("The model failed", why, "Try again; if it repeats, choose the CPU in Settings.")
            }
            TaskError::Stopped => Self::new("Stopped", why, ""),
        }
    }
}
