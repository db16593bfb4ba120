//! Tasks that say a text in other words: an encoder-decoder, passage by passage.

pub mod abstractive;
pub mod languages;
mod links;
pub mod options;
pub mod passages;
pub mod tasks;
pub mod translate;
