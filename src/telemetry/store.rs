//! Ring buffers of samples and request spans, in fixed memory.

use super::sources::Sample;
use std::collections::VecDeque;
use std::time::Instant;

/// Ten minutes at five samples a second, and some.
const SAMPLES: usize = 3_200;
/// Requests remembered.
const SPANS: usize = 4_000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Cancelled,
    Failed,
}

/// One request on the time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub id: u64,
    pub task: &'static str,
    /// Seconds since the store began.
    pub start: f64,
    pub end: f64,
    /// Milliseconds from submission to the end.
    pub total_ms: f64,
    /// Stage names with milliseconds, in order.
    pub stages: Vec<(&'static str, f64)>,
    /// Inputs answered.
    pub done: usize,
    pub tokens: usize,
    /// Tokens written, and how many per second.
    pub generated: usize,
    pub tokens_per_second: Option<f64>,
    pub batch: usize,
    pub outcome: Outcome,
}

/// What throughput counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Inputs answered.
    Texts,
    /// Tokens written.
    Tokens,
}

impl Unit {
    fn of(self, span: &Span) -> usize {
        match self {
            Self::Texts => span.done,
            Self::Tokens => span.generated,
        }
    }

    /// As it is written after a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Texts => "texts/s",
            Self::Tokens => "tokens/s",
        }
    }
}

/// All that the plots show.
pub struct Store {
    origin: Instant,
    samples: VecDeque<Sample>,
    spans: VecDeque<Span>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            samples: VecDeque::with_capacity(SAMPLES),
            spans: VecDeque::with_capacity(SPANS),
        }
    }
}

impl Store {
    /// Seconds from the store's beginning to `instant` (0 for earlier ones).
    pub fn seconds(&self, instant: Instant) -> f64 {
        instant.saturating_duration_since(self.origin).as_secs_f64()
    }

    /// Seconds from the store's beginning to now.
    pub fn now(&self) -> f64 {
        self.seconds(Instant::now())
    }

    /// Adds a reading; the oldest falls out.
    pub fn push_sample(&mut self, sample: Sample) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Adds a request that has ended; the oldest falls out.
    pub fn push_span(&mut self, span: Span) {
        if self.spans.len() == SPANS {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }

    /// Readings from `from` seconds on, and the one before.
    pub fn samples_since(&self, from: f64) -> impl Iterator<Item = &Sample> + Clone {
        let first = self.samples.partition_point(|s| s.time < from).saturating_sub(1);
        self.samples.range(first..)
    }

    /// The newest reading.
    pub fn latest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Requests that end in `from..=to`.
    pub fn spans_between(&self, from: f64, to: f64) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |s| s.end >= from && s.end <= to)
    }

    /// The request with this id.
    pub fn span(&self, id: u64) -> Option<&Span> {
        self.spans.iter().rev().find(|s| s.id == id)
    }

    /// The newest request.
    pub fn last_span(&self) -> Option<&Span> {
        self.spans.back()
    }

    /// Inputs answered per second of wall time or tokens written, in bins of `width` seconds that end at multiples
    /// of it: `(middle of the bin, rate)`. A request counts in the bins that its work overlaps, in
    /// proportion.
    pub fn throughput(&self, from: f64, to: f64, width: f64, unit: Unit) -> Vec<(f64, f64)> {
        let first = (from / width).floor();
        let count = (((to / width).floor() - first).max(0.0) as usize + 1).min(4_096);
        let mut bins = vec![0f64; count];
        for span in self.spans.iter().filter(|s| s.end >= from && s.start <= to && unit.of(s) > 0) {
            let length = (span.end - span.start).max(1e-6);
            let clamp = |t: f64| (((t / width).floor() - first).max(0.0) as usize).min(count - 1);
            for (i, bin) in bins.iter_mut().enumerate().take(clamp(span.end) + 1).skip(clamp(span.start)) {
                let begin = (first + i as f64) * width;
                let overlap = (span.end.min(begin + width) - span.start.max(begin)).max(0.0);
                *bin += unit.of(span) as f64 * (overlap / length) / width;
            }
        }
        bins.into_iter().enumerate().map(|(i, rate)| ((first + i as f64 + 0.5) * width, rate)).collect()
    }
}

#[cfg(test)]
impl Span {
    /// A request with nothing but its place in time, for tests.
    pub(crate) fn plain(id: u64, start: f64, end: f64, done: usize) -> Self {
        let (task, stages, outcome) = ("t", vec![], Outcome::Done);
        Self {
            id,
            task,
            start,
            end,
            total_ms: 1.0,
            stages,
            done,
            tokens: 0,
            generated: 0,
            tokens_per_second: None,
            batch: 1,
            outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_requests_over_wall_time() {
        let mut store = Store::default();
        store.push_span(Span::plain(1, 0.1, 0.2, 5));
        store.push_span(Span::plain(2, 1.0, 3.0, 40));
        let bins = store.throughput(0.0, 3.5, 1.0, Unit::Texts);
        let rates: Vec<f64> = bins.iter().map(|b| b.1.round()).collect();
        assert_eq!(rates, [5.0, 20.0, 20.0, 0.0]);
        assert_eq!(bins[0].0, 0.5);
    }

    #[test]
    fn memory_stays_fixed() {
        let mut store = Store::default();
        for i in 0..10_000u32 {
            store.push_sample(Sample { time: f64::from(i), ..Sample::default() });
            store.push_span(Span::plain(u64::from(i), 0.0, f64::from(i), 1));
        }
        assert_eq!((store.samples.len(), store.spans.len()), (SAMPLES, SPANS));
        assert_eq!(store.samples_since(9_990.0).count(), 11);
        assert_eq!(store.spans_between(9_990.0, 9_995.0).count(), 6);
        assert_eq!(store.last_span().map(|s| s.id), Some(9_999));
    }
}
