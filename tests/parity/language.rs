//! The shipped chat model and chat templates against what llama.cpp and `transformers` say of them.
//! `make_language.py` beside this file made tests/fixtures/language.json.

use super::decoders::best;
use super::{cpu, fixture};
use glossa::models::gguf::Gguf;
use glossa::models::template::{Message, Role, Template};
use glossa::nn::decoder::config::Config;
use glossa::nn::decoder::{Decoder, Want};
use glossa::nn::kernels::Isa;
use glossa::nn::precision::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<Tokens>,
    families: BTreeMap<String, Vec<Tokens>>,
    greedy: Vec<Greedy>,
    templates: Vec<Rendered>,
}

#[derive(Deserialize)]
struct Tokens {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Greedy {
    prompt: String,
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Rendered {
    name: String,
    source: String,
    turns: Vec<(String, String)>,
    text: Option<String>,
}

fn expected() -> Expected {
    let text = std::fs::read_to_string(fixture("language.json")).expect("language.json");
    serde_json::from_str(&text).expect("fixture")
}

fn shipped() -> Gguf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf");
    Gguf::open(&path).expect("the shipped model")
}

#[test]
fn two_hundred_strings_have_the_ids_that_llama_cpp_gives_them() {
    let codec = shipped().codec().expect("tokenizer");
    let cases = expected().tokens;
    assert_eq!(cases.len(), 200);
    for case in cases {
        assert_eq!(codec.encode(&case.text, false).expect("ids"), case.ids, "{:?}", case.text);
    }
}

#[test]
fn tokenizers_of_every_kind_agree_with_llama_cpp() {
    let mut wrong = Vec::new();
    for (family, cases) in expected().families {
        let path = fixture(&format!("decoder-{family}")).join("model.gguf");
        let codec = Gguf::open(&path).and_then(|f| f.codec()).expect("tokenizer");
        for case in cases {
            let ids = codec.encode(&case.text, false).expect("ids");
            // Qwen's own tokenizer composes letters and accents first (NFC), llama.cpp does not.
            if ids != case.ids && !(family == "qwen2" && case.text.contains('\u{301}')) {
                wrong.push(format!("{family} {:?}: {ids:?} {:?}", case.text, case.ids));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
}

/// Words that spell marks stay words, whoever says them: token for token as transformers reads them with
/// `split_special_tokens` between the template's own marks.
#[test]
fn typed_marks_are_no_marks() {
    #[derive(Deserialize)]
    struct Typed {
        system: Option<String>,
        user: String,
        ids: Vec<u32>,
    }
    let text = std::fs::read_to_string(fixture("turns.json")).expect("turns.json");
    let cases: Vec<Typed> = serde_json::from_str(&text).expect("cases");
    let codec = shipped().codec().expect("tokenizer");
    for case in cases {
        let told = case.system.iter().map(Message::system);
        let messages: Vec<Message> = told.chain([Message::user(&case.user)]).collect();
        let prompt = codec.prompt(&messages).expect("prompt");
        assert_eq!(prompt.ids, case.ids, "{:?}", case.user);
        assert!(prompt.notes.is_empty());
        let both = codec.plain_tokens(&case.user, false).expect("tokens");
        assert_eq!(both.is_some(), case.user.contains("<|"), "two readings where there are two");
    }
}

#[test]
fn greedy_text_is_that_of_float32() {
    let file = shipped();
    let codec = file.codec().expect("tokenizer");
    // Plain Rust is right too (the tiny models show it), but slow.
    for isa in Isa::available().into_iter().filter(|isa| *isa != Isa::Portable) {
        let config = Config::from_metadata(&file, file.vocabulary()).expect("config");
        let target = cpu(isa, 2, Precision::F32);
        let decoder = Decoder::load(config, &file, target, &mut |_| Ok(())).expect("model");
        for case in expected().greedy {
            let prompt = codec.prompt(&[Message::user(&case.prompt)]).expect("prompt").ids;
            assert_eq!(prompt, case.prompt_ids, "the chat template makes the same prompt");
            let mut cache = decoder.cache();
            let mut logits = decoder.read(&mut cache, &prompt).expect("forward");
            for (i, id) in case.ids.iter().enumerate() {
                assert_eq!(best(&logits), *id, "{isa:?} {:?}, token {i}", case.prompt);
                logits = decoder.forward(&mut cache, &[*id], Want::Last).expect("forward");
            }
        }
    }
}

#[test]
fn templates_render_as_transformers_renders_them() {
    for case in expected().templates {
        let template = Template::new(&case.source, "<s>", "</s>").expect(&case.name);
        let message = |(role, content): &(String, String)| {
            let role = match role.as_str() {
                "system" => Role::System,
                "user" => Role::User,
                _ => Role::Assistant,
            };
            Message { role, content: content.clone() }
        };
        let messages: Vec<Message> = case.turns.iter().map(message).collect();
        let got = template.render(&messages);
        match case.text {
            Some(text) => assert_eq!(got.expect(&case.name), text, "{}", case.name),
            None => assert!(got.is_err(), "{} refuses this", case.name),
        }
    }
}
