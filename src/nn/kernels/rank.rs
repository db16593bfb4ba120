//! The likeliest tokens of a row of logits, with their log-probabilities.

use super::Isa;
use super::math::exp_sums;

/// Logits looked at together: most runs hold nothing that counts, and one comparison says so.
const RUN: usize = 64;

/// The best of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// Token ids and log-probabilities, best first; of equals the smaller id first.
    pub best: Vec<(u32, f32)>,
    /// Whether a logit was no number.
    pub broken: bool,
}

/// The `count` likeliest of `logits` with their log-softmax. Tokens in `banned` are left out, but
/// count in the softmax (as `transformers` does it: processors see log-probabilities).
pub fn rank(isa: Isa, logits: &[f32], banned: &[u32], count: usize) -> Ranked {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if logits.iter().any(|x| x.is_nan()) || !top.is_finite() {
        return Ranked { best: Vec::new(), broken: true };
    }
    let log_sum = f64::from(top) + exp_sums(isa, logits, top)[0].ln();
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    let mut least = f32::NEG_INFINITY;
    for (run, values) in logits.chunks(RUN).enumerate() {
        if best.len() == count && values.iter().copied().fold(f32::NEG_INFINITY, f32::max) <= least {
            continue;
        }
        for (i, &value) in values.iter().enumerate() {
            let id = (run * RUN + i) as u32;
            if (best.len() == count && value <= least) || banned.contains(&id) {
                continue;
            }
            let at = best.partition_point(|b| b.1 >= value);
            best.insert(at, (id, value));
            best.truncate(count);
            least = best.last().map_or(f32::NEG_INFINITY, |b| b.1);
        }
    }
    for (_, value) in &mut best {
        *value = (f64::from(*value) - log_sum) as f32;
    }
    Ranked { best, broken: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_in_order_and_banned_ones_do_not() {
        let logits: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1009) as f32 / 100.0).collect();
        let mut order: Vec<u32> = (0..1000).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
        let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        for isa in Isa::available() {
            let ranked = rank(isa, &logits, &[order[1]], 5);
            let ids: Vec<u32> = ranked.best.iter().map(|b| b.0).collect();
            assert_eq!(ids, [order[0], order[2], order[3], order[4], order[5]]);
            let want = f64::from(logits[order[0] as usize]) - sum.ln();
            assert!((f64::from(ranked.best[0].1) - want).abs() < 1e-5);
        }
        assert!(rank(Isa::Portable, &[0.0, f32::NAN], &[], 1).broken);
        assert_eq!(rank(Isa::Portable, &[1.0, 1.0, 1.0], &[], 2).best.iter().map(|b| b.0).collect::<Vec<_>>(), [0, 1]);
    }
}
