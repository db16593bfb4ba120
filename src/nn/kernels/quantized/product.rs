//! The products: codes become floats in registers, or panels of codes become floats in L2.
//!
//! Both are the same sums in the same order, whatever the number of rows: for each sub-block one chain over its inputs,
//! of codes times activations, begun at zero; then the column's scale times that sum, and its start value times the sum
//! of the activations, onto a total that began with the bias.

use super::Quantized;
use crate::nn::kernels::gemm::{Epilogue, add_slice, even_blocks};
use crate::nn::kernels::math::activate_slice;
use crate::nn::kernels::simd::Simd;
use crate::nn::kernels::{Isa, Shared, dispatch};
use crate::nn::quant::Form;

/// One thread's part of a product: `rows` × `panels` of C, as in [`crate::nn::kernels::gemm::Gemm`].
pub struct QuantizedGemm<'a> {
    pub a: *const f32,
    pub lda: usize,
    pub weight: &'a Quantized,
    pub c: Shared,
    pub rows: std::ops::Range<usize>,
    pub panels: std::ops::Range<usize>,
    pub epilogue: Epilogue,
    /// This thread's buffer for sums and a panel of floats.
    pub scratch: &'a mut Vec<f32>,
}

/// Rows of A that are worked on together, so that they stay in L2 while panels pass: 384 KiB.
const ROW_BLOCK_FLOATS: usize = 96 * 1024;

/// How a panel's records are read.
trait Codes<S: Simd> {
    /// Bytes of a column's scale or start value.
    const HEAD: usize = 2;
    /// Bytes of two inputs of a column.
    const PAIR: usize;
    /// A vector of scales or start values.
    #[inline(always)]
    unsafe fn head(p: *const u8) -> S::V {
        // SAFETY: forwarded.
        unsafe { S::load_f16(p.cast()) }
    }
    /// A vector of codes of two neighbouring inputs; of the first, the panel's width of columns lies there.
    unsafe fn pair(p: *const u8, width: usize) -> (S::V, S::V);
}

/// Two codes to a byte.
struct Nibbles;
/// A code to a byte.
struct Bytes;
/// A panel of codes that have become floats, without scales beside their start values.
struct Floats;

impl<S: Simd> Codes<S> for Nibbles {
    const PAIR: usize = 1;
    #[inline(always)]
    unsafe fn pair(p: *const u8, _: usize) -> (S::V, S::V) {
        // SAFETY: forwarded.
        unsafe { S::nibbles(p) }
    }
}

impl<S: Simd> Codes<S> for Bytes {
    const PAIR: usize = 2;
    #[inline(always)]
    unsafe fn pair(p: *const u8, width: usize) -> (S::V, S::V) {
        // SAFETY: forwarded.
        unsafe { (S::load_i8(p.cast()), S::load_i8(p.add(width).cast())) }
    }
}

