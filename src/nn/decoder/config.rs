//! Sizes and switches of a decoder, from GGUF metadata or from GPT-2's config.json.

use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::keys::{self, MOST_LAYERS, check_heads, head_dim, shown};
use serde_json::Value;
use std::ops::RangeInclusive;

/// The families that one decoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Phi3,
    Gemma3,
    SmolLm3,
    Gpt2,
}

impl Family {
    /// What a GGUF file calls them.
    pub const GGUF: [(&'static str, Self); 6] = [
        ("llama", Self::Llama),
        ("qwen2", Self::Qwen2),
        ("qwen3", Self::Qwen3),
        ("phi3", Self::Phi3),
        ("gemma3", Self::Gemma3),
        ("smollm3", Self::SmolLm3),
    ];
}

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    pub base: f32,
    /// Base in layers with a sliding window, where it differs.
    pub local_base: Option<f32>,
    /// Positions are divided by it (linear scaling); not in layers with a local base.
    pub factor: f32,
    /// Rotated columns of a head.
    pub dim: usize,
    /// Pairs are neighbours rather than halves of the head.
    pub interleaved: bool,
    /// Positions that the model was first trained on, where long ones use other factors.
    pub original_context: usize,
    /// Sine and cosine are multiplied by it (LongRoPE).
    pub magnitude: f32,
}

/// Sizes and switches of a decoder.
#[derive(Clone, Debug)]
pub struct Config {
    pub family: Family,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    pub eps: f32,
    pub activation: Activation,
    /// `None`: learned positions.
    pub rope: Option<Rope>,
    /// Layers of which the last goes without rotation (SmolLM3); 0 for none.
    pub unrotated_every: usize,
    pub embedding_scale: f32,
    pub attention_scale: f32,
    /// Positions that a token sees in layers with a sliding window.
    pub window: Option<usize>,
    /// Layers of which the last sees everything; 0: all layers have the window.
    pub global_every: usize,
}

/// Values by key, as GGUF files have them.
pub trait Metadata {
    /// A number.
    fn number(&self, key: &str) -> Option<f64>;
    /// A string.
    fn text(&self, key: &str) -> Option<&str>;
    /// Whether there is anything of that name.
    fn has_key(&self, key: &str) -> bool;
}

/// Upper bounds that keep a forged file from asking for absurd amounts of memory.
const MAX_SIZE: f64 = 16_777_216.0;

/// Reads numbers of one family.
struct Keys<'a> {
    metadata: &'a dyn Metadata,
    arch: &'static str,
}

impl Keys<'_> {
    fn number(&self, tail: &str) -> Option<f64> {
        self.metadata.number(&format!("{}.{tail}", self.arch))
    }

    /// A size that must be there.
    fn size(&self, tail: &str) -> Result<usize, NnError> {
        let key = format!("{}.{tail}", self.arch);
        let Some(value) = self.number(tail) else {
            return Err(match self.has(tail) {
                true => self.wrong(tail, "no single number"),
                false => NnError::Config(format!("the file has no '{key}'")),
            });
        };
        if !(1.0..=MAX_SIZE).contains(&value) || value.fract() != 0.0 {
            return Err(self.wrong(tail, value));
        }
        Ok(value as usize)
    }

    fn size_or(&self, tail: &str, otherwise: usize) -> Result<usize, NnError> {
        if self.has(tail) { self.size(tail) } else { Ok(otherwise) }
    }

    fn float_or(&self, tail: &str, otherwise: f32, range: RangeInclusive<f64>) -> Result<f32, NnError> {
        match self.number(tail) {
            None if self.has(tail) => Err(self.wrong(tail, "no single number")),
            None => Ok(otherwise),
            Some(value) if range.contains(&value) => Ok(value as f32),
            Some(value) => Err(self.wrong(tail, value)),
        }
    }

    fn has(&self, tail: &str) -> bool {
        self.metadata.has_key(&format!("{}.{tail}", self.arch))
    }

    fn wrong(&self, tail: &str, value: impl std::fmt::Display) -> NnError {
        NnError::Config(format!("'{}.{tail}' is {value}, which cannot be", self.arch))
    }
}

impl Config {
    /// Reads the metadata of a GGUF file; `vocab` is the number of its tokens.
    ///
    /// # Errors
    /// [`NnError::Config`], in words, for another architecture, a missing or impossible value.
    pub fn from_metadata(metadata: &dyn Metadata, vocab: usize) -> Result<Self, NnError> {
        let name = metadata.text("general.architecture").unwrap_or("");
        let Some((arch, family)) = Family::GGUF.into_iter().find(|f| f.0 == name) else {
            let known: Vec<&str> = Family::GGUF.iter().map(|f| f.0).collect();
            let known = known.join(", ");
            return Err(NnError::Config(format!("the file describes a '{}' model; known are {known}", shown(name))));
        };
        let keys = Keys { metadata, arch };
        let hidden = keys.size("embedding_length")?;
        let heads = keys.size("attention.head_count")?;
        let dim = match keys.has("attention.key_length") {
            true => keys.size("attention.key_length")?,
            false => head_dim(hidden, heads)?,
        };
        if keys.size_or("attention.value_length", dim)? != dim {
            return Err(NnError::Config("keys and values of different widths are not known here".into()));
        }
        let gemma = family == Family::Gemma3;
        let has_window = keys.has("attention.sliding_window") && (gemma || family == Family::Phi3);
        let window = if has_window { Some(keys.size("attention.sliding_window")?) } else { None };
        let config = Self {
            family,
            hidden,
            layers: keys.size("block_count")?,
            heads,
            kv_heads: keys.size_or("attention.head_count_kv", heads)?,
            head_dim: dim,
            intermediate: keys.size("feed_forward_length")?,
            vocab,
            context: keys.size("context_length")?,
            eps: keys.float_or("attention.layer_norm_rms_epsilon", 1e-5, 0.0..=1.0)?,
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            rope: Some(rope(&keys, family, dim)?),
            unrotated_every: if family == Family::SmolLm3 { 4 } else { 0 },
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: 1.0 / (dim as f32).sqrt(),
            window,
            global_every: if gemma { 6 } else { 0 },
        };
        config.check()
    }

