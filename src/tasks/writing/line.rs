//! The line of texts that wait for room: who came later does not overtake.

use crate::nn::lock;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The texts of one model that wait for room.
#[derive(Clone, Default)]
pub struct Line {
    next: Arc<AtomicU64>,
    waiting: Arc<Mutex<BTreeSet<u64>>>,
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
}
