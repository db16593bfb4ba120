//! Rotary position embedding: tables for the rows of a step, and the rotation of one head.

use super::config::{Config, Rope};

/// Inverse frequencies of global and of local layers.
pub struct Frequencies {
    global: Vec<f32>,
    local: Vec<f32>,
    interleaved: bool,
    magnitude: f32,
}

/// Cosines and sines `[rows, dim / 2]`.
#[derive(Default)]
pub struct Table {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

/// Tables for the two kinds of layers.
#[derive(Default)]
pub struct Tables {
    pub global: Table,
    pub local: Table,
}

impl Frequencies {
    /// `factors`: divisors for short and for long contexts, from the file.
    pub fn new(config: &Config, factors: &[Vec<f32>; 2]) -> Option<Self> {
        let rope: &Rope = config.rope.as_ref()?;
        let long = config.context > rope.original_context;
        let global = rope.frequencies(&factors[usize::from(long)]);
        let local = rope.local_frequencies(&global);
        Some(Self { global, local, interleaved: rope.interleaved, magnitude: rope.magnitude })
    }

    /// Fills `tables` for these positions, one row each.
    pub fn fill(&self, positions: impl Iterator<Item = usize> + Clone, tables: &mut Tables) {
        for (table, frequencies) in [(&mut tables.global, &self.global), (&mut tables.local, &self.local)] {
            table.half = frequencies.len();
            table.cos.clear();
            table.sin.clear();
            for position in positions.clone() {
                for f in frequencies {
                    let (sin, cos) = (position as f32 * f).sin_cos();
                    table.cos.push(cos * self.magnitude);
                    table.sin.push(sin * self.magnitude);
                }
            }
        }
    }

    /// Whether pairs are neighbours.
    pub fn is_interleaved(&self) -> bool {
        self.interleaved
    }
}

impl Table {
    /// Cosines, `[rows · half]`.
    pub fn cos(&self) -> &[f32] {
        &self.cos
    }

    /// Sines, `[rows · half]`.
    pub fn sin(&self) -> &[f32] {
        &self.sin
    }

    /// Rotates one head of row `index`, in place.
    pub fn rotate(&self, index: usize, head: &mut [f32], interleaved: bool) {
        let range = index * self.half..(index + 1) * self.half;
        let pairs = self.cos[range.clone()].iter().zip(&self.sin[range]);
        if interleaved {
            for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
                let [a, b] = *pair;
                *pair = [a * cos - b * sin, a * sin + b * cos];
            }
        } else {
            let (low, high) = head[..2 * self.half].split_at_mut(self.half);
            for ((a, b), (cos, sin)) in low.iter_mut().zip(high).zip(pairs) {
                (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
            }
        }
    }
}
