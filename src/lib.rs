//! Glossa: language AI shown at work, the models on one side and the hardware's curves on the
//! other. ARCHITECTURE.md has the map.

pub mod app;
pub mod cli;
pub mod disk;
pub mod engine;
pub mod error;
pub mod labs;
pub mod memory;
pub mod models;
pub mod nn;
pub mod tasks;
pub mod telemetry;
