//! Elementwise functions on vectors, and the row kernels made of them: activations, layer norm.

#![allow(clippy::excessive_precision, reason = "coefficients as their sources print them")]

use super::simd::Simd;
use super::{Isa, dispatch};

/// An activation function, by its name in Hugging Face's config.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)` with the error function ("gelu").
    Gelu,
    /// The tanh approximation ("gelu_new", "gelu_pytorch_tanh").
    GeluTanh,
    /// "relu"
    Relu,
    /// "silu", "swish"
    Silu,
    /// "tanh"
    Tanh,
}

impl Activation {
    /// The activation that config.json calls `name`, if we have it.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            _ => return None,
        })
    }
}

/// `e^x` to about 2 ulp: argument reduction by ln 2 and a polynomial of degree 6
/// (Cephes `expf`). Below -87.3 the result is the smallest normal number.
#[inline(always)]
pub unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // SAFETY: forwarded contract of `Simd`.
    unsafe {
        let x = S::min(S::max(x, S::splat(-87.336_54)), S::splat(88.376_26));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let r = S::fma(n, S::splat(-0.693_359_375), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
            p = S::fma(p, r, S::splat(c));
        }
        let y = S::fma(S::mul(r, r), p, S::add(r, S::splat(1.0)));
        // 2^128 overflows the exponent field: split the power in two.
        let half = S::round(S::mul(n, S::splat(0.5)));
        S::mul(S::mul(y, S::pow2(half)), S::pow2(S::sub(n, half)))
    }
}

/// `tanh(x)` as `1 - 2 / (e^2x + 1)`; absolute error about 1e-7.
#[inline(always)]
pub unsafe fn tanh<S: Simd>(x: S::V) -> S::V {
    // SAFETY: forwarded contract of `Simd`.
    unsafe {
        let x = S::min(S::max(x, S::splat(-9.0)), S::splat(9.0));
        let e = exp::<S>(S::add(x, x));
        let one = S::splat(1.0);
        S::sub(one, S::div(S::splat(2.0), S::add(e, one)))
    }
}

/// `erf(x)`, an odd rational function on [-4, 4] (the minimax fit that Eigen and XLA use);
/// absolute error below 4e-7.
#[inline(always)]
pub unsafe fn erf<S: Simd>(x: S::V) -> S::V {
    // SAFETY: forwarded contract of `Simd`.
    unsafe {
        let x = S::min(S::max(x, S::splat(-4.0)), S::splat(4.0));
        let z = S::mul(x, x);
        let mut p = S::splat(-2.726_142_3e-10);
        for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_6e-4, -2.954_6e-3, -1.609_603_3e-2] {
            p = S::fma(p, z, S::splat(c));
        }
        let mut q = S::splat(-1.456_607_2e-5);
        for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
            q = S::fma(q, z, S::splat(c));
        }
        S::div(S::mul(x, p), q)
    }
}

#[inline(always)]
unsafe fn activate<S: Simd>(act: Activation, x: S::V) -> S::V {
    // SAFETY: forwarded contract of `Simd`.
    unsafe {
        let one = S::splat(1.0);
        match act {
            Activation::Gelu => {
                let e = erf::<S>(S::mul(x, S::splat(std::f32::consts::FRAC_1_SQRT_2)));
                S::mul(S::mul(x, S::splat(0.5)), S::add(one, e))
            }
            Activation::GeluTanh => {
                let x3 = S::mul(S::mul(x, x), x);
                let inner = S::mul(S::splat(0.797_884_6), S::fma(x3, S::splat(0.044_715), x));
                S::mul(S::mul(x, S::splat(0.5)), S::add(one, tanh::<S>(inner)))
            }
            Activation::Relu => S::max(x, S::splat(0.0)),
            Activation::Silu => S::div(x, S::add(one, exp::<S>(S::sub(S::splat(0.0), x)))),
            Activation::Tanh => tanh::<S>(x),
        }
    }
}

