//! One layer's weights, packed for the CPU.

use super::weights::{Layer, Linear, Norm};
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
    pub fn new(isa: Isa, arena: &Arena, layer: Layer, kept: Precision) -> Self {
        let pack = |l: Linear| Matrix::new(isa, arena, &l.weight, &l.bias, kept);
        Self {
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
        }
    }

    /// Bytes of the matrices.
    pub fn bytes(&self) -> usize {
        let matrices = [&self.q, &self.k, &self.v, &self.out, &self.up, &self.down];
        matrices.iter().map(|m| m.bytes()).sum::<usize>() + self.gate.as_ref().map_or(0, Matrix::bytes)
    }
}
