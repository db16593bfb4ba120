//! What a folder of sentence-transformers says of how a text becomes a vector: its modules, in the words of all its versions.

use super::ModelError;
use super::weights::Weights;
use crate::nn::keys::shown;
use crate::nn::source::fetch;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Widest vector, and most modules.
const MOST_COLUMNS: u64 = 65_536;
const MOST_MODULES: usize = 16;

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token.
    First,
    /// The greatest of each column.
    Max,
    Mean,
    /// The sum over the square root of the count.
    MeanSqrt,
    /// The mean, tokens weighted by their places.
    Weighted,
    /// The last token.
    Last,
}

/// What comes after the pooling.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Dense {
        /// `[out, in]`, row by row.
        weight: Vec<f32>,
        /// `[out]`, or empty.
        bias: Vec<f32>,
        act: Act,
    },
    LayerNorm {
        gamma: Vec<f32>,
        beta: Vec<f32>,
    },
    /// To length 1.
    Normalize,
}

/// What a dense layer ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Identity,
    Tanh,
    Relu,
    Gelu,
    Sigmoid,
    Silu,
}

/// A sentence encoder's own description.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceModel {
    /// One after the other: their vectors are joined.
    pub pooling: Vec<Pooling>,
    /// Whether the prompt's tokens count in the pooling.
    pub counts_prompt: bool,
    pub steps: Vec<Step>,
    /// Tokens that it reads of a text, special tokens included; `None`: as many as the encoder can.
    pub longest: Option<usize>,
    /// What stands before every text.
    pub prompt: String,
    pub lowercase: bool,
    /// Whether the folder said any of it.
    pub is_said: bool,
}

/// Where the encoder of a folder lies: beside modules.json, or in the folder that it names.
pub fn encoder_folder(dir: &Path) -> PathBuf {
    let modules = read(&dir.join("modules.json")).ok().flatten();
    let first = modules.as_ref().and_then(|m| m.as_array()?.iter().find(|m| class(m) == Some("Transformer")));
    let path = first.and_then(|m| m.get("path")?.as_str()).filter(|p| !p.is_empty());
    path.and_then(|p| inside(dir, p)).unwrap_or_else(|| dir.to_owned())
}

impl SentenceModel {
    /// Reads modules.json of `dir` and what it names; of a folder without it the pooling's own file, and then vectors
    /// have length 1. `hidden` is the encoder's width.
    ///
    /// # Errors
    /// What is missing, damaged, or not known here, by its name.
    pub fn read(dir: &Path, hidden: usize) -> Result<Self, ModelError> {
        let mut model = Self {
            pooling: Vec::new(),
            counts_prompt: true,
            steps: Vec::new(),
            longest: None,
            prompt: String::new(),
            lowercase: false,
            is_said: true,
        };
        let list = dir.join("modules.json");
        let Some(modules) = read(&list)? else {
            let alone = dir.join("1_Pooling/config.json");
            match read(&alone)? {
                Some(config) => model.pool(&alone, &config, hidden)?,
                None => (model.pooling, model.is_said) = (vec![Pooling::Mean], false),
            }
            model.steps.push(Step::Normalize);
            return Ok(model);
        };
        let modules = modules.as_array().filter(|m| m.len() <= MOST_MODULES);
        let modules = modules.ok_or_else(|| ModelError::damaged(&list, "it is no list of modules"))?;
        let mut width = 0;
        for module in modules {
            let name = class(module).ok_or_else(|| ModelError::damaged(&list, "a module has no type"))?;
            let path = module.get("path").and_then(Value::as_str).unwrap_or("");
            let folder =
                inside(dir, path).ok_or_else(|| ModelError::damaged(&list, "a module lies outside of its folder"))?;
            width = model.module(name, &folder, (width, hidden))?;
        }
        if model.pooling.is_empty() {
            return Err(ModelError::damaged(
                &list,
                "it names no pooling, so nobody can say how a text becomes one vector",
            ));
        }
        model.settings(dir)?;
        Ok(model)
    }

