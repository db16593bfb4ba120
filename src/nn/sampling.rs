//! From logits to the next token: penalties, filters, a seeded draw.
//!
//! Order as in `transformers`: repetition penalty (Keskar et al. 2019, arXiv:1909.05858),
//! temperature, top-k (Fan et al. 2018, arXiv:1805.04833), top-p (Holtzman et al. 2020,
//! arXiv:1904.09751), min-p (Nguyen et al. 2024, arXiv:2407.01082).

use super::kernels::Isa;
use super::kernels::math::exp_sums;
pub use super::options::Sampling;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A token with the probability that the model gave it, before any filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub id: u32,
    pub probability: f64,
}

/// A token that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub id: u32,
    /// The model's own probability of it.
    pub probability: f64,
    /// Entropy of the model's own distribution, in bits.
    pub entropy: f64,
    /// The likeliest tokens, as many as were asked for.
    pub top: Vec<Candidate>,
}

/// Logits this far below the greatest have no share worth a sum: e^-25 times any vocabulary.
const NEGLIGIBLE: f32 = 25.0;

/// Up to so many are found by insertion, in one pass; more by a selection.
const FEW: usize = 128;

/// Chooses tokens, one after the other.
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    seed: u64,
    isa: Isa,
}

/// Greatest logit, `None` if any is not a number or none is finite.
fn greatest(logits: &[f32]) -> Option<f32> {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let mut numbers = true;
    let (whole, rest) = logits.as_chunks::<16>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            numbers &= !x.is_nan();
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    numbers &= rest.iter().all(|x| !x.is_nan());
    let top = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    (numbers && top.is_finite()).then_some(top)
}

impl Sampler {
    /// Draws a seed if none is given.
    pub fn new(sampling: Sampling) -> Self {
        let seed = sampling.seed.unwrap_or_else(|| rand::rng().random_range(0..1 << 31));
        Self { sampling, random: ChaCha8Rng::seed_from_u64(seed), seed, isa: Isa::detect() }
    }

    /// The seed in use.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next token. `seen` are the tokens so far, `top` how many of the likeliest are wanted.
    /// `None` if the logits are no numbers.
    pub fn choose(&mut self, logits: &[f32], seen: &[u32], top: usize) -> Option<Choice> {
        let best = greatest(logits)?;
        let [sum, weighted] = exp_sums(self.isa, logits, best);
        // H = log Σ e^d - Σ d e^d / Σ e^d, in bits.
        let entropy = ((sum.ln() - weighted / sum) / std::f64::consts::LN_2).max(0.0);
        let share = |id: u32| f64::from(logits[id as usize] - best).exp() / sum;
        let id = self.draw(logits, best, seen);
        let top = highest(logits, top).into_iter().map(|id| Candidate { id, probability: share(id) }).collect();
        Some(Choice { id, probability: share(id), entropy, top })
    }

    fn draw(&mut self, logits: &[f32], best: f32, seen: &[u32]) -> u32 {
        let s = &self.sampling;
        let penalized;
        let (mut logits, mut best) = (logits, best);
        if s.repetition_penalty != 1.0 {
            penalized = penalize(logits, seen, s.repetition_penalty);
            best = greatest(&penalized).unwrap_or(best);
            logits = &penalized;
        }
        if s.temperature <= 0.0 {
            return logits.iter().position(|x| *x == best).unwrap_or(0) as u32;
        }
        let ids = if (1..=FEW).contains(&s.top_k) {
            highest(logits, s.top_k)
        } else {
            let floor = best - NEGLIGIBLE * s.temperature.max(1.0);
            let all = logits.iter().enumerate().filter(|(_, x)| **x >= floor).map(|(id, _)| id as u32);
            sorted(logits, all.collect(), if s.top_k == 0 { usize::MAX } else { s.top_k })
        };
        let mut kept: Vec<Candidate> = ids
            .into_iter()
            .map(|id| {
                let probability = (f64::from(logits[id as usize] - best) / f64::from(s.temperature)).exp();
                Candidate { id, probability }
            })
            .collect();
        let mut sum: f64 = kept.iter().map(|c| c.probability).sum();
        if s.top_p < 1.0 {
            let limit = f64::from(s.top_p) * sum;
            let mut reached = 0.0;
            let mut count = 0;
            while count < kept.len() && (reached < limit || count == 0) {
                reached += kept[count].probability;
                count += 1;
            }
            kept.truncate(count);
        }
        let Some(likeliest) = kept.first().copied() else { return highest(logits, 1).first().copied().unwrap_or(0) };
        let least = f64::from(s.min_p) * likeliest.probability;
        kept.retain(|c| c.probability >= least);
        sum = kept.iter().map(|c| c.probability).sum();
        let mut at = self.random.random::<f64>() * sum;
        for candidate in &kept {
            at -= candidate.probability;
            if at < 0.0 {
                return candidate.id;
            }
        }
        kept.last().unwrap_or(&likeliest).id
    }
}

