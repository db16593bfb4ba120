//! The engine, the command line and the architecture, each as its users meet it.

mod architecture;
mod bad_input;
mod boards;
mod catalogue;
mod chat;
mod cli;
mod engine;
mod evaluations;
mod fake;
mod files;
mod gguf;
mod hostile;
mod hub;
mod hub_server;
mod models;
mod models_cli;
mod mutated;
mod odd_boards;
mod odd_checkpoints;
mod odd_files;
mod parts;
mod reading;
mod rewriting;
mod sentences;
mod shipped;
mod soak;
