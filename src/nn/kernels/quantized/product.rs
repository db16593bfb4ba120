//! The products: codes become floats in registers, or panels become floats in L2.

use super::Quantized;
use crate::nn::kernels::gemm::{Epilogue, Tile, add_slice, even_blocks, tile_rows};
use crate::nn::kernels::math::activate_slice;
use crate::nn::kernels::simd::Simd;
use crate::nn::kernels::{Isa, Shared, dispatch};
use crate::nn::quant::Form;

/// Rows up to which codes are turned into floats in registers, for each row anew.
const FEW_ROWS: usize = 5;

/// One thread's part of a product: `rows` × `panels` of C, as in [`crate::nn::kernels::gemm::Gemm`].
pub struct QuantizedGemm<'a> {
    pub a: *const f32,
    pub lda: usize,
    pub weight: &'a Quantized,
    pub c: Shared,
    pub rows: std::ops::Range<usize>,
    pub panels: std::ops::Range<usize>,
    pub epilogue: Epilogue,
    /// This thread's buffer for sums or a dequantized panel.
    pub scratch: &'a mut Vec<f32>,
}

/// Where a kernel stands in a panel.
struct Cursor(*const u8);

impl Cursor {
    /// Takes `NV` vectors of f16.
    #[inline(always)]
    unsafe fn halves<S: Simd, const NV: usize>(&mut self) -> [S::V; NV] {
        // SAFETY: the record holds them (contract of the packing).
        unsafe {
            let mut out = [S::splat(0.0); NV];
            for (i, v) in out.iter_mut().enumerate() {
                *v = S::load_f16(self.0.add(2 * i * S::LANES).cast());
            }
            self.0 = self.0.add(2 * NV * S::LANES);
            out
        }
    }

    /// Takes `NV` vectors of i8.
    #[inline(always)]
    unsafe fn bytes<S: Simd, const NV: usize>(&mut self) -> [S::V; NV] {
        // SAFETY: as above.
        unsafe {
            let mut out = [S::splat(0.0); NV];
            for (i, v) in out.iter_mut().enumerate() {
                *v = S::load_i8(self.0.add(i * S::LANES).cast());
            }
            self.0 = self.0.add(NV * S::LANES);
            out
        }
    }

    /// Takes `NV` vectors of nibble pairs.
    #[inline(always)]
    unsafe fn nibbles<S: Simd, const NV: usize>(&mut self) -> ([S::V; NV], [S::V; NV]) {
        // SAFETY: as above.
        unsafe {
            let (mut low, mut high) = ([S::splat(0.0); NV], [S::splat(0.0); NV]);
            for i in 0..NV {
                (low[i], high[i]) = S::nibbles(self.0.add(i * S::LANES));
            }
            self.0 = self.0.add(NV * S::LANES);
            (low, high)
        }
    }

    /// Scale and start value of the next sub-block.
    #[inline(always)]
    unsafe fn scales<S: Simd, F: Shape, const NV: usize>(
        &mut self,
        d: [S::V; NV],
        m: [S::V; NV],
    ) -> ([S::V; NV], [S::V; NV]) {
        if !F::SUP {
            return (d, m);
        }
        // SAFETY: as above.
        unsafe {
            let (mut scale, mut start) = (self.bytes::<S, NV>(), m);
            for i in 0..NV {
                scale[i] = S::mul(scale[i], d[i]);
            }
            if F::MIN {
                let mn = self.bytes::<S, NV>();
                for i in 0..NV {
                    start[i] = S::mul(mn[i], m[i]);
                }
            }
            (scale, start)
        }
    }
}

/// The shape of a format as constants: the compiler unrolls for each.
trait Shape {
    const UNIT: usize;
    const SUB: usize;
    const NIBBLE: bool;
    const MIN: bool;
    const SUP: bool;
}

macro_rules! shapes {
    ($($name:ident: $unit:expr, $sub:expr, $nibble:expr, $min:expr;)+) => {
        $(
            struct $name;
            impl Shape for $name {
                const UNIT: usize = $unit;
                const SUB: usize = $sub;
                const NIBBLE: bool = $nibble;
                const MIN: bool = $min;
                const SUP: bool = $unit == 256;
            }
        )+

        #[inline(always)]
        unsafe fn body<S: Simd, const NV: usize, const MR: usize>(g: &mut QuantizedGemm<'_>) {
            // SAFETY: forwarded; the shape is that of the packing.
            unsafe {
                match g.weight.form {
                    $(Form { unit: $unit, sub: $sub, nibble: $nibble, min: $min, .. } => product::<S, $name, NV, MR>(g),)+
                    other => unreachable!("no kernel for {other:?}"),
                }
            }
        }
    };
}

