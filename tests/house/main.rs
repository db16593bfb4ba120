//! The engine, the command line and the architecture, each as its users meet it.

mod architecture;
mod bad_input;
mod cli;
mod engine;
mod fake;
mod shipped;
