//! The encoder-decoder as Candle tensors: CUDA in f32 or f16, and the portable reference.
//!
//! Each source's hypotheses are one batch. Reordering is an `index_select` of the cache on the
//! device, and only of hypotheses that moved. T5 runs in f32: its activations overflow f16.

mod load;

use super::config::{Config, Stack};
use super::memory::Next;
use super::positions::Bias;
use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use candle_core::{D, DType, Device, Tensor};

struct DeviceLinear {
    /// `[in, out]`, contiguous.
    weight: Tensor,
    bias: Option<Tensor>,
}

struct DeviceNorm {
    gamma: Tensor,
    beta: Option<Tensor>,
}

struct DeviceCross {
    norm: DeviceNorm,
    q: DeviceLinear,
    kv: DeviceLinear,
    out: DeviceLinear,
}

struct DeviceLayer {
    norm: DeviceNorm,
    qkv: DeviceLinear,
    out: DeviceLinear,
    cross: Option<DeviceCross>,
    feed_norm: DeviceNorm,
    gate: Option<DeviceLinear>,
    up: DeviceLinear,
    down: DeviceLinear,
}

/// The model on a Candle device.
pub struct DeviceModel {
    config: Config,
    device: Device,
    dtype: DType,
    source_words: Tensor,
    target_words: Option<Tensor>,
    output: DeviceLinear,
    positions: Option<[Tensor; 2]>,
    biases: [Option<Bias>; 2],
    norms: [Option<DeviceNorm>; 2],
    encoder: Vec<DeviceLayer>,
    decoder: Vec<DeviceLayer>,
    bytes: usize,
}

/// A source's keys and values, by layer: `[1, heads, tokens, dim]` each.
pub struct DeviceSource {
    layers: Vec<(Tensor, Tensor)>,
    tokens: usize,
    bytes: usize,
}

/// The hypotheses' keys and values, by layer: `[rows, heads, tokens, dim]` each.
#[derive(Default)]
pub struct DeviceMemory {
    layers: Vec<(Tensor, Tensor)>,
    len: usize,
    bytes: usize,
}

impl DeviceSource {
    /// Source tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Bytes held on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl DeviceMemory {
    /// Tokens of a hypothesis.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no past.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl DeviceLinear {
    /// `[rows, in]` to `[rows, out]`.
    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = x.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl DeviceModel {
    /// Bytes of weights on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn embed(&self, words: &Tensor, ids: &[u32], (side, positions): (usize, &[u32])) -> candle_core::Result<Tensor> {
        let ids = Tensor::new(ids, &self.device)?;
        let x = (words.index_select(&ids, 0)? * f64::from(self.config.embedding_scale))?;
        match &self.positions {
            Some(tables) => x + tables[side].index_select(&Tensor::new(positions, &self.device)?, 0)?,
            None => Ok(x),
        }
    }

    fn normalize(&self, x: &Tensor, norm: &DeviceNorm) -> candle_core::Result<Tensor> {
        let f = x.to_dtype(DType::F32)?;
        let f = if norm.beta.is_some() { f.broadcast_sub(&f.mean_keepdim(D::Minus1)?)? } else { f };
        let variance = f.sqr()?.mean_keepdim(D::Minus1)?;
        let f = f.broadcast_div(&(variance + f64::from(self.config.eps))?.sqrt()?)?;
        let y = f.to_dtype(self.dtype)?.broadcast_mul(&norm.gamma)?;
        match &norm.beta {
            Some(beta) => y.broadcast_add(beta),
            None => Ok(y),
        }
    }

    /// What a sublayer reads.
    fn before(&self, x: &Tensor, norm: &DeviceNorm) -> candle_core::Result<Tensor> {
        if norm.beta.is_some() { Ok(x.clone()) } else { self.normalize(x, norm) }
    }

    /// The residual, and the norm of families that have it after.
    fn after(&self, x: &Tensor, y: &Tensor, norm: &DeviceNorm) -> candle_core::Result<Tensor> {
        let x = (x + y)?;
        if norm.beta.is_some() { self.normalize(&x, norm) } else { Ok(x) }
    }

    fn feed(&self, x: &Tensor, layer: &DeviceLayer) -> candle_core::Result<Tensor> {
        let from = self.before(x, &layer.feed_norm)?;
        let act = |t: &Tensor| match self.config.activation {
            Activation::Gelu => t.gelu_erf(),
            Activation::GeluTanh => t.gelu(),
            Activation::Relu => t.relu(),
            Activation::Silu => t.silu(),
            Activation::Tanh => t.tanh(),
        };
        let hidden = match &layer.gate {
            Some(gate) => (act(&gate.apply(&from)?)? * layer.up.apply(&from)?)?,
            None => act(&layer.up.apply(&from)?)?,
        };
        self.after(x, &layer.down.apply(&hidden)?, &layer.feed_norm)
    }

