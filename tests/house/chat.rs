//! Language models through the engine and the command line: streams, stops, limits, caches.

use crate::cli::{glossa, stderr, stdout};
use crate::fake::fixture;
use glossa::engine::message::{ClientId, Event, EventSink, Events, Priority, Report, Request};
use glossa::engine::{Engine, EngineConfig, Ticket};
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{FinishReason, Generated, Input, Message, Sampling, WritingOptions};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// A text that even a very small model goes on with rightly.
const DAYS: &str = "The days of the week are Monday, Tuesday,";

fn engine(context: Option<usize>) -> Engine {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut config = EngineConfig::new(Library::find(Some(&models)));
    config.device = DeviceChoice::Cpu;
    config.cache = None;
    config.context = context;
    Engine::start(config).expect("engine")
}

fn submit(engine: &Engine, task: &'static str, input: Input, options: WritingOptions) -> (Ticket, Events) {
    let (sink, events) = EventSink::channel(None);
    let request = Request {
        task,
        model: None,
        inputs: vec![input],
        options: options.into(),
        priority: Priority::Interactive,
        client: ClientId::default(),
    };
    (engine.submit(request, sink).expect("taken"), events)
}

struct Run {
    streamed: String,
    whole: Option<Generated>,
    report: Option<Report>,
    end: Event,
}

fn finish(events: &Events) -> Run {
    let (mut streamed, mut whole) = (String::new(), None);
    let end = glossa::engine::wait_for_end(events, |event| {
        if let Event::Partial { partial, .. } = event {
            streamed.push_str(&partial.text);
        }
        if let Some(text) = event.first_answer().and_then(|o| o.text()) {
            whole = Some(text.clone());
        }
    });
    let end = end.expect("an end");
    let report = match &end {
        Event::Done { report, .. } | Event::Cancelled { report, .. } => Some(report.clone()),
        _ => None,
    };
    Run { streamed, whole, report, end }
}

fn greedy(max_tokens: usize) -> WritingOptions {
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    WritingOptions { sampling, max_tokens, ..WritingOptions::default() }
}

fn chat(engine: &Engine, messages: Vec<Message>, options: WritingOptions) -> Run {
    finish(&submit(engine, "chat", Input::Chat(messages), options).1)
}

#[test]
fn a_conversation_streams_and_reads_only_what_is_new() {
    let engine = engine(None);
    let mut talk = vec![Message::user("How does a battery work? Answer in one sentence.")];
    let first = chat(&engine, talk.clone(), greedy(40));
    let answer = first.whole.expect("an answer");
    assert_eq!(first.streamed, answer.text, "what streamed is what was written");
    assert!(answer.text.to_lowercase().contains("batter"), "{}", answer.text);
    assert_eq!((answer.prompt.cached, answer.prompt.dropped), (0, 0));
    let report = first.report.expect("report");
    assert!(report.timing.ttft > 0.0 && report.timing.prefill > 0.0 && report.timing.decode > 0.0);
    assert_eq!(report.generated, answer.token_ids.len());
    talk.push(Message::assistant(answer.text));
    talk.push(Message::user("Why?"));
    let second = chat(&engine, talk, greedy(8)).whole.expect("an answer");
    assert!(second.prompt.cached + 16 > second.prompt.tokens, "{:?}", second.prompt);
    assert!(second.prompt.cached > 50);
    // Both tasks use one model in memory, and a text is continued without a template.
    let text = finish(&submit(&engine, "generate", DAYS.into(), greedy(4)).1);
    assert!(text.whole.expect("a text").text.starts_with(" Wednesday, Thursday"));
}

#[test]
fn the_same_seed_gives_the_same_text_and_another_seed_another() {
    let engine = engine(None);
    let seeded = |seed| WritingOptions {
        sampling: Sampling { temperature: 1.0, seed: Some(seed), ..Sampling::default() },
        max_tokens: 24,
        ..WritingOptions::default()
    };
    let write =
        |seed| finish(&submit(&engine, "generate", "Once upon a time".into(), seeded(seed)).1).whole.expect("text");
    let (a, b, c) = (write(7), write(7), write(8));
    assert_eq!(a.token_ids, b.token_ids);
    assert_ne!(a.token_ids, c.token_ids);
    assert_eq!((a.seed, a.finish_reason), (7, FinishReason::Length));
    // Going on from given tokens is going on from the text.
    let forced = Input::Forced { text: "Once upon a time".into(), ids: a.token_ids[..5].to_vec() };
    let rest = finish(&submit(&engine, "generate", forced, greedy(4)).1).whole.expect("text");
    assert_eq!(rest.prompt.tokens, a.prompt.tokens + 5);
}

