//! Encoder-decoders: T5 and Marian, ours.
//!
//! One set of weights, two ways to run it, as with the encoders: [`cpu`] on kernels of ours,
//! [`device`] on Candle tensors (CUDA). Both are held to the same golden outputs in `tests/parity`.
//! A source is read once ([`Model::encode`]); hypotheses then go on step by step ([`Model::step`]),
//! in one batch, whichever positions they are at; [`super::beam`] decides which, [`job`] drives both.

pub mod config;
pub mod cpu;
pub mod device;
pub mod job;
pub mod memory;
pub mod positions;
pub mod weights;

use super::NnError;
use super::bert::Target;
use super::kernels::Isa;
use super::kernels::rank::{Ranked, rank};
use super::source::TensorSource;
use config::Config;
use cpu::decode::CpuStrand;
pub use memory::Next;

enum Backend {
    Cpu(Box<cpu::CpuModel>),
    Device(Box<device::DeviceModel>),
}

/// An encoder-decoder with its weights.
pub struct Model {
    config: Config,
    backend: Backend,
}

/// A source that has been read: what every hypothesis looks up, computed once.
pub struct Source(Read);

enum Read {
    Cpu(cpu::CpuSource),
    Device(device::DeviceSource),
}

/// What the hypotheses of one source remember.
pub struct Memory(Held);

enum Held {
    Cpu(memory::CpuMemory),
    Device(device::DeviceMemory),
}

/// Hypotheses of one source, and what they go on with.
pub struct Strand<'a> {
    pub source: &'a Source,
    pub memory: &'a mut Memory,
    pub next: Next<'a>,
}

impl Source {
    /// Source tokens, special tokens included.
    pub fn tokens(&self) -> usize {
        match &self.0 {
            Read::Cpu(s) => s.tokens(),
            Read::Device(s) => s.tokens(),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Read::Cpu(s) => s.bytes(),
            Read::Device(s) => s.bytes(),
        }
    }
}

impl Memory {
    /// Tokens of the longest hypothesis.
    fn longest(&self) -> usize {
        match &self.0 {
            Held::Cpu(m) => m.longest(),
            Held::Device(m) => m.len(),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Held::Cpu(m) => m.bytes(),
            Held::Device(m) => m.bytes(),
        }
    }
}

