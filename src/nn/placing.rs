//! Puts weights on a Candle device.

use candle_core::{DType, Device, Tensor};

/// Puts vectors on a device in one dtype and counts their bytes.
pub struct Placer<'a> {
    device: &'a Device,
    dtype: DType,
    pub bytes: usize,
}

impl<'a> Placer<'a> {
    /// For `device`, as `dtype` (f32 or f16).
    pub fn new(device: &'a Device, dtype: DType) -> Self {
        Self { device, dtype, bytes: 0 }
    }

    /// `values` as a tensor of `shape`.
    ///
    /// # Errors
    /// The device's own, such as out of memory.
    pub fn put(&mut self, values: Vec<f32>, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.bytes += values.len() * self.dtype.size_in_bytes();
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(self.dtype)?.to_device(self.device)
    }
}