/// Applies `act` to `count` floats at `p`, in place.
#[inline(always)]
pub unsafe fn activate_slice<S: Simd>(act: Activation, p: *mut f32, count: usize) {
    // SAFETY: all accesses are below `count`; the tail goes through a local buffer.
    unsafe {
        let whole = count - count % S::LANES;
        let mut i = 0;
        while i < whole {
            S::store(p.add(i), activate::<S>(act, S::load(p.add(i))));
            i += S::LANES;
        }
        if i < count {
            let mut tail = [0f32; 16];
            std::ptr::copy_nonoverlapping(p.add(i), tail.as_mut_ptr(), count - i);
            let v = activate::<S>(act, S::load(tail.as_ptr()));
            S::store(tail.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), p.add(i), count - i);
        }
    }
}

struct ActivateArgs<'a>(Activation, &'a mut [f32]);

#[inline(always)]
unsafe fn activate_body<S: Simd, const NV: usize, const MR: usize>(args: ActivateArgs<'_>) {
    // SAFETY: the slice bounds hold.
    unsafe { activate_slice::<S>(args.0, args.1.as_mut_ptr(), args.1.len()) }
}

/// Applies `act` to every element of `x`.
pub fn activate_rows(isa: Isa, act: Activation, x: &mut [f32]) {
    dispatch!(isa, activate_body(ActivateArgs(act, x)): ActivateArgs<'_>);
}

/// Layer norm over rows of `width` floats, in place.
pub struct LayerNormArgs<'a> {
    /// Rows, each `width` long.
    pub rows: &'a mut [f32],
    pub width: usize,
    /// Scale, `[width]`.
    pub gamma: &'a [f32],
    /// Shift, `[width]`.
    pub beta: &'a [f32],
    pub eps: f32,
}

#[inline(always)]
unsafe fn layer_norm_body<S: Simd, const NV: usize, const MR: usize>(args: LayerNormArgs<'_>) {
    let width = args.width;
    let whole = width - width % S::LANES;
    for row in args.rows.chunks_exact_mut(width) {
        // SAFETY: vector accesses stay below `whole` <= width, scalar ones below width.
        unsafe {
            let p = row.as_mut_ptr();
            let mut sums = S::splat(0.0);
            let mut i = 0;
            while i < whole {
                sums = S::add(sums, S::load(p.add(i)));
                i += S::LANES;
            }
            let mean = (S::sum(sums) + row[whole..].iter().sum::<f32>()) / width as f32;
            let mut squares = S::splat(0.0);
            let center = S::splat(mean);
            let mut i = 0;
            while i < whole {
                let d = S::sub(S::load(p.add(i)), center);
                squares = S::fma(d, d, squares);
                i += S::LANES;
            }
            let rest: f32 = row[whole..].iter().map(|x| (x - mean) * (x - mean)).sum();
            let inv = 1.0 / ((S::sum(squares) + rest) / width as f32 + args.eps).sqrt();
            let scale = S::splat(inv);
            let (g, b) = (args.gamma.as_ptr(), args.beta.as_ptr());
            let mut i = 0;
            while i < whole {
                let d = S::mul(S::sub(S::load(p.add(i)), center), scale);
                S::store(p.add(i), S::fma(d, S::load(g.add(i)), S::load(b.add(i))));
                i += S::LANES;
            }
            let rest = row[whole..].iter_mut().zip(&args.gamma[whole..]).zip(&args.beta[whole..]);
            for ((x, gamma), beta) in rest {
                *x = (*x - mean) * inv * gamma + beta;
            }
        }
    }
}

/// `(x - mean) / sqrt(var + eps) · gamma + beta` over each row of `args.rows`.
///
/// # Panics
/// If gamma or beta is shorter than `width`.
pub fn layer_norm(isa: Isa, args: LayerNormArgs<'_>) {
    assert!(args.gamma.len() >= args.width && args.beta.len() >= args.width);
    dispatch!(isa, layer_norm_body(args): LayerNormArgs<'_>);
}

/// Root-mean-square norm of rows of `width` floats.
pub struct RmsNormArgs<'a> {
    /// `[rows · width]`
    pub from: &'a [f32],
    /// As long as `from`.
    pub to: &'a mut [f32],
    /// Scale, `[width]`.
    pub gamma: &'a [f32],
    pub eps: f32,
}

