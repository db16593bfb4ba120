//! Translations and summaries against references: BLEU and chrF, or ROUGE, each with an interval.

use super::bootstrap::bootstrap;
use super::lines;
use super::measure::{Measured, Query};
use super::overlap::{Bleu, Chrf, Mteval, Rouge};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::{Input, Output};
use serde::Serialize;
use std::path::Path;

/// What an evaluation of translations found.
#[derive(Clone, Debug, Serialize)]
pub struct TranslationEvaluation {
    #[serde(flatten)]
    pub measured: Measured,
    /// 0 to 100, as sacrebleu counts (13a, mixed case, exponential smoothing).
    pub bleu: f64,
    /// 95 % interval, by resampling sentences (bootstrap).
    pub bleu_ci95: [f64; 2],
    pub chrf: f64,
    pub chrf_ci95: [f64; 2],
}

/// What an evaluation of summaries found.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryEvaluation {
    #[serde(flatten)]
    pub measured: Measured,
    /// Means of F1, 0 to 1; of several references the best counts, for each score by itself.
    #[serde(flatten)]
    pub rouge: Rouge,
    pub rouge_l_ci95: [f64; 2],
}

/// Reads `…<TAB>source<TAB>reference` lines; with `only`, those whose first column says so.
///
/// # Errors
/// A file that cannot be read, or a line with fewer than two columns, by its number.
pub fn read_pairs(path: &Path, only: Option<&str>) -> Result<Vec<(String, String)>, UserMessage> {
    let mut out = Vec::new();
    for (i, line) in lines::read(path)?.iter().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [.., source, reference] = columns[..] else {
            return Err(UserMessage::new(
                "The data could not be read",
                format!("'{}': text line {} has no two columns", path.display(), i + 1),
                "Each line must end in: source text, tab, reference.",
            ));
        };
        if only.is_none_or(|o| columns[0] == o) {
            out.push((source.to_owned(), reference.to_owned()));
        }
    }
    Ok(out)
}

/// Reads documents with their reference summaries: JSON lines of `sentences` (or `text`) and
/// `summaries` (or `summary`), or TSV as [`read_pairs`].
///
/// # Errors
/// As for [`read_pairs`].
pub fn read_documents(path: &Path) -> Result<Vec<(String, Vec<String>)>, UserMessage> {
    if !path.to_string_lossy().to_lowercase().contains(".jsonl") {
        return Ok(read_pairs(path, None)?.into_iter().map(|(s, r)| (s, vec![r])).collect());
    }
    let row = |(i, line): (usize, String)| {
        let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let document = lines::document(&json);
        let one = || json.get("summary")?.as_str().map(|s| vec![s.to_owned()]);
        let summaries = lines::strings(&json, "summaries").or_else(one);
        document.zip(summaries).ok_or_else(|| {
            UserMessage::new(
                "The data could not be read",
                format!("'{}': text line {} has no document with a summary", path.display(), i + 1),
                "Each line must be JSON: {\"sentences\": […], \"summaries\": […]} (or \"text\", \"summary\").",
            )
        })
    };
    lines::read(path)?.into_iter().enumerate().map(row).collect()
}

/// The text of whatever answer.
pub fn text_of(output: &Output) -> &str {
    match output {
        Output::Translation(t) => &t.text,
        Output::Digest(d) => d.text(),
        Output::Summary(s) => &s.text,
        Output::Text(g) => &g.text,
        Output::Scores(_) | Output::Entities(_) | Output::Answers(_) | Output::Vector(_) => "",
    }
}

/// Translates every line as a request of its own.
///
/// # Errors
/// Data that cannot be read, or the message with which the first request failed.
pub fn translations(
    engine: &Engine,
    query: Query<'_>,
    (data, only): (&Path, Option<&str>),
    progress: impl FnMut(usize, usize),
) -> Result<TranslationEvaluation, UserMessage> {
    let pairs = read_pairs(data, only)?;
    let inputs = pairs.iter().map(|p| Input::Text(p.0.clone())).collect();
    let cut = Mteval::default();
    let mut each: Vec<(Bleu, Chrf)> = Vec::new();
    let measured = query.measure(engine, inputs, data, progress, |i, output| {
        let said = output.map_or("", text_of);
        each.push((Bleu::of(said, &pairs[i].1, &cut), Chrf::of(said, &pairs[i].1)));
        Ok(())
    })?;
    let scores = |chosen: &[usize]| {
        let (mut bleu, mut chrf) = (Bleu::default(), Chrf::default());
        for (b, c) in chosen.iter().map(|i| &each[*i]) {
            bleu.add(b);
            chrf.add(c);
        }
        [bleu.score(), chrf.score()]
    };
    let [bleu, chrf] = scores(&(0..each.len()).collect::<Vec<_>>());
    let [bleu_ci95, chrf_ci95] = bootstrap(each.len(), scores);
    Ok(TranslationEvaluation { measured, bleu, bleu_ci95, chrf, chrf_ci95 })
}

/// Summarizes every document as a request of its own.
///
/// # Errors
/// As for [`translations`].
pub fn summaries(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<SummaryEvaluation, UserMessage> {
    let documents = read_documents(data)?;
    let inputs = documents.iter().map(|d| query_input(query.task, &d.0)).collect();
    let mut each: Vec<Rouge> = Vec::new();
    let measured = query.measure(engine, inputs, data, progress, |i, output| {
        each.push(Rouge::best(output.map_or("", text_of), &documents[i].1));
        Ok(())
    })?;
    let mean = |of: fn(&Rouge) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
    let rouge = Rouge { rouge1: mean(|r| r.rouge1), rouge2: mean(|r| r.rouge2), rouge_l: mean(|r| r.rouge_l) };
    let [rouge_l_ci95] =
        bootstrap(each.len(), |chosen| [chosen.iter().map(|i| each[*i].rouge_l).sum::<f64>() / chosen.len() as f64]);
    Ok(SummaryEvaluation { measured, rouge, rouge_l_ci95 })
}

/// A document as the method's task takes it.
fn query_input(task: &str, text: &str) -> Input {
    if task == "chat" { super::summaries::prompt(text, 2) } else { Input::Text(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_reference_are_the_last_two_columns() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("x.tsv");
        std::fs::write(&path, "a\tone\tun\nb\ttwo\tdeux\n").expect("file");
        assert_eq!(read_pairs(&path, Some("b")).expect("pairs"), [("two".to_owned(), "deux".to_owned())]);
        std::fs::write(&path, "only one\n").expect("file");
        assert!(read_pairs(&path, None).unwrap_err().why.contains("line 1"));
    }
}
