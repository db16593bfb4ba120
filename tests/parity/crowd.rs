//! The same numbers alone and in a crowd: logits are equal to the bit whoever shares a step, however prompts are cut into
//! chunks, and on any number of threads. For every precision, on every instruction set that this processor has.

use super::precisions::{decoder_on, encoder_decoder_on};
use super::{Case as Text, cases as texts, cpu, fixture};
use glossa::models::library::ModelEntry;
use glossa::models::weights::Weights;
use glossa::nn::bert::config::Config;
use glossa::nn::bert::{Encoder, HeadKind, Sequence};
use glossa::nn::decoder::{Admission, Cache, Decoder, PAGE, Part, Want};
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use glossa::nn::seq2seq::{Next, Strand};

const PRECISIONS: [Precision; 7] = [
    Precision::F32,
    Precision::F16,
    Precision::Int8,
    Precision::Q8_0,
    Precision::Q5_0,
    Precision::Q4_0,
    Precision::Q4KM,
];
const FAMILIES: [&str; 4] = ["decoder-llama", "decoder-qwen3", "decoder-gemma3", "decoder-gpt2"];

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

/// A prompt and what is read behind it, one by one.
struct Plan {
    prompt: Vec<u32>,
    answer: Vec<u32>,
}

fn plans(vocab: usize, context: usize, count: usize) -> Vec<Plan> {
    let mut random = Random(7);
    let most = context.min(3 * PAGE) - 12;
    let shared: Vec<u32> = (0..most).map(|_| random.below(vocab) as u32).collect();
    (0..count)
        .map(|i| {
            let len = 1 + random.below(most);
            // Some begin alike.
            let mut prompt: Vec<u32> = (0..len).map(|_| random.below(vocab) as u32).collect();
            if i % 3 == 0 {
                let alike = len * 3 / 4;
                prompt[..alike].copy_from_slice(&shared[..alike]);
            }
            Plan { prompt, answer: (0..8).map(|_| random.below(vocab) as u32).collect() }
        })
        .collect()
}

/// Logits after the prompt and after each token of the answer, of one text that has the machine to itself.
fn alone(decoder: &Decoder, plan: &Plan) -> Vec<Vec<u32>> {
    let mut cache = decoder.cache();
    let mut all = vec![bits(&decoder.read(&mut cache, &plan.prompt).expect("prompt"))];
    for id in &plan.answer {
        all.push(bits(&decoder.forward(&mut cache, &[*id], Want::Last).expect("token")));
    }
    all
}

struct Running<'a> {
    plan: usize,
    cache: Cache,
    left: &'a [u32],
    answer: &'a [u32],
    seen: Vec<Vec<u32>>,
}

/// The same of many texts that come and go at random, in chunks of random length.
fn crowd(decoder: &Decoder, plans: &[Plan], seed: u64) -> Vec<Vec<Vec<u32>>> {
    let mut random = Random(seed);
    let mut waiting: Vec<usize> = (0..plans.len()).collect();
    let mut running: Vec<Running<'_>> = Vec::new();
    let mut done: Vec<Vec<Vec<u32>>> = vec![Vec::new(); plans.len()];
    while !waiting.is_empty() || !running.is_empty() {
        while !waiting.is_empty() && (running.is_empty() || random.below(3) > 0) {
            let plan = waiting.swap_remove(random.below(waiting.len()));
            let Plan { prompt, answer } = &plans[plan];
            let Admission::Ready(cache) = decoder.admit(prompt, prompt.len() + answer.len(), 0) else { break };
            let left = &prompt[cache.len()..];
            running.push(Running { plan, cache, left, answer, seen: Vec::new() });
        }
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut took: Vec<usize> = Vec::new();
        for text in &mut running {
            let count = if text.left.is_empty() { 1 } else { random.below(text.left.len().min(40)) + 1 };
            let ids = if text.left.is_empty() { &text.answer[..1] } else { &text.left[..count] };
            let want = if text.left.len() > count { Want::Nothing } else { Want::Last };
            parts.push(Part { cache: &mut text.cache, ids, want });
            took.push(count);
        }
        let logits = decoder.step(&mut parts);
        for ((text, count), given) in running.iter_mut().zip(took).zip(logits.parts()) {
            let given = given.expect("a part");
            match text.left.is_empty() {
                true => text.answer = &text.answer[1..],
                false => text.left = &text.left[count..],
            }
            if !given.is_empty() {
                text.seen.push(bits(given));
            }
        }
        running.retain_mut(|text| {
            let is_over = text.left.is_empty() && text.answer.is_empty();
            if is_over {
                done[text.plan] = std::mem::take(&mut text.seen);
            }
            !is_over
        });
    }
    done
}

