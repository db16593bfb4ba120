//! Attention of hypotheses: to their own past through a table of pointers, and to a shared source.
//!
//! In a beam search a hypothesis' past is scattered over what earlier hypotheses computed. Each row
//! carries the addresses of its keys and values, so a reordering moves addresses, never keys.

use super::attention::{Rows, attend_rows, ensure, softmax_row};
use super::gemm::{add_slice, even_blocks};
use super::simd::Simd;
use super::{Isa, Shared, dispatch};

/// Buffers of one thread.
#[derive(Default)]
pub struct IndirectScratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    context: Vec<f32>,
}

/// Some heads of one row, attending to its own past.
pub struct Indirect<'a> {
    /// The row's queries, all heads.
    pub q: *const f32,
    /// Addresses of the keys of each position, all heads; values lie `value_offset` floats further.
    pub past: &'a [*const f32],
    /// Floats to add to each address: the layer.
    pub offset: usize,
    pub value_offset: usize,
    pub heads: std::ops::Range<usize>,
    pub dim: usize,
    pub scale: f32,
    /// Biases of each of `heads`, as many as positions; empty for none. Only with a scale of 1.
    pub biases: &'a [&'a [f32]],
    /// The row's context, all heads.
    pub out: Shared,
    pub scratch: &'a mut IndirectScratch,
}

#[inline(always)]
unsafe fn dot<S: Simd>(a: *const f32, b: *const f32, count: usize) -> f32 {
    // SAFETY: both cover `count` floats.
    unsafe {
        let whole = count - count % S::LANES;
        let mut sum = S::splat(0.0);
        for i in (0..whole).step_by(S::LANES) {
            sum = S::fma(S::load(a.add(i)), S::load(b.add(i)), sum);
        }
        let mut total = S::sum(sum);
        for i in whole..count {
            total += *a.add(i) * *b.add(i);
        }
        total
    }
}

#[inline(always)]
unsafe fn indirect_body<S: Simd, const NV: usize, const MR: usize>(a: &mut Indirect<'_>) {
    let (dim, count) = (a.dim, a.past.len());
    let padded = count.next_multiple_of(S::LANES);
    let IndirectScratch { scores, context, .. } = &mut *a.scratch;
    ensure(scores, padded);
    ensure(context, dim.next_multiple_of(S::LANES));
    let whole = dim - dim % S::LANES;
    for (index, head) in a.heads.clone().enumerate() {
        // SAFETY: the caller vouches for the addresses; the buffers are made above.
        unsafe {
            let q = a.q.add(head * dim);
            let at = a.offset + head * dim;
            for (score, keys) in scores.iter_mut().zip(a.past) {
                *score = dot::<S>(q, keys.add(at), dim);
            }
            if let Some(bias) = a.biases.get(index) {
                add_slice::<S>(scores.as_mut_ptr(), bias.as_ptr(), count);
            }
            let inverse = 1.0 / softmax_row::<S>(scores.as_mut_ptr(), count, padded, a.scale);
            let out = a.out.0.add(head * dim);
            for i in (0..whole).step_by(S::LANES) {
                let mut sum = S::splat(0.0);
                for (p, keys) in scores.iter().zip(a.past) {
                    sum = S::fma(S::splat(*p), S::load(keys.add(at + a.value_offset + i)), sum);
                }
                S::store(out.add(i), S::mul(sum, S::splat(inverse)));
            }
            for i in whole..dim {
                let each = scores.iter().zip(a.past).map(|(p, keys)| p * *keys.add(at + a.value_offset + i));
                *out.add(i) = each.sum::<f32>() * inverse;
            }
        }
    }
}

