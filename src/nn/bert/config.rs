//! BERT's, DistilBERT's and RoBERTa's config.json, read into one shape.

use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use crate::nn::keys::{Keys, head_dim, shown};
use serde::Serialize;
use serde_json::Value;

/// The families, which differ in tensor names, token types, first position and the classification head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bert,
    DistilBert,
    /// RoBERTa and XLM-R: BERT whose positions begin after the padding index.
    Roberta,
}

/// What the numbers of a sequence classifier mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Probabilities of labels that exclude each other; they add up to 1 (softmax).
    #[default]
    #[serde(rename = "softmax")]
    Shares,
    /// Each label's own probability (sigmoid): several may hold, or none.
    #[serde(rename = "sigmoid")]
    Each,
    /// Numbers that are no probabilities (regression).
    Number,
}

/// Sizes and switches of an encoder.
#[derive(Clone, Debug)]
pub struct Config {
    pub family: Family,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub positions: usize,
    /// Rows of the position table before the first token's.
    pub position_offset: usize,
    /// Token types (0: the family has none).
    pub types: usize,
    pub activation: Activation,
    pub eps: f32,
    /// Names of the classes, by index.
    pub labels: Vec<String>,
    /// What a classifier's numbers mean.
    pub scores: ScoreKind,
    /// Whether token types say how a word is written (our entity tagger) rather than which segment it is in.
    pub case_types: bool,
    /// What each further token of an answer costs, as a logarithm, where a model was taught by people
    /// who answer at length.
    pub answer_length_penalty: f32,
    /// Added to the score of "no answer", where a model's own is not well placed.
    pub no_answer_bias: f32,
}

impl Config {
    /// Reads a parsed config.json.
    ///
    /// # Errors
    /// [`NnError::Config`], in words, for another architecture, a missing or impossible value.
    pub fn from_json(json: &Value) -> Result<Self, NnError> {
        let family = match json.get("model_type").and_then(Value::as_str) {
            Some("bert") => Family::Bert,
            Some("distilbert") => Family::DistilBert,
            Some("roberta" | "xlm-roberta" | "camembert") => Family::Roberta,
            Some(other) => {
                return Err(NnError::Config(format!(
                    "config.json describes a '{}' model; this task runs 'bert', 'distilbert', 'roberta' and 'xlm-roberta'",
                    shown(other)
                )));
            }
            None => return Err(NnError::Config("config.json has no 'model_type'".into())),
        };
        let keys = Keys(json);
        keys.nothing_else(&KEYS)?;
        let bert = family != Family::DistilBert;
        let pick = |b: &'static str, d: &'static str| if bert { b } else { d };
        let act = keys.text(pick("hidden_act", "activation"))?.unwrap_or("gelu");
        let activation = Activation::from_name(act)
            .ok_or_else(|| NnError::Config(format!("config.json asks for the unknown activation '{}'", shown(act))))?;
        if let Some(kind) = keys.text("position_embedding_type")?.filter(|k| *k != "absolute") {
            return Err(NnError::Config(format!(
                "config.json asks for '{}' positions; only 'absolute' is known",
                shown(kind)
            )));
        }
        let vocab = keys.size("vocab_size")?;
        let position_offset = match family {
            Family::Roberta => keys.id("pad_token_id", vocab)?.unwrap_or(1) as usize + 1,
            _ => 0,
        };
        let positions = keys.size("max_position_embeddings")?;
        if positions <= position_offset {
            return Err(NnError::Config(format!(
                "config.json: {positions} positions leave none behind the padding's {position_offset}"
            )));
        }
        let bias = -1e6..=1e6;
        let config = Self {
            family,
            hidden: keys.size(pick("hidden_size", "dim"))?,
            layers: keys.layers(pick("num_hidden_layers", "n_layers"))?,
            heads: keys.size(pick("num_attention_heads", "n_heads"))?,
            intermediate: keys.size(pick("intermediate_size", "hidden_dim"))?,
            vocab,
            positions: positions - position_offset,
            position_offset,
            types: if bert { keys.size_or("type_vocab_size", 2)? } else { 0 },
            activation,
            eps: keys.epsilon("layer_norm_eps", 1e-12)?,
            labels: labels(json)?,
            scores: ScoreKind::Shares,
            case_types: keys.text("token_types")? == Some("case"),
            answer_length_penalty: keys.float_or("answer_length_penalty", 0.0, bias.clone())?,
            no_answer_bias: keys.float_or("no_answer_bias", 0.0, bias)?,
        };
        let config = Self { scores: score_kind(&keys, config.labels.len())?, ..config };
        keys.agrees("embedding_size", config.hidden)?;
        head_dim(config.hidden, config.heads)?;
        Ok(config)
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }
}

