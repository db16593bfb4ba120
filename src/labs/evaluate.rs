//! Accuracy on labelled data, with its confidence interval, beside latency and throughput.

use super::doubts::{Doubts, listed, quoted};
use super::eval_kinds::{self, Agreement};
use super::labelled::{Labelled, Row, read_labelled};
use super::labels::{Labels, own};
use super::measure::{Measured, Query};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::ScoreKind;
use crate::telemetry::stats::wilson;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Lines below which a share says nothing about the data.
const FEW: usize = 20;
/// Labels that a data set can be expected to have all of.
const FEW_LABELS: usize = 5;
/// A label that the data lacks is told of if it makes one in so many answers.
const ODD_ONE_IN: usize = 20;

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

/// What was found: of labels how many are right, of numbers how near they are.
#[derive(Clone, Debug)]
pub enum Found {
    Labels(Evaluation),
    Numbers(Agreement),
}

/// Runs every row as a request of its own. `progress` gets the rows done.
///
/// # Errors
/// An empty data set, labels none of which the model knows, or the message with which the first request failed.
pub fn evaluate(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<Found, UserMessage> {
    if crate::tasks::writes(query.task) {
        return Err(no_labels(query.task));
    }
    let Labelled { rows, doubts } = read_labelled(data)?;
    let mut known: Option<(Labels, Vec<String>)> = None;
    let (mut guesses, mut numbers): (Vec<String>, Vec<Option<f64>>) = (Vec::new(), Vec::new());
    let (mut several, mut are_numbers) = (false, false);
    let inputs = rows.iter().map(|r| r.text.as_str().into()).collect();
    let mut measured = query.measure(engine, inputs, data, progress, |_, output| {
        let Some(output) = output else {
            guesses.push(String::new());
            numbers.push(None);
            return Ok(());
        };
        let Some(scores) = output.scores() else { return Err(no_labels(query.task)) };
        numbers.push(Some(scores.top().1));
        are_numbers = scores.kind == ScoreKind::Number;
        several = scores.kind == ScoreKind::Each && scores.scores.len() > 1;
        if known.is_none() && !are_numbers {
            let names = eval_kinds::names(scores);
            known = Some((understood(&rows, (&names, several), data)?, names));
        }
        guesses.push(eval_kinds::decide(scores));
        Ok(())
    })?;
    measured.warnings.extend(&doubts);
    if are_numbers {
        return eval_kinds::agreement(&rows, &numbers, measured, data).map(Found::Numbers);
    }
    let Some((labels, names)) = known else { return Err(no_labels(query.task)) };
    let gold: Vec<String> = rows.iter().map(|r| eval_kinds::meant(&r.label, several, &labels, &names)).collect();
    labels.tell(&names.iter().map(String::as_str).collect::<Vec<_>>(), &mut measured.warnings);
    let correct = gold.iter().zip(&guesses).filter(|(a, b)| a == b).count();
    weigh(&gold, &guesses, &names, &mut measured.warnings);
    let f1 = if several { f1_of(&names, &gold, &guesses, true) } else { f1_by_label(&gold, &guesses) };
    Ok(Found::Labels(Evaluation {
        correct,
        accuracy: correct as f64 / rows.len() as f64,
        accuracy_ci95: wilson(correct, rows.len()),
        macro_f1: f1.values().sum::<f64>() / f1.len().max(1) as f64,
        f1,
        measured,
    }))
}

/// The labels of `rows` as the model's.
///
/// # Errors
/// None of them is, or another column has them: then there is nothing to measure.
fn understood(rows: &[Row], (names, several): (&[String], bool), data: &Path) -> Result<Labels, UserMessage> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let labels = Labels::read(rows.iter().flat_map(|r| eval_kinds::parts(&r.label, several)), &names);
    if labels.lines_known() * 2 >= labels.lines && labels.lines_known() > 0 {
        return Ok(labels);
    }
    let column = |at: usize| rows.iter().map(move |r| r.text.split('\t').nth(at).unwrap_or("").trim());
    let most = rows.first().map_or(0, |r| r.text.split('\t').count());
    let elsewhere = (0..most).find(|at| {
        let there = Labels::read(column(*at), &names);
        there.lines_known() * 10 >= there.lines * 9
    });
    if labels.lines_known() > 0 && elsewhere.is_none() {
        return Ok(labels);
    }
    let why = labels.about_numbers().map(|w| format!("; {w}")).unwrap_or_default();
    let why = format!(
        "the model does not know the labels in the first column of '{}': {}{why}",
        data.display(),
        listed(&labels.strangers())
    );
    let next = match elsewhere {
        Some(at) => format!("Column {} has labels that it knows: put it first (label, tab, text).", at + 2),
        None => format!("It knows {}: write one of these into the first column.", own(&names)),
    };
    Err(UserMessage::new("Nothing was measured", why, next))
}

