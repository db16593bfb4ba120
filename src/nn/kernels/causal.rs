//! Causal attention of new tokens to a cache of keys and values in pages.
//!
//! A sequence's past lies in pages of [`PAGE`] positions, wherever there was room: sequences grow without moving, and
//! can share pages. Inside a page keys lie transposed in panels of as many positions as a register tile is wide, values
//! in panels of columns; both as f16, so that scores and context are the register tiles of [`super::gemm`]. The query
//! heads that share a key head (grouped-query attention, Ainslie et al. 2023, arXiv:2305.13245) are rows of one tile.
//!
//! A row's context depends, to the bit, on nothing but its query and what it sees: scores are chains over a head's
//! columns, the softmax sums by lane from a place that the row's own first position gives, and each column of the
//! context is one chain over the positions that the row sees, through all pages. Whatever else lies in a page, of other
//! rows' positions or left over from other sequences, is not multiplied by zero but left out.

use super::attention::{ensure, softmax_row};
use super::gemm::{Tile, even_blocks, tile_rows};
use super::simd::Simd;
use super::{Isa, Shared, dispatch};
use half::f16;
use std::ops::Range;

/// Positions of a page: a multiple of every panel's width.
pub const PAGE: usize = 64;

/// Keys and values of one key head of one sequence, in pages.
#[derive(Clone, Copy)]
pub struct HeadPages<'a> {
    /// Each page's first element; as many as the sequence's positions fill.
    pub pages: &'a [*mut u16],
    /// Where this layer's and head's run begins in every page: keys `[PAGE / width][dim][width]`, then values
    /// `[ceil(dim / width)][PAGE][width]`.
    pub offset: usize,
    pub dim: usize,
    pub width: usize,
}

impl HeadPages<'_> {
    /// f16 numbers of one run: keys and values of one head of one layer in one page.
    pub fn run(dim: usize, width: usize) -> usize {
        PAGE * (dim + dim.next_multiple_of(width))
    }

    /// Stores the key and the value of `position`.
    ///
    /// # Safety
    /// There is a page for `position`, and a run at `offset` of it; `key` and `value` are `dim` floats; nobody else reads
    /// or writes that position meanwhile.
    pub unsafe fn put(&self, position: usize, key: *const f32, value: *const f32) {
        let (at, width) = (position % PAGE, self.width);
        // SAFETY: by contract.
        unsafe {
            let (keys, values) = (self.keys(position / width), self.values(position / PAGE, 0));
            for d in 0..self.dim {
                *keys.add(d * width + at % width) = f16::from_f32(*key.add(d)).to_bits();
                *values.add((d / width * PAGE + at) * width + d % width) = f16::from_f32(*value.add(d)).to_bits();
            }
        }
    }

    /// A panel of keys, counted from the sequence's beginning.
    #[inline(always)]
    unsafe fn keys(&self, panel: usize) -> *mut u16 {
        let each = PAGE / self.width;
        // SAFETY: the caller has a page for it.
        unsafe { self.pages[panel / each].add(self.offset + panel % each * self.dim * self.width) }
    }

    /// A panel of a page's values.
    #[inline(always)]
    unsafe fn values(&self, page: usize, panel: usize) -> *mut u16 {
        // SAFETY: the caller has such a page.
        unsafe { self.pages[page].add(self.offset + PAGE * (self.dim + panel * self.width)) }
    }
}

/// Some query heads of some tokens of one sequence, all attending to one key head.
pub struct Causal<'a> {
    /// Queries, rows of `q_stride`.
    pub q: *const f32,
    pub q_stride: usize,
    /// Query heads, by number.
    pub heads: Range<usize>,
    /// Rows of `q` and `out` with their positions in the sequence, which ascend.
    pub rows: &'a [(u32, u32)],
    pub cache: HeadPages<'a>,
    /// Positions that a token sees, itself included, if limited.
    pub window: Option<usize>,
    pub scale: f32,
    /// Context, rows of `q_stride`.
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

