//! Entity-level F1 on data in CoNLL's format, as `seqeval` and the CoNLL script count: an entity is
//! right if its type and both its ends are.

use super::bootstrap::bootstrap;
use super::lines;
use super::measure::{Measured, Query};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::Input;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A sentence: its words joined by spaces, and its entities by bytes of that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub text: String,
    pub entities: Vec<(usize, usize, String)>,
}

/// Counts behind an F1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub right: usize,
    pub found: usize,
    pub true_ones: usize,
}

/// Precision, recall and F1 of one type, or of all.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Score {
    /// Not just "precision": in the same JSON object that is how weights are kept.
    #[serde(rename = "entity_precision")]
    pub precision: f64,
    #[serde(rename = "entity_recall")]
    pub recall: f64,
    pub f1: f64,
    /// Entities in the data.
    pub support: usize,
}

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct EntityEvaluation {
    #[serde(flatten)]
    pub measured: Measured,
    #[serde(flatten)]
    pub overall: Score,
    /// 95 % interval of the F1, by resampling sentences (bootstrap).
    pub f1_ci95: [f64; 2],
    pub by_type: BTreeMap<String, Score>,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.found += other.found;
        self.true_ones += other.true_ones;
    }

    /// The scores.
    pub fn score(self) -> Score {
        let share = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        Score {
            precision: share(self.right, self.found),
            recall: share(self.right, self.true_ones),
            f1: share(2 * self.right, self.found + self.true_ones),
            support: self.true_ones,
        }
    }
}

/// Reads `word<TAB or space>…<TAB or space>tag` lines (IOB), blank lines between sentences.
///
/// # Errors
/// An unreadable file, or a line without a tag, by its number.
pub fn read(path: &Path) -> Result<Vec<Sentence>, UserMessage> {
    let text = lines::text(path)?;
    let mut sentences = Vec::new();
    let mut words: Vec<(&str, &str)> = Vec::new();
    for (i, line) in text.lines().chain([""]).enumerate() {
        if line.trim().is_empty() || line.starts_with("-DOCSTART-") {
            if !words.is_empty() {
                sentences.push(sentence(&words));
                words.clear();
            }
            continue;
        }
        let mut parts = line.split_whitespace();
        match (parts.next(), parts.next_back()) {
            (Some(word), Some(tag)) if is_tag(tag) => words.push((word, tag)),
            _ => {
                return Err(UserMessage::new(
                    "The data could not be read",
                    format!("'{}': line {} has no tag", path.display(), i + 1),
                    "Each line must be: word, tab, tag (such as B-PER); a blank line between sentences.",
                ));
            }
        }
    }
    Ok(sentences)
}

/// `O`, or a mark, a hyphen and a type.
fn is_tag(tag: &str) -> bool {
    tag == "O" || tag.split_once('-').is_some_and(|(mark, kind)| mark.len() == 1 && !kind.is_empty())
}

fn sentence(words: &[(&str, &str)]) -> Sentence {
    let mut text = String::new();
    let mut entities: Vec<(usize, usize, String)> = Vec::new();
    let mut open = false;
    for (word, tag) in words {
        if !text.is_empty() {
            text.push(' ');
        }
        let start = text.len();
        text.push_str(word);
        let Some((mark, kind)) = tag.split_once('-') else {
            open = false;
            continue;
        };
        match entities.last_mut() {
            Some(last) if open && mark != "B" && last.2 == kind => last.1 = text.len(),
            _ => entities.push((start, text.len(), kind.to_owned())),
        }
        open = true;
    }
    Sentence { text, entities }
}

/// Runs every sentence as a request of its own.
///
/// # Errors
/// Data that cannot be read, or the message with which the first request failed.
pub fn evaluate(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<EntityEvaluation, UserMessage> {
    let sentences = read(data)?;
    let inputs = sentences.iter().map(|s| Input::Text(s.text.clone())).collect();
    let mut by_type: BTreeMap<String, Counts> = BTreeMap::new();
    let mut each: Vec<Counts> = Vec::new();
    let measured = query.measure(engine, inputs, data, progress, |i, output| {
        let found = output.and_then(|o| o.entities()).map(|e| e.entities.as_slice()).unwrap_or_default();
        let found: Vec<(usize, usize, String)> = found.iter().map(|e| (e.start, e.end, e.kind.clone())).collect();
        let mut sum = Counts::default();
        for (kind, counts) in compare(&found, &sentences[i].entities) {
            by_type.entry(kind).or_default().add(counts);
            sum.add(counts);
        }
        each.push(sum);
        Ok(())
    })?;
    let overall = total(each.iter()).score();
    // Types that the model has but the data does not are wrong all the same; they count in `overall`.
    let by_type = by_type.into_iter().map(|(kind, c)| (kind, c.score())).collect();
    Ok(EntityEvaluation { measured, overall, f1_ci95: f1_interval(&each), by_type })
}

/// Right, found and true ones by type.
fn compare(found: &[(usize, usize, String)], truth: &[(usize, usize, String)]) -> BTreeMap<String, Counts> {
    let mut out: BTreeMap<String, Counts> = BTreeMap::new();
    for entity in found {
        let counts = out.entry(entity.2.clone()).or_default();
        counts.found += 1;
        counts.right += usize::from(truth.contains(entity));
    }
    for entity in truth {
        out.entry(entity.2.clone()).or_default().true_ones += 1;
    }
    out
}

fn total<'a>(each: impl Iterator<Item = &'a Counts>) -> Counts {
    each.fold(Counts::default(), |mut sum, c| {
        sum.add(*c);
        sum
    })
}

/// The middle 95 % of F1 over sentences drawn with replacement.
fn f1_interval(each: &[Counts]) -> [f64; 2] {
    let [interval] = bootstrap(each.len(), |chosen| [total(chosen.iter().map(|i| &each[*i])).score().f1]);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_of_iob_lines_are_byte_ranges() {
        let words = [
            ("Zoë", "B-PER"),
            ("Kravitz", "I-PER"),
            ("in", "O"),
            ("New", "I-LOC"),
            ("York", "I-LOC"),
            ("Rome", "B-LOC"),
        ];
        let s = sentence(&words);
        assert_eq!(s.text, "Zoë Kravitz in New York Rome");
        let named: Vec<(&str, &str)> = s.entities.iter().map(|e| (&s.text[e.0..e.1], e.2.as_str())).collect();
        assert_eq!(named, [("Zoë Kravitz", "PER"), ("New York", "LOC"), ("Rome", "LOC")]);
    }

    #[test]
    fn an_entity_with_a_wrong_end_is_wrong_twice() {
        let e = |a, b, k: &str| (a, b, k.to_owned());
        let counts = compare(&[e(0, 4, "PER"), e(6, 9, "LOC")], &[e(0, 5, "PER"), e(6, 9, "LOC")]);
        let sum = total(counts.values());
        assert_eq!((sum.right, sum.found, sum.true_ones), (1, 2, 2));
        assert!((sum.score().f1 - 0.5).abs() < 1e-12);
        let [low, high] = f1_interval(&[sum, sum, Counts { right: 3, found: 3, true_ones: 3 }]);
        assert!(low < high && low >= 0.5 && high <= 1.0);
    }
}
