//! Sizes and switches of an encoder-decoder, from Hugging Face's config.json.

use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::keys::{Keys, MOST_MADE, check_heads, head_dim, shown};
use serde_json::Value;

/// The families that one encoder-decoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Raffel et al. 2020 (arXiv:1910.10683): relative position bias, root-mean-square norms before
    /// each sublayer, no biases.
    T5,
    /// Junczys-Dowmunt et al. 2018 (arXiv:1804.00344): the transformer of Vaswani et al. 2017
    /// (arXiv:1706.03762) with sinusoidal positions and layer norms after each sublayer.
    Marian,
}

/// T5's relative positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relative {
    pub buckets: usize,
    /// From this distance on all are one bucket.
    pub max_distance: usize,
}

/// Sizes of one of the two stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
}

/// Sizes and switches.
#[derive(Clone, Debug)]
pub struct Config {
    pub family: Family,
    pub hidden: usize,
    pub head_dim: usize,
    pub encoder: Stack,
    pub decoder: Stack,
    /// Entries of the source vocabulary.
    pub source_vocab: usize,
    /// Entries of the target vocabulary.
    pub vocab: usize,
    pub activation: Activation,
    /// Whether the feed-forward layers have a gate.
    pub gated: bool,
    pub eps: f32,
    /// Embeddings are multiplied by it.
    pub embedding_scale: f32,
    /// Queries are multiplied by it before the scores.
    pub attention_scale: f32,
    /// The decoder's states are multiplied by it before the output layer.
    pub logit_scale: f32,
    /// Whether the output layer may have a matrix of its own, beside the words'.
    pub own_output: bool,
    pub relative: Option<Relative>,
    /// Whether source and target words are one table.
    pub shared: bool,
    /// Whether the output layer is the table of the target's words.
    pub tied: bool,
    /// Longest source or target, in tokens.
    pub positions: usize,
    /// What a source ends with.
    pub eos: u32,
    /// Tokens that end a target.
    pub ends: Vec<u32>,
    /// Forced at the longest length.
    pub forced_eos: Option<u32>,
    /// What the decoder begins with.
    pub start: u32,
    /// Tokens that must never be written.
    pub banned: Vec<u32>,
    /// Beams, length penalty and the like that the checkpoint was made for.
    pub beams: usize,
}

/// T5 knows no longest length; its relative positions were trained on 512.
const T5_POSITIONS: usize = 4_096;

fn activation(name: &str) -> Result<Activation, NnError> {
    Activation::from_name(name)
        .ok_or_else(|| NnError::Config(format!("config.json asks for the unknown activation '{}'", shown(name))))
}

impl Config {
    /// Reads config.json.
    ///
    /// # Errors
    /// [`NnError::Config`], in words, for another architecture, a missing or impossible value.
    pub fn from_json(json: &Value) -> Result<Self, NnError> {
        let keys = Keys(json);
        let config = match keys.text("model_type")?.unwrap_or("") {
            "t5" | "mt5" => t5(&keys)?,
            "marian" => marian(&keys)?,
            other => {
                let why = format!("config.json describes a '{}' model; this task runs 't5' and 'marian'", shown(other));
                return Err(NnError::Config(why));
            }
        };
        config.check()
    }

    fn check(self) -> Result<Self, NnError> {
        let wrong = |why: String| Err(NnError::Config(why));
        for stack in [self.encoder, self.decoder] {
            check_heads(stack.heads, self.head_dim)?;
        }
        if self.encoder.heads != self.decoder.heads {
            return wrong("encoder and decoder have different numbers of heads".into());
        }
        if self.positions.saturating_mul(self.hidden) > MOST_MADE {
            return wrong(format!("{} positions of {} columns cannot be", self.positions, self.hidden));
        }
        // Half of the buckets (of each direction, in the encoder) are exact distances; the rest reach further.
        if let Some(r) = self.relative
            && (r.buckets < 4 || r.max_distance <= r.buckets / 2)
        {
            return wrong(format!("{} buckets for distances up to {} cannot be", r.buckets, r.max_distance));
        }
        if let Some(id) = self.banned.iter().find(|id| **id as usize >= self.vocab) {
            return wrong(format!("'bad_words_ids' has {id}, which is outside the vocabulary of {}", self.vocab));
        }
        for (name, id) in [("eos_token_id", self.eos), ("decoder_start_token_id", self.start)] {
            if id as usize >= self.vocab {
                return wrong(format!("'{name}' {id} is outside the vocabulary of {}", self.vocab));
            }
        }
        Ok(self)
    }

