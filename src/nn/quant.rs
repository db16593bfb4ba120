//! ggml's block formats: what a block says, independent of how it is stored for computing.
//!
//! Source: the reference functions `dequantize_row_*` of ggml (ggml-quants.c). Every format comes
//! down to one shape, a [`Unit`]: small integer codes with a scale and a start value for each 16
//! or 32 of them. Dequantizing and packing ([`super::kernels::quantized`]) both start from it.

use super::dtype::Dtype;
use half::f16;

/// Elements of the longest unit.
pub const LONGEST: usize = 256;

/// One block, decoded: `w = d · sc[s] · code + m · mn[s]`, where `s` is the element's sub-block.
pub struct Unit {
    pub codes: [i8; LONGEST],
    pub sc: [i8; 16],
    pub mn: [i8; 16],
    pub d: f16,
    pub m: f16,
}

impl Default for Unit {
    fn default() -> Self {
        Self { codes: [0; LONGEST], sc: [1; 16], mn: [1; 16], d: f16::ZERO, m: f16::ZERO }
    }
}

/// The shape of a format's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Elements of a unit.
    pub unit: usize,
    /// Elements of a sub-block.
    pub sub: usize,
    /// Codes are 0 to 15.
    pub nibble: bool,
    /// Has start values.
    pub min: bool,
    /// Sub-blocks have integer scales of their own.
    pub super_scaled: bool,
}

impl Dtype {
    /// The shape of this type's units; `None` for plain floats.
    pub fn form(self) -> Option<Form> {
        let form = |unit, sub, nibble, min| Form { unit, sub, nibble, min, super_scaled: unit == 256 };
        Some(match self {
            Self::F32 | Self::F16 | Self::Bf16 => return None,
            Self::Q4_0 | Self::Q4_1 => form(32, 32, true, true),
            Self::Q5_0 | Self::Q8_0 => form(32, 32, false, false),
            Self::Q5_1 => form(32, 32, false, true),
            Self::Q2K | Self::Q3K => form(256, 16, true, true),
            Self::Q4K => form(256, 32, true, true),
            Self::Q5K => form(256, 32, false, true),
            Self::Q6K => form(256, 16, false, false),
        })
    }
}

fn half(b: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([b[at], b[at + 1]])
}

/// Decodes one block. `b` is as long as [`Dtype::block`] says.
///
/// # Panics
/// If `b` is shorter, or `dtype` is a float type.
pub fn decode(dtype: Dtype, b: &[u8], out: &mut Unit) {
    match dtype {
        Dtype::Q4_0 => {
            (out.d, out.m) = (half(b, 0), f16::from_f32(-8.0 * half(b, 0).to_f32()));
            nibbles(&b[2..18], &mut out.codes);
        }
        Dtype::Q4_1 => {
            (out.d, out.m) = (half(b, 0), half(b, 2));
            nibbles(&b[4..20], &mut out.codes);
        }
        Dtype::Q5_0 => {
            out.d = half(b, 0);
            fives(&b[2..6], &b[6..22], -16, &mut out.codes);
        }
        Dtype::Q5_1 => {
            (out.d, out.m) = (half(b, 0), half(b, 2));
            fives(&b[4..8], &b[8..24], 0, &mut out.codes);
        }
        Dtype::Q8_0 => {
            out.d = half(b, 0);
            for (c, q) in out.codes.iter_mut().zip(&b[2..34]) {
                *c = q.cast_signed();
            }
        }
        Dtype::Q2K => {
            (out.d, out.m) = (half(b, 80), minus(half(b, 82)));
            for (i, s) in b[..16].iter().enumerate() {
                (out.sc[i], out.mn[i]) = ((s & 15).cast_signed(), (s >> 4).cast_signed());
            }
            twos(&b[16..80], &mut out.codes);
        }
        Dtype::Q3K => decode_q3(b, out),
        Dtype::Q4K => {
            (out.d, out.m) = (half(b, 0), minus(half(b, 2)));
            sixes(&b[4..16], out);
            for j in 0..4 {
                nibbles_of(&b[16 + 32 * j..48 + 32 * j], &mut out.codes[64 * j..64 * j + 64]);
            }
        }
        Dtype::Q5K => {
            (out.d, out.m) = (half(b, 0), minus(half(b, 2)));
            sixes(&b[4..16], out);
            let high = &b[16..48];
            for j in 0..4 {
                let codes = &mut out.codes[64 * j..64 * j + 64];
                nibbles_of(&b[48 + 32 * j..80 + 32 * j], codes);
                for (l, h) in high.iter().enumerate() {
                    codes[l] += (((h >> (2 * j)) & 1) << 4).cast_signed();
                    codes[l + 32] += (((h >> (2 * j + 1)) & 1) << 4).cast_signed();
                }
            }
        }
        Dtype::Q6K => decode_q6(b, out),
        Dtype::F32 | Dtype::F16 | Dtype::Bf16 => unreachable!("plain floats have no blocks"),
    }
}

fn minus(x: f16) -> f16 {
    f16::from_bits(x.to_bits() ^ 0x8000)
}

/// Low nibbles first, then high nibbles.
fn nibbles(q: &[u8], codes: &mut [i8; LONGEST]) {
    nibbles_of(q, &mut codes[..2 * q.len()]);
}

fn nibbles_of(q: &[u8], codes: &mut [i8]) {
    let (low, high) = codes.split_at_mut(q.len());
    for ((l, h), q) in low.iter_mut().zip(high).zip(q) {
        (*l, *h) = ((q & 15).cast_signed(), (q >> 4).cast_signed());
    }
}

