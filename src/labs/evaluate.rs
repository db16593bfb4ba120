//! Accuracy on labelled data, with its confidence interval, beside latency and throughput.

use crate::engine::Engine;
use crate::error::UserMessage;
use crate::labs::lines;
use crate::labs::measure::{Measured, Query};
use crate::telemetry::stats::wilson;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

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
    #[serde(flatten)]
    pub measured: Measured,
    pub correct: usize,
    pub accuracy: f64,
    /// 95 % Wilson interval of the accuracy.
    pub accuracy_ci95: [f64; 2],
    pub macro_f1: f64,
    pub f1: BTreeMap<String, f64>,
}

/// Runs every row as a request of its own. `progress` gets the rows done.
///
/// # Errors
/// An empty data set, or the message with which the first request failed.
pub fn evaluate(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<Evaluation, UserMessage> {
    if crate::tasks::writes(query.task) {
        return Err(no_labels(query.task));
    }
    let rows = read_rows(data)?;
    let (mut gold, mut guesses) = (Vec::new(), Vec::new());
    let inputs = rows.iter().map(|r| r.text.as_str().into()).collect();
    let measured = query.measure(engine, inputs, data, progress, |i, output| {
        let label = &rows[i].label;
        let Some(output) = output else {
            gold.push(label.clone());
            guesses.push(String::new());
            return Ok(());
        };
        let Some(scores) = output.scores() else { return Err(no_labels(query.task)) };
        let by_number = label.parse::<usize>().ok().and_then(|n| scores.scores.get(n));
        gold.push(by_number.map_or_else(|| label.clone(), |s| s.0.clone()));
        guesses.push(scores.top().0.to_owned());
        Ok(())
    })?;
    let correct = gold.iter().zip(&guesses).filter(|(a, b)| a == b).count();
    let f1 = f1_by_label(&gold, &guesses);
    Ok(Evaluation {
        correct,
        accuracy: correct as f64 / rows.len() as f64,
        accuracy_ci95: wilson(correct, rows.len()),
        macro_f1: f1.values().sum::<f64>() / f1.len().max(1) as f64,
        f1,
        measured,
    })
}

fn no_labels(task: &str) -> UserMessage {
    UserMessage::new(
        "Nothing was measured",
        format!("'{task}' gives no labels that could be right or wrong"),
        "Measure how well a language model predicts a text: glossa eval perplexity --data FILE.txt",
    )
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
