//! The decoder as Candle tensors: CUDA, and the portable reference. Weights stay quantized
//! (Candle's quantized products), activations and sums are f32.

use super::Want;
use super::config::Config;
use super::rotary::{Frequencies, Tables};
use super::weights::{Linear, Norm, Reader};
use crate::nn::NnError;
use crate::nn::bert::device::activate;
use crate::nn::quantize::ggml;
use crate::nn::source::RawTensor;
use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{D, Device, Module as _, Result, Tensor};
use candle_nn::ops::{layer_norm, rms_norm, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};

/// Positions by which a cache grows.
const STEP: usize = 256;

struct DeviceLinear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

struct DeviceNorm {
    gamma: Tensor,
    beta: Option<Tensor>,
}

struct DeviceLayer {
    norm_attention: DeviceNorm,
    q: DeviceLinear,
    k: DeviceLinear,
    v: DeviceLinear,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    out: DeviceLinear,
    post_attention: Option<DeviceNorm>,
    norm_mlp: DeviceNorm,
    gate: Option<DeviceLinear>,
    up: DeviceLinear,
    down: DeviceLinear,
    post_mlp: Option<DeviceNorm>,
}

/// The decoder on a Candle device.
pub struct DeviceDecoder {
    config: Config,
    device: Device,
    words: QMatMul,
    positions: Option<Tensor>,
    frequencies: Option<Frequencies>,
    layers: Vec<DeviceLayer>,
    norm: DeviceNorm,
    output: Option<DeviceLinear>,
    bytes: usize,
}

/// Keys and values `[kv_heads, capacity, head_dim]` of each layer, f32.
#[derive(Default)]
pub struct DeviceCache {
    layers: Vec<Option<(Tensor, Tensor)>>,
    /// Positions that hold something.
    pub len: usize,
}

impl DeviceCache {
    /// A copy with memory of its own: the tensors are written in place.
    ///
    /// # Errors
    /// The device's own, such as out of memory.
    pub fn fork(&self) -> Result<Self> {
        let copy = |layer: &Option<(Tensor, Tensor)>| {
            layer.as_ref().map(|(k, v)| Ok::<_, candle_core::Error>((k.copy()?, v.copy()?))).transpose()
        };
        Ok(Self { layers: self.layers.iter().map(copy).collect::<Result<_>>()?, len: self.len })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().flatten().map(|(k, v)| (k.elem_count() + v.elem_count()) * 4).sum()
    }
}

/// One text's part of a step.
pub struct DeviceText<'a> {
    pub cache: &'a mut DeviceCache,
    pub ids: &'a [u32],
    pub want: Want,
}

/// The rows whose logits are wanted, in the texts' order.
fn wanted(x: &Tensor, texts: &[DeviceText<'_>]) -> Result<Option<Tensor>> {
    let (mut first, mut parts) = (0, Vec::new());
    for text in texts {
        let count = text.ids.len();
        match text.want {
            Want::Nothing => {}
            Want::Last => parts.push(x.narrow(0, first + count - 1, 1)?),
            Want::All => parts.push(x.narrow(0, first, count)?),
        }
        first += count;
    }
    match &parts[..] {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => Tensor::cat(&parts, 0).map(Some),
    }
}

/// Puts weights on the device and counts their bytes.
struct Loader<'a> {
    device: &'a Device,
    bytes: usize,
}

impl Loader<'_> {
    fn vector(&mut self, values: &[f32]) -> Result<Tensor> {
        self.bytes += values.len() * 4;
        Tensor::from_slice(values, values.len(), self.device)
    }

    fn matrix(&mut self, raw: &RawTensor) -> Result<QMatMul> {
        let shape = raw.shape().to_vec();
        let Some(dtype) = ggml(raw.dtype()) else {
            let values = raw.to_f32();
            self.bytes += values.len() * 4;
            return Ok(QMatMul::Tensor(Tensor::from_vec(values, shape, self.device)?));
        };
        self.bytes += raw.bytes().len();
        let storage = QStorage::from_data(raw.bytes().into(), self.device, dtype)?;
        QMatMul::from_qtensor(QTensor::new(storage, shape)?)
    }

    fn linear(&mut self, l: &Linear) -> Result<DeviceLinear> {
        let bias = if l.bias.is_empty() { None } else { Some(self.vector(&l.bias)?) };
        Ok(DeviceLinear { weight: self.matrix(&l.weight)?, bias })
    }

    fn norm(&mut self, n: &Norm) -> Result<DeviceNorm> {
        let beta = if n.beta.is_empty() { None } else { Some(self.vector(&n.beta)?) };
        Ok(DeviceNorm { gamma: self.vector(&n.gamma)?, beta })
    }
}

