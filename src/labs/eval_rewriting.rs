//! Translations and summaries against references: BLEU and chrF, or ROUGE, each with an interval.

use super::bootstrap::bootstrap;
use super::columns;
use super::doubts::{Doubts, counted, listed, quoted};
use super::lines;
use super::measure::{Measured, Query};
use super::overlap::{Bleu, Chrf, Mteval, Rouge};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::{Input, Output};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Lines below which a score says little.
const FEW: usize = 10;
/// chrF that texts of one language have with each other by chance.
const STRANGE: f64 = 12.0;

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

/// Texts with their references, as they were read.
#[derive(Clone, Debug, Default)]
pub struct Referenced {
    /// Texts, each with one reference or several.
    pub rows: Vec<(String, Vec<String>)>,
    /// What was noticed about the file.
    pub doubts: Doubts,
}

/// Reads `…<TAB>source<TAB>reference` lines; with `only`, those whose first column says so. A first line of
/// headings is left out.
///
/// # Errors
/// A file that cannot be read, a line with fewer than two columns, by its number, or no line that `only` names.
pub fn read_pairs(path: &Path, only: Option<&str>) -> Result<Referenced, UserMessage> {
    let mut out = Referenced::default();
    let mut firsts: BTreeSet<String> = BTreeSet::new();
    for (i, line) in lines::read(path)?.iter().enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [.., source, reference] = cells[..] else {
            return Err(UserMessage::new(
                "The data could not be read",
                format!("'{}': text line {} has no two columns", path.display(), i + 1),
                columns::separator_hint(line, "Each line must end in: source text, tab, reference."),
            ));
        };
        if i == 0 && columns::are_headings(&cells, columns::Table::Pairs) {
            out.doubts.doubt(columns::heading_left_out(&cells));
        } else if only.is_none_or(|o| cells[0] == o) {
            out.rows.push((source.to_owned(), vec![reference.to_owned()]));
        } else {
            firsts.insert(cells[0].to_owned());
        }
    }
    match only {
        Some(only) if out.rows.is_empty() => Err(UserMessage::new(
            "Nothing was measured",
            format!("'{}': no line has {} in its first column", path.display(), quoted(only)),
            format!("There is {}.", listed(&firsts.iter().collect::<Vec<_>>())),
        )),
        _ => Ok(out),
    }
}

/// Reads documents with their reference summaries: JSON lines of `sentences` (or `text`) and
/// `summaries` (or `summary`), or TSV as [`read_pairs`].
///
/// # Errors
/// As for [`read_pairs`].
pub fn read_documents(path: &Path) -> Result<Referenced, UserMessage> {
    if !path.to_string_lossy().to_lowercase().contains(".jsonl") {
        return read_pairs(path, None);
    }
    let row = |(i, line): (usize, String)| {
        let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let document = lines::document(&json);
        let one = || json.get("summary")?.as_str().map(|s| vec![s.to_owned()]);
        let summaries = lines::strings(&json, "summaries").or_else(one).filter(|s| !s.is_empty());
        document.zip(summaries).ok_or_else(|| {
            UserMessage::new(
                "The data could not be read",
                format!("'{}': text line {} has no document with a summary", path.display(), i + 1),
                "Each line must be JSON: {\"sentences\": […], \"summaries\": […]} (or \"text\", \"summary\").",
            )
        })
    };
    let rows = lines::read(path)?.into_iter().enumerate().map(row).collect::<Result<_, _>>()?;
    Ok(Referenced { rows, doubts: Doubts::default() })
}

