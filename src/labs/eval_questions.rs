//! Exact match and F1 of answers, as SQuAD's official script counts them (Rajpurkar et al. 2016,
//! 2018): lower case, without punctuation and articles, the best over the reference answers.

use super::measure::{Measured, Query};
use super::squad;
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::Input;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What an evaluation found; shares are 0 to 1.
#[derive(Clone, Debug, Serialize)]
pub struct QuestionEvaluation {
    #[serde(flatten)]
    pub measured: Measured,
    pub exact: f64,
    pub f1: f64,
    /// 95 % interval of the F1, from its spread over the questions.
    pub f1_ci95: [f64; 2],
    /// Whether "no answer" was among the possible answers (some question has none).
    pub with_no_answer: bool,
    /// F1 of the questions that have an answer, and accuracy of those that have none.
    pub has_answer_f1: f64,
    pub no_answer_accuracy: Option<f64>,
}

/// Runs every question as a request of its own. Where every question has an answer, the best place
/// counts even if the model holds "no answer" for likelier, as the first SQuAD's rules have it.
///
/// # Errors
/// Data that cannot be read, or the message with which the first request failed.
pub fn evaluate(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<QuestionEvaluation, UserMessage> {
    let rows = squad::read(data)?;
    let with_no_answer = rows.iter().any(|r| r.answers.is_empty());
    // Lines repeat their contexts: each is kept once.
    let mut contexts: HashMap<&str, Arc<str>> = HashMap::new();
    let inputs = rows
        .iter()
        .map(|r| {
            let context = contexts.entry(&r.context).or_insert_with(|| Arc::clone(&r.context));
            Input::Question { question: r.question.clone(), context: Arc::clone(context) }
        })
        .collect();
    let (mut exact, mut f1) = (Vec::new(), Vec::new());
    let mut measured = query.measure(engine, inputs, data, progress, |i, output| {
        let answers = output.and_then(|o| o.answers());
        let best = answers.and_then(|a| if with_no_answer { a.answer() } else { a.places.first() });
        let guess = best.map_or("", |p| p.text.as_str());
        let references: Vec<&str> = rows[i].answers.iter().map(|a| a.text.as_str()).collect();
        let (e, f) = if answers.is_none() { (0.0, 0.0) } else { scores(guess, &references) };
        exact.push(e);
        f1.push(f);
        Ok(())
    })?;
    measured.warnings.extend(&squad::doubts(&rows));
    let of = |has: bool| {
        let picked: Vec<f64> =
            rows.iter().zip(&f1).filter(|(r, _)| r.answers.is_empty() != has).map(|(_, f)| *f).collect();
        (!picked.is_empty()).then(|| mean(&picked))
    };
    Ok(QuestionEvaluation {
        exact: mean(&exact),
        f1: mean(&f1),
        f1_ci95: interval(&f1),
        with_no_answer,
        has_answer_f1: of(true).unwrap_or(0.0),
        no_answer_accuracy: of(false),
        measured,
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Mean ± 1.96 standard errors.
fn interval(values: &[f64]) -> [f64; 2] {
    let (m, n) = (mean(values), values.len().max(2) as f64);
    let spread = values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (n - 1.0);
    let half = 1.96 * (spread / n).sqrt();
    [(m - half).max(0.0), (m + half).min(1.0)]
}

/// Exact match and F1 of `guess` against the best of `references`; without any, nothing is right.
pub fn scores(guess: &str, references: &[&str]) -> (f64, f64) {
    let mine = normalized(guess);
    if references.is_empty() {
        let right = f64::from(u8::from(mine.is_empty()));
        return (right, right);
    }
    references.iter().fold((0.0, 0.0), |(exact, f1): (f64, f64), reference| {
        let theirs = normalized(reference);
        (exact.max(f64::from(u8::from(mine == theirs))), f1.max(overlap(&mine, &theirs)))
    })
}

/// F1 of the words of both.
fn overlap(a: &[String], b: &[String]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a == b));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in a {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0usize;
    for word in b {
        if let Some(count) = left.get_mut(word.as_str()).filter(|c| **c > 0) {
            *count -= 1;
            common += 1;
        }
    }
    2.0 * common as f64 / (a.len() + b.len()) as f64
}

/// The words of an answer: lower case, ASCII punctuation dropped, without a, an, the.
fn normalized(text: &str) -> Vec<String> {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    bare.split_whitespace().filter(|w| !matches!(*w, "a" | "an" | "the")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_as_the_official_script_counts() {
        assert_eq!(scores("The 1961 to 1972.", &["1961 to 1972"]), (1.0, 1.0));
        let (exact, f1) = scores("Apollo ran from 1961", &["1961 to 1972", "from 1961"]);
        assert_eq!(exact, 0.0);
        assert!((f1 - 2.0 * 2.0 / 6.0).abs() < 1e-12);
        assert_eq!(scores("", &[]), (1.0, 1.0));
        assert_eq!(scores("something", &[]), (0.0, 0.0));
        assert_eq!(scores("the", &["an"]), (1.0, 1.0));
    }

    #[test]
    fn an_interval_holds_its_mean() {
        let [low, high] = interval(&[0.0, 1.0, 1.0, 1.0]);
        assert!(low < 0.75 && high > 0.75);
    }
}
