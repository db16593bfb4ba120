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

/// Nearest-rank percentiles (each is a value that was measured; Hyndman and Fan 1996, definition 1, as NumPy's
/// `inverted_cdf`). `None` without samples.
pub fn percentiles(values: &[f64]) -> Option<Percentiles> {
    let mut all: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let n = all.len();
    if n == 0 {
        return None;
    }
    let mean = all.iter().sum::<f64>() / n as f64;
    let at = |q: f64, all: &mut [f64]| {
        let rank = ((q * n as f64).ceil() as usize).clamp(1, n) - 1;
        *all.select_nth_unstable_by(rank, f64::total_cmp).1
    };
    let (p99, p95, p50) = (at(0.99, &mut all), at(0.95, &mut all), at(0.50, &mut all));
    Some(Percentiles { p50, p95, p99, mean, n })
}

/// A bar of a histogram: values from `from` up to `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    pub n: usize,
}

/// How often values fall into each of `count` bins between the least and the greatest. Bins grow by a
/// factor where values differ by more than eightfold, and are of one width otherwise.
pub fn histogram(values: &[f64], count: usize) -> Vec<Bin> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (Some(least), Some(most)) = (finite().reduce(f64::min), finite().reduce(f64::max)) else { return Vec::new() };
    let spread = if most > least { most } else { least + least.abs().max(1.0) * 0.1 };
    let by_factor = least > 0.0 && most / least > 8.0;
    let edge = |i: usize| {
        let share = i as f64 / count as f64;
        if by_factor { least * (spread / least).powf(share) } else { least + (spread - least) * share }
    };
    let mut bins: Vec<Bin> = (0..count).map(|i| Bin { from: edge(i), to: edge(i + 1), n: 0 }).collect();
    for value in finite() {
        let place = bins.partition_point(|b| b.to <= value).min(count.saturating_sub(1));
        if let Some(bin) = bins.get_mut(place) {
            bin.n += 1;
        }
    }
    bins
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
    fn every_value_falls_into_one_bin() {
        let even: Vec<f64> = (10..20).map(f64::from).collect();
        let bins = histogram(&even, 3);
        assert_eq!(bins.iter().map(|b| b.n).collect::<Vec<_>>(), [3, 3, 4]);
        assert_eq!((bins[0].from, bins[2].to), (10.0, 19.0));
        let wide = histogram(&[1.0, 2.0, 100.0, f64::NAN], 4);
        assert_eq!(wide.iter().map(|b| b.n).collect::<Vec<_>>(), [2, 0, 0, 1]);
        assert_eq!(histogram(&[5.0, 5.0], 4).iter().map(|b| b.n).sum::<usize>(), 2);
        assert!(histogram(&[], 4).is_empty());
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
