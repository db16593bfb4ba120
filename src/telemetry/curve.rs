//! A channel as a line of few points that keeps every peak.

use super::store::Store;

/// A line in pieces: between two pieces nothing was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Time in seconds of the store, and value.
    pub points: Vec<[f64; 2]>,
    /// Where each piece but the first begins.
    pub breaks: Vec<usize>,
}

impl Curve {
    /// A line without a gap.
    pub fn whole(points: Vec<[f64; 2]>) -> Self {
        Self { points, breaks: Vec::new() }
    }

    /// Its pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[[f64; 2]]> {
        let starts = std::iter::once(0).chain(self.breaks.iter().copied());
        let ends = self.breaks.iter().copied().chain(std::iter::once(self.points.len()));
        starts.zip(ends).map(|(a, b)| &self.points[a..b]).filter(|p| !p.is_empty())
    }

    /// The largest value; `floor` if there is none larger.
    pub fn top(&self, floor: f64) -> f64 {
        self.points.iter().map(|p| p[1]).fold(floor, f64::max)
    }
}

/// Puts readings together, a width of time at once, and keeps least and most of each.
struct Decimator {
    curve: Curve,
    width: f64,
    /// More seconds than this without a reading are a gap.
    gap: f64,
    last: Option<f64>,
    /// Where the running stretch ends.
    end: f64,
    low: [f64; 2],
    high: [f64; 2],
}

impl Decimator {
    fn new(width: f64) -> Self {
        Self {
            curve: Curve::default(),
            width,
            gap: 0.0,
            last: None,
            end: f64::NEG_INFINITY,
            low: [0.0, f64::INFINITY],
            high: [0.0, f64::NEG_INFINITY],
        }
    }

    fn add(&mut self, time: f64, min: f32, max: f32) {
        if !min.is_finite() {
            return;
        }
        let gap = self.last.is_some_and(|last| time - last > self.gap);
        if time >= self.end || gap {
            self.flush();
            // Stretches lie at multiples of their width, so that a curve that moves does not flicker.
            self.end = ((time / self.width).floor() + 1.0) * self.width;
        }
        if gap && !self.curve.points.is_empty() {
            self.curve.breaks.push(self.curve.points.len());
        }
        let (min, max) = (f64::from(min), f64::from(max));
        if min < self.low[1] {
            self.low = [time, min];
        }
        if max > self.high[1] {
            self.high = [time, max];
        }
        self.last = Some(time);
    }

    fn flush(&mut self) {
        if self.low[1].is_finite() {
            let (first, second) =
                if self.low[0] <= self.high[0] { (self.low, self.high) } else { (self.high, self.low) };
            self.curve.points.push(first);
            if second[1] != first[1] {
                self.curve.points.push(second);
            }
        }
        self.low = [0.0, f64::INFINITY];
        self.high = [0.0, f64::NEG_INFINITY];
    }
}

impl Store {
    /// Channel `place` from `from` to `to`, as a line of at most about two points for each of
    /// `pixels`. Seconds stand in for what is older than the fine readings.
    pub fn curve(&self, place: usize, from: f64, to: f64, pixels: usize) -> Curve {
        let mut out = Decimator::new(((to - from) / pixels.max(1) as f64).max(1e-3));
        let period = f64::from(self.channels.get(place).map_or(0.1, |c| c.period));
        let fine_from = self.fine.oldest().unwrap_or(f64::INFINITY);
        if from < fine_from {
            out.gap = 2.5;
            let end = self.coarse.first_at(to.min(fine_from) + 1e-9);
            for (times, cells) in self.coarse.pieces(place, self.coarse.first_at(from), end) {
                times.iter().zip(cells).for_each(|(time, cell)| out.add(*time, cell.min, cell.max));
            }
        }
        out.gap = (period * 3.5).max(1.0);
        let rows = (self.fine.first_at(from).saturating_sub(1), self.fine.first_at(to + 1e-9));
        for (times, values) in self.fine.pieces(place, rows.0, rows.1) {
            times.iter().zip(values).for_each(|(time, value)| out.add(*time, *value, *value));
        }
        out.flush();
        out.curve
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Channel, Facts, Key, Unit};
    use super::*;

    fn store() -> Store {
        let mut store = Store::default();
        store.describe(&[Channel::new(Key::Cpu, "CPU", Unit::Percent, "test")], &Facts::default());
        store
    }

    #[test]
    fn ten_minutes_become_few_points_and_every_peak_stays() {
        let mut store = store();
        for i in 0..6000u32 {
            let value = if i == 2345 { 99.0 } else { 10.0 + (i % 7) as f32 };
            store.push_row(f64::from(i) * 0.1, &[value]);
        }
        let curve = store.curve(0, 0.0, 600.0, 300);
        assert!(curve.points.len() <= 602, "{}", curve.points.len());
        assert_eq!(curve.top(0.0), 99.0);
        assert_eq!(curve.points.iter().map(|p| p[1]).fold(f64::INFINITY, f64::min), 10.0);
        assert!(curve.points.windows(2).all(|w| w[0][0] <= w[1][0]));
        assert!(curve.breaks.is_empty());
    }

    #[test]
    fn what_is_absent_is_a_gap_and_never_a_zero() {
        let mut store = store();
        for i in 0..100u32 {
            let value = if (40..70).contains(&i) { f32::NAN } else { 5.0 };
            store.push_row(f64::from(i) * 0.1, &[value]);
        }
        let curve = store.curve(0, 0.0, 10.0, 100);
        let pieces: Vec<_> = curve.pieces().collect();
        assert_eq!(pieces.len(), 2);
        assert!(pieces[0].iter().all(|p| p[0] < 4.0 && p[1] == 5.0));
        assert!(pieces[1].iter().all(|p| p[0] > 6.9));
    }

    #[test]
    fn hours_come_from_the_seconds_and_join_the_fine_readings() {
        let mut store = store();
        for i in 0..20_000u32 {
            store.push_row(f64::from(i) * 0.1, &[if i == 555 { 80.0 } else { 20.0 }]);
        }
        let curve = store.curve(0, 0.0, 2000.0, 500);
        assert_eq!(curve.top(0.0), 80.0);
        assert!(curve.breaks.is_empty(), "{:?}", curve.breaks);
        assert!(curve.points.first().is_some_and(|p| p[0] < 5.0));
        assert!(curve.points.last().is_some_and(|p| p[0] > 1995.0));
    }
}
