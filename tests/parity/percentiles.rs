//! Percentiles against NumPy's. `make_percentiles.py` beside this file made the reference.

use glossa::telemetry::sessions::{Entry, Sessions};
use glossa::telemetry::span::{Heat, Outcome};
use glossa::telemetry::stats::percentiles;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    values: Vec<f64>,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

fn cases() -> Vec<Case> {
    let path = crate::fixture("percentiles.json");
    serde_json::from_slice(&std::fs::read(path).expect("fixture")).expect("json")
}

#[test]
fn percentiles_are_those_of_numpy() {
    for case in cases() {
        let ours = percentiles(&case.values).expect("values");
        assert_eq!((ours.p50, ours.p95, ours.p99), (case.p50, case.p95, case.p99), "{}", case.name);
        assert!((ours.mean - case.mean).abs() <= 1e-9 * case.mean, "{}", case.name);
    }
}

/// The session's histograms of fixed size: within the 0.1 % that they promise.
#[test]
fn the_sessions_histogram_keeps_its_promise() {
    for case in cases() {
        let mut sessions = Sessions::default();
        for ms in &case.values {
            let ms = *ms as f32;
            let (outcome, heat) = (Outcome::Done, Heat::Warm);
            sessions.add(&Entry { task: "t", end: 0.0, ms, done: 1, generated: 0, outcome, heat });
        }
        let ours = sessions.all()[0].latency().expect("values");
        for (ours, theirs) in [(ours.p50, case.p50), (ours.p95, case.p95), (ours.p99, case.p99)] {
            // And half a microsecond of rounding, which the histogram counts in.
            assert!((ours - theirs).abs() <= theirs * 1e-3 + 1e-3, "{}: {ours} for {theirs}", case.name);
        }
    }
}
