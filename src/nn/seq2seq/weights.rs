//! Hugging Face's tensor names of T5 and Marian, read layer by layer into one shape.

use super::config::{Config, Family, Stack};
use super::positions::sinusoids;
use crate::nn::NnError;
pub use crate::nn::parts::{Linear, Norm};
use crate::nn::source::{RawTensor, TensorSource, fetch};

/// Self-attention.
pub struct Attention {
    pub norm: Norm,
    /// Q, K and V stacked: `[3 · inner, hidden]`.
    pub qkv: Linear,
    pub out: Linear,
}

/// Attention of the decoder to the source.
pub struct Cross {
    pub norm: Norm,
    pub q: Linear,
    /// K and V stacked: `[2 · inner, hidden]`.
    pub kv: Linear,
    pub out: Linear,
}

/// Feed-forward.
pub struct Feed {
    pub norm: Norm,
    /// `None`: a plain two-layer network.
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
}

/// One layer of the encoder, or of the decoder (which has `cross`).
pub struct Layer {
    pub attention: Attention,
    pub cross: Option<Cross>,
    pub feed: Feed,
}

/// Everything outside the layers.
pub struct Ends {
    /// `[source_vocab, hidden]`
    pub source_words: RawTensor,
    /// `[vocab, hidden]`; `None`: the source's.
    pub target_words: Option<RawTensor>,
    /// `[vocab, hidden]`; `None`: the target's words.
    pub output: Option<RawTensor>,
    /// `[vocab]`, or empty.
    pub output_bias: Vec<f32>,
    /// The last norm of each stack, where there is one.
    pub norms: [Option<Norm>; 2],
    /// Marian's `[positions, hidden]` of each stack: what the checkpoint carries, else sinusoids.
    pub positions: [Vec<f32>; 2],
    /// T5's `[buckets, heads]` of each stack.
    pub relative: [Vec<f32>; 2],
}

/// Which of the two stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Encoder,
    Decoder,
}

/// Reads tensors by the names of one family.
pub struct Reader<'a> {
    pub config: &'a Config,
    pub source: &'a dyn TensorSource,
}

