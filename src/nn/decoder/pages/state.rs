//! What a pool knows: pages, who holds them, what is promised. Everything here happens under the pool's lock.

use super::PAGE;
use super::prefix::{Found, NodeId, Noted, Prefixes};

/// Pages that so many tokens take.
pub fn pages_of(tokens: usize) -> usize {
    tokens.div_ceil(PAGE)
}

/// A page.
struct Slot {
    /// Its numbers, never moved while somebody holds the page; none where it is free and its memory was given back.
    memory: Box<[u16]>,
    /// Tables that hold it.
    tables: u32,
    node: Option<NodeId>,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pages that hold something, those kept for later included.
    pub pages: usize,
    /// Of these, held by texts that are read or written.
    pub held: usize,
    /// Pages that running texts may still take.
    pub promised: usize,
    pub limit: usize,
    /// Texts that were admitted and have not ended.
    pub texts: usize,
}

pub(super) struct State {
    /// u16 numbers of a page.
    size: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    prefixes: Prefixes,
    pub usage: Usage,
}

impl State {
    pub fn new(size: usize) -> Self {
        let usage = Usage { limit: usize::MAX, ..Usage::default() };
        Self { size, slots: Vec::new(), free: Vec::new(), prefixes: Prefixes::default(), usage }
    }

    /// Bytes of all pages, in use or not.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.memory.len() * 2).sum()
    }

    fn slot(&mut self, page: u32) -> &mut Slot {
        &mut self.slots[page as usize]
    }

    pub fn pointer(&mut self, page: u32) -> *mut u16 {
        self.slot(page).memory.as_mut_ptr()
    }

    /// Whether so many pages more can be promised.
    pub fn has_room(&self, pages: usize) -> bool {
        self.usage.held.saturating_add(self.usage.promised).saturating_add(pages) <= self.usage.limit
    }

    /// A page for one table; what it holds is left over from others. The caller has made sure of the room.
    pub fn take(&mut self) -> Option<u32> {
        while self.usage.pages >= self.usage.limit {
            self.evict()?;
        }
        let page = match self.free.pop() {
            Some(page) => {
                let size = self.size;
                let memory = &mut self.slot(page).memory;
                if memory.is_empty() {
                    *memory = vec![0; size].into();
                }
                page
            }
            None => {
                self.slots.push(Slot { memory: vec![0; self.size].into(), tables: 0, node: None });
                self.slots.len() as u32 - 1
            }
        };
        self.usage.pages += 1;
        self.hold(page);
        Some(page)
    }

    fn evict(&mut self) -> Option<()> {
        let slots = &self.slots;
        let oldest = self.prefixes.oldest(&|page| slots[page as usize].tables == 0)?;
        let page = self.prefixes.remove(oldest)?;
        self.forget(page);
        Some(())
    }

    /// A page that has left the tree.
    fn forget(&mut self, page: u32) {
        let slot = self.slot(page);
        slot.node = None;
        if slot.tables == 0 {
            self.free.push(page);
            self.usage.pages -= 1;
        }
    }

    /// One more table holds the page.
    pub fn hold(&mut self, page: u32) {
        let slot = self.slot(page);
        slot.tables += 1;
        if slot.tables == 1 {
            self.usage.held += 1;
        }
    }

    /// One table less holds it. Whether it is nobody's now.
    pub fn release(&mut self, page: u32) -> bool {
        let slot = self.slot(page);
        slot.tables -= 1;
        if slot.tables > 0 {
            return false;
        }
        let is_kept = slot.node.is_some();
        self.usage.held -= 1;
        if !is_kept {
            self.free.push(page);
            self.usage.pages -= 1;
        }
        !is_kept
    }

    /// Whether a table may write into the page: nobody else reads it.
    pub fn is_own(&mut self, page: u32) -> bool {
        let slot = self.slot(page);
        slot.tables == 1 && slot.node.is_none()
    }

    /// Whether one table alone holds the page.
    pub fn is_held_once(&mut self, page: u32) -> bool {
        self.slot(page).tables == 1
    }

    /// Takes a page out of the tree, if nothing follows it.
    pub fn unnote(&mut self, node: NodeId) -> bool {
        let page = self.prefixes.remove(node);
        page.map(|page| self.forget(page)).is_some()
    }

    /// What `from` holds into `to`.
    pub fn copy(&mut self, from: u32, to: u32) {
        let memory = std::mem::take(&mut self.slot(from).memory);
        self.slot(to).memory.copy_from_slice(&memory);
        self.slot(from).memory = memory;
    }

    /// Pages of these that no table holds: holding them takes room.
    pub fn unheld(&self, pages: &[u32]) -> usize {
        pages.iter().filter(|p| self.slots[**p as usize].tables == 0).count()
    }

    pub fn find(&mut self, tokens: &[u32]) -> Found {
        self.prefixes.find(tokens)
    }

    pub fn next(&mut self, parent: Option<NodeId>, tokens: &[u32]) -> Option<(NodeId, u32)> {
        self.prefixes.next(parent, tokens)
    }

    /// Notes what `page` holds. The page to use from now on (another that holds the same, or this one) with its node.
    pub fn note(&mut self, parent: Option<NodeId>, tokens: &[u32], page: u32) -> Option<(NodeId, u32)> {
        match self.prefixes.note(parent, tokens, page) {
            Noted::Known { node, page } => Some((node, page)),
            Noted::Covered => None,
            Noted::New { node, replaced } => {
                self.slot(page).node = Some(node);
                replaced.into_iter().for_each(|page| self.forget(page));
                Some((node, page))
            }
        }
    }

    /// Forgets every beginning that no running text holds, and gives the memory back that is then free.
    pub fn clear(&mut self) {
        while self.evict().is_some() {}
        for page in &self.free {
            self.slots[*page as usize].memory = Box::default();
        }
    }
}
