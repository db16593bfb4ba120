//! How weights are kept in memory.

use super::source::Dtype;
use serde::{Deserialize, Serialize};

/// What a person may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Blocks as in the file, floats as f32 on CPU (f16 if the file has f16) and f16 on CUDA. An encoder's
    /// layers become floats.
    #[default]
    Own,
    F32,
    F16,
    /// On CUDA; the CPU keeps f16 then.
    Bf16,
    /// Bytes with a step per output column; products of bytes (`kernels::int8`).
    Int8,
    #[serde(rename = "q8_0")]
    Q8_0,
    #[serde(rename = "q5_0")]
    Q5_0,
    #[serde(rename = "q4_0")]
    Q4_0,
    /// ggml's mixture: Q4_K, and Q6_K where it matters most.
    #[serde(rename = "q4_k_m")]
    Q4KM,
}

impl Precision {
    /// Everything that can be asked for, exact first.
    pub const ALL: [Self; 8] =
        [Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Q8_0, Self::Q5_0, Self::Q4_0, Self::Q4KM];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "as in the file",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Q8_0 => "q8_0",
            Self::Q5_0 => "q5_0",
            Self::Q4_0 => "q4_0",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// The precision that people call `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(name))
    }

    /// The type of its matrices, of one that keeps ggml's blocks.
    pub fn blocks(self) -> Option<Dtype> {
        match self {
            Self::Q8_0 => Some(Dtype::Q8_0),
            Self::Q5_0 => Some(Dtype::Q5_0),
            Self::Q4_0 => Some(Dtype::Q4_0),
            Self::Q4KM => Some(Dtype::Q4K),
            _ => None,
        }
    }
}