shapes! {
    Nibbles32: 32, 32, true, true;
    Bytes32: 32, 32, false, false;
    BytesMin32: 32, 32, false, true;
    SuperNibbles32: 256, 32, true, true;
    SuperBytesMin32: 256, 32, false, true;
    SuperNibbles16: 256, 16, true, true;
    SuperBytes16: 256, 16, false, false;
}

/// `NV` vectors of one row's product with one panel. `sums` are the sums of `x` over sub-blocks.
#[inline(always)]
unsafe fn gemv<S: Simd, F: Shape, const NV: usize>(
    panel: *const u8,
    k: usize,
    x: *const f32,
    sums: *const f32,
) -> [S::V; NV] {
    // SAFETY: the panel covers k inputs, x is k long, sums k / SUB.
    unsafe {
        let mut acc = [S::splat(0.0); NV];
        let mut at = Cursor(panel);
        let mut sub = 0;
        for _ in 0..k / F::UNIT {
            let d = at.halves::<S, NV>();
            let m = if F::MIN { at.halves::<S, NV>() } else { d };
            for _ in 0..F::UNIT / F::SUB {
                let (scale, start) = at.scales::<S, F, NV>(d, m);
                let x = x.add(sub * F::SUB);
                let (mut even, mut odd) = ([S::splat(0.0); NV], [S::splat(0.0); NV]);
                for j in 0..F::SUB / 2 {
                    let (low, high, far) = if F::NIBBLE {
                        let (low, high) = at.nibbles::<S, NV>();
                        (low, high, j + F::SUB / 2)
                    } else {
                        (at.bytes::<S, NV>(), at.bytes::<S, NV>(), 2 * j + 1)
                    };
                    let near = if F::NIBBLE { j } else { 2 * j };
                    let (a, b) = (S::splat(*x.add(near)), S::splat(*x.add(far)));
                    for i in 0..NV {
                        even[i] = S::fma(low[i], a, even[i]);
                        odd[i] = S::fma(high[i], b, odd[i]);
                    }
                }
                let total = S::splat(*sums.add(sub));
                for i in 0..NV {
                    acc[i] = S::fma(scale[i], S::add(even[i], odd[i]), acc[i]);
                    if F::MIN {
                        acc[i] = S::fma(start[i], total, acc[i]);
                    }
                }
                sub += 1;
            }
        }
        acc
    }
}

/// One row of a panel as floats.
#[inline(always)]
unsafe fn put_row<S: Simd, const NV: usize>(out: *mut f32, codes: [S::V; NV], scale: [S::V; NV], start: [S::V; NV]) {
    // SAFETY: out is a row of the panel's width.
    unsafe {
        for i in 0..NV {
            S::store(out.add(i * S::LANES), S::fma(codes[i], scale[i], start[i]));
        }
    }
}

/// A panel as floats, `[k][NV · LANES]`.
#[inline(always)]
unsafe fn dequantize_panel<S: Simd, F: Shape, const NV: usize>(panel: *const u8, k: usize, out: *mut f32) {
    // SAFETY: the panel covers k inputs, out k rows.
    unsafe {
        let width = NV * S::LANES;
        let mut at = Cursor(panel);
        let mut input = 0;
        for _ in 0..k / F::UNIT {
            let d = at.halves::<S, NV>();
            let m = if F::MIN { at.halves::<S, NV>() } else { [S::splat(0.0); NV] };
            for _ in 0..F::UNIT / F::SUB {
                let (scale, start) = at.scales::<S, F, NV>(d, m);
                let rows = out.add(input * width);
                if F::NIBBLE {
                    for j in 0..F::SUB / 2 {
                        let (low, high) = at.nibbles::<S, NV>();
                        put_row::<S, NV>(rows.add(j * width), low, scale, start);
                        put_row::<S, NV>(rows.add((j + F::SUB / 2) * width), high, scale, start);
                    }
                } else {
                    for j in 0..F::SUB {
                        put_row::<S, NV>(rows.add(j * width), at.bytes::<S, NV>(), scale, start);
                    }
                }
                input += F::SUB;
            }
        }
    }
}

