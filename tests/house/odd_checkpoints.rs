//! Checkpoint folders of other generations and of other kinds, texts that a model cannot read, arguments out of range: read
//! as transformers reads them, or refused by name.

use crate::cli::{self, stderr, stdout};
use crate::fake::{copy, fixture};
use glossa::models::library::ModelEntry;
use glossa::nn::decoder::config::Config;
use glossa::nn::seq2seq;
use serde_json::{Value, json};

fn glossa(args: &[&str]) -> std::process::Output {
    cli::glossa(args, None)
}

/// What both generations of transformers write by default, and a key of each that nobody knows.
#[test]
fn configurations_of_transformers_4_and_5_are_read_and_unknown_keys_are_not() {
    let text = std::fs::read_to_string(fixture("configs.json")).expect("configs.json");
    let all: Vec<Value> = serde_json::from_str(&text).expect("configurations");
    assert!(all.len() >= 16);
    for config in all {
        let kind = config["model_type"].as_str().expect("a type").to_owned();
        let read = |json: &Value| match kind.as_str() {
            "t5" | "mt5" | "marian" => seq2seq::config::Config::from_json(json).map(drop).map_err(|e| e.to_string()),
            "gpt2" => Config::from_json(json).map(drop).map_err(|e| e.to_string()),
            _ => glossa::nn::bert::config::Config::from_json(json).map(drop).map_err(|e| e.to_string()),
        };
        let version = config["transformers_version"].clone();
        read(&config).unwrap_or_else(|why| panic!("{kind} of {version}: {why}"));
        for (key, value) in [
            ("use_magic_norm", json!(false)),
            ("quantization_config", json!({"bits": 4})),
            ("auto_map", json!({"AutoModel": "x.Y"})),
        ] {
            let mut odd = config.clone();
            odd[key] = value;
            assert!(read(&odd).expect_err(key).contains(key), "{kind} {key}");
            odd[key] = Value::Null;
            read(&odd).unwrap_or_else(|why| panic!("{kind} {key}: {why}"));
        }
    }
}

/// T5 as transformers 5 saves an untied one: two words of the configuration differ, nothing else does.
#[test]
fn t5_means_the_same_in_both_generations() {
    let entry = ModelEntry::open(&fixture("seq2seq-t5-gated")).expect("folder");
    let old = entry.read_config().expect("config");
    assert_eq!(old["tie_word_embeddings"], false);
    let mut new = old.clone();
    (new["tie_word_embeddings"], new["scale_decoder_outputs"]) = (json!(true), json!(false));
    let read = |json: &Value| seq2seq::config::Config::from_json(json).expect("config");
    assert_eq!((read(&new).logit_scale, read(&new).own_output), (read(&old).logit_scale, read(&old).own_output));
    assert_eq!((read(&old).logit_scale, read(&old).own_output), (1.0, true));
    new["scale_decoder_outputs"] = json!(true);
    assert!(read(&new).logit_scale < 1.0 && read(&new).own_output);
    for (key, value) in [("dense_act_fn", json!("relu")), ("is_gated_act", json!(false))] {
        let mut odd = old.clone();
        odd[key] = value;
        assert!(seq2seq::config::Config::from_json(&odd).unwrap_err().to_string().contains(key));
    }
}

#[test]
fn a_shorter_context_than_gpt2s_table_works() {
    let path = fixture("decoder-gpt2").display().to_string();
    let run = glossa(&[
        "run",
        "generate",
        "--model",
        &path,
        "--context",
        "40",
        "--max-tokens",
        "6",
        "--temperature",
        "0",
        "the man",
    ]);
    assert!(run.status.success(), "{}", stderr(&run));
    let whole = glossa(&["run", "generate", "--model", &path, "--max-tokens", "6", "--temperature", "0", "the man"]);
    assert_eq!(stdout(&run), stdout(&whole));
}

