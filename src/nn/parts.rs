//! Parts of layers as they come out of a checkpoint.

use super::source::RawTensor;

/// A linear layer: `weight` `[out, in]` in the file's own type, `bias` `[out]` or empty.
pub struct Linear {
    pub weight: RawTensor,
    pub bias: Vec<f32>,
}

/// Scale `[hidden]`, and shift `[hidden]` (empty: root-mean-square norm).
pub struct Norm {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}
