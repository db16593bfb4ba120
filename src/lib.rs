//! Glossa: language AI shown at work, the models on one side and the hardware's curves on the
//! other. ARCHITECTURE.md has the map.

pub mod engine;
pub mod error;
pub mod models;
pub mod nn;
pub mod tasks;
