//! Translation and abstractive summaries on tiny checkpoints: streaming, batches, Stop, structure, bad
//! input, and what the command line promises.

use crate::cli::{self, stderr, stdout};
use glossa::engine::message::{Event, EventSink, Priority};
use glossa::engine::{Engine, EngineConfig, wait_for_end};
use glossa::error::UserMessage;
use glossa::labs::measure::Query;
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{Input, Options, Output, SearchOptions, Structure, TranslateOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn glossa(args: &[&str]) -> std::process::Output {
    cli::glossa(args, None)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn engine() -> Engine {
    let mut config = EngineConfig::new(Library::find(Some(&fixture(""))));
    config.device = DeviceChoice::Cpu;
    config.threads = Some(2);
    config.cache = None;
    Engine::start(config).expect("engine")
}

/// Short searches: the tiny models seldom end by themselves.
fn options() -> Options {
    with(linked())
}

fn with(translate: TranslateOptions) -> Options {
    let search = SearchOptions { beams: 2, max_tokens: 12, ..SearchOptions::default() };
    Options { search, translate, ..Options::default() }
}

fn linked() -> TranslateOptions {
    TranslateOptions { align: true, ..TranslateOptions::default() }
}

fn ask(task: &'static str, model: &Path, text: &str, options: &Options) -> Result<Output, UserMessage> {
    let model = model.display().to_string();
    let query = Query { task, model: Some(&model), options };
    query.ask(&engine(), Input::Text(text.to_owned())).map(|a| a.0)
}

fn marian() -> PathBuf {
    fixture("seq2seq-marian")
}

#[test]
fn every_sentence_has_its_twin_and_links_point_at_words() {
    let text = "The train leaves. \n\n He said: “I don't know.”\tYes. 🙂 12:30";
    let output = ask("translate", &marian(), text, &options()).expect("translation");
    let t = output.translation().expect("shape");
    let sources: Vec<&str> = t.sentences.iter().map(|s| &text[s.source.clone()]).collect();
    assert!(sources.contains(&"The train leaves.") && sources.contains(&"Yes."), "{sources:?}");
    let mut before = 0;
    for sentence in &t.sentences {
        assert!(sentence.target.start >= before && t.text.is_char_boundary(sentence.target.end));
        before = sentence.target.end;
        let said = &t.text[sentence.target.clone()];
        assert_eq!(said, sentence.rewritten.alternatives[0].text);
        for link in &sentence.rewritten.links {
            assert!(!text[link.source.clone()].trim().is_empty() && !said[link.target.clone()].contains(' '));
            assert!(link.source.start >= sentence.source.start && link.source.end <= sentence.source.end);
        }
    }
    // What stood between the sentences stands there still.
    assert!(t.text.contains(" \n\n ") && t.text.contains("12:30"), "{:?}", t.text);
}

#[test]
fn a_document_keeps_its_structure() {
    let text = "# A title\n\n- an item\n- `code` stays\n\n```\nlet x = 1;\n```\n";
    let options = with(TranslateOptions { structure: Structure::Markdown, ..linked() });
    let output = ask("translate", &marian(), text, &options).expect("translation");
    let out = &output.translation().expect("shape").text;
    assert!(
        out.starts_with("# ")
            && out.contains("\n- ")
            && out.contains("`code`")
            && out.contains("```\nlet x = 1;\n```\n"),
        "{out}"
    );
    let text = "1\n00:00:01,000 --> 00:00:02,000\n<i>Yes.</i>\n";
    let options = with(TranslateOptions { structure: Structure::Srt, ..linked() });
    let output = ask("translate", &marian(), text, &options).expect("translation");
    let out = &output.translation().expect("shape").text;
    assert!(out.starts_with("1\n00:00:01,000 --> 00:00:02,000\n<i>") && out.ends_with("</i>\n"), "{out}");
}

#[test]
fn many_texts_share_steps_and_each_gets_its_own_answer() {
    let (engine, options) = (engine(), with(TranslateOptions::default()));
    let model = marian().display().to_string();
    let query = Query { task: "translate", model: Some(&model), options: &options };
    let words = ["Yes.", "The train leaves.", "Good morning, everyone!", "We have time for a coffee.", "the cat sat"];
    let inputs: Vec<Input> = (0..60).map(|i| Input::from(words[i % words.len()])).collect();
    let (outputs, report) = query.ask_all(&engine, inputs, Priority::Batch, |_, _| {}).expect("answers");
    assert!(report.batch > 20, "only {} in one step", report.batch);
    let text = |o: &Result<Output, UserMessage>| o.as_ref().expect("output").translation().expect("shape").text.clone();
    for (i, output) in outputs.iter().enumerate() {
        assert_eq!(text(output), text(&outputs[i % words.len()]));
    }
    let alone = query.ask(&engine, "We have time for a coffee.".into()).expect("answer").0;
    assert_eq!(alone.translation().expect("shape").text, text(&outputs[3]));
}

#[test]
fn what_streams_only_grows_and_ends_in_the_answer() {
    let engine = engine();
    let model = marian().display().to_string();
    let options = options();
    let query = Query { task: "translate", model: Some(&model), options: &options };
    let (sink, events) = EventSink::channel(None);
    let input = Input::from("Good morning, everyone! We have time for a coffee.");
    engine.submit(query.request(vec![input], Priority::Interactive), sink).expect("submitted");
    let (mut seen, mut answer) = (vec![String::new(); 2], None);
    let end = wait_for_end(&events, |event| match event {
        Event::Partial { partial, .. } => {
            for (index, text) in &partial.passages {
                assert!(
                    text.starts_with(seen[*index].trim_end()) || seen[*index].is_empty(),
                    "{text:?} after {:?}",
                    seen[*index]
                );
                seen[*index].clone_from(text);
            }
        }
        Event::Items { items, .. } => answer = items[0].1.clone().ok(),
        _ => {}
    });
    let Some(Event::Done { report, .. }) = end else { panic!("{end:?}") };
    assert!(report.generated > 0 && report.timing.ttft > 0.0);
    let answer = answer.expect("answer");
    for (sentence, text) in answer.translation().expect("shape").sentences.iter().zip(&seen) {
        assert_eq!(&sentence.rewritten.alternatives[0].text, text);
    }
}

#[test]
fn stop_takes_effect_within_a_step() {
    let engine = engine();
    let model = marian().display().to_string();
    let search = SearchOptions { beams: 8, min_tokens: 70, max_tokens: 79, ..SearchOptions::default() };
    let options = Options { search, ..Options::default() };
    let query = Query { task: "translate", model: Some(&model), options: &options };
    let (sink, events) = EventSink::channel(None);
    let text = "We have time for a coffee. ".repeat(2_000);
    let ticket = engine.submit(query.request(vec![text.into()], Priority::Interactive), sink).expect("submitted");
    let (mut steps, mut waiting) = (0, 0);
    let end = wait_for_end(&events, |event| {
        if let Event::Partial { .. } = event {
            if steps == 0 {
                ticket.cancel.cancel();
                // Sent before the worker could know; a busy machine lets this thread wait.
                waiting = events.len();
            }
            steps += 1;
        }
    });
    assert!(matches!(end, Some(Event::Cancelled { .. })), "{end:?}");
    assert!(steps <= 2 + waiting, "{steps} steps, {waiting} of them before Stop");
}

#[test]
fn bad_input_gets_a_clear_message_or_a_bounded_result() {
    let said = |r: Result<Output, UserMessage>| r.expect_err("an error").to_string();
    assert!(said(ask("translate", &marian(), " \n\t", &options())).contains("empty"));
    // One word of 10,000 letters: in parts that the model can read.
    let word = "a".repeat(10_000);
    let output = ask("translate", &marian(), &word, &options()).expect("bounded");
    let t = output.translation().expect("shape");
    assert!(t.sentences.len() > 1 && t.tokens <= 12 * t.sentences.len());
    // A decoder that never ends is cut, and it is said.
    let search = SearchOptions { beams: 1, min_tokens: 100_000, ..SearchOptions::default() };
    let output = ask("translate", &marian(), "Yes.", &Options { search, ..Options::default() }).expect("bounded");
    assert!(output.warnings().iter().any(|w| w.contains("greatest length")), "{:?}", output.warnings());
    // Languages that the model does not have.
    let pair = with(TranslateOptions { to: "de".into(), ..linked() });
    assert!(said(ask("translate", &marian(), "Yes.", &pair)).contains("fra"));
    let t5 = with(TranslateOptions { to: "zz".into(), ..linked() });
    assert!(said(ask("translate", &fixture("seq2seq-t5"), "Yes.", &t5)).contains("'zz'"));
    // Models of another kind.
    assert!(said(ask("abstractive", &marian(), "Yes.", &options())).contains("T5"));
    assert!(said(ask("translate", &fixture("bert-tiny"), "Yes.", &options())).contains("'bert'"));
}

/// The tiny Marian with one file changed.
fn damaged(name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("folder");
    for file in std::fs::read_dir(marian()).expect("fixture").flatten() {
        std::fs::copy(file.path(), dir.path().join(file.file_name())).expect("copy");
    }
    let path = dir.path().join(name);
    let bytes = change(std::fs::read(&path).expect("file"));
    std::fs::write(&path, bytes).expect("file");
    let at = dir.path().to_owned();
    (dir, at)
}

#[test]
fn damaged_files_are_named() {
    let said = |at: &Path| ask("translate", at, "Yes.", &options()).expect_err("an error").to_string();
    let (_dir, at) = damaged("source.spm", |b| b[..b.len() / 2].to_vec());
    let message = said(&at);
    assert!(message.contains("source.spm") && message.contains("cut short"), "{message}");
    let (_dir, at) = damaged("target.spm", |_| b"not a model".to_vec());
    assert!(said(&at).contains("target.spm"));
    let (_dir, at) = damaged("vocab.json", |b| {
        let mut json: serde_json::Map<String, Value> = serde_json::from_slice(&b).expect("json");
        json.insert("more".into(), 999.into());
        serde_json::to_vec(&json).expect("json")
    });
    let message = said(&at);
    assert!(message.contains("vocab.json") && message.contains("999"), "{message}");
    let (_dir, at) = damaged("model.safetensors", |b| b[..b.len() - 100].to_vec());
    assert!(said(&at).contains("truncated"));
    let (dir, at) = damaged("vocab.json", |b| b);
    std::fs::remove_file(dir.path().join("target.spm")).expect("removed");
    assert!(said(&at).contains("target.spm"));
}

#[test]
fn a_long_text_is_summarized_in_parts_and_once_more() {
    let text = "We have time for a coffee and the train leaves at half past seven. ".repeat(120);
    let search = SearchOptions { beams: 2, max_tokens: 20, ..SearchOptions::default() };
    let output =
        ask("abstractive", &fixture("seq2seq-t5"), &text, &Options { search, ..Options::default() }).expect("summary");
    let digest = output.digest().expect("shape");
    assert!(digest.reading.windows > 3 && digest.passes >= 2, "{digest:?}");
    assert!(digest.warnings()[0].contains("parts"));
    let short = ask("abstractive", &fixture("seq2seq-t5-gated"), "Yes.", &options()).expect("summary");
    assert_eq!(short.digest().expect("shape").passes, 1);
}

#[test]
fn the_command_line_prints_what_the_guide_promises() {
    let model = marian().display().to_string();
    let run = [
        "run",
        "translate",
        "The train leaves.",
        "--model",
        &model,
        "--json",
        "--beams",
        "3",
        "--n-best",
        "3",
        "--max-tokens",
        "10",
    ];
    let json: Value = serde_json::from_str(stdout(&glossa(&run)).trim()).expect("one line of JSON");
    let output = &json["output"];
    assert!(output["text"].is_string() && output["score"].is_f64() && output["alternatives"].is_array(), "{json}");
    assert!(output["alignment"].as_array().is_some_and(|a| !a.is_empty()), "{json}");
    assert!(json["tokens"]["output"].as_u64().is_some_and(|n| n > 0) && json["timing_ms"]["decode"].is_f64(), "{json}");
    let run = ["tokenize", "Yes, yes.", "--model", &model, "--special", "--json"];
    let json: Value = serde_json::from_str(stdout(&glossa(&run)).trim()).expect("one line of JSON");
    assert_eq!(json["pieces"].as_array().and_then(|p| p.last()), Some(&Value::from("</s>")), "{json}");
    let bad = glossa(&["run", "translate", "x", "--from", "en", "--to", "zz"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("zz") && stdout(&bad).is_empty(), "{}", stderr(&bad));
    assert_eq!(glossa(&["run", "translate", "x", "--beams", "0"]).status.code(), Some(2));
    let t5 = fixture("seq2seq-t5").display().to_string();
    let run =
        ["run", "summarize", "--method", "abstractive", "One. Two.", "--model", &t5, "--json", "--max-tokens", "8"];
    let json: Value = serde_json::from_str(stdout(&glossa(&run)).trim()).expect("one line of JSON");
    assert!(json["output"]["text"].is_string() && json["output"]["passes"] == 1, "{json}");
    let none = glossa(&["run", "summarize", "--method", "abstractive", "One. Two."]);
    assert!(stderr(&none).contains("abstractive"), "{}", stderr(&none));
}

#[test]
fn evaluations_and_benches_run_on_checkpoints() {
    let dir = tempfile::tempdir().expect("folder");
    let data = dir.path().join("pairs.tsv");
    std::fs::write(&data, "a\tYes.\tOui.\nb\tThe train leaves.\tLe train part.\na\tGood morning!\tBonjour !\n")
        .expect("file");
    let (data, model) = (data.display().to_string(), marian().display().to_string());
    let run = ["eval", "translate", "--data", &data, "--only", "a", "--model", &model, "--beams", "2", "--json"];
    let json: Value = serde_json::from_str(&stdout(&glossa(&run))).expect("JSON");
    assert!(json["n"] == 2 && json["bleu"].is_f64() && json["chrf_ci95"].is_array(), "{json}");
    let docs = dir.path().join("docs.jsonl");
    std::fs::write(&docs, "{\"sentences\": [\"One.\", \"Two.\"], \"summaries\": [\"One.\", \"Both.\"]}\n")
        .expect("file");
    let (docs, t5) = (docs.display().to_string(), fixture("seq2seq-t5").display().to_string());
    let run = ["eval", "summarize", "--method", "abstractive", "--data", &docs, "--model", &t5, "--json"];
    let json: Value = serde_json::from_str(&stdout(&glossa(&run))).expect("JSON");
    assert!(json["rouge1"].is_f64() && json["n"] == 1, "{json}");
    let run = [
        "bench",
        "translate",
        "--model",
        &model,
        "--batches",
        "2",
        "--beams",
        "1,2",
        "--tokens",
        "6",
        "--seconds",
        "0",
        "--json",
    ];
    let json: Value = serde_json::from_str(&stdout(&glossa(&run))).expect("JSON");
    assert_eq!(json["cells"].as_array().map(Vec::len), Some(2), "{json}");
}