#[inline(always)]
unsafe fn product<S: Simd, F: Shape, const NV: usize, const MR: usize>(g: &mut QuantizedGemm<'_>) {
    let (k, width, rows) = (g.weight.k, NV * S::LANES, g.rows.len());
    let few = rows <= FEW_ROWS;
    let needed = if few { rows * (k / F::SUB) } else { k * width };
    if g.scratch.len() < needed {
        g.scratch.resize(needed, 0.0);
    }
    if few && F::MIN {
        for (i, row) in g.rows.clone().enumerate() {
            // SAFETY: row < rows.end, whose k floats the caller vouches for.
            let x = unsafe { std::slice::from_raw_parts(g.a.add(row * g.lda), k) };
            for (sum, part) in g.scratch[i * (k / F::SUB)..].iter_mut().zip(x.chunks_exact(F::SUB)) {
                *sum = part.iter().sum();
            }
        }
    }
    for panel in g.panels.clone() {
        // SAFETY: panel < panel_count; rows and columns are inside C (see `store`).
        unsafe {
            let data = g.weight.data.as_ptr().add(panel * g.weight.panel_bytes());
            let bias = g.weight.bias.as_ptr().add(panel * width);
            if few {
                for (i, row) in g.rows.clone().enumerate() {
                    let sums = g.scratch.as_ptr().add(i * (k / F::SUB));
                    let acc = gemv::<S, F, NV>(data, k, g.a.add(row * g.lda), sums);
                    let mut out = [0f32; 32];
                    for (j, v) in acc.into_iter().enumerate() {
                        let v = S::add(v, S::load(bias.add(j * S::LANES)));
                        S::store(out.as_mut_ptr().add(j * S::LANES), v);
                    }
                    store::<S>(g, row, panel * width, width, out.as_ptr());
                }
                continue;
            }
            dequantize_panel::<S, F, NV>(data, k, g.scratch.as_mut_ptr());
            tiles(S::ISA, &Tiles { g, panel, bias });
        }
    }
}

/// All rows of a product with one panel that has become floats.
struct Tiles<'a, 'b> {
    g: &'a QuantizedGemm<'b>,
    panel: usize,
    bias: *const f32,
}

/// A function of its own: beside the readers of blocks the compiler has too few registers left for a tile, and keeps
/// sums in memory (that halved the reading of prompts with AVX2).
#[inline(never)]
unsafe fn tiles(isa: Isa, t: &Tiles<'_, '_>) {
    dispatch!(isa, tiles_body(t): &Tiles<'_, '_>);
}

#[inline(always)]
unsafe fn tiles_body<S: Simd, const NV: usize, const MR: usize>(t: &Tiles<'_, '_>) {
    let Tiles { g, panel, bias } = *t;
    let width = NV * S::LANES;
    let mut out = [0f32; 12 * 32];
    for (first, count) in even_blocks(g.rows.len(), MR) {
        let row = g.rows.start + first;
        // SAFETY: the scratch holds the panel's k rows; rows and columns are inside C (see `store`).
        unsafe {
            let tile = Tile {
                k: g.weight.k,
                a: g.a.add(row * g.lda),
                lda: g.lda,
                b: g.scratch.as_ptr(),
                start: bias,
                lds: 0,
                c: out.as_mut_ptr(),
                ldc: width,
            };
            tile_rows::<S, f32, NV>(count, tile);
            for i in 0..count {
                store::<S>(g, row + i, panel * width, width, out.as_ptr().add(i * width));
            }
        }
    }
}

/// Writes a row's columns of one panel, as many as there are.
#[inline(always)]
unsafe fn store<S: Simd>(g: &QuantizedGemm<'_>, row: usize, column: usize, width: usize, from: *const f32) {
    let n = g.weight.n;
    let columns = width.min(n - column);
    // SAFETY: row < rows.end and column + columns <= n.
    unsafe {
        let to = g.c.0.add(row * n + column);
        match g.epilogue {
            Epilogue::Accumulate => add_slice::<S>(to, from, columns),
            _ => std::ptr::copy_nonoverlapping(from, to, columns),
        }
        if let Epilogue::Activate(act) = g.epilogue {
            activate_slice::<S>(act, to, columns);
        }
    }
}

/// Computes one thread's part of a product.
///
/// # Safety
/// `a` covers `rows.end` rows of `k` floats at stride `lda`, `c` covers `rows.end * n` floats, and
/// no other thread touches the same `rows` × `panels` of `c` meanwhile.
pub unsafe fn quantized_gemm(isa: Isa, g: &mut QuantizedGemm<'_>) {
    debug_assert!(g.lda >= g.weight.k && g.panels.end <= g.weight.panel_count());
    dispatch!(isa, body(g): &mut QuantizedGemm<'_>);
}
