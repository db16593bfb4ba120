//! The thread that reads the sources ten times a second.

use super::channel::PERIOD;
use super::sources::files::Reader;
use super::sources::{Probe, Sources};
use super::store::Store;
use super::watch::Watch;
use crossbeam_channel::{RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Readings between two looks at what is wrong, and at the sampler's own cost.
const SLOW: u32 = 10;

/// Shared by the sampler, which writes, and the window, which draws.
pub type SharedStore = Arc<Mutex<Store>>;

/// The store, whoever panicked while holding it (its rows are whole).
pub fn lock(store: &SharedStore) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running sampler. Dropping it ends the thread at once.
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts sampling what `probe` names into `store`.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(store: SharedStore, probe: Probe) -> std::io::Result<Self> {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let thread = std::thread::Builder::new().name("glossa-telemetry".into()).spawn(move || {
            let mut loop_state = Loop::new(store, probe);
            let mut next = Instant::now();
            while stopped.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
                loop_state.tick();
                // A late reading does not make the next ones come faster.
                next = (next + PERIOD).max(Instant::now());
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread keeps between two readings.
struct Loop {
    store: SharedStore,
    sources: Sources,
    revision: Option<u32>,
    watch: Watch,
    count: u32,
    /// What the kernel counts of this thread, and its processor time (ns) at the last look.
    schedstat: Reader,
    spent: Option<(f64, Instant)>,
}

impl Loop {
    fn new(store: SharedStore, probe: Probe) -> Self {
        let sources = Sources::open(probe);
        let schedstat = Reader::new("/proc/thread-self/schedstat".into());
        Self { store, sources, revision: None, watch: Watch::default(), count: 0, schedstat, spent: None }
    }

    fn tick(&mut self) {
        // The lock is never held while files are read.
        let time = lock(&self.store).now();
        self.sources.read(time);
        let mut store = lock(&self.store);
        if self.revision != Some(self.sources.revision()) {
            self.revision = Some(self.sources.revision());
            store.describe(self.sources.channels(), self.sources.facts());
        }
        store.push_row(time, self.sources.row());
        store.set_read_at(self.sources.read_at());
        if self.count % SLOW == SLOW - 1 {
            self.watch.look(&mut store, time);
        }
        drop(store);
        if self.count.is_multiple_of(SLOW * 5) {
            self.weigh();
        }
        self.count = self.count.wrapping_add(1);
    }

    /// Notes what this thread costs, if the kernel counts it (schedstat's first number).
    fn weigh(&mut self) {
        let Some(ns) = self.schedstat.number(0.0) else { return };
        let now = Instant::now();
        if let Some((before, then)) = self.spent {
            let wall = now.duration_since(then).as_nanos().max(1) as f64;
            lock(&self.store).set_cost((100.0 * (ns - before) / wall) as f32);
        }
        self.spent = Some((ns, now));
    }
}
