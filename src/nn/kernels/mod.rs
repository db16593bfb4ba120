//! CPU kernels of our own: packed matrix products with fused epilogues, attention, layer norm.
//!
//! Candle's CPU path spends most of an encoder's time outside the matrix products, in scalar
//! activations and softmax and in copies between ops. These kernels work on plain slices, pack
//! the weights once at load, and are chosen at run time by CPU feature.
//!
//! This is the one folder where `unsafe` is at home: raw pointers let several threads write
//! disjoint parts of one buffer, and intrinsics need the CPU feature that [`Isa`] vouches for.
#![expect(unsafe_code, reason = "intrinsics and disjoint writes by several threads")]
#![allow(clippy::missing_safety_doc, reason = "contracts stand on the trait and the structs")]

pub mod arena;
pub mod attention;
pub mod causal;
#[cfg(test)]
mod company;
pub mod gemm;
pub mod indirect;
pub mod int8;
pub mod math;
pub mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod quantized;
pub mod rank;
pub mod simd;
pub mod team;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The instruction set that the kernels run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F/BW/DQ/VL.
    Avx512,
    /// AVX2 as below, with products of bytes (VNNI on 256 bits).
    AvxVnni,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// Arm NEON.
    Neon,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// The best set that this CPU has, or another of its sets that `GLOSSA_ISA` names (to compare them).
    pub fn detect() -> Self {
        let mut sets = Self::available();
        let wanted = std::env::var("GLOSSA_ISA").unwrap_or_default();
        let named = sets.iter().position(|s| s.name().eq_ignore_ascii_case(&wanted));
        sets.remove(named.unwrap_or(0))
    }

    /// All sets that this CPU can run, best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                sets.push(Self::Avx512);
            }
            if avx2 && is_x86_feature_detected!("avxvnni") {
                sets.push(Self::AvxVnni);
            }
            if avx2 {
                sets.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self::Neon);
        sets.push(Self::Portable);
        sets
    }

    /// Columns of a packed weight panel.
    pub fn panel(self) -> usize {
        match self {
            Self::Avx512 => 32,
            Self::AvxVnni | Self::Avx2 | Self::Neon | Self::Portable => 16,
        }
    }

    /// As a person knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::AvxVnni => "AVX-VNNI",
            Self::Avx2 => "AVX2",
            Self::Neon => "NEON",
            Self::Portable => "portable",
        }
    }
}

/// A pointer that several threads may write through, each in its own part.
#[derive(Clone, Copy)]
pub struct Shared(pub *mut f32);

// SAFETY: whoever uses it writes disjoint ranges between two barriers (see `gemm`, `attention`).
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Compiles a kernel `body::<S, PANEL_VECTORS, MAX_ROWS>(args)` for each instruction set and calls the one for `isa`.
macro_rules! dispatch {
    ($isa:expr, $body:ident($arg:expr): $ty:ty) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        unsafe fn avx512(arg: $ty) {
            // SAFETY: only called after detection.
            unsafe { $body::<crate::nn::kernels::x86::Avx512, 2, 12>(arg) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2(arg: $ty) {
            // SAFETY: only called after detection.
            unsafe { $body::<crate::nn::kernels::x86::Avx2, 2, 6>(arg) }
        }
        match $isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Isa` values come from detection.
            $crate::nn::kernels::Isa::Avx512 => unsafe { avx512($arg) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::nn::kernels::Isa::AvxVnni | $crate::nn::kernels::Isa::Avx2 => unsafe { avx2($arg) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: NEON is part of the architecture.
            $crate::nn::kernels::Isa::Neon => unsafe { $body::<crate::nn::kernels::neon::Neon, 4, 6>($arg) },
            // SAFETY: plain Rust; pointers as the kernel's contract says.
            _ => unsafe { $body::<crate::nn::kernels::simd::Portable, 2, 6>($arg) },
        }
    }};
}
pub(crate) use dispatch;
