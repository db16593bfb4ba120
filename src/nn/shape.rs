//! A model's sizes in a few numbers: enough to forecast its memory before a byte of it is here.

use super::decoder::{MOST_ROWS, PAGE};
use super::forecast::{Forecast, TOKEN};
use super::kernels::Isa;
use super::kernels::matrix::Matrix;
use super::precision::Precision;
use super::source::Dtype;
use serde::{Deserialize, Serialize};

/// The three architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Encoder,
    Decoder,
    Seq2seq,
}

/// The memory that a model would lie in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub is_gpu: bool,
    /// Bytes that are free there, if known.
    pub free: Option<usize>,
}

/// Sizes as a configuration has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub kind: Kind,
    /// Of the encoder, or of the decoder if that is all.
    pub layers: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decoder_layers: usize,
    pub hidden: usize,
    pub heads: usize,
    /// Heads that have keys and values, of a decoder.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kv_heads: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub head_dim: usize,
    /// Width of attention in an encoder-decoder.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inner: usize,
    pub intermediate: usize,
    #[serde(default)]
    pub gated: bool,
    /// Whether the output layer has a table of its own.
    #[serde(default)]
    pub untied: bool,
    pub vocabulary: usize,
    /// Longest text, in tokens.
    pub context: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Shape {
    /// Numbers in the matrices of all layers.
    fn in_layers(&self) -> usize {
        let (h, i) = (self.hidden, self.intermediate);
        let feed = h * i * if self.gated { 3 } else { 2 };
        match self.kind {
            Kind::Encoder => self.layers * (4 * h * h + feed),
            Kind::Decoder => {
                let (wide, narrow) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                self.layers * (2 * h * wide + 2 * h * narrow + feed)
            }
            Kind::Seq2seq => {
                let attention = 4 * h * self.inner;
                self.layers * (attention + feed) + self.decoder_layers * (2 * attention + feed)
            }
        }
    }

    /// What Candle's tensors make of a precision: halves, where a decoder's blocks do not stay blocks.
    fn on_gpu(&self, kept: Precision, quantized: bool) -> Precision {
        match kept {
            Precision::F32 => Precision::F32,
            Precision::Own if quantized => Precision::Own,
            blocks if blocks.blocks().is_some() && self.kind == Kind::Decoder => blocks,
            _ => Precision::F16,
        }
    }

    /// What it will need, with `bytes` of weights in its files; about, since nothing of it has been
    /// read. [`Precision::Own`] keeps the blocks of a `quantized` file.
    pub fn forecast(&self, (bytes, quantized): (u64, bool), kept: Precision, context: usize, place: Place) -> Forecast {
        let free = place.free;
        let kept = if place.is_gpu { self.on_gpu(kept, quantized) } else { kept };
        let isa = Isa::detect();
        let per_weight = |kept: Precision| {
            let dtype = kept.blocks().unwrap_or(Dtype::F32);
            Matrix::bytes_for(dtype, isa, (1024, 1024), kept) as f64 / f64::from(1 << 20)
        };
        let (h, v) = (self.hidden, self.vocabulary);
        let own = kept == Precision::Own && quantized;
        let size = |count: usize| (count as f64 * per_weight(kept)) as usize;
        let layers = self.in_layers();
        let tables = v * h * if self.untied { 2 } else { 1 };
        let context = context.min(self.context).max(1);
        match self.kind {
            Kind::Encoder => {
                // On a CPU the table of words is read from the file, row by row.
                let table = if place.is_gpu { size(tables) } else { 0 };
                let weights = size(layers) + table + self.context * h * 4 + v * TOKEN;
                let work = (5 * h + self.intermediate) * 4 * (1024 + 256)
                    + 2 * self.context * (64 + 2 * h / self.heads.max(1)) * 4;
                Forecast { weights, work, available: free, ..Forecast::default() }
            }
            Kind::Decoder => {
                let weights = if own { bytes as usize } else { size(layers + tables) } + v * TOKEN;
                let least = self.layers * self.kv_heads * self.head_dim * 4 * context.next_multiple_of(PAGE);
                let step = MOST_ROWS * (self.intermediate * 2 + h * 6) * 4 + v * 8 + context * 96;
                let passing = if own || kept.blocks().is_some() { 0 } else { v * h * 4 };
                let work = step.max(passing - passing.min(least));
                Forecast { weights, cache: least, least, work, available: free }.with_texts()
            }
            Kind::Seq2seq => {
                let context = context.min(512);
                let weights = size(layers + tables) + self.context * h * 4 + v * TOKEN;
                let cache = self.decoder_layers * 2 * self.inner * context * 4 * 5;
                let work = ((2 * h + 4 * self.inner + 2 * self.intermediate) * 4 * context + 32 * v)
                    .max((v * h * 8).saturating_sub(cache));
                Forecast { weights, cache, least: cache, work, available: free }
            }
        }
    }
}
