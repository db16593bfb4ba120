//! What the engine holds in memory, readable from any thread at any time.

use super::models::Models;
use super::submission::Ledger;
use crate::nn::lock;
use crate::nn::runtime::GpuMemory;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Counters that the worker keeps up to date.
#[derive(Debug, Default)]
pub struct Usage {
    weights: AtomicUsize,
    caches: AtomicUsize,
    on_cuda: AtomicBool,
    sequences: AtomicUsize,
    pages: AtomicUsize,
    page_limit: AtomicUsize,
    held_pages: AtomicUsize,
    promised_pages: AtomicUsize,
    /// Steps and rows so far, together: each reader counts from where it was.
    steps: Mutex<(usize, usize)>,
    /// Rows that the step which runs now may take; 0 while none runs.
    running: AtomicUsize,
}

impl Usage {
    /// Counts anew.
    pub(super) fn count(&self, models: &Models) {
        let (weights, caches) = models.bytes();
        self.weights.store(weights, Ordering::Relaxed);
        self.caches.store(caches, Ordering::Relaxed);
        let held = models.occupancy();
        self.sequences.store(held.sequences, Ordering::Relaxed);
        self.pages.store(held.pages, Ordering::Relaxed);
        self.page_limit.store(held.limit, Ordering::Relaxed);
        self.held_pages.store(held.held, Ordering::Relaxed);
        self.promised_pages.store(held.promised, Ordering::Relaxed);
    }

    /// A step begins that may take so many rows. It may be long, and is told while it runs.
    pub(super) fn begin_step(&self, rows: usize) {
        self.running.store(rows, Ordering::Relaxed);
    }

    /// Counts a step of so many rows.
    pub(super) fn step(&self, rows: usize) {
        self.running.store(0, Ordering::Relaxed);
        let mut steps = lock(&self.steps);
        *steps = (steps.0.wrapping_add(1), steps.1.wrapping_add(rows));
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
    /// Rows (tokens) of a step, on average since the last reading, or of the one that runs; 0 if there was none.
    pub rows: usize,
    /// Texts that are read or written by models that keep keys and values in pages; pages in use, and all that there may
    /// be.
    pub sequences: usize,
    pub pages: usize,
    pub page_limit: usize,
    /// Of the pages in use, those that running texts hold; the others are kept for later. And those that they may still
    /// take.
    pub held_pages: usize,
    pub promised_pages: usize,
    /// Free and total bytes on the GPU as the driver says, where CUDA is in use.
    pub gpu: Option<(usize, usize)>,
}

/// Reads [`Held`] from another thread.
pub struct UsageReader {
    pub(super) usage: Arc<Usage>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) gpu: Option<GpuMemory>,
    /// Steps and rows at the last reading.
    pub(super) seen: (usize, usize),
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
        let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let now = *lock(&self.usage.steps);
        let (steps, rows) = (now.0.wrapping_sub(self.seen.0), now.1.wrapping_sub(self.seen.1));
        self.seen = now;
        let queue = self.ledger.open();
        let running = if queue > 0 { load(&self.usage.running) } else { 0 };
        Held {
            weights: self.usage.weights.load(Ordering::Relaxed),
            caches: self.usage.caches.load(Ordering::Relaxed),
            queue,
            rows: rows.checked_div(steps).unwrap_or(running),
            sequences: load(&self.usage.sequences),
            pages: load(&self.usage.pages),
            page_limit: load(&self.usage.page_limit),
            held_pages: load(&self.usage.held_pages),
            promised_pages: load(&self.usage.promised_pages),
            gpu: self.gpu.as_ref().and_then(GpuMemory::read),
        }
    }
}
