//! What a model on disk will need in memory, by its own files, before anything of it is read.

use crate::models::gguf::Gguf;
use crate::models::kind;
use crate::models::library::ModelEntry;
use crate::models::weights::Weights;
use crate::nn::bert::Target;
use crate::nn::forecast::{self, Forecast};
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::nn::{bert, decoder, seq2seq};
use crate::tasks::contract::{DEFAULT_CONTEXT, Need, TaskError};

/// What `entry` will need on `runtime`'s device, kept as the runtime says, with the runtime's context.
///
/// # Errors
/// What is wrong with the files.
pub fn of(entry: &ModelEntry, runtime: &Runtime) -> Result<Forecast, TaskError> {
    let mut all = each(entry, runtime, &[runtime.kept()])?;
    // One was asked for.
    Ok(all.remove(0))
}

/// Why a model that will need this is not loaded.
pub fn too_large(forecast: Forecast, runtime: &Runtime) -> TaskError {
    TaskError::TooLarge { forecast, context: runtime.context.unwrap_or(DEFAULT_CONTEXT) }
}

/// The same for several precisions, in their order; the files are opened once.
///
/// # Errors
/// What is wrong with the files.
pub fn each(entry: &ModelEntry, runtime: &Runtime, precisions: &[Precision]) -> Result<Vec<Forecast>, TaskError> {
    let here = |source| TaskError::checkpoint(entry, Need::Any, source);
    let free = runtime.free_memory();
    let context = runtime.context.unwrap_or(DEFAULT_CONTEXT);
    let all = |one: &dyn Fn(&Target, Precision) -> Forecast| {
        Ok(precisions.iter().map(|p| one(&runtime.keeping(*p).target(), *p)).collect())
    };
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path)?;
        let mut config = decoder::config::Config::from_metadata(&file, file.vocabulary()).map_err(here)?;
        config.context = config.context.min(context).max(1);
        return all(&|target, kept| forecast::decoder(&config, &file, (target, kept), free));
    }
    let json = entry.read_config()?;
    let weights = Weights::open(&entry.weights)?;
    let found = kind::recognize(&json);
    let task = found.as_ref().map_or("", |f| f.task);
    match task {
        "chat" => {
            let mut config = decoder::config::Config::from_json(&json).map_err(here)?;
            config.context = config.context.min(context).max(1);
            all(&|target, kept| forecast::decoder(&config, &weights, (target, kept), free))
        }
        "abstractive" | "translate" => {
            let config = seq2seq::config::Config::from_json(&json).map_err(here)?;
            all(&|target, kept| forecast::seq2seq(&config, &weights, (target, kept), (context.min(512), free)))
        }
        _ => {
            let config = bert::config::Config::from_json(&json).map_err(here)?;
            all(&|target, kept| forecast::encoder(&config, &weights, (target, kept), free))
        }
    }
}
