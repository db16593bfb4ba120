//! `C = act(A · Wᵀ + bias) (+ C)` with weights packed once at load.
//!
//! W (`[out, in]`, as PyTorch stores a linear layer) is cut into panels of [`Isa::panel`] output
//! columns; inside a panel the columns of one input lie side by side. A tile keeps up to 12 × 2
//! vectors of C in registers (BLIS' register blocking) and streams the panel from L2; rows of A
//! are broadcast straight from memory, unpacked.

use super::arena::{Arena, Piece};
use super::math::{Activation, activate_slice};
use super::simd::Simd;
use super::{Isa, Shared, dispatch};
use crate::nn::precision::Precision;
use half::f16;
use std::sync::Arc;

/// Storage of packed weights. Products are always accumulated in f32.
#[derive(Clone)]
enum Panels {
    F32(Vec<f32>),
    /// f32 in an arena's huge pages.
    Mapped(Arc<Piece>),
    /// Half the memory; exact when the checkpoint is f16 itself.
    F16(Vec<u16>),
}

/// A weight matrix `[out, in]`, packed for [`Isa`], with its bias.
#[derive(Clone)]
pub struct Packed {
    panels: Panels,
    bias: Vec<f32>,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    width: usize,
}

impl Packed {
    /// Packs row-major `weight` `[n, k]`; `bias` is `[n]`, or empty for none.
    /// With `half` the panels are stored as f16.
    ///
    /// # Panics
    /// If the lengths do not match.
    pub fn new(isa: Isa, weight: &[f32], bias: &[f32], k: usize, half: Precision) -> Self {
        Self::placed(isa, None, weight, bias, k, half)
    }

    /// As [`Self::new`], with f32 panels in `arena` if there is one: large matrices are read faster
    /// from huge pages.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn placed(isa: Isa, arena: Option<&Arena>, weight: &[f32], bias: &[f32], k: usize, half: Precision) -> Self {
        let n = weight.len() / k;
        assert!(n * k == weight.len() && (bias.is_empty() || bias.len() == n));
        let width = isa.panel();
        let count = n.div_ceil(width);
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(count * width, 0.0);
        let place = |mut put: Box<dyn FnMut(usize, f32) + '_>| {
            for (row, values) in weight.chunks_exact(k).enumerate() {
                let base = row / width * k * width + row % width;
                for (i, &v) in values.iter().enumerate() {
                    put(base + i * width, v);
                }
            }
        };
        let panels = match half {
            Precision::Own | Precision::F32 | Precision::Q8_0 | Precision::Q5_0 | Precision::Q4_0 | Precision::Q4KM => {
                match arena.map(|a| a.take(count * k * width * 4)) {
                    // Pieces begin at cache lines: the cast holds.
                    Some(mut piece @ Piece::Mapped { .. }) => {
                        let out: &mut [f32] = bytemuck::cast_slice_mut(&mut piece);
                        place(Box::new(|at, v| out[at] = v));
                        Panels::Mapped(Arc::new(piece))
                    }
                    _ => {
                        let mut out = vec![0f32; count * k * width];
                        place(Box::new(|at, v| out[at] = v));
                        Panels::F32(out)
                    }
                }
            }
            Precision::F16 | Precision::Bf16 | Precision::Int8 => {
                let mut out = vec![0u16; count * k * width];
                place(Box::new(|at, v| out[at] = f16::from_f32(v).to_bits()));
                Panels::F16(out)
            }
        };
        Self { panels, bias: padded_bias, n, k, width }
    }

    /// Panels in the matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Row `index` of the weight as f32, into `out` (`[k]`).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.n && out.len() == self.k, "row {index} of {}", self.n);
        let base = index / self.width * self.k * self.width + index % self.width;
        for (i, v) in out.iter_mut().enumerate() {
            *v = match &self.panels {
                Panels::F32(w) => w[base + i * self.width],
                Panels::Mapped(w) => bytemuck::cast_slice::<u8, f32>(w)[base + i * self.width],
                Panels::F16(w) => f16::from_bits(w[base + i * self.width]).to_f32(),
            };
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let panels = match &self.panels {
            Panels::F32(v) => v.len() * 4,
            Panels::Mapped(v) => v.len(),
            Panels::F16(v) => v.len() * 2,
        };
        panels + self.bias.len() * 4
    }
}

/// What happens to a tile after the product and the bias.
#[derive(Clone, Copy)]
pub enum Epilogue {
    None,
    Activate(Activation),
    /// Add to what stands in C: the residual connection, in place.
    Accumulate,
}

/// One thread's part of a product: `rows` × `panels` of C.
pub struct Gemm<'a> {
    /// A, row-major, row stride `lda`.
    pub a: *const f32,
    pub lda: usize,
    pub weight: &'a Packed,
    /// C, row-major, row stride `weight.n`.
    pub c: Shared,
    pub rows: std::ops::Range<usize>,
    pub panels: std::ops::Range<usize>,
    pub epilogue: Epilogue,
}

