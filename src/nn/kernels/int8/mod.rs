//! Products of 8-bit integers: weights with a step per output column, activations with a step and a start
//! per row that are found anew for each product (`x ≈ start + step · code`), sums in 32-bit integers.
//!
//! [`tiles`] has the instructions: AVX-512 VNNI, AVX2 (with seven bits), NEON with dot products. Elsewhere
//! there is a plain loop; [`is_fast`] says where it is worth it.

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

/// Whether this CPU multiplies bytes faster than floats.
pub fn is_fast(isa: Isa) -> bool {
    Way::of(isa) != Way::Plain
}

/// A weight matrix `[n, k]` as bytes, packed for [`Isa`].
pub struct Int8 {
    /// Panels of columns: `[k / 4][width][4]`.
    data: Piece,
    /// Step of each column.
    steps: Vec<f32>,
    /// Sum of each column's rounded weights: what a row's start is multiplied by.
    totals: Vec<f32>,
    bias: Vec<f32>,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    /// Inputs, a multiple of eight.
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
        let n = weight.len() / k;
        assert!(n * k == weight.len() && (bias.is_empty() || bias.len() == n));
        let (width, padded) = (isa.panel(), k.next_multiple_of(8));
        let columns = n.next_multiple_of(width);
        let mut bias = bias.to_vec();
        bias.resize(columns, 0.0);
        let (mut steps, mut totals) = (vec![0f32; columns], vec![0f32; columns]);
        let mut data = arena.take(columns * padded);
        let way = Way::of(isa);
        let most = f32::from(way.weight_top());
        for (row, values) in weight.chunks_exact(k).enumerate() {
            let top = values.iter().fold(0f32, |m, x| m.max(x.abs()));
            steps[row] = top / most;
            let inverse = if top > 0.0 { most / top } else { 0.0 };
            let mut sum = 0i32;
            let base = row / width * padded * width + row % width * 4;
            for (i, value) in values.iter().enumerate() {
                let code = (value * inverse).round() as i8;
                sum += i32::from(code);
                data[base + i / 4 * width * 4 + i % 4] = code.cast_unsigned();
            }
            totals[row] = sum as f32 * steps[row];
        }
        Self { data, steps, totals, bias, n, k, padded, width, way }
    }

    /// Panels in the matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.steps.len() * 12
    }

    /// Bytes that a matrix of this shape will hold.
    pub fn bytes_for(isa: Isa, n: usize, k: usize) -> usize {
        n.next_multiple_of(isa.panel()) * (k.next_multiple_of(8) + 12)
    }

    /// Row `index` of the weight as f32, into `out` (`[k]`).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.n && out.len() == self.k, "row {index} of {}", self.n);
        let base = index / self.width * self.padded * self.width + index % self.width * 4;
        for (i, v) in out.iter_mut().enumerate() {
            *v = f32::from(self.data[base + i / 4 * self.width * 4 + i % 4].cast_signed()) * self.steps[index];
        }
    }
}

/// Least and largest of `from`.
#[inline(always)]
fn extremes<S: Simd>(from: &[f32]) -> (f32, f32) {
    let whole = from.len() / (2 * S::LANES) * (2 * S::LANES);
    // SAFETY: loads stay inside `from`; the instruction set is the caller's.
    let (mut low, mut top) = unsafe {
        let at = |i: usize| S::load(from.as_ptr().add(i));
        let (mut lows, mut tops) = ([S::splat(f32::INFINITY); 2], [S::splat(f32::NEG_INFINITY); 2]);
        for i in (0..whole).step_by(2 * S::LANES) {
            for (half, (low, top)) in lows.iter_mut().zip(&mut tops).enumerate() {
                let x = at(i + half * S::LANES);
                (*low, *top) = (S::min(*low, x), S::max(*top, x));
            }
        }
        let least = S::sub(S::splat(0.0), S::min(lows[0], lows[1]));
        (-S::largest(least), S::largest(S::max(tops[0], tops[1])))
    };
    for x in &from[whole..] {
        (low, top) = (low.min(*x), top.max(*x));
    }
    (low, top)
}

/// A row's codes into `to` (longer than it by the padding); its step and its start.
#[inline(always)]
fn round_row<S: Simd>(from: &[f32], to: &mut [u8], way: Way) -> [f32; 2] {
    let (low, top) = extremes::<S>(from);
    let (span, most) = (top - low, f32::from(way.top()));
    let inverse = if span > 0.0 { most / span } else { 0.0 };
    // Adding 1.5 · 2²³ rounds to the nearest integer, which then stands in the low bits.
    let start = 12_582_912.0 - f32::from(way.shift());
    for (to, x) in to.iter_mut().zip(from) {
        *to = ((x - low) * inverse + start).to_bits() as u8;
    }
    // Beside weights that are zero.
    to[from.len()..].fill(0);
    let step = span / most;
    [step, low + f32::from(way.shift()) * step]
}

struct RoundArgs<'a> {
    from: *const f32,
    lda: usize,
    rows: usize,
    k: usize,
    codes: &'a mut [u8],
    steps: &'a mut [[f32; 2]],
    padded: usize,
    way: Way,
}

#[inline(always)]
unsafe fn round_body<S: Simd, const NV: usize, const R: usize>(a: RoundArgs<'_>) {
    for row in 0..a.rows {
        // SAFETY: the caller vouches for the rows.
        let from = unsafe { std::slice::from_raw_parts(a.from.add(row * a.lda), a.k) };
        let to = &mut a.codes[row * a.padded..(row + 1) * a.padded];
        a.steps[row] = round_row::<S>(from, to, a.way);
    }
}

