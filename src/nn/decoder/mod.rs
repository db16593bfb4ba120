//! Decoder-only language models, ours: Llama, Qwen 2 and 3, Phi-3, Gemma 3, SmolLM3 from GGUF, and
//! GPT-2 (DialoGPT) from a Hugging Face folder.
//!
//! The families differ in a few switches of [`Config`] and in tensor names. One set of weights,
//! two ways to run it, as with the encoders: [`cpu`] on kernels of ours, [`device`] on Candle
//! tensors (CUDA). Both are held to the same golden logits in `tests/parity`.

mod cache;
pub mod config;
mod cpu;
mod device;
mod layer;
mod metadata;
pub mod pages;
mod rope;
mod rotary;
mod shelf;
pub mod weights;

use super::NnError;
use super::bert::Target;
use super::kernels::Isa;
use super::kernels::causal::HeadPages;
use super::source::TensorSource;
pub use cache::Cache;
use config::Config;
use device::DeviceText;
use pages::Pool;
pub use pages::{Admission, PAGE, Usage, pages_of};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use shelf::Shelf;
use std::ops::Range;

/// Tokens that one forward step reads at most where nothing else is said: Stop takes effect between steps.
pub const CHUNK: usize = 64;

/// Rows that one step of a crowd may have.
pub const MOST_ROWS: usize = 256;

/// Bytes of a page of keys and values on a CPU.
pub fn page_bytes(config: &Config, isa: Isa) -> usize {
    config.layers * config.kv_heads * HeadPages::run(config.head_dim, isa.panel()) * 2
}

/// Which positions' logits a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Nothing,
    Last,
    All,
}

/// One text's part of a step.
pub struct Part<'a> {
    pub cache: &'a mut Cache,
    /// What is read behind what the cache holds; at least one token.
    pub ids: &'a [u32],
    pub want: Want,
}

/// What a step gave.
pub struct Logits {
    values: Vec<f32>,
    parts: Vec<Result<Range<usize>, NnError>>,
}

impl Logits {
    /// Of each part, in order: logits `[wanted rows, vocab]`, or why it could not be read. The others are not touched by that.
    pub fn parts(&self) -> impl Iterator<Item = Result<&[f32], &NnError>> {
        self.parts.iter().map(|part| part.as_ref().map(|range| &self.values[range.clone()]))
    }

    /// Whether the device failed: nobody has moved, and each may be tried alone.
    pub fn is_lost(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Err(NnError::Device(_))))
    }
}

