//! Sums of products of one tile, once per instruction that multiplies bytes.
//!
//! A panel lies as `[k / 4][width][4]`. Every tile gives the same 32-bit sums: nothing saturates.

use super::Isa;

/// How bytes are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each architecture has some of them")]
pub enum Way {
    /// AVX-512 VNNI `vpdpbusd`: four products per 32-bit lane; one side is unsigned, so activations are
    /// shifted by 128, and 128 times each column's sum of weights is taken off again.
    Vnni,
    /// AVX2: both sides widened to 16 bits, `vpmaddwd`. (`vpmaddubsw` on bytes would saturate.)
    Wide,
    /// Arm's `sdot`: four products per 32-bit lane, both sides signed.
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
                Isa::Avx2 => Self::Wide,
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

    /// Bytes of a rounded activation.
    pub fn code_bytes(self) -> usize {
        if self == Self::Wide { 2 } else { 1 }
    }

    /// What is added to a rounded activation.
    pub fn shift(self) -> i32 {
        if self == Self::Vnni { 128 } else { 0 }
    }

    /// Rows of a tile: what the registers hold.
    pub fn rows(self) -> usize {
        match self {
            Self::Vnni => 12,
            Self::Wide => 3,
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
            Way::Wide => by_rows!(wide, rows, t, 1, 2; 3),
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

/// Sixteen columns. A vector holds two half sums of each of four columns until the end.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn wide<const ROWS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    // SAFETY: the caller vouches for `ROWS` rows of 16-bit codes, a panel of 16 columns and `out`.
    unsafe {
        let mut sums = [[_mm256_setzero_si256(); 4]; ROWS];
        for p in 0..t.padded / 4 {
            let mut four = [_mm256_setzero_si256(); ROWS];
            for (i, four) in four.iter_mut().enumerate() {
                *four = _mm256_set1_epi64x(t.a.add((i * t.padded + p * 4) * 2).cast::<i64>().read_unaligned());
            }
            for c in 0..4 {
                let bytes = _mm_loadu_si128(t.panel.add(p * 64 + c * 16).cast());
                let weights = _mm256_cvtepi8_epi16(bytes);
                for (sum, four) in sums.iter_mut().zip(&four) {
                    sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(weights, *four));
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            for half in 0..2 {
                // [c0 c1 c4 c5 | c2 c3 c6 c7] after the pairwise sums: middle 64-bit parts change places.
                let pairs = _mm256_hadd_epi32(sum[2 * half], sum[2 * half + 1]);
                let whole = _mm256_permute4x64_epi64::<0b1101_1000>(pairs);
                _mm256_storeu_si256(t.out.add(i * 16 + half * 8).cast(), whole);
            }
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

unsafe fn plain(rows: usize, t: Tile) {
    for i in 0..rows {
        for column in 0..t.width {
            let mut sum = 0i32;
            for p in 0..t.padded {
                // SAFETY: inside the row and the panel.
                unsafe {
                    let w = *t.panel.add(p / 4 * t.width * 4 + column * 4 + p % 4).cast::<i8>();
                    sum += i32::from(t.a.add(i * t.padded + p).cast::<i8>().read()) * i32::from(w);
                }
            }
            // SAFETY: `out` has rows of `width`.
            unsafe { *t.out.add(i * t.width + column) = sum };
        }
    }
}
