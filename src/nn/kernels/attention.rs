//! Bidirectional attention for one sequence and one head, scores never leaving the cache.

use super::gemm::{Tile, add_slice, even_blocks, tile_rows};
use super::math::exp;
use super::simd::Simd;
use super::{Isa, Shared, dispatch};

/// One head of one sequence. Q, K and V lie side by side in the rows of a fused projection.
pub struct Attention<'a> {
    /// First row of the sequence in the fused buffer: `[tokens, stride]`.
    pub qkv: *const f32,
    /// Row stride of the fused buffer, three times the hidden size.
    pub stride: usize,
    /// Columns at which this head's q, k and v begin.
    pub columns: [usize; 3],
    pub head_dim: usize,
    /// Tokens of the sequence; keys and values of all of them are attended to.
    pub tokens: usize,
    /// Queries that are wanted, from the first token on.
    pub queries: usize,
    /// Scores are multiplied by it; `1 / sqrt(head_dim)` in most families.
    pub scale: f32,
    /// Biases of the scores by distance (key minus query), from distance 0 on; smaller distances lie
    /// before it. Null for none; only with a scale of 1.
    pub bias: *const f32,
    /// Where this head's context goes: `[queries, out_stride]`.
    pub out: Shared,
    pub out_stride: usize,
    /// Scratch that is kept between calls.
    pub scratch: &'a mut Scratch,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct Scratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    context: Vec<f32>,
}

/// Makes `v` at least `len` long without clearing what is there.
pub(super) fn ensure(v: &mut Vec<f32>, len: usize) {
    if v.len() < len {
        v.resize(len, 0.0);
    }
}

/// Exponentials of `scale · (x - max)` in place over `count` scores; returns their sum.
#[inline(always)]
pub(super) unsafe fn softmax_row<S: Simd>(p: *mut f32, count: usize, padded: usize, scale: f32) -> f32 {
    // SAFETY: the row is `padded` long, a multiple of the vector length.
    unsafe {
        for j in count..padded {
            *p.add(j) = f32::NEG_INFINITY;
        }
        let mut top = S::load(p);
        let mut i = S::LANES;
        while i < padded {
            top = S::max(top, S::load(p.add(i)));
            i += S::LANES;
        }
        let top = S::splat(S::largest(top));
        let scale = S::splat(scale);
        let mut sums = S::splat(0.0);
        let mut i = 0;
        while i < padded {
            let e = exp::<S>(S::mul(S::sub(S::load(p.add(i)), top), scale));
            S::store(p.add(i), e);
            sums = S::add(sums, e);
            i += S::LANES;
        }
        S::sum(sums)
    }
}

#[inline(always)]
unsafe fn attention_body<S: Simd, const NV: usize, const MR: usize>(a: &mut Attention<'_>) {
    let width = NV * S::LANES;
    let (tokens, dim) = (a.tokens, a.head_dim);
    let key_panels = tokens.div_ceil(width);
    let padded = key_panels * width;
    let value_panels = dim.div_ceil(width);
    let Scratch { keys, values, scores, context } = &mut *a.scratch;
    ensure(keys, padded * dim);
    ensure(values, value_panels * width * tokens);
    // SAFETY: all offsets stay inside the buffers sized above and the rows the caller vouches for.
    unsafe {
        let [q, k, v] = a.columns.map(|c| a.qkv.add(c));
        pack_keys(keys, k, [tokens, dim, a.stride], width);
        for panel in 0..value_panels {
            let columns = width.min(dim - panel * width);
            for t in 0..tokens {
                let to = values.as_mut_ptr().add((panel * tokens + t) * width);
                std::ptr::copy_nonoverlapping(v.add(t * a.stride + panel * width), to, columns);
                for c in columns..width {
                    *to.add(c) = 0.0;
                }
            }
        }
        for (first, rows) in even_blocks(a.queries, MR) {
            let mut block = Rows {
                rows,
                dim,
                queries: q.add(first * a.stride),
                stride: a.stride,
                keys: keys.as_ptr(),
                values: values.as_ptr(),
                value_stride: tokens * width,
                span: tokens,
                out: [std::ptr::null_mut(); 12],
                scale: a.scale,
                bias: [std::ptr::null(); 12],
            };
            for i in 0..rows {
                block.out[i] = a.out.0.add((first + i) * a.out_stride);
                if !a.bias.is_null() {
                    block.bias[i] = a.bias.sub(first + i);
                }
            }
            attend_rows::<S, NV>(&block, scores, context);
        }
    }
}

/// Up to twelve queries, and the packed keys and values that they attend to.
pub(super) struct Rows {
    pub rows: usize,
    pub dim: usize,
    /// Queries, `dim` floats each.
    pub queries: *const f32,
    pub stride: usize,
    /// `[ceil(span / width)][dim][width]`
    pub keys: *const f32,
    /// Panels of columns, `[span][width]` each.
    pub values: *const f32,
    /// Elements from one panel of values to the next.
    pub value_stride: usize,
    /// Positions; every query sees all of them.
    pub span: usize,
    /// Where each query's context goes, `dim` floats.
    pub out: [*mut f32; 12],
    pub scale: f32,
    /// Added to each query's scores, `span` floats, or null.
    pub bias: [*const f32; 12],
}

