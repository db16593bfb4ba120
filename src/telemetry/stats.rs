//! Percentiles and confidence intervals.

use serde::Serialize;

/// Latency percentiles in ms, from all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub mean: f64,
    pub n: usize,
}

/// Nearest-rank percentiles (each is a value that was measured). `None` without samples.
pub fn percentiles(values: &[f64]) -> Option<Percentiles> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let at = |q: f64| sorted.get(((q * n as f64).ceil() as usize).clamp(1, n.max(1)) - 1).copied();
    Some(Percentiles { p50: at(0.50)?, p95: at(0.95)?, p99: at(0.99)?, mean: sorted.iter().sum::<f64>() / n as f64, n })
}

/// 95 % Wilson score interval of `hits` in `n` (Wilson 1927). `[0, 1]` for no trials.
pub fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (n, p, z) = (n as f64, hits as f64 / n as f64, 1.959_963_984_540_054);
    let z2 = z * z;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    [(center - half).max(0.0), (center + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let p = percentiles(&values).expect("samples");
        assert_eq!((p.p50, p.p95, p.p99, p.n), (50.0, 95.0, 99.0, 100));
        let one = percentiles(&[7.5]).expect("one");
        assert_eq!((one.p50, one.p99), (7.5, 7.5));
        assert!(percentiles(&[]).is_none());
    }

    #[test]
    fn wilson_matches_published_values() {
        // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4);
        let [low, high] = wilson(0, 20);
        assert!(low.abs() < 1e-12 && (high - 0.1611).abs() < 1e-4);
    }
}