    /// Takes one module in; the width of what it gives.
    fn module(&mut self, name: &str, folder: &Path, (width, hidden): (usize, usize)) -> Result<usize, ModelError> {
        let file = folder.join("config.json");
        let config = || read(&file)?.ok_or_else(|| ModelError::Missing(file.clone()));
        match name {
            "Transformer" => self.transformer(folder).map(|()| hidden),
            "Pooling" => {
                self.pool(&file, &config()?, hidden)?;
                Ok(hidden * self.pooling.len())
            }
            "Dense" => self.dense(&file, &config()?, width),
            "LayerNorm" => {
                only(&file, &config()?, &["dimension"])?;
                let weights = weights(folder)?;
                let part = |name: &str| fetch(&weights, &[name.to_owned()], &[width]).map(|t| t.to_f32());
                let wrong = |e| ModelError::damaged(&file, e);
                let (gamma, beta) = (part("norm.weight").map_err(wrong)?, part("norm.bias").map_err(wrong)?);
                self.steps.push(Step::LayerNorm { gamma, beta });
                Ok(width)
            }
            "Normalize" => {
                if let Some(config) = read(&file)? {
                    only(&file, &config, &[])?;
                }
                self.steps.push(Step::Normalize);
                Ok(width)
            }
            "Dropout" => Ok(width),
            other => {
                let known = "Transformer, Pooling, Dense, LayerNorm and Normalize are";
                let why = format!("its module '{}' is not known here ({known})", shown(other));
                Err(ModelError::Unknown { path: folder.join("modules.json"), why })
            }
        }
    }

    fn transformer(&mut self, folder: &Path) -> Result<(), ModelError> {
        let size = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
        const NAMES: [&str; 7] = ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"];
        let named = NAMES.map(|name| folder.join(format!("sentence_{name}_config.json")));
        if let Some(file) = named.iter().find(|p| p.is_file())
            && let Some(config) = read(file)?
        {
            only(file, &config, &TRANSFORMER)?;
            for (key, usual) in [("transformer_task", "feature-extraction"), ("module_output_name", "token_embeddings")]
            {
                if config.get(key).is_some_and(|v| !v.is_null() && v != usual) {
                    let why = format!("'{key}' is another than {usual}, which is not known here");
                    return Err(ModelError::Unknown { path: file.clone(), why });
                }
            }
            self.longest = config.get("max_seq_length").and_then(size);
            self.lowercase = config.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false);
        }
        // Newer versions leave it to the tokenizer; "as long as you like" is written as a huge number.
        if self.longest.is_none()
            && let Some(config) = read(&folder.join("tokenizer_config.json"))?
        {
            self.longest = config.get("model_max_length").and_then(size).filter(|n| *n < 1 << 24);
        }
        Ok(())
    }

    fn pool(&mut self, file: &Path, config: &Value, hidden: usize) -> Result<(), ModelError> {
        const FLAGS: [(&str, &str, Pooling); 6] = [
            ("pooling_mode_cls_token", "cls", Pooling::First),
            ("pooling_mode_max_tokens", "max", Pooling::Max),
            ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
            ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanSqrt),
            ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling::Weighted),
            ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
        ];
        let mut known = vec!["word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"];
        known.extend(FLAGS.iter().map(|f| f.0));
        only(file, config, &known)?;
        let unknown = |why: String| ModelError::Unknown { path: file.to_owned(), why };
        let mode = |name: &Value| {
            let found = FLAGS.iter().find(|f| name.as_str() == Some(f.1)).map(|f| f.2);
            found.ok_or_else(|| unknown(format!("the pooling {} is not known here", shown(&name.to_string()))))
        };
        self.pooling = match config.get("pooling_mode").filter(|v| !v.is_null()) {
            Some(Value::Array(names)) => names.iter().map(mode).collect::<Result<_, _>>()?,
            Some(name) => vec![mode(name)?],
            None => {
                let is_on = |flag: &str| config.get(flag).and_then(Value::as_bool) == Some(true);
                FLAGS.iter().filter(|f| is_on(f.0)).map(|f| f.2).collect()
            }
        };
        if self.pooling.is_empty() || self.pooling.len() > FLAGS.len() {
            return Err(unknown("it says of no pooling that it is the one".into()));
        }
        for key in ["word_embedding_dimension", "embedding_dimension"] {
            if config.get(key).is_some_and(|v| v.as_u64() != Some(hidden as u64)) {
                return Err(unknown(format!("'{key}' is not the encoder's width of {hidden}")));
            }
        }
        self.counts_prompt = config.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
        Ok(())
    }

    fn dense(&mut self, file: &Path, config: &Value, width: usize) -> Result<usize, ModelError> {
        let unknown = |why: String| ModelError::Unknown { path: file.to_owned(), why };
        let keys = [
            "in_features",
            "out_features",
            "bias",
            "activation_function",
            "module_input_name",
            "module_output_name",
            "use_residual",
        ];
        only(file, config, &keys)?;
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        for key in ["module_input_name", "module_output_name"] {
            if text(key).is_some_and(|name| name != "sentence_embedding") {
                return Err(unknown(format!("'{key}' is another than sentence_embedding, which is not known here")));
            }
        }
        if config.get("use_residual").and_then(Value::as_bool) == Some(true) {
            return Err(unknown("'use_residual' is not known here".into()));
        }
        let size = |key: &str| config.get(key).and_then(Value::as_u64).filter(|n| (1..=MOST_COLUMNS).contains(n));
        let (Some(inputs), Some(outputs)) = (size("in_features"), size("out_features")) else {
            return Err(ModelError::damaged(file, "a dense layer must say how wide it is"));
        };
        let (inputs, outputs) = (inputs as usize, outputs as usize);
        if inputs != width {
            return Err(ModelError::damaged(file, format!("it takes {inputs} numbers where {width} come")));
        }
        let is_null = config.get("activation_function").is_some_and(Value::is_null);
        let name = text("activation_function").unwrap_or(if is_null { "Identity" } else { "Tanh" });
        let act = match name.rsplit('.').next().unwrap_or(name) {
            "Identity" => Act::Identity,
            "Tanh" => Act::Tanh,
            "ReLU" => Act::Relu,
            "GELU" => Act::Gelu,
            "Sigmoid" => Act::Sigmoid,
            "SiLU" => Act::Silu,
            _ => return Err(unknown(format!("the activation '{}' is not known here", shown(name)))),
        };
        let weights = weights(file.parent().unwrap_or(Path::new(".")))?;
        let wrong = |e| ModelError::damaged(file, e);
        let weight = fetch(&weights, &["linear.weight".to_owned()], &[outputs, inputs]).map_err(wrong)?.to_f32();
        let has_bias = config.get("bias").and_then(Value::as_bool).unwrap_or(true);
        let bias = if has_bias {
            fetch(&weights, &["linear.bias".to_owned()], &[outputs]).map_err(wrong)?.to_f32()
        } else {
            Vec::new()
        };
        self.steps.push(Step::Dense { weight, bias, act });
        Ok(outputs)
    }

    /// The prompt that stands before every text, where the folder says that one does.
    fn settings(&mut self, dir: &Path) -> Result<(), ModelError> {
        let file = dir.join("config_sentence_transformers.json");
        let Some(config) = read(&file)? else { return Ok(()) };
        let Some(name) = config.get("default_prompt_name").and_then(Value::as_str) else { return Ok(()) };
        let prompt = config.get("prompts").and_then(|p| p.get(name)?.as_str());
        // Two that every model has, empty unless it says more.
        let prompt = prompt.or_else(|| ["query", "document"].contains(&name).then_some(""));
        let missing = || ModelError::damaged(&file, format!("it has no prompt called '{}'", shown(name)));
        self.prompt = prompt.ok_or_else(missing)?.to_owned();
        Ok(())
    }
}