    /// Reads GPT-2's config.json.
    ///
    /// # Errors
    /// As [`Self::from_metadata`].
    pub fn from_json(json: &Value) -> Result<Self, NnError> {
        let kind = json.get("model_type").and_then(Value::as_str).unwrap_or("");
        if kind != "gpt2" {
            let why = format!(
                "config.json describes a '{}' model; from a folder this task runs 'gpt2' (DialoGPT), others as GGUF files",
                shown(kind)
            );
            return Err(NnError::Config(why));
        }
        let keys = keys::Keys(json);
        let (hidden, heads) = (keys.size("n_embd")?, keys.size("n_head")?);
        let dim = head_dim(hidden, heads)?;
        let act = keys.text("activation_function")?.unwrap_or("gelu_new");
        let activation = Activation::from_name(act)
            .ok_or_else(|| NnError::Config(format!("config.json asks for the unknown activation '{}'", shown(act))))?;
        let config = Self {
            family: Family::Gpt2,
            hidden,
            layers: keys.layers("n_layer")?,
            heads,
            kv_heads: heads,
            head_dim: dim,
            intermediate: keys.size_or("n_inner", 4 * hidden)?,
            vocab: keys.size("vocab_size")?,
            context: keys.size("n_positions")?,
            eps: keys.epsilon("layer_norm_epsilon", 1e-5)?,
            activation,
            rope: None,
            unrotated_every: 0,
            embedding_scale: 1.0,
            attention_scale: 1.0 / (dim as f32).sqrt(),
            window: None,
            global_every: 0,
        };
        config.check()
    }

    fn check(self) -> Result<Self, NnError> {
        let wrong = |why: String| Err(NnError::Config(why));
        check_heads(self.heads, self.head_dim)?;
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return wrong(format!("{} heads cannot share {} key heads", self.heads, self.kv_heads));
        }
        if self.layers > MOST_LAYERS {
            return wrong(format!("{} layers cannot be", self.layers));
        }
        if self.vocab == 0 {
            return wrong("the file has no tokens".into());
        }
        if let Some(rope) = &self.rope
            && (rope.dim > self.head_dim || !rope.dim.is_multiple_of(2))
        {
            return wrong(format!("{} of {} columns cannot be rotated", rope.dim, self.head_dim));
        }
        Ok(self)
    }

    /// Whether `layer` has the sliding window.
    pub fn is_local(&self, layer: usize) -> bool {
        self.window.is_some() && (self.global_every == 0 || !(layer + 1).is_multiple_of(self.global_every))
    }

    /// Whether queries and keys of `layer` are rotated.
    pub fn is_rotated(&self, layer: usize) -> bool {
        self.rope.is_some() && (self.unrotated_every == 0 || !(layer + 1).is_multiple_of(self.unrotated_every))
    }

    /// Bytes of keys and values per token, f16.
    pub fn cache_bytes_per_token(&self) -> usize {
        self.layers * self.kv_heads * self.head_dim * 2 * 2
    }
}

fn rope(keys: &Keys<'_>, family: Family, head_dim: usize) -> Result<Rope, NnError> {
    let scaling = keys.metadata.text(&format!("{}.rope.scaling.type", keys.arch));
    if scaling.is_none() && keys.has("rope.scaling.type") {
        return Err(keys.wrong("rope.scaling.type", "no word"));
    }
    let scaling = scaling.unwrap_or("none");
    let factor = match scaling {
        "none" | "longrope" | "su" => 1.0,
        "linear" => keys.float_or("rope.scaling.factor", 1.0, 1e-3..=1e6)?,
        other => {
            return Err(NnError::Config(format!(
                "the file asks for '{}' rope scaling, which is not known here",
                shown(other)
            )));
        }
    };
    let context = keys.size("context_length")?;
    let original_context = keys.size_or("rope.scaling.original_context_length", context)?;
    let base = keys.float_or("rope.freq_base", 10_000.0, 1.0..=1e12)?;
    let gemma = family == Family::Gemma3;
    Ok(Rope {
        base: if gemma && keys.number("rope.freq_base").is_none() { 1e6 } else { base },
        local_base: gemma.then_some(10_000.0),
        factor,
        dim: keys.size_or("rope.dimension_count", head_dim)?,
        interleaved: matches!(family, Family::Llama | Family::SmolLm3),
        original_context,
        magnitude: keys.float_or("rope.scaling.attn_factor", 1.0, 1e-3..=1e3)?,
    })
}
