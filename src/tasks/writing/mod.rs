//! Tasks that write on: a decoder, token by token.

pub mod beams;
pub mod chat;
pub mod generate;
pub mod language;
mod line;
pub mod options;
mod pace;
mod plan;
mod step;
#[cfg(test)]
mod tests;
mod text;
