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

    /// The first of these tables that is there.
    fn table(&self, names: &[&str], shape: [usize; 2]) -> Result<RawTensor, NnError> {
        let all: Vec<String> = names.iter().flat_map(|n| self.names(n)).collect();
        fetch(self.source, &all, &shape)
    }

    /// The words of the source, and of the target where those are others.
    ///
    /// Checkpoints carry one of the tables that are the same, or several; the first of them counts, as in `transformers`
    /// (4.57; of the output layer alone 5.0 makes the others).
    fn words(&self) -> Result<(RawTensor, Option<RawTensor>), NnError> {
        let c = self.config;
        let [encoder, decoder] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
        if !c.shared {
            let target = self.table(&[decoder], [c.vocab, c.hidden]);
            return Ok((self.table(&[encoder], [c.source_vocab, c.hidden])?, Some(target?)));
        }
        let same = ["shared.weight", encoder, decoder, "lm_head.weight"];
        let same = if c.tied { &same[..] } else { &same[..3] };
        Ok((self.table(same, [c.source_vocab, c.hidden])?, None))
    }

    /// The output layer, where it is none of the tables of words.
    fn output(&self) -> Result<Option<RawTensor>, NnError> {
        let (c, name) = (self.config, "lm_head.weight");
        // What transformers 5 saves says that it is tied in any case; the tensor tells.
        let own = !c.tied || c.own_output && self.has(name);
        // It stands outside of the model's prefix.
        let names = [vec![name.to_owned()], self.names(name)].concat();
        if own { fetch(self.source, &names, &[c.vocab, c.hidden]).map(Some) } else { Ok(None) }
    }

    /// Embeddings, last norms, output layer.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn ends(&self) -> Result<Ends, NnError> {
        let c = self.config;
        let (source_words, target_words) = self.words()?;
        let output = self.output()?;
        if c.family == Family::T5 {
            let table = |side: &str| {
                let name = format!("{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
                let buckets = c.relative.map_or(0, |r| r.buckets);
                Ok::<_, NnError>(self.matrix(&name, [buckets, c.decoder.heads])?.to_f32())
            };
            return Ok(Ends {
                source_words,
                target_words,
                output,
                output_bias: Vec::new(),
                norms: [Some(self.norm("encoder.final_layer_norm")?), Some(self.norm("decoder.final_layer_norm")?)],
                positions: [Vec::new(), Vec::new()],
                relative: [table("encoder")?, table("decoder")?],
            });
        }
        let bias = if self.has("final_logits_bias") {
            fetch(self.source, &self.names("final_logits_bias"), &[1, c.vocab])?.to_f32()
        } else {
            Vec::new()
        };
        Ok(Ends {
            source_words,
            target_words,
            output,
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
