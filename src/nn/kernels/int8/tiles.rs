//! Sums of products of one tile, once per instruction that multiplies bytes.
//!
//! A panel lies as `[k / 4][width][4]`. Every tile gives the same 32-bit sums: nothing saturates.

use super::Isa;

/// How bytes are multiplied. Weights are signed codes, activations codes from zero up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each architecture has some of them")]
pub enum Way {
    /// AVX-512 VNNI `vpdpbusd`: four products per 32-bit lane, unsigned by signed.
    Vnni,
    /// AVX2 `vpmaddubsw`, whose sums of two products saturate at 16 bits: seven bits on both sides keep two
    /// such sums (at most 4 · 127 · 63) below that, so that they are widened together.
    Seven,
    /// Arm's `sdot`: four products per 32-bit lane, both sides signed, so activations are shifted by 128.
    Dot,
    /// A plain loop: right, and slow.
    Plain,
}

impl Way {
    /// The best for `isa` on this CPU.
    pub fn of(isa: Isa) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            match isa {
                Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => Self::Vnni,
                Isa::Avx2 => Self::Seven,
                _ => Self::Plain,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let has = isa == Isa::Neon && std::arch::is_aarch64_feature_detected!("dotprod");
            if has { Self::Dot } else { Self::Plain }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            let _ = isa;
            Self::Plain
        }
    }

    /// Largest code of a weight; the smallest is its negative.
    pub fn weight_top(self) -> i8 {
        if self == Self::Seven { 63 } else { 127 }
    }

    /// Largest code of an activation before the shift; the smallest is 0.
    pub fn top(self) -> u8 {
        if self == Self::Seven { 127 } else { 255 }
    }

    /// What is taken off an activation's code.
    pub fn shift(self) -> u8 {
        if self == Self::Dot { 128 } else { 0 }
    }

    /// Rows of a tile: what the registers hold.
    pub fn rows(self) -> usize {
        match self {
            Self::Vnni => 12,
            Self::Seven => 4,
            Self::Dot | Self::Plain => 6,
        }
    }
}

/// Pointers and sizes of one tile.
#[derive(Clone, Copy)]
pub struct Tile {
    /// Codes of the first row; rows are `padded` codes apart.
    pub a: *const u8,
    pub padded: usize,
    pub panel: *const u8,
    pub width: usize,
    /// `[rows][width]`
    pub out: *mut i32,
}

/// Calls `$kernel::<rows>` for a number of rows that is known only now.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($kernel:ident, $rows:expr, $tile:expr, $($n:literal),+; $most:literal) => {
        match $rows {
            $($n => $kernel::<$n>($tile),)+
            _ => $kernel::<$most>($tile),
        }
    };
}

/// Sums of `rows` rows, at most [`Way::rows`].
///
/// # Safety
/// `way` comes from [`Way::of`]; `t` points at so many rows of codes, a whole panel and room for the sums.
#[inline(always)]
pub unsafe fn tile(way: Way, rows: usize, t: Tile) {
    // SAFETY: the caller's.
    unsafe {
        match way {
            #[cfg(target_arch = "x86_64")]
            Way::Vnni => by_rows!(vnni, rows, t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; 12),
            #[cfg(target_arch = "x86_64")]
            Way::Seven => by_rows!(seven, rows, t, 1, 2, 3; 4),
            #[cfg(target_arch = "aarch64")]
            Way::Dot => by_rows!(dot, rows, t, 1, 2, 3, 4, 5; 6),
            _ => plain(rows, t),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn vnni<const ROWS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 32 columns and `out`.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
        for p in 0..t.padded / 4 {
            let low = _mm512_loadu_si512(t.panel.add(p * 128).cast());
            let high = _mm512_loadu_si512(t.panel.add(p * 128 + 64).cast());
            for (i, sum) in sums.iter_mut().enumerate() {
                let four = _mm512_set1_epi32(t.a.add(i * t.padded + p * 4).cast::<i32>().read_unaligned());
                sum[0] = _mm512_dpbusd_epi32(sum[0], four, low);
                sum[1] = _mm512_dpbusd_epi32(sum[1], four, high);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            _mm512_storeu_si512(t.out.add(i * 32).cast(), sum[0]);
            _mm512_storeu_si512(t.out.add(i * 32 + 16).cast(), sum[1]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn seven<const ROWS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 16 columns and `out`.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        for p in 0..t.padded / 8 {
            let from = t.panel.add(p * 128).cast::<__m256i>();
            let weights = [0, 1, 2, 3].map(|at| _mm256_loadu_si256(from.add(at)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let codes = t.a.add(i * t.padded + p * 8).cast::<i32>();
                let first = _mm256_set1_epi32(codes.read_unaligned());
                let second = _mm256_set1_epi32(codes.add(1).read_unaligned());
                for (c, sum) in sum.iter_mut().enumerate() {
                    let (a, b) =
                        (_mm256_maddubs_epi16(first, weights[c]), _mm256_maddubs_epi16(second, weights[2 + c]));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_add_epi16(a, b), ones));
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            _mm256_storeu_si256(t.out.add(i * 16).cast(), sum[0]);
            _mm256_storeu_si256(t.out.add(i * 16 + 8).cast(), sum[1]);
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize>(t: Tile) {
    use std::arch::aarch64::*;
    /// `sum[i] += Σ a[4i + j] · b[4i + j]`. The intrinsic is not stable, the instruction is ten years old.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn sdot(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        let mut out = sum;
        // SAFETY: registers only.
        unsafe {
            std::arch::asm!(
                "sdot {out:v}.4s, {a:v}.16b, {b:v}.16b",
                out = inout(vreg) out,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        out
    }
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 16 columns and `out`.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); 4]; ROWS];
        for p in 0..t.padded / 4 {
            let from = t.panel.add(p * 64).cast::<i8>();
            let weights = [0, 16, 32, 48].map(|at| vld1q_s8(from.add(at)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let four = t.a.add(i * t.padded + p * 4).cast::<i32>().read_unaligned();
                let four = vreinterpretq_s8_s32(vdupq_n_s32(four));
                for (sum, weights) in sum.iter_mut().zip(weights) {
                    *sum = sdot(*sum, weights, four);
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            for (c, sum) in sum.iter().enumerate() {
                vst1q_s32(t.out.add(i * 16 + c * 4), *sum);
            }
        }
    }
}

/// Unsigned codes.
unsafe fn plain(rows: usize, t: Tile) {
    for i in 0..rows {
        for column in 0..t.width {
            let mut sum = 0i32;
            for p in 0..t.padded {
                // SAFETY: inside the row and the panel.
                unsafe {
                    let w = *t.panel.add(p / 4 * t.width * 4 + column * 4 + p % 4).cast::<i8>();
                    sum += i32::from(*t.a.add(i * t.padded + p)) * i32::from(w);
                }
            }
            // SAFETY: `out` has rows of `width`.
            unsafe { *t.out.add(i * t.width + column) = sum };
        }
    }
}