#[inline(always)]
unsafe fn rms_norm_body<S: Simd, const NV: usize, const MR: usize>(args: RmsNormArgs<'_>) {
    let width = args.gamma.len();
    let whole = width - width % S::LANES;
    for (from, to) in args.from.chunks_exact(width).zip(args.to.chunks_exact_mut(width)) {
        // SAFETY: vector accesses stay below `whole` <= width.
        unsafe {
            let mut squares = S::splat(0.0);
            for i in (0..whole).step_by(S::LANES) {
                let x = S::load(from.as_ptr().add(i));
                squares = S::fma(x, x, squares);
            }
            let rest: f32 = from[whole..].iter().map(|x| x * x).sum();
            let inv = 1.0 / ((S::sum(squares) + rest) / width as f32 + args.eps).sqrt();
            let scale = S::splat(inv);
            for i in (0..whole).step_by(S::LANES) {
                let x = S::mul(S::load(from.as_ptr().add(i)), scale);
                S::store(to.as_mut_ptr().add(i), S::mul(x, S::load(args.gamma.as_ptr().add(i))));
            }
            for i in whole..width {
                to[i] = from[i] * inv * args.gamma[i];
            }
        }
    }
}

/// `x / sqrt(mean(x²) + eps) · gamma` over each row (Zhang and Sennrich 2019, arXiv:1910.07467).
pub fn rms_norm(isa: Isa, args: RmsNormArgs<'_>) {
    debug_assert_eq!(args.from.len(), args.to.len());
    dispatch!(isa, rms_norm_body(args): RmsNormArgs<'_>);
}

struct SumArgs<'a> {
    x: &'a [f32],
    best: f32,
    sums: &'a mut [f64; 2],
}

#[inline(always)]
unsafe fn exp_sums_body<S: Simd, const NV: usize, const MR: usize>(args: SumArgs<'_>) {
    let SumArgs { x, best, sums } = args;
    // Runs short enough that f32 sums lose nothing that matters.
    for run in x.chunks(1024) {
        let whole = run.len() - run.len() % S::LANES;
        // SAFETY: vector accesses stay below `whole`; the rest goes through a local buffer.
        unsafe {
            let (top, far) = (S::splat(best), S::splat(-87.0));
            let (mut plain, mut weighted) = (S::splat(0.0), S::splat(0.0));
            let mut tail = [f32::NEG_INFINITY; 16];
            tail[..run.len() - whole].copy_from_slice(&run[whole..]);
            let mut i = 0;
            while i < run.len() {
                let at = if i < whole { run.as_ptr().add(i) } else { tail.as_ptr() };
                // Far below the best nothing is left, and an infinite distance times zero is no number.
                let d = S::max(S::sub(S::load(at), top), far);
                let e = exp::<S>(d);
                plain = S::add(plain, e);
                weighted = S::fma(d, e, weighted);
                i += S::LANES;
            }
            sums[0] += f64::from(S::sum(plain));
            sums[1] += f64::from(S::sum(weighted));
        }
    }
}

