//! Golden parity: our encoders against logits that `transformers` gave for the same weights.
//! `make_fixtures.py` beside this file made tests/fixtures.

mod bins;
mod crowd;
mod decoders;
mod heads;
mod iob;
mod language;
mod percentiles;
mod pooling;
mod precisions;
mod scores;
mod sentinels;
mod seq2seq;
mod templates;
mod tied;

use candle_core::{DType, Device};
use glossa::models::library::ModelEntry;
use glossa::models::tokenizer::TextTokenizer;
use glossa::models::weights::Weights;
use glossa::nn::bert::config::Config;
use glossa::nn::bert::{Encoder, HeadKind, Sequence, Target};
use glossa::nn::kernels::Isa;
use glossa::nn::kernels::team::Team;
use glossa::nn::precision::Precision;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest difference to the reference logits that counts as equal, f32.
const TOLERANCE: f32 = 1e-4;

const CHECKPOINTS: [&str; 5] = ["bert-tiny", "bert-odd", "bert-bin", "bert-bin-parts", "distilbert-tiny"];

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn cases(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("cases")
}

fn load(name: &str, target: Target) -> Encoder {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint folder");
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    Encoder::load(config, HeadKind::Classify, &weights, target, &mut |_| Ok(())).expect("model")
}

fn worst(got: &[Vec<f32>], cases: &[Case]) -> f32 {
    assert_eq!(got.len(), cases.len());
    got.iter()
        .zip(cases)
        .flat_map(|(row, case)| {
            assert_eq!(row.len(), case.logits.len());
            row.iter().zip(&case.logits).map(|(a, b)| (a - b).abs())
        })
        .fold(0.0, f32::max)
}

/// All cases in one batch, and one by one: both must match.
fn check(name: &str, target: Target, tolerance: f32, what: &str) {
    let (model, cases) = (load(name, target), cases(name));
    let batch: Vec<Sequence<'_>> = cases.iter().map(|c| Sequence::new(&c.ids)).collect();
    let together = model.outputs(&batch).expect("logits");
    let error = worst(&together, &cases);
    assert!(error < tolerance, "{name} {what}, batched: {error}");
    for (case, sequence) in cases.iter().zip(&batch) {
        let alone = model.outputs(&[*sequence]).expect("logits");
        let error = worst(&alone, std::slice::from_ref(case));
        assert!(error < tolerance, "{name} {what}, alone, {:?}: {error}", case.text);
    }
}

/// Where the tensor path runs: Candle on the CPU, or with `GLOSSA_TEST_DEVICE=cuda` (and a build with that feature) the GPU.
fn candle() -> Device {
    match std::env::var("GLOSSA_TEST_DEVICE").as_deref() {
        Ok("cuda") => Device::new_cuda(0).expect("a CUDA device"),
        _ => Device::Cpu,
    }
}

fn cpu(isa: Isa, threads: usize, precision: Precision) -> Target {
    Target::Cpu { team: Arc::new(Team::new(threads).expect("threads")), isa, precision }
}

#[test]
fn our_kernels_match_transformers_on_every_instruction_set_and_team_size() {
    for name in CHECKPOINTS {
        for isa in Isa::available() {
            for threads in [1, 2, 3] {
                check(name, cpu(isa, threads, Precision::F32), TOLERANCE, &format!("{isa:?} × {threads}"));
            }
        }
    }
}

#[test]
fn candle_tensors_match_transformers() {
    for name in CHECKPOINTS {
        let target = Target::Device { device: candle(), dtype: DType::F32 };
        check(name, target, TOLERANCE, "Candle f32");
    }
}

#[test]
fn half_precision_weights_stay_close() {
    for name in CHECKPOINTS {
        check(name, cpu(Isa::detect(), 2, Precision::F16), 2e-2, "f16 weights");
        let target = Target::Device { device: candle(), dtype: DType::F16 };
        check(name, target, 1e-1, "Candle f16");
    }
}

/// Bytes for weights and activations, where the CPU is fast at that; elsewhere halves.
#[test]
fn bytes_stay_close() {
    for name in CHECKPOINTS {
        for threads in [1, 3] {
            check(name, cpu(Isa::detect(), threads, Precision::Int8), 1.5e-1, "bytes");
        }
    }
}

#[test]
fn tokenizers_give_the_same_ids_from_either_file() {
    for name in CHECKPOINTS {
        let entry = ModelEntry::open(&fixture(name)).expect("checkpoint folder");
        for file in [entry.tokenizer.clone(), fixture(name).join("vocab.txt")] {
            let tokenizer = TextTokenizer::open(&file).expect("tokenizer");
            for case in cases(name) {
                let tokens = tokenizer.encode(&case.text, &|| false).expect("tokens").expect("not stopped");
                let mut ids = vec![tokenizer.cls];
                ids.extend(tokens.iter().map(|t| t.id).take(62));
                ids.push(tokenizer.sep);
                assert_eq!(ids, case.ids, "{} on {:?}", file.display(), case.text);
            }
        }
    }
}

#[test]
fn many_sequences_of_mixed_lengths_match_one_by_one() {
    let model = load("bert-tiny", cpu(Isa::detect(), 2, Precision::F32));
    let texts: Vec<Vec<u32>> =
        (0..150usize).map(|i| (0..1 + i * 7 % 64).map(|t| ((i * 31 + t * 17) % 100) as u32).collect()).collect();
    let batch: Vec<Sequence<'_>> = texts.iter().map(|ids| Sequence::new(ids)).collect();
    let together = model.outputs(&batch).expect("logits");
    for (sequence, row) in batch.iter().zip(&together) {
        let alone = &model.outputs(&[*sequence]).expect("logits")[0];
        assert!(row.iter().zip(alone).all(|(a, b)| (a - b).abs() < TOLERANCE));
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused_before_it_runs() {
    let model = load("bert-tiny", cpu(Isa::detect(), 1, Precision::F32));
    assert!(model.outputs(&[Sequence::new(&[5_000_000])]).unwrap_err().to_string().contains("5000000"));
    assert!(model.outputs(&[Sequence::new(&[1; 65])]).unwrap_err().to_string().contains("65 tokens"));
}

/// All of these tests once more with every other instruction set that this processor has.
#[test]
fn all_of_it_with_every_instruction_set() {
    if std::env::var_os("GLOSSA_ISA").is_some() {
        return;
    }
    let own = Isa::detect();
    for isa in Isa::available().into_iter().filter(|isa| *isa != own) {
        let mut run = std::process::Command::new(std::env::current_exe().expect("test binary"));
        run.env("GLOSSA_ISA", isa.name()).args(["--skip", "every_instruction_set", "--skip", "in_every_precision"]);
        let output = run.args(["--skip", "in_floats_and_bytes", "--skip", "same_blocks"]).output().expect("run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}:\n{said}", isa.name());
    }
}
