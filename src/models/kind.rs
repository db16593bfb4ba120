//! What a folder or a file is for, told by its configuration.

use super::ModelError;
use crate::nn::decoder::config::Metadata as _;
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

/// The architecture that a GGUF file names.
///
/// # Errors
/// A damaged file.
pub fn of_gguf(path: &Path) -> Result<Recognized, ModelError> {
    let file = super::gguf::Gguf::open(path)?;
    let architecture = file.text("general.architecture").unwrap_or("unknown").to_owned();
    Ok(Recognized { task: "chat", architecture })
}
