//! Products with quantized weights and float activations.
//!
//! Like [`super::gemm`], a matrix is cut into panels of [`Isa::panel`] output columns that lie side by side. Codes become
//! floats in registers, for as many rows together as registers hold sums of; where a tile has few rows and there are many,
//! a panel's codes become floats once, in a buffer that stays in L2. Either way a row's results are the same to the bit,
//! whatever rows share the step. Activations are never rounded.
//!
//! A panel is a run of records, one per unit (see [`Form`]): `d` and `m` of all columns as f16,
//! then for each sub-block its integer scales and start values if it has any, and its codes,
//! inputs outermost. A byte of two nibbles holds two neighbouring inputs, the first low.

mod product;

use super::Isa;
use super::arena::{Arena, Piece};
use crate::nn::quant::{Form, Unit, decode};
use crate::nn::source::{Dtype, RawTensor};
use half::f16;
pub use product::{QuantizedGemm, quantized_gemm};
use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;

/// A quantized matrix `[out, in]`, packed for [`Isa`].
pub struct Quantized {
    data: Piece,
    bias: Vec<f32>,
    form: Form,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    width: usize,
}

/// Bytes of one record.
fn record_bytes(form: Form, width: usize) -> usize {
    width * (2 * (1 + usize::from(form.min)) + form.unit / form.sub * sub_bytes(form))
}

/// Bytes of a sub-block, per column.
fn sub_bytes(form: Form) -> usize {
    let scales = if form.super_scaled { 1 + usize::from(form.min) } else { 0 };
    scales + if form.nibble { form.sub / 2 } else { form.sub }
}

impl Quantized {
    /// Packs `weight` `[n, k]` into a piece of `arena`; `bias` is `[n]`, or empty for none. `None` if it holds floats.
    pub fn new(isa: Isa, arena: &Arena, weight: &RawTensor, bias: &[f32]) -> Option<Self> {
        let form = weight.dtype().form()?;
        let &[n, k] = weight.shape() else { return None };
        let width = isa.panel();
        let mut bias = bias.to_vec();
        bias.resize(n.div_ceil(width) * width, 0.0);
        let panel = k / form.unit * record_bytes(form, width);
        let mut data = arena.take(n.div_ceil(width) * panel);
        data.par_chunks_exact_mut(panel.max(1)).enumerate().for_each(|(p, out)| {
            pack_panel(weight, form, p * width..n.min((p + 1) * width), width, out);
        });
        Some(Self { data, bias, form, n, k, width })
    }

    /// Panels in the matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.bias.len() * 4
    }

    /// Bytes that a matrix of this type and shape will hold.
    pub fn bytes_for(dtype: Dtype, isa: Isa, n: usize, k: usize) -> Option<usize> {
        let form = dtype.form()?;
        let width = isa.panel();
        Some(n.div_ceil(width) * (k / form.unit * record_bytes(form, width) + 4 * width))
    }

    fn panel_bytes(&self) -> usize {
        self.k / self.form.unit * record_bytes(self.form, self.width)
    }

    /// Row `index` of the weight as f32, into `out` (`[k]`).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.n && out.len() == self.k, "row {index} of {}", self.n);
        let (form, width, lane) = (self.form, self.width, index % self.width);
        let panel = &self.data[index / width * self.panel_bytes()..][..self.panel_bytes()];
        let half = |b: &[u8], at: usize| f16::from_le_bytes([b[at], b[at + 1]]).to_f32();
        for (record, values) in panel.chunks_exact(record_bytes(form, width)).zip(out.chunks_exact_mut(form.unit)) {
            let d = half(record, 2 * lane);
            let m = if form.min { half(record, 2 * (width + lane)) } else { 0.0 };
            let subs = &record[2 * width * (1 + usize::from(form.min))..];
            for (part, sub) in values.chunks_exact_mut(form.sub).zip(subs.chunks_exact(width * sub_bytes(form))) {
                let (mut scale, mut start, mut codes) = (d, m, sub);
                if form.super_scaled {
                    scale *= f32::from(sub[lane].cast_signed());
                    codes = &codes[width..];
                    if form.min {
                        start *= f32::from(codes[lane].cast_signed());
                        codes = &codes[width..];
                    }
                }
                for (j, v) in part.iter_mut().enumerate() {
                    let code = if form.nibble {
                        let byte = codes[j / 2 * width + lane];
                        f32::from(if j % 2 == 0 { byte & 15 } else { byte >> 4 })
                    } else {
                        f32::from(codes[j * width + lane].cast_signed())
                    };
                    *v = scale.mul_add(code, start);
                }
            }
        }
    }
}

