//! Arm NEON (every 64-bit Arm CPU).

use super::Isa;
use super::simd::Simd;
use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub struct Neon;

/// Methods that are one intrinsic.
macro_rules! direct {
    ($($name:ident = $intrinsic:ident),+ $(,)?) => {$(
        #[inline(always)]
        unsafe fn $name(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            // SAFETY: NEON is part of the architecture.
            unsafe { $intrinsic(a, b) }
        }
    )+};
}

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const ISA: Isa = Isa::Neon;

    direct!(add = vaddq_f32, sub = vsubq_f32, mul = vmulq_f32, div = vdivq_f32, min = vminq_f32, max = vmaxq_f32);

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: NEON is part of the architecture.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        // SAFETY: trait contract.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> float32x4_t {
        // The f16 vector types are not stable, the instruction is in every Armv8 core.
        // SAFETY: trait contract.
        unsafe {
            let halves = vld1_u16(p);
            let out: float32x4_t;
            std::arch::asm!(
                "fcvtl {out:v}.4s, {halves:v}.4h",
                out = lateout(vreg) out,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags)
            );
            out
        }
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> float32x4_t {
        // SAFETY: trait contract: four bytes.
        unsafe {
            let four = vreinterpret_s8_u32(vdup_n_u32(p.cast::<u32>().read_unaligned()));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))))
        }
    }
    #[inline(always)]
    unsafe fn nibbles(p: *const u8) -> (float32x4_t, float32x4_t) {
        // SAFETY: trait contract: four bytes.
        unsafe {
            let four = vreinterpret_u8_u32(vdup_n_u32(p.cast::<u32>().read_unaligned()));
            let wide = vmovl_u16(vget_low_u16(vmovl_u8(four)));
            (vcvtq_f32_u32(vandq_u32(wide, vdupq_n_u32(15))), vcvtq_f32_u32(vshrq_n_u32::<4>(wide)))
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        // SAFETY: trait contract.
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the architecture.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn round(a: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the architecture.
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    unsafe fn pow2(n: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the architecture.
        unsafe {
            let biased = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        }
    }
    #[inline(always)]
    unsafe fn sum(a: float32x4_t) -> f32 {
        // SAFETY: NEON is part of the architecture.
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn largest(a: float32x4_t) -> f32 {
        // SAFETY: NEON is part of the architecture.
        unsafe { vmaxvq_f32(a) }
    }
}
