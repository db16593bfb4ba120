//! Golden parity of T5 and Marian: encoder states, step logits, attention to the source, and the
//! outputs of greedy and beam searches token for token, as `transformers` gives them.
//! `make_seq2seq.py` beside this file made the fixtures.

use super::{cpu, fixture};
use candle_core::DType;
use glossa::models::library::ModelEntry;
use glossa::models::sentencepiece::PairTokenizer;
use glossa::models::weights::Weights;
use glossa::nn::beam::{EarlyStopping, SearchOptions};
use glossa::nn::bert::Target;
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use glossa::nn::seq2seq::config::Config;
use glossa::nn::seq2seq::{Model, Next, Strand};
use glossa::tasks::writing::beams::Beams;
use serde::Deserialize;
use std::collections::BTreeMap;

const CHECKPOINTS: [&str; 4] = ["seq2seq-marian", "seq2seq-marian-separate", "seq2seq-t5", "seq2seq-t5-gated"];
/// Largest difference to the reference that counts as equal, f32.
const TOLERANCE: f32 = 2e-4;

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
    ids: Vec<(String, Vec<u32>)>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    forced: Vec<u32>,
    searches: BTreeMap<String, Found>,
    states: Vec<f32>,
    state_sum: f32,
    /// Twenty of the first position, twenty of the last.
    logits: Vec<f32>,
    /// Attention of the last position.
    look: Vec<f32>,
}

#[derive(Deserialize)]
struct Found {
    ids: Vec<Vec<u32>>,
    scores: Vec<f32>,
    texts: Vec<String>,
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("cases")
}

fn load(name: &str, target: Target) -> (Model, PairTokenizer) {
    let entry = ModelEntry::open(&fixture(name)).expect("checkpoint folder");
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let tokenizer = PairTokenizer::open(&entry.tokenizer, [config.source_vocab, config.vocab]).expect("tokenizer");
    let weights = Weights::open(&entry.weights).expect("weights");
    (Model::load(config, &weights, target, &mut |_| Ok(())).expect("model"), tokenizer)
}

fn options(search: &str) -> SearchOptions {
    let base = SearchOptions { max_tokens: 24, ..SearchOptions::default() };
    match search {
        "greedy" => SearchOptions { beams: 1, ..base },
        "beam4" => SearchOptions { n_best: 4, ..base },
        "early" => SearchOptions { early_stopping: EarlyStopping::Yes, length_penalty: 0.6, ..base },
        "never" => SearchOptions { beams: 3, early_stopping: EarlyStopping::Never, length_penalty: 1.4, ..base },
        "rules" => SearchOptions { no_repeat_ngram: 2, min_tokens: 6, length_penalty: 2.0, ..base },
        other => panic!("unknown search {other}"),
    }
}

fn close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    // Relative where numbers are large: the untied T5's logits are.
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0f32, f32::max);
    assert!(worst < TOLERANCE, "{what}: {worst}");
}

fn check_numbers(name: &str, target: Target, what: &str) {
    let (model, _) = load(name, target);
    let cases = expected(name).cases;
    let batch: Vec<&[u32]> = cases.iter().map(|c| &c.ids[..]).collect();
    let states = model.states(&batch).expect("states");
    let sources = model.encode(&batch).expect("sources");
    for ((case, states), source) in cases.iter().zip(&states).zip(&sources) {
        let what = format!("{name} {what} {:?}", case.text);
        close(&states[..case.states.len()], &case.states, &format!("{what} states"));
        let sum: f32 = states.iter().map(|x| x.abs()).sum();
        assert!((sum - case.state_sum).abs() < 0.05, "{what}: {sum} {}", case.state_sum);
        let vocab = model.config().vocab;
        // All at once, and one by one: the same.
        let mut memory = model.memory();
        let next = Next::Forced(&case.forced);
        let all = model.step(&mut [Strand { source, memory: &mut memory, next }]).expect("step");
        let mut memory = model.memory();
        let mut one = Vec::new();
        for id in &case.forced {
            let next = [(0, *id)];
            let strand = Strand { source, memory: &mut memory, next: Next::Beams(&next) };
            one.extend(model.step(&mut [strand]).expect("step"));
        }
        for (logits, how) in [(&all, "at once"), (&one, "step by step")] {
            let last = logits.len() - vocab;
            let got = [&logits[..20], &logits[last..last + 20]].concat();
            close(&got, &case.logits, &format!("{what} logits {how}"));
        }
        let looks = model.align(source, &case.forced).expect("attention");
        close(looks.last().expect("rows"), &case.look, &format!("{what} attention"));
    }
}