    /// Columns of all heads of a stack.
    pub fn inner(&self, stack: Stack) -> usize {
        stack.heads * self.head_dim
    }
}

/// What is read of T5's config.json.
const T5_KEYS: [&str; 21] = [
    "model_type",
    "d_model",
    "num_heads",
    "d_ff",
    "d_kv",
    "num_layers",
    "num_decoder_layers",
    "num_hidden_layers",
    "feed_forward_proj",
    "dense_act_fn",
    "is_gated_act",
    "tie_word_embeddings",
    "scale_decoder_outputs",
    "vocab_size",
    "layer_norm_epsilon",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "n_positions",
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
];
/// Keys that every checkpoint may have, whether or not a task looks at them.
const COMMON: [&str; 6] =
    ["id2label", "num_labels", "problem_type", "forced_eos_token_id", "bad_words_ids", "num_beams"];
/// What is read of Marian's.
const MARIAN_KEYS: [&str; 20] = [
    "model_type",
    "d_model",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "encoder_layers",
    "decoder_layers",
    "num_hidden_layers",
    "vocab_size",
    "decoder_vocab_size",
    "activation_function",
    "scale_embedding",
    "share_encoder_decoder_embeddings",
    "tie_word_embeddings",
    "max_position_embeddings",
    "static_position_embeddings",
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
];

fn t5(keys: &Keys<'_>) -> Result<Config, NnError> {
    keys.nothing_else(&[&T5_KEYS[..], &COMMON].concat())?;
    let hidden = keys.size("d_model")?;
    let heads = keys.size("num_heads")?;
    let intermediate = keys.size("d_ff")?;
    let layers = keys.layers("num_layers")?;
    // "relu", or "gated-" and an activation; "gated-gelu" means the tanh approximation.
    let named = keys.text("feed_forward_proj")?.unwrap_or("relu");
    let (gated, act) = named.strip_prefix("gated-").map_or((false, named), |act| (true, act));
    let act = if gated && act == "gelu" { "gelu_new" } else { act };
    // Transformers 5 writes the words' derivatives out.
    keys.agrees("is_gated_act", gated)?;
    keys.agrees("dense_act_fn", act)?;
    // Up to version 4 one flag meant two things: that the output layer is the words, and that its input is scaled.
    // Version 5 always writes it as true, scales by a flag of its own, and goes by the tensors for the rest.
    let tied = keys.flag("tie_word_embeddings", true)?;
    let is_new = keys.0.get("scale_decoder_outputs").is_some_and(|v| !v.is_null());
    let scaled = keys.flag("scale_decoder_outputs", tied)?;
    let has_own = keys.0.get("num_decoder_layers").is_some_and(|v| !v.is_null());
    let decoder_layers = if has_own { keys.layers("num_decoder_layers")? } else { layers };
    let vocab = keys.size("vocab_size")?;
    let pad = keys.id("pad_token_id", vocab)?.unwrap_or(0);
    Ok(Config {
        family: Family::T5,
        hidden,
        head_dim: keys.size("d_kv")?,
        encoder: Stack { layers, heads, intermediate },
        decoder: Stack { layers: decoder_layers, heads, intermediate },
        source_vocab: vocab,
        vocab,
        activation: activation(act)?,
        gated,
        eps: keys.epsilon("layer_norm_epsilon", 1e-6)?,
        embedding_scale: 1.0,
        attention_scale: 1.0,
        logit_scale: if scaled { 1.0 / (hidden as f32).sqrt() } else { 1.0 },
        own_output: is_new || !tied,
        relative: Some(Relative {
            buckets: keys.size_or("relative_attention_num_buckets", 32)?,
            max_distance: keys.size_or("relative_attention_max_distance", 128)?,
        }),
        shared: true,
        tied,
        positions: T5_POSITIONS,
        eos: keys.id("eos_token_id", vocab)?.unwrap_or(1),
        ends: ends(keys, vocab, 1)?,
        forced_eos: None,
        start: keys.id("decoder_start_token_id", vocab)?.unwrap_or(pad),
        banned: Vec::new(),
        beams: 2,
    })
}

