//! Joules per request, where power is known.

use super::channel::Key;
use super::span::Span;
use super::store::Store;

/// Joules of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// Of everything that the power channel measures, while the request ran; shared equally with the
    /// requests that ran at the same moment.
    pub joules: f64,
    /// Per answered input.
    pub per_answer: Option<f64>,
    /// Per written token.
    pub per_token: Option<f64>,
}

impl Store {
    /// Energy of each request that overlaps `from..=to`, with its id. Without a power channel, or
    /// where it has a gap, a request has none.
    pub fn energies(&self, from: f64, to: f64) -> Vec<(u64, Energy)> {
        let Some(place) = self.place(Key::Power) else { return Vec::new() };
        let spans: Vec<&Span> = self.spans_between(from, to).collect();
        let Some(first) = spans.iter().map(|s| s.start).min_by(f64::total_cmp) else { return Vec::new() };
        let last = spans.iter().map(|s| s.end).fold(first, f64::max);
        // Others may reach into the same time.
        let overlapping: Vec<&Span> = self.spans_between(first, last).collect();
        let mut edges: Vec<f64> = overlapping.iter().flat_map(|s| [s.start, s.end]).collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let shared = self.shared_power(place, &overlapping, &edges);
        let at = |time: f64| shared[edges.partition_point(|e| *e < time).min(shared.len() - 1)];
        let energy = |span: &Span| {
            let (begin, end) = (at(span.start), at(span.end));
            let joules = end.sum - begin.sum;
            let per = |n: usize| (n > 0).then(|| joules / n as f64);
            let energy = Energy { joules, per_answer: per(span.done), per_token: per(span.generated) };
            (end.gaps == begin.gaps).then_some(energy)
        };
        spans.into_iter().filter_map(|s| Some((s.id, energy(s)?))).collect()
    }

    /// Energy of one request.
    pub fn energy_of(&self, span: &Span) -> Option<Energy> {
        let all = self.energies(span.start, span.end);
        all.into_iter().find(|e| e.0 == span.id).map(|e| e.1)
    }

    /// The integral of power divided by the number of requests that run, from the first edge to each.
    fn shared_power(&self, place: usize, spans: &[&Span], edges: &[f64]) -> Vec<Shared> {
        let mut starts: Vec<f64> = spans.iter().map(|s| s.start).collect();
        let mut ends: Vec<f64> = spans.iter().map(|s| s.end).collect();
        starts.sort_by(f64::total_cmp);
        ends.sort_by(f64::total_cmp);
        let mut so_far = Shared::default();
        let mut out = vec![so_far; edges.len().max(1)];
        for (i, pair) in edges.windows(2).enumerate() {
            let begun = starts.partition_point(|s| *s <= pair[0]);
            let ended = ends.partition_point(|e| *e <= pair[0]);
            let running = begun.saturating_sub(ended);
            if running > 0 {
                match self.joules(place, pair[0], pair[1]) {
                    Some(joules) => so_far.sum += joules / running as f64,
                    None => so_far.gaps += 1,
                }
            }
            out[i + 1] = so_far;
        }
        out
    }

    /// Watts times seconds of channel `place` from `from` to `to`: trapezoids between readings.
    /// `None` where readings are missing.
    fn joules(&self, place: usize, from: f64, to: f64) -> Option<f64> {
        let watts = |time: f64| self.value_at(place, time).map_or(f64::NAN, f64::from);
        let mut sum = 0.0;
        let mut last = (from, watts(from));
        for row in self.fine.first_at(from)..self.fine.len() {
            let time = self.fine.time(row);
            if time >= to {
                break;
            }
            let now = f64::from(self.fine.value(place, row));
            sum += (time - last.0) * f64::midpoint(now, last.1);
            last = (time, now);
        }
        sum += (to - last.0) * f64::midpoint(last.1, watts(to));
        Some(sum).filter(|s| s.is_finite())
    }
}

/// Joules up to a moment, and the pieces before it of which nothing is known.
#[derive(Clone, Copy, Default)]
struct Shared {
    sum: f64,
    gaps: u32,
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Channel, Facts, Unit};
    use super::*;

    fn store(watts: impl Fn(u32) -> f32) -> Store {
        let mut store = Store::default();
        store.describe(&[Channel::new(Key::Power, "power", Unit::Watts, "test")], &Facts::default());
        for i in 0..=100u32 {
            store.push_row(f64::from(i) * 0.1, &[watts(i)]);
        }
        store
    }

    #[test]
    fn a_request_alone_has_all_of_it_and_two_share() {
        let mut store = store(|_| 10.0);
        store.push_span(Span { generated: 5, ..Span::plain(1, 1.0, 2.0, 2) });
        store.push_span(Span::plain(2, 4.0, 8.0, 1));
        store.push_span(Span::plain(3, 6.0, 8.0, 1));
        let energy = store.energies(0.0, 10.0);
        let of = |id: u64| energy.iter().find(|e| e.0 == id).expect("energy").1;
        assert!((of(1).joules - 10.0).abs() < 1e-6);
        assert_eq!((of(1).per_answer.map(f64::round), of(1).per_token.map(f64::round)), (Some(5.0), Some(2.0)));
        assert!((of(2).joules - 30.0).abs() < 1e-6, "{:?}", of(2));
        assert!((of(3).joules - 10.0).abs() < 1e-6);
        let alone = store.span(3).and_then(|s| store.energy_of(s)).expect("energy");
        assert!((alone.joules - 10.0).abs() < 1e-6);
    }

    #[test]
    fn a_ramp_is_integrated_and_a_gap_gives_nothing() {
        let mut ramp = store(|i| i as f32 * 0.1);
        ramp.push_span(Span::plain(1, 2.0, 4.0, 1));
        let joules = ramp.energies(0.0, 10.0)[0].1.joules;
        assert!((joules - 6.0).abs() < 1e-4, "{joules}");
        let mut gap = store(|i| if i == 30 { f32::NAN } else { 5.0 });
        gap.push_span(Span::plain(1, 2.0, 4.0, 1));
        gap.push_span(Span::plain(2, 6.0, 7.0, 1));
        let ids: Vec<u64> = gap.energies(0.0, 10.0).iter().map(|e| e.0).collect();
        assert_eq!(ids, [2]);
    }
}
