//! Causal attention of new tokens to a cache of keys and values.
//!
//! Keys lie transposed in panels of as many positions as a register tile is wide, values in panels
//! of columns; both as f16, so that scores and context are the register tiles of [`super::gemm`].
//! The query heads that share a key head (grouped-query attention, Ainslie et al. 2023,
//! arXiv:2305.13245) are rows of one tile.

use super::attention::{ensure, softmax_row};
use super::gemm::{Tile, even_blocks, tile_rows};
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
    ensure(context, MR * width);
    for (first, rows) in even_blocks(c.tokens.len() * group, MR) {
        let place = |i: usize| (c.tokens.start + (first + i) / group, c.heads.start + (first + i) % group);
        // Positions that the block's rows see: up to `end`, from `begin` on.
        let seen = |i: usize| {
            let end = c.base + place(i).0 + 1;
            (c.window.map_or(0, |w| end.saturating_sub(w)), end)
        };
        let (begin, end) = (seen(0).0 / width, seen(rows - 1).1);
        let panels = end.div_ceil(width) - begin;
        let padded = panels * width;
        ensure(scores, MR * padded);
        // SAFETY: the cache covers `end` positions, the buffers are as large as made above, and
        // rows of q and out are those of the caller's tokens.
        unsafe {
            for i in 0..rows {
                let (token, head) = place(i);
                let from = c.q.add(token * c.q_stride + head * dim);
                std::ptr::copy_nonoverlapping(from, queries.as_mut_ptr().add(i * dim), dim);
            }
            for panel in 0..panels {
                tile_rows::<S, u16, NV>(
                    rows,
                    Tile {
                        k: dim,
                        a: queries.as_ptr(),
                        lda: dim,
                        b: keys.add((begin + panel) * dim * width).cast_const(),
                        bias: std::ptr::null(),
                        c: scores.as_mut_ptr().add(panel * width),
                        ldc: padded,
                    },
                );
            }
            let mut inverse = [0f32; 12];
            for (i, inv) in inverse.iter_mut().enumerate().take(rows) {
                let row = scores.as_mut_ptr().add(i * padded);
                let (from, to) = seen(i);
                for j in 0..from - begin * width {
                    *row.add(j) = f32::NEG_INFINITY;
                }
                *inv = 1.0 / softmax_row::<S>(row, to - begin * width, padded, c.scale);
            }
            for panel in 0..dim.div_ceil(width) {
                tile_rows::<S, u16, NV>(
                    rows,
                    Tile {
                        k: end - begin * width,
                        a: scores.as_ptr(),
                        lda: padded,
                        b: values.add((panel * capacity + begin * width) * width).cast_const(),
                        bias: std::ptr::null(),
                        c: context.as_mut_ptr(),
                        ldc: width,
                    },
                );
                let columns = width.min(dim - panel * width);
                for (i, inv) in inverse.iter().enumerate().take(rows) {
                    let (token, head) = place(i);
                    let to = c.out.0.add(token * c.q_stride + head * dim + panel * width);
                    for column in 0..columns {
                        *to.add(column) = context[i * width + column] * inv;
                    }
                }
            }
        }
    }
}

/// `softmax(q · kᵀ · scale) · v` over the positions that each token may see.
///
/// # Safety
/// `q` and `out` cover the tokens' rows; the cache holds every position up to the last token; no
/// other thread writes these heads of these tokens meanwhile.
pub unsafe fn causal(isa: Isa, c: &mut Causal<'_>) {
    dispatch!(isa, body(c): &mut Causal<'_>);
}