fn check_searches(name: &str, target: Target, what: &str) {
    let (model, tokenizer) = load(name, target);
    let cases = expected(name).cases;
    let mut ended = 0;
    for search in ["greedy", "beam4", "early", "never", "rules"] {
        // One batch of all: those that finish leave it.
        let batch: Vec<&[u32]> = cases.iter().map(|c| &c.ids[..]).collect();
        let mut jobs = model.begin(&batch, &options(search)).expect("jobs");
        while jobs.iter().any(|j| !j.search().is_over()) {
            assert!(model.advance(&mut jobs.iter_mut().collect::<Vec<_>>()).expect("step"));
        }
        for (case, job) in cases.iter().zip(jobs) {
            let want = &case.searches[search];
            let best = job.into_parts().1.into_best();
            let ids: Vec<&Vec<u32>> = best.iter().map(|h| &h.ids).collect();
            assert_eq!(ids, want.ids.iter().collect::<Vec<_>>(), "{name} {what} {search} {:?}", case.text);
            ended += best.iter().filter(|h| h.ended).count();
            for ((hypothesis, score), text) in best.iter().zip(&want.scores).zip(&want.texts) {
                assert!((hypothesis.score - score).abs() < 1e-3, "{name} {search}: {} {score}", hypothesis.score);
                assert_eq!(tokenizer.decode(&hypothesis.ids), text.trim());
            }
        }
    }
    assert!(name.contains("t5") || ended > 10, "{name}: too few texts end by themselves to mean anything");
}

#[test]
fn our_kernels_match_transformers_on_every_instruction_set_and_team_size() {
    for name in CHECKPOINTS {
        for isa in Isa::available() {
            for threads in [1, 3] {
                check_numbers(name, cpu(isa, threads, Precision::F32), &format!("{isa:?}, {threads} threads"));
            }
        }
        check_searches(name, cpu(Isa::detect(), 2, Precision::F32), "CPU");
    }
}

#[test]
fn candle_tensors_match_transformers() {
    let target = || Target::Device { device: crate::candle(), dtype: DType::F32 };
    for name in CHECKPOINTS {
        check_numbers(name, target(), "Candle");
        check_searches(name, target(), "Candle");
    }
}

#[test]
fn source_ids_are_those_of_transformers() {
    for name in CHECKPOINTS {
        let (_, tokenizer) = load(name, cpu(Isa::detect(), 1, Precision::F32));
        let expected = expected(name);
        let own = expected.cases.iter().map(|c| (&c.text, &c.ids));
        for (text, ids) in own.chain(expected.ids.iter().map(|(t, i)| (t, i))) {
            // Typographic quotes: `transformers` makes them plain only where sacremoses is installed.
            if text.contains('\u{201c}') {
                continue;
            }
            let tokens = tokenizer.encode(text).expect("tokens");
            let got: Vec<u32> = tokens.iter().map(|t| t.id).collect();
            assert_eq!(got, ids[..ids.len() - 1], "{name} {text:?}");
            assert!(tokens.iter().all(|t| text.is_char_boundary(t.start) && text.is_char_boundary(t.end)));
        }
    }
}

/// The same search over a decoder, with its caches moved and copied.
#[test]
fn beam_search_of_gpt2_is_that_of_transformers() {
    #[derive(Deserialize)]
    struct Beamed {
        prompt: Vec<u32>,
        end: u32,
        two: Vec<u32>,
        four: Vec<u32>,
    }
    let text = std::fs::read_to_string(fixture("decoder-gpt2").join("beams.json")).expect("beams.json");
    let cases: Vec<Beamed> = serde_json::from_str(&text).expect("cases");
    for target in [cpu(Isa::detect(), 2, Precision::F32), Target::Device { device: crate::candle(), dtype: DType::F32 }]
    {
        let decoder = super::decoders::load("decoder-gpt2", target);
        for case in &cases {
            let two = SearchOptions { beams: 2, ..SearchOptions::default() };
            let early_stopping = EarlyStopping::Yes;
            let four = SearchOptions { beams: 4, no_repeat_ngram: 3, early_stopping, ..SearchOptions::default() };
            for (options, want) in [(two, &case.two), (four, &case.four)] {
                let mut cache = decoder.cache();
                let logits = decoder.read(&mut cache, &case.prompt).expect("prompt");
                let mut beams = Beams::new(options, 16, &[case.end], &case.prompt);
                beams.begin(cache, &logits).expect("first step");
                while !beams.is_over() {
                    let before = beams.stable().to_vec();
                    beams.step(&decoder).expect("step");
                    assert!(beams.is_over() || beams.stable().starts_with(&before), "what is stable stays");
                }
                assert_eq!(beams.into_best().0, *want, "after {} tokens", case.prompt.len());
            }
        }
    }
}

#[test]
fn what_is_too_long_or_outside_of_the_vocabulary_is_refused() {
    let (model, _) = load("seq2seq-marian", cpu(Isa::detect(), 1, Precision::F32));
    assert!(model.encode(&[&[5; 81]]).is_err() && model.encode(&[&[]]).is_err() && model.encode(&[&[60_000]]).is_err());
    let source = model.encode(&[&[5, 0]]).expect("source").remove(0);
    let mut memory = model.memory();
    let next = Next::Forced(&[7; 81]);
    assert!(model.step(&mut [Strand { source: &source, memory: &mut memory, next }]).is_err());
    // A search is bounded by the model's positions, whatever is asked for.
    let options = SearchOptions { beams: 1, max_tokens: 100_000, min_tokens: 100_000, ..SearchOptions::default() };
    let mut jobs = model.begin(&[&[5, 0]], &options).expect("jobs");
    while !jobs[0].search().is_over() {
        model.advance(&mut jobs.iter_mut().collect::<Vec<_>>()).expect("step");
    }
    assert_eq!(jobs.remove(0).into_parts().1.into_best()[0].ids.len(), 79);
}