/// Sums become floats, with steps, bias and whatever follows.
#[inline(always)]
unsafe fn finish_body<S: Simd, const NV: usize, const R: usize>(f: Finish<'_>) {
    let Finish { weight, sums, steps, column, columns, c, epilogue } = f;
    let width = weight.width;
    let mut row = [0f32; 32];
    for (i, [step, start]) in steps.iter().enumerate() {
        let sums = &sums[i * width..(i + 1) * width];
        let parts = sums.iter().zip(&weight.steps[column..]).zip(&weight.totals[column..]).zip(&weight.bias[column..]);
        for (out, (((sum, own), total), bias)) in row.iter_mut().zip(parts) {
            *out = *sum as f32 * (step * own) + (start * total + bias);
        }
        // SAFETY: `c` has `columns` floats from this place in each row on.
        unsafe {
            let to = c.add(i * weight.n);
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
    weight: &'a Int8,
    sums: &'a [i32],
    steps: &'a [[f32; 2]],
    column: usize,
    columns: usize,
    c: *mut f32,
    epilogue: Epilogue,
}

/// Computes one thread's part of `C = A · Wᵀ + bias`.
///
/// # Safety
/// `a` covers `rows.end` rows of `lda >= k` floats, `c` of `n`; no other thread touches the same
/// rows and panels of `c` meanwhile.
pub unsafe fn int8_gemm(isa: Isa, g: &mut Int8Gemm<'_>) {
    let w = g.weight;
    let block = (BLOCK_BYTES / w.padded / MR).max(1) * MR;
    let (mut sums, tall) = ([0i32; MR * 32], w.way.rows());
    for (first, height) in even_blocks(g.rows.len(), block) {
        // Codes of the block, then the rows' steps.
        let floats = height * w.padded / 4;
        if g.scratch.len() < floats + 2 * height {
            g.scratch.resize(floats + 2 * height, 0.0);
        }
        let (codes, rest) = g.scratch.split_at_mut(floats);
        let codes = bytemuck::cast_slice_mut::<f32, u8>(codes);
        let steps = bytemuck::cast_slice_mut::<f32, [f32; 2]>(&mut rest[..2 * height]);
        let row = g.rows.start + first;
        // SAFETY: the rows are inside A.
        let from = unsafe { g.a.add(row * g.lda) };
        let work = RoundArgs { from, lda: g.lda, rows: height, k: w.k, codes, steps, padded: w.padded, way: w.way };
        dispatch!(isa, round_body(work): RoundArgs<'_>);
        for panel in g.panels.clone() {
            let column = panel * w.width;
            let columns = w.width.min(w.n - column);
            let weights = w.data[column * w.padded..].as_ptr();
            for (offset, rows) in even_blocks(height, MR).filter(|b| b.1 > 0) {
                for part in (0..rows).step_by(tall) {
                    let codes = &codes[(offset + part) * w.padded..];
                    let (a, out) = (codes.as_ptr(), sums[part * w.width..].as_mut_ptr());
                    let t = Tile { a, padded: w.padded, panel: weights, width: w.width, out };
                    // SAFETY: codes of these rows, a whole panel, and room for the sums.
                    unsafe { tile(w.way, tall.min(rows - part), t) };
                }
                // SAFETY: C's rows and columns.
                let c = unsafe { g.c.0.add((row + offset) * w.n + column) };
                let steps = &steps[offset..offset + rows];
                finish(isa, Finish { weight: w, sums: &sums, steps, column, columns, c, epilogue: g.epilogue });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        for isa in Isa::available() {
            for (m, n, k) in [(1, 33, 20), (5, 64, 130), (30, 70, 512)] {
                let number = |i: usize| ((i * 7919) % 1009) as f32 / 504.0 - 1.0;
                let a: Vec<f32> = (0..m * k).map(number).collect();
                let weight: Vec<f32> = (0..n * k).map(|i| number(i + 5) * 0.3).collect();
                let bias: Vec<f32> = (0..n).map(|i| i as f32 * 0.1).collect();
                let packed = Int8::new(isa, &Arena::default(), &weight, &bias, k);
                let mut c = vec![1f32; m * n];
                let mut g = Int8Gemm {
                    a: a.as_ptr(),
                    lda: k,
                    weight: &packed,
                    c: Shared(c.as_mut_ptr()),
                    rows: 0..m,
                    panels: 0..packed.panel_count(),
                    epilogue: Epilogue::Accumulate,
                    scratch: &mut Vec::new(),
                };
                // SAFETY: buffers as large as the shapes say.
                unsafe { int8_gemm(isa, &mut g) };
                let mut row = vec![0f32; k];
                for j in 0..n {
                    packed.row(j, &mut row);
                    assert!(
                        row.iter()
                            .zip(&weight[j * k..])
                            .all(|(q, w)| (q - w).abs() < 0.3 / 1.9 / f32::from(Way::of(isa).weight_top()))
                    );
                    for i in 0..m {
                        let x = &a[i * k..(i + 1) * k];
                        let low = x.iter().fold(f32::INFINITY, |t, v| t.min(*v));
                        let top = x.iter().fold(f32::NEG_INFINITY, |t, v| t.max(*v));
                        let step = (top - low) / f32::from(Way::of(isa).top());
                        let rounded = |x: f32| low + ((x - low) / step).round() * step;
                        let dot: f64 = x.iter().zip(&row).map(|(x, w)| f64::from(rounded(*x)) * f64::from(*w)).sum();
                        let want = 1.0 + dot + f64::from(bias[j]);
                        let got = f64::from(c[i * n + j]);
                        // Halves may be rounded either way.
                        assert!((got - want).abs() < 0.02, "{isa:?} {m}x{n}x{k} [{i},{j}] {got} {want}");
                    }
                }
            }
        }
    }
}
