//! Every request ends in exactly one of done, cancelled, failed; whatever happens.

use crate::fake::{all_events, engine, request, submit};
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
fn what_needs_no_step_is_answered_and_what_gets_nowhere_fails() {
    let (engine, log) = engine(1, 0, 16);
    let (_, events) = submit(&engine, &["nothing"], Priority::Interactive);
    let Some(Event::Done { report, .. }) = all_events(&events).pop() else { panic!("not done") };
    assert_eq!((report.done, report.tokens), (1, 1));
    assert!(log.lock().expect("log").is_empty(), "no step was needed");
    // Among others, many times over, and cancelled in between.
    let mut inputs = vec!["nothing"; 2000];
    inputs[1000] = "fine";
    let (_, events) = submit(&engine, &inputs, Priority::Batch);
    let Some(Event::Done { report, .. }) = all_events(&events).pop() else { panic!("not done") };
    assert_eq!(report.done, 2000);
    let (_, stuck) = submit(&engine, &["stuck"], Priority::Interactive);
    let (_, fine) = submit(&engine, &["slow 3"], Priority::Interactive);
    let Some(Event::Failed { message, .. }) = all_events(&stuck).pop() else { panic!("not failed") };
    assert!(message.why.contains("did nothing"), "{message}");
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
    assert!(refused.is_err_and(|e| e.is_busy() && e.to_string().contains("try again in about")));
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
    assert!(steps.iter().any(|s| s[0] == "quick") && steps.len() < 100, "{}", steps.len());
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

/// A request's report says in which order its time went, and with whom it shared steps.
#[test]
fn a_report_tells_stages_in_order_and_who_shared_them() {
    let (engine, _) = engine(5, 60, 64);
    let waiting: Vec<_> = (0..3).map(|_| submit(&engine, &["slow 4"], Priority::Interactive)).collect();
    let ids: Vec<_> = waiting.iter().map(|w| w.0.id).collect();
    for (i, (_, events)) in waiting.iter().enumerate() {
        let Some(Event::Done { report, .. }) = all_events(events).pop() else { panic!("not done") };
        let mut others: Vec<_> = ids.iter().copied().filter(|id| *id != ids[i]).collect();
        others.sort_unstable();
        let mut shared = report.shared_with.clone();
        shared.sort_unstable();
        assert_eq!(shared, others);
        let names: Vec<&str> = report.trace.iter().map(|s| s.stage).collect();
        let wanted: &[&str] = if i == 0 { &["queue", "load"] } else { &["queue"] };
        assert_eq!(&names[..wanted.len()], wanted, "{names:?}");
        let forward = report.trace.iter().find(|s| s.stage == "forward").expect("forward");
        assert_eq!((forward.steps, forward.batch), (4, 3), "{:?}", report.trace);
        assert!((forward.ms - report.timing.forward).abs() < 5.0);
        let end = report.trace.last().map_or(0.0, |s| s.start + s.ms);
        assert!(
            report.trace.windows(2).all(|w| w[0].start + w[0].ms <= w[1].start + 1e-6) && end <= report.timing.total
        );
    }
}

/// Loadings and evictions are told as they happen, and the engine's memory can be read from outside.
#[test]
fn models_that_come_and_go_are_told() {
    use glossa::engine::message::{EventSink, Happening};
    use glossa::engine::{Engine, EngineConfig};
    let (sink, told) = EventSink::channel(None);
    let mut config = EngineConfig::new(glossa::models::library::Library::find(Some(&crate::fake::fixture(""))));
    config.device = glossa::nn::runtime::DeviceChoice::Cpu;
    config.threads = Some(1);
    config.cache = None;
    config.budget = 1;
    config.status = Some(sink);
    let log = crate::fake::Log::default();
    config.tasks =
        vec![Box::new(crate::fake::FakeTask { log, step_ms: 1, load_ms: 10, ..crate::fake::FakeTask::default() })];
    let engine = Engine::start(config).expect("engine");
    let mut usage = engine.usage();
    for folder in ["bert-tiny", "bert-odd"] {
        let (sink, events) = EventSink::channel(None);
        let mut request = crate::fake::request(&["a"], Priority::Interactive);
        request.model = Some(crate::fake::fixture(folder).display().to_string());
        engine.submit(request, sink).expect("taken");
        all_events(&events);
        let held = usage.read();
        assert_eq!((held.weights, held.caches, held.queue, held.gpu), (1000, 0, 0, None));
    }
    engine.unload().expect("told");
    let seen: Vec<String> = std::iter::from_fn(|| told.recv_timeout(std::time::Duration::from_secs(2)).ok())
        .filter_map(|event| match event {
            Event::Model(change) => Some(change),
            _ => None,
        })
        .map(|change| match change.happening {
            Happening::Loaded(took) => {
                assert!(took.as_millis() >= 10);
                format!("{} loaded", change.id)
            }
            Happening::Evicted => format!("{} evicted", change.id),
            Happening::Dropped => format!("{} dropped", change.id),
        })
        .take(4)
        .collect();
    let name = |folder: &str| crate::fake::fixture(folder).display().to_string();
    let short = |text: &String| text.replace(&name("bert-tiny"), "bert-tiny").replace(&name("bert-odd"), "bert-odd");
    let seen: Vec<String> = seen.iter().map(short).collect();
    assert_eq!(seen, ["bert-tiny loaded", "bert-tiny evicted", "bert-odd loaded", "bert-odd dropped"]);
}