/// All tokens that end a target.
fn ends(keys: &Keys<'_>, vocab: usize, otherwise: u32) -> Result<Vec<u32>, NnError> {
    let ids = keys.ends(vocab)?;
    Ok(if ids.is_empty() { vec![otherwise] } else { ids })
}

fn marian(keys: &Keys<'_>) -> Result<Config, NnError> {
    keys.nothing_else(&[&MARIAN_KEYS[..], &COMMON].concat())?;
    let hidden = keys.size("d_model")?;
    let heads = keys.size("encoder_attention_heads")?;
    let dim = head_dim(hidden, heads)?;
    let source_vocab = keys.size("vocab_size")?;
    // Ids of what is written.
    let vocab = keys.size_or("decoder_vocab_size", source_vocab)?;
    let pad = keys.id("pad_token_id", vocab)?.unwrap_or(vocab as u32 - 1);
    let scale = if keys.flag("scale_embedding", false)? { (hidden as f32).sqrt() } else { 1.0 };
    keys.agrees("static_position_embeddings", true)?;
    let words = keys.list("bad_words_ids")?;
    let single = |w: &Value| match w.as_array().map(Vec::as_slice) {
        // What is no id is outside every vocabulary, and refused as such.
        Some([id]) => Some(id.as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(u32::MAX)),
        _ => None,
    };
    // Marian never writes padding, whether or not the file says so.
    let mut banned: Vec<u32> = words.into_iter().flatten().filter_map(single).collect();
    if !banned.contains(&pad) {
        banned.push(pad);
    }
    Ok(Config {
        family: Family::Marian,
        hidden,
        head_dim: dim,
        encoder: Stack { layers: keys.layers("encoder_layers")?, heads, intermediate: keys.size("encoder_ffn_dim")? },
        decoder: Stack {
            layers: keys.layers("decoder_layers")?,
            heads: keys.size("decoder_attention_heads")?,
            intermediate: keys.size("decoder_ffn_dim")?,
        },
        source_vocab,
        vocab,
        activation: activation(keys.text("activation_function")?.unwrap_or(""))?,
        gated: false,
        eps: 1e-5,
        embedding_scale: scale,
        attention_scale: 1.0 / (dim as f32).sqrt(),
        logit_scale: 1.0,
        own_output: !keys.flag("tie_word_embeddings", true)?,
        relative: None,
        // Tables of different lengths cannot be one, whatever is said.
        shared: keys.flag("share_encoder_decoder_embeddings", true)? && source_vocab == vocab,
        tied: keys.flag("tie_word_embeddings", true)?,
        positions: keys.size_or("max_position_embeddings", 512)?,
        eos: keys.id("eos_token_id", vocab)?.unwrap_or(0),
        ends: ends(keys, vocab, 0)?,
        forced_eos: keys.id("forced_eos_token_id", vocab)?,
        start: keys.id("decoder_start_token_id", vocab)?.unwrap_or(pad),
        banned,
        beams: keys.size_or("num_beams", 4)?.min(16),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gates_and_activations_come_from_one_name() {
        let base = |proj: &str| {
            json!({"model_type": "t5", "d_model": 8, "num_heads": 2, "d_ff": 16, "num_layers": 1, "d_kv": 4,
                   "vocab_size": 30, "feed_forward_proj": proj})
        };
        let plain = Config::from_json(&base("relu")).expect("config");
        assert_eq!((plain.gated, plain.activation), (false, Activation::Relu));
        let gated = Config::from_json(&base("gated-gelu")).expect("config");
        assert_eq!((gated.gated, gated.activation), (true, Activation::GeluTanh));
        assert!(Config::from_json(&base("gated-magic")).unwrap_err().to_string().contains("magic"));
    }

    #[test]
    fn another_architecture_and_absurd_sizes_are_refused() {
        let error = Config::from_json(&json!({"model_type": "bart"})).unwrap_err();
        assert!(error.to_string().contains("'bart'"), "{error}");
        let json = json!({"model_type": "marian", "d_model": 1u64 << 60});
        assert!(Config::from_json(&json).unwrap_err().to_string().contains("d_model"));
    }
}