/// Rows of A that are worked on together, so that they stay in L2 while panels pass: 192 KiB.
const ROW_BLOCK_FLOATS: usize = 48 * 1024;

/// A panel element that loads as f32.
pub(in crate::nn::kernels) trait Weight: Copy {
    unsafe fn load<S: Simd>(p: *const Self) -> S::V;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: forwarded contract.
        unsafe { S::load(p) }
    }
}

impl Weight for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const Self) -> S::V {
        // SAFETY: forwarded contract.
        unsafe { S::load_f16(p) }
    }
}

/// Operands of one register tile.
#[derive(Clone, Copy)]
pub(in crate::nn::kernels) struct Tile<W> {
    pub k: usize,
    pub a: *const f32,
    pub lda: usize,
    /// Panel: `k` rows of `NV` vectors.
    pub b: *const W,
    /// What sums begin with, or null for zero: rows at stride `lds`, 0 where all rows begin alike (a bias).
    pub start: *const f32,
    pub lds: usize,
    /// Where to write: `MR` rows, stride `ldc`, `NV` whole vectors each.
    pub c: *mut f32,
    pub ldc: usize,
}

/// `MR × NV` vectors of `A · B + start`, kept in registers throughout. Every sum is one chain over `k`, from first to
/// last, whatever the number of rows: what begins with another tile's results goes on as if it had been one tile.
#[inline(always)]
unsafe fn tile<S: Simd, W: Weight, const MR: usize, const NV: usize>(t: Tile<W>) {
    // SAFETY: the pointers cover k columns of MR rows, k rows of the panel, MR rows of C.
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; MR];
        if !t.start.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, v) in row.iter_mut().enumerate() {
                    *v = S::load(t.start.add(i * t.lds + j * S::LANES));
                }
            }
        }
        let mut b = t.b;
        for p in 0..t.k {
            let mut columns = [S::splat(0.0); NV];
            for (j, v) in columns.iter_mut().enumerate() {
                *v = W::load::<S>(b.add(j * S::LANES));
            }
            for (i, row) in acc.iter_mut().enumerate() {
                let x = S::splat(*t.a.add(i * t.lda + p));
                for (v, column) in row.iter_mut().zip(columns) {
                    *v = S::fma(x, column, *v);
                }
            }
            b = b.add(NV * S::LANES);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                S::store(t.c.add(i * t.ldc + j * S::LANES), *v);
            }
        }
    }
}

/// [`tile`] with a number of rows known at run time, 1..=12.
#[inline(always)]
pub(in crate::nn::kernels) unsafe fn tile_rows<S: Simd, W: Weight, const NV: usize>(rows: usize, t: Tile<W>) {
    // SAFETY: forwarded.
    unsafe {
        match rows {
            1 => tile::<S, W, 1, NV>(t),
            2 => tile::<S, W, 2, NV>(t),
            3 => tile::<S, W, 3, NV>(t),
            4 => tile::<S, W, 4, NV>(t),
            5 => tile::<S, W, 5, NV>(t),
            6 => tile::<S, W, 6, NV>(t),
            7 => tile::<S, W, 7, NV>(t),
            8 => tile::<S, W, 8, NV>(t),
            9 => tile::<S, W, 9, NV>(t),
            10 => tile::<S, W, 10, NV>(t),
            11 => tile::<S, W, 11, NV>(t),
            _ => tile::<S, W, 12, NV>(t),
        }
    }
}

/// `rows` cut into blocks of at most `most`, as even as possible.
pub(in crate::nn::kernels) fn even_blocks(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most).max(1);
    (0..count).map(move |i| {
        let start = rows * i / count;
        (start, rows * (i + 1) / count - start)
    })
}

