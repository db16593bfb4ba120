//! What a person is told when something fails: what, why, and what to do next.

use serde::Serialize;
use std::fmt;

/// A failure in a person's words. Every layer's error becomes one of these at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserMessage {
    /// What did not work.
    pub what: String,
    /// Why, with the name of the file or value.
    pub why: String,
    /// What to do about it.
    pub next: String,
}

impl UserMessage {
    /// A message of three sentences.
    pub fn new(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into() }
    }
}

impl fmt::Display for UserMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.next.is_empty() {
            write!(f, "\n  {}", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for UserMessage {}