/// What the numbers of a sequence classifier mean: as transformers and sentence-transformers take them.
fn score_kind(keys: &Keys<'_>, labels: usize) -> Result<ScoreKind, NnError> {
    // Cross-encoders name the function by which one number becomes a score.
    let own = keys.text("sbert_ce_default_activation_function")?;
    let newer = keys.0.get("sentence_transformers").and_then(|s| s.get("activation_fn")?.as_str());
    if let Some(name) = newer.or(own) {
        return match name.rsplit('.').next().unwrap_or(name) {
            "Identity" if labels == 1 => Ok(ScoreKind::Number),
            "Sigmoid" => Ok(ScoreKind::Each),
            "Identity" | "Softmax" => Ok(ScoreKind::Shares),
            _ => Err(NnError::Config(format!("config.json asks for the unknown activation '{}'", shown(name)))),
        };
    }
    // What transformers' pipeline is told, where the problem says nothing.
    let asked = match (keys.text("problem_type")?, keys.text("function_to_apply")?) {
        (None, Some(function)) if labels > 1 || function == "none" => Some(function),
        (problem, _) => problem,
    };
    match asked {
        Some("sigmoid") => Ok(ScoreKind::Each),
        Some("softmax") => Ok(ScoreKind::Shares),
        Some("none") => Ok(ScoreKind::Number),
        Some("regression") => Ok(ScoreKind::Number),
        Some("multi_label_classification") => Ok(ScoreKind::Each),
        Some("single_label_classification") if labels > 1 => Ok(ScoreKind::Shares),
        None | Some("single_label_classification") => Ok(if labels == 1 { ScoreKind::Each } else { ScoreKind::Shares }),
        Some(other) => Err(NnError::Config(format!("config.json: the problem '{}' is not known here", shown(other)))),
    }
}

/// What is read of config.json.
const KEYS: [&str; 34] = [
    "model_type",
    "hidden_size",
    "dim",
    "num_hidden_layers",
    "n_layers",
    "num_attention_heads",
    "n_heads",
    "intermediate_size",
    "hidden_dim",
    "hidden_act",
    "activation",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "position_embedding_type",
    "embedding_size",
    "pad_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "id2label",
    "num_labels",
    "problem_type",
    "function_to_apply",
    "sbert_ce_default_activation_function",
    "sentence_transformers",
    "token_types",
    "answer_length_penalty",
    "no_answer_bias",
    "decoder_start_token_id",
    "forced_eos_token_id",
    "forced_bos_token_id",
    "bad_words_ids",
    "num_beams",
];

/// `id2label` in order of the ids; without it `LABEL_0`, … as many as `num_labels` (default 2).
fn labels(json: &Value) -> Result<Vec<String>, NnError> {
    const MOST_LABELS: usize = 10_000;
    let wrong = |why: String| NnError::Config(format!("config.json: 'id2label' {why}"));
    if let Some(map) = json.get("id2label").filter(|v| !v.is_null()) {
        let map = map.as_object().ok_or_else(|| wrong("is no list of names".into()))?;
        let pair = |(k, v): (&String, &Value)| Some((k.parse::<usize>().ok()?, v.as_str()?.to_owned()));
        let pairs: Option<Vec<(usize, String)>> = map.iter().map(pair).collect();
        let mut pairs = pairs.ok_or_else(|| wrong("has an entry that is no number with a name".into()))?;
        pairs.sort();
        if pairs.iter().enumerate().any(|(i, p)| i != p.0) || pairs.len() > MOST_LABELS {
            return Err(wrong(format!("does not number its {} names from 0 on", pairs.len())));
        }
        if !pairs.is_empty() {
            return Ok(pairs.into_iter().map(|p| p.1).collect());
        }
    }
    let count = Keys(json).size_or("num_labels", 2)?;
    if count > MOST_LABELS {
        return Err(NnError::Config(format!("config.json: {count} labels cannot be")));
    }
    Ok((0..count).map(|i| format!("LABEL_{i}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_order_of_their_ids() {
        let json = serde_json::json!({"id2label": {"1": "b", "0": "a", "2": "c"}});
        assert_eq!(labels(&json).expect("labels"), ["a", "b", "c"]);
        assert_eq!(labels(&serde_json::json!({})).expect("labels"), ["LABEL_0", "LABEL_1"]);
        for bad in [serde_json::json!({"0": "a", "2": "c"}), serde_json::json!({"0": 5}), serde_json::json!(7)] {
            assert!(labels(&serde_json::json!({ "id2label": bad })).is_err());
        }
    }

    #[test]
    fn another_architecture_is_named_in_the_message() {
        let error = Config::from_json(&serde_json::json!({"model_type": "gpt2"})).unwrap_err();
        assert!(error.to_string().contains("'gpt2'"), "{error}");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let json = serde_json::json!({"model_type": "bert", "vocab_size": 9, "max_position_embeddings": 9, "hidden_size": 1u64 << 60});
        assert!(Config::from_json(&json).unwrap_err().to_string().contains("hidden_size"));
    }
}
