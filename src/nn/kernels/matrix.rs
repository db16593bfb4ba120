//! A weight matrix in whatever form it is held, with one way to multiply by it.

use super::arena::Arena;
use super::gemm::{Epilogue, Gemm, Packed, gemm};
use super::int8::{Int8, Int8Gemm, int8_gemm};
use super::quantized::{Quantized, QuantizedGemm, quantized_gemm};
use super::{Isa, Shared};
use crate::nn::NnError;
use crate::nn::precision::Precision;
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
    /// Packs `weight` `[n, k]`, `kept` so: as the file has it ([`Precision::Own`] and those with blocks:
    /// blocks stay, f16 stays f16, other floats become f32), as floats, or as bytes.
    ///
    /// # Panics
    /// If it is no matrix, or `bias` is neither empty nor `[n]`.
    pub fn new(isa: Isa, arena: &Arena, weight: &RawTensor, bias: &[f32], kept: Precision) -> Self {
        if kept == Precision::Int8 {
            let [_, k] = weight.shape()[..] else { unreachable!("a matrix has two dimensions") };
            return Self::Int8(Int8::new(isa, arena, &weight.to_f32(), bias, k));
        }
        let floats = matches!(kept, Precision::F32 | Precision::F16 | Precision::Bf16);
        if !floats && let Some(packed) = Quantized::new(isa, arena, weight, bias) {
            return Self::Quantized(packed);
        }
        let is_half = kept != Precision::F32 && weight.dtype() == Dtype::F16;
        let kept = if is_half { Precision::F16 } else { kept };
        Self::Float(Packed::placed(isa, Some(arena), &weight.to_f32(), bias, weight.shape()[1], kept))
    }

    /// Output columns.
    pub fn n(&self) -> usize {
        match self {
            Self::Float(m) => m.n,
            Self::Quantized(m) => m.n,
            Self::Int8(m) => m.n,
        }
    }

    /// Input columns.
    pub fn k(&self) -> usize {
        match self {
            Self::Float(m) => m.k,
            Self::Quantized(m) => m.k,
            Self::Int8(m) => m.k,
        }
    }

    /// Whether it is what the kernels will take it for: the last look before raw pointers.
    ///
    /// # Errors
    /// [`NnError::Config`] if not.
    pub fn fits(&self, what: &str, n: usize, k: usize) -> Result<(), NnError> {
        if (self.n(), self.k()) == (n, k) {
            return Ok(());
        }
        let (rows, columns) = (self.n(), self.k());
        Err(NnError::Config(format!("{what} is a matrix {rows} × {columns}; the configuration asks for {n} × {k}")))
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

    /// Bytes that a matrix of this type and shape will hold, `kept` so.
    pub fn bytes_for(dtype: Dtype, isa: Isa, (n, k): (usize, usize), kept: Precision) -> usize {
        if kept == Precision::Int8 {
            return Int8::bytes_for(isa, n, k);
        }
        let floats = matches!(kept, Precision::F32 | Precision::F16 | Precision::Bf16);
        let blocks = if floats { None } else { Quantized::bytes_for(dtype, isa, n, k) };
        let is_half = match kept {
            Precision::F16 | Precision::Bf16 => true,
            Precision::F32 => false,
            _ => dtype == Dtype::F16,
        };
        blocks.unwrap_or(n.next_multiple_of(isa.panel()) * (k * if is_half { 2 } else { 4 } + 4))
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
        debug_assert!(
            rows.start <= rows.end && panels.end <= self.panel_count(),
            "{panels:?} of {}",
            self.panel_count()
        );
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
