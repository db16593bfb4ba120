//! From the states of a text's tokens to its vector, as a sentence encoder's own modules say.

use crate::models::sentence::{Act, Pooling, SentenceModel, Step};
use crate::nn::bert::HeadKind;

/// Added to a variance before the root is taken, as in PyTorch.
const EPS: f32 = 1e-5;

impl SentenceModel {
    /// What the network has to give: the pooled states where it can pool by itself, else all of them.
    pub fn head(&self) -> HeadKind {
        match self.pooling[..] {
            [Pooling::Mean] if self.reads_all() => HeadKind::Mean,
            [Pooling::First] if self.reads_all() => HeadKind::First,
            _ => HeadKind::States,
        }
    }

    /// Whether every token counts in the pooling.
    fn reads_all(&self) -> bool {
        self.counts_prompt || self.prompt.is_empty()
    }

    /// The pooled vector of what the network gave for one window; `prompt` tokens stand behind its first.
    pub fn pooled(&self, output: &[f32], hidden: usize, prompt: usize) -> Vec<f32> {
        if self.head() != HeadKind::States {
            return output.to_vec();
        }
        // The mark in front counts as part of the prompt.
        let skip = if self.reads_all() { 0 } else { prompt + 1 };
        let rows: Vec<&[f32]> = output.chunks_exact(hidden).skip(skip).collect();
        self.pooling.iter().flat_map(|pooling| pool(*pooling, &rows, hidden, skip)).collect()
    }

    /// What the modules behind the pooling make of a vector.
    pub fn finished(&self, mut vector: Vec<f32>) -> Vec<f32> {
        for step in &self.steps {
            vector = match step {
                Step::Normalize => super::vectors::normalized(vector),
                Step::Dense { weight, bias, act } => dense(&vector, weight, bias, *act),
                Step::LayerNorm { gamma, beta } => layer_norm(&vector, gamma, beta),
            };
        }
        vector
    }
}

/// `rows` as one; the first of them stands at `place` of its text.
fn pool(pooling: Pooling, rows: &[&[f32]], hidden: usize, place: usize) -> Vec<f32> {
    let row = |row: Option<&&[f32]>| row.map_or_else(|| vec![0.0; hidden], |r| r.to_vec());
    let summed = |weight: &dyn Fn(usize) -> f32| {
        let mut sum = vec![0f32; hidden];
        for (at, row) in rows.iter().enumerate() {
            sum.iter_mut().zip(*row).for_each(|(s, x)| *s += weight(at) * x);
        }
        let total: f32 = (0..rows.len()).map(weight).sum();
        (sum, total.max(1e-9))
    };
    let over = |(mut sum, by): (Vec<f32>, f32)| {
        sum.iter_mut().for_each(|s| *s /= by);
        sum
    };
    match pooling {
        Pooling::First => row(rows.first()),
        Pooling::Last => row(rows.last()),
        Pooling::Max => (0..hidden).map(|c| rows.iter().map(|r| r[c]).fold(f32::NEG_INFINITY, f32::max)).collect(),
        Pooling::Mean => over(summed(&|_| 1.0)),
        Pooling::MeanSqrt => {
            let (sum, count) = summed(&|_| 1.0);
            over((sum, count.sqrt()))
        }
        Pooling::Weighted => over(summed(&|at| (place + at + 1) as f32)),
    }
}

fn dense(x: &[f32], weight: &[f32], bias: &[f32], act: Act) -> Vec<f32> {
    let outputs = weight.chunks_exact(x.len().max(1)).enumerate();
    outputs
        .map(|(at, row)| {
            let sum: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
            activated(sum + bias.get(at).copied().unwrap_or(0.0), act)
        })
        .collect()
}

fn activated(x: f32, act: Act) -> f32 {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    match act {
        Act::Identity => x,
        Act::Tanh => x.tanh(),
        Act::Relu => x.max(0.0),
        Act::Sigmoid => sigmoid(x),
        Act::Silu => x * sigmoid(x),
        Act::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
    }
}

/// The error function, to 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26).
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    (1.0 - series * (-x * x).exp()).copysign(x)
}

fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
    let count = x.len().max(1) as f32;
    let mean = x.iter().sum::<f32>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    let scale = 1.0 / (variance + EPS).sqrt();
    x.iter().zip(gamma).zip(beta).map(|((x, g), b)| (x - mean) * scale * g + b).collect()
}
