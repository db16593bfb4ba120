//! Copies weights to the device.

use super::{DeviceCross, DeviceLayer, DeviceLinear, DeviceModel, DeviceNorm};
use crate::nn::NnError;
use crate::nn::placing::Placer;
use crate::nn::seq2seq::config::Family;
use crate::nn::seq2seq::positions::Bias;
use crate::nn::seq2seq::weights::{Cross, Layer, Linear, Norm, Reader, Side};
use candle_core::{DType, Device};

/// Puts layers on the device.
struct Loader<'a>(Placer<'a>);

impl Loader<'_> {
    fn linear(&mut self, l: &Linear) -> candle_core::Result<DeviceLinear> {
        let shape = l.weight.shape().to_vec();
        let weight = self.0.put(l.weight.to_f32(), &shape)?.t()?.contiguous()?;
        let bias = if l.bias.is_empty() { None } else { Some(self.0.put(l.bias.clone(), &shape[..1])?) };
        Ok(DeviceLinear { weight, bias })
    }

    fn norm(&mut self, n: Norm) -> candle_core::Result<DeviceNorm> {
        let width = n.gamma.len();
        let beta = if n.beta.is_empty() { None } else { Some(self.0.put(n.beta, &[width])?) };
        Ok(DeviceNorm { gamma: self.0.put(n.gamma, &[width])?, beta })
    }

    fn cross(&mut self, c: Cross) -> candle_core::Result<DeviceCross> {
        let (q, kv, out) = (self.linear(&c.q)?, self.linear(&c.kv)?, self.linear(&c.out)?);
        Ok(DeviceCross { norm: self.norm(c.norm)?, q, kv, out })
    }

    fn layer(&mut self, l: Layer) -> candle_core::Result<DeviceLayer> {
        Ok(DeviceLayer {
            norm: self.norm(l.attention.norm)?,
            qkv: self.linear(&l.attention.qkv)?,
            out: self.linear(&l.attention.out)?,
            cross: l.cross.map(|c| self.cross(c)).transpose()?,
            feed_norm: self.norm(l.feed.norm)?,
            gate: l.feed.gate.map(|g| self.linear(&g)).transpose()?,
            up: self.linear(&l.feed.up)?,
            down: self.linear(&l.feed.down)?,
        })
    }
}

impl DeviceModel {
    /// Copies all weights to `device`.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, the device's own errors, or [`NnError::Stopped`].
    pub fn load(
        reader: &Reader<'_>,
        device: &Device,
        dtype: DType,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let config = reader.config.clone();
        let dtype = if config.family == Family::T5 { DType::F32 } else { dtype };
        let mut to = Loader(Placer::new(device, dtype));
        let ends = reader.ends()?;
        let total = (config.encoder.layers + config.decoder.layers) as f32;
        let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
        for index in 0..config.encoder.layers {
            progress(index as f32 / total)?;
            encoder.push(to.layer(reader.layer(Side::Encoder, index)?)?);
        }
        for index in 0..config.decoder.layers {
            progress((config.encoder.layers + index) as f32 / total)?;
            decoder.push(to.layer(reader.layer(Side::Decoder, index)?)?);
        }
        let words = |to: &mut Loader<'_>, t: &crate::nn::source::RawTensor| to.0.put(t.to_f32(), t.shape());
        let source_words = words(&mut to, &ends.source_words)?;
        let target_words = ends.target_words.as_ref().map(|t| words(&mut to, t)).transpose()?;
        let output = ends.output.as_ref().or(ends.target_words.as_ref()).unwrap_or(&ends.source_words).clone();
        let output = to.linear(&Linear { weight: output, bias: ends.output_bias })?;
        let (longest, h) = (config.positions, config.hidden);
        let [first, second] = ends.positions;
        let positions = match config.family {
            Family::Marian => Some([to.0.put(first, &[longest, h])?, to.0.put(second, &[longest, h])?]),
            Family::T5 => None,
        };
        let relative = |side: usize| {
            let heads = if side == 0 { config.encoder.heads } else { config.decoder.heads };
            config.relative.map(|r| Bias::new(&ends.relative[side], heads, side == 0, r, longest))
        };
        let biases = [relative(0), relative(1)];
        let [first, last] = ends.norms;
        let norms = [first.map(|n| to.norm(n)).transpose()?, last.map(|n| to.norm(n)).transpose()?];
        let (bytes, device) = (to.0.bytes, device.clone());
        Ok(Self {
            config,
            device,
            dtype,
            source_words,
            target_words,
            output,
            positions,
            biases,
            norms,
            encoder,
            decoder,
            bytes,
        })
    }
}
