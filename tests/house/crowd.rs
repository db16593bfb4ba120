//! A real model in a crowd: the same answers, room for all, nothing left behind. The fixtures' weights are random and tiny;
//! what they write makes no sense and is exact.

use crate::fake::{copy, fixture};
use glossa::engine::message::{ClientId, Event, EventSink, Events, Priority, Request};
use glossa::engine::{Engine, EngineConfig, Ticket};
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{Generated, Input, Message, Options, Sampling, SearchOptions, WritingOptions};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn engine(threads: usize, context: Option<usize>) -> Engine {
    let mut config = EngineConfig::new(Library::find(Some(&fixture(""))));
    config.device = DeviceChoice::Cpu;
    config.threads = Some(threads);
    config.cache = None;
    config.context = context;
    Engine::start(config).expect("engine")
}

fn llama() -> String {
    fixture("decoder-llama").join("model.gguf").display().to_string()
}

fn send(engine: &Engine, model: &str, input: Input, options: Options) -> (Ticket, Events) {
    let (sink, events) = EventSink::channel(None);
    let task = if matches!(input, Input::Chat(_)) { "chat" } else { "generate" };
    let request = Request {
        task,
        model: Some(model.to_owned()),
        inputs: vec![input],
        options,
        priority: Priority::Interactive,
        client: ClientId::fresh(),
    };
    (engine.submit(request, sink).expect("taken"), events)
}

/// The answer, and what streamed of it; or what it failed with.
fn answer(events: &Events) -> Result<(Generated, String), String> {
    let (mut whole, mut streamed) = (None, String::new());
    let end = glossa::engine::wait_for_end(events, |event| {
        if let Event::Partial { partial, .. } = event {
            streamed.push_str(&partial.text);
        }
        if let Some(text) = event.first_answer().and_then(|o| o.text()) {
            whole = Some(text.clone());
        }
    });
    match end {
        Some(Event::Failed { message, .. }) => Err(message.to_string()),
        _ => whole.map(|text| (text, streamed)).ok_or_else(|| "no answer".to_owned()),
    }
}

fn written(max_tokens: usize, seed: u64, temperature: f32) -> Options {
    let sampling = Sampling { temperature, seed: Some(seed), ..Sampling::default() };
    WritingOptions { sampling, max_tokens, ..WritingOptions::default() }.into()
}

/// Question `at` of many: greedy, sampled and by beams; some begin alike; texts, conversations and given tokens.
fn question(at: usize) -> (Input, Options) {
    let words = ["river", "stone", "a", "the", "light", "of", "under", "old"];
    let text: String = (0..3 + at % 12).map(|i| format!("{} ", words[(i * i + at * 3) % words.len()])).collect();
    let beginning = if at.is_multiple_of(2) {
        "in the beginning there was a long common text, and it went on and on ".to_owned()
    } else {
        String::new()
    };
    let mut options = written(3 + at % 17, at as u64, [0.0, 0.8, 1.3][at % 3]);
    if at % 7 == 3 {
        options.search = SearchOptions { beams: 3, max_tokens: 12, ..SearchOptions::default() };
    }
    let input = match at % 5 {
        4 => Input::Chat(vec![Message::user(format!("{beginning}{text}"))]),
        _ => Input::Text(format!("{beginning}{text}")),
    };
    (input, options)
}

#[test]
fn answers_are_the_same_alone_and_among_thirty() {
    for model in [llama(), fixture("decoder-gpt2").display().to_string()] {
        let alone: Vec<Generated> = (0..90)
            .map(|at| {
                // Some by an engine of their own, which knows no common beginnings.
                let engine = engine(1, Some(600));
                let (input, options) = question(at);
                answer(&send(&engine, &model, input, options).1).expect("alone").0
            })
            .collect();
        let many = engine(2, Some(600));
        let (next, shared) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for client in 0..30 {
                let (many, model, alone, next, shared) = (&many, &model, &alone, &next, &shared);
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(client * 13 % 97));
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(want) = alone.get(at) else { break };
                        let (input, options) = question(at);
                        let (got, streamed) = answer(&send(many, model, input, options).1).expect("among many");
                        assert_eq!(got.token_ids, want.token_ids, "{model}, question {at}");
                        assert_eq!((&got.text, &streamed), (&want.text, &got.text), "question {at}");
                        shared.fetch_add(usize::from(got.prompt.cached > 0), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(shared.into_inner() > 20, "common beginnings are read once");
    }
}

#[test]
fn more_texts_than_there_is_room_for_wait_and_one_that_is_too_long_is_refused() {
    // Room for eight texts at the full context, of which each asks for almost all.
    let engine = engine(2, Some(192));
    let all: Vec<_> = (0..40)
        .map(|at| send(&engine, &llama(), Input::Text(format!("text number {at}")), written(150, at, 0.9)))
        .collect();
    let mut beams = written(150, 1, 0.0);
    beams.search = SearchOptions { beams: 16, max_tokens: 170, ..SearchOptions::default() };
    let greedy = send(&engine, &llama(), "many beams".into(), beams);
    let long = send(&engine, &llama(), Input::Text("word ".repeat(400)), written(5, 1, 0.0));
    for (_, events) in &all {
        answer(events).expect("all are answered in the end");
    }
    assert!(answer(&long.1).expect_err("too long").contains("context"));
    assert!(answer(&greedy.1).expect_err("too many beams").contains("room for"), "said in words");
    assert_eq!(engine.usage().read().sequences, 0);
}

#[test]
fn a_long_text_gets_its_room_although_short_ones_keep_coming() {
    // Room for 32 pages; the long one needs four times four, for its beams.
    let engine = engine(2, Some(256));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..12u64 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                for at in 0.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let text = Input::Text(format!("short {client} {at}"));
                    answer(&send(engine, &llama(), text, written(90, at, 0.9)).1).expect("a short one");
                }
            });
        }
        std::thread::sleep(Duration::from_millis(100));
        let mut beams = written(150, 1, 0.0);
        beams.search = SearchOptions { beams: 6, max_tokens: 150, ..SearchOptions::default() };
        let (ticket, events) = send(&engine, &llama(), Input::Text("a long text ".repeat(8)), beams);
        let begun = Instant::now();
        let mut end = None;
        while end.is_none() && begun.elapsed() < Duration::from_secs(60) {
            end = events.recv_timeout(Duration::from_secs(1)).ok().filter(Event::is_terminal);
        }
        ticket.cancel.cancel();
        stop.store(true, Ordering::Release);
        assert!(matches!(end, Some(Event::Done { .. })), "it waited for ever: {end:?}");
    });
}