#[test]
fn decoders_give_the_same_bits_alone_and_among_many() {
    for name in FAMILIES {
        for isa in Isa::available() {
            for precision in PRECISIONS {
                let one = decoder_on(name, isa, precision, 1);
                let plans = plans(one.config().vocab, one.config().context, 13);
                let want: Vec<_> = plans.iter().map(|plan| alone(&one, plan)).collect();
                for threads in [1, 3] {
                    let many = decoder_on(name, isa, precision, threads);
                    let got = crowd(&many, &plans, 11 + threads as u64);
                    for (text, (got, want)) in got.iter().zip(&want).enumerate() {
                        assert!(got == want, "{name} {isa:?} {precision:?}, {threads} threads, text {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_part_that_cannot_be_read_does_not_touch_the_others() {
    let decoder = decoder_on("decoder-llama", Isa::detect(), Precision::Own, 2);
    let vocab = decoder.config().vocab as u32;
    let (mut good, mut bad, mut none, mut other) = (
        decoder.cache(),
        decoder.cache(),
        decoder.cache(),
        decoder_on("decoder-llama", Isa::detect(), Precision::Own, 1).cache(),
    );
    let part = |cache, ids| Part { cache, ids, want: Want::Last };
    let wrong = [1, vocab];
    let mut parts = [part(&mut bad, &wrong), part(&mut good, &[1, 2, 3]), part(&mut none, &[]), part(&mut other, &[1])];
    let logits = decoder.step(&mut parts);
    let given: Vec<Result<Vec<f32>, String>> =
        logits.parts().map(|p| p.map(<[f32]>::to_vec).map_err(ToString::to_string)).collect();
    assert!(given[0].as_ref().is_err_and(|e| e.contains("vocabulary")), "{:?}", given[0]);
    assert!(given[2].is_err() && given[3].as_ref().is_err_and(|e| e.contains("another model")));
    assert_eq!((good.len(), bad.len()), (3, 0));
    let want = decoder.read(&mut decoder.cache(), &[1, 2, 3]).expect("alone");
    assert_eq!(bits(given[1].as_ref().expect("good")), bits(&want));
}

fn encoder(isa: Isa, precision: Precision, threads: usize) -> Encoder {
    let entry = ModelEntry::open(&fixture("bert-tiny")).expect("checkpoint folder");
    let config = Config::from_json(&entry.read_config().expect("config.json")).expect("config");
    let weights = Weights::open(&entry.weights).expect("weights");
    let source = super::precisions::layered(&entry, &weights, precision);
    Encoder::load(config, HeadKind::Classify, &source, cpu(isa, threads, precision), &mut |_| Ok(())).expect("model")
}

#[test]
fn encoders_give_the_same_bits_alone_and_among_many() {
    let texts: Vec<Text> = texts("bert-tiny");
    for isa in Isa::available() {
        for precision in PRECISIONS {
            let one = encoder(isa, precision, 1);
            let want: Vec<_> =
                texts.iter().map(|t| bits(&one.outputs(&[Sequence::new(&t.ids)]).expect("alone")[0])).collect();
            for threads in [1, 2, 3] {
                let many = encoder(isa, precision, threads);
                for copies in [1, 2, 30] {
                    let batch: Vec<_> =
                        (0..copies).flat_map(|c| texts.iter().cycle().skip(c).take(texts.len())).collect();
                    let sequences: Vec<_> = batch.iter().map(|t| Sequence::new(&t.ids)).collect();
                    let got = many.outputs(&sequences).expect("together");
                    for (i, row) in got.iter().enumerate() {
                        let text = (i / texts.len() + i % texts.len()) % texts.len();
                        assert!(bits(row) == want[text], "{isa:?} {precision:?}, {threads} threads, {copies} copies");
                    }
                }
            }
        }
    }
}

#[test]
fn encoder_decoders_give_the_same_bits_alone_and_among_many() {
    for name in ["seq2seq-marian", "seq2seq-t5-gated"] {
        for isa in Isa::available() {
            for precision in PRECISIONS {
                let mut random = Random(3);
                let one = encoder_decoder_on(name, isa, precision, 1);
                let sources: Vec<Vec<u32>> =
                    (0..9).map(|_| (0..1 + random.below(40)).map(|_| 4 + random.below(60) as u32).collect()).collect();
                let answers: Vec<Vec<u32>> =
                    (0..9).map(|_| (0..1 + random.below(7)).map(|_| 4 + random.below(60) as u32).collect()).collect();
                let alone = |at: usize| {
                    let source = &one.encode(&[&sources[at]]).expect("source")[0];
                    let mut memory = one.memory();
                    let next = Next::Forced(&answers[at]);
                    bits(&one.step(&mut [Strand { source, memory: &mut memory, next }]).expect("step"))
                };
                let want: Vec<Vec<u32>> = (0..9).map(alone).collect();
                for threads in [1, 2, 3] {
                    let many = encoder_decoder_on(name, isa, precision, threads);
                    let all = many.encode(&sources.iter().map(Vec::as_slice).collect::<Vec<_>>()).expect("sources");
                    let mut memories: Vec<_> = all.iter().map(|_| many.memory()).collect();
                    let each = all.iter().zip(&mut memories).zip(&answers);
                    let mut strands: Vec<_> = each
                        .map(|((source, memory), answer)| Strand { source, memory, next: Next::Forced(answer) })
                        .collect();
                    let got = bits(&many.step(&mut strands).expect("step"));
                    assert!(got == want.concat(), "{name} {isa:?} {precision:?}, {threads} threads");
                }
            }
        }
    }
}
