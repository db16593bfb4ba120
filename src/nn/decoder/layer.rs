//! One layer's weights, packed for the CPU.

use super::config::Config;
use super::weights::{Layer, Linear, Norm};
use crate::nn::NnError;
use crate::nn::kernels::Isa;
use crate::nn::kernels::arena::Arena;
use crate::nn::kernels::matrix::Matrix;
use crate::nn::precision::Precision;

/// One layer.
pub struct CpuLayer {
    pub norm_attention: Norm,
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    pub out: Matrix,
    pub post_attention: Option<Norm>,
    pub norm_mlp: Norm,
    pub gate: Option<Matrix>,
    pub up: Matrix,
    pub down: Matrix,
    pub post_mlp: Option<Norm>,
}

impl CpuLayer {
    /// Packs what was read, `kept` so.
    ///
    /// # Errors
    /// [`NnError::Config`] if it is not what the configuration says.
    pub fn new(isa: Isa, arena: &Arena, (layer, config): (Layer, &Config), kept: Precision) -> Result<Self, NnError> {
        let pack = |l: Linear| Matrix::new(isa, arena, &l.weight, &l.bias, kept);
        let packed = Self {
            norm_attention: layer.norm_attention,
            q: pack(layer.q),
            k: pack(layer.k),
            v: pack(layer.v),
            q_norm: layer.q_norm,
            k_norm: layer.k_norm,
            out: pack(layer.out),
            post_attention: layer.post_attention,
            norm_mlp: layer.norm_mlp,
            gate: layer.gate.map(pack),
            up: pack(layer.up),
            down: pack(layer.down),
            post_mlp: layer.post_mlp,
        };
        packed.check(config).map(|()| packed)
    }

    /// Whether its matrices are as `config` says.
    ///
    /// # Errors
    /// [`NnError::Config`] if not.
    fn check(&self, config: &Config) -> Result<(), NnError> {
        let (h, ff) = (config.hidden, config.intermediate);
        let (wide, narrow) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        for (what, matrix, n, k) in [
            ("the query layer", &self.q, wide, h),
            ("the key layer", &self.k, narrow, h),
            ("the value layer", &self.v, narrow, h),
            ("attention's output", &self.out, h, wide),
            ("the feed-forward layer", &self.up, ff, h),
            ("the feed-forward output", &self.down, h, ff),
        ] {
            matrix.fits(what, n, k)?;
        }
        self.gate.as_ref().map_or(Ok(()), |gate| gate.fits("the gate", ff, h))
    }

    /// Bytes of the matrices.
    pub fn bytes(&self) -> usize {
        let matrices = [&self.q, &self.k, &self.v, &self.out, &self.up, &self.down];
        matrices.iter().map(|m| m.bytes()).sum::<usize>() + self.gate.as_ref().map_or(0, Matrix::bytes)
    }
}