/// The first `count` of `ids` by their logits, greatest first; equal ones by id.
fn sorted(logits: &[f32], mut ids: Vec<u32>, count: usize) -> Vec<u32> {
    let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if count < ids.len() {
        ids.select_nth_unstable_by(count, order);
        ids.truncate(count);
    }
    ids.sort_unstable_by(order);
    ids
}

/// Ids of the `count` greatest logits, greatest first; equal ones by id.
fn highest(logits: &[f32], count: usize) -> Vec<u32> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    if count > FEW {
        return sorted(logits, (0..logits.len() as u32).collect(), count);
    }
    let mut found: Vec<u32> = Vec::with_capacity(count + 1);
    let mut least = f32::NEG_INFINITY;
    for (at, run) in logits.chunks(64).enumerate() {
        // Most runs hold nothing that is high enough.
        if found.len() == count && run.iter().fold(f32::NEG_INFINITY, |m, x| if *x > m { *x } else { m }) <= least {
            continue;
        }
        for (i, x) in run.iter().enumerate() {
            if found.len() < count || *x > least {
                let place = found.partition_point(|id| logits[*id as usize] >= *x);
                found.insert(place, (at * 64 + i) as u32);
                found.truncate(count);
                least = found.last().map_or(least, |id| logits[*id as usize]);
            }
        }
    }
    found
}

fn penalize(logits: &[f32], seen: &[u32], penalty: f32) -> Vec<f32> {
    let mut out = logits.to_vec();
    for id in seen {
        // From the original: a token that occurs often is penalized once.
        if let (Some(to), Some(x)) = (out.get_mut(*id as usize), logits.get(*id as usize)) {
            let changed = if *x > 0.0 { x / penalty } else { x * penalty };
            *to = changed.clamp(f32::MIN, f32::MAX);
        }
    }
    out
}

