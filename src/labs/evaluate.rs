//! Accuracy on labelled data, with its confidence interval, beside latency and throughput.

use crate::engine::message::{Event, EventSink, Priority, Request, Timing};
use crate::engine::{Engine, SubmitError, wait_for_end};
use crate::error::UserMessage;
use crate::labs::lines;
use crate::tasks::{Options, Output};
use crate::telemetry::stats::{Percentiles, percentiles, wilson};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// A labelled text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub label: String,
    pub text: String,
}

/// Reads a TSV `label<TAB>text`. Numeric labels are positions in the model's list of labels.
///
/// # Errors
/// An unreadable file, or a line without a tab, by its number.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, UserMessage> {
    let parse = |(i, line): (usize, String)| match line.split_once('\t') {
        Some((label, text)) => Ok(Row { label: label.trim().to_owned(), text: text.to_owned() }),
        None => Err(UserMessage::new(
            "The data could not be read",
            format!("'{}': text line {} has no tab", path.display(), i + 1),
            "Each line must be: label, tab, text.",
        )),
    };
    lines::read(path)?.into_iter().enumerate().map(parse).collect()
}

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    pub task: &'static str,
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub data: String,
    pub n: usize,
    pub correct: usize,
    pub accuracy: f64,
    /// 95 % Wilson interval of the accuracy.
    pub accuracy_ci95: [f64; 2],
    pub macro_f1: f64,
    pub f1: BTreeMap<String, f64>,
    /// Texts that could not be analysed; they count as wrong.
    pub failed: usize,
    /// Per request, one text each, from submission; the model was loaded before.
    pub latency_ms: Percentiles,
    pub texts_per_second: f64,
    pub load_ms: f64,
    pub warnings: Vec<String>,
}

/// Runs every row as a request of its own, one after the other, so that latencies are those of
/// single requests. `progress` gets the rows done.
///
/// # Errors
/// An empty data set, or the message with which the first request failed if all do.
pub fn evaluate(
    engine: &Engine,
    task: &'static str,
    model: Option<&str>,
    data: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<Evaluation, UserMessage> {
    if crate::tasks::writes(task) {
        return Err(no_labels(task));
    }
    let rows = read_rows(data)?;
    let warm = ask(engine, task, model, &rows[0].text)?;
    let load_ms = warm.timing.load;
    let (mut gold, mut guesses, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = 0;
    let mut last = None;
    let begun = Instant::now();
    for (i, row) in rows.iter().enumerate() {
        match ask(engine, task, model, &row.text) {
            Ok(answer) => {
                latencies.push(answer.timing.total);
                let Some(scores) = answer.output.scores() else { return Err(no_labels(task)) };
                let by_number = row.label.parse::<usize>().ok().and_then(|n| scores.scores.get(n));
                gold.push(by_number.map_or_else(|| row.label.clone(), |s| s.0.clone()));
                guesses.push(scores.top().0.to_owned());
                last = Some(answer);
            }
            Err(message) => {
                failed += 1;
                gold.push(row.label.clone());
                guesses.push(String::new());
                tracing::warn!(row = i + 1, %message, "not analysed");
            }
        }
        progress(i + 1, rows.len());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let last = last.unwrap_or(warm);
    let correct = gold.iter().zip(&guesses).filter(|(a, b)| a == b).count();
    let f1 = f1_by_label(&gold, &guesses);
    Ok(Evaluation {
        task,
        model: last.model,
        device: last.device,
        precision: last.precision,
        data: data.display().to_string(),
        n: rows.len(),
        correct,
        accuracy: correct as f64 / rows.len() as f64,
        accuracy_ci95: wilson(correct, rows.len()),
        macro_f1: f1.values().sum::<f64>() / f1.len().max(1) as f64,
        f1,
        failed,
        latency_ms: percentiles(&latencies).unwrap_or_default(),
        texts_per_second: rows.len() as f64 / seconds,
        load_ms,
        warnings: last.warnings,
    })
}

fn no_labels(task: &str) -> UserMessage {
    UserMessage::new(
        "Nothing was measured",
        format!("'{task}' gives no labels that could be right or wrong"),
        "Measure how well a language model predicts a text: glossa eval perplexity --data FILE.txt",
    )
}

/// One answered request.
pub struct Answer {
    pub output: Output,
    pub timing: Timing,
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub warnings: Vec<String>,
}

/// Submits one text and waits for its answer.
///
/// # Errors
/// The message with which the request failed.
pub fn ask(engine: &Engine, task: &'static str, model: Option<&str>, text: &str) -> Result<Answer, UserMessage> {
    let (sink, events) = EventSink::channel(None);
    let request = Request {
        task,
        model: model.map(str::to_owned),
        inputs: vec![text.into()],
        options: Options::default(),
        priority: Priority::Interactive,
    };
    engine.submit(request, sink)?;
    let mut output = None;
    let end = wait_for_end(&events, |event| {
        if let Some(answer) = event.first_answer() {
            output = Some(answer.clone());
        }
    });
    match (end, output) {
        (Some(Event::Done { report, .. }), Some(output)) => Ok(Answer {
            output,
            timing: report.timing,
            model: report.model,
            device: report.device,
            precision: report.precision,
            warnings: report.warnings,
        }),
        (Some(Event::Failed { message, .. }), _) => Err(message),
        _ => Err(SubmitError::Stopped.into()),
    }
}

/// F1 of each label that occurs in `gold`.
fn f1_by_label(gold: &[String], guesses: &[String]) -> BTreeMap<String, f64> {
    let mut result = BTreeMap::new();
    for label in gold {
        result.entry(label.clone()).or_insert_with(|| {
            let count = |f: &dyn Fn(bool, bool) -> bool| {
                gold.iter().zip(guesses).filter(|(g, p)| f(*g == label, *p == label)).count() as f64
            };
            let (both, gold_only, guess_only) = (count(&|g, p| g && p), count(&|g, p| g && !p), count(&|g, p| !g && p));
            if both == 0.0 { 0.0 } else { 2.0 * both / (2.0 * both + gold_only + guess_only) }
        });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_matches_a_hand_count() {
        let s = |v: &[&str]| v.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>();
        let f1 = f1_by_label(&s(&["a", "a", "b", "b"]), &s(&["a", "b", "b", "b"]));
        assert!((f1["a"] - 2.0 / 3.0).abs() < 1e-12);
        assert!((f1["b"] - 0.8).abs() < 1e-12);
    }
}