    /// `[rows · tokens, heads · dim]` to `[rows, heads, tokens, dim]`.
    fn heads(&self, x: &Tensor, rows: usize, stack: Stack) -> candle_core::Result<Tensor> {
        let tokens = x.dim(0)? / rows;
        x.reshape((rows, tokens, stack.heads, self.config.head_dim))?.transpose(1, 2)?.contiguous()
    }

    /// Attention weights of `q` over `k`, with `bias` added.
    fn weights(&self, q: &Tensor, k: &Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let k = if k.dim(0)? == q.dim(0)? {
            k.clone()
        } else {
            k.broadcast_as((q.dim(0)?, k.dim(1)?, k.dim(2)?, k.dim(3)?))?.contiguous()?
        };
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * f64::from(self.config.attention_scale))?;
        let scores = match bias {
            Some(bias) => scores.broadcast_add(bias)?,
            None => scores,
        };
        candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?.to_dtype(self.dtype)
    }

    /// `[rows, heads, queries, keys] · [_, heads, keys, dim]` back to `[rows · queries, heads · dim]`.
    fn context(&self, weights: &Tensor, v: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, heads, queries, _) = weights.dims4()?;
        let v = if v.dim(0)? == rows {
            v.clone()
        } else {
            v.broadcast_as((rows, heads, v.dim(2)?, v.dim(3)?))?.contiguous()?
        };
        weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((rows * queries, heads * self.config.head_dim))
    }

    /// Biases `[1, heads, queries, keys]`; with `causal` keys after a query are shut out. Queries are
    /// the last positions.
    fn bias(
        &self,
        side: usize,
        heads: usize,
        queries: usize,
        keys: usize,
        causal: bool,
    ) -> candle_core::Result<Option<Tensor>> {
        let table = self.biases[side].as_ref();
        if table.is_none() && (!causal || queries == 1) {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(heads * queries * keys);
        for head in 0..heads {
            for query in 0..queries {
                let position = keys - queries + query;
                let seen = if causal { position + 1 } else { keys };
                match table {
                    Some(bias) => values.extend_from_slice(bias.row(head, position, seen)),
                    None => values.extend(std::iter::repeat_n(0.0, seen)),
                }
                values.extend(std::iter::repeat_n(f32::NEG_INFINITY, keys - seen));
            }
        }
        let bias = Tensor::from_vec(values, (1, heads, queries, keys), &Device::Cpu)?.to_dtype(self.dtype)?;
        Ok(Some(bias.to_device(&self.device)?))
    }

    fn encode_one(&self, ids: &[u32]) -> candle_core::Result<Tensor> {
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let mut x = self.embed(&self.source_words, ids, (0, &positions))?;
        let stack = self.config.encoder;
        let inner = self.config.inner(stack);
        let bias = self.bias(0, stack.heads, ids.len(), ids.len(), false)?;
        for layer in &self.encoder {
            let qkv = layer.qkv.apply(&self.before(&x, &layer.norm)?)?;
            let part = |i: usize| self.heads(&qkv.narrow(1, i * inner, inner)?.contiguous()?, 1, stack);
            let weights = self.weights(&part(0)?, &part(1)?, bias.as_ref())?;
            let y = layer.out.apply(&self.context(&weights, &part(2)?)?)?;
            x = self.feed(&self.after(&x, &y, &layer.norm)?, layer)?;
        }
        match &self.norms[0] {
            Some(norm) => self.normalize(&x, norm),
            None => Ok(x),
        }
    }

    /// The encoder's last states, `[tokens · hidden]`.
    ///
    /// # Errors
    /// The device's own.
    pub fn states(&self, ids: &[u32]) -> Result<Vec<f32>, NnError> {
        Ok(self.encode_one(ids)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// Reads sources.
    ///
    /// # Errors
    /// The device's own.
    pub fn encode(&self, batch: &[&[u32]]) -> Result<Vec<DeviceSource>, NnError> {
        let stack = self.config.decoder;
        let inner = self.config.inner(stack);
        let mut out = Vec::with_capacity(batch.len());
        for ids in batch {
            let states = self.encode_one(ids)?;
            let mut layers = Vec::new();
            for cross in self.decoder.iter().filter_map(|l| l.cross.as_ref()) {
                let kv = cross.kv.apply(&states)?;
                let part = |i: usize| self.heads(&kv.narrow(1, i * inner, inner)?.contiguous()?, 1, stack);
                layers.push((part(0)?, part(1)?));
            }
            let bytes = layers.len() * 2 * ids.len() * inner * self.dtype.size_in_bytes();
            out.push(DeviceSource { layers, tokens: ids.len(), bytes });
        }
        Ok(out)
    }

    /// One step of one source's hypotheses; logits `[rows, vocab]`, row by row.
    ///
    /// # Errors
    /// The device's own.
    pub fn step(&self, source: &DeviceSource, memory: &mut DeviceMemory, next: Next<'_>) -> Result<Vec<f32>, NnError> {
        let x = self.run(source, memory, next, &mut |_, _| Ok(()))?;
        let x = match &self.norms[1] {
            Some(norm) => self.normalize(&x, norm)?,
            None => x,
        };
        let logits = self.output.apply(&(x * f64::from(self.config.logit_scale))?)?;
        Ok(logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// Attention to the source, as [`super::Model::align`] says.
    ///
    /// # Errors
    /// The device's own.
    pub fn watch(&self, source: &DeviceSource, target: &[u32]) -> Result<Vec<Vec<f32>>, NnError> {
        let mut memory = DeviceMemory::default();
        let from = self.config.decoder.layers / 2;
        let mut sum: Option<Tensor> = None;
        self.run(source, &mut memory, Next::Forced(target), &mut |index, weights| {
            if index >= from {
                let mean = weights.to_dtype(DType::F32)?.mean(1)?.squeeze(0)?;
                sum = Some(match sum.take() {
                    Some(sum) => (sum + mean)?,
                    None => mean,
                });
            }
            Ok(())
        })?;
        let Some(sum) = sum else { return Ok(Vec::new()) };
        let share = 1.0 / (self.config.decoder.layers - from) as f64;
        Ok((sum * share)?.to_vec2()?)
    }

    /// The decoder's states of a step's rows. `look` is shown each layer's attention to the source,
    /// `[rows, heads, queries, source tokens]`.
    fn run(
        &self,
        source: &DeviceSource,
        memory: &mut DeviceMemory,
        next: Next<'_>,
        look: &mut dyn FnMut(usize, &Tensor) -> candle_core::Result<()>,
    ) -> Result<Tensor, NnError> {
        let stack = self.config.decoder;
        let inner = self.config.inner(stack);
        // Beams are rows of one position; forced tokens are one row of several.
        let (rows, queries) = if matches!(next, Next::Beams(_)) { (next.len(), 1) } else { (1, next.len()) };
        self.reorder(memory, next)?;
        let ids: Vec<u32> = (0..next.len()).map(|row| next.token(row)).collect();
        let place = |i: usize| (memory.len + if queries > 1 { i } else { 0 }) as u32;
        let positions: Vec<u32> = (0..ids.len()).map(place).collect();
        let mut x = self.embed(self.target_words.as_ref().unwrap_or(&self.source_words), &ids, (1, &positions))?;
        let keys = memory.len + queries;
        let bias = self.bias(1, stack.heads, queries, keys, true)?;
        for (index, layer) in self.decoder.iter().enumerate() {
            let qkv = layer.qkv.apply(&self.before(&x, &layer.norm)?)?;
            let part = |i: usize| self.heads(&qkv.narrow(1, i * inner, inner)?.contiguous()?, rows, stack);
            let (mut k, mut v) = (part(1)?, part(2)?);
            if let Some((old_k, old_v)) = memory.layers.get(index) {
                (k, v) = (Tensor::cat(&[old_k, &k], 2)?, Tensor::cat(&[old_v, &v], 2)?);
            }
            let weights = self.weights(&part(0)?, &k, bias.as_ref())?;
            let y = layer.out.apply(&self.context(&weights, &v)?)?;
            x = self.after(&x, &y, &layer.norm)?;
            if index < memory.layers.len() {
                memory.layers[index] = (k, v);
            } else {
                memory.layers.push((k, v));
            }
            if let Some(cross) = &layer.cross {
                let q = self.heads(&cross.q.apply(&self.before(&x, &cross.norm)?)?, rows, stack)?;
                let (k, v) = &source.layers[index];
                let weights = self.weights(&q, k, None)?;
                look(index, &weights)?;
                let y = cross.out.apply(&self.context(&weights, v)?)?;
                x = self.after(&x, &y, &cross.norm)?;
            }
            x = self.feed(&x, layer)?;
        }
        memory.len = keys;
        memory.bytes = memory.layers.len() * 2 * rows * keys * inner * self.dtype.size_in_bytes();
        Ok(x)
    }

    /// Puts the memory's rows in the order of the step's hypotheses, if they moved.
    fn reorder(&self, memory: &mut DeviceMemory, next: Next<'_>) -> Result<(), NnError> {
        let Some((first, _)) = memory.layers.first() else { return Ok(()) };
        let parents: Vec<u32> = match next {
            Next::Beams(beams) => beams.iter().map(|b| b.0 as u32).collect(),
            Next::Forced(_) => vec![0],
        };
        let stays = parents.len() == first.dim(0)? && parents.iter().enumerate().all(|(i, p)| *p as usize == i);
        if !stays {
            let order = Tensor::new(parents, &self.device)?;
            for (k, v) in &mut memory.layers {
                (*k, *v) = (k.index_select(&order, 0)?, v.index_select(&order, 0)?);
            }
        }
        Ok(())
    }
}
