//! How long somebody who was turned away should wait. Pure: it is told the time.

use std::time::Duration;

/// What is said before anything was measured.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Bounds of what is said.
const LEAST: f64 = 1.0;
const MOST: f64 = 120.0;
/// Weight of the newest pause between two ends.
const FRESH: f64 = 0.2;

/// How fast places become free, and how many wait for one.
#[derive(Debug, Default)]
pub struct Patience {
    last_end: Option<f64>,
    /// Seconds between two ends, smoothed; known from the second end on.
    pause: Option<f64>,
    /// Turned away since a place was free.
    turned_away: usize,
}

impl Patience {
    /// A request has ended at `now` (seconds on any clock), while `others` went on.
    pub fn ended(&mut self, now: f64, others: usize) {
        if let Some(last) = self.last_end {
            let pause = (now - last).clamp(0.0, MOST);
            self.pause = Some(self.pause.map_or(pause, |p| p + FRESH * (pause - p)));
        }
        // With nobody left the next end says nothing about how long one takes.
        self.last_end = (others > 0).then_some(now);
        self.turned_away = self.turned_away.saturating_sub(1);
    }

    /// Somebody finds no place: about when one will be free, behind those who were turned away before.
    pub fn turn_away(&mut self) -> Duration {
        self.turned_away = self.turned_away.saturating_add(1);
        let Some(pause) = self.pause else { return UNKNOWN };
        Duration::from_secs_f64((pause * self.turned_away as f64).clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_comes_later_waits_longer() {
        let mut patience = Patience::default();
        assert_eq!(patience.turn_away(), UNKNOWN);
        for i in 0..20 {
            patience.ended(f64::from(i) * 2.0, 3);
        }
        let waits: Vec<f64> = (0..5).map(|_| patience.turn_away().as_secs_f64().round()).collect();
        assert_eq!(waits, [2.0, 4.0, 6.0, 8.0, 10.0]);
        patience.ended(40.0, 0);
        patience.ended(4_000.0, 3);
        assert!(patience.turn_away() < Duration::from_secs(11), "an idle hour says nothing");
    }

    proptest! {
        #[test]
        fn what_is_said_is_bounded(steps in prop::collection::vec((0.0..1e6f64, 0usize..5, 0usize..50), 0..50)) {
            let (mut patience, mut now) = (Patience::default(), 0.0);
            for (pause, others, refused) in steps {
                now += pause;
                patience.ended(now, others);
                for _ in 0..refused {
                    let wait = patience.turn_away();
                    prop_assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(120));
                }
            }
        }
    }
}
