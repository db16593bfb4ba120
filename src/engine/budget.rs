//! Which models may stay in memory. Pure: counts bytes, evicts the least recently used.

/// Sizes and ages of the loaded models.
#[derive(Debug, Default)]
pub struct Budget {
    limit: usize,
    clock: u64,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    key: String,
    bytes: usize,
    used: u64,
    /// Planned, and not yet there to be dropped.
    is_reserved: bool,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Notes that `key` was used now, and how large it is.
    pub fn touch(&mut self, key: &str, bytes: usize) {
        self.clock += 1;
        self.forget(key);
        self.held.push(Held { key: key.to_owned(), bytes, used: self.clock, is_reserved: false });
    }

    /// Counts `bytes` for `key`, which is still to be read; [`Self::touch`] makes it real, [`Self::forget`] undoes it.
    pub fn reserve(&mut self, key: &str, bytes: usize) {
        self.touch(key, bytes);
        self.held.iter_mut().filter(|h| h.key == key).for_each(|h| h.is_reserved = true);
    }

    /// Notes that `key` is another size now; it was not used.
    pub fn resize(&mut self, key: &str, bytes: usize) {
        if let Some(held) = self.held.iter_mut().find(|h| h.key == key) {
            held.bytes = bytes;
        }
    }

    /// Removes `key`.
    pub fn forget(&mut self, key: &str) {
        self.held.retain(|h| h.key != key);
    }

    /// Models to drop so that `incoming` bytes fit beside what stays, oldest first; never those to
    /// `keep`.
    pub fn evict(&self, incoming: usize, keep: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut by_age: Vec<&Held> = self.held.iter().filter(|h| !h.is_reserved && !keep(&h.key)).collect();
        by_age.sort_by_key(|h| h.used);
        let mut total = self.total().saturating_add(incoming);
        let mut out = Vec::new();
        for held in by_age {
            if total <= self.limit {
                break;
            }
            total -= held.bytes;
            out.push(held.key.clone());
        }
        out
    }

    /// The least recently used, but none of those to `keep`.
    pub fn oldest(&self, keep: &dyn Fn(&str) -> bool) -> Option<String> {
        let free = self.held.iter().filter(|h| !h.is_reserved && !keep(&h.key));
        free.min_by_key(|h| h.used).map(|h| h.key.clone())
    }

    /// Whether `incoming` bytes fit beside what is held.
    pub fn has_room(&self, incoming: usize) -> bool {
        self.total().saturating_add(incoming) <= self.limit
    }

    /// Bytes held or reserved, of `keys` alone.
    pub fn of(&self, keys: &[String]) -> usize {
        self.held.iter().filter(|h| keys.contains(&h.key)).map(|h| h.bytes).sum()
    }

    /// Bytes held or reserved.
    pub fn total(&self) -> usize {
        self.held.iter().map(|h| h.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut budget = Budget::new(100);
        budget.touch("a", 40);
        budget.touch("b", 40);
        budget.touch("a", 40);
        assert!(budget.evict(20, &str::is_empty).is_empty());
        assert_eq!(budget.evict(30, &str::is_empty), ["b"]);
        assert_eq!(budget.evict(90, &str::is_empty), ["b", "a"]);
        assert_eq!(budget.evict(90, &|k| k == "b"), ["a"]);
        assert_eq!(budget.oldest(&|k| k == "b").as_deref(), Some("a"));
        budget.forget("b");
        assert_eq!(budget.total(), 40);
        budget.reserve("c", 50);
        assert!(budget.has_room(10) && !budget.has_room(11));
        assert_eq!(budget.evict(90, &str::is_empty), ["a"], "what is only planned cannot go");
        budget.touch("c", 60);
        assert_eq!((budget.total(), budget.of(&["c".into()])), (100, 60));
    }
}
