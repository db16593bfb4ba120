//! Readings and requests as CSV and JSON, with units.

use super::Snapshot;
use crate::telemetry::channel::Unit;
use crate::telemetry::span::{STAGES, Span};
use serde_json::{Map, Value, json};

/// A row per reading: seconds since Glossa's start, time of day, a column per channel. What is
/// absent is an empty cell.
///
/// # Errors
/// Never in memory; the writer's type has them.
pub fn readings_csv(snapshot: &Snapshot) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let unit = |u: Unit| if u.name().is_empty() { String::new() } else { format!(" ({})", u.name()) };
    let heads = snapshot.channels.iter().map(|c| format!("{}{}", c.name, unit(c.unit)));
    out.write_record(["time (s)".to_owned(), "time (UTC)".to_owned()].into_iter().chain(heads))?;
    for (row, time) in snapshot.times.iter().enumerate() {
        let value = |column: &Vec<f32>| match column[row] {
            v if v.is_finite() => v.to_string(),
            _ => String::new(),
        };
        let first = [format!("{time:.3}"), snapshot.clock(*time)];
        out.write_record(first.into_iter().chain(snapshot.values.iter().map(value)))?;
    }
    into_bytes(out)
}

fn into_bytes(out: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    out.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// A row per request, with its stages, tokens and joules.
///
/// # Errors
/// Never in memory; the writer's type has them.
pub fn requests_csv(snapshot: &Snapshot) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut heads: Vec<String> = ["id", "task", "model", "device", "precision", "outcome", "start"]
        .into_iter()
        .chain(["submitted (s)", "started (s)", "ended (s)", "latency (ms)", "first token (ms)"])
        .map(str::to_owned)
        .collect();
    heads.extend(STAGES.map(|s| format!("{s} (ms)")));
    let last = [
        "texts",
        "tokens read",
        "known already",
        "saved (ms)",
        "tokens written",
        "tokens/s",
        "batch",
        "shared steps with",
        "energy (J)",
    ];
    heads.extend(last.map(str::to_owned));
    out.write_record(&heads)?;
    for span in &snapshot.spans {
        let optional = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.3}"));
        let mut row: Vec<String> = vec![
            span.id.to_string(),
            span.task.into(),
            model(snapshot, span.model).into(),
            span.device.into(),
            span.precision.into(),
            word(&span.outcome),
            word(&span.heat),
        ];
        row.extend([span.submitted, span.start, span.end, span.total_ms].map(|v| format!("{v:.3}")));
        row.push(optional(span.ttft_ms));
        row.extend(span.sums.map(|ms| format!("{ms:.3}")));
        row.extend([span.done, span.tokens, span.cached].map(|n| n.to_string()));
        row.extend([span.saved_ms.to_string(), span.generated.to_string()]);
        row.push(optional(span.tokens_per_second));
        row.extend([span.batch, span.mate_count].map(|n| n.to_string()));
        row.push(optional(snapshot.energy(span.id).map(|e| e.joules)));
        out.write_record(&row)?;
    }
    into_bytes(out)
}

fn model(snapshot: &Snapshot, number: u16) -> &str {
    snapshot.models.get(usize::from(number)).map_or("", String::as_str)
}

/// A simple enum as its word.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Everything, as one object. Samples stand only where `samples` asks for them.
pub fn json(snapshot: &Snapshot, samples: bool) -> Value {
    let channels: Vec<Value> = (0..snapshot.channels.len()).map(|c| channel(snapshot, c, samples)).collect();
    let tasks: Map<String, Value> = snapshot.tasks.iter().map(|(t, s)| ((*t).to_owned(), json!(s))).collect();
    let session = snapshot.session.iter().map(|(task, latency, cold)| {
        ((*task).to_owned(), json!({ "latency_ms": latency, "error": "at most 0.1 %", "cold": cold }))
    });
    let marks = snapshot.marks.iter().map(|m| {
        json!({ "time_s": round(m.time), "change": m.change, "model": model(snapshot, m.model),
                "bytes": m.bytes, "ms": round(m.ms) })
    });
    let mut out = json!({
        "glossa": env!("CARGO_PKG_VERSION"),
        "machine": snapshot.facts,
        "device_notice": snapshot.device_notice,
        "from_s": round(snapshot.from),
        "to_s": round(snapshot.to),
        "began": snapshot.clock(0.0),
        "sampler_percent_of_a_core": snapshot.cost,
        "channels": channels,
        "statistics": snapshot.statistics,
        "tasks": tasks,
        "session": session.collect::<Map<String, Value>>(),
        "requests": snapshot.spans.iter().map(|s| request(snapshot, s)).collect::<Vec<_>>(),
        "models": marks.collect::<Vec<_>>(),
        "warnings": snapshot.warnings,
    });
    if samples {
        out["times_s"] = snapshot.times.iter().map(|t| round(*t)).collect();
    }
    out
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn channel(snapshot: &Snapshot, index: usize, samples: bool) -> Value {
    let mut out = json!(snapshot.channels[index]);
    out["unit"] = snapshot.channels[index].unit.name().into();
    out["age_s"] = snapshot.ages[index].map(round).into();
    out["values"] = json!(snapshot.summary(index));
    if samples {
        // What is absent is null.
        out["samples"] = snapshot.values[index].iter().map(|v| Some(*v).filter(|v| v.is_finite())).collect();
    }
    out
}

fn request(snapshot: &Snapshot, span: &Span) -> Value {
    let stages: Map<String, Value> = span.sums().into_iter().map(|(n, ms)| (n.to_owned(), round(ms).into())).collect();
    let energy = snapshot.energy(span.id);
    json!({
        "id": span.id, "task": span.task, "model": model(snapshot, span.model), "device": span.device,
        "precision": span.precision, "outcome": span.outcome, "start": span.heat,
        "submitted_s": round(span.submitted), "started_s": round(span.start), "ended_s": round(span.end),
        "latency_ms": round(span.total_ms), "first_token_ms": span.ttft_ms.map(round), "stages_ms": stages,
        "trace": span.stages.all(), "texts": span.done, "tokens_read": span.tokens,
        "tokens_known": span.cached, "saved_ms": span.saved_ms, "tokens_written": span.generated,
        "tokens_per_second": span.tokens_per_second.map(round), "batch": span.batch,
        "shared_steps_with": span.mates(), "energy_j": energy.map(|e| round(e.joules)),
        "joules_per_answer": energy.and_then(|e| e.per_answer).map(round),
    })
}