/// What texts and references say against any score on them: none to compare with, or the text itself.
fn compared(rows: &[(String, Vec<String>)], doubts: &mut Doubts) {
    let n = rows.len();
    let of = |count: usize| format!("{count} of {}", counted(n, "line"));
    let empty = rows.iter().filter(|r| r.1.iter().all(|s| s.trim().is_empty())).count();
    doubts.some(empty, n, format!("no reference in {}", of(empty)));
    let same = rows.iter().filter(|r| r.1.iter().any(|s| s.trim() == r.0.trim())).count();
    doubts.some(same, n, format!("the reference is the text itself in {}", of(same)));
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
    let Referenced { rows, doubts } = read_pairs(data, only)?;
    let inputs = rows.iter().map(|p| Input::Text(p.0.clone())).collect();
    let cut = Mteval::default();
    let mut each: Vec<(Bleu, Chrf)> = Vec::new();
    let mut to_source = Chrf::default();
    let mut measured = query.measure(engine, inputs, data, progress, |i, output| {
        let said = output.map_or("", text_of);
        let (source, reference) = (&rows[i].0, rows[i].1.first().map_or("", String::as_str));
        each.push((Bleu::of(said, reference, &cut), Chrf::of(said, reference)));
        to_source.add(&Chrf::of(said, source));
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
    measured.warnings.extend(&doubts);
    compared(&rows, &mut measured.warnings);
    weigh_translations(&rows, chrf, to_source.score(), &mut measured.warnings);
    Ok(TranslationEvaluation { measured, bleu, bleu_ci95, chrf, chrf_ci95 })
}

/// What the scores say against themselves: `chrf` to the references, `to_source` to the texts.
fn weigh_translations(rows: &[(String, Vec<String>)], chrf: f64, to_source: f64, doubts: &mut Doubts) {
    if to_source > chrf {
        doubts.doubt(format!(
            "the translations are more like the sources (chrF {to_source:.1}) than like the references ({chrf:.1}): is the \
             second column in the model's source language, or does the model translate another pair?"
        ));
    } else if chrf < STRANGE && rows.len() >= FEW {
        doubts.doubt(format!(
            "translations and references have hardly anything in common (chrF {chrf:.1}): are they in one language, and \
             does each stand beside its source?"
        ));
    }
    if rows.len() < FEW {
        doubts.doubt(format!("{} say little of a translator: give {FEW} or more", counted(rows.len(), "pair")));
    }
    let unparted = rows.iter().filter(|r| r.1.iter().any(|s| is_unparted(s))).count();
    if unparted * 2 > rows.len() {
        doubts.doubt("the references part no words with spaces, where BLEU counts words: look at chrF");
    }
}

/// Whether most letters are of scripts that put no spaces between words: Chinese, Japanese, Thai, Lao, Khmer,
/// Burmese.
fn is_unparted(text: &str) -> bool {
    let (mut all, mut unparted) = (0usize, 0usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        all += 1;
        let is = matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        unparted += usize::from(is);
    }
    unparted * 2 > all
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
    let Referenced { rows: documents, doubts } = read_documents(data)?;
    let inputs = documents.iter().map(|d| query_input(query.task, &d.0)).collect();
    let mut each: Vec<Rouge> = Vec::new();
    let mut measured = query.measure(engine, inputs, data, progress, |i, output| {
        each.push(Rouge::best(output.map_or("", text_of), &documents[i].1));
        Ok(())
    })?;
    let mean = |of: fn(&Rouge) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
    let rouge = Rouge { rouge1: mean(|r| r.rouge1), rouge2: mean(|r| r.rouge2), rouge_l: mean(|r| r.rouge_l) };
    let [rouge_l_ci95] =
        bootstrap(each.len(), |chosen| [chosen.iter().map(|i| each[*i].rouge_l).sum::<f64>() / chosen.len() as f64]);
    measured.warnings.extend(&doubts);
    compared(&documents, &mut measured.warnings);
    weigh_summaries(&documents, &mut measured.warnings);
    Ok(SummaryEvaluation { measured, rouge, rouge_l_ci95 })
}

/// What documents and summaries say against ROUGE on them.
fn weigh_summaries(documents: &[(String, Vec<String>)], doubts: &mut Doubts) {
    let n = documents.len();
    let of = |count: usize| format!("{count} of {}", counted(n, "line"));
    let words = |text: &str| text.split_whitespace().count();
    let longer = documents.iter().filter(|d| d.1.iter().all(|s| words(s) > words(&d.0))).count();
    let hint = "are the columns exchanged (document, then summary)?";
    doubts.some(longer, n, format!("the reference is longer than its document in {}: {hint}", of(longer)));
    let blind = documents.iter().filter(|d| !d.1.iter().any(|s| Rouge::can_read(s))).count();
    let text = format!("ROUGE sees only words of a to z and digits, of which {} references have hardly any", of(blind));
    doubts.some(blind, n, text);
    if n < FEW {
        doubts.note(format!("the interval is that of {}: it says little", counted(n, "document")));
    }
}

/// A document as the method's task takes it.
fn query_input(task: &str, text: &str) -> Input {
    if task == "chat" { super::summaries::prompt(text, 2) } else { Input::Text(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), vec![(*b).to_owned()])).collect()
    }

    #[test]
    fn source_and_reference_are_the_last_two_columns() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("x.tsv");
        std::fs::write(&path, "a\tone\tun\nb\ttwo\tdeux\n").expect("file");
        assert_eq!(read_pairs(&path, Some("b")).expect("pairs").rows, rows(&[("two", "deux")]));
        let error = read_pairs(&path, Some("c")).unwrap_err();
        assert!(error.why.contains("'c'") && error.next.contains("'a', 'b'"), "{error}");
        std::fs::write(&path, "only one\n").expect("file");
        assert!(read_pairs(&path, None).unwrap_err().why.contains("line 1"));
        std::fs::write(&path, "one,un\n").expect("file");
        assert!(read_pairs(&path, None).unwrap_err().next.contains("commas"));
        std::fs::write(&path, "en\tfr\none\tun\n").expect("file");
        let read = read_pairs(&path, None).expect("pairs");
        assert!(read.rows == rows(&[("one", "un")]) && read.doubts.forbid_keeping());
    }

    #[test]
    fn pairs_that_cannot_be_scored_are_told_of() {
        let told = |pairs: &[(&str, &str)], chrf: f64, to_source: f64| {
            let (pairs, mut doubts) = (rows(pairs), Doubts::default());
            compared(&pairs, &mut doubts);
            weigh_translations(&pairs, chrf, to_source, &mut doubts);
            doubts
        };
        let good = [("The train leaves.", "Le train part."); 10];
        assert_eq!(told(&good, 60.0, 30.0), Doubts::default());
        for (doubts, said) in [
            (told(&good, 20.0, 60.0), "more like the sources"),
            (told(&good, 5.0, 3.0), "hardly anything"),
            (told(&good[..3], 60.0, 30.0), "3 pairs"),
            (told(&[("Yes.", "Yes. "); 10], 60.0, 60.0), "the text itself in 10 of 10 lines"),
            (told(&[("Yes.", " "); 10], 60.0, 0.0), "no reference in 10"),
            (told(&[("The train leaves.", "电车开走了。"); 10], 60.0, 0.0), "no words with spaces"),
        ] {
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{said}: {doubts:?}");
        }
    }

    #[test]
    fn summaries_that_cannot_be_scored_are_told_of() {
        let told = |pairs: &[(&str, &str)]| {
            let (documents, mut doubts) = (rows(pairs), Doubts::default());
            compared(&documents, &mut doubts);
            weigh_summaries(&documents, &mut doubts);
            doubts
        };
        assert_eq!(told(&[("A long text. With two sentences.", "A text."); 10]), Doubts::default());
        for (pair, said) in [
            (("A text.", "A long text. With two sentences."), "longer than its document in 10 of 10"),
            (("A text.", "A text."), "the text itself"),
            (("Длинный текст о поездах.", "Поезда."), "a to z"),
        ] {
            let doubts = told(&[pair; 10]);
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{said}: {doubts:?}");
        }
    }
}
