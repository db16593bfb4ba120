//! One text's pages.

use super::PAGE;
use super::prefix::NodeId;
use super::state::{State, Usage, pages_of};
use crate::nn::{NnError, lock};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The pages of one model.
#[derive(Clone)]
pub struct Pool(Arc<Mutex<State>>);

/// The pages of one text, in order, with the tokens that they hold.
pub struct Table {
    pool: Pool,
    pages: Vec<u32>,
    tokens: Vec<u32>,
    /// Of its full pages, as far as they are noted.
    nodes: Vec<NodeId>,
    promise: Arc<Promise>,
    /// Whether it was admitted, and counts as a text.
    is_text: bool,
    /// Whether what it reads is kept for others.
    is_shared: bool,
}

/// What a table and its forks were promised. Both numbers change under the pool's lock.
#[derive(Default)]
struct Promise {
    /// Pages that they may still take.
    left: AtomicUsize,
    /// Tables that may take them.
    tables: AtomicUsize,
}

impl Promise {
    fn of(pages: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(pages), tables: AtomicUsize::new(1) })
    }
}

/// Whether a text may begin.
pub enum Admission<T> {
    Ready(T),
    /// When others have ended.
    Wait,
    /// Not even alone: pages that it needs, and all that there are.
    Never {
        needed: usize,
        limit: usize,
    },
}

impl<T> Admission<T> {
    /// With what `then` makes of a text that may begin.
    pub fn map<U>(self, then: impl FnOnce(T) -> U) -> Admission<U> {
        match self {
            Self::Ready(text) => Admission::Ready(then(text)),
            Self::Wait => Admission::Wait,
            Self::Never { needed, limit } => Admission::Never { needed, limit },
        }
    }
}

impl Pool {
    /// Without pages; they come as texts need them. `size`: u16 numbers of one page.
    pub fn new(size: usize) -> Self {
        Self(Arc::new(Mutex::new(State::new(size))))
    }

    /// Allows so many pages in all.
    pub fn set_limit(&self, pages: usize) {
        lock(&self.0).usage.limit = pages;
    }

    /// What is held.
    pub fn usage(&self) -> Usage {
        lock(&self.0).usage
    }

    /// Bytes of memory, free pages included.
    pub fn bytes(&self) -> usize {
        lock(&self.0).bytes()
    }

    /// Forgets what is kept for later.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// An empty table with nothing promised, whose text is not kept for others.
    pub fn table(&self) -> Table {
        let (pages, tokens, nodes) = Default::default();
        let promise = Promise::of(0);
        Table { pool: self.clone(), pages, tokens, nodes, promise, is_text: false, is_shared: false }
    }

    /// A table that holds as much of the beginning of `prompt` as is known, but never its last token: that one is
    /// read for its logits. It is promised room for `most` tokens, and for `more` pages beside.
    pub fn admit(&self, prompt: &[u32], most: usize, more: usize) -> Admission<Table> {
        let mut state = lock(&self.0);
        let all = pages_of(most.max(prompt.len())) + more;
        let limit = state.usage.limit;
        if all > limit {
            return Admission::Never { needed: all, limit };
        }
        let found = state.find(&prompt[..prompt.len().saturating_sub(1)]);
        let needed = all - found.pages.len();
        let unheld = state.unheld(&found.pages);
        if !state.has_room(needed + unheld) {
            return Admission::Wait;
        }
        found.pages.iter().for_each(|page| state.hold(*page));
        let (mut pages, mut promised, mut known) = (found.pages, needed, found.nodes.len() * PAGE);
        if let Some((from, count)) = found.tail {
            // Held meanwhile: taking a page may throw another away.
            state.hold(from);
            if let Some(page) = state.take() {
                state.copy(from, page);
                pages.push(page);
                (promised, known) = (promised - 1, known + count);
            }
            state.release(from);
        }
        state.usage.promised += promised;
        state.usage.texts += 1;
        drop(state);
        let (pool, tokens, nodes) = (self.clone(), prompt[..known].to_vec(), found.nodes);
        let promise = Promise::of(promised);
        Admission::Ready(Table { pool, pages, tokens, nodes, promise, is_text: true, is_shared: true })
    }
}

impl Table {
    /// Whether its pages are `pool`'s.
    pub fn is_of(&self, pool: &Pool) -> bool {
        Arc::ptr_eq(&self.pool.0, &pool.0)
    }

    /// The tokens that it holds.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Where its pages begin. Valid as long as the table is; what lies behind its tokens may be written where
    /// [`Self::reserve`] has made room.
    pub fn pointers(&self) -> Vec<*mut u16> {
        let mut state = lock(&self.pool.0);
        self.pages.iter().map(|p| state.pointer(*p)).collect()
    }

    /// Room for `count` tokens more, in pages of its own.
    ///
    /// # Errors
    /// [`NnError::Pages`] if nothing was promised and nothing is free.
    pub fn reserve(&mut self, count: usize) -> Result<(), NnError> {
        let len = self.tokens.len();
        self.pages_beyond(len);
        let wanted = pages_of(len + count);
        if !len.is_multiple_of(PAGE) && wanted > 0 {
            self.own_last()?;
        }
        while self.pages.len() < wanted {
            let page = self.take()?;
            self.pages.push(page);
        }
        Ok(())
    }

