//! The line of texts that wait for room: who came later does not overtake. And which page of a common beginning is being
//! read by whom, so that nobody reads it beside him.

use crate::nn::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The texts of one model that wait for room.
#[derive(Clone, Default)]
pub struct Line {
    next: Arc<AtomicU64>,
    waiting: Arc<Mutex<BTreeSet<u64>>>,
    /// Pages that are half read, by name: whose they are.
    pages: Arc<Mutex<BTreeMap<u64, u64>>>,
}

/// A text's place, which it gives up when it is dropped.
pub struct Place {
    line: Line,
    number: u64,
    is_waiting: bool,
}

impl Line {
    /// The place of a text that has just come.
    pub fn place(&self) -> Place {
        Place { line: self.clone(), number: self.next.fetch_add(1, Ordering::Relaxed), is_waiting: false }
    }
}

impl Place {
    /// Order of arrival.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether nobody waits who came before.
    pub fn is_first(&self) -> bool {
        lock(&self.line.waiting).first().is_none_or(|first| *first >= self.number)
    }

    /// Whether another text is reading this page.
    pub fn is_taken(&self, page: u64) -> bool {
        lock(&self.line.pages).get(&page).is_some_and(|number| *number != self.number)
    }

    /// Notes the page that it has half read, if any.
    pub fn take(&self, page: Option<u64>) {
        let mut pages = lock(&self.line.pages);
        pages.retain(|_, number| *number != self.number);
        if let Some(page) = page {
            pages.entry(page).or_insert(self.number);
        }
    }

    /// Whether it waits.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Stands in line, or leaves it.
    pub fn wait(&mut self, is_waiting: bool) {
        let mut waiting = lock(&self.line.waiting);
        if is_waiting {
            waiting.insert(self.number);
        } else {
            waiting.remove(&self.number);
        }
        self.is_waiting = is_waiting;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.line.waiting).remove(&self.number);
        self.take(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_overtakes_and_who_leaves_makes_way() {
        let line = Line::default();
        let (mut a, mut b, c) = (line.place(), line.place(), line.place());
        assert!(a.is_first() && b.is_first() && c.is_first(), "nobody waits");
        b.wait(true);
        assert!(a.is_first() && b.is_first() && !c.is_first());
        a.wait(true);
        assert!(!b.is_first());
        a.wait(false);
        assert!(b.is_first() && !c.is_first());
        drop(b);
        assert!(c.is_first());
    }

    #[test]
    fn a_page_is_read_by_one() {
        let line = Line::default();
        let (a, b) = (line.place(), line.place());
        a.take(Some(7));
        b.take(Some(7));
        assert!(b.is_taken(7) && !a.is_taken(7) && !b.is_taken(8));
        a.take(Some(8));
        assert!(!b.is_taken(7) && b.is_taken(8));
        drop(a);
        assert!(!b.is_taken(8));
    }
}
