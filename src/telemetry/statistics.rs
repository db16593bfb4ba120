//! Latency and throughput, counted right: from all requests, by the clock on the wall, cold starts
//! apart.

use super::sessions::Entry;
use super::span::{Heat, Outcome, Span};
use super::stats::{Percentiles, percentiles};
use super::store::Store;
use serde::Serialize;

/// Which requests count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// One task, or all.
    pub task: Option<&'static str>,
    /// Requests right after a loading count too. Cold starts never do.
    pub warming: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self { task: None, warming: true }
    }
}

impl Filter {
    /// Whether requests of `task` are looked at.
    pub fn fits(&self, task: &str) -> bool {
        self.task.is_none_or(|t| t == task)
    }

    /// Whether the request's latency is part of the percentiles.
    pub fn counts(&self, heat: Heat, outcome: Outcome) -> bool {
        outcome == Outcome::Done && (heat == Heat::Warm || (heat == Heat::Warming && self.warming))
    }
}

/// What a stretch of time brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Seconds by the wall that the rates are over.
    pub seconds: f64,
    /// Latency in ms of the requests that count.
    pub latency: Option<Percentiles>,
    /// Requests that waited for a model, and the longest of them in ms.
    pub cold: usize,
    pub cold_ms: Option<f64>,
    /// Requests right after a loading.
    pub warming: usize,
    pub done: usize,
    pub cancelled: usize,
    pub failed: usize,
    /// Inputs answered, and tokens written.
    pub texts: u64,
    pub tokens: u64,
    /// Older requests of this time are no longer remembered.
    pub is_cut: bool,
}

impl Statistics {
    /// Per second of wall time: requests, texts, written tokens.
    pub fn rates(&self) -> [f64; 3] {
        let seconds = self.seconds.max(1e-9);
        [self.done as f64 / seconds, self.texts as f64 / seconds, self.tokens as f64 / seconds]
    }
}

impl Store {
    /// Counts the requests that ended in `from..=to` and fit `filter`. Percentiles are of all of
    /// them that are remembered (65,536), not of a sample.
    pub fn statistics(&self, from: f64, to: f64, filter: Filter) -> Statistics {
        let mut out = Statistics { seconds: (to - from.max(0.0)).max(0.0), ..Statistics::default() };
        out.is_cut =
            self.entries.len() == self.entries.capacity() && self.entries.front().is_some_and(|e| e.end > from);
        out.latency = percentiles(&self.latencies(from, to, filter));
        for entry in self.ended(from, to).filter(|e| filter.fits(e.task)) {
            match entry.outcome {
                Outcome::Done => out.done += 1,
                Outcome::Cancelled => out.cancelled += 1,
                Outcome::Failed => out.failed += 1,
            }
            out.texts += u64::from(entry.done);
            out.tokens += u64::from(entry.generated);
            match entry.heat {
                Heat::Cold => {
                    out.cold += 1;
                    out.cold_ms = Some(out.cold_ms.unwrap_or(0.0).max(f64::from(entry.ms)));
                }
                Heat::Warming => out.warming += 1,
                Heat::Warm => {}
            }
        }
        out
    }

    /// Requests that ended in `from..=to`. They lie in the order in which they ended.
    fn ended(&self, from: f64, to: f64) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|e| e.end < from);
        self.entries.range(first..).take_while(move |e| e.end <= to)
    }

    /// Milliseconds of the requests that count.
    pub fn latencies(&self, from: f64, to: f64, filter: Filter) -> Vec<f64> {
        let counted = |e: &&Entry| filter.fits(e.task) && filter.counts(e.heat, e.outcome);
        self.ended(from, to).filter(counted).map(|e| f64::from(e.ms)).collect()
    }

    /// Tasks of the requests that ended in `from..=to`, in alphabetical order.
    pub fn tasks_between(&self, from: f64, to: f64) -> Vec<&'static str> {
        let mut tasks: Vec<&'static str> = Vec::new();
        for entry in self.ended(from, to) {
            if !tasks.contains(&entry.task) {
                tasks.push(entry.task);
            }
        }
        tasks.sort_unstable();
        tasks
    }
}

