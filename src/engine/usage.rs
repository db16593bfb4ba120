//! What the engine holds in memory, readable from any thread at any time.

use super::models::Models;
use crate::nn::runtime::GpuMemory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counters that the worker keeps up to date.
#[derive(Debug, Default)]
pub struct Usage {
    weights: AtomicUsize,
    caches: AtomicUsize,
    on_cuda: AtomicBool,
}

impl Usage {
    /// Counts anew.
    pub(super) fn count(&self, models: &Models) {
        let (weights, caches) = models.bytes();
        self.weights.store(weights, Ordering::Relaxed);
        self.caches.store(caches, Ordering::Relaxed);
    }

    /// Notes whether models lie on a GPU.
    pub(super) fn on_cuda(&self, is_used: bool) {
        self.on_cuda.store(is_used, Ordering::Relaxed);
    }
}

/// What the engine holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of all loaded models' weights.
    pub weights: usize,
    /// Bytes of keys and values of conversations.
    pub caches: usize,
    /// Requests waiting or running.
    pub queue: usize,
    /// Free and total bytes on the GPU as the driver says, where CUDA is in use.
    pub gpu: Option<(usize, usize)>,
}

/// Reads [`Held`] from another thread.
pub struct UsageReader {
    pub(super) usage: Arc<Usage>,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) gpu: Option<GpuMemory>,
}

impl UsageReader {
    /// What is held now. The first call after CUDA has come into use opens the driver's context once
    /// more on this thread; that takes no memory on the GPU.
    pub fn read(&mut self) -> Held {
        if !self.usage.on_cuda.load(Ordering::Relaxed) {
            self.gpu = None;
        } else if self.gpu.is_none() {
            self.gpu = GpuMemory::open();
        }
        Held {
            weights: self.usage.weights.load(Ordering::Relaxed),
            caches: self.usage.caches.load(Ordering::Relaxed),
            queue: self.in_flight.load(Ordering::Acquire),
            gpu: self.gpu.as_ref().and_then(GpuMemory::read),
        }
    }
}
