//! What is asked.

pub use crate::models::template::{Message, Role};
use std::sync::Arc;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A text to analyse, or to go on with.
    Text(String),
    /// A conversation that waits for the model's turn.
    Chat(Vec<Message>),
    /// A text that is followed by these very tokens, then to go on with.
    Forced { text: String, ids: Vec<u32> },
    /// A question about a text.
    Question { question: String, context: Arc<str> },
}

impl Input {
    /// The text, the question, or the last turn of a conversation.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Forced { text, .. } | Self::Question { question: text, .. } => text,
            Self::Chat(messages) => messages.last().map_or("", |m| &m.content),
        }
    }

    /// The text that answers point into: of a question that which it is about.
    pub fn context(&self) -> &str {
        match self {
            Self::Question { context, .. } => context,
            other => other.text(),
        }
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