/// Queries that share tiles.
struct Block {
    rows: usize,
    /// Positions that each query sees, from and up to; both ascend.
    seen: [(usize, usize); 12],
    /// Where each query's context goes, `dim` floats.
    out: [*mut f32; 12],
}

#[inline(always)]
unsafe fn body<S: Simd, const NV: usize, const MR: usize>(c: &mut Causal<'_>) {
    let (dim, group) = (c.cache.dim, c.heads.len());
    ensure(&mut c.scratch.queries, MR * dim);
    for (first, rows) in even_blocks(c.rows.len() * group, MR).filter(|b| b.1 > 0) {
        let mut block = Block { rows, seen: [(0, 0); 12], out: [std::ptr::null_mut(); 12] };
        for i in 0..rows {
            let (row, position) = c.rows[(first + i) / group];
            let at = row as usize * c.q_stride + (c.heads.start + (first + i) % group) * dim;
            let end = position as usize + 1;
            block.seen[i] = (c.window.map_or(0, |w| end.saturating_sub(w)), end);
            // SAFETY: the caller vouches for the row in q and out; the buffer holds MR queries.
            unsafe {
                block.out[i] = c.out.0.add(at);
                std::ptr::copy_nonoverlapping(c.q.add(at), c.scratch.queries.as_mut_ptr().add(i * dim), dim);
            }
        }
        // SAFETY: the caller vouches for the cache.
        unsafe { attend::<S, NV>(&block, c.cache, c.scale, c.scratch) };
    }
}

/// `softmax(q · kᵀ · scale) · v` for the queries of a block.
#[inline(always)]
unsafe fn attend<S: Simd, const NV: usize>(b: &Block, cache: HeadPages<'_>, scale: f32, scratch: &mut CausalScratch) {
    let (dim, width) = (cache.dim, NV * S::LANES);
    let CausalScratch { queries, scores, context } = scratch;
    // Whole panels before what the first query sees are left out: lanes stay those of the positions.
    let begin = b.seen[0].0 / width * width;
    let padded = b.seen[b.rows - 1].1.next_multiple_of(width) - begin;
    let panels = dim.div_ceil(width);
    ensure(scores, b.rows * padded);
    ensure(context, panels * b.rows * width);
    // SAFETY: the caller vouches for the cache and out; the buffers are made above.
    unsafe {
        for panel in 0..padded / width {
            tile_rows::<S, u16, NV>(
                b.rows,
                Tile {
                    k: dim,
                    a: queries.as_ptr(),
                    lda: dim,
                    b: cache.keys(begin / width + panel).cast_const(),
                    start: std::ptr::null(),
                    lds: 0,
                    c: scores.as_mut_ptr().add(panel * width),
                    ldc: padded,
                },
            );
        }
        let mut inverse = [0f32; 12];
        for (i, inv) in inverse.iter_mut().enumerate().take(b.rows) {
            let (from, to) = b.seen[i];
            // Vectors of the row's own positions and no others: those of its neighbours would add to its sum.
            let first = from / S::LANES * S::LANES;
            let row = scores.as_mut_ptr().add(i * padded + first - begin);
            for j in 0..from - first {
                *row.add(j) = f32::NEG_INFINITY;
            }
            *inv = 1.0 / softmax_row::<S>(row, to - first, to.next_multiple_of(S::LANES) - first, scale);
        }
        context[..panels * b.rows * width].fill(0.0);
        sum_values::<S, NV>(b, cache, (scores.as_ptr(), begin, padded), context.as_mut_ptr());
        for (panel, i) in (0..panels).flat_map(|p| (0..b.rows).map(move |i| (p, i))) {
            let from = context.as_ptr().add((panel * b.rows + i) * width);
            for c in 0..width.min(dim - panel * width) {
                *b.out[i].add(panel * width + c) = *from.add(c) * inverse[i];
            }
        }
    }
}

