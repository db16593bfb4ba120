//! Tasks that read: an encoder and what stands on it.

pub mod classify;
pub mod embed;
pub mod encoder;
pub mod entities;
pub mod options;
mod pooled;
pub mod questions;
pub mod sentiment;
pub mod summarize;
pub mod vectors;
