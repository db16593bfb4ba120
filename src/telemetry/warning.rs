//! What a person should know, in words, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// It is slower, or will be.
    Warning,
    /// Something will break.
    Danger,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind: one of each at a time.
    pub id: &'static str,
    pub level: Level,
    /// One short sentence.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl Warning {
    /// Something that is so.
    pub(super) fn new(id: &'static str, level: Level, what: String, next: impl Into<String>) -> Self {
        Self { id, level, what, next: next.into() }
    }
}
