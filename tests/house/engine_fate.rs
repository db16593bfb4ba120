//! One request, one fate: whatever dies, every submission has exactly one last event and the count goes back to 0.

use crate::fake::{
    FakeTask, Faults, all_events, config, engine, listened, request, send, submit, text_of, wait_until, words,
};
use glossa::engine::message::{Event, EventSink, Events, Priority};
use glossa::engine::{Engine, EngineConfig, SubmitError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn failure(events: &Events) -> String {
    match all_events(events).pop() {
        Some(Event::Failed { message, .. }) => message.to_string(),
        other => panic!("not failed: {other:?}"),
    }
}

fn is_done(events: &Events) -> bool {
    matches!(all_events(events).last(), Some(Event::Done { .. }))
}

fn stopped(news: &Events) -> String {
    loop {
        if let Event::Stopped(message) = news.recv_timeout(Duration::from_secs(20)).expect("news") {
            return message.to_string();
        }
    }
}

#[test]
fn a_worker_that_dies_at_its_start_fails_what_waits_and_can_be_started_again() {
    let faults = Faults::default();
    faults.survey.store(true, Ordering::SeqCst);
    let (engine, news) = listened(FakeTask { faults: faults.clone(), ..FakeTask::default() });
    // Some come before it is dead, some after.
    let mut taken = Vec::new();
    for _ in 0..50 {
        taken.push(submit(&engine, &["a"], Priority::Interactive).1);
    }
    for events in &taken {
        let words = failure(events);
        assert!(words.contains("stopped unexpectedly") && words.contains("Start the engine again"), "{words}");
    }
    let words = stopped(&news);
    assert!(words.contains("does not know itself"), "{words}");
    assert!(!engine.is_alive() && engine.queue() == 0);
    faults.survey.store(false, Ordering::SeqCst);
    engine.restart().expect("started");
    engine.restart().expect("a second time is nothing");
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    assert!(is_done(&events) && engine.is_alive() && engine.queue() == 0);
}

#[test]
fn a_panic_while_loading_fails_those_who_wait_for_the_model() {
    let engine = Engine::start(config(FakeTask { load_panics: true, ..FakeTask::default() })).expect("engine");
    let waiting: Vec<_> = (0..5).map(|_| submit(&engine, &["a"], Priority::Interactive)).collect();
    for (_, events) in &waiting {
        assert!(failure(events).contains("panics while it loads"));
    }
    assert!(engine.is_alive() && engine.queue() == 0);
}

#[test]
fn a_fault_of_the_worker_itself_fails_what_runs_and_it_goes_on() {
    let faults = Faults::default();
    let (engine, news) = listened(FakeTask { step_ms: 1, faults: faults.clone(), ..FakeTask::default() });
    for round in 0..5 {
        let (_, running) = submit(&engine, &["writer 100000"], Priority::Interactive);
        let (_, other) = submit(&engine, &["slow 100000"], Priority::Batch);
        while !matches!(running.recv().expect("event"), Event::Partial { .. }) {}
        // The worker looks for the task that a request names.
        faults.survey.store(true, Ordering::SeqCst);
        let (_, fatal) = submit(&engine, &["a"], Priority::Interactive);
        for events in [&fatal, &running, &other] {
            failure(events);
        }
        wait_until("all are counted out", || engine.queue() == 0);
        faults.survey.store(false, Ordering::SeqCst);
        assert!(engine.is_alive(), "{round}");
    }
    let (_, events) = submit(&engine, &["writer 3"], Priority::Interactive);
    assert_eq!(text_of(&all_events(&events)), words(3));
    assert!(news.try_iter().all(|e| !matches!(e, Event::Stopped(_))));
}

/// In a step, and again while it recovers: then there is nothing left to go on with.
#[test]
fn a_worker_that_dies_while_recovering_is_told_and_can_be_started_again() {
    let faults = Faults::default();
    let (engine, news) = listened(FakeTask { step_ms: 1, faults: faults.clone(), ..FakeTask::default() });
    for _ in 0..2 {
        let open: Vec<_> = (0..8).map(|_| submit(&engine, &["writer 100000"], Priority::Interactive)).collect();
        while !matches!(open[7].1.recv().expect("event"), Event::Partial { .. }) {}
        faults.bytes.store(true, Ordering::SeqCst);
        for (_, events) in &open {
            assert!(failure(events).contains("does not know its size"));
        }
        assert!(stopped(&news).contains("does not know its size"));
        assert!(!engine.is_alive() && engine.queue() == 0);
        assert_eq!(faults.alive.load(Ordering::SeqCst), 0, "what it held is free");
        // Who comes now is told at once, and the engine can be told nothing.
        let (_, late) = submit(&engine, &["a"], Priority::Interactive);
        assert!(failure(&late).contains("Start the engine again"));
        assert_eq!(engine.unload(), Err(SubmitError::Stopped));
        faults.bytes.store(false, Ordering::SeqCst);
        engine.restart().expect("started");
    }
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    assert!(is_done(&events));
}

#[test]
fn a_model_that_panics_when_it_is_dropped_takes_nothing_down() {
    let faults = Faults::default();
    faults.drop.store(true, Ordering::SeqCst);
    let engine = Engine::start(config(FakeTask { faults: faults.clone(), ..FakeTask::default() })).expect("engine");
    for _ in 0..3 {
        let (_, events) = submit(&engine, &["a"], Priority::Interactive);
        assert!(is_done(&events));
        engine.unload().expect("told");
        wait_until("it is dropped", || faults.alive.load(Ordering::SeqCst) == 0);
    }
    // And in the middle of everything, at the end.
    let (_, events) = submit(&engine, &["slow 100000"], Priority::Interactive);
    while !matches!(events.recv().expect("event"), Event::Started { .. }) {}
    drop(engine);
    assert!(matches!(all_events(&events).last(), Some(Event::Cancelled { .. })));
}

#[test]
fn ten_thousand_requests_are_each_answered_busy_or_taken() {
    let task = FakeTask { step_ms: 1, load_ms: 20, ..FakeTask::default() };
    let engine = Engine::start(EngineConfig { capacity: 200, ..config(task) }).expect("engine");
    let (sink, events) = EventSink::channel(None);
    let (mut taken, mut busy) = (0, 0);
    for _ in 0..10_000 {
        match engine.submit(request(&["a"], Priority::Interactive), sink.clone()) {
            Ok(_) => taken += 1,
            Err(SubmitError::Busy { retry_after }) => {
                assert!(retry_after >= Duration::from_secs(1) && retry_after <= Duration::from_secs(120));
                busy += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert!(engine.queue() <= 201);
    }
    drop(sink);
    assert_eq!(taken + busy, 10_000);
    assert!(taken >= 200);
    let ended = events.iter().filter(Event::is_terminal).count();
    assert_eq!((ended, engine.queue()), (taken, 0));
}

#[test]
fn a_panic_with_eight_open_ends_one_and_repeats_nothing() {
    let faults = Faults::default();
    let engine =
        Engine::start(config(FakeTask { step_ms: 1, load_ms: 50, faults: faults.clone(), ..FakeTask::default() }))
            .expect("engine");
    let inputs = ["writer 40", "writer 40", "writer 40", "panic", "writer 40", "writer 40", "writer 40", "slow 40"];
    let open: Vec<_> = inputs.iter().map(|i| submit(&engine, &[i], Priority::Interactive)).collect();
    for ((_, events), input) in open.iter().zip(inputs) {
        let all = all_events(events);
        match (input, all.last()) {
            ("panic", Some(Event::Failed { message, .. })) => assert!(message.why.contains("panics")),
            ("slow 40", Some(Event::Done { .. })) => {}
            ("writer 40", Some(Event::Done { report, .. })) => {
                assert_eq!((text_of(&all), report.generated, report.tokens), (words(40), 40, 1));
            }
            other => panic!("{other:?}"),
        }
    }
    // Its state may be half written: when the last had ended it was dropped.
    wait_until("it is dropped", || faults.alive.load(Ordering::SeqCst) == 0);
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { report, .. }) if report.timing.load > 0.0));
}

