//! One answered input as JSON, the same in the window, on the command line and over the wire.

use super::message::{Report, Timing};
use super::shapes::json_of;
use crate::tasks::{Input, Output};
use serde::Serialize;
use serde_json::Value;

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
    /// The record as people read it, indented.
    pub fn pretty(id: u64, input: &Input, output: &Output, report: &Report) -> String {
        serde_json::to_string_pretty(&Record::new(id, input, output, report)).unwrap_or_default()
    }

    /// The record of `input`, whose `output` came with `report`.
    pub fn new(id: u64, input: &'a Input, output: &Output, report: &'a Report) -> Self {
        let tokens = match output {
            Output::Text(g) => {
                Tokens { input: g.prompt.tokens, output: Some(g.token_ids.len()), cached: Some(g.prompt.cached) }
            }
            Output::Translation(t) => Tokens { input: t.reading.tokens, output: Some(t.tokens), cached: None },
            Output::Digest(d) => Tokens { input: d.reading.tokens, output: Some(d.tokens), cached: None },
            other => Tokens { input: other.reading().map_or(0, |r| r.tokens), output: None, cached: None },
        };
        Self {
            id,
            task: report.task,
            model: &report.model,
            device: report.device,
            input: input.text(),
            output: json_of(output, input.context()),
            timing_ms: report.timing.into(),
            tokens,
            warnings: &report.warnings,
        }
    }
}
