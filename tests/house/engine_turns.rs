//! Fair turns: nobody is pushed out, nobody waits for ever, all of a model's requests share steps.

use crate::fake::{FakeTask, all_events, config, engine, listened, request, request_of, send, submit, wait_until};
use glossa::engine::message::{ClientId, Event, Priority, Request};
use glossa::engine::{Engine, EngineConfig};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn two_models_share_the_time() {
    let (engine, _) = engine(2, 0, 16);
    let names = ["bert-tiny", "bert-odd"];
    let running = names.map(|n| send(&engine, request_of(n, &["writer 100000"], Priority::Interactive)));
    std::thread::sleep(Duration::from_millis(600));
    running.iter().for_each(|r| r.0.cancel.cancel());
    let written = running.each_ref().map(|(_, events)| match all_events(events).pop() {
        Some(Event::Cancelled { report, .. }) => report.generated,
        other => panic!("{other:?}"),
    });
    assert!(written[0] > 20 && written[1] > 20, "{written:?}");
    let share = written[0] as f64 / (written[0] + written[1]) as f64;
    assert!((0.3..0.7).contains(&share), "{written:?}");
}

#[test]
fn a_short_question_does_not_wait_for_a_long_text() {
    let (engine, log) = engine(5, 0, 64);
    let (chat, events) = submit(&engine, &["writer 100000"], Priority::Interactive);
    let others: Vec<_> =
        (0..3).map(|_| send(&engine, request_of("bert-odd", &["writer 100000"], Priority::Interactive))).collect();
    wait_until("they run", || log.lock().expect("log").len() > 5);
    let begun = Instant::now();
    let (_, quick) = send(&engine, request_of("distilbert-tiny", &["quick"], Priority::Interactive));
    assert!(matches!(all_events(&quick).last(), Some(Event::Done { .. })));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    chat.cancel.cancel();
    all_events(&events);
    drop(others);
}

#[test]
fn batch_ages_and_does_not_starve() {
    let (engine, _) = engine(5, 0, 64);
    let (chat, events) = submit(&engine, &["writer 100000"], Priority::Interactive);
    // Of another model, so that it cannot ride along.
    let (_, batch) = send(&engine, request_of("bert-odd", &["slow 2"], Priority::Batch));
    let begun = Instant::now();
    assert!(matches!(all_events(&batch).last(), Some(Event::Done { .. })));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    chat.cancel.cancel();
    all_events(&events);
}

/// Each has a step with room for sixteen: ten of one client and one of another.
#[test]
fn ten_requests_of_one_client_do_not_push_out_the_only_one_of_another() {
    let (engine, _) = engine(1, 60, 64);
    let (many, few) = (ClientId::fresh(), ClientId::fresh());
    assert_ne!(many, few);
    let inputs = vec!["slow 20"; 200];
    let of = |client, inputs: &[&str]| Request { client, ..request(inputs, Priority::Interactive) };
    let crowd: Vec<_> = (0..10).map(|_| send(&engine, of(many, &inputs))).collect();
    let (_, only) = send(&engine, of(few, &inputs[..60]));
    let end = |events| match all_events(events).pop() {
        Some(Event::Done { report, .. }) => report.finished,
        other => panic!("{other:?}"),
    };
    let first = end(&only);
    let ends: Vec<Instant> = crowd.iter().map(|(_, events)| end(events)).collect();
    let last = ends.iter().max().expect("ends");
    assert!(first < *last, "it ends before the crowd does");
}

/// One page, three who want it: they wait without failing, and without holding up who needs none.
#[test]
fn who_waits_for_memory_gets_it_when_others_end() {
    let (engine, _) = engine(1, 30, 16);
    let holders: Vec<_> = (0..3).map(|_| submit(&engine, &["hold 30"], Priority::Interactive)).collect();
    let (_, free) = submit(&engine, &["writer 20"], Priority::Interactive);
    assert!(matches!(all_events(&free).last(), Some(Event::Done { .. })));
    for (_, events) in &holders {
        assert!(matches!(all_events(events).last(), Some(Event::Done { .. })));
    }
    // Several inputs of one request want it too.
    let (_, events) = submit(&engine, &["hold 5", "hold 5", "slow 3"], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { report, .. }) if report.done == 3));
}

#[test]
fn what_is_done_now_is_told_and_then_that_nothing_is() {
    let (engine, news) = listened(FakeTask { step_ms: 5, ..FakeTask::default() });
    let mut usage = engine.usage();
    let running: Vec<_> = (0..3).map(|_| submit(&engine, &["writer 100000"], Priority::Interactive)).collect();
    let mut told = 0;
    let work = loop {
        let Event::Status(status) = news.recv_timeout(Duration::from_secs(10)).expect("news") else { continue };
        told += 1;
        if let Some(work) = status.work.first().filter(|w| w.writing == 3) {
            break work.clone();
        }
    };
    assert_eq!((work.reading, work.waiting, work.rows), (0, 0, 3), "{work:?}");
    assert!(usage.read().rows >= 1);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(600));
    let statuses = news.try_iter().filter(|e| matches!(e, Event::Status(_))).count();
    assert!(statuses >= 1 && told < 100, "{statuses} in {:?}", begun.elapsed());
    assert_eq!(usage.read().rows, 3);
    running.iter().for_each(|r| r.0.cancel.cancel());
    let idle = loop {
        let Event::Status(status) = news.recv_timeout(Duration::from_secs(10)).expect("news") else { continue };
        if status.work.is_empty() {
            break status;
        }
    };
    assert_eq!(idle.queue, 0);
}

#[test]
fn a_long_list_is_made_ready_in_parts() {
    let task = FakeTask { step_ms: 1, ..FakeTask::default() };
    let log = Arc::clone(&task.log);
    let engine = Engine::start(EngineConfig { capacity: 8, ..config(task) }).expect("engine");
    let inputs = vec!["a"; 20_000];
    let (_, list) = submit(&engine, &inputs, Priority::Batch);
    wait_until("it runs", || log.lock().expect("log").len() > 2);
    let begun = Instant::now();
    let (_, quick) = submit(&engine, &["quick"], Priority::Interactive);
    assert!(matches!(all_events(&quick).last(), Some(Event::Done { .. })));
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert!(matches!(all_events(&list).last(), Some(Event::Done { report, .. }) if report.done == 20_000));
}
