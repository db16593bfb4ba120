//! Experiments: inputs in, rows out. No screen here; the window and the command line show them.

pub mod batching;
pub mod bench;
mod bootstrap;
mod columns;
pub mod conll;
pub mod doubts;
pub mod eval_entities;
pub mod eval_questions;
pub mod eval_rewriting;
pub mod evaluate;
pub mod extract;
pub mod footprint;
mod labels;
pub mod language_bench;
pub mod lines;
pub mod measure;
pub mod notes;
pub mod occlusion;
pub mod overlap;
pub mod perplexity;
pub mod pieces;
pub mod precisions;
pub mod rewriting_bench;
pub mod squad;
pub mod summaries;
pub mod tags;
pub mod teach;