#[test]
fn stop_strings_end_a_text_and_are_no_part_of_it() {
    let engine = engine(None);
    let free = finish(&submit(&engine, "generate", "The days are Monday, Tuesday,".into(), greedy(16)).1);
    let text = free.whole.expect("text").text;
    assert!(text.contains("Thursday"), "{text}");
    let options = WritingOptions { stop: vec!["Thurs".into(), "never".into()], ..greedy(16) };
    let cut = finish(&submit(&engine, "generate", "The days are Monday, Tuesday,".into(), options).1);
    let whole = cut.whole.expect("text");
    assert_eq!(whole.text, text[..text.find("Thurs").expect("there")]);
    assert_eq!(cut.streamed, whole.text, "no part of the stop string was shown");
    assert_eq!(whole.finish_reason, FinishReason::Stop);
}

#[test]
fn candidates_come_with_every_token() {
    let engine = engine(None);
    let run = finish(
        &submit(&engine, "generate", "The capital of France is".into(), WritingOptions { candidates: 10, ..greedy(3) })
            .1,
    );
    for step in run.whole.expect("text").steps {
        assert_eq!(step.top.len(), 10);
        assert_eq!(step.top[0].0, step.id, "greedy takes the likeliest");
        assert!(
            step.top.windows(2).all(|w| w[0].2 >= w[1].2) && step.top.iter().map(|c| c.2).sum::<f64>() <= 1.0 + 1e-9
        );
        assert!(step.entropy > 0.0 && step.probability > 0.0);
    }
}

#[test]
fn cancelling_takes_effect_while_reading_and_while_writing() {
    let engine = engine(None);
    chat(&engine, vec![Message::user("Hello")], greedy(1));
    let long = "All work and no play makes Jack a dull boy. ".repeat(330);
    for (input, wait) in [(Input::Text(long), false), (Input::Text("Count: 1, 2, 3,".into()), true)] {
        let (ticket, events) = submit(&engine, "generate", input, greedy(3_000));
        if wait {
            while !matches!(events.recv().expect("event"), Event::Partial { .. }) {}
        } else {
            std::thread::sleep(Duration::from_millis(300));
        }
        ticket.cancel.cancel();
        let begun = Instant::now();
        let run = finish(&events);
        assert!(matches!(run.end, Event::Cancelled { .. }), "{:?}", run.end);
        assert!(begun.elapsed() < Duration::from_secs(5), "one step of at most 64 tokens");
        assert_eq!(run.report.expect("report").generated > 0, wait);
    }
    // The keys and values of the cancelled text are right, or gone: the next answer is as ever.
    let text = finish(&submit(&engine, "generate", DAYS.into(), greedy(4)).1);
    assert!(text.whole.expect("a text").text.starts_with(" Wednesday, Thursday"));
}

#[test]
fn a_full_context_leaves_the_oldest_turns_out_and_says_so() {
    let engine = engine(Some(300));
    let mut talk = vec![Message::system("Be brief.")];
    for i in 0..12 {
        talk.push(Message::user(format!("Question number {i}: what do you think about the weather in the month {i}?")));
        talk.push(Message::assistant(format!(
            "In the month {i} the weather is often mild and sometimes it rains a little."
        )));
    }
    talk.push(Message::user("And today?"));
    let run = chat(&engine, talk.clone(), greedy(8));
    let whole = run.whole.expect("an answer");
    assert!(whole.prompt.dropped > 0 && whole.prompt.dropped.is_multiple_of(2), "{:?}", whole.prompt);
    assert!(whole.prompt.tokens < 300 && whole.prompt.context == 300);
    assert!(run.report.expect("report").warnings.iter().any(|w| w.contains("left out")));
    // A single message that is longer than everything is refused, and the engine goes on.
    let run = chat(&engine, vec![Message::user("word ".repeat(400))], greedy(8));
    assert!(
        matches!(&run.end, Event::Failed { message, .. } if message.why.contains("more than the context of 300")),
        "{:?}",
        run.end
    );
    // A text that runs into the end of the context ends there.
    let run = finish(&submit(&engine, "generate", Input::Text("one two three ".repeat(70)), greedy(500)).1);
    let reason = run.whole.expect("text").finish_reason;
    assert!(matches!(reason, FinishReason::Context | FinishReason::Repetition | FinishReason::Stop), "{reason:?}");
}

#[test]
fn going_round_in_circles_is_noticed() {
    let engine = engine(None);
    let text = "ha ha ha ha ".repeat(40);
    let run = finish(&submit(&engine, "generate", Input::Text(text), greedy(600)).1);
    assert_eq!(run.whole.expect("text").finish_reason, FinishReason::Repetition);
    assert!(run.report.expect("report").warnings[0].contains("circles"));
}

#[test]
fn emoji_and_scripts_stream_as_whole_characters() {
    let engine = engine(None);
    let input = Input::Text("Smileys: 🙂 🙃 🙂 🙃 🙂 🙃 🙂 🙃 🙂".into());
    let (_, events) = submit(&engine, "generate", input, greedy(24));
    let mut pieces = Vec::new();
    glossa::engine::wait_for_end(&events, |event| {
        if let Event::Partial { partial, .. } = event {
            pieces.push(partial.text.clone());
        }
    });
    assert!(pieces.iter().all(|p| !p.contains('\u{FFFD}')), "{pieces:?}");
    assert!(pieces.concat().contains('🙃'), "{pieces:?}");
}

