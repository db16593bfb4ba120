//! Sizes and switches of a decoder, from GGUF metadata or from GPT-2's config.json.

use super::metadata::Keys;
pub use super::metadata::{Family, Metadata};
pub use super::rope::Rope;
use super::rope::rope;
use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::keys::{self, MOST_LAYERS, check_heads, head_dim, shown};
use serde_json::Value;

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
    /// Rows of the table of learned positions; 0 without one.
    pub positions: usize,
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
    /// Whether the output layer may be the words again. Of a GGUF file only its tensors say whether it is.
    pub tied: bool,
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
        keys.nothing_else()?;
        let hidden = keys.size("embedding_length")?;
        let heads = keys.size("attention.head_count")?;
        let dim = match keys.has("attention.key_length") {
            true => keys.size("attention.key_length")?,
            false => head_dim(hidden, heads)?,
        };
        if keys.size_or("attention.value_length", dim)? != dim {
            return Err(NnError::Config("keys and values of different widths are not known here".into()));
        }
        if metadata.flag(&format!("{arch}.attention.causal")) == Some(false) {
            return Err(keys.wrong("attention.causal", "false: a model that looks ahead"));
        }
        let gemma = family == Family::Gemma3;
        let window = window(&keys, family)?;
        let layers = keys.size("block_count")?;
        // The largest of Gemma 3 scales by its hidden columns for each head, which no key says.
        let scaled_by = if gemma && layers == GEMMA_27B { hidden / heads } else { dim };
        let config = Self {
            family,
            hidden,
            layers,
            heads,
            kv_heads: keys.size_or("attention.head_count_kv", heads)?,
            head_dim: dim,
            intermediate: keys.size("feed_forward_length")?,
            vocab,
            context: keys.size("context_length")?,
            positions: 0,
            eps: keys.float_or("attention.layer_norm_rms_epsilon", 1e-5, 0.0..=1.0)?,
            activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
            rope: Some(rope(&keys, family, dim)?),
            unrotated_every: if family == Family::SmolLm3 { 4 } else { 0 },
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            attention_scale: 1.0 / (scaled_by as f32).sqrt(),
            window,
            global_every: if gemma { GEMMA_GLOBAL } else { 0 },
            tied: true,
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
        keys.nothing_else(&GPT2_KEYS)?;
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
            positions: keys.size("n_positions")?,
            eps: keys.epsilon("layer_norm_epsilon", 1e-5)?,
            activation,
            rope: None,
            unrotated_every: 0,
            embedding_scale: 1.0,
            attention_scale: 1.0 / (dim as f32).sqrt(),
            window: None,
            global_every: 0,
            tied: keys.flag("tie_word_embeddings", true)?,
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

/// What is read of GPT-2's config.json.
const GPT2_KEYS: [&str; 20] = [
    "model_type",
    "n_embd",
    "n_head",
    "n_layer",
    "n_inner",
    "n_positions",
    "vocab_size",
    "layer_norm_epsilon",
    "activation_function",
    "tie_word_embeddings",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_eos_token_id",
    "forced_bos_token_id",
    "bad_words_ids",
    "num_beams",
    "id2label",
    "num_labels",
    "problem_type",
];

/// Layers of Gemma 3 27B.
const GEMMA_27B: usize = 62;

/// Of so many of Gemma's layers the last sees everything.
const GEMMA_GLOBAL: usize = 6;

/// The sliding window of the families that have one. Elsewhere one that is shorter than the context is refused.
fn window(keys: &Keys<'_>, family: Family) -> Result<Option<usize>, NnError> {
    let (name, pattern) = ("attention.sliding_window", "attention.sliding_window_pattern");
    let gemma = family == Family::Gemma3;
    if keys.number(pattern).is_some_and(|every| !gemma || every != GEMMA_GLOBAL as f64) {
        return Err(keys.wrong(pattern, "another than this family's"));
    }
    if !keys.has(name) || keys.number(name) == Some(0.0) {
        return Ok(None);
    }
    let window = keys.size(name)?;
    if gemma || family == Family::Phi3 {
        return Ok(Some(window));
    }
    if window < keys.size("context_length")? {
        let why = format!("'{}.{name}' asks for a sliding window, which this family has not here", keys.arch);
        return Err(NnError::Config(why));
    }
    Ok(None)
}
