//! The recorder over days: memory that does not grow, and no allocation once it runs.

use allocation_counter::measure;
use glossa::telemetry::channel::{Channel, Facts, Key, Unit};
use glossa::telemetry::sources::{Probe, Sources};
use glossa::telemetry::span::{Heat, Outcome, STAGES, Span, Stages};
use glossa::telemetry::statistics::Filter;
use glossa::telemetry::store::Store;
use std::path::Path;

fn span(id: u64, end: f64) -> Span {
    Span {
        id,
        task: "sentiment",
        model: 0,
        device: "cpu",
        precision: "f32",
        submitted: end - 0.01,
        start: end - 0.01,
        end,
        total_ms: 10.0 + (id % 90) as f64,
        ttft_ms: None,
        sums: [0.0; STAGES.len()],
        stages: Stages::new([]),
        done: 1,
        tokens: 12,
        cached: 0,
        saved_ms: 0,
        generated: 0,
        tokens_per_second: None,
        batch: 1,
        mates: [0; 8],
        mate_count: 0,
        outcome: Outcome::Done,
        heat: Heat::Warm,
    }
}

fn store(channels: usize) -> Store {
    let mut store = Store::default();
    let key = |i: usize| Key::Core(u16::try_from(i).expect("small"));
    let all: Vec<Channel> =
        (0..channels).map(|i| Channel::new(key(i), format!("c{i}"), Unit::Percent, "test")).collect();
    store.describe(&all, &Facts::default());
    store.number_of("model");
    store
}

#[test]
fn a_day_of_readings_and_requests_keeps_memory_flat() {
    const CHANNELS: usize = 40;
    let mut store = store(CHANNELS);
    let mut row = [0f32; CHANNELS];
    let mut id = 0;
    let mut run = |store: &mut Store, from: u32, to: u32| {
        for tick in from..to {
            let time = f64::from(tick) * 0.1;
            row.iter_mut().enumerate().for_each(|(i, v)| *v = (tick as f32 * 0.01 + i as f32) % 100.0);
            store.push_row(time, &row);
            // A request every half second, and bursts of a hundred.
            for _ in 0..if tick % 36_000 == 0 { 100 } else { u32::from(tick % 5 == 0) } {
                id += 1;
                store.push_span(span(id, time));
            }
        }
    };
    // The first request of a task makes its histogram; after that nothing is taken.
    run(&mut store, 0, 10);
    let bytes = store.bytes();
    let day = measure(|| run(&mut store, 10, 864_000));
    assert_eq!((day.count_total, day.bytes_total), (0, 0), "{day:?}");
    assert_eq!(store.bytes(), bytes);
    assert!(bytes < 40_000_000, "{bytes}");
    // Six hours of seconds and the newest ten minutes are there, and the peaks in them.
    let last = 86_399.9;
    assert!(store.value_at(3, last - 21_000.0).is_some() && store.value_at(3, last - 22_000.0).is_none());
    let curve = store.curve(3, last - 21_000.0, last, 700);
    assert!(curve.points.len() < 1_500 && curve.top(0.0) > 99.0 && curve.breaks.is_empty());
    let statistics = store.statistics(0.0, last, Filter::default());
    assert!(statistics.is_cut && statistics.latency.is_some_and(|l| l.n == 65_536));
    let session = store.sessions().all()[0].latency().expect("latency");
    assert_eq!(session.n, usize::try_from(id).expect("small"));
}

#[test]
fn reading_a_board_allocates_nothing_once_it_runs() {
    for name in ["orin-nano-jp6", "agx-orin-jp6", "pc-plain"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/boards").join(name);
        let mut sources = Sources::open(Probe::new(root));
        let mut tick = 0u32;
        let mut run = |ticks: u32| {
            for _ in 0..ticks {
                // Facts are looked up every five seconds, and that may allocate: in between nothing does.
                sources.read(f64::from(tick) * 0.1);
                tick += 1;
            }
        };
        run(1);
        run(4);
        let counted = measure(|| run(40));
        assert_eq!(counted.count_total, 0, "{name}: {counted:?}");
        // And what the looking up takes, it gives back.
        let minutes = measure(|| run(1_800));
        assert!(minutes.count_current.abs() <= 4, "{name}: {minutes:?}");
    }
}
