//! How a text is written.

use crate::nn::sampling::Sampling;

/// Of `chat` and `generate`.
#[derive(Clone, Debug, PartialEq)]
pub struct WritingOptions {
    pub sampling: Sampling,
    /// Tokens that an answer may have.
    pub max_tokens: usize,
    /// Strings that end an answer; they are not part of it.
    pub stop: Vec<String>,
    /// Likeliest tokens to report at each step.
    pub candidates: usize,
}

impl WritingOptions {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// Which is not, in words.
    pub fn check(&self) -> Result<(), String> {
        self.sampling.check()
    }
}

impl Default for WritingOptions {
    fn default() -> Self {
        Self { sampling: Sampling::default(), max_tokens: 512, stop: Vec::new(), candidates: 0 }
    }
}
