//! Mailboxes: the engine never waits for a reader, and a reader that is gone ends its request.

use crate::fake::{FakeTask, all_events, config, engine, request, send, submit, text_of, wait_until, words};
use glossa::engine::Engine;
use glossa::engine::message::{Event, EventSink, Priority, RequestId, Status};
use glossa::tasks::Partial;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

fn part(id: u64, index: usize, text: &str) -> Event {
    let partial = Partial { text: text.into(), tokens: 1, ..Partial::default() };
    Event::Partial { id: RequestId(id), index, partial }
}

#[test]
fn parts_that_nobody_has_read_are_put_together_by_request_and_input() {
    let (sink, events) = EventSink::channel(None);
    for i in 0..1000 {
        sink.send(part(1, 0, &format!("{i} ")));
        sink.send(part(1, 1, "x"));
        sink.send(part(2, 0, "y"));
        sink.send(Event::Progress { id: RequestId(2), share: i as f32 / 1000.0 });
    }
    assert_eq!(events.len(), 4);
    let Ok(Event::Partial { id: RequestId(1), index: 0, partial }) = events.try_recv() else { panic!("not the first") };
    assert_eq!((partial.text, partial.tokens), (words(1000), 1000));
    // What comes after reading is a part of its own, behind what is still there.
    sink.send(part(1, 0, "more"));
    let rest: Vec<Event> = events.try_iter().collect();
    assert_eq!(rest.len(), 4);
    assert!(matches!(&rest[3], Event::Partial { partial, .. } if partial.text == "more"));
    assert!(matches!(&rest[2], Event::Progress { share, .. } if *share == 0.999));
    assert_eq!(sink.unread(RequestId(1)).bytes, 0);
}

#[test]
fn an_answer_never_comes_before_the_end_of_its_text() {
    let (sink, events) = EventSink::channel(None);
    let items = |index| Event::Items { id: RequestId(1), items: vec![(index, Ok(answer()))], done: 1, total: 2 };
    sink.send(items(0));
    sink.send(part(1, 1, "a"));
    sink.send(items(1));
    sink.send(items(2));
    let kinds: Vec<usize> = events
        .try_iter()
        .map(|e| match e {
            Event::Items { items, .. } => items.len(),
            _ => 0,
        })
        .collect();
    assert_eq!(kinds, [1, 0, 2]);
}

fn answer() -> glossa::tasks::Output {
    glossa::tasks::Output::Scores(glossa::tasks::Scores::default())
}

#[test]
fn a_mailbox_that_is_never_read_holds_up_nobody_and_loses_nothing() {
    let (engine, log) = engine(0, 0, 64);
    let (_, unread) = submit(&engine, &["writer 20000"], Priority::Interactive);
    let (_, other) = submit(&engine, &["slow 50"], Priority::Interactive);
    assert!(matches!(all_events(&other).last(), Some(Event::Done { .. })));
    wait_until("all is written", || engine.queue() == 0);
    assert!(log.lock().expect("log").len() >= 20_000);
    assert!(unread.len() < 10, "{} events wait", unread.len());
    let all = all_events(&unread);
    assert_eq!(text_of(&all), words(20_000));
    assert!(matches!(all.last(), Some(Event::Done { report, .. }) if report.generated == 20_000));
}

/// Above a bound it is the request that waits, not the engine, and not for ever.
#[test]
fn a_request_with_too_much_unread_waits_for_its_reader() {
    let (engine, _) = engine(0, 0, 64);
    // A text goes on to its end, so that it gives back what it holds: what is unread of it is put together.
    let (_, unread) = submit(&engine, &["writer 200000"], Priority::Interactive);
    wait_until("it is written", || engine.queue() == 0);
    assert!(unread.len() < 10, "{}", unread.len());
    let begun = Instant::now();
    let (_, other) = submit(&engine, &["slow 5"], Priority::Interactive);
    assert!(matches!(all_events(&other).last(), Some(Event::Done { .. })));
    assert!(begun.elapsed() < Duration::from_secs(2));
    let all = all_events(&unread);
    assert_eq!(text_of(&all), words(200_000));
    // Of many inputs no more are begun than somebody reads.
    let inputs = vec!["x"; 6_000];
    let (_, unread) = submit(&engine, &inputs, Priority::Batch);
    wait_until("it waits", || {
        let (_, other) = submit(&engine, &["x"], Priority::Interactive);
        all_events(&other);
        engine.queue() == 1
    });
    assert!(matches!(all_events(&unread).last(), Some(Event::Done { report, .. }) if report.done == 6_000));
}

