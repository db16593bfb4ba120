//! Results of one tile, once per instruction that multiplies bytes.
//!
//! A panel lies as `[padded / 4][width][4]`. Every way gives the same 32-bit sums for a block: nothing saturates. Blocks
//! are summed in f32 in their order, so that all ways agree to a rounding of the last bit.

use super::{BLOCK, Isa};

/// How bytes are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each architecture has some of them")]
pub enum Way {
    /// AVX-512 VNNI `vpdpbusd`: four products per 32-bit lane, unsigned by signed, so activations are shifted by 128.
    Vnni,
    /// AVX-VNNI: the same on 256 bits.
    Vnni256,
    /// AVX2 `vpmaddwd` on codes widened to 16 bits, where nothing can saturate. (`vpmaddubsw` on the bytes themselves
    /// needs another instruction per product to move signs, or steps that leave a bit of a pair of weights unused: no
    /// faster, or four times as far from the floats on weights without structure.)
    Wide,
    /// Arm's `sdot`: four products per 32-bit lane, both sides signed.
    Dot,
    /// A plain loop.
    Plain,
}

impl Way {
    /// The best for `isa` on this CPU.
    pub fn of(isa: Isa) -> Self {
        Self::all(isa)[0]
    }

    /// All that this CPU has for `isa`, best first.
    pub fn all(isa: Isa) -> Vec<Self> {
        let mut ways = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if isa == Isa::Avx512 && is_x86_feature_detected!("avx512vnni") {
                ways.push(Self::Vnni);
            }
            if isa == Isa::AvxVnni {
                ways.push(Self::Vnni256);
            }
            if matches!(isa, Isa::Avx512 | Isa::AvxVnni | Isa::Avx2) {
                ways.push(Self::Wide);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if isa == Isa::Neon && std::arch::is_aarch64_feature_detected!("dotprod") {
            ways.push(Self::Dot);
        }
        let _ = isa;
        ways.push(Self::Plain);
        ways
    }

    /// What is added to an activation's code, so that it is not negative.
    pub fn shift(self) -> u8 {
        if matches!(self, Self::Vnni | Self::Vnni256) { 128 } else { 0 }
    }

    /// Rows of a tile: what the registers hold.
    pub fn rows(self) -> usize {
        match self {
            Self::Vnni | Self::Vnni256 | Self::Dot | Self::Plain => 6,
            Self::Wide => 3,
        }
    }
}

/// Pointers and sizes of one tile.
#[derive(Clone, Copy)]
pub struct Tile {
    /// Codes of the first row; rows are `blocks · BLOCK` codes apart.
    pub a: *const u8,
    /// `[rows][blocks]`
    pub row_steps: *const f32,
    pub blocks: usize,
    pub panel: *const u8,
    /// `[blocks][width]`
    pub steps: *const f32,
    /// `[blocks][width]`, where codes are shifted.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86 shifts codes"))]
    pub starts: *const i32,
    /// `[width]`
    pub bias: *const f32,
    pub width: usize,
    /// `[rows][width]`
    pub out: *mut f32,
}

/// Calls `$kernel::<rows, chains>` for a number of rows that is known only now. With few rows several chains of sums hide
/// an instruction's latency.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($kernel:ident, $rows:expr, $tile:expr, $(($n:literal, $chains:literal)),+; ($most:literal, $last:literal)) => {
        match $rows {
            $($n => $kernel::<$n, $chains>($tile),)+
            _ => $kernel::<$most, $last>($tile),
        }
    };
}

