//! Where a request's time went, stretch by stretch, in bounded memory.

use std::time::Instant;

/// Stretches that a report keeps.
pub const MOST: usize = 32;
/// Milliseconds between two steps of the same kind that still count as one stretch.
const SEAM: f64 = 2.0;

/// A stretch of a request's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// `queue`, `load`, `tokenize`, `forward`, `prefill`, `decode` or `post`.
    pub stage: &'static str,
    /// Milliseconds after the submission, and how long.
    pub start: f64,
    pub ms: f64,
    /// Steps that it is made of, and the most inputs (of all requests) in one of them.
    pub steps: u32,
    pub batch: usize,
}

impl Stretch {
    fn end(&self) -> f64 {
        self.start + self.ms
    }
}

/// The stretches of a request so far.
#[derive(Clone, Debug)]
pub struct Trace {
    submitted: Instant,
    all: Vec<Stretch>,
    /// Milliseconds below which a stretch is left out, once there were too many.
    grain: f64,
}

impl Trace {
    /// Nothing yet.
    pub fn new(submitted: Instant) -> Self {
        Self { submitted, all: Vec::with_capacity(MOST), grain: 0.0 }
    }

    /// Adds the time from `begun` to `ended`, in which a step of `batch` inputs ran (0 for none).
    pub fn add(&mut self, stage: &'static str, begun: Instant, ended: Instant, batch: usize) {
        let at = |instant: Instant| instant.saturating_duration_since(self.submitted).as_secs_f64() * 1e3;
        let (start, end) = (at(begun), at(ended));
        let fresh = Stretch { stage, start, ms: end - start, steps: 1, batch };
        if fresh.ms < self.grain / 8.0 {
            return;
        }
        let grain = self.grain;
        if !self.all.last_mut().is_some_and(|last| join(last, &fresh, grain)) {
            self.all.push(fresh);
        }
        while self.all.len() >= MOST {
            self.coarsen(end);
        }
    }

    /// Leaves out what is too short to be seen, and joins what then meets.
    fn coarsen(&mut self, length: f64) {
        self.grain = (2.0 * self.grain).max(length / 64.0);
        let grain = self.grain;
        self.all.retain(|s| s.ms >= grain / 8.0);
        self.all.dedup_by(|next, last| join(last, next, grain));
    }

    /// The stretches, in order. At most [`MOST`]; of a long request the shortest are left out, so
    /// that sums come from the report's timing and not from here.
    pub fn stretches(self) -> Vec<Stretch> {
        self.all
    }
}

/// Makes `last` longer by `next`, if they are of one kind and meet. While nothing is left out,
/// steps of another batch size stay apart: that is where others joined or left.
fn join(last: &mut Stretch, next: &Stretch, grain: f64) -> bool {
    let meets = next.start - last.end() <= SEAM.max(grain);
    if last.stage != next.stage || !meets || (grain == 0.0 && last.batch != next.batch) {
        return false;
    }
    last.ms = next.end() - last.start;
    last.steps += next.steps;
    last.batch = last.batch.max(next.batch);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn add(trace: &mut Trace, stage: &'static str, from: u64, to: u64, batch: usize) {
        let at = |ms| trace.submitted + Duration::from_millis(ms);
        let (begun, ended) = (at(from), at(to));
        trace.add(stage, begun, ended, batch);
    }

    #[test]
    fn steps_that_meet_are_one_stretch_until_the_batch_changes() {
        let mut trace = Trace::new(Instant::now());
        add(&mut trace, "queue", 0, 5, 0);
        add(&mut trace, "decode", 5, 15, 1);
        add(&mut trace, "decode", 16, 26, 1);
        add(&mut trace, "decode", 26, 40, 3);
        add(&mut trace, "decode", 90, 100, 3);
        let seen: Vec<_> = trace.stretches().iter().map(|s| (s.stage, s.ms.round(), s.steps, s.batch)).collect();
        let wanted = [("queue", 5.0, 1, 0), ("decode", 21.0, 2, 1), ("decode", 14.0, 1, 3), ("decode", 10.0, 1, 3)];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_long_list_stays_within_bounds_and_keeps_its_shape() {
        let mut trace = Trace::new(Instant::now());
        add(&mut trace, "load", 0, 2_000, 0);
        for i in 0..500 {
            let from = 2_000 + i * 110;
            add(&mut trace, "tokenize", from, from + 1, 0);
            add(&mut trace, "forward", from + 1, from + 108, 16 + (i as usize % 3));
            add(&mut trace, "post", from + 108, from + 110, 0);
        }
        let all = trace.stretches();
        assert!(all.len() < MOST, "{}", all.len());
        let forward: f64 = all.iter().filter(|s| s.stage == "forward").map(|s| s.ms).sum();
        assert!((50_000.0..56_000.0).contains(&forward), "{forward}");
        assert_eq!(all[0].stage, "load");
        assert!(all.windows(2).all(|w| w[0].start <= w[1].start));
    }
}
