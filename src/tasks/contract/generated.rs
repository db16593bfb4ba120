//! What comes out of a model that writes.

use serde::Serialize;

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended its turn, or a stop string came.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The context is full.
    Context,
    /// The model went round in circles.
    Repetition,
}

/// A token that was written, and what else it might have been.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    pub id: u32,
    /// The token as text, by itself.
    pub text: String,
    /// The model's own probability of it.
    pub probability: f64,
    /// Of the model's own distribution, in bits.
    pub entropy: f64,
    /// The likeliest tokens: id, text, probability.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(u32, String, f64)>,
}

/// What is known of a prompt before the first token comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PromptInfo {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Of these, read in an earlier request.
    pub cached: usize,
    /// Turns at the beginning that had to be left out.
    pub dropped: usize,
    /// Tokens that prompt and answer may have together.
    pub context: usize,
}

/// What has come since the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    pub prompt: PromptInfo,
    /// Whole characters.
    pub text: String,
    pub steps: Vec<Step>,
    /// Passages whose text has grown: which, and what it is so far.
    pub passages: Vec<(usize, String)>,
    /// Tokens written.
    pub tokens: usize,
}

impl Partial {
    /// Of a text that is rewritten passage by passage, if anything has come.
    pub fn of_passages(passages: Vec<(usize, String)>, tokens: usize) -> Option<Self> {
        (tokens > 0 || !passages.is_empty()).then(|| Self { passages, tokens, ..Self::default() })
    }
}

/// A written text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generated {
    pub text: String,
    pub token_ids: Vec<u32>,
    pub finish_reason: FinishReason,
    pub steps: Vec<Step>,
    pub prompt: PromptInfo,
    pub seed: u64,
    /// Whether the file had a chat template, where one was needed.
    pub has_template: bool,
    /// What the reader should know of the model's file, and of what was done to the conversation.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Generated {
    /// What the reader of the text should know beside it.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = self.notes.clone();
        match self.finish_reason {
            FinishReason::Repetition => {
                out.push("the model went round in circles and was stopped; a higher temperature or repetition penalty may help".into());
            }
            FinishReason::Context => out.push(format!("the context of {} tokens is full", self.prompt.context)),
            FinishReason::Stop | FinishReason::Length => {}
        }
        if self.prompt.dropped > 0 {
            out.push(format!("the oldest {} turns did not fit and were left out", self.prompt.dropped));
        }
        if !self.has_template {
            out.push("this model's file has no chat template: turns were marked in plain words".into());
        }
        out
    }
}