/// Packs the rows `rows` of `weight` as one panel.
fn pack_panel(weight: &RawTensor, form: Form, rows: std::ops::Range<usize>, width: usize, out: &mut [u8]) {
    let (_, size) = weight.dtype().block();
    let units = weight.shape()[1] / form.unit;
    let bytes = weight.bytes();
    let mut unit = Unit::default();
    for (u, record) in out.chunks_exact_mut(record_bytes(form, width)).enumerate() {
        for (lane, row) in rows.clone().enumerate() {
            let at = (row * units + u) * size;
            decode(weight.dtype(), &bytes[at..at + size], &mut unit);
            record[2 * lane..2 * lane + 2].copy_from_slice(&unit.d.to_le_bytes());
            if form.min {
                record[2 * (width + lane)..][..2].copy_from_slice(&unit.m.to_le_bytes());
            }
            let subs = &mut record[2 * width * (1 + usize::from(form.min))..];
            for (s, sub) in subs.chunks_exact_mut(width * sub_bytes(form)).enumerate() {
                let mut at = lane;
                if form.super_scaled {
                    sub[at] = unit.sc[s].cast_unsigned();
                    at += width;
                    if form.min {
                        sub[at] = unit.mn[s].cast_unsigned();
                        at += width;
                    }
                }
                let codes = &unit.codes[s * form.sub..(s + 1) * form.sub];
                if form.nibble {
                    for (j, pair) in codes.chunks_exact(2).enumerate() {
                        sub[at + j * width] = pair[0].cast_unsigned() | (pair[1].cast_unsigned() << 4);
                    }
                } else {
                    for (j, c) in codes.iter().enumerate() {
                        sub[at + j * width] = c.cast_unsigned();
                    }
                }
            }
        }
    }
}

/// A tensor of `dtype` with random codes and sane scales.
#[cfg(test)]
pub(super) fn random(dtype: Dtype, n: usize, k: usize) -> RawTensor {
    let (elements, size) = dtype.block();
    let mut state = 7u32;
    let mut bytes: Vec<u8> = (0..n * k / elements * size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let scales: &[usize] = match dtype {
        Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4K | Dtype::Q5K => &[0, 2],
        Dtype::Q2K => &[80, 82],
        Dtype::Q3K => &[108],
        Dtype::Q6K => &[208],
        _ => &[0],
    };
    for (i, block) in bytes.chunks_exact_mut(size).enumerate() {
        for (j, at) in scales.iter().enumerate() {
            let value = f16::from_f32(0.001 * ((i * 13 + j * 5) % 17) as f32 - 0.006);
            block[*at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
    }
    let range = 0..bytes.len();
    RawTensor::new(dtype, vec![n, k], std::sync::Arc::new(bytes), range).expect("tensor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::Shared;
    use crate::nn::kernels::gemm::Epilogue;

    #[test]
    fn products_match_the_dequantized_matrix_for_every_format_and_instruction_set() {
        use Dtype::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        for dtype in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
            let (n, k) = (75, 512);
            let weight = random(dtype, n, k);
            let dense = weight.to_f32();
            let bias: Vec<f32> = (0..n).map(|i| i as f32 * 0.01).collect();
            for isa in Isa::available() {
                let packed = Quantized::new(isa, &Arena::default(), &weight, &bias).expect("quantized");
                let mut row = vec![0f32; k];
                for index in [0, 31, 74] {
                    packed.row(index, &mut row);
                    let worst = row.iter().zip(&dense[index * k..]).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                    assert!(worst < 2e-5, "{dtype:?} row {index}: {worst}");
                }
                for m in [1, 3, 20] {
                    let a: Vec<f32> = (0..m * k).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
                    let mut c = vec![1f32; m * n];
                    let (rows, panels) = (0..m, 0..packed.panel_count());
                    let mut g = QuantizedGemm {
                        a: a.as_ptr(),
                        lda: k,
                        weight: &packed,
                        c: Shared(c.as_mut_ptr()),
                        rows,
                        panels,
                        epilogue: Epilogue::Accumulate,
                        scratch: &mut Vec::new(),
                    };
                    // SAFETY: buffers as large as the shapes say.
                    unsafe { quantized_gemm(isa, &mut g) };
                    for i in 0..m {
                        for j in 0..n {
                            let dot: f64 = (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(dense[j * k + p])).sum();
                            let want = 1.0 + dot + f64::from(bias[j]);
                            let got = f64::from(c[i * n + j]);
                            assert!((got - want).abs() < 1e-3, "{dtype:?} {isa:?} m={m} [{i},{j}] {got} {want}");
                        }
                    }
                }
            }
        }
    }
}
