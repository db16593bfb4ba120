//! Checkpoints with only some of the tables that are one: what `transformers` opens as the whole model is that here, what it
//! makes up a table for is refused with that table's name. `make_tied.py` beside this file asked it.

use super::{cpu, fixture};
use glossa::models::blocks::write_tensors;
use glossa::models::library::ModelEntry;
use glossa::models::weights::Weights;
use glossa::nn::bert::{self, Encoder, HeadKind, Sequence};
use glossa::nn::decoder::{self, Decoder};
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use glossa::nn::seq2seq::{self, Next, Strand};
use glossa::nn::source::{Dtype, RawTensor, TensorSource as _};
use glossa::nn::{NnError, bert::Target};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

#[derive(Deserialize)]
struct Row {
    case: Case,
    /// By version of transformers.
    said: BTreeMap<String, Said>,
}

#[derive(Deserialize)]
struct Case {
    fixture: String,
    /// The tables of the whole checkpoint.
    own: Vec<String>,
    config: BTreeMap<String, Value>,
    /// Tables by name: which of the whole checkpoint's, and what is added to each number.
    tables: BTreeMap<String, (String, f32)>,
}

#[derive(Deserialize)]
struct Said {
    is: String,
    missing: Vec<String>,
}

fn shifted(tensor: &RawTensor, by: f32) -> RawTensor {
    let bytes: Vec<u8> = tensor.to_f32().iter().flat_map(|v| (v + by).to_le_bytes()).collect();
    let range = 0..bytes.len();
    RawTensor::new(Dtype::F32, tensor.shape().to_vec(), Arc::new(bytes), range).expect("tensor")
}

/// The checkpoint of a case, in a folder.
fn make(case: &Case, folder: &Path) {
    let from = fixture(&case.fixture);
    for file in std::fs::read_dir(&from).expect("fixture").flatten() {
        let name = file.file_name();
        let is_weights = name.to_str().is_some_and(|n| n.ends_with(".safetensors") || n.ends_with(".bin"));
        if !is_weights {
            std::fs::copy(file.path(), folder.join(name)).expect("copy");
        }
    }
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("config")).expect("JSON");
    case.config.iter().for_each(|(key, value)| config[key] = value.clone());
    std::fs::write(&path, config.to_string()).expect("config");
    let whole = Weights::open(&ModelEntry::open(&from).expect("entry").weights).expect("weights");
    let kept = whole.names().into_iter().filter(|name| !case.own.contains(name));
    let mut tensors: Vec<(String, RawTensor)> = kept.map(|n| (n.clone(), whole.tensor(&n).expect("tensor"))).collect();
    for (name, (of, by)) in &case.tables {
        tensors.push((name.clone(), shifted(&whole.tensor(of).expect("table"), *by)));
    }
    let each = tensors.iter().map(|(n, t)| (n.clone(), t));
    write_tensors(each, &folder.join("model.safetensors"), 0, &|| Ok(())).expect("written");
}

fn target() -> Target {
    cpu(Isa::detect(), 1, Precision::F32)
}

/// What the model in a folder says to a few tokens.
fn answer_of(folder: &Path) -> Result<Vec<f32>, NnError> {
    let entry = ModelEntry::open(folder).expect("entry");
    let json = entry.read_config().expect("config.json");
    let weights = Weights::open(&entry.weights).expect("weights");
    let ids = [5, 6, 7, 1];
    match json["model_type"].as_str() {
        Some("t5" | "marian") => {
            let config = seq2seq::config::Config::from_json(&json)?;
            let model = seq2seq::Model::load(config, &weights, target(), &mut |_| Ok(()))?;
            let source = &model.encode(&[&ids])?[0];
            let (mut memory, next) = (model.memory(), Next::Forced(&[0, 9, 8]));
            model.step(&mut [Strand { source, memory: &mut memory, next }])
        }
        Some("gpt2") => {
            let config = decoder::config::Config::from_json(&json)?;
            let model = Decoder::load(config, &weights, target(), &mut |_| Ok(()))?;
            model.read(&mut model.cache(), &ids)
        }
        _ => {
            let config = bert::config::Config::from_json(&json)?;
            let model = Encoder::load(config, HeadKind::Classify, &weights, target(), &mut |_| Ok(()))?;
            Ok(model.outputs(&[Sequence::new(&ids)])?.concat())
        }
    }
}

#[test]
fn one_of_the_tables_that_are_the_same_is_enough_and_none_is_made_up() {
    let text = std::fs::read_to_string(fixture("tied.json")).expect("tied.json");
    let rows: Vec<Row> = serde_json::from_str(&text).expect("rows");
    let (mut opened, mut refused) = (0, 0);
    for Row { case, said } in rows {
        let folder = tempfile::tempdir().expect("folder");
        make(&case, folder.path());
        let what = format!("{} {:?} with {:?}", case.fixture, case.config, case.tables);
        let is_same = said.values().any(|s| s.is == "same");
        match answer_of(folder.path()) {
            Ok(answer) => {
                assert!(is_same, "{what}: opened");
                let whole = answer_of(&fixture(&case.fixture)).expect("whole");
                let worst = answer.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(answer.len() == whole.len() && worst < 1e-5, "{what}: {worst}");
                opened += 1;
            }
            Err(error) => {
                assert!(!is_same, "{what}: {error}");
                let missing = &said["4.57.6"].missing;
                let NnError::MissingTensor(name) = &error else { panic!("{what}: {error}") };
                assert!(missing.contains(name), "{what}: {name} is not in {missing:?}");
                refused += 1;
            }
        }
    }
    assert!(opened >= 20 && refused >= 14, "{opened} opened, {refused} refused");
}

/// llama.cpp makes the output layer of the words where a file has none, and never the words of the output layer.
#[test]
fn a_gguf_file_needs_its_words() {
    use glossa::models::gguf::Gguf;
    struct Without<'a>(&'a Gguf, &'a str);
    impl glossa::nn::source::TensorSource for Without<'_> {
        fn tensor(&self, name: &str) -> Result<RawTensor, NnError> {
            let gone = || NnError::MissingTensor(name.to_owned());
            if self.has(name) { self.0.tensor(name) } else { Err(gone()) }
        }
        fn has(&self, name: &str) -> bool {
            name != self.1 && self.0.has(name)
        }
        fn names(&self) -> Vec<String> {
            self.0.names().into_iter().filter(|n| self.has(n)).collect()
        }
    }
    let file = Gguf::open(&fixture("decoder-llama").join("model.gguf")).expect("file");
    let load = |without: &str| {
        let config = decoder::config::Config::from_metadata(&file, file.vocabulary()).expect("config");
        Decoder::load(config, &Without(&file, without), target(), &mut |_| Ok(())).map(drop)
    };
    assert!(file.has("output.weight") && file.has("token_embd.weight"));
    load("output.weight").expect("tied");
    let Err(NnError::MissingTensor(name)) = load("token_embd.weight") else { panic!("no words") };
    assert_eq!(name, "token_embd.weight");
}
