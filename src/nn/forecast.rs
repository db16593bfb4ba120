//! "Will it fit?": what a model will need in memory, known before anything of it is read.

use super::bert::Target;
use super::decoder::pages_of;
use super::kernels::Isa;
use super::kernels::matrix::Matrix;
use super::precision::Precision;
use super::quantize::{plan, turned};
use super::source::{Dtype, TensorSource};
use super::{bert, decoder, seq2seq};
use serde::Serialize;

/// Tokens of the longest step that an encoder takes.
const STEP: usize = 1024;
/// Bytes of a tokenizer, per entry of its vocabulary; about, measured on those that are shipped.
pub const TOKEN: usize = 300;
/// Hypotheses that a search keeps unless asked otherwise.
const BEAMS: usize = 4;

/// Rows of logits that a step of a small crowd gives.
const LOGITS: usize = 8;
/// Texts at their full context that a decoder has room for, if the memory is there.
const TEXTS: usize = 8;
/// Of the memory that is free beside the weights, keys and values take this part at most.
const POOL_SHARE: usize = 4;

/// What a model will need, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// What is packed into memory, and the tokenizer. Word tables that are read from the file row by row (encoders on CPU)
    /// do not count: the system takes their pages back when it needs them.
    pub weights: usize,
    /// Keys and values: of a decoder all pages that texts may hold together; of an encoder-decoder of one longest passage.
    pub cache: usize,
    /// Of these, those that one text needs at the full context: with less a model is not loaded.
    pub least: usize,
    /// Activations and logits of a step; or the largest matrix on its way into memory, where that takes more
    /// than step and cache, which come later.
    pub work: usize,
    /// What is free now, if that is known.
    pub available: Option<usize>,
}

impl Forecast {
    /// All together.
    pub fn total(&self) -> usize {
        self.weights.saturating_add(self.cache).saturating_add(self.work)
    }

    /// Whether it will not fit.
    pub fn is_too_much(&self) -> bool {
        let least = self.weights.saturating_add(self.least).saturating_add(self.work);
        self.available.is_some_and(|free| least > free)
    }

    /// The same with keys and values for one text at its full context, and for as many more as there is room for.
    #[must_use]
    pub fn with_texts(self) -> Self {
        let rest = self.available.map(|free| free.saturating_sub(self.weights.saturating_add(self.work)) / POOL_SHARE);
        let texts = rest.map_or(TEXTS, |rest| (rest / self.least.max(1)).clamp(1, TEXTS));
        Self { cache: self.least.saturating_mul(texts), ..self }
    }
}

