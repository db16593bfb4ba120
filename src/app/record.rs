//! What the engine reports, as telemetry's spans and marks on the time axis.

use crate::engine::message::{Event, Happening, ModelChange, Report};
use crate::telemetry::span::{Change, Heat, MOST_MATES, Mark, Outcome, Span, Stage, Stages};
use crate::telemetry::store::Store;

/// Puts a request that has ended, or a model that came or went, on the time axis.
pub fn record(store: &mut Store, event: &Event) {
    let (id, report, outcome) = match event {
        Event::Done { id, report } => (id, report, Outcome::Done),
        Event::Cancelled { id, report } => (id, report, Outcome::Cancelled),
        Event::Failed { id, report, .. } => (id, report, Outcome::Failed),
        Event::Model(change) => return model(store, change),
        _ => return,
    };
    let span = span_of(store, id.0, report, outcome);
    store.push_span(span);
}

fn model(store: &mut Store, change: &ModelChange) {
    let (what, ms) = match change.happening {
        Happening::Loaded(took) => (Change::Loaded, took.as_secs_f64() * 1e3),
        Happening::Evicted => (Change::Evicted, 0.0),
        Happening::Dropped => (Change::Dropped, 0.0),
    };
    let model = store.number_of(&change.id);
    store.push_mark(Mark { time: store.seconds(change.at), change: what, model, bytes: change.bytes as u64, ms });
}

fn span_of(store: &mut Store, id: u64, report: &Report, outcome: Outcome) -> Span {
    let t = report.timing;
    let mut mates = [0; MOST_MATES];
    for (slot, mate) in mates.iter_mut().zip(&report.shared_with) {
        *slot = mate.0;
    }
    let stages = report.trace.iter().map(|s| Stage {
        name: s.stage,
        start_ms: s.start as f32,
        ms: s.ms as f32,
        steps: s.steps,
        batch: u16::try_from(s.batch).unwrap_or(u16::MAX),
    });
    Span {
        id,
        task: report.task,
        model: store.number_of(&report.model),
        device: report.device,
        precision: report.precision,
        submitted: store.seconds(report.submitted),
        start: store.seconds(report.started),
        end: store.seconds(report.finished),
        total_ms: t.total,
        ttft_ms: Some(t.ttft).filter(|ms| *ms > 0.0),
        sums: [t.queue, t.load, t.tokenize, t.forward, t.prefill, t.decode, t.postprocess],
        stages: Stages::new(stages),
        done: report.done,
        tokens: report.tokens,
        cached: report.cached,
        saved_ms: report.saved_ms,
        generated: report.generated,
        tokens_per_second: report.tokens_per_second(),
        batch: report.batch,
        mates,
        mate_count: report.shared_with.len(),
        outcome,
        heat: Heat::Warm,
    }
}