fn fives(high: &[u8], q: &[u8], offset: i8, codes: &mut [i8; LONGEST]) {
    nibbles(q, codes);
    for (j, c) in codes[..32].iter_mut().enumerate() {
        *c += (((high[j / 8] >> (j % 8)) & 1) << 4).cast_signed() + offset;
    }
}

/// Two bits each: four planes of 32 in every 32 bytes.
fn twos(q: &[u8], codes: &mut [i8; LONGEST]) {
    for (i, c) in codes.iter_mut().enumerate() {
        let (half, plane, l) = (i / 128, i % 128 / 32, i % 32);
        *c = ((q[32 * half + l] >> (2 * plane)) & 3).cast_signed();
    }
}

/// Eight 6-bit scales and eight 6-bit minima in 12 bytes.
fn sixes(s: &[u8], out: &mut Unit) {
    for j in 0..8 {
        let (sc, mn) = if j < 4 {
            (s[j] & 63, s[j + 4] & 63)
        } else {
            ((s[j + 4] & 15) | ((s[j - 4] >> 6) << 4), (s[j + 4] >> 4) | ((s[j] >> 6) << 4))
        };
        (out.sc[j], out.mn[j]) = (sc.cast_signed(), mn.cast_signed());
    }
}

fn decode_q3(b: &[u8], out: &mut Unit) {
    let (mask, scales) = (&b[..32], &b[96..108]);
    // Start values are -4 · scale: as -2 · scale · (2 · d) they fit their bytes.
    out.d = half(b, 108);
    out.m = f16::from_f32(2.0 * out.d.to_f32());
    twos(&b[32..96], &mut out.codes);
    for (i, c) in out.codes.iter_mut().enumerate() {
        // A set bit means that 4 is not taken off.
        *c += (((mask[i % 32] >> (i / 32)) & 1) << 2).cast_signed();
    }
    for i in 0..16 {
        let low = if i < 8 { scales[i] & 15 } else { scales[i - 8] >> 4 };
        let high = (scales[8 + i % 4] >> (2 * (i / 4))) & 3;
        let sc = (low | (high << 4)).cast_signed() - 32;
        (out.sc[i], out.mn[i]) = (sc, -2 * sc);
    }
}

fn decode_q6(b: &[u8], out: &mut Unit) {
    out.d = half(b, 208);
    for n in 0..2 {
        let (low, high) = (&b[64 * n..64 * n + 64], &b[128 + 32 * n..160 + 32 * n]);
        let codes = &mut out.codes[128 * n..128 * n + 128];
        for l in 0..32 {
            let h = high[l];
            let join = |four: u8, two: u8| (four | ((two & 3) << 4)).cast_signed() - 32;
            codes[l] = join(low[l] & 15, h);
            codes[l + 32] = join(low[l + 32] & 15, h >> 2);
            codes[l + 64] = join(low[l] >> 4, h >> 4);
            codes[l + 96] = join(low[l + 32] >> 4, h >> 6);
        }
    }
    for (i, s) in b[192..208].iter().enumerate() {
        out.sc[i] = s.cast_signed();
    }
}

/// Dequantizes whole blocks of `bytes` into `out`.
///
/// # Panics
/// If the lengths do not match, or `dtype` is a float type.
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    let Some(form) = dtype.form() else { unreachable!("plain floats have no blocks") };
    let (_, size) = dtype.block();
    let mut unit = Unit::default();
    for (block, values) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(form.unit)) {
        decode(dtype, block, &mut unit);
        let (d, m) = (unit.d.to_f32(), unit.m.to_f32());
        for (s, part) in values.chunks_exact_mut(form.sub).enumerate() {
            let (scale, start) = (d * f32::from(unit.sc[s]), m * f32::from(unit.mn[s]));
            for (v, code) in part.iter_mut().zip(&unit.codes[s * form.sub..]) {
                *v = if form.min { scale.mul_add(f32::from(*code), start) } else { scale * f32::from(*code) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::{GgmlDType, QStorage, QTensor};

    #[test]
    fn every_format_means_what_candle_reads() {
        let pairs = [
            (Dtype::Q4_0, GgmlDType::Q4_0),
            (Dtype::Q4_1, GgmlDType::Q4_1),
            (Dtype::Q5_0, GgmlDType::Q5_0),
            (Dtype::Q5_1, GgmlDType::Q5_1),
            (Dtype::Q8_0, GgmlDType::Q8_0),
            (Dtype::Q2K, GgmlDType::Q2K),
            (Dtype::Q3K, GgmlDType::Q3K),
            (Dtype::Q4K, GgmlDType::Q4K),
            (Dtype::Q5K, GgmlDType::Q5K),
            (Dtype::Q6K, GgmlDType::Q6K),
        ];
        let device = candle_core::Device::Cpu;
        let values: Vec<f32> = (0..2048u32).map(|i| ((i * 7_919) % 1_009) as f32 / 500.0 - 1.0).collect();
        let tensor = candle_core::Tensor::from_vec(values, (2, 1024), &device).expect("tensor");
        for (ours, theirs) in pairs {
            let q = QTensor::quantize(&tensor, theirs).expect("quantize");
            let bytes = q.data().expect("data").into_owned();
            let mut out = vec![0f32; 2048];
            dequantize(ours, &bytes, &mut out);
            let again = QStorage::from_data(bytes.into(), &device, theirs).expect("storage");
            let want = QTensor::new(again, (2, 1024)).and_then(|q| q.dequantize(&device)).expect("dequantize");
            let want: Vec<f32> = want.flatten_all().and_then(|t| t.to_vec1()).expect("values");
            let worst = out.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(worst < 1e-6, "{ours:?}: {worst}");
        }
    }
}