#[inline(always)]
unsafe fn gemm_typed<S: Simd, W: Weight, const NV: usize, const MR: usize>(g: &Gemm<'_>, weights: *const W) {
    let (n, k, width) = (g.weight.n, g.weight.k, NV * S::LANES);
    let mut spill = [0f32; 12 * 32];
    let block = (ROW_BLOCK_FLOATS / k / MR).max(1) * MR;
    for (first, height) in even_blocks(g.rows.len(), block) {
        for panel in g.panels.clone() {
            let column = panel * width;
            let columns = width.min(n - column);
            for (offset, rows) in even_blocks(height, MR) {
                if rows == 0 {
                    continue;
                }
                let row = g.rows.start + first + offset;
                // SAFETY: row + rows <= rows.end, column + columns <= n; a narrow panel goes
                // through `spill`, so no vector store leaves the matrix.
                unsafe {
                    let c = g.c.0.add(row * n + column);
                    let aside = columns < width || matches!(g.epilogue, Epilogue::Accumulate);
                    let (out, ldc) = if aside { (spill.as_mut_ptr(), width) } else { (c, n) };
                    tile_rows::<S, W, NV>(
                        rows,
                        Tile {
                            k,
                            a: g.a.add(row * g.lda),
                            lda: g.lda,
                            b: weights.add(panel * k * width),
                            start: g.weight.bias.as_ptr().add(column),
                            lds: 0,
                            c: out,
                            ldc,
                        },
                    );
                    for i in 0..rows {
                        let (from, to) = (out.add(i * ldc), c.add(i * n));
                        match g.epilogue {
                            Epilogue::Accumulate => add_slice::<S>(to, from, columns),
                            _ if aside => std::ptr::copy_nonoverlapping(from, to, columns),
                            _ => {}
                        }
                        if let Epilogue::Activate(act) = g.epilogue {
                            activate_slice::<S>(act, to, columns);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
pub(in crate::nn::kernels) unsafe fn add_slice<S: Simd>(to: *mut f32, from: *const f32, count: usize) {
    // SAFETY: both cover `count` floats.
    unsafe {
        let mut i = 0;
        while i + S::LANES <= count {
            S::store(to.add(i), S::add(S::load(to.add(i)), S::load(from.add(i))));
            i += S::LANES;
        }
        while i < count {
            *to.add(i) += *from.add(i);
            i += 1;
        }
    }
}

#[inline(always)]
unsafe fn gemm_body<S: Simd, const NV: usize, const MR: usize>(g: &Gemm<'_>) {
    // SAFETY: forwarded.
    unsafe {
        match &g.weight.panels {
            Panels::F32(w) => gemm_typed::<S, f32, NV, MR>(g, w.as_ptr()),
            Panels::Mapped(w) => gemm_typed::<S, f32, NV, MR>(g, w.as_ptr().cast()),
            Panels::F16(w) => gemm_typed::<S, u16, NV, MR>(g, w.as_ptr()),
        }
    }
}

/// Computes one thread's part of a product.
///
/// # Safety
/// `a` covers `rows.end` rows of `k` floats at stride `lda`, `c` covers `rows.end * n` floats, and
/// no other thread touches the same `rows` × `panels` of `c` meanwhile.
pub unsafe fn gemm(isa: Isa, g: &Gemm<'_>) {
    debug_assert!(g.lda >= g.weight.k && g.panels.end <= g.weight.panel_count());
    dispatch!(isa, gemm_body(g): &Gemm<'_>);
}

/// The whole product on this thread: `a` is `[m, k]`, the result `[m, n]`.
pub fn linear(isa: Isa, a: &[f32], weight: &Packed, act: Option<Activation>) -> Vec<f32> {
    let m = a.len() / weight.k;
    assert_eq!(m * weight.k, a.len(), "rows of k floats");
    let mut c = vec![0f32; m * weight.n];
    let g = Gemm {
        a: a.as_ptr(),
        lda: weight.k,
        weight,
        c: Shared(c.as_mut_ptr()),
        rows: 0..m,
        panels: 0..weight.panel_count(),
        epilogue: act.map_or(Epilogue::None, Epilogue::Activate),
    };
    // SAFETY: the buffers are exactly as large as the shapes say, and nobody else has `c`.
    unsafe { gemm(isa, &g) };
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 9) as f32 / (1 << 23) as f32 - 0.5
            })
            .collect()
    }

    #[test]
    fn product_matches_a_plain_loop_for_awkward_shapes() {
        for isa in Isa::available() {
            for (m, n, k) in [(1, 1, 1), (3, 5, 7), (13, 33, 20), (25, 64, 48), (130, 70, 384)] {
                let (a, w, bias) = (numbers(m * k, 1), numbers(n * k, 2), numbers(n, 3));
                for precision in [Precision::F32, Precision::F16] {
                    let packed = Packed::new(isa, &w, &bias, k, precision);
                    let c = linear(isa, &a, &packed, None);
                    for i in 0..m {
                        for j in 0..n {
                            let want: f64 = f64::from(bias[j])
                                + (0..k)
                                    .map(|p| {
                                        let v = match precision {
                                            Precision::F16 => f16::from_f32(w[j * k + p]).to_f32(),
                                            _ => w[j * k + p],
                                        };
                                        f64::from(a[i * k + p]) * f64::from(v)
                                    })
                                    .sum::<f64>();
                            let got = f64::from(c[i * n + j]);
                            assert!((got - want).abs() < 1e-4, "{isa:?} {m}x{n}x{k} {precision:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_cover_all_rows_once() {
        for rows in 0..100 {
            let blocks: Vec<_> = even_blocks(rows, 12).collect();
            assert_eq!(blocks.iter().map(|b| b.1).sum::<usize>(), rows);
            assert!(blocks.iter().all(|b| b.1 <= 12));
        }
    }
}