#[test]
fn what_fails_alone_ends_alone() {
    let faults = Faults::default();
    let engine =
        Engine::start(config(FakeTask { step_ms: 1, load_ms: 50, faults: faults.clone(), ..FakeTask::default() }))
            .expect("engine");
    faults.partial.store(true, Ordering::SeqCst);
    for bad in ["nan", "broken", "writer 66"] {
        let open: Vec<_> =
            (0..8).map(|i| submit(&engine, &[if i == 3 { bad } else { "writer 30" }], Priority::Interactive)).collect();
        for (i, (_, events)) in open.iter().enumerate() {
            if i == 3 {
                failure(events);
            } else {
                assert_eq!(text_of(&all_events(events)), words(30));
            }
        }
        assert_eq!(faults.alive.load(Ordering::SeqCst), 1, "the model stays");
    }
    // Of a request with several inputs it is one input's answer.
    let (_, events) = submit(&engine, &["a", "nan", "slow 3", "panic", "b"], Priority::Batch);
    let all = all_events(&events);
    let mut answers: Vec<(usize, bool)> = Vec::new();
    for event in &all {
        if let Event::Items { items, .. } = event {
            answers.extend(items.iter().map(|(i, r)| (*i, r.is_ok())));
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, [(0, true), (1, false), (2, true), (3, false), (4, true)]);
    assert!(matches!(all.last(), Some(Event::Done { report, .. }) if report.done == 5));
}

#[test]
fn cancelled_a_thousand_times_at_random_moments_nothing_is_left() {
    use rand::{Rng as _, SeedableRng as _};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(19);
    let faults = Faults::default();
    let task = FakeTask { load_ms: 10, faults: faults.clone(), ..FakeTask::default() };
    let engine = Engine::start(EngineConfig { capacity: 2_000, ..config(task) }).expect("engine");
    let mut open = Vec::new();
    for i in 0..1000 {
        let input = ["writer 10000", "hold 10000", "slow 10000", "nothing", "panic"][rng.random_range(0..5)];
        open.push(submit(&engine, &[input], Priority::Interactive));
        if i % 50 == 0 {
            engine.unload().expect("told");
        }
        if rng.random_bool(0.9) {
            let at = rng.random_range(0..open.len());
            let (ticket, events) = open.swap_remove(at);
            if rng.random_bool(0.5) {
                ticket.cancel.cancel();
                assert!(all_events_quickly(&events));
            }
            // Otherwise its reader goes.
        }
    }
    for (ticket, _) in &open {
        ticket.cancel.cancel();
    }
    wait_until("all have ended", || engine.queue() == 0);
    let (_, events) = submit(&engine, &["hold 3"], Priority::Interactive);
    assert!(is_done(&events), "the page came back");
}

/// Whether there is exactly one last event.
fn all_events_quickly(events: &Events) -> bool {
    events.iter().filter(Event::is_terminal).count() == 1
}

#[test]
fn handles_are_shared_by_threads_and_the_last_one_stops_the_worker() {
    let faults = Faults::default();
    let task = FakeTask { faults: faults.clone(), ..FakeTask::default() };
    let engine = Engine::start(EngineConfig { capacity: 4_096, ..config(task) }).expect("engine");
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let engine = engine.clone();
            std::thread::spawn(move || (0..50).filter(|_| is_quickly_done(&engine)).count())
        })
        .collect();
    let done: usize = threads.into_iter().map(|t| t.join().expect("thread")).sum();
    assert_eq!((done, engine.queue()), (800, 0));
    let other = engine.clone();
    drop(engine);
    assert!(is_quickly_done(&other));
    drop(other);
    assert_eq!(faults.alive.load(Ordering::SeqCst), 0);
}

fn is_quickly_done(engine: &Engine) -> bool {
    let (_, events) = send(engine, request(&["a"], Priority::Interactive));
    events.iter().any(|e| matches!(e, Event::Done { .. }))
}

/// The last handle may be dropped by the worker itself, in a wake.
#[test]
fn the_worker_may_drop_its_own_engine() {
    let (engine, _) = engine(1, 0, 8);
    let slot = Arc::new(std::sync::Mutex::new(None));
    let theirs = Arc::clone(&slot);
    let wake = move || drop(theirs.lock().expect("slot").take());
    let (sink, events) = EventSink::channel(Some(Arc::new(wake)));
    let request = request(&["slow 100000"], Priority::Interactive);
    let ticket = engine.submit(request, sink).expect("taken");
    *slot.lock().expect("slot") = Some(engine);
    assert!(events.iter().filter(Event::is_terminal).count() <= 1);
    drop(ticket);
}
