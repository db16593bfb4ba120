//! The encoder-decoder on CPU: programs that a team of threads runs together, stage by stage.
#![expect(unsafe_code, reason = "stages of the team write disjoint parts of shared buffers")]

pub mod decode;
mod encode;
mod stage;

use super::config::{Config, Stack};
use super::positions::Bias;
use super::weights::{Linear, Norm, Reader, Side};
use crate::nn::NnError;
use crate::nn::kernels::Isa;
use crate::nn::kernels::arena::Arena;
use crate::nn::kernels::indirect::SourceHead;
use crate::nn::kernels::matrix::Matrix;
use crate::nn::kernels::team::Team;
use crate::nn::precision::Precision;
use stage::Workspace;
use std::sync::{Arc, Mutex};

struct CpuAttention {
    norm: Norm,
    qkv: Matrix,
    out: Matrix,
}

struct CpuCross {
    norm: Norm,
    q: Matrix,
    kv: Matrix,
    out: Matrix,
}

struct CpuFeed {
    norm: Norm,
    gate: Option<Matrix>,
    up: Matrix,
    down: Matrix,
}

struct CpuLayer {
    attention: CpuAttention,
    cross: Option<CpuCross>,
    feed: CpuFeed,
}

/// The model, packed for this CPU.
pub struct CpuModel {
    config: Config,
    isa: Isa,
    team: Arc<Team>,
    /// With the output's bias, if the output layer is tied to it.
    source_words: Matrix,
    target_words: Option<Matrix>,
    output: Option<Matrix>,
    /// Sinusoids, or empty.
    positions: [Vec<f32>; 2],
    /// T5's, of each stack.
    biases: [Option<Bias>; 2],
    norms: [Option<Norm>; 2],
    encoder: Vec<CpuLayer>,
    decoder: Vec<CpuLayer>,
    workspace: Mutex<Workspace>,
}

/// A source's keys and values for every layer and head of the decoder, computed once.
pub struct CpuSource {
    /// `[layers][heads]` runs, see [`SourceHead`].
    data: Vec<f32>,
    tokens: usize,
    heads: usize,
    dim: usize,
    width: usize,
}

impl CpuSource {
    fn run(&self) -> usize {
        let (keys, values) = SourceHead::sizes(self.tokens, self.dim, self.width);
        keys + values
    }

    fn head(&self, layer: usize, head: usize) -> SourceHead {
        let (keys, _) = SourceHead::sizes(self.tokens, self.dim, self.width);
        let run = &self.data[(layer * self.heads + head) * self.run()..][..self.run()];
        let Self { tokens, dim, width, .. } = *self;
        SourceHead { keys: run.as_ptr(), values: run[keys..].as_ptr(), tokens, dim, width }
    }

    /// Source tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len() * 4
    }
}

/// Packs matrices in one form.
struct Packer {
    isa: Isa,
    arena: Arena,
    precision: Precision,
}

impl Packer {
    fn linear(&self, l: Linear) -> Matrix {
        Matrix::new(self.isa, &self.arena, &l.weight, &l.bias, self.precision)
    }

    /// A layer whose matrices are as `config` and `stack` say.
    fn layer(&self, layer: super::weights::Layer, config: &Config, stack: Stack) -> Result<CpuLayer, NnError> {
        let packed = self.packed(layer);
        let (h, inner, i) = (config.hidden, config.inner(stack), stack.intermediate);
        packed.attention.qkv.fits("the layer of queries, keys and values", 3 * inner, h)?;
        packed.attention.out.fits("attention's output", h, inner)?;
        if let Some(cross) = &packed.cross {
            cross.q.fits("the query layer", inner, h)?;
            cross.kv.fits("the layer of keys and values", 2 * inner, h)?;
            cross.out.fits("attention's output", h, inner)?;
        }
        packed.feed.up.fits("the feed-forward layer", i, h)?;
        packed.feed.down.fits("the feed-forward output", h, i)?;
        packed.feed.gate.as_ref().map_or(Ok(()), |gate| gate.fits("the gate", i, h))?;
        Ok(packed)
    }

