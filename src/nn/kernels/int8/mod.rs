//! Products of 8-bit integers: weights with a step for every [`BLOCK`] inputs of an output column, activations with a
//! step for every [`BLOCK`] numbers of a row, found anew for each product. Codes are signed, from −127 to 127, on every
//! instruction set; a block's sum of products is exact in 32 bits, sums of blocks are f32.
//!
//! [`tiles`] has the instructions: AVX-512 VNNI, AVX-VNNI, AVX2, NEON with dot products, and a plain loop, which is right
//! and no faster than floats.

mod tiles;

use super::arena::{Arena, Piece};
use super::gemm::{Epilogue, add_slice, even_blocks};
use super::math::activate_slice;
use super::simd::Simd;
use super::{Isa, Shared, dispatch};
use tiles::{Tile, Way, tile};

/// Most rows of a tile.
const MR: usize = 12;
/// Bytes of activations that are worked on together.
const BLOCK_BYTES: usize = 128 * 1024;

/// Inputs that share a step: a quarter of the loss in perplexity that a step for a whole row costs (BENCHMARKS.md).
pub const BLOCK: usize = 64;
/// Largest code; the smallest is its negative.
const TOP: f32 = 127.0;

/// A weight matrix `[n, k]` as bytes, packed for [`Isa`].
pub struct Int8 {
    /// Panels of columns: `[padded / 4][width][4]`.
    data: Piece,
    /// Step of each block of each column: by panel `[blocks][width]`.
    steps: Vec<f32>,
    /// What a block's sum begins with where activations are shifted ([`Way::shift`]); laid out like the steps. Else
    /// empty.
    starts: Vec<i32>,
    bias: Vec<f32>,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    /// Inputs, a multiple of [`BLOCK`].
    padded: usize,
    width: usize,
    way: Way,
}

/// One thread's part of a product, as in [`super::gemm::Gemm`].
pub struct Int8Gemm<'a> {
    pub a: *const f32,
    pub lda: usize,
    pub weight: &'a Int8,
    pub c: Shared,
    pub rows: std::ops::Range<usize>,
    pub panels: std::ops::Range<usize>,
    pub epilogue: Epilogue,
    /// This thread's buffer for codes and steps of rows.
    pub scratch: &'a mut Vec<f32>,
}

impl Int8 {
    /// Rounds row-major `weight` `[n, k]`; `bias` is `[n]`, or empty for none.
    ///
    /// # Panics
    /// If the lengths do not match.
    pub fn new(isa: Isa, arena: &Arena, weight: &[f32], bias: &[f32], k: usize) -> Self {
        Self::by(Way::of(isa), isa, arena, weight, bias, k)
    }

    fn by(way: Way, isa: Isa, arena: &Arena, weight: &[f32], bias: &[f32], k: usize) -> Self {
        let n = weight.len() / k;
        assert!(n * k == weight.len() && (bias.is_empty() || bias.len() == n));
        let (width, padded) = (isa.panel(), k.next_multiple_of(BLOCK));
        let (columns, blocks) = (n.next_multiple_of(width), padded / BLOCK);
        let mut bias = bias.to_vec();
        bias.resize(columns, 0.0);
        let mut steps = vec![0f32; columns * blocks];
        let mut starts = vec![0i32; if way.shift() > 0 { columns * blocks } else { 0 }];
        let mut data = arena.take(columns * padded);
        for (row, values) in weight.chunks_exact(k).enumerate() {
            let base = row / width * padded * width + row % width * 4;
            for (block, values) in values.chunks(BLOCK).enumerate() {
                let top = values.iter().fold(0f32, |m, x| m.max(x.abs()));
                let inverse = if top > 0.0 { TOP / top } else { 0.0 };
                let mut sum = 0i32;
                for (i, value) in values.iter().enumerate().map(|(i, v)| (block * BLOCK + i, v)) {
                    let code = (value * inverse).round() as i8;
                    sum += i32::from(code);
                    data[base + i / 4 * width * 4 + i % 4] = code.cast_unsigned();
                }
                let at = (row / width * blocks + block) * width + row % width;
                steps[at] = top / TOP;
                if let Some(start) = starts.get_mut(at) {
                    *start = -sum * i32::from(way.shift());
                }
            }
        }
        Self { data, steps, starts, bias, n, k, padded, width, way }
    }