impl DeviceLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.forward(x)?;
        self.bias.as_ref().map_or(Ok(y.clone()), |b| y.broadcast_add(b))
    }
}

impl DeviceNorm {
    fn forward(&self, x: &Tensor, eps: f32) -> Result<Tensor> {
        match &self.beta {
            Some(beta) => layer_norm(x, &self.gamma, beta, eps),
            None => rms_norm(x, &self.gamma, eps),
        }
    }
}

impl DeviceDecoder {
    /// Copies all weights to `device`.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, an error of the device, or [`NnError::Stopped`].
    pub fn load(
        reader: &Reader<'_>,
        device: &Device,
        progress: &mut dyn FnMut(f32) -> std::result::Result<(), NnError>,
    ) -> std::result::Result<Self, NnError> {
        let config = reader.config.clone();
        let mut to = Loader { device, bytes: 0 };
        let ends = reader.ends()?;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            progress(index as f32 / (config.layers + 1) as f32)?;
            let l = reader.layer(index)?;
            let vector = |to: &mut Loader<'_>, v: &Option<Vec<f32>>| v.as_ref().map(|v| to.vector(v)).transpose();
            layers.push(DeviceLayer {
                norm_attention: to.norm(&l.norm_attention)?,
                q: to.linear(&l.q)?,
                k: to.linear(&l.k)?,
                v: to.linear(&l.v)?,
                q_norm: vector(&mut to, &l.q_norm)?,
                k_norm: vector(&mut to, &l.k_norm)?,
                out: to.linear(&l.out)?,
                post_attention: l.post_attention.as_ref().map(|n| to.norm(n)).transpose()?,
                norm_mlp: to.norm(&l.norm_mlp)?,
                gate: l.gate.as_ref().map(|g| to.linear(g)).transpose()?,
                up: to.linear(&l.up)?,
                down: to.linear(&l.down)?,
                post_mlp: l.post_mlp.as_ref().map(|n| to.norm(n)).transpose()?,
            });
        }
        let words = to.matrix(&ends.words)?;
        let output = match &ends.output {
            Some(raw) => Some(DeviceLinear { weight: to.matrix(raw)?, bias: None }),
            None => None,
        };
        let positions = match ends.positions.as_slice() {
            [] => None,
            values => Some(to.vector(values)?.reshape((config.context, config.hidden))?),
        };
        let norm = to.norm(&ends.norm)?;
        let frequencies = Frequencies::new(&config, &ends.factors);
        let (bytes, device) = (to.bytes, device.clone());
        Ok(Self { config, device, words, positions, frequencies, layers, norm, output, bytes })
    }

    /// Bytes of weights on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An empty cache.
    pub fn cache(&self) -> DeviceCache {
        DeviceCache { layers: vec![None; self.config.layers], len: 0 }
    }

    /// Reads tokens of any texts, each after what its cache holds. Logits `[wanted rows, vocab]`, in the texts' order.
    ///
    /// # Errors
    /// An error of the device.
    pub fn forward(&self, texts: &mut [DeviceText<'_>]) -> std::result::Result<Vec<f32>, NnError> {
        let ids: Vec<u32> = texts.iter().flat_map(|t| t.ids).copied().collect();
        let positions: Vec<u32> = texts.iter().flat_map(|t| (t.cache.len as u32..).take(t.ids.len())).collect();
        let (mut x, rows) = (self.embed(&ids, &positions)?, ids.len());
        let mut tables = Tables::default();
        if let Some(f) = &self.frequencies {
            f.fill(positions.iter().map(|p| *p as usize), &mut tables);
        }
        let rotation = |table: &super::rotary::Table| -> Result<Option<(Tensor, Tensor)>> {
            let half = table.cos().len() / rows;
            if half == 0 {
                return Ok(None);
            }
            let put = |v: &[f32]| Tensor::from_slice(v, (rows, half), &self.device);
            Ok(Some((put(table.cos())?, put(table.sin())?)))
        };
        let (global, local) = (rotation(&tables.global)?, rotation(&tables.local)?);
        for (index, layer) in self.layers.iter().enumerate() {
            let rotation = if self.config.is_local(index) { &local } else { &global };
            let rotation = rotation.as_ref().filter(|_| self.config.is_rotated(index));
            let h = layer.norm_attention.forward(&x, self.config.eps)?;
            let mut y = layer.out.forward(&self.attention(layer, &h, rotation, index, texts)?)?;
            if let Some(post) = &layer.post_attention {
                y = post.forward(&y, self.config.eps)?;
            }
            x = (x + y)?;
            let h = layer.norm_mlp.forward(&x, self.config.eps)?;
            let up = layer.up.forward(&h)?;
            let hidden = match &layer.gate {
                Some(gate) => (activate(&gate.forward(&h)?, self.config.activation)? * up)?,
                None => activate(&up, self.config.activation)?,
            };
            let mut y = layer.down.forward(&hidden)?;
            if let Some(post) = &layer.post_mlp {
                y = post.forward(&y, self.config.eps)?;
            }
            x = (x + y)?;
        }
        texts.iter_mut().for_each(|t| t.cache.len += t.ids.len());
        let Some(x) = wanted(&x, texts)? else { return Ok(Vec::new()) };
        let x = self.norm.forward(&x.contiguous()?, self.config.eps)?;
        let logits = match &self.output {
            Some(output) => output.forward(&x)?,
            None => self.words.forward(&x)?,
        };
        Ok(logits.flatten_all()?.to_vec1()?)
    }

    fn embed(&self, ids: &[u32], at: &[u32]) -> Result<Tensor> {
        let index = Tensor::new(ids, &self.device)?;
        let x = match &self.words {
            QMatMul::Tensor(words) | QMatMul::TensorF16(words) => words.index_select(&index, 0)?,
            quantized => quantized.embedding(&index)?,
        };
        let x = (x * f64::from(self.config.embedding_scale))?;
        match &self.positions {
            Some(positions) => x + positions.index_select(&Tensor::new(at, &self.device)?, 0)?,
            None => Ok(x),
        }
    }

    /// Context `[rows, heads · head_dim]` of normalized `x` `[rows, hidden]`: of each text over its own keys and values.
    fn attention(
        &self,
        layer: &DeviceLayer,
        x: &Tensor,
        rotation: Option<&(Tensor, Tensor)>,
        index: usize,
        texts: &mut [DeviceText<'_>],
    ) -> Result<Tensor> {
        let c = &self.config;
        let rows = x.dim(0)?;
        let heads = |y: Tensor, heads: usize, norm: Option<&Tensor>| -> Result<Tensor> {
            let mut y = y.reshape((rows, heads, c.head_dim))?;
            if let Some(gamma) = norm {
                y = rms_norm(&y.contiguous()?, gamma, c.eps)?;
            }
            y.transpose(0, 1)?.contiguous()
        };
        let rotate = |y: Tensor| rotation.map_or(Ok(y.clone()), |(cos, sin)| self.rotate(&y, cos, sin));
        let q = rotate(heads(layer.q.forward(x)?, c.heads, layer.q_norm.as_ref())?)?;
        let q = (q * f64::from(c.attention_scale))?;
        let k = rotate(heads(layer.k.forward(x)?, c.kv_heads, layer.k_norm.as_ref())?)?;
        let v = heads(layer.v.forward(x)?, c.kv_heads, None)?;
        let (mut first, mut contexts) = (0, Vec::with_capacity(texts.len()));
        for text in texts {
            let part = |t: &Tensor| t.narrow(1, first, text.ids.len())?.contiguous();
            let parts = [part(&q)?, part(&k)?, part(&v)?];
            contexts.push(self.attend(parts, index, text.cache)?);
            first += text.ids.len();
        }
        if let [only] = &contexts[..] { Ok(only.clone()) } else { Tensor::cat(&contexts, 0) }
    }

    /// Context `[tokens, heads · head_dim]` of one text's queries, keys and values `[heads, tokens, head_dim]`.
    fn attend(&self, [q, k, v]: [Tensor; 3], index: usize, cache: &mut DeviceCache) -> Result<Tensor> {
        let c = &self.config;
        let tokens = q.dim(1)?;
        let len = cache.len + tokens;
        let (k, v) = self.store(&mut cache.layers[index], cache.len, &k, &v)?;
        let group = c.heads / c.kv_heads;
        let q = q.reshape((c.kv_heads, group * tokens, c.head_dim))?;
        let mut scores = q.matmul(&k.transpose(1, 2)?)?;
        let window = c.window.filter(|_| c.is_local(index)).unwrap_or(usize::MAX);
        if tokens > 1 || window < len {
            let mask: Vec<f32> = (0..tokens * len)
                .map(|i| {
                    let (at, seen) = (cache.len + i / len, i % len);
                    if seen > at || at - seen >= window { f32::NEG_INFINITY } else { 0.0 }
                })
                .collect();
            let mask = Tensor::from_vec(mask, (1, 1, tokens, len), &self.device)?;
            let each = scores.reshape((c.kv_heads, group, tokens, len))?;
            scores = each.broadcast_add(&mask)?.reshape((c.kv_heads, group * tokens, len))?;
        }
        let context = softmax_last_dim(&scores)?.matmul(&v)?;
        let context = context.reshape((c.heads, tokens, c.head_dim))?.transpose(0, 1)?;
        context.contiguous()?.reshape((tokens, c.heads * c.head_dim))
    }

    fn rotate(&self, y: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
        let interleaved = self.frequencies.as_ref().is_some_and(Frequencies::is_interleaved);
        let dim = 2 * cos.dim(1)?;
        let part = y.narrow(D::Minus1, 0, dim)?.contiguous()?.unsqueeze(0)?;
        let part = if interleaved { rope_i(&part, cos, sin)? } else { rope(&part, cos, sin)? }.squeeze(0)?;
        if dim == self.config.head_dim {
            return Ok(part);
        }
        Tensor::cat(&[&part, &y.narrow(D::Minus1, dim, self.config.head_dim - dim)?.contiguous()?], D::Minus1)
    }

    /// Puts new keys and values `[kv_heads, tokens, head_dim]` at `at`; returns all so far.
    fn store(
        &self,
        held: &mut Option<(Tensor, Tensor)>,
        at: usize,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (heads, tokens, dim) = k.dims3()?;
        let len = at + tokens;
        let capacity = held.as_ref().map_or(Ok(0), |h| h.0.dim(1))?;
        if len > capacity {
            let grown = len.max((capacity * 2).min(self.config.context)).next_multiple_of(STEP);
            let fresh = || Tensor::zeros((heads, grown, dim), k.dtype(), &self.device);
            let (keys, values) = (fresh()?, fresh()?);
            if let Some((old_k, old_v)) = held.take().filter(|_| at > 0) {
                keys.slice_set(&old_k.narrow(1, 0, at)?.contiguous()?, 1, 0)?;
                values.slice_set(&old_v.narrow(1, 0, at)?.contiguous()?, 1, 0)?;
            }
            *held = Some((keys, values));
        }
        let Some((keys, values)) = held else { candle_core::bail!("no cache") };
        keys.slice_set(&k.contiguous()?, 1, at)?;
        values.slice_set(&v.contiguous()?, 1, at)?;
        Ok((keys.narrow(1, 0, len)?, values.narrow(1, 0, len)?))
    }
}
