//! A kind of source: how it is found, where its values go, when it is read and looked for again.

use super::files::{Root, take_closed};
use super::lane::Lane;
use super::{AGAIN, Source};
use crossbeam_channel::Receiver;
use std::time::{Duration, Instant};

/// A source, or why there is none.
pub(super) type Found = Result<Box<dyn Source>, String>;

/// How a source is found.
pub(super) type Find = Box<dyn FnMut(&Root) -> Found + Send>;

/// What came of looking for a source on a thread of its own: the way to look, what was found, what is closed.
pub(super) struct Search {
    pub find: Find,
    pub found: Found,
    pub closed: Option<String>,
    pub took: Duration,
}

impl Search {
    /// Looks, here and now.
    pub fn run(mut find: Find, root: &Root) -> Self {
        let begun = Instant::now();
        take_closed();
        let found = find(root);
        let closed = take_closed().into_iter().next();
        Self { find, found, closed, took: begun.elapsed() }
    }
}

/// A search that takes no longer than this is made where it is needed.
pub(super) const QUICK: Duration = Duration::from_millis(20);
/// How long a search is waited for; one that takes longer goes on by itself.
pub(super) const SEARCH: Duration = Duration::from_millis(250);

/// A kind of source: how it is found, and what came of it.
pub(super) struct Group {
    pub name: &'static str,
    /// Away while it looks.
    pub find: Option<Find>,
    pub finding: Option<Receiver<Search>>,
    /// Whether the last search was quick.
    pub is_quick: bool,
    pub source: Option<Lane>,
    pub why: String,
    /// Why it cannot be read, where it is there.
    pub closed: Option<String>,
    /// Places of its channels among all; none for what another group gives already.
    pub columns: Vec<Option<usize>>,
    /// The last values; when each is due again, and whether it is now.
    pub row: Vec<f32>,
    pub read_next: Vec<f64>,
    pub due: Vec<bool>,
    /// When it is looked for again at the earliest, and how long it is left alone after that.
    pub next: f64,
    pub pause: f64,
}

impl Group {
    pub fn new(name: &'static str, find: impl FnMut(&Root) -> Found + Send + 'static) -> Self {
        Self {
            name,
            find: Some(Box::new(find)),
            finding: None,
            is_quick: false,
            source: None,
            why: String::new(),
            closed: None,
            columns: Vec::new(),
            row: Vec::new(),
            read_next: Vec::new(),
            due: Vec::new(),
            next: 0.0,
            pause: AGAIN,
        }
    }
}
