//! Causal attention of new tokens to a cache of keys and values.
//!
//! Keys lie transposed in panels of as many positions as a register tile is wide, values in panels
//! of columns; both as f16, so that scores and context are the register tiles of [`super::gemm`].
//! The query heads that share a key head (grouped-query attention, Ainslie et al. 2023,
//! arXiv:2305.13245) are rows of one tile.

use super::attention::{Rows, attend_rows, ensure};
use super::gemm::even_blocks;
use super::simd::Simd;
use super::{Isa, Shared, dispatch};
use half::f16;

/// Keys and values of one key head, `capacity` positions long (a multiple of the panel width).
#[derive(Clone, Copy)]
pub struct HeadCache {
    /// `[capacity / width][dim][width]`
    pub keys: *mut u16,
    /// `[ceil(dim / width)][capacity][width]`
    pub values: *mut u16,
    pub capacity: usize,
    pub dim: usize,
    pub width: usize,
}

impl HeadCache {
    /// f16 numbers of the keys and of the values of one head.
    pub fn sizes(capacity: usize, dim: usize, width: usize) -> (usize, usize) {
        (capacity * dim, dim.div_ceil(width) * width * capacity)
    }

    /// Stores the key and the value of `position`.
    ///
    /// # Safety
    /// `position < capacity`, both pointers valid for the sizes above, `key` and `value` of `dim`
    /// floats; nobody else reads or writes that position meanwhile.
    pub unsafe fn put(&self, position: usize, key: *const f32, value: *const f32) {
        debug_assert!(position < self.capacity);
        let (panel, lane) = (position / self.width, position % self.width);
        // SAFETY: by contract.
        unsafe {
            for d in 0..self.dim {
                let at = (panel * self.dim + d) * self.width + lane;
                *self.keys.add(at) = f16::from_f32(*key.add(d)).to_bits();
                let at = (d / self.width * self.capacity + position) * self.width + d % self.width;
                *self.values.add(at) = f16::from_f32(*value.add(d)).to_bits();
            }
        }
    }
}

/// Some query heads of some new tokens, all attending to one key head.
pub struct Causal<'a> {
    /// Queries `[tokens, q_stride]`.
    pub q: *const f32,
    pub q_stride: usize,
    /// Query heads, by number.
    pub heads: std::ops::Range<usize>,
    /// New tokens, by index in the chunk.
    pub tokens: std::ops::Range<usize>,
    /// Position of the chunk's first token.
    pub base: usize,
    pub cache: HeadCache,
    /// Positions that a token sees, itself included, if limited.
    pub window: Option<usize>,
    pub scale: f32,
    /// Context `[tokens, q_stride]`.
    pub out: Shared,
    pub scratch: &'a mut CausalScratch,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct CausalScratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    context: Vec<f32>,
}

#[inline(always)]
unsafe fn body<S: Simd, const NV: usize, const MR: usize>(c: &mut Causal<'_>) {
    let width = NV * S::LANES;
    let HeadCache { dim, capacity, keys, values, .. } = c.cache;
    let group = c.heads.len();
    let CausalScratch { queries, scores, context } = &mut *c.scratch;
    ensure(queries, MR * dim);
    for (first, rows) in even_blocks(c.tokens.len() * group, MR) {
        let place = |i: usize| (c.tokens.start + (first + i) / group, c.heads.start + (first + i) % group);
        // Positions that the block's rows see: up to `end`, from `begin` on.
        let seen = |i: usize| {
            let end = c.base + place(i).0 + 1;
            (c.window.map_or(0, |w| end.saturating_sub(w)), end)
        };
        // Whole panels before what the first row sees are left out.
        let (begin, end) = (seen(0).0 / width, seen(rows - 1).1);
        // SAFETY: the cache covers `end` positions, the buffer holds the rows' queries, and rows of
        // q and out are those of the caller's tokens.
        unsafe {
            let mut block = Rows {
                rows,
                dim,
                queries: queries.as_ptr(),
                stride: dim,
                keys: keys.add(begin * dim * width).cast_const(),
                values: values.add(begin * width * width).cast_const(),
                value_stride: capacity * width,
                span: end - begin * width,
                seen: [(0, 0); 12],
                out: [std::ptr::null_mut(); 12],
                scale: c.scale,
                bias: [std::ptr::null(); 12],
            };
            for i in 0..rows {
                let (token, head) = place(i);
                let at = token * c.q_stride + head * dim;
                std::ptr::copy_nonoverlapping(c.q.add(at), queries.as_mut_ptr().add(i * dim), dim);
                let (from, to) = seen(i);
                block.seen[i] = (from - begin * width, to - begin * width);
                block.out[i] = c.out.0.add(at);
            }
            attend_rows::<S, u16, NV>(&block, scores, context);
        }
    }
}