    /// The last page is copied if others read it.
    fn own_last(&mut self) -> Result<(), NnError> {
        let Some(&last) = self.pages.last() else { return Ok(()) };
        if lock(&self.pool.0).is_own(last) {
            return Ok(());
        }
        let page = self.take()?;
        let mut state = lock(&self.pool.0);
        state.copy(last, page);
        state.release(last);
        if let Some(place) = self.pages.last_mut() {
            *place = page;
        }
        Ok(())
    }

    /// A page, of those promised or of those that are nobody's.
    fn take(&self) -> Result<u32, NnError> {
        let mut state = lock(&self.pool.0);
        let left = self.promise.left.load(Ordering::Relaxed);
        if left > 0 {
            self.promise.left.store(left - 1, Ordering::Relaxed);
            state.usage.promised -= 1;
        } else if !state.has_room(1) {
            return Err(NnError::Pages { limit: state.usage.limit });
        }
        let limit = state.usage.limit;
        state.take().ok_or(NnError::Pages { limit })
    }

    /// Notes that `ids` have been read behind what it holds.
    pub fn extend(&mut self, ids: &[u32]) {
        self.tokens.extend_from_slice(ids);
        if !self.is_shared {
            return;
        }
        let pool = self.pool.clone();
        let mut state = lock(&pool.0);
        while (self.nodes.len() + 1) * PAGE <= self.tokens.len() {
            let at = self.nodes.len();
            let (parent, own) = (self.nodes.last().copied(), self.pages[at]);
            let Some((node, page)) = state.note(parent, &self.tokens[at * PAGE..(at + 1) * PAGE], own) else { break };
            if page != own {
                // Somebody else has read the same: one of them is enough.
                state.hold(page);
                state.release(own);
                self.pages[at] = page;
            }
            self.nodes.push(node);
        }
    }

    /// Takes over what others have read meanwhile of `prompt`, whose beginning it holds. Tokens that it gained.
    pub fn catch_up(&mut self, prompt: &[u32]) -> usize {
        let before = self.tokens.len();
        if !self.is_shared || before != self.nodes.len() * PAGE {
            return 0;
        }
        self.pages_beyond(before);
        let pool = self.pool.clone();
        let mut state = lock(&pool.0);
        while let Some(next) = prompt.get(self.tokens.len()..self.tokens.len() + PAGE)
            && self.tokens.len() + PAGE < prompt.len()
            && let Some((node, page)) = state.next(self.nodes.last().copied(), next)
        {
            state.hold(page);
            let left = self.promise.left.load(Ordering::Relaxed);
            if left > 0 {
                self.promise.left.store(left - 1, Ordering::Relaxed);
                state.usage.promised -= 1;
            }
            self.pages.push(page);
            self.nodes.push(node);
            self.tokens.extend_from_slice(next);
        }
        self.tokens.len() - before
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.nodes.truncate(len / PAGE);
        self.pages_beyond(self.tokens.len());
    }

    /// Gives pages back that hold nothing of the first `len` tokens.
    fn pages_beyond(&mut self, len: usize) {
        let wanted = pages_of(len);
        if self.pages.len() > wanted {
            let mut state = lock(&self.pool.0);
            let gone = self.pages.split_off(wanted);
            release(&mut state, &gone, &self.promise);
        }
    }

    /// Nobody else shall begin with what it holds: what it has noted goes out of the tree, as far as nobody has begun with
    /// it, and nothing more of it is noted.
    pub fn spoil(&mut self) {
        self.is_shared = false;
        let mut state = lock(&self.pool.0);
        while let Some(node) = self.nodes.pop() {
            let page = self.pages[self.nodes.len()];
            if !state.is_held_once(page) || !state.unnote(node) {
                break;
            }
        }
    }

    /// A copy that goes its own way; pages are copied when one of the two writes into them. What it reads is not
    /// kept for others.
    pub fn fork(&self) -> Self {
        let mut state = lock(&self.pool.0);
        self.pages.iter().for_each(|page| state.hold(*page));
        self.promise.tables.fetch_add(1, Ordering::Relaxed);
        drop(state);
        let (pages, tokens, nodes) = (self.pages.clone(), self.tokens.clone(), self.nodes.clone());
        let (pool, promise) = (self.pool.clone(), Arc::clone(&self.promise));
        Self { pool, pages, tokens, nodes, promise, is_text: false, is_shared: false }
    }
}

/// Pages that nobody holds any more go back to where they were promised from.
fn release(state: &mut State, pages: &[u32], promise: &Promise) {
    for page in pages {
        if state.release(*page) && state.has_room(1) {
            promise.left.fetch_add(1, Ordering::Relaxed);
            state.usage.promised += 1;
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let pool = self.pool.clone();
        let mut state = lock(&pool.0);
        let full = self.tokens.len() / PAGE;
        // After a panic the content may be half written, but never that of noted tokens.
        if self.is_shared && self.nodes.len() == full && !std::thread::panicking() {
            let tail = &self.tokens[full * PAGE..];
            if let Some(&page) = self.pages.get(full).filter(|_| tail.len() > 1)
                && state.is_own(page)
            {
                state.note(self.nodes.last().copied(), tail, page);
            }
        }
        release(&mut state, &self.pages, &self.promise);
        if self.promise.tables.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.usage.promised -= self.promise.left.swap(0, Ordering::Relaxed);
        }
        state.usage.texts -= usize::from(self.is_text);
    }
}
