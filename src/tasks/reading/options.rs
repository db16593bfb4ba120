//! What the tasks on sentence embeddings are told.

use crate::tasks::contract::taught::TaughtHead;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of `classify`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassifyOptions {
    /// Labels to choose between.
    pub labels: Vec<String>,
    /// A head to classify with, instead of labels.
    pub taught: Option<Arc<TaughtHead>>,
}

/// Of `summarize`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SummaryOptions {
    pub length: Length,
}

/// How long a summary may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Length {
    Sentences(usize),
    /// Of the text's sentences, 1 to 100.
    Percent(f32),
}

impl Default for Length {
    fn default() -> Self {
        Self::Sentences(3)
    }
}
