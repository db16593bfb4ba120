//! A model's sizes, read from its files.

use super::ModelError;
use super::entry::ModelEntry;
use super::gguf::Gguf;
use super::kind;
use crate::nn::keys::shown;
use crate::nn::shape::{Kind, Shape};
use crate::nn::source::TensorSource as _;
use crate::nn::{bert, decoder, seq2seq};
use serde_json::Value;

/// What to do about a model that cannot run.
const OTHERS: &str = "Choose one of those that 'glossa models list --all' shows, or another of their kinds.";

/// Sizes of `entry`, as its configuration or its GGUF header has them.
///
/// # Errors
/// A damaged file, or an architecture that does not run here.
pub fn shape_of(entry: &ModelEntry) -> Result<Shape, ModelError> {
    let wrong = |e: crate::nn::NnError| ModelError::unfit(&entry.config, format!("cannot be used: {e}"), OTHERS);
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path)?;
        let config = decoder::config::Config::from_metadata(&file, file.vocabulary()).map_err(wrong)?;
        return Ok(of_decoder(&config, file.has("output.weight")));
    }
    let json = entry.read_config()?;
    let Some(found) = kind::recognize(&json) else {
        let name = json.get("model_type").and_then(Value::as_str).unwrap_or("no model type");
        let why = format!("says that this is a model of the type '{}', which does not run here", shown(name));
        return Err(ModelError::unfit(&entry.config, why, OTHERS));
    };
    match found.task {
        "chat" => {
            let config = decoder::config::Config::from_json(&json).map_err(wrong)?;
            Ok(of_decoder(&config, !config.tied))
        }
        "abstractive" | "translate" => {
            let c = seq2seq::config::Config::from_json(&json).map_err(wrong)?;
            Ok(Shape {
                kind: Kind::Seq2seq,
                layers: c.encoder.layers,
                decoder_layers: c.decoder.layers,
                hidden: c.hidden,
                heads: c.encoder.heads,
                kv_heads: 0,
                head_dim: c.head_dim,
                inner: c.inner(c.encoder),
                intermediate: c.encoder.intermediate,
                gated: c.gated,
                untied: c.logit_scale == 1.0 && c.relative.is_some(),
                vocabulary: c.vocab,
                context: c.positions,
            })
        }
        _ => {
            let c = bert::config::Config::from_json(&json).map_err(wrong)?;
            Ok(Shape {
                kind: Kind::Encoder,
                layers: c.layers,
                decoder_layers: 0,
                hidden: c.hidden,
                heads: c.heads,
                kv_heads: 0,
                head_dim: c.head_dim(),
                inner: 0,
                intermediate: c.intermediate,
                gated: false,
                untied: false,
                vocabulary: c.vocab,
                context: c.positions,
            })
        }
    }
}

fn of_decoder(c: &decoder::config::Config, untied: bool) -> Shape {
    Shape {
        kind: Kind::Decoder,
        layers: c.layers,
        decoder_layers: 0,
        hidden: c.hidden,
        heads: c.heads,
        kv_heads: c.kv_heads,
        head_dim: c.head_dim,
        inner: 0,
        intermediate: c.intermediate,
        gated: c.family != decoder::config::Family::Gpt2,
        untied,
        vocabulary: c.vocab,
        context: c.context,
    }
}
