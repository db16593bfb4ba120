//! What a model on disk will need in memory, by its own files, before anything of it is read.

use super::TaskError;
use crate::models::gguf::Gguf;
use crate::models::kind;
use crate::models::library::ModelEntry;
use crate::models::weights::Weights;
use crate::nn::forecast::{self, Forecast};
use crate::nn::runtime::Runtime;
use crate::nn::{bert, decoder, seq2seq};

/// What `entry` will need on `runtime`'s device, kept as the runtime says, with the runtime's context.
///
/// # Errors
/// What is wrong with the files.
pub fn of(entry: &ModelEntry, runtime: &Runtime) -> Result<Forecast, TaskError> {
    let here = |source| TaskError::Checkpoint { dir: format!("'{}'", entry.dir.display()), source };
    let (target, kept, free) = (runtime.target(), runtime.kept(), runtime.free_memory());
    let context = runtime.context.unwrap_or(super::language::DEFAULT_CONTEXT);
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path)?;
        let mut config = decoder::config::Config::from_metadata(&file, file.vocabulary()).map_err(here)?;
        config.context = config.context.min(context).max(1);
        return Ok(forecast::decoder(&config, &file, (&target, kept), free));
    }
    let json = entry.read_config()?;
    let weights = Weights::open(&entry.weights)?;
    let found = kind::recognize(&json);
    let task = found.as_ref().map_or("", |f| f.task);
    Ok(match task {
        "chat" => {
            let mut config = decoder::config::Config::from_json(&json).map_err(here)?;
            config.context = config.context.min(context).max(1);
            forecast::decoder(&config, &weights, (&target, kept), free)
        }
        "abstractive" | "translate" => {
            let config = seq2seq::config::Config::from_json(&json).map_err(here)?;
            forecast::seq2seq(&config, &weights, (&target, kept), (context.min(512), free))
        }
        _ => {
            let config = bert::config::Config::from_json(&json).map_err(here)?;
            forecast::encoder(&config, &weights, (&target, kept), free)
        }
    })
}