/// Results of `rows` rows, at most [`Way::rows`].
///
/// # Safety
/// `way` comes from [`Way::all`]; `t` points at so many rows of codes with their steps, a whole panel with its own, and
/// room for the results.
#[inline(always)]
pub unsafe fn tile(way: Way, rows: usize, t: Tile) {
    debug_assert!(rows >= 1 && rows <= way.rows() && t.width <= 32);
    // SAFETY: the caller's.
    unsafe {
        match way {
            #[cfg(target_arch = "x86_64")]
            Way::Vnni => by_rows!(vnni, rows, t, (1, 4), (2, 2), (3, 2), (4, 1), (5, 1); (6, 1)),
            #[cfg(target_arch = "x86_64")]
            Way::Vnni256 => by_rows!(vnni256, rows, t, (1, 4), (2, 2), (3, 2), (4, 1), (5, 1); (6, 1)),
            #[cfg(target_arch = "x86_64")]
            Way::Wide => by_rows!(wide, rows, t, (1, 1), (2, 1); (3, 1)),
            #[cfg(target_arch = "aarch64")]
            Way::Dot => by_rows!(dot, rows, t, (1, 2), (2, 1), (3, 1), (4, 1), (5, 1); (6, 1)),
            _ => plain(rows, t),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn vnni<const ROWS: usize, const CHAINS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    let padded = t.blocks * BLOCK;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 32 columns and `out`.
    unsafe {
        let mut results = [[_mm512_loadu_ps(t.bias), _mm512_loadu_ps(t.bias.add(16))]; ROWS];
        for block in 0..t.blocks {
            let starts = t.starts.add(block * 32);
            let starts = [_mm512_loadu_si512(starts.cast()), _mm512_loadu_si512(starts.add(16).cast())];
            let mut sums = [[[_mm512_setzero_si512(); 2]; ROWS]; CHAINS];
            sums[0] = [starts; ROWS];
            for first in (block * BLOCK / 4..(block + 1) * BLOCK / 4).step_by(CHAINS) {
                for (p, sums) in (first..).zip(&mut sums) {
                    let low = _mm512_loadu_si512(t.panel.add(p * 128).cast());
                    let high = _mm512_loadu_si512(t.panel.add(p * 128 + 64).cast());
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let four = _mm512_set1_epi32(t.a.add(i * padded + p * 4).cast::<i32>().read_unaligned());
                        sum[0] = _mm512_dpbusd_epi32(sum[0], four, low);
                        sum[1] = _mm512_dpbusd_epi32(sum[1], four, high);
                    }
                }
            }
            let steps = t.steps.add(block * 32);
            let steps = [_mm512_loadu_ps(steps), _mm512_loadu_ps(steps.add(16))];
            for (i, result) in results.iter_mut().enumerate() {
                let own = _mm512_set1_ps(*t.row_steps.add(i * t.blocks + block));
                for c in 0..2 {
                    let mut sum = sums[0][i][c];
                    for more in &sums[1..] {
                        sum = _mm512_add_epi32(sum, more[i][c]);
                    }
                    result[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(own, steps[c]), result[c]);
                }
            }
        }
        for (i, result) in results.iter().enumerate() {
            _mm512_storeu_ps(t.out.add(i * 32), result[0]);
            _mm512_storeu_ps(t.out.add(i * 32 + 16), result[1]);
        }
    }
}

/// A block's sums become a part of the results, which stay in the first-level cache: registers hold the sums. `half` is
/// 16 columns of the panel.
#[cfg(target_arch = "x86_64")]
macro_rules! widen_256 {
    ($t:expr, $half:expr, $block:expr, $sums:expr) => {{
        let steps = $t.steps.add($block * $t.width + $half * 16);
        let steps = [_mm256_loadu_ps(steps), _mm256_loadu_ps(steps.add(8))];
        for i in 0..ROWS {
            let own = _mm256_set1_ps(*$t.row_steps.add(i * $t.blocks + $block));
            for c in 0..2 {
                let mut sum = $sums[0][i][c];
                for more in &$sums[1..] {
                    sum = _mm256_add_epi32(sum, more[i][c]);
                }
                let at = $half * 16 + c * 8;
                let out = $t.out.add(i * $t.width + at);
                let before = _mm256_loadu_ps(if $block == 0 { $t.bias.add(at) } else { out });
                let step = _mm256_mul_ps(own, steps[c]);
                _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), step, before));
            }
        }
    }};
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn vnni256<const ROWS: usize, const CHAINS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    let padded = t.blocks * BLOCK;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 16 columns or twice that, and `out`.
    unsafe {
        for (half, block) in (0..t.width / 16).flat_map(|h| (0..t.blocks).map(move |b| (h, b))) {
            let starts = t.starts.add(block * t.width + half * 16).cast::<__m256i>();
            let mut sums = [[[_mm256_setzero_si256(); 2]; ROWS]; CHAINS];
            sums[0] = [[_mm256_loadu_si256(starts), _mm256_loadu_si256(starts.add(1))]; ROWS];
            for first in (block * BLOCK / 4..(block + 1) * BLOCK / 4).step_by(CHAINS) {
                for (p, sums) in (first..).zip(&mut sums) {
                    let from = t.panel.add(p * t.width * 4 + half * 64).cast::<__m256i>();
                    let (low, high) = (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1)));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let four = _mm256_set1_epi32(t.a.add(i * padded + p * 4).cast::<i32>().read_unaligned());
                        sum[0] = _mm256_dpbusd_avx_epi32(sum[0], four, low);
                        sum[1] = _mm256_dpbusd_avx_epi32(sum[1], four, high);
                    }
                }
            }
            widen_256!(t, half, block, sums);
        }
    }
}