/// What the labels and the answers together say against the numbers.
fn weigh(gold: &[String], guesses: &[String], names: &[String], doubts: &mut Doubts) {
    let count = |list: &[String], name: &String| list.iter().filter(|l| *l == name).count();
    if let Some(first) = gold.first().filter(|first| gold.iter().all(|l| l == *first)) {
        doubts.doubt(format!(
            "every line has the label {}: accuracy and F1 say little without lines of other labels",
            quoted(first)
        ));
        return;
    }
    let n = gold.len();
    if n >= FEW && gold.iter().collect::<HashSet<_>>().len() == n {
        doubts.doubt(
            "every line has a label of its own: the label must be the first column, without numbers of lines before it",
        );
    }
    // Of many labels some are missing by chance.
    let is_missing = |name: &&String| count(gold, name) == 0 && count(guesses, name) * ODD_ONE_IN >= n;
    let missing: Vec<&String> = names.iter().filter(is_missing).collect();
    if n >= FEW && names.len() <= FEW_LABELS && !missing.is_empty() {
        let given: usize = missing.iter().map(|m| count(guesses, m)).sum();
        doubts.doubt(format!(
            "no line has the label {}, which the model gave {given} times: they count as wrong",
            listed(&missing)
        ));
    }
    let right = gold.iter().zip(guesses).filter(|(a, b)| a == b).count();
    if n >= FEW && names.len() == 2 && wilson(right, n)[1] < 0.5 {
        doubts.doubt("fewer answers are right than by guessing: are the two labels exchanged?");
    }
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
    f1_of(gold, gold, guesses, false)
}

/// F1 of each of `labels`; of one text `several` may hold.
fn f1_of(labels: &[String], gold: &[String], guesses: &[String], several: bool) -> BTreeMap<String, f64> {
    let mut result = BTreeMap::new();
    for label in labels {
        result.entry(label.clone()).or_insert_with(|| {
            let has = |all: &str| eval_kinds::has(all, label, several);
            let count = |f: &dyn Fn(bool, bool) -> bool| {
                gold.iter().zip(guesses).filter(|(g, p)| f(has(g), has(p))).count() as f64
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

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn labels_that_nothing_can_be_measured_with_are_refused_with_the_models_own() {
        let names = owned(&["negative", "positive"]);
        let refused = |rows: &[(&str, &str)]| {
            let row = |r: &(&str, &str)| Row { label: r.0.into(), text: r.1.into() };
            let rows: Vec<Row> = rows.iter().map(row).collect();
            understood(&rows, (&names, false), Path::new("d.tsv")).err().map(|e| e.to_string())
        };
        assert_eq!(refused(&[("1", "A fine film."), ("negative", "x")]), None);
        assert_eq!(refused(&[("mixed", "A film."), ("other", "x"), ("1", "x")]), None);
        let own = "It knows 'negative', 'positive' (or the numbers 0 to 1)";
        for (rows, said) in [
            (&[("good", "A fine film.")][..], own),
            (&[("1", "A fine film."), ("2", "A good film.")], "from 1"),
            (&[("A fine film.", "positive"), ("A dull film.", "negative")], "Column 2"),
            (&[("0", "A fine film.\tpos"), ("1", "A dull film.\tneg"), ("2", "x\tpos")], "Column 3"),
            (&[("1", "0\tA fine film."), ("7", "1\tA dull film."), ("8", "1\tx")], "Column 2"),
        ] {
            let error = refused(rows).unwrap_or_else(|| panic!("{rows:?} is accepted"));
            assert!(error.contains(said) && error.contains("d.tsv"), "{rows:?}: {error}");
        }
    }

    #[test]
    fn numbers_that_say_nothing_are_doubted() {
        let two = owned(&["negative", "positive"]);
        let three = owned(&["negative", "neutral", "positive"]);
        let told = |gold: &[&str], guesses: &[&str], names: &[String]| {
            let mut doubts = Doubts::default();
            weigh(&owned(&gold.repeat(10)), &owned(&guesses.repeat(10)), names, &mut doubts);
            doubts
        };
        let (n, p, m) = ("negative", "positive", "neutral");
        assert_eq!(told(&[n, p, p], &[n, p, n], &two), Doubts::default());
        for (doubts, said) in [
            (told(&[p], &[p], &two), "every line has the label 'positive'"),
            (told(&[n, p, p], &[p, n, n], &two), "exchanged"),
            (told(&[n, p, p], &[n, p, m], &three), "no line has the label 'neutral', which the model gave 10 times"),
        ] {
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{said}: {doubts:?}");
        }
        let own: Vec<String> = (0..20).map(|i| format!("line {i}")).collect();
        let mut doubts = Doubts::default();
        weigh(&own, &own, &own, &mut doubts);
        assert!(doubts.iter().any(|d| d.contains("label of its own")));
    }

    #[test]
    fn f1_matches_a_hand_count() {
        let s = |v: &[&str]| v.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>();
        let f1 = f1_by_label(&s(&["a", "a", "b", "b"]), &s(&["a", "b", "b", "b"]));
        assert!((f1["a"] - 2.0 / 3.0).abs() < 1e-12);
        assert!((f1["b"] - 0.8).abs() < 1e-12);
    }
}