#[test]
fn a_thousand_cancels_at_random_moments_leave_nothing_behind() {
    let engine = engine(2, Some(512));
    let want = answer(&send(&engine, &llama(), "the river".into(), written(20, 3, 0.9)).1).expect("before").0;
    let mut state = 17u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut open: Vec<(Ticket, Events)> = Vec::new();
    for at in 0..1000 {
        let (input, mut options) = question(at);
        options.writing.max_tokens = 200;
        open.push(send(&engine, &llama(), input, options));
        std::thread::sleep(Duration::from_micros(random(1500)));
        let one = open.swap_remove(random(open.len() as u64) as usize);
        match random(3) {
            0 => one.0.cancel.cancel(),
            1 => drop(one),
            _ => {
                one.0.cancel.cancel();
                // A second time does no harm.
                one.0.cancel.cancel();
                assert!(glossa::engine::wait_for_end(&one.1, |_| {}).is_some(), "exactly one end");
            }
        }
    }
    drop(open);
    let until = Instant::now() + Duration::from_secs(20);
    while (engine.queue() > 0 || engine.usage().read().sequences > 0) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let held = engine.usage().read();
    assert_eq!((engine.queue(), held.sequences), (0, 0));
    assert_eq!((held.held_pages, held.promised_pages), (0, 0), "the pool's free pages come back: {held:?}");
    let after = answer(&send(&engine, &llama(), "the river".into(), written(20, 3, 0.9)).1).expect("after").0;
    assert_eq!(after.token_ids, want.token_ids);
}

#[test]
fn damaged_weights_of_one_model_do_not_touch_the_other() {
    let folder = copy("decoder-llama");
    let path = folder.path().join("model.gguf");
    let mut bytes = std::fs::read(&path).expect("file");
    // The end of the file is numbers of some tensor: not-a-number in f32, and in f16 too.
    let from = bytes.len() - 512;
    bytes[from..].fill(0xff);
    std::fs::write(&path, bytes).expect("written");
    let damaged = path.display().to_string();
    let engine = engine(2, Some(512));
    let want: Vec<_> = (0..6)
        .map(|at| answer(&send(&engine, &llama(), "a stone".into(), written(30, at, 0.9)).1).expect("alone").0)
        .collect();
    let both: Vec<_> = (0..6)
        .map(|at| {
            let bad = send(&engine, &damaged, "a stone".into(), written(30, at, 0.9));
            (bad, send(&engine, &llama(), "a stone".into(), written(30, at, 0.9)))
        })
        .collect();
    for (((_, bad), (_, good)), want) in both.iter().zip(&want) {
        assert!(answer(bad).expect_err("no numbers").contains("NaN"));
        assert_eq!(answer(good).expect("good").0.token_ids, want.token_ids);
    }
}

#[test]
fn a_document_is_read_once_for_all_who_ask_about_it() {
    let engine = engine(2, None);
    let document = "a long text about rivers and stones ".repeat(4);
    let ask = |what: &str| send(&engine, &llama(), Input::Text(format!("{document}{what}")), written(4, 1, 0.0));
    // All at once: the first reads, the others follow in its pages.
    let together: Vec<_> = ["who", "when", "where", "why"].map(ask).into();
    let cached: Vec<_> = together.iter().map(|(_, events)| answer(events).expect("answer").0.prompt).collect();
    let alike = cached.iter().filter(|p| p.cached >= 64).count();
    assert!(alike >= 2, "{cached:?}");
    let later = answer(&ask("how").1).expect("answer").0.prompt;
    assert!(later.cached + 20 > later.tokens, "{later:?}");
}
