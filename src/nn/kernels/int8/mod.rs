//! Products of 8-bit integers: weights with a step per output column, activations with a step per
//! row that is found anew for each product, sums in 32-bit integers.
//!
//! [`tiles`] has the instructions (AVX-512 VNNI, AVX2, NEON with dot products), which all give the same
//! sums. Elsewhere they come from a plain loop; [`is_fast`] says where it is worth it.

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
    /// What the shift of the activations adds to each column: the shift times its sum of codes.
    sums: Vec<i32>,
    bias: Vec<f32>,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    /// Inputs, a multiple of four.
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
        let (width, padded) = (isa.panel(), k.next_multiple_of(4));
        let columns = n.next_multiple_of(width);
        let mut bias = bias.to_vec();
        bias.resize(columns, 0.0);
        let (mut steps, mut sums) = (vec![0f32; columns], vec![0i32; columns]);
        let mut data = arena.take(columns * padded);
        let way = Way::of(isa);
        for (row, values) in weight.chunks_exact(k).enumerate() {
            let top = values.iter().fold(0f32, |m, x| m.max(x.abs()));
            steps[row] = top / 127.0;
            let inverse = if top > 0.0 { 127.0 / top } else { 0.0 };
            let base = row / width * padded * width + row % width * 4;
            for (i, value) in values.iter().enumerate() {
                let code = (value * inverse).round() as i8;
                sums[row] += way.shift() * i32::from(code);
                data[base + i / 4 * width * 4 + i % 4] = code.cast_unsigned();
            }
        }
        Self { data, steps, sums, bias, n, k, padded, width, way }
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
        n.next_multiple_of(isa.panel()) * (k.next_multiple_of(4) + 12)
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

/// A row's codes, as `code` makes them from an integer's low bits, into `to` (a multiple of four long), and
/// its step.
#[inline(always)]
fn round_row<T: Copy>(from: &[f32], to: &mut [T], code: impl Fn(u32) -> T) -> f32 {
    // Eight running maxima: the compiler makes a vector of them.
    let mut tops = [0f32; 16];
    let (chunks, rest) = from.as_chunks::<16>();
    for chunk in chunks {
        for (t, x) in tops.iter_mut().zip(chunk) {
            *t = t.max(x.abs());
        }
    }
    let top = rest.iter().chain(&tops).fold(0f32, |m, x| m.max(x.abs()));
    let inverse = if top > 0.0 { 127.0 / top } else { 0.0 };
    for (to, x) in to.iter_mut().zip(from) {
        // Adding 1.5 · 2²³ rounds to the nearest integer, which then stands in the low bits.
        *to = code((x * inverse + 12_582_912.0).to_bits());
    }
    to[from.len()..].fill(code(0));
    top / 127.0
}

struct RoundArgs<'a> {
    from: *const f32,
    lda: usize,
    rows: usize,
    k: usize,
    codes: &'a mut [u8],
    steps: &'a mut [f32],
    padded: usize,
    way: Way,
}

#[inline(always)]
#[expect(clippy::extra_unused_type_parameters, reason = "compiled anew for each instruction set all the same")]
unsafe fn round_body<S: Simd, const NV: usize, const R: usize>(a: RoundArgs<'_>) {
    for row in 0..a.rows {
        // SAFETY: the caller vouches for the rows.
        let from = unsafe { std::slice::from_raw_parts(a.from.add(row * a.lda), a.k) };
        let width = a.padded * a.way.code_bytes();
        let to = &mut a.codes[row * width..(row + 1) * width];
        a.steps[row] = match a.way {
            Way::Vnni => round_row(from, to, |bits| (bits as u8).wrapping_add(128)),
            // Scratch is made of floats: aligned.
            Way::Wide => round_row(from, bytemuck::cast_slice_mut::<u8, u16>(to), |bits| bits as u16),
            Way::Dot | Way::Plain => round_row(from, to, |bits| bits as u8),
        };
    }
}

/// Sums become floats, with steps, bias and whatever follows.
#[inline(always)]
unsafe fn finish_body<S: Simd, const NV: usize, const R: usize>(f: Finish<'_>) {
    let Finish { weight, sums, steps, column, columns, c, epilogue } = f;
    let width = weight.width;
    let mut row = [0f32; 32];
    for (i, step) in steps.iter().enumerate() {
        let sums = &sums[i * width..(i + 1) * width];
        let parts = sums.iter().zip(&weight.sums[column..]).zip(&weight.steps[column..]).zip(&weight.bias[column..]);
        for (out, (((sum, shift), own), bias)) in row.iter_mut().zip(parts) {
            *out = (sum - shift) as f32 * (step * own) + bias;
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
    steps: &'a [f32],
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
        let width = w.padded * w.way.code_bytes();
        let floats = height * width / 4;
        if g.scratch.len() < floats + height {
            g.scratch.resize(floats + height, 0.0);
        }
        let (codes, rest) = g.scratch.split_at_mut(floats);
        let (codes, steps) = (bytemuck::cast_slice_mut::<f32, u8>(codes), &mut rest[..height]);
        let row = g.rows.start + first;
        // SAFETY: the rows are inside A.
        let from = unsafe { g.a.add(row * g.lda) };
        let work = RoundArgs { from, lda: g.lda, rows: height, k: w.k, codes, steps, padded: w.padded, way: w.way };
        dispatch!(isa, round_body(work): RoundArgs<'_>);
        for panel in g.panels.clone() {
            let column = panel * w.width;
            let columns = w.width.min(w.n - column);
            let weights = w.data[column * w.padded..].as_ptr();
            for (offset, rows) in even_blocks(height, tall).filter(|b| b.1 > 0) {
                // SAFETY: codes of these rows, a whole panel, and C's rows and columns.
                unsafe {
                    let (a, out) = (codes.as_ptr().add(offset * width), sums.as_mut_ptr());
                    tile(w.way, rows, Tile { a, padded: w.padded, panel: weights, width: w.width, out });
                    let c = g.c.0.add((row + offset) * w.n + column);
                    let steps = &steps[offset..offset + rows];
                    let work = Finish { weight: w, sums: &sums, steps, column, columns, c, epilogue: g.epilogue };
                    finish(isa, work);
                }
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
                    assert!(row.iter().zip(&weight[j * k..]).all(|(q, w)| (q - w).abs() < 0.3 / 250.0));
                    for i in 0..m {
                        let x = &a[i * k..(i + 1) * k];
                        let step = x.iter().fold(0f32, |t, v| t.max(v.abs())) / 127.0;
                        let dot: f64 =
                            x.iter().zip(&row).map(|(x, w)| f64::from((x / step).round() * step) * f64::from(*w)).sum();
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