    /// Panels in the matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() + (self.steps.len() + self.starts.len() + self.bias.len()) * 4
    }

    /// Bytes that a matrix of this shape will hold.
    pub fn bytes_for(isa: Isa, n: usize, k: usize) -> usize {
        let of_block = if Way::of(isa).shift() > 0 { 8 } else { 4 };
        n.next_multiple_of(isa.panel()) * (k.div_ceil(BLOCK) * (BLOCK + of_block) + 4)
    }

    /// Row `index` of the weight as f32, into `out` (`[k]`).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.n && out.len() == self.k, "row {index} of {}", self.n);
        let (panel, column) = (index / self.width, index % self.width);
        let base = panel * self.padded * self.width + column * 4;
        for (i, v) in out.iter_mut().enumerate() {
            let step = self.steps[(panel * (self.padded / BLOCK) + i / BLOCK) * self.width + column];
            *v = f32::from(self.data[base + i / 4 * self.width * 4 + i % 4].cast_signed()) * step;
        }
    }
}

/// Largest magnitude in `from`, at most [`BLOCK`] numbers; NaN if one of them is NaN.
#[inline(always)]
fn magnitude<S: Simd>(from: &[f32]) -> f32 {
    let whole = from.len() / S::LANES * S::LANES;
    // SAFETY: loads stay inside `from`; the instruction set is the caller's.
    let (mut top, mut sum) = unsafe {
        let (mut tops, mut sums) = (S::splat(0.0), S::splat(0.0));
        for i in (0..whole).step_by(S::LANES) {
            let x = S::load(from.as_ptr().add(i));
            tops = S::max(tops, S::max(x, S::sub(S::splat(0.0), x)));
            sums = S::fma(x, S::splat(0.0), sums);
        }
        (S::largest(tops), S::sum(sums))
    };
    for x in &from[whole..] {
        (top, sum) = (top.max(x.abs()), sum + x * 0.0);
    }
    // Comparisons overlook NaN, sums do not: it must not become a number here.
    top + sum
}

/// A row's codes into `to` (a whole number of blocks) and their steps.
#[inline(always)]
fn round_row<S: Simd>(from: &[f32], to: &mut [u8], steps: &mut [f32], shift: u8) {
    // Adding 1.5 · 2²³ rounds to the nearest integer, which then stands in the low bits.
    let start = 12_582_912.0 + f32::from(shift);
    for ((from, to), step) in from.chunks(BLOCK).zip(to.chunks_exact_mut(BLOCK)).zip(steps) {
        let top = magnitude::<S>(from);
        let inverse = if top > 0.0 { TOP / top } else { 0.0 };
        for (to, x) in to.iter_mut().zip(from) {
            *to = (x * inverse + start).to_bits() as u8;
        }
        // Beside weights that are zero.
        to[from.len()..].fill(0);
        *step = top / TOP;
    }
}

struct RoundArgs<'a> {
    from: *const f32,
    lda: usize,
    rows: usize,
    k: usize,
    codes: &'a mut [u8],
    steps: &'a mut [f32],
    padded: usize,
    shift: u8,
}

#[inline(always)]
unsafe fn round_body<S: Simd, const NV: usize, const R: usize>(a: RoundArgs<'_>) {
    let blocks = a.padded / BLOCK;
    for row in 0..a.rows {
        // SAFETY: the caller vouches for the rows.
        let from = unsafe { std::slice::from_raw_parts(a.from.add(row * a.lda), a.k) };
        let to = &mut a.codes[row * a.padded..(row + 1) * a.padded];
        round_row::<S>(from, to, &mut a.steps[row * blocks..(row + 1) * blocks], a.shift);
    }
}

/// Rows of results to where they belong, with whatever follows.
#[inline(always)]
unsafe fn finish_body<S: Simd, const NV: usize, const R: usize>(f: Finish<'_>) {
    let Finish { results, width, columns, c, n, epilogue } = f;
    for (i, row) in results.chunks_exact(width).enumerate() {
        // SAFETY: `c` has `columns` floats from this place in each row on.
        unsafe {
            let to = c.add(i * n);
            match epilogue {
                Epilogue::Accumulate => add_slice::<S>(to, row.as_ptr(), columns),
                Epilogue::None => std::ptr::copy_nonoverlapping(row.as_ptr(), to, columns),
                Epilogue::Activate(act) => {
                    std::ptr::copy_nonoverlapping(row.as_ptr(), to, columns);
                    activate_slice::<S>(act, to, columns);
                }
            }
        }
    }
}