/// Adds each query's weighted values to its row of `context` (`[panels][rows][width]`). Weights are `(rows, position of
/// the first, stride)`.
#[inline(always)]
unsafe fn sum_values<S: Simd, const NV: usize>(
    b: &Block,
    cache: HeadPages<'_>,
    (weights, begin, stride): (*const f32, usize, usize),
    context: *mut f32,
) {
    let (width, seen) = (NV * S::LANES, &b.seen[..b.rows]);
    let panels = cache.dim.div_ceil(width);
    let (mut at, end) = (seen[0].0, seen[b.rows - 1].1);
    while at < end {
        // Runs of positions that the same queries see: both bounds ascend, so these are neighbours.
        let first = seen.iter().take_while(|s| s.1 <= at).count();
        let last = seen.iter().take_while(|s| s.0 <= at).count();
        let next = seen.iter().flat_map(|s| [s.0, s.1]).filter(|x| *x > at).fold(end, usize::min);
        while at < next && first < last {
            // Page by page: sums go on from where they are.
            let k = (PAGE - at % PAGE).min(next - at);
            for panel in 0..panels {
                // SAFETY: the caller has these weights, values and results.
                unsafe {
                    let sums = context.add((panel * b.rows + first) * width);
                    tile_rows::<S, u16, NV>(
                        last - first,
                        Tile {
                            k,
                            a: weights.add(first * stride + at - begin),
                            lda: stride,
                            b: cache.values(at / PAGE, panel).add(at % PAGE * width).cast_const(),
                            start: sums,
                            lds: width,
                            c: sums,
                            ldc: width,
                        },
                    );
                }
            }
            at += k;
        }
        at = next;
    }
}

