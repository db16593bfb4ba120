//! A weight matrix in whatever form it is held, with one way to multiply by it.

use super::arena::Arena;
use super::gemm::{Epilogue, Gemm, Packed, Precision, gemm};
use super::int8::{Int8, Int8Gemm, int8_gemm, is_fast};
use super::quantized::{Quantized, QuantizedGemm, quantized_gemm};
use super::{Isa, Shared};
use crate::nn::source::{Dtype, RawTensor};
use std::ops::Range;

/// A matrix `[n, k]` with its bias.
pub enum Matrix {
    Float(Packed),
    Quantized(Quantized),
    Int8(Int8),
}

/// One thread's part of a product with a [`Matrix`].
pub struct Product<'a> {
    /// `[rows, k]`
    pub a: *const f32,
    /// `[rows, n]`
    pub c: Shared,
    pub rows: Range<usize>,
    pub panels: Range<usize>,
    pub epilogue: Epilogue,
    pub scratch: &'a mut Vec<f32>,
}

impl Matrix {
    /// Packs `weight` `[n, k]` as it is: quantized stays quantized, f16 stays f16, bf16 becomes f32.
    ///
    /// # Panics
    /// If it is no matrix, or `bias` is neither empty nor `[n]`.
    pub fn new(isa: Isa, arena: &Arena, weight: &RawTensor, bias: &[f32]) -> Self {
        Self::with_precision(isa, arena, weight, bias, Precision::F32)
    }

    /// As [`Self::new`]; with [`Precision::F16`] f32 becomes f16 too, with [`Precision::Int8`] everything
    /// bytes where that is fast.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_precision(isa: Isa, arena: &Arena, weight: &RawTensor, bias: &[f32], kept: Precision) -> Self {
        if kept == Precision::Int8 && is_fast(isa) {
            let [_, k] = weight.shape()[..] else { unreachable!("a matrix has two dimensions") };
            return Self::Int8(Int8::new(isa, arena, &weight.to_f32(), bias, k));
        }
        if let Some(packed) = Quantized::new(isa, arena, weight, bias) {
            return Self::Quantized(packed);
        }
        let precision = if weight.dtype() == Dtype::F16 { Precision::F16 } else { kept };
        Self::Float(Packed::placed(isa, Some(arena), &weight.to_f32(), bias, weight.shape()[1], precision))
    }

    /// Packs row-major floats `[n, k]` as `kept` says; bytes where they are fast, else halves.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn from_floats(isa: Isa, arena: &Arena, (weight, bias): (&[f32], &[f32]), k: usize, kept: Precision) -> Self {
        if kept == Precision::Int8 && is_fast(isa) {
            return Self::Int8(Int8::new(isa, arena, weight, bias, k));
        }
        Self::Float(Packed::new(isa, weight, bias, k, kept))
    }

    /// Output columns.
    pub fn n(&self) -> usize {
        match self {
            Self::Float(m) => m.n,
            Self::Quantized(m) => m.n,
            Self::Int8(m) => m.n,
        }
    }

    /// Panels that threads can share.
    pub fn panel_count(&self) -> usize {
        match self {
            Self::Float(m) => m.panel_count(),
            Self::Quantized(m) => m.panel_count(),
            Self::Int8(m) => m.panel_count(),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float(m) => m.bytes(),
            Self::Quantized(m) => m.bytes(),
            Self::Int8(m) => m.bytes(),
        }
    }

    /// Bytes that a matrix of this type and shape will hold.
    pub fn bytes_for(dtype: Dtype, isa: Isa, n: usize, k: usize) -> usize {
        Quantized::bytes_for(dtype, isa, n, k).unwrap_or(n * k * if dtype == Dtype::F16 { 2 } else { 4 })
    }

    /// Row `index` as f32, into `out` (`[k]`).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        match self {
            Self::Float(m) => m.row(index, out),
            Self::Quantized(m) => m.row(index, out),
            Self::Int8(m) => m.row(index, out),
        }
    }

    /// Computes one thread's part of `C = A · Wᵀ + bias`.
    ///
    /// # Safety
    /// `a` covers `rows.end` rows of `k`, `c` of `n` floats; no other thread touches the same rows
    /// and panels of `c` meanwhile.
    pub unsafe fn product(&self, isa: Isa, p: Product<'_>) {
        let Product { a, c, rows, panels, epilogue, scratch } = p;
        // SAFETY: forwarded.
        unsafe {
            match self {
                Self::Float(weight) => gemm(isa, &Gemm { a, lda: weight.k, weight, c, rows, panels, epilogue }),
                Self::Quantized(weight) => {
                    let mut g = QuantizedGemm { a, lda: weight.k, weight, c, rows, panels, epilogue, scratch };
                    quantized_gemm(isa, &mut g);
                }
                Self::Int8(weight) => {
                    let mut g = Int8Gemm { a, lda: weight.k, weight, c, rows, panels, epilogue, scratch };
                    int8_gemm(isa, &mut g);
                }
            }
        }
    }
}
