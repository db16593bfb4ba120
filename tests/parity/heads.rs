//! Every head on every family against `transformers`; `make_heads.py` beside this file made the
//! fixtures. And what the tasks make of the numbers: answers, vectors, shares.

use super::{TOLERANCE, cpu, fixture};
use candle_core::DType;
use glossa::models::library::ModelEntry;
use glossa::models::tokenizer::TextTokenizer;
use glossa::models::weights::Weights;
use glossa::nn::bert::config::Config;
use glossa::nn::bert::{Encoder, HeadKind, Sequence, Target};
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{self, Asked, Input, Options, Output};
use serde::Deserialize;

const CHECKPOINTS: [(&str, HeadKind); 9] = [
    ("heads-bert-tokens", HeadKind::Tokens),
    ("heads-bert-spans", HeadKind::Spans),
    ("heads-bert-mean", HeadKind::Mean),
    ("heads-distil-tokens", HeadKind::Tokens),
    ("heads-distil-spans", HeadKind::Spans),
    ("heads-roberta-tokens", HeadKind::Tokens),
    ("heads-roberta-spans", HeadKind::Spans),
    ("heads-roberta-many", HeadKind::Classify),
    ("heads-xlmr-tokens", HeadKind::Tokens),
];

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
    passage: String,
    answers: Vec<Answer>,
    vectors: Vec<Vector>,
    shares: Vec<Shares>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    types: Vec<u32>,
    output: Vec<f32>,
}

#[derive(Deserialize)]
struct Answer {
    question: String,
    answer: String,
    start: usize,
    end: usize,
    score: f64,
    none: f64,
}

#[derive(Deserialize)]
struct Vector {
    text: String,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Shares {
    text: String,
    shares: Vec<f64>,
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("cases")
}

fn check(name: &str, kind: HeadKind, target: Target, tolerance: f32) {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint folder");
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    let model = Encoder::load(config, kind, &weights, target, &mut |_| Ok(())).expect(name);
    let cases = expected(name).cases;
    let batch: Vec<Sequence<'_>> = cases.iter().map(|c| Sequence { ids: &c.ids, types: &c.types }).collect();
    let together = model.outputs(&batch).expect("outputs");
    for (case, row) in cases.iter().zip(&together) {
        assert_eq!(row.len(), case.output.len(), "{name}");
        let error = row.iter().zip(&case.output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < tolerance, "{name} {kind:?}: {error}");
    }
    let alone = model.outputs(&batch[..1]).expect("outputs");
    assert!(alone[0].iter().zip(&together[0]).all(|(a, b)| (a - b).abs() < tolerance));
}

#[test]
fn every_head_matches_transformers() {
    for (name, kind) in CHECKPOINTS {
        for isa in Isa::available() {
            for threads in [1, 2] {
                check(name, kind, cpu(isa, threads, Precision::F32), TOLERANCE);
            }
        }
        check(name, kind, Target::Device { device: crate::candle(), dtype: DType::F32 }, TOLERANCE);
    }
}

/// One input through a task, as the engine drives it.
fn run(task: &'static str, name: &str, input: Input) -> Output {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint folder");
    let runtime = Runtime::new(DeviceChoice::Cpu, Some(1), None).expect("runtime");
    let mut model = tasks::find(task).expect(task).load(&entry, &runtime, &mut |_| false).expect(name);
    let options = Options::default();
    let asked = Asked { task, input: &input, options: &options };
    let mut work = model.prepare(&asked, &|| false).expect("prepared");
    while work.remaining() > 0 {
        model.step(&mut [&mut *work], 1024).expect("step");
    }
    model.finish(&input, work).expect("answer")
}

#[test]
fn answers_are_those_of_transformers() {
    for name in ["heads-bert-spans", "heads-distil-spans", "heads-roberta-spans"] {
        let all = expected(name);
        for want in &all.answers {
            let input = Input::Question { question: want.question.clone(), context: all.passage.as_str().into() };
            let Output::Answers(got) = run("qa", name, input) else { panic!("answers") };
            let best = &got.places[0];
            let letters = |byte: usize| all.passage[..byte].chars().count();
            assert_eq!(best.text, want.answer, "{name} {:?}", want.question);
            assert_eq!((letters(best.start), letters(best.end)), (want.start, want.end), "{name}");
            assert!((best.score - want.score).abs() < 1e-4 && (got.no_answer - want.none).abs() < 1e-4, "{name}");
        }
    }
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    for want in expected("heads-bert-mean").vectors {
        let Output::Vector(got) = run("embed", "heads-bert-mean", want.text.as_str().into()) else { panic!("vector") };
        assert!(got.vector.iter().zip(&want.vector).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", want.text);
    }
}

#[test]
fn labels_that_do_not_exclude_each_other_have_probabilities_of_their_own() {
    for want in expected("heads-roberta-many").shares {
        let Output::Scores(got) = run("classify", "heads-roberta-many", want.text.as_str().into()) else { panic!() };
        assert!(got.scores.iter().zip(&want.shares).all(|(a, b)| (a.1 - b).abs() < 1e-4), "{:?}", want.text);
    }
}

#[test]
fn byte_level_and_unigram_pieces_have_the_same_ids_and_whole_letters() {
    for name in ["heads-roberta-tokens", "heads-xlmr-tokens"] {
        let all = expected(name);
        let tokenizer = TextTokenizer::open(&fixture(name).join("tokenizer.json")).expect("tokenizer");
        for (case, text) in all.cases.iter().zip(&all.shares) {
            let tokens = tokenizer.encode(&text.text, &|| false).expect("tokens").expect("not stopped");
            let ids: Vec<u32> = tokens.iter().map(|t| t.id).collect();
            // The reference is cut at 128.
            let want = &case.ids[1..case.ids.len() - 1];
            assert_eq!(&ids[..want.len()], want, "{name} {:?}", text.text);
            for token in tokens {
                let piece = text.text.get(token.start..token.end).expect("whole characters");
                assert_eq!(piece.trim(), piece, "{name} {:?}", text.text);
            }
        }
    }
}
