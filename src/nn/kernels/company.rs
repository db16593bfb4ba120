//! Held by tests: what a row becomes does not depend, to the bit, on the rows that share the step, on their order, or on
//! how the work is cut for threads. [`super::causal`] has its own.

use super::arena::Arena;
use super::attention::{Attention, Scratch, attention};
use super::gemm::{Epilogue, Gemm, Packed, gemm};
use super::indirect::{Indirect, IndirectScratch, SourceHead, ToSource, indirect, to_source};
use super::math::{Activation, LayerNormArgs, RmsNormArgs, activate_rows, exp_sums, gate, layer_norm, rms_norm};
use super::quantized::{Quantized, QuantizedGemm, quantized_gemm, random};
use super::{Isa, Shared};
use crate::nn::precision::Precision;
use crate::nn::source::Dtype;
use std::ops::Range;

/// Numbers from -1 to 1.
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Whether two runs of numbers are the same to the bit.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Runs `work` on single rows of `k` numbers, and on 2 to 30 of them in another order with its `panels` cut otherwise:
/// each row's `n` results must be the same.
pub fn alone_and_among_others(
    what: &str,
    (k, n): (usize, usize),
    panels: usize,
    work: impl Fn(&[f32], &[Range<usize>]) -> Vec<f32>,
) {
    const ROWS: usize = 30;
    let rows = numbers(ROWS * k, 5);
    let alone: Vec<Vec<f32>> = rows.chunks_exact(k).map(|row| work(row, std::slice::from_ref(&(0..panels)))).collect();
    for size in 2..=ROWS {
        let order: Vec<usize> = (0..size).map(|i| (i * 7 + size) % ROWS).collect();
        let group: Vec<f32> = order.iter().flat_map(|i| rows[i * k..(i + 1) * k].to_vec()).collect();
        let each = size % 3 + 1;
        let parts: Vec<Range<usize>> = (0..panels).step_by(each).map(|p| p..panels.min(p + each)).collect();
        let results = work(&group, &parts);
        for (i, got) in order.iter().zip(results.chunks_exact(n)) {
            assert!(same(&alone[*i], got), "{what}: row {i} among {size}");
        }
    }
}

const EPILOGUES: [Epilogue; 3] = [Epilogue::None, Epilogue::Activate(Activation::Gelu), Epilogue::Accumulate];

#[test]
fn products_with_floats() {
    let (n, k) = (75, 200);
    let (weight, bias) = (numbers(n * k, 2), numbers(n, 3));
    for (isa, kept) in Isa::available().into_iter().flat_map(|i| [Precision::F32, Precision::F16].map(|p| (i, p))) {
        let weight = Packed::new(isa, &weight, &bias, k, kept);
        for epilogue in EPILOGUES {
            let work = |rows: &[f32], parts: &[Range<usize>]| {
                let mut c = vec![0.5f32; rows.len() / k * n];
                for panels in parts {
                    let (a, rows, c) = (rows.as_ptr(), 0..rows.len() / k, Shared(c.as_mut_ptr()));
                    let g = Gemm { a, lda: k, weight: &weight, c, rows, panels: panels.clone(), epilogue };
                    // SAFETY: buffers as large as the shapes say.
                    unsafe { gemm(isa, &g) };
                }
                c
            };
            alone_and_among_others(&format!("{isa:?} {kept:?}"), (k, n), weight.panel_count(), work);
        }
    }
}

#[test]
fn products_with_blocks() {
    use Dtype::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let (n, k) = (107, 512);
    let bias = numbers(n, 3);
    for dtype in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
        let blocks = random(dtype, n, k);
        for (isa, epilogue) in Isa::available().into_iter().flat_map(|isa| EPILOGUES.map(|e| (isa, e))) {
            let weight = Quantized::new(isa, &Arena::default(), &blocks, &bias).expect("quantized");
            let work = |rows: &[f32], parts: &[Range<usize>]| {
                let mut c = vec![0.5f32; rows.len() / k * n];
                let mut scratch = Vec::new();
                for panels in parts {
                    let mut g = QuantizedGemm {
                        a: rows.as_ptr(),
                        lda: k,
                        weight: &weight,
                        c: Shared(c.as_mut_ptr()),
                        rows: 0..rows.len() / k,
                        panels: panels.clone(),
                        epilogue,
                        scratch: &mut scratch,
                    };
                    // SAFETY: as above.
                    unsafe { quantized_gemm(isa, &mut g) };
                }
                c
            };
            alone_and_among_others(&format!("{isa:?} {dtype:?}"), (k, n), weight.panel_count(), work);
        }
    }
}