fn json(args: &[&str]) -> Value {
    let output = glossa(args, None);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("json")
}

#[test]
fn the_command_line_gives_the_promised_fields() {
    let line =
        json(&["run", "chat", "--json", "--temperature", "0", "--max-tokens", "12", "What is the capital of France?"]);
    assert_eq!(line["task"], "chat");
    assert!(line["output"]["text"].as_str().is_some_and(|t| t.contains("Paris")), "{line}");
    let ids = line["output"]["token_ids"].as_array().expect("ids").len();
    assert_eq!(line["tokens"]["output"], ids);
    assert!(["stop", "length"].contains(&line["output"]["finish_reason"].as_str().expect("reason")));
    for stage in ["queue", "prefill", "decode", "ttft", "total"] {
        assert!(line["timing_ms"][stage].is_f64(), "{stage}");
    }
    assert!(line["tokens"]["input"].is_u64() && line["tokens"]["cached"].is_u64());
    let system =
        json(&["run", "chat", "--json", "--temperature", "0", "--max-tokens", "2", "--system", "Be brief.", "Hi"]);
    let without = json(&["run", "chat", "--json", "--temperature", "0", "--max-tokens", "2", "Hi"]);
    assert!(
        system["tokens"]["input"].as_u64() < without["tokens"]["input"].as_u64(),
        "the template's own default is longer"
    );
    assert_eq!(glossa(&["run", "chat", "--top-p", "2", "x"], None).status.code(), Some(2));
}

#[test]
fn texts_are_cut_by_any_models_tokenizer() {
    let line = json(&["tokenize", "--json", "Hi 🙂 there 42"]);
    assert_eq!(line["ids"].as_array().expect("ids").len(), line["offsets"].as_array().expect("offsets").len());
    assert_eq!(line["offsets"][0], serde_json::json!([0, 2]));
    let last = line["offsets"].as_array().expect("offsets").last().expect("one");
    assert_eq!(last[1], 13, "Unicode scalar values, not bytes");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("texts.jsonl");
    std::fs::write(&file, "{\"text\": \"a good film\"}\n{\"text\": \"bad\"}\n").expect("file");
    let file = file.display().to_string();
    let plain = glossa(&["tokenize", "--model", "sentiment-minilm", "--json", "--input", &file], None);
    assert_eq!(stdout(&plain).lines().count(), 2, "{}", stderr(&plain));
    let special = json(&["tokenize", "--model", "sentiment-minilm", "--json", "--special", "bad"]);
    assert_eq!(special["pieces"], serde_json::json!(["[CLS]", "bad", "[SEP]"]));
    assert_eq!(special["offsets"][2], serde_json::json!([3, 3]));
}

#[test]
fn a_terminal_conversation_from_a_pipe() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("talk.md").display().to_string();
    let lines = format!("What is the capital of France?\n/save {file}\n/reset\n/nonsense\n/quit\n");
    let output = glossa(&["chat", "--temperature", "0", "--max-tokens", "12"], Some(lines.as_bytes()));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("Paris"));
    let saved = std::fs::read_to_string(&file).expect("saved");
    assert!(saved.contains("**You**") && saved.contains("Paris"), "{saved}");
    assert!(stderr(&output).contains("no command /nonsense"));
}

#[test]
fn gpt2_answers_from_a_folder_and_perplexity_is_measured() {
    let model = fixture("decoder-gpt2").display().to_string();
    let line =
        json(&["run", "chat", "--json", "--model", &model, "--temperature", "0", "--max-tokens", "5", "the thin man"]);
    assert!(line["output"]["token_ids"].as_array().is_some_and(|ids| !ids.is_empty()), "{line}");
    let folder = tempfile::tempdir().expect("folder");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "The city was founded in the ninth century by a king. ".repeat(8)).expect("text");
    let text = text.display().to_string();
    let p = json(&["eval", "perplexity", "--data", &text, "--window", "32", "--json"]);
    let (tokens, scored) = (p["tokens"].as_u64().expect("n"), p["scored"].as_u64().expect("n"));
    assert_eq!(scored, tokens - tokens.div_ceil(32));
    assert!(p["perplexity"].as_f64().is_some_and(|x| x > 1.0 && x < 60.0), "{p}");
    let table = json(&[
        "bench",
        "chat",
        "--model",
        &fixture("decoder-llama").join("model.gguf").display().to_string(),
        "--seconds",
        "0",
        "--json",
    ]);
    assert!(table["decode"]["tokens_per_second"].as_f64().is_some_and(|r| r > 0.0));
}