/// A tensor as it will be loaded: what a plan makes blocks of counts as blocks.
struct Planned {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

fn planned(source: &dyn TensorSource, kept: Precision) -> Vec<Planned> {
    let steps = plan(source, kept);
    let tensor = |name: String| {
        let tensor = source.tensor(&name).ok()?;
        let mut shape = tensor.shape().to_vec();
        let step = steps.iter().find(|s| s.name == name);
        if step.is_some_and(|s| s.is_turned) {
            shape.reverse();
        }
        let (name, dtype) = match step {
            Some(s) if s.is_turned => (turned(&name), s.dtype),
            Some(s) => (name, s.dtype),
            None => (name, tensor.dtype()),
        };
        Some(Planned { name, dtype, shape })
    };
    source.names().into_iter().filter_map(tensor).collect()
}

/// Bytes of a matrix in memory, and what it takes for a moment on its way there.
fn matrix(t: &Planned, target: &Target, kept: Precision) -> (usize, usize) {
    let &[n, k] = &t.shape[..] else { return (t.shape.iter().product::<usize>() * 4, 0) };
    match target {
        Target::Cpu { isa, .. } => {
            let held = Matrix::bytes_for(t.dtype, *isa, (n, k), kept);
            // Blocks are packed from the file; everything else is widened first.
            let blocks = Matrix::bytes_for(t.dtype, *isa, (n, k), Precision::Own);
            let as_blocks = t.dtype.form().is_some() && held == blocks;
            (held, if as_blocks { 0 } else { n * k * 4 })
        }
        Target::Device { dtype, .. } => match t.dtype.bytes_of(&t.shape) {
            Some(bytes) if t.dtype.form().is_some() => (bytes, 0),
            _ => (n * k * dtype.size_in_bytes(), 0),
        },
    }
}

/// Sums up: bytes held, and the largest passing need.
fn sum(tensors: &[Planned], target: &Target, kept: Precision) -> (usize, usize) {
    let all = tensors.iter().map(|t| matrix(t, target, kept));
    all.fold((0, 0), |(held, passing), (h, p)| (held + h, passing.max(p)))
}

fn threads(target: &Target) -> usize {
    match target {
        Target::Cpu { team, .. } => team.threads(),
        Target::Device { .. } => 1,
    }
}

fn panel(target: &Target) -> usize {
    match target {
        Target::Cpu { isa, .. } => isa.panel(),
        Target::Device { .. } => Isa::Portable.panel(),
    }
}

/// What an encoder will need for steps of up to 1,024 tokens.
pub fn encoder(
    config: &bert::config::Config,
    source: &dyn TensorSource,
    (target, kept): (&Target, Precision),
    available: Option<usize>,
) -> Forecast {
    let on_cpu = matches!(target, Target::Cpu { .. });
    let as_floats = if on_cpu && kept == Precision::Own { Precision::F32 } else { kept };
    let mut tensors = planned(source, kept);
    tensors.retain(|t| !(t.name.ends_with("position_ids") || on_cpu && t.name.contains("word_embeddings")));
    let (weights, passing) = sum(&tensors, target, as_floats);
    let (h, i) = (config.hidden, config.intermediate);
    let per_token = (5 * h + i) * 4;
    let threads = threads(target);
    // Q, K and V are stacked before they are packed.
    let work = per_token * STEP + threads * attention(config.positions, h / config.heads);
    Forecast { weights: weights + config.vocab * TOKEN, cache: 0, least: 0, work: work.max(3 * passing), available }
}

/// Scores, keys and values of one head.
fn attention(tokens: usize, dim: usize) -> usize {
    (tokens * 64 + 2 * tokens * dim) * 4
}

/// What a decoder will need: for one text at its full context, and as many more as there is room for.
pub fn decoder(
    config: &decoder::config::Config,
    source: &dyn TensorSource,
    (target, kept): (&Target, Precision),
    available: Option<usize>,
) -> Forecast {
    let mut tensors = planned(source, kept);
    // Tables stay as they are when layers become bytes.
    let is_table =
        |t: &Planned| ["token_embd", "wte", "output.weight", "lm_head"].iter().any(|n| t.name.starts_with(n));
    let (tables, layers): (Vec<Planned>, Vec<Planned>) = tensors.drain(..).partition(is_table);
    let kept_tables = if kept == Precision::Int8 { Precision::Own } else { kept };
    let (a, b) = (sum(&layers, target, kept), sum(&tables, target, kept_tables));
    let (weights, passing) = (a.0 + b.0 + config.vocab * TOKEN, a.1.max(b.1));
    let widest = config.intermediate * 2 + config.hidden * 4 + config.heads * config.head_dim * 2;
    let step = decoder::MOST_ROWS * widest * 4
        + config.vocab * 4 * LOGITS
        + (config.context * 12 + config.intermediate * 32) * 8;
    let (least, is_paged) = match target {
        Target::Cpu { isa, .. } => (pages_of(config.context) * decoder::page_bytes(config, *isa), true),
        // Floats there, not halves.
        Target::Device { .. } => (2 * config.cache_bytes_per_token() * config.context.next_multiple_of(256), false),
    };
    // On a device a cache grows by doubling: for a moment half of its keys or values stand there twice.
    let step = if is_paged { step } else { step + least / 4 };
    let work = step.max(passing.saturating_sub(least));
    Forecast { weights, cache: least, least, work, available }.with_texts()
}

/// What an encoder-decoder will need for a passage of `tokens` source tokens and an answer as long, with four
/// beams.
pub fn seq2seq(
    config: &seq2seq::config::Config,
    source: &dyn TensorSource,
    (target, kept): (&Target, Precision),
    (tokens, available): (usize, Option<usize>),
) -> Forecast {
    let mut tensors = planned(source, kept);
    // Copies of the shared table that checkpoints carry, and computed positions.
    let has_shared = tensors.iter().any(|t| t.name.ends_with("shared.weight"));
    let is_copy = |t: &Planned| {
        (has_shared && (t.name.contains("embed_tokens") || (t.name == "lm_head.weight" && config.logit_scale != 1.0)))
            || t.name.contains("embed_positions")
    };
    tensors.retain(|t| !is_copy(t));
    let (weights, passing) = sum(&tensors, target, kept);
    let positions = config.positions * config.hidden * 4;
    let tokens = tokens.min(config.positions);
    let (inner, outer) = (config.inner(config.encoder), config.inner(config.decoder));
    let of_source = config.decoder.layers * 2 * outer * tokens.next_multiple_of(panel(target)) * 4;
    let of_answers = config.decoder.layers * 2 * outer * tokens * BEAMS * 4;
    let wide = config.encoder.intermediate.max(config.decoder.intermediate) * if config.gated { 2 } else { 1 };
    let per_token = (2 * config.hidden + 4 * inner + wide) * 4;
    let work = per_token * tokens + BEAMS * config.vocab * 8 + threads(target) * attention(tokens, config.head_dim);
    let (weights, cache) = (weights + positions + config.source_vocab * TOKEN, of_source + of_answers);
    Forecast { weights, cache, least: cache, work: work.max((2 * passing).saturating_sub(cache)), available }
}
