//! Models that come and go beside those at work, and changes that take effect between requests.

use crate::fake::{
    FakeTask, Faults, all_events, config, listened, request_of, send, submit, text_of, wait_until, words,
};
use glossa::engine::message::{Event, Events, Priority, Status};
use glossa::engine::{Engine, EngineConfig};
use glossa::nn::runtime::DeviceChoice;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn notice(news: &Events, part: &str) -> String {
    loop {
        if let Event::Status(Status { notice: Some(notice), .. }) =
            news.recv_timeout(Duration::from_secs(10)).expect("news")
            && notice.contains(part)
        {
            return notice;
        }
    }
}

#[test]
fn a_model_is_read_while_others_answer() {
    let faults = Faults::default();
    let task = FakeTask { step_ms: 1, load_ms: 3_000, slow: "bert-odd", faults: faults.clone(), ..FakeTask::default() };
    let engine = Engine::start(config(task)).expect("engine");
    let (slow, loading) = send(&engine, request_of("bert-odd", &["a"], Priority::Interactive));
    let (_, also) = send(&engine, request_of("bert-odd", &["b"], Priority::Interactive));
    while !matches!(loading.recv().expect("event"), Event::Loading { .. }) {}
    // The first of another model waits for the loader; then it is served while the next is read.
    slow.cancel.cancel();
    drop(also);
    assert!(matches!(all_events(&loading).last(), Some(Event::Cancelled { .. })));
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { .. })));
    let waiting: Vec<_> =
        (0..3).map(|_| send(&engine, request_of("bert-odd", &["a"], Priority::Interactive))).collect();
    let begun = Instant::now();
    let mut answered = 0;
    while begun.elapsed() < Duration::from_millis(700) {
        let (_, events) = submit(&engine, &["writer 3"], Priority::Interactive);
        assert_eq!(text_of(&all_events(&events)), words(3));
        answered += 1;
    }
    assert!(answered > 5, "{answered}");
    for (_, events) in &waiting {
        let all = all_events(events);
        let shares = all.iter().filter(|e| matches!(e, Event::Loading { .. })).count();
        assert!(shares >= 1, "all that wait are told");
        assert!(matches!(all.last(), Some(Event::Done { report, .. }) if report.timing.load > 1_000.0));
    }
    assert_eq!(faults.alive.load(Ordering::SeqCst), 2);
}

#[test]
fn models_in_use_are_never_dropped_and_what_does_not_fit_beside_them_waits() {
    let faults = Faults::default();
    let (sink, news) = glossa::engine::message::EventSink::channel(None);
    let task = FakeTask { step_ms: 1, faults: faults.clone(), ..FakeTask::default() };
    let engine = Engine::start(EngineConfig { budget: 1, status: Some(sink), ..config(task) }).expect("engine");
    let (chat, events) = submit(&engine, &["writer 100000"], Priority::Interactive);
    while !matches!(events.recv().expect("event"), Event::Partial { .. }) {}
    let (_, other) = send(&engine, request_of("bert-odd", &["a"], Priority::Interactive));
    let words = notice(&news, "waits until there is memory");
    assert!(words.contains("bert-odd") && words.contains("1 request on other models"), "{words}");
    engine.unload().expect("told");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!((faults.alive.load(Ordering::SeqCst), other.len()), (1, 0));
    chat.cancel.cancel();
    assert!(matches!(all_events(&events).last(), Some(Event::Cancelled { .. })));
    assert!(matches!(all_events(&other).last(), Some(Event::Done { .. })));
    assert_eq!(faults.alive.load(Ordering::SeqCst), 1);
}

#[test]
fn another_context_counts_from_the_next_request_on() {
    let faults = Faults::default();
    let (engine, news) = listened(FakeTask { step_ms: 1, faults: faults.clone(), ..FakeTask::default() });
    let running = [0, 1].map(|_| submit(&engine, &["writer 400"], Priority::Interactive));
    for (_, events) in &running {
        while !matches!(events.recv().expect("event"), Event::Partial { .. }) {}
    }
    engine.set_context(Some(8_192)).expect("told");
    let words_of_it = notice(&news, "goes on as it is");
    assert!(
        words_of_it.ends_with("goes on as it is until 2 requests have ended, then with 8,192 tokens"),
        "{words_of_it}"
    );
    let (_, next) = submit(&engine, &["writer 3"], Priority::Interactive);
    let mut finished = Vec::new();
    for (_, events) in &running {
        let Some(Event::Done { report, .. }) = all_events(events).pop() else { panic!("not done") };
        assert_eq!(report.generated, 400);
        finished.push(report.finished);
    }
    let all = all_events(&next);
    assert_eq!(text_of(&all), words(3));
    let Some(Event::Done { report, .. }) = all.last() else { panic!("not done") };
    assert!(finished.iter().all(|end| *end <= report.started), "it waited for them");
    assert_eq!(*faults.contexts.lock().expect("contexts"), [None, Some(8_192)]);
    // Idle ones go at once.
    engine.set_device(DeviceChoice::Cpu, Some(2)).expect("told");
    wait_until("it is dropped", || faults.alive.load(Ordering::SeqCst) == 0);
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { .. })));
}

#[test]
fn a_change_while_a_model_is_read_reads_it_anew() {
    let faults = Faults::default();
    let (engine, _news) = listened(FakeTask { load_ms: 300, faults: faults.clone(), ..FakeTask::default() });
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    while !matches!(events.recv().expect("event"), Event::Loading { .. }) {}
    engine.set_context(Some(100)).expect("told");
    assert!(matches!(all_events(&events).last(), Some(Event::Done { .. })));
    assert_eq!(*faults.contexts.lock().expect("contexts"), [Some(100)]);
}

#[test]
fn the_engine_goes_while_a_model_is_read() {
    let faults = Faults::default();
    let (engine, _news) = listened(FakeTask { load_ms: 60_000, faults: faults.clone(), ..FakeTask::default() });
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    while !matches!(events.recv().expect("event"), Event::Loading { .. }) {}
    let begun = Instant::now();
    drop(engine);
    assert!(matches!(all_events(&events).last(), Some(Event::Cancelled { .. })));
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(faults.alive.load(Ordering::SeqCst), 0);
}
