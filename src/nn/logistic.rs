//! Multinomial logistic regression on embeddings, fitted by L-BFGS (Liu & Nocedal 1989).

use super::bert::softmax;
use super::kernels::Isa;
use super::kernels::gemm::{Packed, linear};
use super::precision::Precision;

/// Weight of the penalty `λ/2 · |W|²` per example's loss summed; about 33 is its inverse C.
pub const PENALTY: f32 = 0.03;
/// Pairs of steps that the curvature is remembered by.
const MEMORY: usize = 8;
const MAX_STEPS: usize = 100;
/// Ends when no component of the gradient is larger than this.
const TOLERANCE: f32 = 2e-3;

/// A fitted head: logits `W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// `[classes, width + 1]`, the bias last in each row.
    pub weights: Vec<f32>,
    pub classes: usize,
    pub width: usize,
}

/// The examples, laid out for the products of a fit.
pub struct Examples {
    isa: Isa,
    /// `[n, width + 1]`, a one at each row's end.
    rows: Vec<f32>,
    /// `[width + 1, n]` packed: for gradients.
    across: Packed,
    classes: Vec<usize>,
    count: usize,
    width: usize,
}

impl Examples {
    /// `vectors` `[n][width]` with the class of each.
    pub fn new(vectors: &[Vec<f32>], classes: &[usize], count: usize) -> Self {
        let isa = Isa::detect();
        let width = vectors.first().map_or(0, Vec::len);
        let rows: Vec<f32> = vectors.iter().flat_map(|v| v.iter().copied().chain([1.0])).collect();
        let n = vectors.len();
        let across: Vec<f32> =
            (0..=width).flat_map(|c| (0..n).map(move |r| (r, c))).map(|(r, c)| rows[r * (width + 1) + c]).collect();
        let across = Packed::new(isa, &across, &vec![0.0; width + 1], n, Precision::F32);
        Self { isa, rows, across, classes: classes.to_vec(), count, width }
    }

    /// Examples.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Loss (penalty included) and its gradient, `[classes, width + 1]`; the example `without` does
    /// not count.
    fn loss(&self, weights: &[f32], without: Option<usize>) -> (f64, Vec<f32>) {
        let (n, k, w) = (self.len(), self.count, self.width + 1);
        let packed = Packed::new(self.isa, weights, &vec![0.0; k], w, Precision::F32);
        let logits = linear(self.isa, &self.rows, &packed, None);
        let mut residual = vec![0f32; k * n];
        let mut loss = 0f64;
        for (i, row) in logits.chunks_exact(k).enumerate().filter(|(i, _)| Some(*i) != without) {
            let top = row.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
            let sum: f32 = row.iter().map(|x| (x - top).exp()).sum();
            loss += f64::from(sum.ln() + top - row[self.classes[i]]);
            for (c, x) in row.iter().enumerate() {
                residual[c * n + i] = (x - top).exp() / sum;
            }
            residual[self.classes[i] * n + i] -= 1.0;
        }
        let mut gradient = linear(self.isa, &residual, &self.across, None);
        for (g, x) in gradient.chunks_exact_mut(w).zip(weights.chunks_exact(w)) {
            for (g, x) in g[..w - 1].iter_mut().zip(&x[..w - 1]) {
                *g += PENALTY * x;
                loss += f64::from(0.5 * PENALTY * x * x);
            }
        }
        (loss, gradient)
    }

