//! Why a task could not answer, and what a person is told of it.

use super::need::Need;
use crate::error::UserMessage;
use crate::models::ModelError;
use crate::models::codec::PromptError;
use crate::models::library::ModelEntry;
use crate::nn::NnError;
use crate::nn::forecast::Forecast;
use std::path::PathBuf;

/// Why a task could not answer.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("'{}': {source}", .place.display())]
    Checkpoint { place: PathBuf, need: Need, source: NnError },
    #[error("{0}")]
    Nn(#[from] NnError),
    #[error("{0}")]
    Input(String),
    #[error(
        "it needs about {} MB (weights {}, keys and values for {context} tokens {}, work space {}), free are {} MB",
        mb(.forecast.total()), mb(.forecast.weights), mb(.forecast.cache), mb(.forecast.work),
        mb(.forecast.available.unwrap_or(0))
    )]
    TooLarge { forecast: Forecast, context: usize },
    #[error("{0}")]
    Prompt(String),
    #[error("the chat template in the model's file: {0}")]
    Template(String),
    #[error("{0}")]
    Labels(String),
    #[error("{0}")]
    Languages(String),
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    #[error("the model gave no numbers (NaN)")]
    NotANumber,
    /// More keys and values than there may ever be.
    #[error("{0}")]
    Room(String),
    /// A fault in a step that others shared, of one input alone.
    #[error("{0}")]
    Alone(String),
    #[error("an internal error: {0}")]
    Panicked(String),
    #[error("stopped")]
    Stopped,
}

impl From<PromptError> for TaskError {
    fn from(error: PromptError) -> Self {
        match error {
            PromptError::Template(why) => Self::Template(why),
            PromptError::Text(why) => Self::Prompt(why),
        }
    }
}

impl TaskError {
    /// Something in the files of `entry` is not as `need` asks, or its loading was stopped.
    pub fn checkpoint(entry: &ModelEntry, need: Need, source: NnError) -> Self {
        match source {
            NnError::Stopped => Self::Stopped,
            source => Self::Checkpoint { place: entry.place().to_owned(), need, source },
        }
    }
}

fn mb(bytes: usize) -> usize {
    bytes.div_ceil(1_000_000)
}

impl From<TaskError> for UserMessage {
    fn from(error: TaskError) -> Self {
        let why = error.to_string();
        match error {
            TaskError::Model(e) => e.into(),
            TaskError::Checkpoint { need, source, .. } => {
                Self::new("The model could not be opened", why, need.advice(&source))
            }
            TaskError::TooLarge { .. } => Self::new(
                "The model is too large for the memory that is free",
                why,
                "Close other programs, choose a smaller model or a stronger quantization, or a shorter context (--context).",
            ),
            TaskError::Prompt(_) => {
                Self::new("The model cannot read this", why, "Shorten it (in a chat: begin a new conversation).")
            }
            TaskError::Template(_) => Self::new(
                "This model cannot chat",
                why,
                "Its text can still be continued (Generate, 'glossa run generate'); for a chat choose another model, or another file of it.",
            ),
            TaskError::Labels(_) => Self::new(
                "The text could not be classified",
                why,
                "Give two labels or more (--labels a,b,c), or a head taught on this model (--teach FILE.tsv).",
            ),
            TaskError::Input(_) => {
                Self::new("There is nothing to analyse", why, "Type or paste a sentence, then press Run.")
            }
            TaskError::Languages(_) => Self::new(
                "This model cannot do that",
                why,
                "Choose a pair that a model here translates ('glossa doctor' lists the models), or another model (--model FOLDER, such as opus-mt-fr-en or t5-small).",
            ),
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
            TaskError::Room(_) => Self::new(
                "There is no room for this answer",
                why,
                "Ask for a shorter answer or fewer beams, or allow a longer context (--context).",
            ),
            TaskError::Alone(_) => Self::new("The model failed", why, "Try again; other requests were not disturbed."),
            TaskError::Panicked(_) => Self::new(
                "The model stopped unexpectedly",
                why,
                "The engine goes on. Try again; if it repeats with this text, please report it with the text.",
            ),
            TaskError::Stopped => Self::new("Stopped", why, ""),
        }
    }
}