/// Two sums per column, which become one at a block's end.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn wide<const ROWS: usize, const CHAINS: usize>(t: Tile) {
    use std::arch::x86_64::*;
    let padded = t.blocks * BLOCK;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 16 columns or twice that, and `out`.
    unsafe {
        for (half, block) in (0..t.width / 16).flat_map(|h| (0..t.blocks).map(move |b| (h, b))) {
            let mut codes = [[0i16; BLOCK]; ROWS];
            for (i, row) in codes.iter_mut().enumerate() {
                for at in (0..BLOCK).step_by(16) {
                    let bytes = _mm_loadu_si128(t.a.add(i * padded + block * BLOCK + at).cast());
                    _mm256_storeu_si256(row.as_mut_ptr().add(at).cast(), _mm256_cvtepi8_epi16(bytes));
                }
            }
            let mut sums = [[_mm256_setzero_si256(); 4]; ROWS];
            let from = t.panel.add(block * BLOCK * t.width + half * 64);
            for p in 0..BLOCK / 4 {
                for c in 0..4 {
                    let weights = _mm_loadu_si128(from.add(p * t.width * 4 + c * 16).cast());
                    let weights = _mm256_cvtepi8_epi16(weights);
                    for (sum, row) in sums.iter_mut().zip(&codes) {
                        let four = _mm256_set1_epi64x(row.as_ptr().add(p * 4).cast::<i64>().read_unaligned());
                        sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(four, weights));
                    }
                }
            }
            let mut whole = [[[_mm256_setzero_si256(); 2]; ROWS]];
            for (whole, sums) in whole[0].iter_mut().zip(&sums) {
                for (c, whole) in whole.iter_mut().enumerate() {
                    let pairs = _mm256_hadd_epi32(sums[2 * c], sums[2 * c + 1]);
                    *whole = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                }
            }
            widen_256!(t, half, block, whole);
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize, const CHAINS: usize>(t: Tile) {
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
    let padded = t.blocks * BLOCK;
    // SAFETY: the caller vouches for `ROWS` rows of codes, a panel of 16 columns and `out`.
    unsafe {
        for block in 0..t.blocks {
            let mut sums = [[[vdupq_n_s32(0); 4]; ROWS]; CHAINS];
            for first in (block * BLOCK / 4..(block + 1) * BLOCK / 4).step_by(CHAINS) {
                for (p, sums) in (first..).zip(&mut sums) {
                    let from = t.panel.add(p * 64).cast::<i8>();
                    let weights = [0, 16, 32, 48].map(|at| vld1q_s8(from.add(at)));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let four = t.a.add(i * padded + p * 4).cast::<i32>().read_unaligned();
                        let four = vreinterpretq_s8_s32(vdupq_n_s32(four));
                        for (sum, weights) in sum.iter_mut().zip(weights) {
                            *sum = sdot(*sum, weights, four);
                        }
                    }
                }
            }
            for i in 0..ROWS {
                let own = vdupq_n_f32(*t.row_steps.add(i * t.blocks + block));
                for c in 0..4 {
                    let mut sum = sums[0][i][c];
                    for more in &sums[1..] {
                        sum = vaddq_s32(sum, more[i][c]);
                    }
                    let out = t.out.add(i * 16 + c * 4);
                    let before = vld1q_f32(if block == 0 { t.bias.add(c * 4) } else { out });
                    let step = vmulq_f32(own, vld1q_f32(t.steps.add(block * 16 + c * 4)));
                    vst1q_f32(out, vfmaq_f32(before, vcvtq_f32_s32(sum), step));
                }
            }
        }
    }
}

unsafe fn plain(rows: usize, t: Tile) {
    let padded = t.blocks * BLOCK;
    for i in 0..rows {
        for block in 0..t.blocks {
            let mut sums = [0i32; 32];
            for p in block * BLOCK / 4..(block + 1) * BLOCK / 4 {
                // SAFETY: inside the row and the panel.
                let (four, weights) = unsafe {
                    let four = t.a.add(i * padded + p * 4).cast::<[i8; 4]>().read();
                    (four, std::slice::from_raw_parts(t.panel.add(p * t.width * 4).cast::<[i8; 4]>(), t.width))
                };
                let four = four.map(i32::from);
                for (sum, w) in sums.iter_mut().zip(weights) {
                    let w = w.map(i32::from);
                    *sum += four[0] * w[0] + four[1] * w[1] + four[2] * w[2] + four[3] * w[3];
                }
            }
            // SAFETY: the row's step, the panel's steps, `out` has rows of `width`.
            unsafe {
                let own = *t.row_steps.add(i * t.blocks + block);
                for (column, sum) in sums.iter().enumerate().take(t.width) {
                    let out = t.out.add(i * t.width + column);
                    let before = if block == 0 { *t.bias.add(column) } else { *out };
                    *out = before + *sum as f32 * (own * *t.steps.add(block * t.width + column));
                }
            }
        }
    }
}
