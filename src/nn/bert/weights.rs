//! Hugging Face's tensor names of the families, read layer by layer.

use super::config::{Config, Family};
use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
pub use crate::nn::parts::{Linear, Norm};
use crate::nn::source::{RawTensor, TensorSource, fetch};

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

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// `out · act(dense · h)` of the first token: logits of a sequence.
    Classify,
    /// `out · h` of every token: logits of token classes.
    Tokens,
    /// `out · h` of every token, two numbers: start and end logits of an answer.
    Spans,
    /// The mean of all tokens' states: a sentence embedding.
    Mean,
    /// The first token's state: a sentence embedding of models trained so.
    First,
    /// Of every token, as they are: `[tokens, hidden]`.
    States,
}

impl HeadKind {
    /// Which rows of the last layer it reads.
    pub fn keep(self) -> Keep {
        match self {
            Self::Classify | Self::First => Keep::First,
            Self::Tokens | Self::Spans | Self::States => Keep::All,
            Self::Mean => Keep::Mean,
        }
    }
}

/// Rows of the last layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    First,
    All,
    Mean,
}

/// A head's linear layers, those that its kind has.
#[derive(Default)]
pub struct Head {
    pub dense: Option<(Linear, Activation)>,
    pub out: Option<Linear>,
}

/// Reads tensors by the names of one family.
pub struct Reader<'a> {
    pub config: &'a Config,
    pub source: &'a dyn TensorSource,
}

impl Reader<'_> {
    fn bert(&self) -> bool {
        self.config.family != Family::DistilBert
    }

    /// The names under which an encoder tensor may stand: with the family's prefix, or bare.
    fn names(&self, tail: &str) -> Vec<String> {
        let prefix = match self.config.family {
            Family::Bert => "bert",
            Family::DistilBert => "distilbert",
            Family::Roberta => "roberta",
        };
        vec![format!("{prefix}.{tail}"), tail.to_owned()]
    }

    fn vector(&self, names: &[String], shape: &[usize]) -> Result<Vec<f32>, NnError> {
        Ok(fetch(self.source, names, shape)?.to_f32())
    }

    fn linear(&self, tail: &str, out: usize, inputs: usize) -> Result<Linear, NnError> {
        let weight = fetch(self.source, &self.names(&format!("{tail}.weight")), &[out, inputs])?;
        Ok(Linear { weight, bias: self.vector(&self.names(&format!("{tail}.bias")), &[out])? })
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
        let mut positions = self.vector(&table("position"), &[c.positions + c.position_offset, c.hidden])?;
        positions.drain(..c.position_offset * c.hidden);
        Ok(Embeddings {
            words: fetch(self.source, &table("word"), &[c.vocab, c.hidden])?,
            positions,
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
        let [q, k, v] = [
            pick("attention.self.query", "attention.q_lin"),
            pick("attention.self.key", "attention.k_lin"),
            pick("attention.self.value", "attention.v_lin"),
        ]
        .map(|name| self.linear(&name, h, h));
        let parts = [q?, k?, v?];
        let weight = RawTensor::stacked(&parts.each_ref().map(|p| &p.weight))?;
        let qkv = Linear { weight, bias: parts.iter().flat_map(|p| p.bias.iter().copied()).collect() };
        Ok(Layer {
            qkv,
            out: self.linear(&pick("attention.output.dense", "attention.out_lin"), h, h)?,
            norm_attention: self.norm(&pick("attention.output.LayerNorm", "sa_layer_norm"))?,
            up: self.linear(&pick("intermediate.dense", "ffn.lin1"), i, h)?,
            down: self.linear(&pick("output.dense", "ffn.lin2"), h, i)?,
            norm_output: self.norm(&pick("output.LayerNorm", "output_layer_norm"))?,
        })
    }

    /// The layers of a head. For a sequence: BERT's pooler (tanh) and classifier, DistilBERT's
    /// pre-classifier (ReLU) and classifier, RoBERTa's two-layer classifier (tanh).
    ///
    /// # Errors
    /// A missing tensor or a wrong shape; a base encoder has no `classifier.weight`.
    pub fn head(&self, kind: HeadKind) -> Result<Head, NnError> {
        let (h, labels) = (self.config.hidden, self.config.labels.len());
        let (dense, out) = match (kind, self.config.family) {
            (HeadKind::Classify, Family::Bert) => {
                (Some(("pooler.dense", Activation::Tanh)), Some(("classifier", labels)))
            }
            (HeadKind::Classify, Family::DistilBert) => {
                (Some(("pre_classifier", Activation::Relu)), Some(("classifier", labels)))
            }
            (HeadKind::Classify, Family::Roberta) => {
                (Some(("classifier.dense", Activation::Tanh)), Some(("classifier.out_proj", labels)))
            }
            (HeadKind::Tokens, _) => (None, Some(("classifier", labels))),
            (HeadKind::Spans, _) => (None, Some(("qa_outputs", 2))),
            (HeadKind::Mean | HeadKind::First | HeadKind::States, _) => (None, None),
        };
        Ok(Head {
            dense: dense.map(|(name, act)| Ok::<_, NnError>((self.linear(name, h, h)?, act))).transpose()?,
            out: out.map(|(name, n)| self.linear(name, n, h)).transpose()?,
        })
    }
}
