//! Decoder-only language models, ours: Llama, Qwen 2 and 3, Phi-3, Gemma 3, SmolLM3 from GGUF, and
//! GPT-2 (DialoGPT) from a Hugging Face folder.
//!
//! The families differ in a few switches of [`Config`] and in tensor names. One set of weights,
//! two ways to run it, as with the encoders: [`cpu`] on kernels of ours, [`device`] on Candle
//! tensors (CUDA). Both are held to the same golden logits in `tests/parity`.

pub mod cache;
pub mod config;
pub mod cpu;
pub mod device;
mod layer;
mod rope;
mod rotary;
pub mod weights;

use super::NnError;
use super::bert::Target;
use super::source::TensorSource;
use config::Config;

/// Tokens that one forward step reads at most: Stop takes effect between steps.
pub const CHUNK: usize = 64;

/// Which positions' logits a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Nothing,
    Last,
    All,
}

enum Backend {
    Cpu(Box<cpu::CpuDecoder>),
    Device(Box<device::DeviceDecoder>),
}

/// Keys and values of a running text.
pub struct Cache(Held);

enum Held {
    Cpu(cache::CpuCache),
    Device(device::DeviceCache),
}

/// A decoder with its weights.
pub struct Decoder {
    config: Config,
    backend: Backend,
}

impl Decoder {
    /// Loads all weights. `progress` gets the share done, 0 to 1, and may stop the loading.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, an error of the device, or [`NnError::Stopped`].
    pub fn load(
        config: Config,
        source: &dyn TensorSource,
        target: Target,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let reader = weights::Reader { config: &config, source };
        let backend = match target {
            Target::Cpu { team, isa, precision } => {
                Backend::Cpu(Box::new(cpu::CpuDecoder::load(&reader, team, isa, precision, progress)?))
            }
            Target::Device { device, .. } => {
                Backend::Device(Box::new(device::DeviceDecoder::load(&reader, &device, progress)?))
            }
        };
        source.check_whole()?;
        Ok(Self { config, backend })
    }

    /// Sizes and switches.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match &self.backend {
            Backend::Cpu(d) => d.bytes(),
            Backend::Device(d) => d.bytes(),
        }
    }

    /// An empty cache for this decoder.
    pub fn cache(&self) -> Cache {
        Cache(match &self.backend {
            Backend::Cpu(d) => Held::Cpu(d.cache()),
            Backend::Device(d) => Held::Device(d.cache()),
        })
    }

    /// Reads `ids` after what `cache` holds. Logits `[rows, vocab]`, as many rows as `want` says.
    ///
    /// # Errors
    /// [`NnError::TokenId`] or [`NnError::TooLong`], an error of the device, or a cache of another
    /// decoder ([`NnError::Config`]).
    pub fn forward(&self, cache: &mut Cache, ids: &[u32], want: Want) -> Result<Vec<f32>, NnError> {
        let c = &self.config;
        let tokens = cache.len() + ids.len();
        if tokens > c.context || ids.is_empty() {
            return Err(NnError::TooLong { tokens, limit: c.context });
        }
        if let Some(&id) = ids.iter().find(|id| **id as usize >= c.vocab) {
            return Err(NnError::TokenId { id, vocab: c.vocab });
        }
        match (&self.backend, &mut cache.0) {
            (Backend::Cpu(d), Held::Cpu(cache)) => Ok(d.forward(cache, ids, want)),
            (Backend::Device(d), Held::Device(cache)) => d.forward(cache, ids, want),
            _ => Err(NnError::Config("the cache belongs to another device".into())),
        }
    }
}

impl Decoder {
    /// Reads `ids` in steps of [`CHUNK`]; logits `[vocab]` of the last.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn read(&self, cache: &mut Cache, ids: &[u32]) -> Result<Vec<f32>, NnError> {
        let (before, last) = ids.split_at(ids.len().saturating_sub(1) / CHUNK * CHUNK);
        for chunk in before.chunks(CHUNK) {
            self.forward(cache, chunk, Want::Nothing)?;
        }
        self.forward(cache, last, Want::Last)
    }
}

impl Cache {
    /// Tokens held.
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Cpu(c) => c.len,
            Held::Device(c) => c.len,
        }
    }

    /// A copy that goes its own way.
    ///
    /// # Errors
    /// An error of the device, such as out of memory.
    pub fn fork(&self) -> Result<Self, NnError> {
        Ok(Self(match &self.0 {
            Held::Cpu(c) => Held::Cpu(c.clone()),
            Held::Device(c) => Held::Device(c.fork()?),
        }))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Held::Cpu(c) => c.len = c.len.min(len),
            Held::Device(c) => c.len = c.len.min(len),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Held::Cpu(c) => c.bytes(),
            Held::Device(c) => c.bytes(),
        }
    }
}
