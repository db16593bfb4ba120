//! What the hardware does, and what each request cost, on one time axis. Calls nothing of ours.

pub mod sampler;
pub mod sources;
pub mod stats;
pub mod store;
