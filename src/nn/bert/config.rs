//! BERT's, DistilBERT's and RoBERTa's config.json, read into one shape.

use crate::nn::NnError;
use crate::nn::kernels::math::Activation;
use serde_json::Value;

/// The families, which differ in tensor names, token types, first position and the classification head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bert,
    DistilBert,
    /// RoBERTa and XLM-R: BERT whose positions begin after the padding index.
    Roberta,
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
    /// Whether each label is a question of its own (sigmoid) rather than one of all (softmax).
    pub multi_label: bool,
    /// Whether token types say how a word is written (our entity tagger) rather than which segment it is in.
    pub case_types: bool,
    /// What each further token of an answer costs, as a logarithm, where a model was taught by people
    /// who answer at length.
    pub answer_length_penalty: f32,
    /// Added to the score of "no answer", where a model's own is not well placed.
    pub no_answer_bias: f32,
}

/// Upper bounds that keep a damaged file from asking for absurd amounts of memory.
const MAX_SIZE: usize = 1 << 24;

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
                    "config.json describes a '{other}' model; this task runs 'bert', 'distilbert', 'roberta' and 'xlm-roberta'"
                )));
            }
            None => return Err(NnError::Config("config.json has no 'model_type'".into())),
        };
        let bert = family != Family::DistilBert;
        let pick = |b: &'static str, d: &'static str| if bert { b } else { d };
        let act = json.get(pick("hidden_act", "activation")).and_then(Value::as_str).unwrap_or("gelu");
        let activation = Activation::from_name(act)
            .ok_or_else(|| NnError::Config(format!("config.json asks for the unknown activation '{act}'")))?;
        let position_type = json.get("position_embedding_type").and_then(Value::as_str);
        if let Some(kind) = position_type.filter(|k| *k != "absolute") {
            return Err(NnError::Config(format!("config.json asks for '{kind}' positions; only 'absolute' is known")));
        }
        let position_offset = match family {
            Family::Roberta => json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(1) as usize % 1024 + 1,
            _ => 0,
        };
        let number = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or(0.0) as f32;
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let config = Self {
            family,
            hidden: size(json, pick("hidden_size", "dim"))?,
            layers: size(json, pick("num_hidden_layers", "n_layers"))?,
            heads: size(json, pick("num_attention_heads", "n_heads"))?,
            intermediate: size(json, pick("intermediate_size", "hidden_dim"))?,
            vocab: size(json, "vocab_size")?,
            positions: size(json, "max_position_embeddings")?.saturating_sub(position_offset),
            position_offset,
            types: if bert { size(json, "type_vocab_size").unwrap_or(2) } else { 0 },
            activation,
            eps: json.get("layer_norm_eps").and_then(Value::as_f64).unwrap_or(1e-12) as f32,
            labels: labels(json),
            multi_label: text("problem_type") == Some("multi_label_classification"),
            case_types: text("token_types") == Some("case"),
            answer_length_penalty: number("answer_length_penalty"),
            no_answer_bias: number("no_answer_bias"),
        };
        if !config.hidden.is_multiple_of(config.heads) {
            return Err(NnError::Config(format!(
                "config.json: hidden size {} is not a multiple of {} heads",
                config.hidden, config.heads
            )));
        }
        Ok(config)
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }
}

fn size(json: &Value, key: &str) -> Result<usize, NnError> {
    let value = json.get(key).and_then(Value::as_u64);
    match value.map(usize::try_from) {
        Some(Ok(n)) if n > 0 && n <= MAX_SIZE => Ok(n),
        Some(_) => Err(NnError::Config(format!("config.json: '{key}' is out of range"))),
        None => Err(NnError::Config(format!("config.json has no number '{key}'"))),
    }
}

/// `id2label` in order of the ids; without it `LABEL_0`, … as many as `num_labels` (default 2).
fn labels(json: &Value) -> Vec<String> {
    if let Some(map) = json.get("id2label").and_then(Value::as_object) {
        let mut pairs: Vec<(usize, String)> =
            map.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.as_str()?.to_owned()))).collect();
        pairs.sort();
        if !pairs.is_empty() {
            return pairs.into_iter().map(|p| p.1).collect();
        }
    }
    let count = json.get("num_labels").and_then(Value::as_u64).unwrap_or(2).min(10_000);
    (0..count).map(|i| format!("LABEL_{i}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_order_of_their_ids() {
        let json = serde_json::json!({"id2label": {"1": "b", "0": "a", "10": "k", "2": "c"}});
        assert_eq!(labels(&json), ["a", "b", "c", "k"]);
        assert_eq!(labels(&serde_json::json!({})), ["LABEL_0", "LABEL_1"]);
    }

    #[test]
    fn another_architecture_is_named_in_the_message() {
        let error = Config::from_json(&serde_json::json!({"model_type": "gpt2"})).unwrap_err();
        assert!(error.to_string().contains("'gpt2'"), "{error}");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let json = serde_json::json!({"model_type": "bert", "hidden_size": 1u64 << 60});
        assert!(Config::from_json(&json).unwrap_err().to_string().contains("hidden_size"));
    }
}
