//! Our decoders against logits and greedy texts that `transformers` gave for the same weights.
//! `make_decoders.py` beside this file made tests/fixtures/decoder-*.

use super::{cpu, fixture};
use candle_core::DType;
use glossa::models::codec::Codec;
use glossa::models::gguf::Gguf;
use glossa::models::library::ModelEntry;
use glossa::models::weights::Weights;
use glossa::nn::bert::Target;
use glossa::nn::decoder::config::Config;
use glossa::nn::decoder::{Decoder, Want};
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use serde::Deserialize;

const FAMILIES: [&str; 8] = ["llama", "llama-parts", "qwen2", "qwen3", "phi3", "gemma3", "smollm3", "gpt2"];
/// YaRN in the layouts of the families whose long-context files carry it.
const LONG: [&str; 3] = ["qwen2-yarn", "llama-yarn", "phi3-yarn"];

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    first: Vec<f32>,
    last: Vec<f32>,
    greedy: Vec<u32>,
}

fn cases(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("cases")
}

pub fn load(name: &str, target: Target) -> Decoder {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint");
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path).expect("gguf");
        let config = Config::from_metadata(&file, file.vocabulary()).expect("config");
        return Decoder::load(config, &file, target, &mut |_| Ok(())).expect("model");
    }
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    Decoder::load(config, &weights, target, &mut |_| Ok(())).expect("model")
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // Relative to the spread of the logits: keys and values are kept as f16.
    let scale = b.iter().fold(1f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max) / scale
}

pub fn best(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("logits") as u32
}

fn check(family: &str, target: Target, tolerance: f32, what: &str) {
    let name = format!("decoder-{family}");
    let decoder = load(&name, target);
    for case in cases(&name) {
        let n = case.ids.len();
        let mut cache = decoder.cache();
        let first = decoder.forward(&mut cache, &case.ids[..1], Want::Last).expect("forward");
        let error = difference(&first, &case.first);
        assert!(error < tolerance, "{family} {what}, first of {n}: {error}");
        cache.truncate(0);
        let mut logits = decoder.read(&mut cache, &case.ids).expect("forward");
        let error = difference(&logits, &case.last);
        assert!(error < tolerance, "{family} {what}, last of {n}: {error}");
        for (i, id) in case.greedy.iter().enumerate() {
            assert_eq!(best(&logits), *id, "{family} {what}, greedy token {i} after {n}");
            logits = decoder.forward(&mut cache, &[*id], Want::Last).expect("forward");
        }
        // Cut back and read again: the cache holds what it should.
        cache.truncate(n / 2);
        let again = decoder.read(&mut cache, &case.ids[n / 2..]).expect("forward");
        let error = difference(&again, &case.last);
        assert!(error < tolerance, "{family} {what}, after a cut, {n}: {error}");
    }
}

#[test]
fn our_decoders_match_transformers_on_every_instruction_set_and_team_size() {
    for family in FAMILIES {
        for isa in Isa::available() {
            for threads in [1, 2, 3] {
                check(family, cpu(isa, threads, Precision::F32), 4e-3, &format!("{isa:?} × {threads}"));
            }
        }
    }
}

#[test]
fn yarn_matches_transformers() {
    for family in LONG {
        for isa in Isa::available() {
            check(family, cpu(isa, 2, Precision::F32), 4e-3, &format!("{isa:?}"));
        }
    }
}

#[test]
fn the_tensor_path_matches_transformers_too() {
    for family in FAMILIES.into_iter().chain(LONG) {
        // Candle rounds activations to 8 bits, on CPU and on CUDA.
        let target = Target::Device { device: crate::candle(), dtype: DType::F32 };
        let name = format!("decoder-{family}");
        let decoder = load(&name, target);
        // 0.123 was seen on an H100.
        let loose = if matches!(family, "gemma3" | "gpt2") { 1e-3 } else { 0.15 };
        for case in cases(&name) {
            let mut cache = decoder.cache();
            let logits = decoder.read(&mut cache, &case.ids).expect("forward");
            let error = difference(&logits, &case.last);
            assert!(error < loose, "{family}, last of {}: {error}", case.ids.len());
        }
    }
}

#[test]
fn all_positions_at_once_are_the_positions_one_by_one() {
    let decoder = load("decoder-llama", cpu(Isa::detect(), 2, Precision::F32));
    let case = &cases("decoder-llama")[2];
    let ids = &case.ids[..40];
    let together = decoder.forward(&mut decoder.cache(), ids, Want::All).expect("forward");
    let mut cache = decoder.cache();
    for (id, row) in ids.iter().zip(together.chunks_exact(decoder.config().vocab)) {
        let alone = decoder.forward(&mut cache, &[*id], Want::Last).expect("forward");
        assert!(difference(&alone, row) < 2e-3);
    }
    assert!(decoder.forward(&mut cache, &[1; 600], Want::Last).is_err(), "longer than the context");
    assert!(decoder.forward(&mut cache, &[60_000], Want::Last).is_err(), "no such token");
}

#[test]
fn tokenizers_are_built_from_the_file_alone() {
    for family in FAMILIES {
        let entry = ModelEntry::open(&fixture(&format!("decoder-{family}"))).expect("checkpoint");
        let codec = match entry.gguf() {
            Some(path) => Gguf::open(path).and_then(|f| f.codec()).expect("tokenizer"),
            None => Codec::gpt2(&entry.tokenizer, Vec::new()).expect("tokenizer"),
        };
        for text in ["the thin man, a 2026 été 🙂 日本", " two  spaces\n\n\tand tabs ", "x", "ﬁ ½ é"] {
            let ids = codec.encode(text, false).expect("ids");
            let mut stream = glossa::models::codec::TextStream::default();
            let mut streamed: String = ids.iter().map(|id| codec.push(&mut stream, *id)).collect();
            streamed.push_str(&codec.rest(&stream));
            assert_eq!(streamed, codec.decode(&ids), "{family}");
            // Decoders of SentencePiece drop a space before the first word, and letters that the
            // tiny vocabularies lack come back by their bytes.
            assert_eq!(streamed.trim_start(), text.trim_start(), "{family} {text:?}");
        }
    }
}