#[test]
fn attention_to_a_source() {
    for (isa, (tokens, dim)) in Isa::available().into_iter().flat_map(|i| [(5, 24), (70, 64)].map(|s| (i, s))) {
        let (width, (k, v)) = (isa.panel(), (numbers(tokens * dim, 1), numbers(tokens * dim, 2)));
        let (keys, values) = SourceHead::sizes(tokens, dim, width);
        let mut packed = vec![0f32; keys + values];
        // SAFETY: rows as long as the shapes say.
        unsafe { SourceHead::pack(&mut packed, [tokens, dim, width], k.as_ptr(), v.as_ptr(), dim) };
        let source = SourceHead { keys: packed.as_ptr(), values: packed[keys..].as_ptr(), tokens, dim, width };
        let work = |rows: &[f32], _: &[Range<usize>]| {
            let mut c = vec![0f32; rows.len()];
            let scratch = &mut IndirectScratch::default();
            let (q, count, out) = (rows.as_ptr(), rows.len() / dim, Shared(c.as_mut_ptr()));
            let mut a = ToSource { q, stride: dim, rows: count, source, scale: 0.3, out, scratch };
            // SAFETY: as above.
            unsafe { to_source(isa, &mut a) };
            c
        };
        alone_and_among_others(&format!("{isa:?} {tokens} {dim}"), (dim, dim), 1, work);
    }
}

#[test]
fn attention_of_hypotheses() {
    let (heads, dim) = (3, 40);
    let inner = heads * dim;
    for (isa, count) in Isa::available().into_iter().flat_map(|isa| [1, 5, 37].map(|c| (isa, c))) {
        let (q, memory, bias) = (numbers(inner, 1), numbers(count * 2 * inner, 2), numbers(count, 3));
        let past: Vec<*const f32> = memory.chunks_exact(2 * inner).map(<[f32]>::as_ptr).collect();
        let mut scratch = IndirectScratch::default();
        let mut run = |heads: Range<usize>, out: &mut [f32]| {
            let biases = vec![&bias[..]; heads.len()];
            let mut a = Indirect {
                q: q.as_ptr(),
                past: &past,
                offset: 0,
                value_offset: inner,
                heads,
                dim,
                scale: 1.0,
                biases: &biases,
                out: Shared(out.as_mut_ptr()),
                scratch: &mut scratch,
            };
            // SAFETY: as above.
            unsafe { indirect(isa, &mut a) };
        };
        let (mut together, mut apart) = (vec![0f32; inner], vec![0f32; inner]);
        run(0..heads, &mut together);
        (0..heads).rev().for_each(|h| run(h..h + 1, &mut apart));
        assert!(same(&together, &apart), "{isa:?} {count}");
    }
}

#[test]
fn attention_inside_a_sequence() {
    let (tokens, dim) = (50, 24);
    let qkv = numbers(tokens * 3 * dim, 4);
    for isa in Isa::available() {
        let mut scratch = Scratch::default();
        let mut run = |queries: usize| {
            let mut out = vec![0f32; queries * dim];
            let mut a = Attention {
                qkv: qkv.as_ptr(),
                stride: 3 * dim,
                columns: [0, dim, 2 * dim],
                head_dim: dim,
                tokens,
                queries,
                scale: 0.3,
                bias: std::ptr::null(),
                out: Shared(out.as_mut_ptr()),
                out_stride: dim,
                scratch: &mut scratch,
            };
            // SAFETY: as above.
            unsafe { attention(isa, &mut a) };
            out
        };
        let all = run(tokens);
        assert!((1..tokens).all(|queries| same(&run(queries), &all[..queries * dim])), "{isa:?}");
    }
}

#[test]
fn norms_activations_and_gates() {
    for (isa, width) in Isa::available().into_iter().flat_map(|isa| [1, 5, 33, 64, 100].map(|w| (isa, w))) {
        let (gamma, beta) = (numbers(width, 1), numbers(width, 2));
        let norm = |rows: &[f32], _: &[Range<usize>]| {
            let mut to = rows.to_vec();
            rms_norm(isa, RmsNormArgs { from: rows, to: &mut to, gamma: &gamma, eps: 1e-6 });
            layer_norm(isa, LayerNormArgs { rows: &mut to, width, gamma: &gamma, beta: &beta, eps: 1e-6 });
            to
        };
        alone_and_among_others(&format!("{isa:?} {width}"), (width, width), 1, norm);
        let sums = |rows: &[f32], _: &[Range<usize>]| {
            let of = |row| exp_sums(isa, row, 1.0).map(|x| x as f32);
            rows.chunks_exact(width).flat_map(of).collect()
        };
        alone_and_among_others(&format!("{isa:?} {width}"), (width, 2), 1, sums);
    }
    let (x, up) = (numbers(200, 1), numbers(200, 2));
    for isa in Isa::available() {
        for act in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh] {
            let cut = |each: usize| {
                let (mut plain, mut gated) = (x.clone(), x.clone());
                plain.chunks_mut(each).for_each(|part| activate_rows(isa, act, part));
                gated.chunks_mut(each).zip(up.chunks(each)).for_each(|(x, u)| gate(isa, act, x, u));
                [plain, gated].concat()
            };
            assert!((1..70).all(|each| same(&cut(each), &cut(200))), "{isa:?} {act:?}");
        }
    }
}