/// What throughput counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Requests,
    /// Inputs answered.
    Texts,
    /// Tokens written.
    Tokens,
}

impl Rate {
    /// All, in the order of a choice.
    pub const ALL: [Self; 3] = [Self::Texts, Self::Tokens, Self::Requests];

    fn of(self, span: &Span) -> usize {
        match self {
            Self::Requests => usize::from(span.outcome == Outcome::Done),
            Self::Texts => span.done,
            Self::Tokens => span.generated,
        }
    }

    /// As it is written after a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests/s",
            Self::Texts => "texts/s",
            Self::Tokens => "tokens/s",
        }
    }
}

impl Store {
    /// What was answered per second of wall time, in bins of `width` seconds that end at multiples
    /// of it: `(middle of the bin, rate)`. A request counts in the bins that its work overlaps, in
    /// proportion.
    pub fn throughput(&self, from: f64, to: f64, width: f64, rate: Rate, filter: Filter) -> Vec<[f64; 2]> {
        let first = (from / width).floor();
        let count = (((to / width).floor() - first).max(0.0) as usize + 1).min(4_096);
        let mut bins = vec![0f64; count];
        let counted = |s: &&Span| rate.of(s) > 0 && filter.fits(s.task);
        for span in self.spans_between(from, to).filter(counted) {
            let length = (span.end - span.start).max(1e-6);
            let clamp = |t: f64| (((t / width).floor() - first).max(0.0) as usize).min(count - 1);
            for (i, bin) in bins.iter_mut().enumerate().take(clamp(span.end) + 1).skip(clamp(span.start)) {
                let begin = (first + i as f64) * width;
                let overlap = (span.end.min(begin + width) - span.start.max(begin)).max(0.0);
                *bin += rate.of(span) as f64 * (overlap / length) / width;
            }
        }
        bins.into_iter().enumerate().map(|(i, rate)| [(first + i as f64 + 0.5) * width, rate]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_what_was_answered_over_wall_time() {
        let mut store = Store::default();
        store.push_span(Span::plain(1, 0.1, 0.2, 5));
        store.push_span(Span::plain(2, 1.0, 3.0, 40));
        let bins = store.throughput(0.0, 3.5, 1.0, Rate::Texts, Filter::default());
        let rates: Vec<f64> = bins.iter().map(|b| b[1].round()).collect();
        assert_eq!(rates, [5.0, 20.0, 20.0, 0.0]);
        assert_eq!(bins[0][0], 0.5);
        let statistics = store.statistics(0.0, 10.0, Filter::default());
        assert_eq!((statistics.rates()[0], statistics.rates()[1]), (0.2, 4.5));
    }

    #[test]
    fn cold_starts_are_counted_apart_and_warming_requests_by_choice() {
        let mut store = Store::default();
        let model = store.number_of("m");
        let load = [0.0, 900.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for i in 0..8u32 {
            let sums = if i == 0 { load } else { [0.0; 7] };
            let start = f64::from(i);
            store.push_span(Span { model, sums, ..Span::plain(u64::from(i), start, start + 0.01, 1) });
        }
        store.push_span(Span { outcome: Outcome::Cancelled, model, ..Span::plain(9, 8.0, 8.5, 0) });
        let all = store.statistics(0.0, 10.0, Filter::default());
        assert_eq!((all.latency.map(|l| l.n), all.cold, all.warming, all.cancelled), (Some(7), 1, 3, 1));
        let warm = store.statistics(0.0, 10.0, Filter { warming: false, ..Filter::default() });
        assert_eq!(warm.latency.map(|l| l.n), Some(4));
        let other = store.statistics(0.0, 10.0, Filter { task: Some("other"), ..Filter::default() });
        assert_eq!((other.latency, other.done), (None, 0));
        let session = &store.sessions().all()[0];
        assert_eq!((session.cold, session.latency().map(|l| l.n)), (1, Some(7)));
    }
}