    fn packed(&self, layer: super::weights::Layer) -> CpuLayer {
        let (a, f) = (layer.attention, layer.feed);
        CpuLayer {
            attention: CpuAttention { norm: a.norm, qkv: self.linear(a.qkv), out: self.linear(a.out) },
            cross: layer.cross.map(|c| CpuCross {
                norm: c.norm,
                q: self.linear(c.q),
                kv: self.linear(c.kv),
                out: self.linear(c.out),
            }),
            feed: CpuFeed {
                norm: f.norm,
                gate: f.gate.map(|g| self.linear(g)),
                up: self.linear(f.up),
                down: self.linear(f.down),
            },
        }
    }
}

impl CpuLayer {
    fn bytes(&self) -> usize {
        let cross = self.cross.iter().flat_map(|c| [&c.q, &c.kv, &c.out]);
        let own = [&self.attention.qkv, &self.attention.out, &self.feed.up, &self.feed.down];
        own.into_iter().chain(cross).chain(&self.feed.gate).map(Matrix::bytes).sum()
    }
}

impl CpuModel {
    /// Reads and packs all weights. `progress` gets the share done, 0 to 1.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, or [`NnError::Stopped`] from `progress`.
    pub fn load(
        reader: &Reader<'_>,
        team: Arc<Team>,
        isa: Isa,
        precision: Precision,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let config = reader.config.clone();
        let packer = Packer { isa, arena: Arena::default(), precision };
        let ends = reader.ends()?;
        let total = (config.encoder.layers + config.decoder.layers + 1) as f32;
        let mut stack = |side: Side, sizes: Stack, before: usize| -> Result<Vec<CpuLayer>, NnError> {
            let one = |index: usize| {
                progress((before + index) as f32 / total)?;
                packer.layer(reader.layer(side, index)?, &config, sizes)
            };
            (0..sizes.layers).map(one).collect()
        };
        let encoder = stack(Side::Encoder, config.encoder, 0)?;
        let decoder = stack(Side::Decoder, config.decoder, config.encoder.layers)?;
        progress((total - 1.0) / total)?;
        let pack = |weight, bias: &[f32]| packer.linear(Linear { weight, bias: bias.to_vec() });
        let none: &[f32] = &[];
        let bias = &ends.output_bias[..];
        // The bias goes to whichever matrix is the output layer.
        let tied = ends.output.is_none();
        let to_source = if tied && ends.target_words.is_none() { bias } else { none };
        let to_target = if tied { bias } else { none };
        let longest = config.positions;
        let relative = |side: usize, heads: usize| {
            let table = &ends.relative[side];
            let relative = config.relative.filter(|_| !table.is_empty())?;
            Some(Bias::new(table, heads, side == 0, relative, longest))
        };
        let biases = [relative(0, config.encoder.heads), relative(1, config.decoder.heads)];
        Ok(Self {
            source_words: pack(ends.source_words, to_source),
            target_words: ends.target_words.map(|w| pack(w, to_target)),
            output: ends.output.map(|w| pack(w, bias)),
            positions: ends.positions,
            biases,
            norms: ends.norms,
            encoder,
            decoder,
            workspace: Mutex::default(),
            isa,
            team,
            config,
        })
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let words = [Some(&self.source_words), self.target_words.as_ref(), self.output.as_ref()];
        let layers = self.encoder.iter().chain(&self.decoder).map(CpuLayer::bytes).sum::<usize>();
        let tables = self.positions.iter().map(Vec::len).sum::<usize>() * 4
            + self.biases.iter().flatten().map(Bias::bytes).sum::<usize>();
        layers + tables + words.into_iter().flatten().map(Matrix::bytes).sum::<usize>()
    }

    /// The matrix that makes logits.
    fn output(&self) -> &Matrix {
        self.output.as_ref().or(self.target_words.as_ref()).unwrap_or(&self.source_words)
    }

    /// Floats of a row's keys and values in all layers.
    fn place(&self) -> usize {
        self.config.decoder.layers * 2 * self.config.inner(self.config.decoder)
    }
}
