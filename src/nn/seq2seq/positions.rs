//! Where a token stands: sinusoids (Marian), and buckets of distances (T5).

use super::config::Relative;

/// Sinusoidal positions `[count, hidden]`: sines in the first half of the columns, cosines in the
/// second (Vaswani et al. 2017, section 3.5, as Marian orders them).
pub fn sinusoids(count: usize, hidden: usize) -> Vec<f32> {
    let half = hidden.div_ceil(2);
    let mut out = vec![0f32; count * hidden];
    for (position, row) in out.chunks_exact_mut(hidden).enumerate() {
        for (column, value) in row.iter_mut().enumerate() {
            let pair = if column < half { column } else { column - half };
            let angle = position as f64 / 10_000f64.powf(2.0 * pair as f64 / hidden as f64);
            *value = if column < half { angle.sin() } else { angle.cos() } as f32;
        }
    }
    out
}

/// The bucket of key position minus query position (Raffel et al. 2020, section 2.1). Half of the buckets are
/// exact distances, the rest grow logarithmically; where both directions are seen each has half.
pub fn bucket(distance: i64, both: bool, relative: Relative) -> usize {
    let mut buckets = relative.buckets;
    let mut first = 0;
    let far = if both {
        buckets /= 2;
        if distance > 0 {
            first = buckets;
        }
        distance.unsigned_abs()
    } else {
        (-distance).max(0).unsigned_abs()
    };
    let exact = buckets / 2;
    if (far as usize) < exact {
        return first + far as usize;
    }
    // In f32 and truncated, as it was trained.
    let share = (far as f32 / exact as f32).ln() / ((relative.max_distance as f64 / exact as f64).ln() as f32);
    let large = exact + (share * (buckets - exact) as f32) as usize;
    first + large.min(buckets - 1)
}

/// T5's bias by distance, one run per head, so that a query's row of biases is a slice of it.
pub struct Bias {
    /// `[heads][distances]`
    values: Vec<f32>,
    /// Distances of a run.
    run: usize,
    /// Index of distance 0.
    zero: usize,
}

impl Bias {
    /// From the embedding `[buckets, heads]`, for sequences of up to `longest` tokens; `both`
    /// directions in an encoder, only backward in a decoder.
    pub fn new(table: &[f32], heads: usize, both: bool, relative: Relative, longest: usize) -> Self {
        let zero = longest - 1;
        let run = if both { 2 * longest - 1 } else { longest };
        let mut values = vec![0f32; heads * run];
        for (index, place) in (0..run).map(|i| (i, bucket(i as i64 - zero as i64, both, relative))) {
            for head in 0..heads {
                values[head * run + index] = table[place * heads + head];
            }
        }
        Self { values, run, zero }
    }

    /// The biases of one head from distance 0 on; smaller distances lie before it.
    pub fn at_zero(&self, head: usize) -> *const f32 {
        self.values[head * self.run + self.zero..].as_ptr()
    }

    /// The biases of `count` keys, for a query at `position`, of one head.
    pub fn row(&self, head: usize, position: usize, count: usize) -> &[f32] {
        let from = head * self.run + self.zero - position;
        &self.values[from..from + count]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T5: Relative = Relative { buckets: 32, max_distance: 128 };

    /// Values of `T5Attention._relative_position_bucket` of transformers 4.57.
    #[test]
    fn buckets_are_those_of_transformers() {
        let both: Vec<usize> =
            [-200, -128, -20, -9, -8, -1, 0, 1, 7, 8, 12, 100, 300].map(|d| bucket(d, true, T5)).into();
        assert_eq!(both, [15, 15, 10, 8, 8, 1, 0, 17, 23, 24, 25, 31, 31]);
        let back: Vec<usize> = [5, 0, -1, -15, -16, -20, -60, -128, -500].map(|d| bucket(d, false, T5)).into();
        assert_eq!(back, [0, 0, 1, 15, 16, 17, 26, 31, 31]);
    }

    #[test]
    fn a_row_of_biases_is_a_slice() {
        let table: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let bias = Bias::new(&table, 2, true, T5, 10);
        let row = bias.row(1, 3, 10);
        for (key, value) in row.iter().enumerate() {
            assert_eq!(*value, (bucket(key as i64 - 3, true, T5) * 2 + 1) as f32);
        }
    }

    #[test]
    fn sinusoids_have_sines_first() {
        let table = sinusoids(3, 4);
        assert_eq!(&table[..4], [0.0, 0.0, 1.0, 1.0]);
        assert!((table[4] - 1f32.sin()).abs() < 1e-6 && (table[6] - 1f32.cos()).abs() < 1e-6);
    }
}
