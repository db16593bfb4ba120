//! Keys and values kept between requests, so that a conversation is read once.

use crate::nn::NnError;
use crate::nn::decoder::{Cache, Decoder};
use crate::nn::lock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Conversations whose keys and values are kept.
const KEPT: usize = 3;

/// A cache with the tokens that it holds.
struct Kept {
    tokens: Vec<u32>,
    cache: Cache,
}

/// The caches that no request is using, oldest first, and the bytes of those that one is.
#[derive(Default)]
struct Pool {
    kept: Mutex<Vec<Kept>>,
    lent_bytes: AtomicUsize,
}

/// The caches of a model.
#[derive(Clone, Default)]
pub struct Caches(Arc<Pool>);

/// A cache in use. It goes back when it is dropped, however the request ends.
pub struct Lent {
    caches: Caches,
    kept: Option<Kept>,
    /// What it counts for among the lent bytes.
    bytes: usize,
}

fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

impl Caches {
    /// Bytes held, in use or not.
    pub fn bytes(&self) -> usize {
        let kept: usize = lock(&self.0.kept).iter().map(|k| k.cache.bytes()).sum();
        kept + self.0.lent_bytes.load(Ordering::Relaxed)
    }

    /// A cache for `prompt` that holds as much of its beginning as is known, but never its last
    /// token: that one is read for its logits.
    pub fn lend(&self, decoder: &Decoder, prompt: &[u32]) -> Lent {
        let mut all = lock(&self.0.kept);
        let best = (0..all.len()).max_by_key(|&i| shared(&all[i].tokens, prompt));
        // Another conversation's cache is not cut down for the few words that all begin with.
        let useful = best.filter(|&i| 2 * shared(&all[i].tokens, prompt) >= all[i].tokens.len());
        let chosen = useful.or_else(|| (all.len() >= KEPT).then_some(0));
        let mut kept = match chosen {
            Some(index) => all.remove(index),
            None => Kept { tokens: Vec::new(), cache: decoder.cache() },
        };
        let known = shared(&kept.tokens, prompt).min(prompt.len().saturating_sub(1));
        kept.tokens.truncate(known);
        kept.cache.truncate(known);
        let mut lent = Lent { caches: self.clone(), kept: Some(kept), bytes: 0 };
        lent.count();
        lent
    }
}

impl Lent {
    /// The tokens that it holds.
    pub fn tokens(&self) -> &[u32] {
        self.kept.as_ref().map_or(&[], |k| &k.tokens)
    }

    /// A copy of its keys and values.
    ///
    /// # Errors
    /// An error of the device.
    pub fn fork(&self) -> Result<Option<Cache>, NnError> {
        self.kept.as_ref().map(|k| k.cache.fork()).transpose()
    }

    /// Reads `ids` with `read`, and notes them.
    pub fn extend<R, E>(&mut self, ids: &[u32], read: impl FnOnce(&mut Cache) -> Result<R, E>) -> Option<Result<R, E>> {
        let kept = self.kept.as_mut()?;
        let result = read(&mut kept.cache);
        if result.is_ok() {
            kept.tokens.extend_from_slice(ids);
        }
        self.count();
        Some(result)
    }

    /// Brings the lent bytes up to date.
    fn count(&mut self) {
        let bytes = self.kept.as_ref().map_or(0, |k| k.cache.bytes());
        let all = &self.caches.0.lent_bytes;
        all.fetch_add(bytes, Ordering::Relaxed);
        all.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let kept = self.kept.take();
        self.count();
        // After a panic the content may be half written.
        if let Some(kept) = kept.filter(|k| k.cache.len() == k.tokens.len() && !std::thread::panicking()) {
            let mut all = lock(&self.caches.0.kept);
            all.push(kept);
            if all.len() > KEPT {
                all.remove(0);
            }
        }
    }
}
