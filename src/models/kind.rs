//! What a folder or a file is for, told by its configuration.

use super::ModelError;
use super::library::ModelEntry;
use crate::nn::decoder::config::Metadata as _;
use crate::nn::shape::{Kind, Shape};
use crate::nn::source::TensorSource as _;
use crate::nn::{bert, decoder, seq2seq};
use serde_json::Value;
use std::path::Path;

/// What a model is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognized {
    /// Task id whose models it belongs to.
    pub task: &'static str,
    /// `transformers` class, or GGUF's name of the architecture.
    pub architecture: String,
}

/// What config.json says that the model is; `None` for what does not run here.
pub fn recognize(config: &Value) -> Option<Recognized> {
    let named = config.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let is_encoder = ["bert", "distilbert", "roberta", "xlm-roberta"].contains(&family);
    let architecture = named.unwrap_or(family).to_owned();
    let task = match () {
        () if is_encoder && architecture.ends_with("ForSequenceClassification") => "sentiment",
        () if is_encoder && architecture.ends_with("ForTokenClassification") => "entities",
        () if is_encoder && architecture.ends_with("ForQuestionAnswering") => "qa",
        () if is_encoder && (architecture.ends_with("Model") || architecture.ends_with("ForMaskedLM")) => "embed",
        () if family == "t5" => "abstractive",
        () if family == "marian" => "translate",
        () if family == "gpt2" => "chat",
        () => return None,
    };
    Some(Recognized { task, architecture })
}

/// Reads `dir/config.json` for [`recognize`].
pub fn of_folder(dir: &Path) -> Option<Recognized> {
    let path = dir.join("config.json");
    // A configuration has some kilobytes.
    let small = std::fs::metadata(&path).is_ok_and(|m| m.len() < 4 << 20);
    let text = std::fs::read_to_string(&path).ok().filter(|_| small)?;
    recognize(&serde_json::from_str(&text).ok()?)
}

/// Sizes, and the languages where the family names them.
///
/// # Errors
/// A damaged file, or an architecture that does not run here.
pub fn shape(entry: &ModelEntry) -> Result<Shape, ModelError> {
    let wrong = |e: crate::nn::NnError| ModelError::damaged(&entry.config, e);
    if let Some(path) = entry.gguf() {
        let file = super::gguf::Gguf::open(path)?;
        let config = decoder::config::Config::from_metadata(&file, file.vocabulary()).map_err(wrong)?;
        return Ok(of_decoder(&config, file.has("output.weight")));
    }
    let json = entry.read_config()?;
    let Some(found) = recognize(&json) else {
        let name = json.get("model_type").and_then(Value::as_str).unwrap_or("no model type");
        return Err(ModelError::damaged(&entry.config, format!("models of the type '{name}' do not run here")));
    };
    match found.task {
        "chat" => Ok(of_decoder(&decoder::config::Config::from_json(&json).map_err(wrong)?, false)),
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

/// The architecture that a GGUF file names.
///
/// # Errors
/// A damaged file.
pub fn of_gguf(path: &Path) -> Result<Recognized, ModelError> {
    let file = super::gguf::Gguf::open(path)?;
    let architecture = file.text("general.architecture").unwrap_or("unknown").to_owned();
    Ok(Recognized { task: "chat", architecture })
}
