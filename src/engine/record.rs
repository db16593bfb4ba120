//! One answered input as JSON, the same in the window, on the command line and over the wire.

use super::message::{Report, Timing};
use crate::tasks::{Output, Scores};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// An input with its answer and what it cost.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    pub id: u64,
    pub task: &'static str,
    pub model: &'a str,
    pub device: &'static str,
    pub input: &'a str,
    pub output: Value,
    pub timing_ms: Times,
    pub tokens: Tokens,
    pub warnings: &'a [String],
}

/// Milliseconds by stage; `load` only where a model was read.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub queue: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub load: f64,
    pub tokenize: f64,
    pub forward: f64,
    pub postprocess: f64,
    pub total: f64,
}

/// Token counts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tokens {
    pub input: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

impl From<Timing> for Times {
    fn from(t: Timing) -> Self {
        let round = |ms: f64| (ms * 1e3).round() / 1e3;
        Self {
            queue: round(t.queue),
            load: round(t.load),
            tokenize: round(t.tokenize),
            forward: round(t.forward),
            postprocess: round(t.postprocess),
            total: round(t.total),
        }
    }
}

impl<'a> Record<'a> {
    /// The record of `input`, whose `output` came with `report`.
    pub fn new(id: u64, input: &'a str, output: &Output, report: &'a Report) -> Self {
        let Output::Scores(scores) = output;
        Self {
            id,
            task: report.task,
            model: &report.model,
            device: report.device,
            input,
            output: scores_json(scores),
            timing_ms: report.timing.into(),
            tokens: Tokens { input: scores.tokens },
            warnings: &report.warnings,
        }
    }
}

fn scores_json(scores: &Scores) -> Value {
    let map: Map<String, Value> = scores.scores.iter().map(|(label, p)| (label.clone(), json!(p))).collect();
    json!({ "label": scores.top().0, "scores": map })
}
