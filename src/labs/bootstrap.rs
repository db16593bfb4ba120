//! Confidence intervals by resampling (Efron 1979).

use rand::{Rng as _, SeedableRng as _};

const RESAMPLES: usize = 1000;

/// The middle 95 % of each of `scores` over rows drawn with replacement, always the same draws.
/// `scores` gets the rows of a draw.
pub fn bootstrap<const N: usize>(rows: usize, scores: impl Fn(&[usize]) -> [f64; N]) -> [[f64; 2]; N] {
    if rows == 0 {
        return [[0.0; 2]; N];
    }
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut chosen = vec![0; rows];
    let draws: Vec<[f64; N]> = (0..RESAMPLES)
        .map(|_| {
            chosen.fill_with(|| rng.random_range(0..rows));
            scores(&chosen)
        })
        .collect();
    std::array::from_fn(|which| {
        let mut sorted: Vec<f64> = draws.iter().map(|d| d[which]).collect();
        sorted.sort_by(f64::total_cmp);
        [sorted[RESAMPLES / 40], sorted[RESAMPLES - 1 - RESAMPLES / 40]]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_mean() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let [[low, high]] = bootstrap(values.len(), |chosen| [chosen.iter().map(|i| values[*i]).sum::<f64>() / 6.0]);
        assert!(low < 3.5 && 3.5 < high && low > 1.0 && high < 6.0);
    }
}
