//! Sentence encoders with other modules than a mean, against sentence-transformers. `make_pooling.py` beside this file made
//! tests/fixtures/pooling.json.

use super::fixture;
use glossa::models::library::ModelEntry;
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{self, Asked, Input, Options, Output};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct All {
    texts: Vec<String>,
    variants: Vec<Variant>,
}

#[derive(Clone, Deserialize)]
struct Variant {
    name: String,
    /// Folder of the encoder, or empty.
    encoder: String,
    files: BTreeMap<String, Value>,
    /// By file and name; nested lists.
    tensors: BTreeMap<String, BTreeMap<String, Value>>,
    vectors: Vec<Vec<f32>>,
}

fn all() -> All {
    serde_json::from_str(&std::fs::read_to_string(fixture("pooling.json")).expect("pooling.json")).expect("variants")
}

fn put(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, content).expect("file");
}

/// A shape, and float32 numbers as bytes.
type Numbers = (Vec<usize>, Vec<u8>);

fn tensors(all: &BTreeMap<String, Value>) -> Vec<u8> {
    let flat = |value: &Value| -> Numbers {
        let rows = value.as_array().expect("a list");
        let inner = rows[0].as_array().map(Vec::len);
        let shape = [rows.len()].into_iter().chain(inner).collect();
        let numbers = rows.iter().flat_map(|r| r.as_array().cloned().unwrap_or_else(|| vec![r.clone()]));
        (shape, numbers.flat_map(|n| (n.as_f64().expect("a number") as f32).to_le_bytes()).collect())
    };
    let kept: Vec<(&String, Numbers)> = all.iter().map(|(n, v)| (n, flat(v))).collect();
    let views =
        kept.iter().map(|(n, (shape, bytes))| (*n, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("view")));
    safetensors::serialize(views, None).expect("safetensors")
}

/// The fixture's encoder in a folder with the variant's files.
fn folder(variant: &Variant) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let content = std::fs::read(fixture("heads-bert-mean").join(name)).expect("fixture");
        put(&dir.path().join(&variant.encoder).join(name), &content);
    }
    for (path, content) in &variant.files {
        put(&dir.path().join(path), content.to_string().as_bytes());
    }
    for (path, content) in &variant.tensors {
        put(&dir.path().join(path), &tensors(content));
    }
    dir
}

fn embed(dir: &Path, text: &str) -> Result<(Vec<f32>, Vec<String>), String> {
    let entry = ModelEntry::open(dir).map_err(|e| e.to_string())?;
    let runtime = Runtime::new(DeviceChoice::Cpu, Some(1), None).expect("runtime");
    let task = tasks::find("embed").expect("task");
    let mut model = task.load(&entry, &runtime, &mut |_| false).map_err(|e| e.to_string())?;
    let (input, options) = (Input::from(text), Options::default());
    let mut work =
        model.prepare(&Asked { task: "embed", input: &input, options: &options }, &|| false).expect("prepared");
    while work.remaining() > 0 {
        model.step(&mut [&mut *work], 1024).expect("step");
    }
    let output = model.finish(&input, work).expect("answer");
    let warnings = output.warnings();
    let Output::Vector(vector) = output else { panic!("a vector") };
    Ok((vector.vector, warnings))
}

fn check(variant: &Variant, texts: &[String]) {
    let dir = folder(variant);
    for (text, want) in texts.iter().zip(&variant.vectors) {
        let (got, _) = embed(dir.path(), text).unwrap_or_else(|why| panic!("{}: {why}", variant.name));
        let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(got.len() == want.len() && worst < 2e-4, "{} {text:?}: {worst}", variant.name);
    }
}

#[test]
fn every_module_gives_the_vectors_of_sentence_transformers() {
    let all = all();
    assert_eq!(all.variants.len(), 19);
    for variant in &all.variants {
        check(variant, &all.texts);
    }
}

/// Newer versions call the pooling, its width and the modules' packages by other words.
#[test]
fn the_new_words_mean_what_the_old_flags_meant() {
    let all = all();
    for variant in &all.variants {
        let mut new = variant.clone();
        for (path, content) in &mut new.files {
            if let Some(flags) = content.as_object().filter(|o| o.contains_key("word_embedding_dimension")) {
                let names = [
                    ("cls_token", "cls"),
                    ("max_tokens", "max"),
                    ("mean_tokens", "mean"),
                    ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
                    ("weightedmean_tokens", "weightedmean"),
                    ("lasttoken", "lasttoken"),
                ];
                let on: Vec<&str> =
                    names.iter().filter(|n| flags[&format!("pooling_mode_{}", n.0)] == true).map(|n| n.1).collect();
                let mode = if let [one] = on[..] { json!(one) } else { json!(on) };
                let prompt = flags.get("include_prompt").cloned().unwrap_or(json!(true));
                *content = json!({"embedding_dimension": 32, "pooling_mode": mode, "include_prompt": prompt});
            }
            if path == "modules.json" {
                *content = serde_json::from_str(
                    &content.to_string().replace(".models.", ".sentence_transformer.modules.pooling."),
                )
                .expect("modules");
            }
        }
        check(&new, &all.texts);
    }
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    let base = all().variants.into_iter().find(|v| v.name == "dense, tanh").expect("variant");
    let with = |path: &str, change: &dyn Fn(&mut Value)| {
        let mut variant = base.clone();
        change(variant.files.get_mut(path).expect("file"));
        embed(folder(&variant).path(), "a man").expect_err("refused")
    };
    let pooling = "1_Pooling/config.json";
    for (path, key, value, named) in [
        (pooling, "pooling_mode", json!("attention"), "attention"),
        (pooling, "pooling_mode_mean_tokens", json!(false), "no pooling"),
        (pooling, "word_embedding_dimension", json!(64), "width"),
        (pooling, "pooling_mode_softmax", json!(true), "pooling_mode_softmax"),
        ("2_Dense/config.json", "activation_function", json!("torch.nn.Mish"), "Mish"),
        ("2_Dense/config.json", "use_residual", json!(true), "use_residual"),
        ("2_Dense/config.json", "in_features", json!(16), "16"),
        ("2_Dense/config.json", "module_input_name", json!("token_embeddings"), "module_input_name"),
    ] {
        let said = with(path, &|content| content[key] = value.clone());
        assert!(said.contains(named), "{key}: {said}");
    }
    let said = with("modules.json", &|list| list[1]["type"] = json!("sentence_transformers.models.LSTM"));
    assert!(said.contains("LSTM"), "{said}");
    let said = with("modules.json", &|list| list[1]["path"] = json!("../elsewhere"));
    assert!(said.contains("outside"), "{said}");
    let mut missing = base.clone();
    missing.files.remove(pooling);
    assert!(embed(folder(&missing).path(), "a man").expect_err("refused").contains("1_Pooling"));
}

#[test]
fn what_was_left_out_or_assumed_is_said() {
    let all = all();
    let short = all.variants.iter().find(|v| v.name == "max_seq_length").expect("variant");
    let (_, warnings) = embed(folder(short).path(), &all.texts[1]).expect("vector");
    assert!(warnings.len() == 1 && warnings[0].contains("6 tokens"), "{warnings:?}");
    let (_, warnings) = embed(&fixture("heads-bert-mean"), "a man").expect("vector");
    assert!(warnings.len() == 1 && warnings[0].contains("modules.json"), "{warnings:?}");
}