#[test]
fn arguments_out_of_range_are_refused_with_the_range() {
    for (flag, value, range) in [
        ("--repetition-penalty", "1e-40", "0.1 to 10"),
        ("--repetition-penalty", "inf", "0.1 to 10"),
        ("--temperature", "nan", "0 to 100"),
        ("--top-p", "1.5", "0 to 1"),
        ("--min-p", "-1", "0 to 1"),
        ("--length-penalty", "11", "-10 to 10"),
    ] {
        let run = glossa(&["run", "generate", &format!("{flag}={value}"), "the"]);
        assert!(run.status.code() == Some(2) && stderr(&run).contains(range), "{flag} {value}: {}", stderr(&run));
    }
}

/// A tensor's type, shape and bytes.
type Kept = (safetensors::Dtype, Vec<usize>, Vec<u8>);

#[test]
fn one_output_is_a_probability_or_a_number_and_never_a_certainty() {
    let folder = copy("distilbert-tiny");
    let (config, weights) = (folder.path().join("config.json"), folder.path().join("model.safetensors"));
    let content = std::fs::read(&weights).expect("weights");
    let all = safetensors::SafeTensors::deserialize(&content).expect("tensors");
    // The classifier's first row alone.
    let first = |name: &str| {
        let tensor = all.tensor(name).expect(name);
        let rows = tensor.shape()[0];
        let (mut shape, size) = (tensor.shape().to_vec(), tensor.data().len() / rows);
        shape[0] = 1;
        (tensor.dtype(), shape, tensor.data()[..size].to_vec())
    };
    let cut: Vec<(String, Kept)> = all
        .names()
        .into_iter()
        .map(|name| {
            let tensor = all.tensor(name).expect(name);
            let own = name.starts_with("classifier.");
            (
                name.to_owned(),
                if own { first(name) } else { (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()) },
            )
        })
        .collect();
    let views =
        cut.iter().map(|(n, (d, s, b))| (n, safetensors::tensor::TensorView::new(*d, s.clone(), b).expect("view")));
    std::fs::write(&weights, safetensors::serialize(views, None).expect("serialized")).expect("written");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&config).expect("config")).expect("JSON");
    (json["id2label"], json["label2id"]) = (json!({"0": "toxic"}), json!({"toxic": 0}));
    let path = folder.path().display().to_string();
    let ask = |json: &Value| -> Value {
        std::fs::write(&config, json.to_string()).expect("written");
        let run = glossa(&["run", "classify", "--json", "--model", &path, "the man"]);
        assert!(run.status.success(), "{}", stderr(&run));
        let answer: Value = serde_json::from_str(&stdout(&run)).expect("JSON");
        answer["output"].clone()
    };
    let measure = |json: &Value, data: &str| -> (bool, String) {
        std::fs::write(&config, json.to_string()).expect("written");
        let file = folder.path().join("data.tsv");
        std::fs::write(&file, data).expect("written");
        let file = file.display().to_string();
        let run = glossa(&["eval", "sentiment", "--json", "--model", &path, "--data", &file]);
        (run.status.success(), format!("{}{}", stdout(&run), stderr(&run)))
    };
    json["problem_type"] = json!("regression");
    let (fine, said) = measure(&json, "0.5\tthe man\n1.5\tin an inn\n2\tthin\n-1\tthe hen\n");
    assert!(fine && said.contains("\"pearson\"") && said.contains("\"rmse\""), "{said}");
    let (fine, said) = measure(&json, "good\tthe man\nbad\tin an inn\n");
    assert!(!fine && said.contains("begins with no number"), "{said}");
    json["problem_type"] = Value::Null;
    let (fine, said) = measure(&json, "0\tthe man\n1\tin an inn\ntoxic\tthin\n");
    assert!(fine && said.contains("\"accuracy\"") && said.contains("toxic"), "{said}");
    json["problem_type"] = json!("regression");
    let number = ask(&json);
    assert_eq!(number["kind"], "number");
    let logit = number["scores"]["toxic"].as_f64().expect("a number");
    json["problem_type"] = Value::Null;
    let share = ask(&json);
    let p = share["scores"]["toxic"].as_f64().expect("a probability");
    assert_eq!(share["kind"], "sigmoid");
    assert!((p - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-4 && p < 0.9999, "{p} of {logit}");
    json["sbert_ce_default_activation_function"] = json!("torch.nn.modules.linear.Identity");
    assert_eq!(ask(&json)["scores"]["toxic"].as_f64(), Some(logit));
}

