//! Architectures and layers. Knows tensors, not files; the kernels keep a team of threads.

pub mod beam;
pub mod bert;
pub mod decoder;
pub mod dtype;
pub mod forecast;
mod harmless;
pub mod kernels;
pub mod keys;
pub mod logistic;
pub mod options;
pub mod parts;
mod placing;
pub mod precision;
pub mod quant;
pub mod quantize;
pub mod runtime;
pub mod sampling;
pub mod seq2seq;
pub mod shape;
pub mod source;

/// A lock's content, whatever happened to whoever held it before: what a panic leaves half written
/// is overwritten, or thrown away, by its next user.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What can go wrong between a checkpoint's tensors and a forward pass.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    #[error("the weights have no tensor '{0}'")]
    MissingTensor(String),
    #[error("tensor '{name}' has shape {found:?}, the configuration asks for {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor '{name}' has element type {dtype}, which this model cannot use")]
    Dtype { name: String, dtype: String },
    #[error("{0}")]
    Config(String),
    #[error("token id {id} is outside the vocabulary of {vocab}")]
    TokenId { id: u32, vocab: usize },
    #[error("a sequence of {tokens} tokens is longer than the model's {limit} positions")]
    TooLong { tokens: usize, limit: usize },
    #[error("all {limit} pages for keys and values are in use")]
    Pages { limit: usize },
    #[error("the model's file became shorter, or vanished, while it was read")]
    Cut,
    #[error("loading was stopped")]
    Stopped,
    #[error("a CPU thread could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// One step's fault, said to everybody in it.
    #[error("{0}")]
    Device(String),
    #[error("the tensor library failed: {0}")]
    Candle(#[from] candle_core::Error),
}
