//! The encoder as Candle tensors: CUDA in f32 or f16, and the portable reference.
//!
//! Sequences are sorted by length and cut into padded batches; a mask exists only where a batch
//! really has padding.

use super::Sequence;
use super::config::Config;
use super::weights::{HeadKind, Keep, Layer, Linear, Norm, Reader};
use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::placing::Placer;
use candle_core::{D, DType, Device, Tensor};

/// Most padding that a batch may carry, as a share of its tokens.
const PADDING: f32 = 0.15;

struct DeviceLinear {
    /// `[in, out]`, contiguous.
    weight: Tensor,
    bias: Tensor,
}

struct DeviceNorm {
    gamma: Tensor,
    beta: Tensor,
}

struct DeviceLayer {
    qkv: DeviceLinear,
    out: DeviceLinear,
    norm_attention: DeviceNorm,
    up: DeviceLinear,
    down: DeviceLinear,
    norm_output: DeviceNorm,
}

/// The encoder and its head on a Candle device.
pub struct DeviceEncoder {
    config: Config,
    device: Device,
    dtype: DType,
    words: Tensor,
    positions: Tensor,
    types: Option<Tensor>,
    norm: DeviceNorm,
    layers: Vec<DeviceLayer>,
    keep: Keep,
    dense: Option<(DeviceLinear, Activation)>,
    out: Option<DeviceLinear>,
    bytes: usize,
}

/// Puts layers on the device.
struct Loader<'a>(Placer<'a>);

impl Loader<'_> {
    fn linear(&mut self, l: Linear) -> candle_core::Result<DeviceLinear> {
        let out = l.bias.len();
        let weight = self.0.put(l.weight.to_f32(), l.weight.shape())?.t()?.contiguous()?;
        Ok(DeviceLinear { weight, bias: self.0.put(l.bias, &[out])? })
    }

    fn norm(&mut self, n: Norm) -> candle_core::Result<DeviceNorm> {
        let width = n.gamma.len();
        Ok(DeviceNorm { gamma: self.0.put(n.gamma, &[width])?, beta: self.0.put(n.beta, &[width])? })
    }
}

