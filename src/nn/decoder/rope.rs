//! How a GGUF file says that positions are rotated, in every spelling that llama.cpp reads.

use super::metadata::{Family, Keys};
use crate::nn::NnError;
use crate::nn::keys::shown;

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    pub base: f32,
    /// Base in layers with a sliding window, where it differs.
    pub local_base: Option<f32>,
    /// Positions are divided by it (linear scaling, or YaRN's); not in layers with a local base.
    pub factor: f32,
    /// Which columns are spared that division.
    pub yarn: Option<Yarn>,
    /// Rotated columns of a head.
    pub dim: usize,
    /// Pairs are neighbours rather than halves of the head.
    pub interleaved: bool,
    /// Positions that the model was first trained on, where long ones use other factors.
    pub original_context: usize,
    /// Sine and cosine are multiplied by it (LongRoPE, YaRN).
    pub magnitude: f32,
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071): columns that turn often within the first context stay as they are, those that
/// turn less than once are stretched, between them it changes gradually.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// How much of it; 1 is all.
    pub extent: f32,
    /// Turns from which on a column stays, and up to which it is stretched.
    pub turns: [f32; 2],
}

impl Rope {
    /// Inverse frequencies of a pair of columns each, `[dim / 2]`; `divisors` are the file's own factors.
    pub fn frequencies(&self, divisors: &[f32]) -> Vec<f32> {
        let spared = self.yarn.map(|yarn| (yarn.extent, self.stretched(yarn)));
        let each = inverse(self.base, self.dim, divisors).enumerate().map(|(pair, own)| {
            let divided = own / f64::from(self.factor);
            let Some((extent, [from, to])) = spared else { return divided as f32 };
            let ramp = ((pair as f64 - from) / (to - from).max(0.001)).clamp(0.0, 1.0);
            let spare = (1.0 - ramp) * f64::from(extent);
            (divided * (1.0 - spare) + own * spare) as f32
        });
        each.collect()
    }

    /// The same of layers with a sliding window.
    pub fn local_frequencies(&self, global: &[f32]) -> Vec<f32> {
        let Some(base) = self.local_base else { return global.to_vec() };
        inverse(base, self.dim, &[]).map(|f| f as f32).collect()
    }

    /// The pairs between which the stretching grows from nothing to all (the paper's equation 17 onward).
    fn stretched(&self, yarn: Yarn) -> [f64; 2] {
        let (dim, base) = (self.dim as f64, f64::from(self.base));
        let turning = |times: f32| {
            let length = self.original_context as f64 / (f64::from(times) * std::f64::consts::TAU);
            dim * length.ln() / (2.0 * base.ln())
        };
        [turning(yarn.turns[0]).floor().max(0.0), turning(yarn.turns[1]).ceil().min(dim - 1.0)]
    }
}

fn inverse(base: f32, dim: usize, divisors: &[f32]) -> impl Iterator<Item = f64> {
    (0..dim / 2).map(move |pair| {
        let frequency = 1.0 / f64::from(base).powf((2 * pair) as f64 / dim as f64);
        frequency / f64::from(divisors.get(pair).copied().unwrap_or(1.0))
    })
}

/// Reads the keys `ARCH.rope.*`.
///
/// # Errors
/// A kind of scaling that is not known, or a value that cannot be.
pub(super) fn rope(keys: &Keys<'_>, family: Family, head_dim: usize) -> Result<Rope, NnError> {
    let kind = keys.metadata.text(&format!("{}.rope.scaling.type", keys.arch));
    if kind.is_none() && keys.has("rope.scaling.type") {
        return Err(keys.wrong("rope.scaling.type", "no word"));
    }
    // A factor alone means linear, as llama.cpp has it; older files call it by another name. 0 says nothing.
    let named = if keys.has("rope.scaling.factor") { "rope.scaling.factor" } else { "rope.scale_linear" };
    let factor = match keys.float_or(named, 0.0, 0.0..=1e6)? {
        0.0 => 1.0,
        factor if factor >= 1e-3 => factor,
        factor => return Err(keys.wrong(named, factor)),
    };
    let kind = kind.unwrap_or("linear");
    let (factor, yarn) = match kind {
        "none" | "longrope" | "su" => (1.0, None),
        "linear" => (factor, None),
        "yarn" => (factor, Some(yarn(keys)?)),
        other => {
            let known = "none, linear, yarn and longrope are";
            let other = shown(other);
            return Err(NnError::Config(format!(
                "the file asks for '{other}' rope scaling, which is not known here ({known})"
            )));
        }
    };
    let context = keys.size("context_length")?;
    let base = keys.float_or("rope.freq_base", 10_000.0, 1.0..=1e12)?;
    let gemma = family == Family::Gemma3;
    let local = keys.float_or("rope.freq_base_swa", 10_000.0, 1.0..=1e12)?;
    let rope = Rope {
        base: if gemma && keys.number("rope.freq_base").is_none() { 1e6 } else { base },
        local_base: gemma.then_some(local),
        factor,
        yarn,
        dim: keys.size_or("rope.dimension_count", head_dim)?,
        interleaved: matches!(family, Family::Llama | Family::SmolLm3),
        original_context: keys.size_or("rope.scaling.original_context_length", context)?,
        magnitude: keys.float_or("rope.scaling.attn_factor", 1.0, 1e-3..=1e3)? * magnitude(keys, factor, yarn)?,
    };
    if yarn.is_some() && rope.base <= 1.0 {
        return Err(keys.wrong("rope.freq_base", rope.base));
    }
    Ok(rope)
}

fn yarn(keys: &Keys<'_>) -> Result<Yarn, NnError> {
    let turns = |tail, otherwise| keys.float_or(tail, otherwise, 1e-3..=1e6);
    Ok(Yarn {
        extent: keys.float_or("rope.scaling.yarn_ext_factor", 1.0, 0.0..=1.0)?,
        turns: [turns("rope.scaling.yarn_beta_fast", 32.0)?, turns("rope.scaling.yarn_beta_slow", 1.0)?],
    })
}

/// What YaRN multiplies sine and cosine by (the paper's section 3.4: 0.1 ln s + 1).
fn magnitude(keys: &Keys<'_>, factor: f32, yarn: Option<Yarn>) -> Result<f32, NnError> {
    if yarn.is_none_or(|y| y.extent == 0.0) {
        return Ok(1.0);
    }
    let grown = |times: f32| if factor <= 1.0 { 1.0 } else { 0.1 * times * factor.ln() + 1.0 };
    // The model's own factor stands in place of the paper's (transformers' attention_factor).
    if keys.has("rope.scaling.yarn_attn_factor") {
        return keys.float_or("rope.scaling.yarn_attn_factor", 1.0, 1e-3..=1e3);
    }
    // Files of models that were trained with another share of it name that share.
    Ok(match keys.float_or("rope.scaling.yarn_log_multiplier", 0.0, 0.0..=100.0)? {
        0.0 => grown(1.0),
        times => grown(1.0) / grown(times),
    })
}
