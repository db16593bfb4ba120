//! One answered input as JSON, the same in the window, on the command line and over the wire.

use super::message::{Report, Timing};
use crate::tasks::language::Generated;
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

/// Milliseconds by stage. `load` stands only where a model was read; tasks that write have
/// `prefill`, `decode` and `ttft` instead of `forward`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub queue: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    pub tokenize: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    pub postprocess: f64,
    pub total: f64,
}

/// Token counts; `output` and `cached` where a task writes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tokens {
    pub input: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<usize>,
    /// Of the input, read in an earlier request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<usize>,
}

impl From<Timing> for Times {
    fn from(t: Timing) -> Self {
        let round = |ms: f64| (ms * 1e3).round() / 1e3;
        let writes = (t.ttft > 0.0).then_some(());
        Self {
            queue: round(t.queue),
            load: Some(round(t.load)).filter(|ms| *ms > 0.0),
            tokenize: round(t.tokenize),
            forward: Some(round(t.forward)).filter(|_| writes.is_none()),
            prefill: writes.map(|()| round(t.prefill)),
            decode: writes.map(|()| round(t.decode)),
            ttft: writes.map(|()| round(t.ttft)),
            postprocess: round(t.postprocess),
            total: round(t.total),
        }
    }
}

impl<'a> Record<'a> {
    /// The record of `input`, whose `output` came with `report`.
    pub fn new(id: u64, input: &'a str, output: &Output, report: &'a Report) -> Self {
        let (output, tokens) = match output {
            Output::Scores(s) => (scores_json(s), Tokens { input: s.tokens, output: None, cached: None }),
            Output::Text(g) => {
                let (input, cached) = (g.prompt.tokens, Some(g.prompt.cached));
                (text_json(g), Tokens { input, output: Some(g.token_ids.len()), cached })
            }
        };
        Self {
            id,
            task: report.task,
            model: &report.model,
            device: report.device,
            input,
            output,
            timing_ms: report.timing.into(),
            tokens,
            warnings: &report.warnings,
        }
    }
}

fn text_json(g: &Generated) -> Value {
    let mut json = json!({
        "text": g.text,
        "token_ids": g.token_ids,
        "finish_reason": g.finish_reason,
        "seed": g.seed,
    });
    if g.steps.iter().any(|s| !s.top.is_empty()) {
        json["steps"] = json!(g.steps);
    }
    json
}

fn scores_json(scores: &Scores) -> Value {
    let map: Map<String, Value> = scores.scores.iter().map(|(label, p)| (label.clone(), json!(p))).collect();
    json!({ "label": scores.top().0, "scores": map })
}