/// What sentence_bert_config.json may say.
const TRANSFORMER: [&str; 12] = [
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "module_output_name",
    "modality_config",
    "model_args",
    "tokenizer_args",
    "config_args",
    "model_kwargs",
    "processor_kwargs",
    "config_kwargs",
    "unpad_inputs",
];

/// The last part of a module's type: versions put them in other packages of their own. Another's is named whole.
fn class(module: &Value) -> Option<&str> {
    let name = module.get("type")?.as_str()?;
    Some(name.strip_prefix("sentence_transformers.").and_then(|n| n.rsplit('.').next()).unwrap_or(name))
}

/// A folder inside of `dir`.
fn inside(dir: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)).then(|| dir.join(path))
}

/// A JSON file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Value>, ModelError> {
    if !path.is_file() {
        return Ok(None);
    }
    super::read_json(path, super::MOST_CONFIG).map(Some)
}

fn weights(folder: &Path) -> Result<Weights, ModelError> {
    let names = ["model.safetensors", "pytorch_model.bin"];
    let found = names.iter().map(|n| folder.join(n)).find(|p| p.is_file());
    Weights::open(&[found.ok_or_else(|| ModelError::Missing(folder.join(names[0])))?])
}

/// Refuses what is not known: it may change the vector.
fn only(file: &Path, config: &Value, known: &[&str]) -> Result<(), ModelError> {
    let all = config.as_object().ok_or_else(|| ModelError::damaged(file, "it is no list of names with values"))?;
    match all.iter().find(|(key, value)| !known.contains(&key.as_str()) && !value.is_null()) {
        Some((key, value)) => {
            let (key, value) = (shown(key), shown(&value.to_string()));
            let why = format!("'{key}' ({value}) is not known here and may change what the model computes");
            Err(ModelError::Unknown { path: file.to_owned(), why })
        }
        None => Ok(()),
    }
}
