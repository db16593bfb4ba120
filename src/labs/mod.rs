//! Experiments: inputs in, rows out. No screen here; the window and the command line show them.

pub mod bench;
pub mod evaluate;
pub mod language_bench;
pub mod lines;
pub mod occlusion;
pub mod perplexity;
pub mod pieces;
