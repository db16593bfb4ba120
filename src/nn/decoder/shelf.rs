//! Keys and values on a device, kept between texts whole: there a text is not cut into pages.

use super::device::DeviceCache;
use super::pages::{Usage, pages_of, shared};
use crate::nn::{NnError, lock};
use std::sync::{Arc, Mutex};

/// Texts whose keys and values are kept.
const KEPT: usize = 3;

#[derive(Default)]
struct Kept {
    tokens: Vec<u32>,
    cache: DeviceCache,
}

struct State {
    /// The texts that nobody reads or writes, oldest first.
    kept: Vec<Kept>,
    /// Texts at work, and their bytes and tokens.
    texts: usize,
    bytes: usize,
    tokens: usize,
    /// Texts at work at a time.
    limit: usize,
}

/// The texts of one model.
#[derive(Clone)]
pub struct Shelf(Arc<Mutex<State>>);

/// A text's cache in use. It goes back when it is dropped, however the request ends.
pub struct DeviceKept {
    shelf: Shelf,
    kept: Kept,
    is_shared: bool,
    is_spoiled: bool,
    /// What it counts for: bytes and tokens.
    counted: (usize, usize),
}

impl Default for Shelf {
    fn default() -> Self {
        let state = State { kept: Vec::new(), texts: 0, bytes: 0, tokens: 0, limit: usize::MAX };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Shelf {
    pub fn set_limit(&self, texts: usize) {
        lock(&self.0).limit = texts;
    }

    pub fn bytes(&self) -> usize {
        let state = lock(&self.0);
        state.bytes + state.kept.iter().map(|k| k.cache.bytes()).sum::<usize>()
    }

    /// What is held, counted in pages' tokens.
    pub fn usage(&self) -> Usage {
        let state = lock(&self.0);
        let kept: usize = state.kept.iter().map(|k| pages_of(k.tokens.len())).sum();
        let held = pages_of(state.tokens);
        Usage { pages: held + kept, held, promised: 0, limit: usize::MAX, texts: state.texts }
    }

    pub fn clear(&self) {
        lock(&self.0).kept.clear();
    }

    /// An empty text that is not kept.
    pub fn text(&self, cache: DeviceCache) -> DeviceKept {
        self.use_it(Kept { tokens: Vec::new(), cache }, false)
    }

    /// A text that holds as much of the beginning of `prompt` as is known, but never its last token; `None` while too
    /// many are at work.
    pub fn admit(&self, prompt: &[u32], fresh: impl Fn() -> DeviceCache) -> Option<DeviceKept> {
        let mut state = lock(&self.0);
        if state.texts >= state.limit {
            return None;
        }
        let all = &mut state.kept;
        let best = (0..all.len()).max_by_key(|&i| shared(&all[i].tokens, prompt));
        // Another text's cache is not cut down for the few words that all begin with.
        let useful = best.filter(|&i| 2 * shared(&all[i].tokens, prompt) >= all[i].tokens.len());
        let chosen = useful.or_else(|| (all.len() >= KEPT).then_some(0));
        let kept = chosen.map(|index| all.remove(index));
        let mut kept = kept.unwrap_or_else(|| Kept { tokens: Vec::new(), cache: fresh() });
        // The one that begins needs its room.
        while state.kept.len() + state.texts >= state.limit && !state.kept.is_empty() {
            state.kept.remove(0);
        }
        drop(state);
        let known = shared(&kept.tokens, prompt).min(prompt.len().saturating_sub(1));
        kept.tokens.truncate(known);
        kept.cache.len = known;
        Some(self.use_it(kept, true))
    }

    fn use_it(&self, kept: Kept, is_shared: bool) -> DeviceKept {
        lock(&self.0).texts += usize::from(is_shared);
        let mut text = DeviceKept { shelf: self.clone(), kept, is_shared, is_spoiled: false, counted: (0, 0) };
        text.count();
        text
    }
}

impl DeviceKept {
    pub fn tokens(&self) -> &[u32] {
        &self.kept.tokens
    }

    /// The cache, into which `ids` are about to be read. Should that fail, it has other tokens than are noted, and is not
    /// kept.
    pub fn extend(&mut self, ids: &[u32]) -> &mut DeviceCache {
        self.count();
        // What an earlier step that failed had noted is not there.
        self.kept.tokens.truncate(self.kept.cache.len);
        self.kept.tokens.extend_from_slice(ids);
        &mut self.kept.cache
    }

    /// What it holds is not kept.
    pub fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    pub fn truncate(&mut self, len: usize) {
        self.kept.tokens.truncate(len);
        self.kept.cache.len = self.kept.cache.len.min(len);
    }

    /// A copy with memory of its own.
    ///
    /// # Errors
    /// The device's own, such as out of memory.
    pub fn fork(&self) -> Result<Self, NnError> {
        let cache = self.kept.cache.fork()?;
        Ok(self.shelf.use_it(Kept { tokens: self.tokens().to_vec(), cache }, false))
    }

    /// Brings what it counts for up to date.
    fn count(&mut self) {
        let now = (self.kept.cache.bytes(), self.kept.tokens.len());
        let mut state = lock(&self.shelf.0);
        state.bytes = state.bytes + now.0 - self.counted.0;
        state.tokens = state.tokens + now.1 - self.counted.1;
        self.counted = now;
    }
}

impl Drop for DeviceKept {
    fn drop(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.count();
        let mut state = lock(&self.shelf.0);
        if !self.is_shared {
            return;
        }
        state.texts -= 1;
        // After a fault the content may be half written.
        if kept.cache.len == kept.tokens.len() && !self.is_spoiled && !std::thread::panicking() {
            state.kept.push(kept);
            // Those at work and those kept have room together.
            while state.kept.len() > KEPT.min(state.limit.saturating_sub(state.texts)) {
                state.kept.remove(0);
            }
        }
    }
}