/// `[Σ e^(x - best), Σ (x - best) · e^(x - best)]`: what a softmax and its entropy need. `best` is
/// the greatest of `x`.
pub fn exp_sums(isa: Isa, x: &[f32], best: f32) -> [f64; 2] {
    let mut sums = [0f64; 2];
    dispatch!(isa, exp_sums_body(SumArgs { x, best, sums: &mut sums }): SumArgs<'_>);
    sums
}

struct GateArgs<'a>(Activation, &'a mut [f32], &'a [f32]);

#[inline(always)]
unsafe fn gate_body<S: Simd, const NV: usize, const MR: usize>(args: GateArgs<'_>) {
    let GateArgs(act, gate, up) = args;
    // SAFETY: both are as long as the shorter.
    unsafe {
        let count = gate.len().min(up.len());
        activate_slice::<S>(act, gate.as_mut_ptr(), count);
        for (g, u) in gate.iter_mut().zip(up) {
            *g *= *u;
        }
    }
}

/// `gate = act(gate) · up`, elementwise (Shazeer 2020, arXiv:2002.05202).
pub fn gate(isa: Isa, act: Activation, gate: &mut [f32], up: &[f32]) {
    dispatch!(isa, gate_body(GateArgs(act, gate, up)): GateArgs<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maclaurin series of erf in f64: exact enough on [-4, 4].
    fn erf_reference(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn reference(act: Activation, x: f64) -> f64 {
        match act {
            Activation::Gelu => 0.5 * x * (1.0 + erf_reference((x / 2f64.sqrt()).clamp(-4.0, 4.0))),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Tanh => x.tanh(),
        }
    }

    #[test]
    fn activations_match_their_definitions_on_every_instruction_set() {
        let xs: Vec<f32> = (-5000..5000).map(|i| i as f32 * 0.0021).collect();
        for isa in Isa::available() {
            for act in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh] {
                let mut ys = xs.clone();
                activate_rows(isa, act, &mut ys);
                for (x, y) in xs.iter().zip(&ys) {
                    let want = reference(act, f64::from(*x));
                    let error = (f64::from(*y) - want).abs();
                    assert!(error < 3e-6, "{isa:?} {act:?} at {x}: {y} against {want}");
                }
            }
        }
    }

    #[test]
    fn layer_norm_matches_its_definition_at_odd_widths() {
        for isa in Isa::available() {
            for width in [1usize, 5, 16, 33, 384] {
                let x: Vec<f32> = (0..3 * width).map(|i| ((i * 37) % 101) as f32 / 17.0).collect();
                let gamma: Vec<f32> = (0..width).map(|i| 1.0 + i as f32 * 0.01).collect();
                let beta: Vec<f32> = (0..width).map(|i| i as f32 * 0.02 - 1.0).collect();
                let mut y = x.clone();
                layer_norm(isa, LayerNormArgs { rows: &mut y, width, gamma: &gamma, beta: &beta, eps: 1e-12 });
                for (row, out) in x.chunks(width).zip(y.chunks(width)) {
                    let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
                    let var = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
                    for j in 0..width {
                        let want = (f64::from(row[j]) - mean) / (var + 1e-12).sqrt() * f64::from(gamma[j])
                            + f64::from(beta[j]);
                        assert!((f64::from(out[j]) - want).abs() < 1e-4, "{isa:?} width {width}");
                    }
                }
            }
        }
    }

    #[test]
    fn rms_norm_and_gate_match_their_definitions_at_odd_widths() {
        for isa in Isa::available() {
            for width in [5usize, 33, 64] {
                let from: Vec<f32> = (0..2 * width).map(|i| (i as f32 * 0.7).sin()).collect();
                let gamma: Vec<f32> = (0..width).map(|i| 1.0 + i as f32 * 0.01).collect();
                let mut to = vec![0f32; from.len()];
                rms_norm(isa, RmsNormArgs { from: &from, to: &mut to, gamma: &gamma, eps: 1e-6 });
                for (x, y) in from.chunks(width).zip(to.chunks(width)) {
                    let mean = x.iter().map(|v| v * v).sum::<f32>() / width as f32;
                    for i in 0..width {
                        assert!((y[i] - x[i] / (mean + 1e-6).sqrt() * gamma[i]).abs() < 1e-5);
                    }
                }
                let mut gated = from.clone();
                gate(isa, Activation::Silu, &mut gated, &to);
                for i in 0..from.len() {
                    let want = from[i] / (1.0 + (-from[i]).exp()) * to[i];
                    assert!((gated[i] - want).abs() < 1e-5, "{isa:?}");
                }
            }
        }
    }
}
