//! Decoders and encoder-decoders in every precision.
//!
//! Two questions: whether floats and bytes stay near the logits that `transformers` gave in f32; and whether
//! blocks give what the same blocks give when they are widened to floats first, so that the kernels for blocks
//! are right. How much accuracy blocks cost is measured on real models (BENCHMARKS.md): the fixtures' random
//! weights would exaggerate it.

use super::{cpu, fixture};
use glossa::models::blocks::{Layered, prepare_in};
use glossa::models::gguf::Gguf;
use glossa::models::library::ModelEntry;
use glossa::models::weights::Weights;
use glossa::nn::decoder::Decoder;
use glossa::nn::decoder::config::Config;
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use glossa::nn::seq2seq::{self, Next, Strand};
use glossa::nn::source::{Dtype, RawTensor, TensorSource};
use serde::Deserialize;
use std::sync::Arc;

/// Least cosine between logits and the reference's.
const FLOATS: [(Precision, f64); 4] =
    [(Precision::F32, 0.999_99), (Precision::F16, 0.999_7), (Precision::Bf16, 0.999_7), (Precision::Int8, 0.9)];
const BLOCKS: [Precision; 4] = [Precision::Q8_0, Precision::Q5_0, Precision::Q4_0, Precision::Q4KM];
/// Least cosine between blocks and the same blocks as floats: inputs are rounded to bytes for their products.
const NEAR: f64 = 0.99;

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    last: Vec<f32>,
}

/// Of what is finite: padding's logit is minus infinity.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |x: &[f32], y: &[f32]| {
        let pairs = x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
        pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Floats in place of blocks: the same numbers without any kernel for blocks.
struct Widened<'a>(Layered<'a>);

impl TensorSource for Widened<'_> {
    fn tensor(&self, name: &str) -> Result<RawTensor, glossa::nn::NnError> {
        let tensor = self.0.tensor(name)?;
        if tensor.dtype().form().is_none() {
            return Ok(tensor);
        }
        let bytes: Vec<u8> = tensor.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect();
        let range = 0..bytes.len();
        RawTensor::new(Dtype::F32, tensor.shape().to_vec(), Arc::new(bytes), range)
    }

    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

/// The model's tensors as a loading in this precision sees them.
pub fn layered<'a>(entry: &ModelEntry, below: &'a dyn TensorSource, precision: Precision) -> Layered<'a> {
    let blocks = prepare_in(entry, below, precision, None, &mut |_| false).expect("blocks");
    Layered { blocks, below }
}

/// In `precision`, on so many threads.
pub fn decoder_on(name: &str, isa: Isa, precision: Precision, threads: usize) -> Decoder {
    opened(name, (isa, threads), precision, false)
}

/// In `precision`; with `widen` as floats.
fn decoder(name: &str, isa: Isa, precision: Precision, widen: bool) -> Decoder {
    opened(name, (isa, 2), precision, widen)
}

fn opened(name: &str, (isa, threads): (Isa, usize), precision: Precision, widen: bool) -> Decoder {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint");
    let load = |config: Config, below: &dyn TensorSource| {
        let source = layered(&entry, below, precision);
        if widen {
            Decoder::load(config, &Widened(source), cpu(isa, threads, Precision::F32), &mut |_| Ok(())).expect("model")
        } else {
            Decoder::load(config, &source, cpu(isa, threads, precision), &mut |_| Ok(())).expect("model")
        }
    };
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path).expect("gguf");
        return load(Config::from_metadata(&file, file.vocabulary()).expect("config"), &file);
    }
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    load(config, &Weights::open(&entry.weights).expect("weights"))
}

const FAMILIES: [&str; 4] = ["decoder-llama", "decoder-qwen3", "decoder-phi3", "decoder-gpt2"];

fn cases(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("cases")
}

fn last(decoder: &Decoder, ids: &[u32]) -> Vec<f32> {
    decoder.read(&mut decoder.cache(), ids).expect("forward")
}

#[test]
fn decoders_stay_near_the_reference_in_floats_and_bytes() {
    for name in FAMILIES {
        for isa in Isa::available() {
            for (precision, least) in FLOATS {
                let decoder = decoder(name, isa, precision, false);
                for case in cases(name) {
                    let cosine = cosine(&last(&decoder, &case.ids), &case.last);
                    assert!(cosine >= least, "{name} {isa:?} {precision:?}, {} tokens: {cosine}", case.ids.len());
                }
            }
        }
    }
}

#[test]
fn decoders_in_blocks_are_the_same_blocks_in_floats() {
    for name in FAMILIES {
        for precision in BLOCKS {
            let exact = decoder(name, Isa::detect(), precision, true);
            for isa in Isa::available() {
                let blocks = decoder(name, isa, precision, false);
                assert!(blocks.bytes() < exact.bytes(), "{name} {precision:?}: no blocks at all");
                for case in cases(name) {
                    let cosine = cosine(&last(&blocks, &case.ids), &last(&exact, &case.ids));
                    assert!(cosine >= NEAR, "{name} {isa:?} {precision:?}, {} tokens: {cosine}", case.ids.len());
                }
            }
        }
    }
}

/// In `precision`, on so many threads.
pub fn encoder_decoder_on(name: &str, isa: Isa, precision: Precision, threads: usize) -> seq2seq::Model {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint");
    let config = seq2seq::config::Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    let source = layered(&entry, &weights, precision);
    seq2seq::Model::load(config, &source, cpu(isa, threads, precision), &mut |_| Ok(())).expect("model")
}

/// Logits of a forced answer.
fn forced(name: &str, isa: Isa, precision: Precision, widen: bool) -> Vec<f32> {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint");
    let config = seq2seq::config::Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    let source = layered(&entry, &weights, precision);
    let model = if widen {
        seq2seq::Model::load(config, &Widened(source), cpu(isa, 2, Precision::F32), &mut |_| Ok(()))
    } else {
        seq2seq::Model::load(config, &source, cpu(isa, 2, precision), &mut |_| Ok(()))
    };
    let model = model.expect("model");
    let ids: Vec<u32> = (0..24).map(|i| 5 + i * 3).collect();
    let answer: Vec<u32> = (0..8).map(|i| 4 + i * 5).collect();
    let source = &model.encode(&[&ids]).expect("source")[0];
    let mut memory = model.memory();
    let strand = Strand { source, memory: &mut memory, next: Next::Forced(&answer) };
    model.step(&mut [strand]).expect("step")
}

#[test]
fn encoder_decoders_keep_their_numbers_in_every_precision() {
    for name in ["seq2seq-marian", "seq2seq-t5", "seq2seq-t5-gated"] {
        for isa in Isa::available() {
            let exact = forced(name, isa, Precision::F32, false);
            for (precision, least) in FLOATS {
                let cosine = cosine(&forced(name, isa, precision, false), &exact);
                assert!(cosine >= least, "{name} {isa:?} {precision:?}: {cosine}");
            }
            for precision in BLOCKS {
                let exact = forced(name, isa, precision, true);
                let cosine = cosine(&forced(name, isa, precision, false), &exact);
                assert!(cosine >= NEAR, "{name} {isa:?} {precision:?}: {cosine}");
            }
        }
    }
}
