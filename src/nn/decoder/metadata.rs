//! A GGUF file's metadata, read by the names of one family.

use crate::nn::NnError;
use crate::nn::keys::shown;
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

/// What a file may say of its architecture: what is read here, and what changes nothing.
const KNOWN: [&str; 36] = [
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "tensor_data_layout",
    "pooling_type",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    // Of norms that these families do not have.
    "attention.layer_norm_epsilon",
    // Says nothing without experts.
    "expert_used_count",
    "attention.causal",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "license",
    "author",
    "version",
    "name",
    "file_type",
];

/// What is known only where it does nothing: the value at which that is.
const NEUTRAL: [(&str, f64); 13] = [
    ("expert_count", 0.0),
    ("expert_shared_count", 0.0),
    ("nextn_predict_layers", 0.0),
    ("leading_dense_block_count", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.scale", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("logit_scale", 1.0),
    ("residual_scale", 1.0),
    ("embedding_scale", 1.0),
    ("rope.dimension_sections", 0.0),
];

/// Values by key, as GGUF files have them.
pub trait Metadata {
    /// A number.
    fn number(&self, key: &str) -> Option<f64>;
    /// A string.
    fn text(&self, key: &str) -> Option<&str>;
    /// Whether there is anything of that name.
    fn has_key(&self, key: &str) -> bool;
    /// True or false.
    fn flag(&self, key: &str) -> Option<bool>;
    /// All names.
    fn keys(&self) -> Vec<&str>;
}

/// Upper bounds that keep a forged file from asking for absurd amounts of memory.
const MAX_SIZE: f64 = 16_777_216.0;

/// Reads numbers of one family.
pub(super) struct Keys<'a> {
    pub metadata: &'a dyn Metadata,
    pub arch: &'static str,
}

impl Keys<'_> {
    pub fn number(&self, tail: &str) -> Option<f64> {
        self.metadata.number(&format!("{}.{tail}", self.arch))
    }

    /// A size that must be there.
    pub fn size(&self, tail: &str) -> Result<usize, NnError> {
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

    pub fn size_or(&self, tail: &str, otherwise: usize) -> Result<usize, NnError> {
        if self.has(tail) { self.size(tail) } else { Ok(otherwise) }
    }

    pub fn float_or(&self, tail: &str, otherwise: f32, range: RangeInclusive<f64>) -> Result<f32, NnError> {
        match self.number(tail) {
            None if self.has(tail) => Err(self.wrong(tail, "no single number")),
            None => Ok(otherwise),
            Some(value) if range.contains(&value) => Ok(value as f32),
            Some(value) => Err(self.wrong(tail, value)),
        }
    }

    /// Refuses what is not known here: it may change what the model computes.
    pub fn nothing_else(&self) -> Result<(), NnError> {
        for key in self.metadata.keys() {
            let Some(tail) = key.strip_prefix(self.arch).and_then(|t| t.strip_prefix('.')) else { continue };
            let neutral = NEUTRAL.iter().find(|n| n.0 == tail).map(|n| n.1);
            let is_off = neutral.is_some() && self.number(tail) == neutral;
            if !KNOWN.contains(&tail) && !is_off {
                let arch = self.arch;
                return Err(NnError::Config(format!(
                    "the file has '{arch}.{}', which is not known here and may change what the model computes",
                    shown(tail)
                )));
            }
        }
        Ok(())
    }

    pub fn has(&self, tail: &str) -> bool {
        self.metadata.has_key(&format!("{}.{tail}", self.arch))
    }

    pub fn wrong(&self, tail: &str, value: impl std::fmt::Display) -> NnError {
        NnError::Config(format!("'{}.{tail}' is {value}, which cannot be", self.arch))
    }
}
