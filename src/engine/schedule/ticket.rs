//! What the scheduler is shown and what it says, and its constants.

use crate::engine::message::Priority;
use std::sync::Arc;

/// Milliseconds of step time that a model gets in a round.
pub const QUANTUM: f64 = 10.0;
/// Milliseconds that a model's steps may run ahead of its quanta; what exceeds them is forgiven.
pub const DEBT: f64 = 1000.0;
/// Milliseconds after which a waiting batch request may lead a step beside interactive ones, and
/// after which a client goes before those with less service.
pub const AGE: f64 = 2000.0;
/// Tokens of batch requests that may ride along in a step that others lead: a sixteenth of a step of
/// 1024, so that they slow it by milliseconds.
pub const RIDE: usize = 64;
/// Fewest tokens worth reading in a step, of a text that has as many: each request in a step costs
/// something by itself.
pub const MIN_SHARE: usize = 16;
/// Of this many parts of a step those that write leave one to those that read, if they need it; at
/// least [`MIN_SHARE`] of a step of twice as many.
pub const READING: usize = 4;

/// What the scheduler needs to know of a waiting or running request.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Names the request; for the caller, the scheduler doesn't look.
    pub id: u64,
    /// On whose behalf: clients share a model equally.
    pub client: u64,
    pub priority: Priority,
    /// Requests with equal keys can share a forward step.
    pub model: Arc<str>,
    /// Order of arrival.
    pub arrived: u64,
    /// When it was submitted or last took part in a step.
    pub waiting_since: f64,
    /// Tokens that it could use in the next step: 1 for one that writes, what is unread for others.
    pub load: usize,
    /// Work on it has begun: it holds memory.
    pub is_open: bool,
}

impl Ticket {
    /// Whether it writes: begun, and one token a step.
    pub(super) fn is_writer(&self) -> bool {
        self.is_open && self.load <= 1
    }

    pub(super) fn is_interactive(&self) -> bool {
        self.priority == Priority::Interactive
    }

    pub(super) fn is_aged(&self, now: f64) -> bool {
        now - self.waiting_since >= AGE
    }

    pub(super) fn line(&self) -> Line {
        (self.priority, if self.is_writer() { Kind::Writes } else { Kind::Reads })
    }
}

/// The next step: one model and who takes part, those that lead first and of them the writers. Never
/// without shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub model: Arc<str>,
    /// The lowest priority among those that lead: [`Priority::Batch`] beside interactive requests only
    /// where some have waited long.
    pub leads: Priority,
    pub shares: Vec<Share>,
}

/// One request's part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which of the tickets.
    pub index: usize,
    /// It may take as many, at least 1 and never more than its load.
    pub tokens: usize,
}

/// What a request does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Reads,
    Writes,
}

/// Requests that queue together. Service is counted in each by itself: who writes a lot doesn't
/// read less for it.
pub type Line = (Priority, Kind);