/// `softmax(q · kᵀ · scale) · v` over the positions that each token may see.
///
/// # Safety
/// `q` and `out` cover the tokens' rows; the cache holds every position up to the last token; no
/// other thread writes these heads of these tokens meanwhile.
pub unsafe fn causal(isa: Isa, c: &mut Causal<'_>) {
    debug_assert!(c.heads.end * c.cache.dim <= c.q_stride, "{} heads of {}", c.heads.end, c.cache.dim);
    debug_assert!(c.base + c.tokens.end <= c.cache.capacity && c.cache.width == isa.panel());
    dispatch!(isa, body(c): &mut Causal<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_to_a_cache_matches_a_plain_loop() {
        let (dim, heads, base, tokens) = (24, 3, 45, 7);
        let number = |i: usize| ((i * 37) % 101) as f32 / 50.0 - 1.0;
        let round = |x: f32| f16::from_f32(x).to_f32();
        for isa in Isa::available() {
            for window in [None, Some(5), Some(40)] {
                let (width, capacity) = (isa.panel(), 64);
                let (key, value) = HeadCache::sizes(capacity, dim, width);
                let (mut keys, mut values) = (vec![0u16; key], vec![0u16; value]);
                let cache = HeadCache { keys: keys.as_mut_ptr(), values: values.as_mut_ptr(), capacity, dim, width };
                let total = base + tokens;
                let k: Vec<f32> = (0..total * dim).map(number).collect();
                let v: Vec<f32> = (0..total * dim).map(|i| number(i + 13)).collect();
                let q: Vec<f32> = (0..tokens * heads * dim).map(|i| number(i + 29)).collect();
                let mut out = vec![0f32; q.len()];
                for p in 0..total {
                    // SAFETY: position < capacity, one thread.
                    unsafe { cache.put(p, k[p * dim..].as_ptr(), v[p * dim..].as_ptr()) };
                }
                let mut work = Causal {
                    q: q.as_ptr(),
                    q_stride: heads * dim,
                    heads: 0..heads,
                    tokens: 0..tokens,
                    base,
                    cache,
                    window,
                    scale: 0.3,
                    out: Shared(out.as_mut_ptr()),
                    scratch: &mut CausalScratch::default(),
                };
                // SAFETY: buffers as large as the shapes say.
                unsafe { causal(isa, &mut work) };
                for (t, h) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
                    let row = &q[(t * heads + h) * dim..][..dim];
                    let end = base + t + 1;
                    let begin = window.map_or(0, |w| end.saturating_sub(w));
                    let dot = |p: usize| (0..dim).map(|d| row[d] * round(k[p * dim + d])).sum::<f32>() * 0.3;
                    let weights: Vec<f32> = (begin..end).map(|p| dot(p).exp()).collect();
                    let sum: f32 = weights.iter().sum();
                    for d in 0..dim {
                        let each = weights.iter().zip(begin..end).map(|(w, p)| w * round(v[p * dim + d]));
                        let want = each.sum::<f32>() / sum;
                        let got = out[(t * heads + h) * dim + d];
                        assert!((got - want).abs() < 1e-4, "{isa:?} {window:?} [{t},{h},{d}] {got} {want}");
                    }
                }
            }
        }
    }
}