/// `softmax(q · kᵀ · scale + bias) · v` over a row's past.
///
/// # Safety
/// Every address covers keys and values of all heads at `offset`; `q` and `out` cover all heads;
/// `biases` are as long as `past`; no other thread writes these heads of `out` meanwhile.
pub unsafe fn indirect(isa: Isa, a: &mut Indirect<'_>) {
    debug_assert!(a.biases.iter().all(|b| b.len() == a.past.len()) && !a.past.is_empty());
    dispatch!(isa, indirect_body(a): &mut Indirect<'_>);
}

/// A source's keys and values of one head, packed: see [`SourceHead::sizes`].
#[derive(Clone, Copy)]
pub struct SourceHead {
    /// `[ceil(tokens / width)][dim][width]`
    pub keys: *const f32,
    /// `[ceil(dim / width)][tokens][width]`
    pub values: *const f32,
    pub tokens: usize,
    pub dim: usize,
    pub width: usize,
}

impl SourceHead {
    /// Floats of the keys and of the values of one head.
    pub fn sizes(tokens: usize, dim: usize, width: usize) -> (usize, usize) {
        (tokens.div_ceil(width) * width * dim, dim.div_ceil(width) * width * tokens)
    }

    /// Packs rows of keys and values (`stride` floats apart) into `to` (zeroed, of the sizes above).
    ///
    /// # Safety
    /// `keys` and `values` cover `tokens` rows of `dim` floats.
    pub unsafe fn pack(to: &mut [f32], shape: [usize; 3], keys: *const f32, values: *const f32, stride: usize) {
        let [tokens, dim, width] = shape;
        debug_assert!(
            dim <= stride && to.len() >= Self::sizes(tokens, dim, width).0 + Self::sizes(tokens, dim, width).1
        );
        let (k, v) = to.split_at_mut(Self::sizes(tokens, dim, width).0);
        for token in 0..tokens {
            for d in 0..dim {
                // SAFETY: by contract.
                unsafe {
                    k[(token / width * dim + d) * width + token % width] = *keys.add(token * stride + d);
                    v[(d / width * tokens + token) * width + d % width] = *values.add(token * stride + d);
                }
            }
        }
    }
}

/// One head of rows that attend to the same source.
pub struct ToSource<'a> {
    /// First row's query of this head.
    pub q: *const f32,
    pub stride: usize,
    pub rows: usize,
    pub source: SourceHead,
    pub scale: f32,
    /// First row's context of this head, `stride` apart.
    pub out: Shared,
    pub scratch: &'a mut IndirectScratch,
}

#[inline(always)]
unsafe fn source_body<S: Simd, const NV: usize, const MR: usize>(a: &mut ToSource<'_>) {
    let SourceHead { keys, values, tokens, dim, width } = a.source;
    let IndirectScratch { queries, scores, context } = &mut *a.scratch;
    ensure(queries, MR * dim);
    for (first, rows) in even_blocks(a.rows, MR) {
        // SAFETY: the caller vouches for queries, source and out.
        unsafe {
            let mut block = Rows {
                rows,
                dim,
                queries: a.q.add(first * a.stride),
                stride: a.stride,
                keys,
                values,
                value_stride: tokens * width,
                span: tokens,
                out: [std::ptr::null_mut(); 12],
                scale: a.scale,
                bias: [std::ptr::null(); 12],
            };
            for (i, out) in block.out.iter_mut().enumerate().take(rows) {
                *out = a.out.0.add((first + i) * a.stride);
            }
            attend_rows::<S, NV>(&block, scores, context);
        }
    }
}

