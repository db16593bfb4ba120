//! Every request ends in exactly one of done, cancelled, failed; whatever happens.

use crate::fake::{all_events, engine, request, submit};
use glossa::engine::SubmitError;
use glossa::engine::message::{Event, EventSink, Priority};
use std::time::{Duration, Instant};

#[test]
fn a_request_is_answered_with_its_times() {
    let (engine, _) = engine(5, 20, 16);
    let (_, events) = submit(&engine, &["a", "b"], Priority::Interactive);
    let all = all_events(&events);
    assert!(all.iter().any(|e| matches!(e, Event::Loading { .. })));
    let Some(Event::Done { report, .. }) = all.last() else { panic!("{all:?}") };
    assert_eq!((report.done, report.tokens, report.batch), (2, 2, 2));
    let t = report.timing;
    assert!(t.load >= 15.0 && t.forward >= 4.0 && t.total >= t.load + t.forward - 0.1, "{t:?}");
    let (_, events) = submit(&engine, &["c"], Priority::Interactive);
    let Some(Event::Done { report, .. }) = all_events(&events).pop() else { panic!("not done") };
    assert_eq!(report.timing.load, 0.0, "the model is loaded once");
    assert_eq!(engine.queue(), 0);
}

#[test]
fn a_panic_is_reported_and_the_worker_goes_on() {
    let (engine, _) = engine(1, 0, 16);
    let (_, events) = submit(&engine, &["panic"], Priority::Interactive);
    let Some(Event::Failed { message, .. }) = all_events(&events).pop() else { panic!("not failed") };
    assert!(message.why.contains("the fake task panics"), "{message}");
    let (_, events) = submit(&engine, &["fine"], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { .. })));
}

#[test]
fn a_panic_in_a_shared_step_fails_only_its_own_request() {
    let (engine, _) = engine(20, 40, 16);
    let (_, good) = submit(&engine, &["good"], Priority::Interactive);
    let (_, bad) = submit(&engine, &["panic"], Priority::Interactive);
    let (_, fine) = submit(&engine, &["fine"], Priority::Interactive);
    assert!(matches!(all_events(&good).last(), Some(Event::Done { .. })));
    assert!(matches!(all_events(&bad).last(), Some(Event::Failed { .. })));
    assert!(matches!(all_events(&fine).last(), Some(Event::Done { .. })));
}

#[test]
fn cancel_takes_effect_within_one_step() {
    let (engine, log) = engine(40, 0, 16);
    let (ticket, events) = submit(&engine, &["slow 1000"], Priority::Interactive);
    while log.lock().expect("log").len() < 2 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let before = log.lock().expect("log").len();
    ticket.cancel.cancel();
    assert!(matches!(all_events(&events).last(), Some(Event::Cancelled { .. })));
    let after = log.lock().expect("log").len();
    assert!(after <= before + 1, "{before} steps, then {after}");
}

#[test]
fn loading_can_be_cancelled_and_keeps_nothing_half_loaded() {
    let (engine, _) = engine(1, 10_000, 16);
    let (ticket, events) = submit(&engine, &["a"], Priority::Interactive);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(30));
    ticket.cancel.cancel();
    assert!(matches!(all_events(&events).last(), Some(Event::Cancelled { .. })));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_full_queue_says_busy() {
    let (engine, _) = engine(20, 0, 2);
    let (first, events) = submit(&engine, &["slow 1000"], Priority::Interactive);
    let (second, other) = submit(&engine, &["slow 1000"], Priority::Interactive);
    let (sink, _) = EventSink::channel(None);
    let refused = engine.submit(request(&["x"], Priority::Interactive), sink);
    assert_eq!(refused.err(), Some(SubmitError::Busy));
    first.cancel.cancel();
    all_events(&events);
    let (_, third) = submit(&engine, &["x"], Priority::Interactive);
    assert!(matches!(all_events(&third).last(), Some(Event::Done { .. })));
    second.cancel.cancel();
    all_events(&other);
}

#[test]
fn interactive_goes_before_a_running_batch() {
    let (engine, log) = engine(10, 0, 16);
    let (batch, events) = submit(&engine, &["slow 500"], Priority::Batch);
    while log.lock().expect("log").is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (_, quick) = submit(&engine, &["quick"], Priority::Interactive);
    assert!(matches!(all_events(&quick).last(), Some(Event::Done { .. })));
    let steps = log.lock().expect("log").clone();
    assert!(steps.iter().any(|s| s == &["quick"]) && steps.len() < 100, "{}", steps.len());
    batch.cancel.cancel();
    all_events(&events);
}

#[test]
fn requests_that_wait_together_share_a_step() {
    let (engine, log) = engine(5, 60, 64);
    let waiting: Vec<_> = (0..8)
        .map(|i| submit(&engine, &[["a", "b", "c", "d", "e", "f", "g", "h"][i]], Priority::Interactive))
        .collect();
    for (_, events) in &waiting {
        let Some(Event::Done { report, .. }) = all_events(events).pop() else { panic!("not done") };
        assert_eq!(report.batch, 8);
    }
    assert_eq!(log.lock().expect("log").len(), 1);
}

#[test]
fn one_bad_line_of_many_does_not_fail_the_rest() {
    let (engine, _) = engine(1, 0, 16);
    let (_, events) = submit(&engine, &["a", "", "b"], Priority::Batch);
    let all = all_events(&events);
    let mut results = [None, None, None];
    for event in &all {
        if let Event::Items { items, .. } = event {
            for (i, r) in items {
                assert!(results[*i].replace(r.is_ok()).is_none(), "answered once");
            }
        }
    }
    assert_eq!(results, [Some(true), Some(false), Some(true)]);
    assert!(matches!(all.last(), Some(Event::Done { report, .. }) if report.done == 3));
}

#[test]
fn nothing_is_left_open_when_the_engine_goes() {
    let (engine, _) = engine(5, 0, 16);
    let (_, running) = submit(&engine, &["slow 10000"], Priority::Interactive);
    let (_, waiting) = submit(&engine, &["slow 10000"], Priority::Batch);
    std::thread::sleep(Duration::from_millis(20));
    drop(engine);
    assert!(matches!(all_events(&running).last(), Some(Event::Cancelled { .. })));
    assert!(matches!(all_events(&waiting).last(), Some(Event::Cancelled { .. })));
}

#[test]
fn an_unknown_task_and_an_empty_request_end_too() {
    let (engine, _) = engine(1, 0, 16);
    let (sink, events) = EventSink::channel(None);
    let mut unknown = request(&["a"], Priority::Interactive);
    unknown.task = "poetry";
    engine.submit(unknown, sink).expect("taken");
    let Some(Event::Failed { message, .. }) = all_events(&events).pop() else { panic!("not failed") };
    assert!(message.why.contains("poetry") && message.next.contains("fake"));
    let (_, events) = submit(&engine, &[], Priority::Interactive);
    assert!(matches!(all_events(&events).last(), Some(Event::Done { report, .. }) if report.done == 0));
}
