//! Sizes and switches of a decoder, from GGUF metadata or from GPT-2's config.json.

use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use serde_json::Value;

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
}

/// Upper bounds that keep a forged file from asking for absurd amounts of memory.
const MAX_SIZE: f64 = 16_777_216.0;
const MAX_LAYERS: usize = 1_024;

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
            return Err(NnError::Config(format!("the file has no '{key}'")));
        };
        if !(1.0..=MAX_SIZE).contains(&value) || value.fract() != 0.0 {
            return Err(NnError::Config(format!("'{key}' is {value}, which cannot be")));
        }
        Ok(value as usize)
    }

    fn size_or(&self, tail: &str, otherwise: usize) -> Result<usize, NnError> {
        if self.number(tail).is_some() { self.size(tail) } else { Ok(otherwise) }
    }

    fn float_or(&self, tail: &str, otherwise: f32) -> f32 {
        self.number(tail).map_or(otherwise, |v| v as f32)
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
            return Err(NnError::Config(format!("the file describes a '{name}' model; known are {known}")));
        };
        let keys = Keys { metadata, arch };
        let hidden = keys.size("embedding_length")?;
        let heads = keys.size("attention.head_count")?;
        let head_dim = keys.size_or("attention.key_length", hidden / heads)?;
        let gemma = family == Family::Gemma3;
        let window = keys.number("attention.sliding_window").filter(|w| (1.0..=MAX_SIZE).contains(w));
        let config = Self {
            family,
            hidden,
            layers: keys.size("block_count")?,
            heads,
            kv_heads: keys.size_or("attention.head_count_kv", heads)?,
            head_dim,
            intermediate: keys.size("feed_forward_length")?,
            vocab,
            context: keys.size("context_length")?,
            eps: keys.float_or("attention.layer_norm_rms_epsilon", 1e-5),
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            rope: Some(rope(&keys, family, head_dim)?),
            unrotated_every: if family == Family::SmolLm3 { 4 } else { 0 },
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            window: window.map(|w| w as usize).filter(|_| gemma || family == Family::Phi3),
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
                "config.json describes a '{kind}' model; from a folder this task runs 'gpt2' (DialoGPT), others as GGUF files"
            );
            return Err(NnError::Config(why));
        }
        let size = |key: &str| {
            let value = json.get(key).and_then(Value::as_u64).filter(|v| (1..=1 << 24).contains(v));
            value.map(|v| v as usize).ok_or_else(|| NnError::Config(format!("config.json has no usable '{key}'")))
        };
        let (hidden, heads) = (size("n_embd")?, size("n_head")?);
        let act = json.get("activation_function").and_then(Value::as_str).unwrap_or("gelu_new");
        let activation = Activation::from_name(act)
            .ok_or_else(|| NnError::Config(format!("config.json asks for the unknown activation '{act}'")))?;
        let inner = if json.get("n_inner").is_some_and(|v| !v.is_null()) { size("n_inner")? } else { 4 * hidden };
        let config = Self {
            family: Family::Gpt2,
            hidden,
            layers: size("n_layer")?,
            heads,
            kv_heads: heads,
            head_dim: hidden / heads,
            intermediate: inner,
            vocab: size("vocab_size")?,
            context: size("n_positions")?,
            eps: json.get("layer_norm_epsilon").and_then(Value::as_f64).unwrap_or(1e-5) as f32,
            activation,
            rope: None,
            unrotated_every: 0,
            embedding_scale: 1.0,
            attention_scale: 1.0 / ((hidden / heads) as f32).sqrt(),
            window: None,
            global_every: 0,
        };
        config.check()
    }

    fn check(self) -> Result<Self, NnError> {
        let wrong = |why: String| Err(NnError::Config(why));
        if self.head_dim == 0 || self.heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return wrong(format!("{} heads cannot share {} key heads", self.heads, self.kv_heads));
        }
        if self.layers > MAX_LAYERS || self.heads > 4_096 || self.head_dim > 4_096 {
            return wrong(format!("{} layers of {} heads cannot be", self.layers, self.heads));
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
    let scaling = keys.metadata.text(&format!("{}.rope.scaling.type", keys.arch)).unwrap_or("none");
    let factor = match scaling {
        "none" | "longrope" | "su" => 1.0,
        "linear" => keys.float_or("rope.scaling.factor", 1.0),
        other => {
            return Err(NnError::Config(format!("the file asks for '{other}' rope scaling, which is not known here")));
        }
    };
    let context = keys.size("context_length")?;
    let original_context = keys.size_or("rope.scaling.original_context_length", context)?;
    let base = keys.float_or("rope.freq_base", 10_000.0);
    if !(base > 0.0 && factor > 0.0) {
        return Err(NnError::Config(format!("rope base {base} with factor {factor} cannot be")));
    }
    let gemma = family == Family::Gemma3;
    Ok(Rope {
        base: if gemma && keys.number("rope.freq_base").is_none() { 1e6 } else { base },
        local_base: gemma.then_some(10_000.0),
        factor,
        dim: keys.size_or("rope.dimension_count", head_dim)?,
        interleaved: matches!(family, Family::Llama | Family::SmolLm3),
        original_context,
        magnitude: keys.float_or("rope.scaling.attn_factor", 1.0),
    })
}
