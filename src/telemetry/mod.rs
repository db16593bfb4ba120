//! What the hardware does, and what each request cost, on one time axis. Calls nothing of ours.
//!
//! [`sources`] reads, [`sampler`] is the thread that does so ten times a second, [`store`] keeps,
//! [`statistics`] counts, [`scene`] makes of it what one picture shows, [`export`] writes it down.

pub mod channel;
pub mod curve;
pub mod energy;
pub mod export;
pub mod sampler;
pub mod scene;
pub mod sessions;
pub mod sources;
pub mod span;
pub mod statistics;
pub mod stats;
pub mod store;
pub mod table;
pub mod warning;
pub mod watch;