#[test]
fn a_reader_that_goes_cancels_its_request_in_a_step_while_waiting_and_while_loading() {
    let (engine, log) = engine(5, 0, 64);
    let (_, running) = submit(&engine, &["slow 100000"], Priority::Interactive);
    wait_until("it runs", || !log.lock().expect("log").is_empty());
    drop(running);
    wait_until("it ends", || engine.queue() == 0);
    let task = FakeTask { load_ms: 60_000, ..FakeTask::default() };
    let alive = Arc::clone(&task.faults.alive);
    let slow = Engine::start(config(task)).expect("engine");
    let (_, loading) = submit(&slow, &["a"], Priority::Interactive);
    let (_, waiting) = send(&slow, crate::fake::request_of("bert-odd", &["a"], Priority::Interactive));
    while !matches!(loading.recv().expect("event"), Event::Loading { .. }) {}
    drop(waiting);
    wait_until("the one that waits ends", || slow.queue() == 1);
    let begun = Instant::now();
    drop(loading);
    wait_until("the one that loads ends", || slow.queue() == 0);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_wake_that_panics_takes_nothing_down() {
    let (engine, _) = engine(0, 0, 8);
    let (sink, events) = EventSink::channel(Some(Arc::new(|| panic!("the window is gone"))));
    engine.submit(request(&["writer 20"], Priority::Interactive), sink).expect("taken");
    assert_eq!(text_of(&all_events(&events)), words(20));
    assert!(engine.is_alive());
}

struct Bell(AtomicUsize, std::thread::Thread);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

/// The smallest executor there is.
fn block_on<T>(future: impl Future<Output = T>) -> (T, usize) {
    let bell = Arc::new(Bell(AtomicUsize::new(0), std::thread::current()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (value, bell.0.load(Ordering::SeqCst));
        }
        std::thread::park_timeout(Duration::from_secs(20));
    }
}

#[test]
fn events_can_be_awaited() {
    let (engine, _) = engine(5, 20, 8);
    let (_, events) = submit(&engine, &["writer 5"], Priority::Interactive);
    let (all, woken) = block_on(async {
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            all.push(event);
        }
        all
    });
    assert!(matches!(all.last(), Some(Event::Done { .. })), "and then the mailbox closes");
    assert_eq!(text_of(&all), words(5));
    assert!(woken > 0);
}

#[test]
fn the_newest_status_is_enough_but_no_notice_is_lost() {
    let (engine, news) = crate::fake::listened(FakeTask::default());
    for _ in 0..50 {
        engine.unload_model("nothing").expect("told");
    }
    let (_, events) = submit(&engine, &["a"], Priority::Interactive);
    all_events(&events);
    for _ in 0..2_000 {
        while engine.unload().is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    wait_until("the models are gone", || {
        std::thread::sleep(Duration::from_millis(20));
        news.len() < 10
    });
    let all: Vec<Event> = std::iter::from_fn(|| news.recv_timeout(Duration::from_millis(50)).ok()).collect();
    let last = all.iter().rev().find_map(|e| match e {
        Event::Status(status) => Some::<&Status>(status),
        _ => None,
    });
    assert!(last.is_some_and(|s| s.loaded.is_empty() && s.work.is_empty()), "{last:?}");
    assert_eq!(all.iter().filter(|e| matches!(e, Event::Model(_))).count(), 2, "one came and went");
}
