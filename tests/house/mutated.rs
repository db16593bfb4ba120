//! Configurations that say something else than the weights beside them: each value of each fixture is replaced by rule.
//! What comes is a refusal in words or an answer in numbers; never a panic, never a signal.
//!
//! Run once under valgrind's memcheck on 2026-11-27, all four tests: no invalid read or write. Valgrind knows AVX2 and hides
//! AVX-512 from the program, so that is what it saw. To repeat it:
//! `valgrind --error-exitcode=9 -q target/release/deps/house-… mutated:: --test-threads 1`, three quarters of an hour.

use crate::fake::fixture;
use candle_core::quantized::gguf_file::{Content, Value as Gguf, write};
use glossa::models::add;
use glossa::models::library::Library;
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{self, Asked, Input, WritingOptions};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Loads what lies at `path` and has it answer. `Err`: the refusal.
fn answer(path: &Path, runtime: &Runtime) -> Result<(), String> {
    let library = Library::default();
    let card = add::check(path).map_err(|e| e.to_string())?;
    let entry = library.resolve(path.to_str(), &card.task).map_err(|e| e.to_string())?;
    let name = if card.task == "chat" { "generate" } else { card.task.as_str() };
    let Some(task) = tasks::find(name) else { return Err(format!("no task {name}")) };
    let mut model = task.load(&entry, runtime, &mut |_| false).map_err(|e| e.to_string())?;
    let text = "Zoë paid 5 euros";
    let input = match task.id() {
        "qa" => Input::Question { question: "Who paid?".into(), context: text.into() },
        _ => Input::Text(text.into()),
    };
    let options: tasks::Options = WritingOptions { max_tokens: 3, ..WritingOptions::default() }.into();
    let asked = Asked { task: task.id(), input: &input, options: &options };
    let mut work = model.prepare(&asked, &|| false).map_err(|e| e.to_string())?;
    for _ in 0..200 {
        if work.remaining() == 0 {
            return model.finish(&input, work).map(drop).map_err(|e| e.to_string());
        }
        model.step(&mut [work.as_mut()], 1024).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Every place in `json` that holds a value, as a pointer.
fn places(json: &Value, at: &str, out: &mut Vec<String>) {
    match json {
        Value::Object(map) => map.iter().for_each(|(k, v)| places(v, &format!("{at}/{}", k.replace('/', "~1")), out)),
        Value::Array(all) => all.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
    if !at.is_empty() {
        out.push(at.to_owned());
    }
}

/// What a value becomes; `None`: it goes.
fn mutations(value: &Value) -> Vec<Option<Value>> {
    let mut all = vec![Some(json!(0)), Some(json!(-1)), Some(json!("word")), Some(json!([])), Some(json!({})), None];
    if let Some(n) = value.as_i64() {
        let more = [1, n * 2, n + 1, n - 1, 5, 1 << 31, i64::MAX];
        all.extend(more.into_iter().map(|n| Some(json!(n))));
        all.extend([Some(json!(1u64 << 63)), Some(json!(n as f64 + 0.5)), Some(json!(1e300))]);
    } else if value.is_number() {
        all.extend([Some(json!(1e300)), Some(json!(-1e-300)), Some(json!(1u64 << 63))]);
    } else if value.is_string() {
        all.extend([Some(json!("")), Some(json!("NaN")), Some(json!("é".repeat(3_000)))]);
    }
    all
}

/// A folder with links to all files of a fixture but `left_out`.
fn linked(name: &str, left_out: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in std::fs::read_dir(fixture(name)).expect("fixture").flatten() {
        if file.file_name() != left_out {
            std::os::unix::fs::symlink(file.path(), folder.path().join(file.file_name())).expect("link");
        }
    }
    folder
}

fn runtime() -> Runtime {
    Runtime::new(DeviceChoice::Cpu, Some(2), None).expect("runtime")
}

/// Counts refusals and answers; a panic is a failure that names what was done.
#[derive(Default)]
struct Outcome {
    answered: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Outcome {
    fn take(&mut self, what: impl Fn() -> String, path: &Path, runtime: &Runtime) {
        match catch_unwind(AssertUnwindSafe(|| answer(path, runtime))) {
            Ok(Ok(())) => self.answered += 1,
            Ok(Err(why)) if why.trim().is_empty() || why.len() > 4_000 => {
                self.wrong.push(format!("{}: the refusal is no message: {:?}", what(), why.get(..200)));
            }
            Ok(Err(_)) => self.refused += 1,
            Err(_) => self.wrong.push(format!("{}: it panicked", what())),
        }
    }

    fn check(&self, least: usize) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert!(
            self.answered >= least && self.refused >= least,
            "{} answered, {} refused",
            self.answered,
            self.refused
        );
    }
}

fn fixtures_with(file: &str) -> Vec<String> {
    let folders = std::fs::read_dir(fixture("")).expect("fixtures").flatten();
    let folders = folders.filter(|f| f.path().join(file).is_file());
    let mut names: Vec<String> = folders.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_value_of_every_config_json() {
    let (runtime, mut outcome) = (runtime(), Outcome::default());
    for name in fixtures_with("config.json") {
        let text = std::fs::read_to_string(fixture(&name).join("config.json")).expect("config.json");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let folder = linked(&name, "config.json");
        let path = folder.path().join("config.json");
        std::fs::write(&path, &text).expect("written");
        assert_eq!(answer(folder.path(), &runtime), Ok(()), "{name} as it is");
        let mut all = Vec::new();
        places(&json, "", &mut all);
        for place in all {
            for new in mutations(json.pointer(&place).expect("value")) {
                let mut changed = json.clone();
                let shown = format!("{name}{place} = {}", new.as_ref().map_or("nothing".into(), Value::to_string));
                match new {
                    Some(new) => *changed.pointer_mut(&place).expect("value") = new,
                    None => drop(removed(&mut changed, &place)),
                }
                std::fs::write(&path, changed.to_string()).expect("written");
                outcome.take(|| shown.chars().take(120).collect(), folder.path(), &runtime);
            }
        }
    }
    outcome.check(500);
}

fn removed(json: &mut Value, place: &str) -> Option<Value> {
    let (parent, last) = place.rsplit_once('/')?;
    match json.pointer_mut(parent)? {
        Value::Object(map) => map.shift_remove(&last.replace("~1", "/")),
        Value::Array(all) => last.parse::<usize>().ok().map(|i| all.remove(i)),
        _ => None,
    }
}

fn number(value: &Gguf) -> Option<i64> {
    match *value {
        Gguf::U8(n) => Some(n.into()),
        Gguf::U32(n) => Some(n.into()),
        Gguf::I32(n) => Some(n.into()),
        Gguf::U64(n) => i64::try_from(n).ok(),
        _ => None,
    }
}

fn gguf_mutations(value: &Gguf) -> Vec<Option<Gguf>> {
    let mut all = vec![Some(Gguf::String("word".into())), Some(Gguf::U32(0)), Some(Gguf::I32(-1)), None];
    all.push(Some(Gguf::F32(f32::NAN)));
    match value {
        Gguf::F32(x) => all.extend([1e30, -x, x * 2.0, f32::INFINITY].map(|x| Some(Gguf::F32(x)))),
        Gguf::Array(items) => {
            all.push(Some(Gguf::Array(items[..items.len() / 2].to_vec())));
            all.push(Some(Gguf::Array(items.iter().rev().cloned().collect())));
            all.push(Some(Gguf::Array([&items[..], &items[..]].concat())));
        }
        Gguf::String(_) => all.push(Some(Gguf::String(String::new()))),
        Gguf::Bool(b) => all.push(Some(Gguf::Bool(!b))),
        other => {
            if let Some(n) = number(other) {
                let more = [1, n * 2, n + 1, n - 1, 5, 1 << 31, i64::MAX];
                all.extend(more.map(|n| Some(Gguf::U64(n.unsigned_abs()))));
                all.push(Some(Gguf::U64(1 << 63)));
            }
        }
    }
    all
}

#[test]
fn every_value_of_every_gguf_header() {
    let (runtime, mut outcome) = (runtime(), Outcome::default());
    for name in fixtures_with("model.gguf") {
        let from = fixture(&name).join("model.gguf");
        assert_eq!(answer(&from, &runtime), Ok(()), "{name} as it is");
        let mut file = std::fs::File::open(&from).expect("file");
        let content = Content::read(&mut file).expect("content");
        let tensors: Vec<_> = content
            .tensor_infos
            .keys()
            .map(|n| (n.clone(), content.tensor(&mut file, n, &candle_core::Device::Cpu).expect("tensor")))
            .collect();
        let tensors: Vec<(&str, _)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("model.gguf");
        for (key, value) in &content.metadata {
            for new in gguf_mutations(value) {
                let kept = content.metadata.iter().filter(|(k, _)| *k != key);
                let mut metadata: Vec<(&str, &Gguf)> = kept.map(|(k, v)| (k.as_str(), v)).collect();
                metadata.extend(new.as_ref().map(|new| (key.as_str(), new)));
                let mut to = std::fs::File::create(&path).expect("created");
                if write(&mut to, &metadata, &tensors).is_err() {
                    continue;
                }
                let shown = format!("{name} {key} = {new:?}");
                outcome.take(|| shown.chars().take(160).collect(), &path, &runtime);
            }
        }
    }
    outcome.check(150);
}

/// Tokenizers with bytes that are other bytes, cut, or of another model.
#[test]
fn damaged_tokenizers() {
    let (runtime, mut outcome) = (runtime(), Outcome::default());
    for (name, file) in [
        ("bert-tiny", "tokenizer.json"),
        ("distilbert-tiny", "vocab.txt"),
        ("heads-roberta-spans", "tokenizer.json"),
        ("heads-xlmr-tokens", "tokenizer.json"),
        ("seq2seq-marian", "source.spm"),
        ("seq2seq-marian", "vocab.json"),
        ("seq2seq-t5", "spiece.model"),
        ("seq2seq-t5-gated", "tokenizer.json"),
        ("decoder-gpt2", "merges.txt"),
        ("decoder-gpt2", "vocab.json"),
    ] {
        let Ok(bytes) = std::fs::read(fixture(name).join(file)) else { continue };
        let folder = linked(name, file);
        let path = folder.path().join(file);
        for round in 0..60usize {
            let at = (round * 7_919 + 13) % bytes.len();
            let mut damaged = bytes.clone();
            match round % 4 {
                0 => damaged.truncate(at),
                1 => damaged[at] ^= 1 << (round % 8),
                2 => damaged.splice(at..at, b"999999999".iter().copied()).for_each(drop),
                _ => damaged[at..(at + 20).min(bytes.len())].fill(b'0'),
            }
            std::fs::write(&path, &damaged).expect("written");
            outcome.take(|| format!("{name}/{file}, round {round}"), folder.path(), &runtime);
        }
    }
    outcome.check(50);
}

/// The tokenizer of a larger model beside a small model's table.
#[test]
fn ids_beyond_the_table_are_refused() {
    let folder = linked("seq2seq-t5", "config.json");
    let text = std::fs::read_to_string(fixture("seq2seq-t5").join("config.json")).expect("config.json");
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    json["vocab_size"] = json!(20);
    std::fs::write(folder.path().join("config.json"), json.to_string()).expect("written");
    let why = answer(&PathBuf::from(folder.path()), &runtime()).expect_err("refused");
    assert!(why.contains("config.json says 20") || why.contains("shape"), "{why}");
}