enum Backend {
    Cpu(Box<cpu::CpuDecoder>, Pool),
    Device(Box<device::DeviceDecoder>, Shelf),
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
                let decoder = cpu::CpuDecoder::load(&reader, team, isa, precision, progress)?;
                Backend::Cpu(Box::new(decoder), Pool::new(page_bytes(&config, isa) / 2))
            }
            Target::Device { device, .. } => {
                let decoder = device::DeviceDecoder::load(&reader, &device, progress)?;
                Backend::Device(Box::new(decoder), Shelf::default())
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
            Backend::Cpu(d, _) => d.bytes(),
            Backend::Device(d, _) => d.bytes(),
        }
    }

    /// Bytes of keys and values, of texts that are read or written and of those kept for later.
    pub fn cache_bytes(&self) -> usize {
        match &self.backend {
            Backend::Cpu(_, pool) => pool.bytes(),
            Backend::Device(_, shelf) => shelf.bytes(),
        }
    }

    /// Allows so many pages of keys and values in all. On a device texts are not cut into pages: as many at a time as
    /// would fill them.
    pub fn allow_pages(&self, pages: usize) {
        match &self.backend {
            Backend::Cpu(_, pool) => pool.set_limit(pages),
            Backend::Device(_, shelf) => shelf.set_limit((pages / pages_of(self.config.context)).max(1)),
        }
    }

    /// What texts hold.
    pub fn usage(&self) -> Usage {
        match &self.backend {
            Backend::Cpu(_, pool) => pool.usage(),
            Backend::Device(_, shelf) => shelf.usage(),
        }
    }

    /// Forgets the texts that are kept for later.
    pub fn forget(&self) {
        match &self.backend {
            Backend::Cpu(_, pool) => pool.clear(),
            Backend::Device(_, shelf) => shelf.clear(),
        }
    }

    /// An empty cache; what is read into it is not kept for other texts.
    pub fn cache(&self) -> Cache {
        match &self.backend {
            Backend::Cpu(_, pool) => Cache::on_cpu(pool.table()),
            Backend::Device(d, shelf) => Cache::on_device(shelf.text(d.cache())),
        }
    }

    /// A cache that holds as much of the beginning of `prompt` as is known, but never its last token. It has room for
    /// `most` tokens (at most the context), and `more` pages beside for its forks.
    pub fn admit(&self, prompt: &[u32], most: usize, more: usize) -> Admission<Cache> {
        let most = most.min(self.config.context);
        match &self.backend {
            Backend::Cpu(_, pool) => pool.admit(prompt, most, more).map(Cache::on_cpu),
            Backend::Device(d, shelf) => match shelf.admit(prompt, || d.cache()) {
                Some(text) => Admission::Ready(Cache::on_device(text)),
                None => Admission::Wait,
            },
        }
    }

    /// Reads `ids` after what `cache` holds. Logits `[rows, vocab]`, as many rows as `want` says.
    ///
    /// # Errors
    /// [`NnError::TokenId`] or [`NnError::TooLong`], an error of the device, too few pages, or a cache of another
    /// decoder ([`NnError::Config`]).
    pub fn forward(&self, cache: &mut Cache, ids: &[u32], want: Want) -> Result<Vec<f32>, NnError> {
        let mut logits = self.step(&mut [Part { cache, ids, want }]);
        logits.parts.remove(0).map(|range| {
            logits.values.truncate(range.end);
            logits.values
        })
    }

    /// Reads tokens of any texts in one pass. On a CPU a text's numbers do not depend, to the bit, on the others, nor on
    /// how its tokens are spread over steps.
    pub fn step(&self, parts: &mut [Part<'_>]) -> Logits {
        let mut checked: Vec<Result<(), NnError>> = parts.iter_mut().map(|part| self.check(part)).collect();
        let good = parts.iter_mut().zip(&checked).filter(|(_, c)| c.is_ok()).map(|(p, _)| p);
        let result = match &self.backend {
            Backend::Cpu(d, _) => Ok(self.on_cpu(d, good.collect())),
            Backend::Device(d, _) => self.on_device(d, good.collect()),
        };
        let values = result.unwrap_or_else(|error| {
            // A device's fault is everybody's.
            let said = error.to_string();
            checked.iter_mut().filter(|c| c.is_ok()).for_each(|c| *c = Err(NnError::Device(said.clone())));
            Vec::new()
        });
        let mut at = 0;
        let place = |(checked, part): (Result<(), NnError>, &Part<'_>)| {
            checked.map(|()| {
                let from = at;
                at += part.want.rows(part.ids.len()) * self.config.vocab;
                from..at
            })
        };
        let parts = checked.into_iter().zip(parts.iter()).map(place).collect();
        Logits { values, parts }
    }

    fn on_cpu(&self, decoder: &cpu::CpuDecoder, mut parts: Vec<&mut Part<'_>>) -> Vec<f32> {
        if parts.is_empty() {
            return Vec::new();
        }
        let pages = |p: &&mut Part<'_>| p.cache.table().map_or_else(Vec::new, pages::Table::pointers);
        let texts = parts.iter().map(|p| (p.ids, p.cache.len(), p.want, pages(p)));
        let logits = decoder.forward(texts);
        for part in &mut parts {
            let ids = part.ids;
            if let Some(table) = part.cache.table_mut() {
                table.extend(ids);
            }
        }
        logits
    }

    fn on_device(&self, decoder: &device::DeviceDecoder, parts: Vec<&mut Part<'_>>) -> Result<Vec<f32>, NnError> {
        let mut texts: Vec<DeviceText<'_>> = Vec::with_capacity(parts.len());
        for part in parts {
            let (ids, want) = (part.ids, part.want);
            texts.extend(part.cache.on_device_mut(ids).map(|cache| DeviceText { cache, ids, want }));
        }
        if texts.is_empty() { Ok(Vec::new()) } else { decoder.forward(&mut texts) }
    }

    /// Whether a part can be read; makes room for it.
    fn check(&self, part: &mut Part<'_>) -> Result<(), NnError> {
        let c = &self.config;
        let tokens = part.cache.len() + part.ids.len();
        if tokens > c.context || part.ids.is_empty() {
            return Err(NnError::TooLong { tokens, limit: c.context });
        }
        if let Some(&id) = part.ids.iter().find(|id| **id as usize >= c.vocab) {
            return Err(NnError::TokenId { id, vocab: c.vocab });
        }
        let count = part.ids.len();
        match (&self.backend, part.cache.table_mut()) {
            (Backend::Cpu(_, pool), Some(table)) if table.is_of(pool) => table.reserve(count),
            (Backend::Device(..), None) => Ok(()),
            _ => Err(NnError::Config("the cache belongs to another model or device".into())),
        }
    }

    /// Takes logits back that are not needed any more: the next step writes into their memory.
    pub fn recycle(&self, logits: Logits) {
        if let Backend::Cpu(d, _) = &self.backend {
            d.recycle(logits.values);
        }
    }

    /// Calls `each` for 0 to `count`, on the threads that the decoder runs on.
    pub fn share_out(&self, count: usize, each: impl Fn(usize) + Send + Sync) {
        match &self.backend {
            Backend::Cpu(d, _) => d.share_out(count, &each),
            Backend::Device(..) => (0..count).into_par_iter().for_each(each),
        }
    }

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

#[cfg(test)]
impl Decoder {
    /// Has every pass panic that reads this token.
    pub fn trip_over(&mut self, token: u32) {
        if let Backend::Cpu(d, _) = &mut self.backend {
            d.trip = Some(token);
        }
    }
}

impl Want {
    /// Rows of logits, of so many tokens.
    fn rows(self, tokens: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Last => tokens.min(1),
            Self::All => tokens,
        }
    }
}