impl<S: Simd> Codes<S> for Floats {
    const HEAD: usize = 4;
    const PAIR: usize = 8;
    #[inline(always)]
    unsafe fn head(p: *const u8) -> S::V {
        // SAFETY: forwarded.
        unsafe { S::load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn pair(p: *const u8, width: usize) -> (S::V, S::V) {
        // SAFETY: forwarded.
        unsafe { (S::load(p.cast()), S::load(p.cast::<f32>().add(width))) }
    }
}

/// Scale and start value of a vector of columns: of the unit at `unit`, and of the sub-block at `sub`.
#[inline(always)]
unsafe fn scales<S: Simd, C: Codes<S>>(form: Form, width: usize, unit: *const u8, sub: *const u8) -> (S::V, S::V) {
    // SAFETY: the record holds them (contract of the packing).
    unsafe {
        let mut scale = C::head(unit);
        let mut start = if form.min { C::head(unit.add(C::HEAD * width)) } else { scale };
        if form.super_scaled {
            scale = S::mul(S::load_i8(sub.cast()), scale);
            if form.min {
                start = S::mul(S::load_i8(sub.add(width).cast()), start);
            }
        }
        (scale, start)
    }
}

/// Some rows' products with neighbouring panels.
struct Strip {
    form: Form,
    k: usize,
    panel: *const u8,
    /// Bytes from one panel to the next.
    panel_bytes: usize,
    a: *const f32,
    lda: usize,
    /// Sums of each row's activations over sub-blocks: `[rows][k / sub]`.
    sums: *const f32,
    /// Totals, at first the bias: `[rows][panels][width]`.
    out: *mut f32,
}

/// Adds the products of `R` rows with `P` panels to `out`. Totals stay in the first-level cache and scales are read when
/// a sub-block is done: all registers are for its sums.
#[inline(always)]
unsafe fn strip<S: Simd, C: Codes<S>, const NV: usize, const SUB: usize, const R: usize, const P: usize>(s: &Strip) {
    let (form, width) = (s.form, NV * S::LANES);
    let heads = C::HEAD * width * (1 + usize::from(form.min));
    let own = if form.super_scaled { width * (1 + usize::from(form.min)) } else { 0 };
    // SAFETY: the panels cover k inputs, a and sums R rows, out R rows of P panels.
    unsafe {
        let (mut at, mut x, mut index) = (s.panel, s.a, 0);
        for _ in 0..s.k / form.unit {
            let unit = at;
            at = at.add(heads);
            for _ in 0..form.unit / SUB {
                let sub = at;
                at = at.add(own);
                let mut sums = [[[S::splat(0.0); NV]; P]; R];
                for _ in 0..SUB / 2 {
                    for p in 0..P {
                        let mut codes = [(S::splat(0.0), S::splat(0.0)); NV];
                        for (i, code) in codes.iter_mut().enumerate() {
                            let bytes = i * S::LANES * if C::PAIR == 8 { 4 } else { 1 };
                            *code = C::pair(at.add(p * s.panel_bytes + bytes), width);
                        }
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let (first, second) = (S::splat(*x.add(r * s.lda)), S::splat(*x.add(r * s.lda + 1)));
                            for (sum, code) in sums[p].iter_mut().zip(&codes) {
                                *sum = S::fma(code.0, first, *sum);
                            }
                            for (sum, code) in sums[p].iter_mut().zip(&codes) {
                                *sum = S::fma(code.1, second, *sum);
                            }
                        }
                    }
                    (at, x) = (at.add(C::PAIR * width), x.add(2));
                }
                for p in 0..P {
                    for i in 0..NV {
                        let place = p * s.panel_bytes + i * S::LANES;
                        let unit = unit.add(p * s.panel_bytes + i * S::LANES * C::HEAD);
                        let (scale, start) = scales::<S, C>(form, width, unit, sub.add(place));
                        for (r, sums) in sums.iter().enumerate() {
                            let out = s.out.add((r * P + p) * width + i * S::LANES);
                            let mut total = S::fma(scale, sums[p][i], S::load(out));
                            if form.min {
                                total = S::fma(start, S::splat(*s.sums.add(r * (s.k / SUB) + index)), total);
                            }
                            S::store(out, total);
                        }
                    }
                }
                index += 1;
            }
        }
    }
}

/// A panel with its codes as floats: sub-blocks become units with their scales in front.
#[inline(always)]
unsafe fn widen<S: Simd, C: Codes<S>, const NV: usize>(form: Form, k: usize, panel: *const u8, out: *mut f32) {
    let (width, min) = (NV * S::LANES, usize::from(form.min));
    // SAFETY: the panel covers k inputs, out as many floats as `Floats` reads.
    unsafe {
        let (mut at, mut to) = (panel, out);
        for _ in 0..k / form.unit {
            let unit = at;
            at = at.add(C::HEAD * width * (1 + min));
            for _ in 0..form.unit / form.sub {
                let sub = at;
                at = at.add(if form.super_scaled { width * (1 + min) } else { 0 });
                for i in (0..width).step_by(S::LANES) {
                    let (scale, start) = scales::<S, C>(form, width, unit.add(i * C::HEAD), sub.add(i));
                    S::store(to.add(i), scale);
                    if form.min {
                        S::store(to.add(width + i), start);
                    }
                }
                to = to.add(width * (1 + min));
                for _ in 0..form.sub / 2 {
                    for i in (0..width).step_by(S::LANES) {
                        let (first, second) = C::pair(at.add(i), width);
                        S::store(to.add(i), first);
                        S::store(to.add(width + i), second);
                    }
                    (at, to) = (at.add(C::PAIR * width), to.add(2 * width));
                }
            }
        }
    }
}

/// Floats of a widened panel.
fn widened(form: Form, k: usize, width: usize) -> usize {
    k / form.sub * width * (1 + usize::from(form.min) + form.sub)
}

/// Sums of each row's activations over sub-blocks.
#[inline(always)]
unsafe fn sum_rows<S: Simd>(g: &QuantizedGemm<'_>, sub: usize, out: &mut [f32]) {
    let subs = g.weight.k / sub;
    for (row, out) in g.rows.clone().zip(out.chunks_exact_mut(subs)) {
        for (part, sum) in out.iter_mut().enumerate() {
            // SAFETY: the caller vouches for k floats of each row; a sub-block is whole vectors.
            *sum = unsafe {
                let x = g.a.add(row * g.lda + part * sub);
                let mut total = S::load(x);
                for i in (S::LANES..sub).step_by(S::LANES) {
                    total = S::add(total, S::load(x.add(i)));
                }
                S::sum(total)
            };
        }
    }
}

/// [`strip`] with numbers of rows and panels known at run time: at most twelve rows, and one panel, or two for one or two
/// rows, whose chains alone would wait for each other.
#[inline(always)]
unsafe fn strips<S: Simd, C: Codes<S>, const NV: usize, const MR: usize, const SUB: usize>(
    rows: usize,
    panels: usize,
    s: &Strip,
) {
    // SAFETY: forwarded.
    unsafe {
        match (rows, panels) {
            (1, 2) => strip::<S, C, NV, SUB, 1, 2>(s),
            (2, 2) => strip::<S, C, NV, SUB, 2, 2>(s),
            (1, _) => strip::<S, C, NV, SUB, 1, 1>(s),
            (2, _) => strip::<S, C, NV, SUB, 2, 1>(s),
            (3, _) => strip::<S, C, NV, SUB, 3, 1>(s),
            (4, _) => strip::<S, C, NV, SUB, 4, 1>(s),
            (5, _) => strip::<S, C, NV, SUB, 5, 1>(s),
            (6, _) if MR > 6 => strip::<S, C, NV, SUB, 6, 1>(s),
            (7, _) if MR > 6 => strip::<S, C, NV, SUB, 7, 1>(s),
            (8, _) if MR > 6 => strip::<S, C, NV, SUB, 8, 1>(s),
            (9, _) if MR > 6 => strip::<S, C, NV, SUB, 9, 1>(s),
            (10, _) if MR > 6 => strip::<S, C, NV, SUB, 10, 1>(s),
            (11, _) if MR > 6 => strip::<S, C, NV, SUB, 11, 1>(s),
            _ if MR > 6 => strip::<S, C, NV, SUB, 12, 1>(s),
            _ => strip::<S, C, NV, SUB, 6, 1>(s),
        }
    }
}

/// Products of the rows from the panel `first` on, whose codes are at `strip.panel`.
#[inline(always)]
unsafe fn blocks<S: Simd, C: Codes<S>, const NV: usize, const MR: usize>(
    g: &QuantizedGemm<'_>,
    mut s: Strip,
    (first, panels): (usize, usize),
) {
    let width = NV * S::LANES;
    let mut out = [0f32; 12 * 32];
    let (a, sums, across) = (s.a, s.sums, panels * width);
    for (start, count) in even_blocks(g.rows.len(), MR) {
        // SAFETY: rows and columns are inside C (see `store`), the bias covers whole panels.
        unsafe {
            for row in out.chunks_exact_mut(across).take(count) {
                std::ptr::copy_nonoverlapping(g.weight.bias.as_ptr().add(first * width), row.as_mut_ptr(), across);
            }
            s.a = a.add(start * g.lda);
            s.sums = if s.form.min { sums.add(start * (s.k / s.form.sub)) } else { sums };
            s.out = out.as_mut_ptr();
            match s.form.sub {
                16 => strips::<S, C, NV, MR, 16>(count, panels, &s),
                _ => strips::<S, C, NV, MR, 32>(count, panels, &s),
            }
            for (i, row) in out.chunks_exact(across).enumerate().take(count) {
                store::<S>(g, g.rows.start + start + i, first * width, across, row.as_ptr());
            }
        }
    }
}

#[inline(always)]
unsafe fn product<S: Simd, C: Codes<S>, const NV: usize, const MR: usize>(g: &mut QuantizedGemm<'_>) {
    let Quantized { k, form, .. } = *g.weight;
    let (width, rows, few) = (NV * S::LANES, g.rows.len(), g.rows.len() <= most_unwidened(MR));
    let floats = if few { 0 } else { widened(form, k, width) };
    let sums = if form.min { rows * (k / form.sub) } else { 0 };
    let mut scratch = std::mem::take(g.scratch);
    if scratch.len() < floats + sums {
        scratch.resize(floats + sums, 0.0);
    }
    let (panel, sums) = scratch.split_at_mut(floats);
    let (panel_bytes, mut at) = (g.weight.panel_bytes(), g.panels.start);
    // SAFETY: panels < panel_count; the caller vouches for A and C.
    unsafe {
        if form.min {
            sum_rows::<S>(g, form.sub, sums);
        }
        while at < g.panels.end {
            let data = g.weight.data.as_ptr().add(at * panel_bytes);
            let a = g.a.add(g.rows.start * g.lda);
            let (sums, out) = (sums.as_ptr(), std::ptr::null_mut());
            let strip = Strip { form, k, panel: data, panel_bytes, a, lda: g.lda, sums, out };
            let together = if rows <= 2 { 2.min(g.panels.end - at) } else { 1 };
            if few {
                blocks::<S, C, NV, MR>(g, strip, (at, together));
            } else {
                widen::<S, C, NV>(form, k, data, panel.as_mut_ptr());
                let form = Form { unit: form.sub, super_scaled: false, ..form };
                let strip = Strip { form, panel: panel.as_ptr().cast(), ..strip };
                tiles(S::ISA, Tiles { g, strip, panel: at });
            }
            at += together;
        }
    }
    *g.scratch = scratch;
}

/// All rows of a product with one panel that has become floats.
struct Tiles<'a, 'b> {
    g: &'a QuantizedGemm<'b>,
    strip: Strip,
    panel: usize,
}

/// A function of its own: beside the readers of blocks the compiler has too few registers left for a tile, and keeps
/// sums in memory (that halved the reading of prompts with AVX2).
#[inline(never)]
unsafe fn tiles(isa: Isa, t: Tiles<'_, '_>) {
    dispatch!(isa, tiles_body(t): Tiles<'_, '_>);
}

#[inline(always)]
unsafe fn tiles_body<S: Simd, const NV: usize, const MR: usize>(t: Tiles<'_, '_>) {
    // SAFETY: forwarded.
    unsafe { blocks::<S, Floats, NV, MR>(t.g, t.strip, (t.panel, 1)) }
}

/// Rows up to which codes become floats in registers, anew for each tile. AVX-512 needs four instructions for two vectors
/// of codes beside 24 products of a tile's 12 rows: less than reading floats from L2. Others' tiles have fewer rows.
const fn most_unwidened(registers: usize) -> usize {
    if registers > 6 { usize::MAX } else { 3 * registers }
}

/// Writes a row's columns of some panels, as many as there are.
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

#[inline(always)]
unsafe fn body<S: Simd, const NV: usize, const MR: usize>(g: &mut QuantizedGemm<'_>) {
    let block = (ROW_BLOCK_FLOATS / g.weight.k / MR).max(1) * MR;
    for (first, count) in even_blocks(g.rows.len(), block).filter(|b| b.1 > 0) {
        let rows = g.rows.start + first..g.rows.start + first + count;
        let mut part = QuantizedGemm { rows, panels: g.panels.clone(), scratch: &mut *g.scratch, ..*g };
        // SAFETY: forwarded.
        unsafe {
            if g.weight.form.nibble {
                product::<S, Nibbles, NV, MR>(&mut part);
            } else {
                product::<S, Bytes, NV, MR>(&mut part);
            }
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
