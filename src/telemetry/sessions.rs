//! Latencies of the whole session, task by task, in memory of fixed size.

use super::span::{Heat, Outcome, Span};
use super::stats::Percentiles;
use hdrhistogram::Histogram;

/// A request's latency, and what it brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub task: &'static str,
    pub end: f64,
    pub ms: f32,
    pub done: u32,
    pub generated: u32,
    pub outcome: Outcome,
    pub heat: Heat,
}

impl From<&Span> for Entry {
    fn from(span: &Span) -> Self {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            task: span.task,
            end: span.end,
            ms: span.total_ms as f32,
            done: count(span.done),
            generated: count(span.generated),
            outcome: span.outcome,
            heat: span.heat,
        }
    }
}

/// Longest latency that the session's histograms tell apart, in µs: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Significant figures: a percentile is off by at most 0.1 %.
const FIGURES: u8 = 3;

/// Latencies of a task since the start, in a histogram of fixed size (HDR: Tene 2012).
#[derive(Clone)]
pub struct Session {
    pub task: &'static str,
    warm: Histogram<u32>,
    pub cold: usize,
}

impl Session {
    /// Percentiles in ms of all requests that did not wait for a model; each off by 0.1 % at most.
    pub fn latency(&self) -> Option<Percentiles> {
        let n = usize::try_from(self.warm.len()).unwrap_or(usize::MAX);
        let at = |q: f64| self.warm.value_at_quantile(q) as f64 / 1e3;
        let mean = self.warm.mean() / 1e3;
        (n > 0).then(|| Percentiles { p50: at(0.50), p95: at(0.95), p99: at(0.99), mean, n })
    }
}

/// The whole session, task by task.
#[derive(Clone, Default)]
pub struct Sessions(Vec<Session>);

impl Sessions {
    /// Counts a request.
    pub fn add(&mut self, entry: &Entry) {
        let place = match self.0.iter().position(|s| s.task == entry.task) {
            Some(place) => place,
            None => {
                let Ok(warm) = Histogram::new_with_bounds(1, LONGEST, FIGURES) else { return };
                self.0.push(Session { task: entry.task, warm, cold: 0 });
                self.0.len() - 1
            }
        };
        let session = &mut self.0[place];
        if entry.heat == Heat::Cold {
            session.cold += 1;
        } else if entry.outcome == Outcome::Done {
            session.warm.saturating_record((f64::from(entry.ms) * 1e3).round().max(1.0) as u64);
        }
    }

    /// Each task's.
    pub fn all(&self) -> &[Session] {
        &self.0
    }
}