impl Reader<'_> {
    /// Marian's checkpoints come with a prefix, or without.
    fn names(&self, name: &str) -> Vec<String> {
        if self.config.family == Family::Marian {
            vec![format!("model.{name}"), name.to_owned()]
        } else {
            vec![name.to_owned()]
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names(name).iter().any(|n| self.source.has(n))
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<RawTensor, NnError> {
        fetch(self.source, &self.names(name), &shape)
    }

    fn vector(&self, name: &str, width: usize) -> Result<Vec<f32>, NnError> {
        Ok(fetch(self.source, &self.names(name), &[width])?.to_f32())
    }

    fn optional(&self, name: &str, width: usize) -> Result<Vec<f32>, NnError> {
        if self.has(name) { self.vector(name, width) } else { Ok(Vec::new()) }
    }

    fn linear(&self, name: &str, out: usize, inputs: usize) -> Result<Linear, NnError> {
        let weight = self.matrix(&format!("{name}.weight"), [out, inputs])?;
        Ok(Linear { weight, bias: self.optional(&format!("{name}.bias"), out)? })
    }

    /// Several layers of one input as one.
    fn stacked(&self, names: &[String], out: usize, inputs: usize) -> Result<Linear, NnError> {
        let parts: Vec<Linear> = names.iter().map(|n| self.linear(n, out, inputs)).collect::<Result<_, _>>()?;
        let weights: Vec<&RawTensor> = parts.iter().map(|p| &p.weight).collect();
        let bias = if parts.iter().all(|p| p.bias.is_empty()) {
            Vec::new()
        } else {
            let full = |p: &Linear| if p.bias.is_empty() { vec![0.0; out] } else { p.bias.clone() };
            parts.iter().flat_map(full).collect()
        };
        Ok(Linear { weight: RawTensor::stacked(&weights)?, bias })
    }

    fn norm(&self, name: &str) -> Result<Norm, NnError> {
        let width = self.config.hidden;
        let beta =
            if self.config.family == Family::T5 { Vec::new() } else { self.vector(&format!("{name}.bias"), width)? };
        Ok(Norm { gamma: self.vector(&format!("{name}.weight"), width)?, beta })
    }

    /// Positions of one of Marian's stacks.
    fn positions(&self, side: &str) -> Result<Vec<f32>, NnError> {
        let (name, shape) = (format!("{side}.embed_positions.weight"), [self.config.positions, self.config.hidden]);
        if self.has(&name) { Ok(self.matrix(&name, shape)?.to_f32()) } else { Ok(sinusoids(shape[0], shape[1])) }
    }

    /// Embeddings, last norms, output layer.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn ends(&self) -> Result<Ends, NnError> {
        let c = self.config;
        let shapes = [[c.source_vocab, c.hidden], [c.vocab, c.hidden]];
        let either = |names: [&str; 2], shape: [usize; 2]| {
            let all: Vec<String> = names.iter().flat_map(|n| self.names(n)).collect();
            fetch(self.source, &all, &shape)
        };
        let own = |name: &str| -> Result<Option<RawTensor>, NnError> {
            if self.has(name) { Ok(Some(self.matrix(name, shapes[1])?)) } else { Ok(None) }
        };
        if c.family == Family::T5 {
            let table = |side: &str| {
                let name = format!("{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
                let buckets = c.relative.map_or(0, |r| r.buckets);
                Ok::<_, NnError>(self.matrix(&name, [buckets, c.decoder.heads])?.to_f32())
            };
            return Ok(Ends {
                source_words: either(["shared.weight", "encoder.embed_tokens.weight"], shapes[0])?,
                target_words: None,
                // A tied checkpoint may carry a copy; only an untied one's counts.
                output: if c.own_output { own("lm_head.weight")? } else { None },
                output_bias: Vec::new(),
                norms: [Some(self.norm("encoder.final_layer_norm")?), Some(self.norm("decoder.final_layer_norm")?)],
                positions: [Vec::new(), Vec::new()],
                relative: [table("encoder")?, table("decoder")?],
            });
        }
        let separate = !self.has("shared.weight") && self.has("decoder.embed_tokens.weight");
        let bias = if self.has("final_logits_bias") {
            fetch(self.source, &self.names("final_logits_bias"), &[1, c.vocab])?.to_f32()
        } else {
            Vec::new()
        };
        let target_words = if separate { own("decoder.embed_tokens.weight")? } else { None };
        Ok(Ends {
            source_words: either(["shared.weight", "encoder.embed_tokens.weight"], shapes[0])?,
            output: if separate || c.own_output { own("lm_head.weight")? } else { None },
            target_words,
            output_bias: bias,
            norms: [None, None],
            positions: [self.positions("encoder")?, self.positions("decoder")?],
            relative: [Vec::new(), Vec::new()],
        })
    }

    /// Layer `index` of one stack.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn layer(&self, side: Side, index: usize) -> Result<Layer, NnError> {
        let c = self.config;
        let (word, stack) = match side {
            Side::Encoder => ("encoder", c.encoder),
            Side::Decoder => ("decoder", c.decoder),
        };
        if c.family == Family::T5 {
            self.t5_layer(&format!("{word}.block.{index}.layer"), side, stack)
        } else {
            self.marian_layer(&format!("{word}.layers.{index}"), side, stack)
        }
    }

    fn t5_layer(&self, at: &str, side: Side, stack: Stack) -> Result<Layer, NnError> {
        let (h, inner) = (self.config.hidden, self.config.inner(stack));
        let own = format!("{at}.0.SelfAttention");
        let attention = Attention {
            norm: self.norm(&format!("{at}.0.layer_norm"))?,
            qkv: self.stacked(&["q", "k", "v"].map(|p| format!("{own}.{p}")), inner, h)?,
            out: self.linear(&format!("{own}.o"), h, inner)?,
        };
        let cross = format!("{at}.1.EncDecAttention");
        let cross = match side {
            Side::Encoder => None,
            Side::Decoder => Some(Cross {
                norm: self.norm(&format!("{at}.1.layer_norm"))?,
                q: self.linear(&format!("{cross}.q"), inner, h)?,
                kv: self.stacked(&["k", "v"].map(|p| format!("{cross}.{p}")), inner, h)?,
                out: self.linear(&format!("{cross}.o"), h, inner)?,
            }),
        };
        let at = format!("{at}.{}", if side == Side::Encoder { 1 } else { 2 });
        let dense = |name: &str| format!("{at}.DenseReluDense.{name}");
        let ff = stack.intermediate;
        let gated = self.config.gated;
        let feed = Feed {
            norm: self.norm(&format!("{at}.layer_norm"))?,
            gate: if gated { Some(self.linear(&dense("wi_0"), ff, h)?) } else { None },
            up: self.linear(&dense(if gated { "wi_1" } else { "wi" }), ff, h)?,
            down: self.linear(&dense("wo"), h, ff)?,
        };
        Ok(Layer { attention, cross, feed })
    }

    fn marian_layer(&self, at: &str, side: Side, stack: Stack) -> Result<Layer, NnError> {
        let (h, inner, ff) = (self.config.hidden, self.config.inner(stack), stack.intermediate);
        let own = |p: &str| format!("{at}.self_attn.{p}_proj");
        let cross = |p: &str| format!("{at}.encoder_attn.{p}_proj");
        let attention = Attention {
            norm: self.norm(&format!("{at}.self_attn_layer_norm"))?,
            qkv: self.stacked(&["q", "k", "v"].map(own), inner, h)?,
            out: self.linear(&own("out"), h, inner)?,
        };
        let cross = match side {
            Side::Encoder => None,
            Side::Decoder => Some(Cross {
                norm: self.norm(&format!("{at}.encoder_attn_layer_norm"))?,
                q: self.linear(&cross("q"), inner, h)?,
                kv: self.stacked(&["k", "v"].map(cross), inner, h)?,
                out: self.linear(&cross("out"), h, inner)?,
            }),
        };
        let feed = Feed {
            norm: self.norm(&format!("{at}.final_layer_norm"))?,
            gate: None,
            up: self.linear(&format!("{at}.fc1"), ff, h)?,
            down: self.linear(&format!("{at}.fc2"), h, ff)?,
        };
        Ok(Layer { attention, cross, feed })
    }
}
