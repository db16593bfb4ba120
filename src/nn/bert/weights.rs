//! Hugging Face's tensor names of both families, read layer by layer.

use super::config::{Config, Family};
use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::source::{RawTensor, TensorSource, fetch};

/// A linear layer, `weight` `[out, in]` row-major, `bias` `[out]`.
pub struct Linear {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub inputs: usize,
}

/// Scale and shift of a layer norm, `[hidden]` each.
pub struct Norm {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

/// One encoder layer.
pub struct Layer {
    /// Q, K and V stacked: `[3 · hidden, hidden]`.
    pub qkv: Linear,
    pub out: Linear,
    pub norm_attention: Norm,
    pub up: Linear,
    pub down: Linear,
    pub norm_output: Norm,
}

/// Everything before the first layer.
pub struct Embeddings {
    /// `[vocab, hidden]`, left in the file's own type: only the rows of a sentence are widened.
    pub words: RawTensor,
    /// `[positions, hidden]`
    pub positions: Vec<f32>,
    /// `[types, hidden]`, empty for DistilBERT.
    pub types: Vec<f32>,
    pub norm: Norm,
}

/// Classification head: `out · act(dense · h_cls)`.
pub struct Head {
    pub dense: Linear,
    pub activation: Activation,
    pub out: Linear,
}

/// Reads tensors by the names of one family.
pub struct Reader<'a> {
    pub config: &'a Config,
    pub source: &'a dyn TensorSource,
}

impl Reader<'_> {
    fn bert(&self) -> bool {
        self.config.family == Family::Bert
    }

    /// The names under which an encoder tensor may stand: with the family's prefix, or bare.
    fn names(&self, tail: &str) -> Vec<String> {
        let prefix = if self.bert() { "bert" } else { "distilbert" };
        vec![format!("{prefix}.{tail}"), tail.to_owned()]
    }

    fn vector(&self, names: &[String], shape: &[usize]) -> Result<Vec<f32>, NnError> {
        Ok(fetch(self.source, names, shape)?.to_f32())
    }

    fn linear(&self, tail: &str, out: usize, inputs: usize) -> Result<Linear, NnError> {
        Ok(Linear {
            weight: self.vector(&self.names(&format!("{tail}.weight")), &[out, inputs])?,
            bias: self.vector(&self.names(&format!("{tail}.bias")), &[out])?,
            inputs,
        })
    }

    /// A layer norm; checkpoints converted from TensorFlow call its parts gamma and beta.
    fn norm(&self, tail: &str) -> Result<Norm, NnError> {
        let either = |new: &str, old: &str| {
            let mut names = self.names(&format!("{tail}.{new}"));
            names.extend(self.names(&format!("{tail}.{old}")));
            self.vector(&names, &[self.config.hidden])
        };
        Ok(Norm { gamma: either("weight", "gamma")?, beta: either("bias", "beta")? })
    }

    /// The embeddings.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn embeddings(&self) -> Result<Embeddings, NnError> {
        let c = self.config;
        let table = |name: &str| self.names(&format!("embeddings.{name}_embeddings.weight"));
        Ok(Embeddings {
            words: fetch(self.source, &table("word"), &[c.vocab, c.hidden])?,
            positions: self.vector(&table("position"), &[c.positions, c.hidden])?,
            types: if c.types > 0 { self.vector(&table("token_type"), &[c.types, c.hidden])? } else { Vec::new() },
            norm: self.norm("embeddings.LayerNorm")?,
        })
    }

    /// Layer `index`.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn layer(&self, index: usize) -> Result<Layer, NnError> {
        let (h, i) = (self.config.hidden, self.config.intermediate);
        let at = if self.bert() { format!("encoder.layer.{index}") } else { format!("transformer.layer.{index}") };
        let pick = |b: &str, d: &str| format!("{at}.{}", if self.bert() { b } else { d });
        let mut qkv = self.linear(&pick("attention.self.query", "attention.q_lin"), h, h)?;
        for part in [pick("attention.self.key", "attention.k_lin"), pick("attention.self.value", "attention.v_lin")] {
            let linear = self.linear(&part, h, h)?;
            qkv.weight.extend(linear.weight);
            qkv.bias.extend(linear.bias);
        }
        Ok(Layer {
            qkv,
            out: self.linear(&pick("attention.output.dense", "attention.out_lin"), h, h)?,
            norm_attention: self.norm(&pick("attention.output.LayerNorm", "sa_layer_norm"))?,
            up: self.linear(&pick("intermediate.dense", "ffn.lin1"), i, h)?,
            down: self.linear(&pick("output.dense", "ffn.lin2"), h, i)?,
            norm_output: self.norm(&pick("output.LayerNorm", "output_layer_norm"))?,
        })
    }

    /// The sequence-classification head: BERT's pooler (tanh) and classifier, or DistilBERT's
    /// pre-classifier (ReLU) and classifier.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape; a base encoder has no `classifier.weight`.
    pub fn head(&self) -> Result<Head, NnError> {
        let (h, labels) = (self.config.hidden, self.config.labels.len());
        let dense = if self.bert() { self.linear("pooler.dense", h, h)? } else { self.linear("pre_classifier", h, h)? };
        Ok(Head {
            dense,
            activation: if self.bert() { Activation::Tanh } else { Activation::Relu },
            out: self.linear("classifier", labels, h)?,
        })
    }
}