    /// The weights that fit best, from `start` on.
    pub fn fit(&self, start: Option<&Logistic>, without: Option<usize>) -> Logistic {
        let size = self.count * (self.width + 1);
        let mut x = start.map_or_else(|| vec![0.0; size], |s| s.weights.clone());
        let (mut loss, mut gradient) = self.loss(&x, without);
        let mut memory: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
        for _ in 0..MAX_STEPS {
            if gradient.iter().all(|g| g.abs() < TOLERANCE) {
                break;
            }
            let direction = descent(&gradient, &memory);
            let slope = dot(&direction, &gradient);
            let mut step = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
            let next = loop {
                let trial: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + step as f32 * d).collect();
                let (l, g) = self.loss(&trial, without);
                if l <= loss + 1e-4 * step * slope || step < 1e-6 {
                    break (trial, l, g);
                }
                step /= 2.0;
            };
            let moved: Vec<f32> = next.0.iter().zip(&x).map(|(a, b)| a - b).collect();
            let bent: Vec<f32> = next.2.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            if dot(&moved, &bent) > 1e-10 {
                memory.push((moved, bent));
                if memory.len() > MEMORY {
                    memory.remove(0);
                }
            }
            (x, loss, gradient) = next;
        }
        Logistic { weights: x, classes: self.count, width: self.width }
    }

    /// The class that `head` gives example `index`.
    pub fn guess(&self, head: &Logistic, index: usize) -> usize {
        let w = self.width + 1;
        let shares = head.shares(&self.rows[index * w..index * w + self.width]);
        (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0)
    }

    /// Whether the example is still recognised when the head is fitted without it.
    pub fn holds_out(&self, fitted: &Logistic, index: usize) -> bool {
        self.guess(&self.fit(Some(fitted), Some(index)), index) == self.classes[index]
    }
}

impl Logistic {
    /// The probability of each class for the embedding `x`.
    pub fn shares(&self, x: &[f32]) -> Vec<f64> {
        let logit = |row: &[f32]| row.iter().zip(x.iter().chain(&[1.0])).map(|(w, x)| w * x).sum::<f32>();
        let logits: Vec<f32> = self.weights.chunks_exact(self.width + 1).map(logit).collect();
        softmax(&logits)
    }
}

/// The L-BFGS direction by the two-loop recursion.
fn descent(gradient: &[f32], memory: &[(Vec<f32>, Vec<f32>)]) -> Vec<f32> {
    let mut q: Vec<f32> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::new();
    for (moved, bent) in memory.iter().rev() {
        let share = dot(moved, &q) / dot(moved, bent);
        add(&mut q, bent, -share);
        shares.push(share);
    }
    if let Some((moved, bent)) = memory.last() {
        let scale = (dot(moved, bent) / dot(bent, bent)) as f32;
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((moved, bent), share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(bent, &q) / dot(moved, bent);
        add(&mut q, moved, share - back);
    }
    q
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let chunk = |(a, b): (&[f32], &[f32])| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    a.chunks(256).zip(b.chunks(256)).map(chunk).sum()
}

fn add(to: &mut [f32], by: &[f32], share: f64) {
    for (t, b) in to.iter_mut().zip(by) {
        *t += share as f32 * b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points around three corners, in 20 dimensions.
    fn cloud(per_class: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut state = 7u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 9) as f32 / (1 << 23) as f32 - 0.5
        };
        (0..3 * per_class)
            .map(|i| {
                let class = i % 3;
                let point = (0..20).map(|d| noise() * 0.8 + if d == class { 1.0 } else { 0.0 }).collect();
                (point, class)
            })
            .unzip()
    }

    #[test]
    fn a_fit_ends_where_the_gradient_does() {
        let (points, classes) = cloud(12);
        let examples = Examples::new(&points, &classes, 3);
        let head = examples.fit(None, None);
        let (loss, gradient) = examples.loss(&head.weights, None);
        assert!(gradient.iter().all(|g| g.abs() < 2.0 * TOLERANCE), "{gradient:?}");
        // The gradient is the loss's: a small step along one weight changes the loss as it says.
        let mut bent = head.weights.clone();
        bent.iter_mut().for_each(|w| *w += 0.05);
        let (base, slope) = examples.loss(&bent, None);
        bent[3] += 1e-2;
        let measured = (examples.loss(&bent, None).0 - base) / 1e-2;
        assert!((measured - f64::from(slope[3])).abs() < 0.02, "{measured} against {}", slope[3]);
        assert!(loss < base);
        let right = (0..examples.len()).filter(|&i| examples.guess(&head, i) == classes[i]).count();
        assert_eq!(right, examples.len());
        let held: usize = (0..examples.len()).filter(|&i| examples.holds_out(&head, i)).count();
        assert!((25..=36).contains(&held), "{held}");
    }
}