/// Period of the cycle that `ids` end in, if it has gone on for at least `least` tokens and four
/// rounds.
pub fn endless_cycle(ids: &[u32], least: usize) -> Option<usize> {
    (1..=ids.len() / 4).take_while(|p| *p <= 64).find(|&period| {
        let span = least.max(4 * period);
        ids.len() >= span && ids[ids.len() - span..].windows(period + 1).all(|w| w[0] == w[period])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(sampling: Sampling, logits: &[f32], draws: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..draws).map(|_| sampler.choose(logits, &[], 0).expect("numbers").id).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
        let seeded = |seed| Sampling { seed: Some(seed), temperature: 1.0, ..Sampling::default() };
        assert_eq!(ids(seeded(5), &logits, 50), ids(seeded(5), &logits, 50));
        assert_ne!(ids(seeded(5), &logits, 50), ids(seeded(6), &logits, 50));
    }

    #[test]
    fn filters_keep_what_they_say() {
        let logits = [2.0, 1.0, 0.0, -1.0];
        let all = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: Some(1), ..Sampling::default() };
        let kinds = |s: Sampling| {
            let mut seen = ids(s, &logits, 400);
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(kinds(all.clone()), [0, 1, 2, 3]);
        assert_eq!(kinds(Sampling { top_k: 2, ..all.clone() }), [0, 1]);
        // p = 0.644, 0.237, 0.087, 0.032: two reach 0.8.
        assert_eq!(kinds(Sampling { top_p: 0.8, ..all.clone() }), [0, 1]);
        assert_eq!(kinds(Sampling { min_p: 0.1, ..all.clone() }), [0, 1, 2]);
        assert_eq!(kinds(Sampling { temperature: 0.0, ..all }), [0]);
    }

    /// The edges of every range, and what lies outside of it.
    #[test]
    fn arguments_at_their_edges_draw_and_beyond_them_are_refused() {
        let logits: Vec<f32> = (0..600).map(|i| (i as f32 * 0.37).sin() * 30.0).collect();
        let seen: Vec<u32> = (0..600).collect();
        for temperature in [0.0, 1e-40, 1.0, 100.0] {
            for share in [0.0, 1e-40, 0.5, 1.0] {
                for repetition_penalty in [0.1, 1.0, 10.0] {
                    for top_k in [0, 1, 200, 600, usize::MAX] {
                        let (top_p, min_p) = (share, 1.0 - share);
                        let s = Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed: Some(1) };
                        s.check().expect("in range");
                        assert!(Sampler::new(s).choose(&logits, &seen, 3).expect("numbers").id < 600);
                    }
                }
            }
        }
        let usual = Sampling::default();
        for (wrong, name) in [
            (Sampling { temperature: -0.1, ..usual.clone() }, "temperature"),
            (Sampling { temperature: f32::NAN, ..usual.clone() }, "temperature"),
            (Sampling { top_p: 1.1, ..usual.clone() }, "top-p"),
            (Sampling { min_p: -1.0, ..usual.clone() }, "min-p"),
            (Sampling { repetition_penalty: 1e-40, ..usual.clone() }, "repetition penalty"),
            (Sampling { repetition_penalty: f32::INFINITY, ..usual }, "repetition penalty"),
        ] {
            assert!(wrong.check().unwrap_err().contains(name));
            let mut sampler = Sampler::new(wrong);
            assert!(sampler.choose(&[1.0, -2.0, 3e38, -3e38], &[0, 1, 2, 3], 0).is_some(), "and even so no panic");
        }
        let json = r#"{"temperature": 0.5, "repetition_penalty": 1e-40}"#;
        assert!(serde_json::from_str::<Sampling>(json).unwrap_err().to_string().contains("0.1"));
    }

    /// Many are found by selection, the rest by insertion: the same ones, and the same draws.
    #[test]
    fn top_k_of_the_whole_vocabulary_is_no_filter() {
        let logits: Vec<f32> = (0..5000u32).map(|i| ((i * 7_919) % 4_999) as f32 * 4e-3).collect();
        let with = |top_k| {
            let s = Sampling { temperature: 1.0, top_k, top_p: 1.0, seed: Some(3), ..Sampling::default() };
            ids(s, &logits, 50)
        };
        assert_eq!(with(5000), with(0));
        assert_eq!(highest(&logits, 129), highest(&logits, 5000)[..129]);
        assert_eq!(highest(&logits, 128), highest(&logits, 5000)[..128]);
    }

    #[test]
    fn probabilities_and_entropy_are_the_models_own() {
        let logits = [0.0f32; 8];
        let choice = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() }).choose(&logits, &[], 3);
        let choice = choice.expect("numbers");
        assert!((choice.entropy - 3.0).abs() < 1e-9 && (choice.probability - 0.125).abs() < 1e-9);
        assert_eq!(choice.top.iter().map(|c| c.id).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn penalties_count_each_token_once_and_nan_is_noticed() {
        assert_eq!(penalize(&[2.0, -2.0, 1.0], &[0, 0, 1], 2.0), [1.0, -4.0, 1.0]);
        let mut sampler = Sampler::new(Sampling::default());
        assert!(sampler.choose(&[1.0, f32::NAN], &[], 0).is_none());
        assert!(sampler.choose(&[f32::NEG_INFINITY; 40], &[], 0).is_none());
    }

    #[test]
    fn the_highest_are_found_in_order_among_many() {
        let logits: Vec<f32> = (0..1000u32).map(|i| ((i * 7_919) % 997) as f32).collect();
        let mut order: Vec<u32> = (0..1000).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
        for count in [0, 1, 7, 64, 999, 2000] {
            assert_eq!(highest(&logits, count), order[..count.min(1000)]);
        }
        let choice = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() })
            .choose(&logits, &[], 2)
            .expect("a token");
        let sum: f64 = logits.iter().map(|x| f64::from(*x - 996.0).exp()).sum();
        let entropy: f64 = logits
            .iter()
            .map(|x| f64::from(*x - 996.0).exp() / sum)
            .map(|p| if p > 0.0 { -p * p.log2() } else { 0.0 })
            .sum();
        assert!((choice.probability - 1.0 / sum).abs() < 1e-6 && (choice.entropy - entropy).abs() < 1e-5);
    }

    #[test]
    fn cycles_are_seen_and_lists_are_not() {
        assert_eq!(endless_cycle(&[7; 64], 64), Some(1));
        assert_eq!(endless_cycle(&[7; 63], 64), None);
        let round: Vec<u32> = (0..90).map(|i| i % 18).collect();
        assert_eq!(endless_cycle(&round, 64), Some(18));
        let counting: Vec<u32> = (0..200).map(|i| if i % 2 == 0 { 9 } else { i }).collect();
        assert_eq!(endless_cycle(&counting, 64), None);
    }
}