impl DeviceEncoder {
    /// Copies all weights to `device` as `dtype` (f32 or f16).
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, the device's own errors, or [`NnError::Stopped`].
    pub fn load(
        reader: &Reader<'_>,
        kind: HeadKind,
        device: &Device,
        dtype: DType,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let config = reader.config.clone();
        let mut to = Loader(Placer::new(device, dtype));
        let embeddings = reader.embeddings()?;
        let h = config.hidden;
        let words = to.0.put(embeddings.words.to_f32(), &[config.vocab, h])?;
        let positions = to.0.put(embeddings.positions, &[config.positions, h])?;
        let types = match config.types {
            0 => None,
            n => Some(to.0.put(embeddings.types, &[n, h])?),
        };
        let norm = to.norm(embeddings.norm)?;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            progress(index as f32 / config.layers as f32)?;
            let Layer { qkv, out, norm_attention, up, down, norm_output } = reader.layer(index)?;
            layers.push(DeviceLayer {
                qkv: to.linear(qkv)?,
                out: to.linear(out)?,
                norm_attention: to.norm(norm_attention)?,
                up: to.linear(up)?,
                down: to.linear(down)?,
                norm_output: to.norm(norm_output)?,
            });
        }
        let head = reader.head(kind)?;
        let dense = head.dense.map(|(linear, act)| Ok::<_, NnError>((to.linear(linear)?, act))).transpose()?;
        let out = head.out.map(|linear| to.linear(linear)).transpose()?;
        let bytes = to.0.bytes;
        let device = device.clone();
        Ok(Self { config, device, dtype, words, positions, types, norm, layers, keep: kind.keep(), dense, out, bytes })
    }

    /// Bytes of weights on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The head's output for each sequence, in the order given: one row of a sequence, or a row per
    /// token.
    ///
    /// # Errors
    /// The device's own, such as out of memory.
    pub fn outputs(&self, batch: &[Sequence<'_>]) -> Result<Vec<Vec<f32>>, NnError> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(batch[i].ids.len()));
        let mut result = vec![Vec::new(); batch.len()];
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let longest = batch[first].ids.len();
            let mut used = 0;
            let fits = |count: usize, used: usize| used as f32 >= (count * longest) as f32 * (1.0 - PADDING);
            let take = rest
                .iter()
                .enumerate()
                .take_while(|&(n, &i)| {
                    used += batch[i].ids.len();
                    fits(n + 1, used)
                })
                .count()
                .max(1);
            let (now, later) = rest.split_at(take);
            let part: Vec<Sequence<'_>> = now.iter().map(|&i| batch[i]).collect();
            let rows = self.head(&self.padded(&part, longest)?, &part)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            for (&i, mut row) in now.iter().zip(rows) {
                if self.keep == Keep::All {
                    row.truncate(row.len() / longest * batch[i].ids.len());
                }
                result[i] = row;
            }
            rest = later;
        }
        Ok(result)
    }

    /// The head on hidden states `[batch, longest, hidden]`: `[batch, width]`, or for a head on every
    /// token `[batch, longest · width]`.
    fn head(&self, x: &Tensor, batch: &[Sequence<'_>]) -> candle_core::Result<Tensor> {
        let (n, longest, _) = x.dims3()?;
        let mut x = match self.keep {
            Keep::All => x.clone(),
            Keep::First => x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?,
            Keep::Mean => {
                let mut share = vec![0f32; n * longest];
                for (row, sequence) in share.chunks_exact_mut(longest).zip(batch) {
                    row[..sequence.ids.len()].fill(1.0 / sequence.ids.len() as f32);
                }
                let share = Tensor::from_vec(share, (n, longest, 1), &self.device)?;
                x.to_dtype(DType::F32)?.broadcast_mul(&share)?.sum(1)?
            }
        };
        if let Some((dense, activation)) = &self.dense {
            x = activate(&project(&x, dense)?, *activation)?;
        }
        if let Some(out) = &self.out {
            x = project(&x, out)?;
        }
        x.reshape((n, ()))
    }

    /// Hidden states `[batch, longest, hidden]` of sequences padded to `longest`.
    fn padded(&self, batch: &[Sequence<'_>], longest: usize) -> candle_core::Result<Tensor> {
        let n = batch.len();
        let mut ids = vec![0u32; n * longest];
        let mut types = vec![0u32; n * longest];
        let mut block = vec![0f32; n * longest];
        for (row, sequence) in batch.iter().enumerate() {
            let at = row * longest;
            ids[at..at + sequence.ids.len()].copy_from_slice(sequence.ids);
            types[at..at + sequence.types.len()].copy_from_slice(sequence.types);
            // Far below any score, and still finite in f16.
            block[at + sequence.ids.len()..at + longest].fill(-60_000.0);
        }
        let needs_mask = batch.iter().any(|s| s.ids.len() < longest);
        let mask = if needs_mask {
            let mask = Tensor::from_vec(block, (n, 1, 1, longest), &self.device)?;
            Some(mask.to_dtype(self.dtype)?)
        } else {
            None
        };
        let ids = Tensor::from_vec(ids, n * longest, &self.device)?;
        let mut x = self.words.index_select(&ids, 0)?.reshape((n, longest, self.config.hidden))?;
        x = x.broadcast_add(&self.positions.narrow(0, 0, longest)?)?;
        if let Some(table) = &self.types {
            let types = Tensor::from_vec(types, n * longest, &self.device)?;
            x = (x + table.index_select(&types, 0)?.reshape((n, longest, self.config.hidden))?)?;
        }
        let mut x = self.normalize(&x, &self.norm)?;
        for layer in &self.layers {
            x = self.layer(layer, &x, mask.as_ref())?;
        }
        Ok(x)
    }

    fn layer(&self, layer: &DeviceLayer, x: &Tensor, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let (n, longest, h) = x.dims3()?;
        let (heads, dim) = (self.config.heads, self.config.head_dim());
        let qkv = project(x, &layer.qkv)?.reshape((n, longest, 3, heads, dim))?;
        let part = |i: usize| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        // Scaling q costs less than scaling the scores.
        let q = (part(0)? * (1.0 / (dim as f64).sqrt()))?;
        let mut scores = q.matmul(&part(1)?.t()?)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let context = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&part(2)?)?;
        let context = context.transpose(1, 2)?.reshape((n, longest, h))?;
        let x = self.normalize(&(project(&context, &layer.out)? + x)?, &layer.norm_attention)?;
        let wide = activate(&project(&x, &layer.up)?, self.config.activation)?;
        self.normalize(&(project(&wide, &layer.down)? + x)?, &layer.norm_output)
    }

    fn normalize(&self, x: &Tensor, norm: &DeviceNorm) -> candle_core::Result<Tensor> {
        candle_nn::ops::layer_norm(&x.contiguous()?, &norm.gamma, &norm.beta, self.config.eps)
    }
}

/// `x · weight + bias` over the last dimension.
fn project(x: &Tensor, l: &DeviceLinear) -> candle_core::Result<Tensor> {
    let dims = x.dims().to_vec();
    let width = x.dim(D::Minus1)?;
    let flat = x.reshape(((), width))?.matmul(&l.weight)?.broadcast_add(&l.bias)?;
    let mut shape = dims;
    if let Some(last) = shape.last_mut() {
        *last = l.bias.dim(0)?;
    }
    flat.reshape(shape)
}

/// `act` of every element.
///
/// # Errors
/// An error of the device.
pub fn activate(x: &Tensor, act: Activation) -> candle_core::Result<Tensor> {
    match act {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}
