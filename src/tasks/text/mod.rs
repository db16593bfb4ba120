//! What can be said of a text without a model: where its sentences end, how it is built, what looks like a date.

pub mod patterns;
pub mod sentences;
pub mod structure;
