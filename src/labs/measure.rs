//! Labelled inputs as requests of their own, one after the other, so that latencies are those of
//! single requests.

use super::doubts::{Doubts, counted};
use crate::engine::message::{ClientId, Event, EventSink, Priority, Report, Request, Timing};
use crate::engine::{Engine, SubmitError, wait_for_end};
use crate::error::UserMessage;
use crate::tasks::{Input, Options, Output};
use crate::telemetry::stats::{Percentiles, percentiles};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Instant;

/// What is asked of which model.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub task: &'static str,
    pub model: Option<&'a str>,
    pub options: &'a Options,
}

/// What any measurement on data says beside its scores.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub task: &'static str,
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub data: String,
    pub n: usize,
    /// Inputs that could not be analysed; they count as wrong.
    pub failed: usize,
    /// Per request, one input each, from submission; the model was loaded before.
    pub latency_ms: Percentiles,
    pub texts_per_second: f64,
    pub load_ms: f64,
    pub warnings: Doubts,
}

/// A stage's name, and its share of a request's time.
pub type Stage = (&'static str, fn(&Timing) -> f64);

/// An answer that took several requests, in the envelope of every answer: times and tokens added up.
pub fn envelope((id, task, input): (u64, &str, &str), output: Value, stages: &[Stage], reports: &[Report]) -> Value {
    let sum = |of: &dyn Fn(&Report) -> f64| (reports.iter().map(of).sum::<f64>() * 1e3).round() / 1e3;
    let mut models: Vec<&str> = reports.iter().map(|r| r.model.as_str()).collect();
    models.dedup();
    let mut timing: Map<String, Value> =
        stages.iter().map(|(name, of)| ((*name).to_owned(), json!(sum(&|r| of(&r.timing))))).collect();
    timing.insert("total".into(), json!(sum(&|r| r.timing.total)));
    let mut tokens = json!({ "input": reports.iter().map(|r| r.tokens).sum::<usize>() });
    let written: usize = reports.iter().map(|r| r.generated).sum();
    if written > 0 {
        tokens["output"] = json!(written);
    }
    let mut warnings: Vec<&String> = reports.iter().flat_map(|r| &r.warnings).collect();
    warnings.dedup();
    json!({
        "id": id,
        "task": task,
        "model": models.join(", "),
        "device": reports.first().map_or("none", |r| r.device),
        "input": input,
        "output": output,
        "timing_ms": timing,
        "tokens": tokens,
        "warnings": warnings,
    })
}

impl Query<'_> {
    /// A request for `inputs`.
    pub fn request(&self, inputs: Vec<Input>, priority: Priority) -> Request {
        Request {
            task: self.task,
            model: self.model.map(str::to_owned),
            inputs,
            options: self.options.clone(),
            priority,
            client: ClientId::default(),
        }
    }

    /// Submits one input and waits for its answer.
    ///
    /// # Errors
    /// The message with which the request failed.
    pub fn ask(&self, engine: &Engine, input: Input) -> Result<(Output, Report), UserMessage> {
        let (mut outputs, report) = self.ask_all(engine, vec![input], Priority::Interactive, |_, _| {})?;
        match outputs.pop() {
            Some(Ok(output)) => Ok((output, report)),
            Some(Err(message)) => Err(message),
            None => Err(SubmitError::Stopped.into()),
        }
    }

    /// Submits all inputs as one request and waits for the answers, in the order of the inputs.
    /// `progress` gets the inputs done.
    ///
    /// # Errors
    /// The message with which the request failed as a whole.
    pub fn ask_all(
        &self,
        engine: &Engine,
        inputs: Vec<Input>,
        priority: Priority,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(Vec<Result<Output, UserMessage>>, Report), UserMessage> {
        let (sink, events) = EventSink::channel(None);
        let mut outputs: Vec<Option<Result<Output, UserMessage>>> = vec![None; inputs.len()];
        engine.submit(self.request(inputs, priority), sink)?;
        let end = wait_for_end(&events, |event| {
            if let Event::Items { items, done, total, .. } = event {
                for (index, result) in items {
                    outputs[*index] = Some(result.clone());
                }
                progress(*done, *total);
            }
        });
        match end {
            Some(Event::Done { report, .. }) => Ok((outputs.into_iter().flatten().collect(), report)),
            Some(Event::Failed { message, .. }) => Err(message),
            _ => Err(SubmitError::Stopped.into()),
        }
    }

    /// Runs every input by itself; `take` gets each answer, `None` where there is none.
    ///
    /// # Errors
    /// No input at all, or the message with which the first failed.
    pub fn measure(
        &self,
        engine: &Engine,
        inputs: Vec<Input>,
        data: &Path,
        mut progress: impl FnMut(usize, usize),
        mut take: impl FnMut(usize, Option<&Output>) -> Result<(), UserMessage>,
    ) -> Result<Measured, UserMessage> {
        let Some(first) = inputs.first() else {
            let why = format!("'{}' has no rows", data.display());
            return Err(UserMessage::new("Nothing was measured", why, "Choose another file."));
        };
        let warm = self.ask(engine, first.clone())?.1;
        let (n, load_ms) = (inputs.len(), warm.timing.load);
        let (mut latencies, mut failed, mut last) = (Vec::new(), 0, warm);
        let begun = Instant::now();
        for (i, input) in inputs.into_iter().enumerate() {
            match self.ask(engine, input) {
                Ok((output, report)) => {
                    latencies.push(report.timing.total);
                    take(i, Some(&output))?;
                    last = report;
                }
                Err(message) => {
                    failed += 1;
                    take(i, None)?;
                    tracing::warn!(row = i + 1, %message, "not analysed");
                }
            }
            progress(i + 1, n);
        }
        let mut warnings = Doubts::default();
        last.warnings.iter().for_each(|w| warnings.note(w));
        let text = format!("{} could not be analysed and count as wrong (-v tells why)", counted(failed, "input"));
        // Half of the answers are no measurement of the model.
        if failed * 2 >= n {
            warnings.doubt(text)
        } else {
            warnings.some(failed, usize::MAX, text)
        }
        Ok(Measured {
            task: self.task,
            model: last.model,
            device: last.device,
            precision: last.precision,
            data: data.display().to_string(),
            n,
            failed,
            latency_ms: percentiles(&latencies).unwrap_or_default(),
            texts_per_second: n as f64 / begun.elapsed().as_secs_f64(),
            load_ms,
            warnings,
        })
    }
}