/// `softmax(q · kᵀ · scale) · v` over the positions that each token may see.
///
/// # Safety
/// `q` and `out` cover the rows; the cache has a page for every position up to the last row's, and each position that a
/// row sees has been put; no other thread writes these heads of these rows meanwhile.
pub unsafe fn causal(isa: Isa, c: &mut Causal<'_>) {
    debug_assert!(c.heads.end * c.cache.dim <= c.q_stride, "{} heads of {}", c.heads.end, c.cache.dim);
    debug_assert!(c.rows.is_sorted_by_key(|r| r.1) && c.cache.width == isa.panel() && c.window != Some(0));
    debug_assert!(c.rows.last().is_none_or(|r| (r.1 as usize) < c.cache.pages.len() * PAGE));
    dispatch!(isa, body(c): &mut Causal<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::company::numbers;

    /// A sequence's queries, keys and values, and its pages of two heads of which the second is in use. What is never
    /// put is no number.
    struct Sequence {
        shape: (Isa, usize, usize),
        q: Vec<f32>,
        k: Vec<f32>,
        v: Vec<f32>,
        blocks: Vec<Vec<u16>>,
    }

    impl Sequence {
        fn new(isa: Isa, dim: usize, heads: usize, positions: usize) -> Self {
            let of = |seed| numbers(positions * dim, seed);
            let run = HeadPages::run(dim, isa.panel());
            let blocks = vec![vec![f16::NAN.to_bits(); 2 * run]; positions.div_ceil(PAGE)];
            Self { shape: (isa, dim, heads), q: numbers(positions * heads * dim, 1), k: of(2), v: of(3), blocks }
        }

        /// Context of `rows` (queries lie by position), written into `out`, with as many positions put as `rows` see.
        fn run(&mut self, rows: &[(u32, u32)], window: Option<usize>, out: &mut [f32]) {
            let (isa, dim, heads) = self.shape;
            let pages: Vec<*mut u16> = self.blocks.iter_mut().map(|b| b.as_mut_ptr()).collect();
            let width = isa.panel();
            let cache = HeadPages { pages: &pages, offset: HeadPages::run(dim, width), dim, width };
            for p in 0..=rows.last().map_or(0, |r| r.1 as usize) {
                // SAFETY: there are pages for all positions; one thread.
                unsafe { cache.put(p, self.k[p * dim..].as_ptr(), self.v[p * dim..].as_ptr()) };
            }
            let mut work = Causal {
                q: self.q.as_ptr(),
                q_stride: heads * dim,
                heads: 0..heads,
                rows,
                cache,
                window,
                scale: 0.3,
                out: Shared(out.as_mut_ptr()),
                scratch: &mut CausalScratch::default(),
            };
            // SAFETY: buffers as large as the shapes say.
            unsafe { causal(isa, &mut work) };
        }
    }

    const WINDOWS: [Option<usize>; 4] = [None, Some(5), Some(40), Some(70)];

    #[test]
    fn attention_to_pages_matches_a_plain_loop() {
        let (heads, base, total) = (3, 120, 135);
        let round = |x: f32| f16::from_f32(x).to_f32();
        for (isa, dim) in Isa::available().into_iter().flat_map(|isa| [24, 64, 80].map(|dim| (isa, dim))) {
            for window in WINDOWS {
                let mut s = Sequence::new(isa, dim, heads, total);
                let rows: Vec<(u32, u32)> = (base as u32..total as u32).map(|p| (p, p)).collect();
                let mut out = vec![0f32; s.q.len()];
                s.run(&rows, window, &mut out);
                for (t, h) in (base..total).flat_map(|t| (0..heads).map(move |h| (t, h))) {
                    let row = &s.q[(t * heads + h) * dim..][..dim];
                    let seen = window.map_or(0, |w| (t + 1).saturating_sub(w))..t + 1;
                    let dot = |p: usize| (0..dim).map(|d| row[d] * round(s.k[p * dim + d])).sum::<f32>() * 0.3;
                    let weights: Vec<f32> = seen.clone().map(|p| dot(p).exp()).collect();
                    let sum: f32 = weights.iter().sum();
                    for d in 0..dim {
                        let each = weights.iter().zip(seen.clone()).map(|(w, p)| w * round(s.v[p * dim + d]));
                        let want = each.sum::<f32>() / sum;
                        let got = out[(t * heads + h) * dim + d];
                        assert!((got - want).abs() < 1e-4, "{isa:?} {window:?} [{t},{h},{d}] {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_rows_context_does_not_depend_on_its_company() {
        let (heads, total) = (3usize, 150usize);
        for (isa, dim) in Isa::available().into_iter().flat_map(|isa| [24, 64, 80].map(|dim| (isa, dim))) {
            for window in WINDOWS {
                let mut s = Sequence::new(isa, dim, heads, total);
                let all: Vec<(u32, u32)> = (0..total as u32).map(|p| (p, p)).collect();
                // One by one first: what comes later is not put yet.
                let mut want = vec![0f32; s.q.len()];
                all.iter().for_each(|row| s.run(&[*row], window, &mut want));
                assert!(want.iter().all(|x| x.is_finite()), "{isa:?} {dim} {window:?}");
                let mut choices = numbers(4 * total, 9).into_iter().map(|x| ((x + 1.0) * 32.0) as usize);
                for round in 0..4 {
                    let mut got = vec![0f32; s.q.len()];
                    // All at once; then groups of any size; then rows with gaps, in two calls.
                    let mut rest = &all[..];
                    while round < 2 && !rest.is_empty() {
                        let size = if round == 0 { total } else { choices.next().unwrap_or(0) % 31 + 1 };
                        let (group, after) = rest.split_at(size.min(rest.len()));
                        s.run(group, window, &mut got);
                        rest = after;
                    }
                    if round >= 2 {
                        let (a, b): (Vec<_>, Vec<_>) = all.iter().partition(|_| choices.next() < Some(32));
                        s.run(&a, window, &mut got);
                        s.run(&b, window, &mut got);
                    }
                    let same = want.iter().zip(&got).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{isa:?} {dim} {window:?} {round}");
                }
            }
        }
    }
}