fn finish(isa: Isa, f: Finish<'_>) {
    dispatch!(isa, finish_body(f): Finish<'_>);
}

struct Finish<'a> {
    /// `[rows][width]`
    results: &'a [f32],
    width: usize,
    columns: usize,
    c: *mut f32,
    n: usize,
    epilogue: Epilogue,
}

/// Computes one thread's part of `C = A · Wᵀ + bias`.
///
/// # Safety
/// `a` covers `rows.end` rows of `lda >= k` floats, `c` of `n`; no other thread touches the same
/// rows and panels of `c` meanwhile.
pub unsafe fn int8_gemm(isa: Isa, g: &mut Int8Gemm<'_>) {
    let w = g.weight;
    debug_assert!(g.lda >= w.k && g.panels.end <= w.panel_count());
    let (blocks, shift) = (w.padded / BLOCK, w.way.shift());
    let block = (BLOCK_BYTES / w.padded / MR).max(1) * MR;
    let (mut results, tall) = ([0f32; MR * 32], w.way.rows());
    for (first, height) in even_blocks(g.rows.len(), block) {
        // Codes of the block, then the rows' steps.
        let floats = height * w.padded / 4;
        if g.scratch.len() < floats + blocks * height {
            g.scratch.resize(floats + blocks * height, 0.0);
        }
        let (codes, rest) = g.scratch.split_at_mut(floats);
        let codes = bytemuck::cast_slice_mut::<f32, u8>(codes);
        let steps = &mut rest[..blocks * height];
        let row = g.rows.start + first;
        // SAFETY: the rows are inside A.
        let from = unsafe { g.a.add(row * g.lda) };
        let work = RoundArgs { from, lda: g.lda, rows: height, k: w.k, codes, steps, padded: w.padded, shift };
        dispatch!(isa, round_body(work): RoundArgs<'_>);
        for panel in g.panels.clone() {
            let column = panel * w.width;
            let columns = w.width.min(w.n - column);
            for (offset, rows) in even_blocks(height, MR).filter(|b| b.1 > 0) {
                for part in (0..rows).step_by(tall) {
                    let at = offset + part;
                    let t = Tile {
                        a: codes[at * w.padded..].as_ptr(),
                        row_steps: steps[at * blocks..].as_ptr(),
                        blocks,
                        panel: w.data[column * w.padded..].as_ptr(),
                        steps: w.steps[column * blocks..].as_ptr(),
                        starts: if shift > 0 { w.starts[column * blocks..].as_ptr() } else { std::ptr::null() },
                        bias: w.bias[column..].as_ptr(),
                        width: w.width,
                        out: results[part * w.width..].as_mut_ptr(),
                    };
                    // SAFETY: codes and steps of these rows, a whole panel, and room for the results.
                    unsafe { tile(w.way, tall.min(rows - part), t) };
                }
                // SAFETY: C's rows and columns.
                let c = unsafe { g.c.0.add((row + offset) * w.n + column) };
                let results = &results[..rows * w.width];
                finish(isa, Finish { results, width: w.width, columns, c, n: w.n, epilogue: g.epilogue });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::company::{alone_and_among_others, numbers};

    /// Bytes as they should be: by blocks, in double precision.
    fn rounded(x: &[f32]) -> Vec<f64> {
        let of_block = |block: &[f32]| {
            let top = block.iter().fold(0f32, |t, v| t.max(v.abs()));
            let step = f64::from(top / TOP);
            block.iter().map(|x| (f64::from(*x) / step).round() * step).collect::<Vec<_>>()
        };
        x.chunks(BLOCK).flat_map(of_block).collect()
    }

    fn product(isa: Isa, packed: &Int8, a: &[f32], c: &mut [f32]) {
        let mut g = Int8Gemm {
            a: a.as_ptr(),
            lda: packed.k,
            weight: packed,
            c: Shared(c.as_mut_ptr()),
            rows: 0..a.len() / packed.k,
            panels: 0..packed.panel_count(),
            epilogue: Epilogue::Accumulate,
            scratch: &mut Vec::new(),
        };
        // SAFETY: buffers as large as the shapes say.
        unsafe { int8_gemm(isa, &mut g) };
    }

    #[test]
    fn products_are_those_of_the_rounded_numbers_by_every_instruction() {
        for (isa, way) in Isa::available().into_iter().flat_map(|isa| Way::all(isa).into_iter().map(move |w| (isa, w)))
        {
            for (m, n, k) in [(1, 33, 20), (5, 64, 130), (30, 70, 512), (13, 16, 64)] {
                let number = |i: usize| ((i * 7919) % 1009) as f32 / 504.0 - 1.0;
                let a: Vec<f32> = (0..m * k).map(number).collect();
                let weight: Vec<f32> = (0..n * k).map(|i| number(i + 5) * 0.3).collect();
                let bias: Vec<f32> = (0..n).map(|i| i as f32 * 0.1).collect();
                let packed = Int8::by(way, isa, &Arena::default(), &weight, &bias, k);
                let mut c = vec![1f32; m * n];
                product(isa, &packed, &a, &mut c);
                let mut row = vec![0f32; k];
                for j in 0..n {
                    packed.row(j, &mut row);
                    let near = row.iter().zip(&weight[j * k..]).all(|(q, w)| (q - w).abs() < 0.3 / 1.9 / TOP);
                    assert!(near, "{isa:?} {way:?}");
                    for i in 0..m {
                        let x = rounded(&a[i * k..(i + 1) * k]);
                        let dot: f64 = x.iter().zip(&row).map(|(x, w)| x * f64::from(*w)).sum();
                        let (want, got) = (1.0 + dot + f64::from(bias[j]), f64::from(c[i * n + j]));
                        // Halves may be rounded either way.
                        assert!((got - want).abs() < 0.01, "{isa:?} {way:?} {m}x{n}x{k} [{i},{j}] {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_rows_results_do_not_depend_on_its_company() {
        let (n, k) = (75, 200);
        let (weight, bias) = (numbers(n * k, 2), numbers(n, 3));
        for (isa, way) in Isa::available().into_iter().flat_map(|isa| Way::all(isa).into_iter().map(move |w| (isa, w)))
        {
            let packed = Int8::by(way, isa, &Arena::default(), &weight, &bias, k);
            let work = |rows: &[f32], parts: &[std::ops::Range<usize>]| {
                let mut c = vec![0f32; rows.len() / k * n];
                let mut scratch = Vec::new();
                for panels in parts {
                    let mut g = Int8Gemm {
                        a: rows.as_ptr(),
                        lda: k,
                        weight: &packed,
                        c: Shared(c.as_mut_ptr()),
                        rows: 0..rows.len() / k,
                        panels: panels.clone(),
                        epilogue: Epilogue::None,
                        scratch: &mut scratch,
                    };
                    // SAFETY: buffers as large as the shapes say.
                    unsafe { int8_gemm(isa, &mut g) };
                }
                c
            };
            alone_and_among_others(&format!("{isa:?} {way:?}"), (k, n), packed.panel_count(), work);
        }
    }

    /// The largest codes everywhere: sums of 16 bits would saturate.
    #[test]
    fn nothing_saturates_and_nan_stays_nan() {
        for (isa, way) in Isa::available().into_iter().flat_map(|isa| Way::all(isa).into_iter().map(move |w| (isa, w)))
        {
            for sign in [1f32, -1.0] {
                let (k, n) = (256, 40);
                let packed = Int8::by(way, isa, &Arena::default(), &vec![sign; n * k], &[], k);
                for x in [1f32, -1.0] {
                    let mut c = vec![0f32; 2 * n];
                    product(isa, &packed, &vec![x; 2 * k], &mut c);
                    let want = 256.0 * sign * x;
                    assert!(c.iter().all(|v| (v - want).abs() < 1e-3), "{isa:?} {way:?}: {}", c[0]);
                }
                let mut a = vec![1f32; 2 * k];
                a[k + 3] = f32::NAN;
                let mut c = vec![0f32; 2 * n];
                product(isa, &packed, &a, &mut c);
                assert!(c[..n].iter().all(|v| v.is_finite()) && c[n..].iter().all(|v| v.is_nan()), "{isa:?} {way:?}");
            }
        }
    }
}
