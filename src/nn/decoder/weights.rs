//! Tensor names of each family, read layer by layer into one shape.

use super::config::{Config, Family};
use crate::nn::NnError;
pub use crate::nn::parts::{Linear, Norm};
use crate::nn::quantize::{transposed, turned};
use crate::nn::source::{RawTensor, TensorSource, fetch};

/// One layer.
pub struct Layer {
    pub norm_attention: Norm,
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    /// Norms of each head's query and key, `[head_dim]`.
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    pub out: Linear,
    pub post_attention: Option<Norm>,
    pub norm_mlp: Norm,
    /// `None`: a plain two-layer network.
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
    pub post_mlp: Option<Norm>,
}

/// Everything outside the layers.
pub struct Ends {
    /// `[vocab, hidden]`
    pub words: RawTensor,
    /// `[context, hidden]`, empty with rotary positions.
    pub positions: Vec<f32>,
    pub norm: Norm,
    /// `None`: the words again.
    pub output: Option<RawTensor>,
    /// What each rotary frequency is divided by, `[dim / 2]`: for short and for long contexts.
    pub factors: [Vec<f32>; 2],
}

/// Reads tensors by the names of one family.
pub struct Reader<'a> {
    pub config: &'a Config,
    pub source: &'a dyn TensorSource,
}