/// `softmax(q · kᵀ · scale) · v` of rows over one source.
///
/// # Safety
/// The source's pointers cover [`SourceHead::sizes`], `q` and `out` the rows; nobody else writes
/// these columns of `out` meanwhile.
pub unsafe fn to_source(isa: Isa, a: &mut ToSource<'_>) {
    dispatch!(isa, source_body(a): &mut ToSource<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| (((i + seed) * 7919) % 1009) as f32 / 250.0 - 2.0).collect()
    }

    /// Attention in f64: context of one head.
    fn reference(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f64, bias: &[f32]) -> Vec<f64> {
        let score = |(k, b): (&&[f32], f32)| {
            q.iter().zip(*k).map(|(a, b)| f64::from(a * b)).sum::<f64>() * scale + f64::from(b)
        };
        let biases = (0..keys.len()).map(|i| bias.get(i).copied().unwrap_or(0.0));
        let scores: Vec<f64> = keys.iter().zip(biases).map(score).collect();
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        (0..q.len()).map(|d| e.iter().zip(values).map(|(e, v)| e / sum * f64::from(v[d])).sum()).collect()
    }

    fn close(got: &[f32], want: &[f64], what: &str) {
        let worst = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-4, "{what}: {worst}");
    }

    #[test]
    fn a_scattered_past_is_attended_to_as_if_it_lay_in_a_row() {
        for isa in Isa::available() {
            for (count, dim, heads) in [(1, 8, 1), (5, 24, 2), (37, 64, 3)] {
                let inner = heads * dim;
                let memory = numbers(3 * count * 2 * inner, 5);
                // Every third place, from the end to the beginning.
                let place = |j: usize| (count - 1 - j) * 3 * 2 * inner;
                let past: Vec<*const f32> = (0..count).map(|j| memory[place(j)..].as_ptr()).collect();
                let (q, bias) = (numbers(inner, 3), numbers(count, 11));
                for biased in [false, true] {
                    let mut out = vec![0f32; inner];
                    let biases: Vec<&[f32]> = if biased { vec![&bias; heads] } else { Vec::new() };
                    let mut scratch = IndirectScratch::default();
                    let scale = if biased { 1.0 } else { 0.2 };
                    let mut a = Indirect {
                        q: q.as_ptr(),
                        past: &past,
                        offset: 0,
                        value_offset: inner,
                        heads: 0..heads,
                        dim,
                        scale,
                        biases: &biases,
                        out: Shared(out.as_mut_ptr()),
                        scratch: &mut scratch,
                    };
                    // SAFETY: buffers as large as the shapes say.
                    unsafe { indirect(isa, &mut a) };
                    for head in 0..heads {
                        let part = |from: usize| -> Vec<&[f32]> {
                            (0..count).map(|j| &memory[place(j) + from + head * dim..][..dim]).collect()
                        };
                        let bias = if biased { &bias[..] } else { &[] };
                        let want = reference(&q[head * dim..][..dim], &part(0), &part(inner), f64::from(scale), bias);
                        close(&out[head * dim..][..dim], &want, &format!("{isa:?} {count} {dim} {biased}"));
                    }
                }
            }
        }
    }

    #[test]
    fn rows_attend_to_a_packed_source() {
        for isa in Isa::available() {
            for (tokens, dim, rows) in [(1, 8, 1), (20, 24, 4), (70, 64, 13)] {
                let (width, stride) = (isa.panel(), 2 * dim);
                let (k, v) = (numbers(tokens * stride, 1), numbers(tokens * stride, 2));
                let (keys, values) = SourceHead::sizes(tokens, dim, width);
                let mut packed = vec![0f32; keys + values];
                // SAFETY: rows as long as the shapes say.
                unsafe { SourceHead::pack(&mut packed, [tokens, dim, width], k.as_ptr(), v.as_ptr(), stride) };
                let q = numbers(rows * stride, 3);
                let mut out = vec![0f32; rows * stride];
                let source = SourceHead { keys: packed.as_ptr(), values: packed[keys..].as_ptr(), tokens, dim, width };
                let mut a = ToSource {
                    q: q.as_ptr(),
                    stride,
                    rows,
                    source,
                    scale: 0.3,
                    out: Shared(out.as_mut_ptr()),
                    scratch: &mut IndirectScratch::default(),
                };
                // SAFETY: as above.
                unsafe { to_source(isa, &mut a) };
                let keys: Vec<&[f32]> = k.chunks(stride).map(|r| &r[..dim]).collect();
                let values: Vec<&[f32]> = v.chunks(stride).map(|r| &r[..dim]).collect();
                for row in 0..rows {
                    let want = reference(&q[row * stride..][..dim], &keys, &values, f64::from(0.3f32), &[]);
                    close(&out[row * stride..][..dim], &want, &format!("{isa:?} {tokens} {rows}"));
                }
            }
        }
    }
}