/// `softmax(q · kᵀ · scale) · v` for a block of queries, scores never leaving the cache.
#[inline(always)]
pub(super) unsafe fn attend_rows<S: Simd, const NV: usize>(b: &Rows, scores: &mut Vec<f32>, context: &mut Vec<f32>) {
    let width = NV * S::LANES;
    let panels = b.span.div_ceil(width);
    let padded = panels * width;
    ensure(scores, b.rows * padded);
    ensure(context, b.rows * width);
    // SAFETY: the caller vouches for queries, keys, values and out; the buffers are made above.
    unsafe {
        for panel in 0..panels {
            tile_rows::<S, f32, NV>(
                b.rows,
                Tile {
                    k: b.dim,
                    a: b.queries,
                    lda: b.stride,
                    b: b.keys.add(panel * b.dim * width),
                    start: std::ptr::null(),
                    lds: 0,
                    c: scores.as_mut_ptr().add(panel * width),
                    ldc: padded,
                },
            );
        }
        let mut inverse = [0f32; 12];
        for (i, inv) in inverse.iter_mut().enumerate().take(b.rows) {
            let row = scores.as_mut_ptr().add(i * padded);
            if !b.bias[i].is_null() {
                add_slice::<S>(row, b.bias[i], b.span);
            }
            *inv = 1.0 / softmax_row::<S>(row, b.span, padded, b.scale);
        }
        for panel in 0..b.dim.div_ceil(width) {
            tile_rows::<S, f32, NV>(
                b.rows,
                Tile {
                    k: b.span,
                    a: scores.as_ptr(),
                    lda: padded,
                    b: b.values.add(panel * b.value_stride),
                    start: std::ptr::null(),
                    lds: 0,
                    c: context.as_mut_ptr(),
                    ldc: width,
                },
            );
            let columns = width.min(b.dim - panel * width);
            for (i, inv) in inverse.iter().enumerate().take(b.rows) {
                let to = b.out[i].add(panel * width);
                for c in 0..columns {
                    *to.add(c) = context[i * width + c] * inv;
                }
            }
        }
    }
}

/// Keys transposed into panels: `[panels][dim][width]`, absent tokens zero.
#[inline(always)]
unsafe fn pack_keys(keys: &mut [f32], k: *const f32, shape: [usize; 3], width: usize) {
    let [tokens, dim, stride] = shape;
    for panel in 0..tokens.div_ceil(width) {
        let base = panel * dim * width;
        let present = width.min(tokens - panel * width);
        for t in 0..present {
            // SAFETY: token < tokens, column < head_dim.
            unsafe {
                let from = k.add((panel * width + t) * stride);
                for d in 0..dim {
                    *keys.get_unchecked_mut(base + d * width + t) = *from.add(d);
                }
            }
        }
        for d in 0..dim {
            keys[base + d * width + present..base + (d + 1) * width].fill(0.0);
        }
    }
}

/// `softmax(q · kᵀ · scale + bias) · v` for one head of one sequence.
///
/// # Safety
/// `qkv` covers `tokens` rows of `stride` floats; `out` covers `queries` rows of `out_stride`, and
/// no other thread writes this head's columns of them meanwhile.
pub unsafe fn attention(isa: Isa, a: &mut Attention<'_>) {
    debug_assert!(a.columns.iter().all(|c| c + a.head_dim <= a.stride), "{:?} + {}", a.columns, a.head_dim);
    debug_assert!(a.head_dim <= a.out_stride && a.queries <= a.tokens);
    dispatch!(isa, attention_body(a): &mut Attention<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_matches_a_plain_loop() {
        for isa in Isa::available() {
            for (tokens, dim) in [(1, 8), (7, 16), (33, 32), (70, 64), (5, 40)] {
                let heads = 2;
                let stride = 3 * heads * dim;
                let qkv: Vec<f32> = (0..tokens * stride).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
                let mut out = vec![0f32; tokens * heads * dim];
                let mut scratch = Scratch::default();
                for head in 0..heads {
                    let at = |part: usize| part * heads * dim + head * dim;
                    let mut a = Attention {
                        qkv: qkv.as_ptr(),
                        stride,
                        columns: [at(0), at(1), at(2)],
                        head_dim: dim,
                        tokens,
                        queries: tokens,
                        scale: 1.0 / (dim as f32).sqrt(),
                        bias: std::ptr::null(),
                        // SAFETY: head < heads.
                        out: Shared(unsafe { out.as_mut_ptr().add(head * dim) }),
                        out_stride: heads * dim,
                        scratch: &mut scratch,
                    };
                    // SAFETY: buffers as large as the shapes say, one thread.
                    unsafe { attention(isa, &mut a) };
                    for t in 0..tokens {
                        let dot = |s: usize| -> f64 {
                            (0..dim)
                                .map(|d| {
                                    f64::from(qkv[t * stride + at(0) + d]) * f64::from(qkv[s * stride + at(1) + d])
                                })
                                .sum::<f64>()
                                / (dim as f64).sqrt()
                        };
                        let top = (0..tokens).map(dot).fold(f64::MIN, f64::max);
                        let weights: Vec<f64> = (0..tokens).map(|s| (dot(s) - top).exp()).collect();
                        let sum: f64 = weights.iter().sum();
                        for d in 0..dim {
                            let want: f64 =
                                (0..tokens).map(|s| weights[s] / sum * f64::from(qkv[s * stride + at(2) + d])).sum();
                            let got = f64::from(out[t * heads * dim + head * dim + d]);
                            assert!((got - want).abs() < 1e-4, "{isa:?} {tokens} tokens, dim {dim}: {got} {want}");
                        }
                    }
                }
            }
        }
    }
}