impl Model {
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
                Backend::Cpu(Box::new(cpu::CpuModel::load(&reader, team, isa, precision, progress)?))
            }
            Target::Device { device, dtype } => {
                Backend::Device(Box::new(device::DeviceModel::load(&reader, &device, dtype, progress)?))
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
            Backend::Cpu(m) => m.bytes(),
            Backend::Device(m) => m.bytes(),
        }
    }

    fn check(&self, ids: &[u32], vocab: usize) -> Result<(), NnError> {
        let limit = self.config.positions;
        if ids.is_empty() || ids.len() > limit {
            return Err(NnError::TooLong { tokens: ids.len(), limit });
        }
        match ids.iter().find(|id| **id as usize >= vocab) {
            Some(&id) => Err(NnError::TokenId { id, vocab }),
            None => Ok(()),
        }
    }

    /// Reads sources, each with its end token.
    ///
    /// # Errors
    /// [`NnError::TokenId`] or [`NnError::TooLong`], or an error of the device.
    pub fn encode(&self, batch: &[&[u32]]) -> Result<Vec<Source>, NnError> {
        for ids in batch {
            self.check(ids, self.config.source_vocab)?;
        }
        Ok(match &self.backend {
            Backend::Cpu(m) => m.encode(batch).into_iter().map(|s| Source(Read::Cpu(s))).collect(),
            Backend::Device(m) => m.encode(batch)?.into_iter().map(|s| Source(Read::Device(s))).collect(),
        })
    }

    /// The encoder's last states `[tokens, hidden]` of each sequence.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn states(&self, batch: &[&[u32]]) -> Result<Vec<Vec<f32>>, NnError> {
        for ids in batch {
            self.check(ids, self.config.source_vocab)?;
        }
        match &self.backend {
            Backend::Cpu(m) => Ok(m.states(batch)),
            Backend::Device(m) => batch.iter().map(|ids| m.states(ids)).collect(),
        }
    }

    /// A memory without a past.
    pub fn memory(&self) -> Memory {
        Memory(match &self.backend {
            Backend::Cpu(_) => Held::Cpu(memory::CpuMemory::default()),
            Backend::Device(_) => Held::Device(device::DeviceMemory::default()),
        })
    }

    /// One step; logits `[rows, vocab]`, rows in the order of the strands.
    ///
    /// # Errors
    /// [`NnError::TokenId`], an error of the device, or parts of another model
    /// ([`NnError::Config`]).
    pub fn step(&self, strands: &mut [Strand<'_>]) -> Result<Vec<f32>, NnError> {
        self.check_tokens(strands)?;
        match &self.backend {
            Backend::Cpu(m) => Ok(m.step(&mut on_cpu(strands)?)),
            Backend::Device(m) => {
                let mut logits = Vec::new();
                for strand in strands {
                    let (Read::Device(source), Held::Device(memory)) = (&strand.source.0, &mut strand.memory.0) else {
                        return Err(foreign());
                    };
                    logits.extend(m.step(source, memory, strand.next)?);
                }
                Ok(logits)
            }
        }
    }

    fn check_tokens(&self, strands: &[Strand<'_>]) -> Result<(), NnError> {
        let (vocab, limit) = (self.config.vocab, self.config.positions);
        for strand in strands {
            let new = if matches!(strand.next, Next::Beams(_)) { 1 } else { strand.next.len() };
            let tokens = strand.memory.longest() + new;
            if tokens > limit {
                return Err(NnError::TooLong { tokens, limit });
            }
            let mut tokens = (0..strand.next.len()).map(|row| strand.next.token(row));
            if let Some(id) = tokens.find(|id| *id as usize >= vocab) {
                return Err(NnError::TokenId { id, vocab });
            }
        }
        Ok(())
    }

    /// Where each token of `target` (which begins with the start token) looks in the source when
    /// the next one is written: `[target tokens][source tokens]`, each row sums to 1. The mean over the
    /// heads of the later half of the decoder's layers.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn align(&self, source: &Source, target: &[u32]) -> Result<Vec<Vec<f32>>, NnError> {
        self.check(target, self.config.vocab)?;
        let mut memory = self.memory();
        match (&self.backend, &source.0, &mut memory.0) {
            (Backend::Cpu(m), Read::Cpu(source), Held::Cpu(memory)) => {
                Ok(m.watch(&mut [CpuStrand { source, memory, next: Next::Forced(target) }]))
            }
            (Backend::Device(m), Read::Device(source), Held::Device(_)) => m.watch(source, target),
            _ => Err(foreign()),
        }
    }

    /// The `count` likeliest tokens of each row of `logits`, without those in `banned` of the row.
    pub fn rank(&self, logits: &[f32], banned: &[Vec<u32>], count: usize) -> Vec<Ranked> {
        match &self.backend {
            Backend::Cpu(m) => m.rank(logits, banned, count),
            Backend::Device(_) => {
                let isa = Isa::detect();
                logits.chunks(self.config.vocab).zip(banned).map(|(l, b)| rank(isa, l, b, count)).collect()
            }
        }
    }
}

fn foreign() -> NnError {
    NnError::Config("a source or a memory belongs to another device".into())
}

fn on_cpu<'a>(strands: &'a mut [Strand<'_>]) -> Result<Vec<CpuStrand<'a>>, NnError> {
    let one = |strand: &'a mut Strand<'_>| match (&strand.source.0, &mut strand.memory.0) {
        (Read::Cpu(source), Held::Cpu(memory)) => Ok(CpuStrand { source, memory, next: strand.next }),
        _ => Err(foreign()),
    };
    strands.iter_mut().map(one).collect()
}
