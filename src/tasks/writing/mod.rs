//! Tasks that write on: a decoder, token by token.

pub mod beams;
mod caches;
pub mod chat;
pub mod generate;
pub mod language;
pub mod options;