impl Reader<'_> {
    fn gpt2(&self) -> bool {
        self.config.family == Family::Gpt2
    }

    fn vector(&self, name: &str, width: usize) -> Result<Vec<f32>, NnError> {
        Ok(fetch(self.source, &self.names(name), &[width])?.to_f32())
    }

    fn optional(&self, name: &str, width: usize) -> Result<Vec<f32>, NnError> {
        if self.names(name).iter().any(|n| self.source.has(n)) { self.vector(name, width) } else { Ok(Vec::new()) }
    }

    /// GPT-2 checkpoints come with and without a prefix.
    fn names(&self, name: &str) -> Vec<String> {
        if self.gpt2() { vec![format!("transformer.{name}"), name.to_owned()] } else { vec![name.to_owned()] }
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<RawTensor, NnError> {
        fetch(self.source, &self.names(name), &shape)
    }

    fn linear(&self, name: &str, out: usize, inputs: usize) -> Result<Linear, NnError> {
        let weight = self.matrix(&format!("{name}.weight"), [out, inputs])?;
        Ok(Linear { weight, bias: self.optional(&format!("{name}.bias"), out)? })
    }

    /// GPT-2's Conv1D keeps `[in, out]`: turned here, unless it was when it became blocks.
    fn transposed(&self, name: &str, out: usize, inputs: usize) -> Result<Linear, NnError> {
        let blocks: Vec<String> = self.names(&format!("{name}.weight")).iter().map(|n| turned(n)).collect();
        let weight = if blocks.iter().any(|n| self.source.has(n)) {
            fetch(self.source, &blocks, &[out, inputs])?
        } else {
            transposed(&self.matrix(&format!("{name}.weight"), [inputs, out])?)?
        };
        Ok(Linear { weight, bias: self.vector(&format!("{name}.bias"), out)? })
    }

    fn norm(&self, name: &str) -> Result<Norm, NnError> {
        let width = self.config.hidden;
        let beta = if self.gpt2() { self.vector(&format!("{name}.bias"), width)? } else { Vec::new() };
        Ok(Norm { gamma: self.vector(&format!("{name}.weight"), width)?, beta })
    }

    fn optional_norm(&self, name: &str) -> Result<Option<Norm>, NnError> {
        let gamma = self.optional(&format!("{name}.weight"), self.config.hidden)?;
        Ok((!gamma.is_empty()).then_some(Norm { gamma, beta: Vec::new() }))
    }

    /// Embeddings, last norm and output layer.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn ends(&self) -> Result<Ends, NnError> {
        let c = self.config;
        let shape = [c.vocab, c.hidden];
        if self.gpt2() {
            // Of two tables that are the same a checkpoint may carry either; an output layer of its own must be there.
            let head = "lm_head.weight".to_owned();
            let mut words = self.names("wte.weight");
            words.extend(c.tied.then(|| head.clone()));
            let mut positions = self.matrix("wpe.weight", [c.positions, c.hidden])?.to_f32();
            // A shorter context was asked for.
            positions.truncate(c.context * c.hidden);
            return Ok(Ends {
                words: fetch(self.source, &words, &shape)?,
                positions,
                norm: self.norm("ln_f")?,
                output: if c.tied { None } else { Some(fetch(self.source, &[head], &shape)?) },
                factors: [Vec::new(), Vec::new()],
            });
        }
        let half = c.rope.as_ref().map_or(0, |r| r.dim / 2);
        let shared = self.optional("rope_freqs.weight", half)?;
        let or_shared = |own: Vec<f32>| if own.is_empty() { shared.clone() } else { own };
        let output = "output.weight";
        Ok(Ends {
            words: self.matrix("token_embd.weight", shape)?,
            positions: Vec::new(),
            norm: self.norm("output_norm")?,
            output: if self.source.has(output) { Some(self.matrix(output, shape)?) } else { None },
            factors: [
                or_shared(self.optional("rope_factors_short.weight", half)?),
                or_shared(self.optional("rope_factors_long.weight", half)?),
            ],
        })
    }

    /// Layer `index`.
    ///
    /// # Errors
    /// A missing tensor or a wrong shape.
    pub fn layer(&self, index: usize) -> Result<Layer, NnError> {
        if self.gpt2() { self.gpt2_layer(index) } else { self.gguf_layer(index) }
    }

    fn gguf_layer(&self, index: usize) -> Result<Layer, NnError> {
        let c = self.config;
        let name = |tail: &str| format!("blk.{index}.{tail}");
        let (h, ff) = (c.hidden, c.intermediate);
        let (wide, narrow) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let [q, k, v] = if self.source.has(&name("attn_qkv.weight")) {
            split(&self.linear(&name("attn_qkv"), wide + 2 * narrow, h)?, [wide, narrow, narrow])?
        } else {
            [
                self.linear(&name("attn_q"), wide, h)?,
                self.linear(&name("attn_k"), narrow, h)?,
                self.linear(&name("attn_v"), narrow, h)?,
            ]
        };
        let (gate, up) = if self.source.has(&name("ffn_gate.weight")) {
            (self.linear(&name("ffn_gate"), ff, h)?, self.linear(&name("ffn_up"), ff, h)?)
        } else {
            let [gate, up] = split(&self.linear(&name("ffn_up"), 2 * ff, h)?, [ff, ff])?;
            (gate, up)
        };
        let head_norm = |tail: &str| -> Result<Option<Vec<f32>>, NnError> {
            Ok(Some(self.optional(&name(tail), c.head_dim)?).filter(|v| !v.is_empty()))
        };
        Ok(Layer {
            norm_attention: self.norm(&name("attn_norm"))?,
            q,
            k,
            v,
            q_norm: head_norm("attn_q_norm.weight")?,
            k_norm: head_norm("attn_k_norm.weight")?,
            out: self.linear(&name("attn_output"), h, wide)?,
            post_attention: self.optional_norm(&name("post_attention_norm"))?,
            norm_mlp: self.norm(&name("ffn_norm"))?,
            gate: Some(gate),
            up,
            down: self.linear(&name("ffn_down"), h, ff)?,
            post_mlp: self.optional_norm(&name("post_ffw_norm"))?,
        })
    }

    fn gpt2_layer(&self, index: usize) -> Result<Layer, NnError> {
        let (h, ff) = (self.config.hidden, self.config.intermediate);
        let name = |tail: &str| format!("h.{index}.{tail}");
        let [q, k, v] = split(&self.transposed(&name("attn.c_attn"), 3 * h, h)?, [h; 3])?;
        Ok(Layer {
            norm_attention: self.norm(&name("ln_1"))?,
            q,
            k,
            v,
            q_norm: None,
            k_norm: None,
            out: self.transposed(&name("attn.c_proj"), h, h)?,
            post_attention: None,
            norm_mlp: self.norm(&name("ln_2"))?,
            gate: None,
            up: self.transposed(&name("mlp.c_fc"), ff, h)?,
            down: self.transposed(&name("mlp.c_proj"), h, ff)?,
            post_mlp: None,
        })
    }
}

/// Cuts a fused layer into its parts, by output columns.
fn split<const N: usize>(fused: &Linear, sizes: [usize; N]) -> Result<[Linear; N], NnError> {
    let mut at = 0;
    let mut parts = Vec::with_capacity(N);
    for size in sizes {
        let bias = fused.bias.get(at..at + size).map(<[f32]>::to_vec).unwrap_or_default();
        parts.push(Linear { weight: fused.weight.rows(at, size)?, bias });
        at += size;
    }
    parts.try_into().map_err(|_| NnError::Config("a fused layer could not be cut".into()))
}
