//! The thread that reads the sources five times a second.

use super::sources::Sources;
use super::store::Store;
use crossbeam_channel::{RecvTimeoutError, Sender};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// CPU counters tick at 100 Hz: shorter periods would show their grain.
pub const PERIOD: Duration = Duration::from_millis(200);

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
    /// Starts sampling what is below `root` into `store`.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(store: SharedStore, root: PathBuf) -> std::io::Result<Self> {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let thread = std::thread::Builder::new().name("glossa-telemetry".into()).spawn(move || {
            let mut sources = Sources::probe(&root);
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let time = lock(&store).now();
                let sample = sources.read(time);
                lock(&store).push_sample(sample);
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