#[test]
fn a_text_that_the_model_cannot_read_gets_a_note_and_no_percentage() {
    for text in ["🙂🙂", "𓀀𓀁", "😀!", "😀😀 ..."] {
        let run = glossa(&["run", "sentiment", text]);
        assert!(run.status.success() && stderr(&run).contains("note: the model knows none of"), "{}", stderr(&run));
        assert!(stdout(&run).contains("\t0.5000\t"), "{}", stdout(&run));
        let run = glossa(&["run", "classify", "--labels", "sport,politics,music,art", text]);
        assert!(stdout(&run).contains("\t0.2500\t"), "{}", stdout(&run));
        for task in ["embed", "entities"] {
            let run = glossa(&["run", task, text]);
            assert!(run.status.success() && stderr(&run).contains("knows none of"), "{task}: {}", stderr(&run));
        }
    }
    let run = glossa(&["run", "sentiment", "😀 😀 😀 good"]);
    assert!(stderr(&run).contains("half of these"), "{}", stderr(&run));
    for text in ["I love it 🙂", "?!", "42"] {
        let run = glossa(&["run", "sentiment", text]);
        assert!(run.status.success() && stderr(&run).is_empty(), "{text}: {}", stderr(&run));
    }
}

/// Tables of positions that a checkpoint carries count, whatever the formula would give.
#[test]
fn marians_own_positions_are_used() {
    let folder = copy("seq2seq-marian");
    let weights = folder.path().join("model.safetensors");
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("config.json")).expect("config"))
            .expect("JSON");
    let size = |key: &str| json[key].as_u64().expect(key) as usize;
    let (rows, width) = (size("max_position_embeddings"), size("d_model"));
    let content = std::fs::read(&weights).expect("weights");
    let all = safetensors::SafeTensors::deserialize(&content).expect("tensors");
    let path = folder.path().display().to_string();
    let said = |value: Option<&dyn Fn(usize, usize) -> f64>| {
        let table: Option<Vec<u8>> = value
            .map(|value| (0..rows * width).flat_map(|i| (value(i / width, i % width) as f32).to_le_bytes()).collect());
        let mut views: Vec<(String, safetensors::tensor::TensorView<'_>)> =
            all.names().into_iter().map(|n| (n.to_owned(), all.tensor(n).expect(n))).collect();
        if let Some(table) = &table {
            for side in ["encoder", "decoder"] {
                let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![rows, width], table);
                views.push((format!("model.{side}.embed_positions.weight"), view.expect("view")));
            }
        }
        std::fs::write(&weights, safetensors::serialize(views, None).expect("serialized")).expect("written");
        let run = glossa(&["run", "translate", "--json", "--model", &path, "--max-tokens", "8", "the man in the inn"]);
        assert!(run.status.success(), "{}", stderr(&run));
        let answer: Value = serde_json::from_str(&stdout(&run)).expect("JSON");
        answer["output"].to_string()
    };
    let sinusoid = |at: usize, column: usize| {
        let half = width.div_ceil(2);
        let pair = if column < half { column } else { column - half };
        let angle = at as f64 / 10_000f64.powf(2.0 * pair as f64 / width as f64);
        if column < half { angle.sin() } else { angle.cos() }
    };
    let own = said(None);
    assert_eq!(said(Some(&sinusoid)), own, "the formula's own table");
    assert_ne!(said(Some(&|at, _| at as f64 * 0.1)), own, "another table");
}
