//! BERT, DistilBERT and RoBERTa with the heads of their tasks, ours.
//!
//! Architecture: Devlin et al. 2019 (arXiv:1810.04805), Sanh et al. 2019 (arXiv:1910.01108), Liu et
//! al. 2019 (arXiv:1907.11692).
//! One set of weights, two ways to run it: [`cpu`] on kernels of ours, [`device`] on Candle
//! tensors (CUDA). Both are held to the same golden outputs in `tests/parity`.

pub mod config;
pub mod cpu;
pub mod device;
pub mod weights;
mod workspace;

use super::NnError;
use super::kernels::Isa;
use super::kernels::team::Team;
use super::precision::Precision;
use super::source::TensorSource;
use candle_core::{DType, Device};
use config::Config;
use std::sync::Arc;
pub use weights::HeadKind;

/// One tokenized text, special tokens included.
#[derive(Clone, Copy)]
pub struct Sequence<'a> {
    /// Token ids, at most [`Config::positions`].
    pub ids: &'a [u32],
    /// Token types, as long as `ids`, or empty for all zero.
    pub types: &'a [u32],
}

impl<'a> Sequence<'a> {
    /// A single segment.
    pub fn new(ids: &'a [u32]) -> Self {
        Self { ids, types: &[] }
    }
}

/// Where and in which precision an encoder runs.
#[derive(Clone)]
pub enum Target {
    /// Our kernels. Precision is that of the stored weights; sums are f32.
    Cpu { team: Arc<Team>, isa: Isa, precision: Precision },
    /// Candle tensors.
    Device { device: Device, dtype: DType },
}

enum Backend {
    Cpu(Box<cpu::CpuEncoder>),
    Device(Box<device::DeviceEncoder>),
}

/// An encoder with a head.
pub struct Encoder {
    config: Config,
    backend: Backend,
}

impl Encoder {
    /// Loads all weights. `progress` gets the share done, 0 to 1, and may stop the loading.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, an error of the device, or [`NnError::Stopped`].
    pub fn load(
        config: Config,
        kind: HeadKind,
        source: &dyn TensorSource,
        target: Target,
        progress: &mut dyn FnMut(f32) -> Result<(), NnError>,
    ) -> Result<Self, NnError> {
        let reader = weights::Reader { config: &config, source };
        let backend = match target {
            Target::Cpu { team, isa, precision } => {
                Backend::Cpu(Box::new(cpu::CpuEncoder::load(&reader, kind, team, isa, precision, progress)?))
            }
            Target::Device { device, dtype } => {
                Backend::Device(Box::new(device::DeviceEncoder::load(&reader, kind, &device, dtype, progress)?))
            }
        };
        source.check_whole()?;
        Ok(Self { config, backend })
    }

    /// Sizes and labels.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match &self.backend {
            Backend::Cpu(e) => e.bytes(),
            Backend::Device(e) => e.bytes(),
        }
    }

    /// The head's output for each sequence, in the order given: `[labels]` or an embedding
    /// `[hidden]`; of a head on every token `[tokens, labels]`, row by row. One forward step: the batch
    /// is sorted by length inside, and never padded on CPU.
    ///
    /// # Errors
    /// [`NnError::TokenId`] or [`NnError::TooLong`] for a sequence that does not fit the model (on
    /// a GPU it would kill the context), or an error of the device.
    pub fn outputs(&self, batch: &[Sequence<'_>]) -> Result<Vec<Vec<f32>>, NnError> {
        let vocab = self.config.vocab;
        for sequence in batch {
            let tokens = sequence.ids.len();
            if tokens == 0 || tokens > self.config.positions {
                return Err(NnError::TooLong { tokens, limit: self.config.positions });
            }
            if let Some(&id) = sequence.ids.iter().find(|id| **id as usize >= vocab) {
                return Err(NnError::TokenId { id, vocab });
            }
            let kinds = self.config.types;
            if let Some(&id) = sequence.types.iter().find(|t| kinds > 0 && **t as usize >= kinds) {
                return Err(NnError::TokenId { id, vocab: kinds });
            }
        }
        match &self.backend {
            Backend::Cpu(e) => {
                let outputs = e.outputs(batch);
                // Words are read from the file, row by row.
                e.words().check_whole()?;
                Ok(outputs)
            }
            Backend::Device(e) => e.outputs(batch),
        }
    }
}

/// `softmax(logits)` in f64, so that nearly certain answers keep their digits.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let exps: Vec<f64> = logits.iter().map(|x| (f64::from(*x) - top).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}
