//! Entity-level F1 on data in CoNLL's format, as `seqeval` and the CoNLL script count: an entity is
//! right if its type and both its ends are.

use super::bootstrap::bootstrap;
use super::conll::{self, Kinds, Tagged};
use super::doubts::{Doubts, counted, listed};
use super::measure::{Measured, Query};
use super::tags::Span;
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::tasks::Input;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Sentences, or entities, below which a number says little.
const FEW: usize = 10;
/// A type that the data lacks is told of if it makes one in so many that were found.
const ODD_ONE_IN: usize = 20;

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
    /// How the data's tags are written, such as "IOB2".
    pub scheme: &'static str,
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
    let tagged = conll::read(data)?;
    let inputs = tagged.sentences.iter().map(|s| Input::Text(s.text.clone())).collect();
    let mut known: Option<(Kinds, Vec<String>)> = None;
    let mut found: Vec<Vec<Span>> = Vec::new();
    let mut measured = query.measure(engine, inputs, data, progress, |_, output| {
        let Some(output) = output else {
            found.push(Vec::new());
            return Ok(());
        };
        let Some(entities) = output.entities() else { return Err(no_entities(query.task)) };
        if known.is_none() {
            known = Some((understood(&tagged, &entities.kinds, data)?, entities.kinds.clone()));
        }
        found.push(entities.entities.iter().map(|e| (e.start, e.end, e.kind.clone())).collect());
        Ok(())
    })?;
    let Some((kinds, own)) = known else { return Err(no_entities(query.task)) };
    measured.warnings.extend(&tagged.doubts);
    kinds.tell(&own, &mut measured.warnings);
    let mut by_type: BTreeMap<String, Counts> = BTreeMap::new();
    let mut each: Vec<Counts> = Vec::new();
    for (found, sentence) in found.iter().zip(&tagged.sentences) {
        let own = |e: &Span| (e.0, e.1, kinds.of(&e.2).to_owned());
        let mut sum = Counts::default();
        for (kind, counts) in compare(found, &sentence.entities.iter().map(own).collect::<Vec<_>>()) {
            by_type.entry(kind).or_default().add(counts);
            sum.add(counts);
        }
        each.push(sum);
    }
    weigh(&by_type, each.len(), &mut measured.warnings);
    let overall = total(each.iter()).score();
    let by_type = by_type.into_iter().map(|(kind, c)| (kind, c.score())).collect();
    Ok(EntityEvaluation { measured, scheme: tagged.scheme.name(), overall, f1_ci95: f1_interval(&each), by_type })
}

fn no_entities(task: &str) -> UserMessage {
    let why = format!("'{task}' finds no entities");
    UserMessage::new("Nothing was measured", why, "Choose a model of the task entities.")
}

/// The types of the data as the model's.
///
/// # Errors
/// None of them is: then there is nothing to measure.
fn understood(tagged: &Tagged, own: &[String], data: &Path) -> Result<Kinds, UserMessage> {
    let kinds = Kinds::read(&tagged.kinds, own);
    if kinds.are_any_known() || tagged.kinds.is_empty() {
        return Ok(kinds);
    }
    let why = format!("the model knows none of the types in '{}': {}", data.display(), listed(&kinds.unknown));
    let elsewhere = tagged.others.iter().find(|(_, there)| Kinds::read(there, own).are_any_known());
    let next = match elsewhere {
        Some((column, _)) => format!("Column {column} has types that it knows: put it last."),
        None => format!("It knows {}: write these, or choose a model with the data's types.", listed(own)),
    };
    Err(UserMessage::new("Nothing was measured", why, next))
}

/// What the counts say against the F1.
fn weigh(by_type: &BTreeMap<String, Counts>, sentences: usize, doubts: &mut Doubts) {
    let extra: Vec<(&String, usize)> =
        by_type.iter().filter(|(_, c)| c.true_ones == 0).map(|(kind, c)| (kind, c.found)).collect();
    let count: usize = extra.iter().map(|e| e.1).sum();
    let all: usize = by_type.values().map(|c| c.found).sum();
    let is_any_true = by_type.values().any(|c| c.true_ones > 0);
    // One or two are mistakes; many are a type that the data does not mark.
    if is_any_true && count >= FEW && count * ODD_ONE_IN >= all {
        let names: Vec<&String> = extra.iter().map(|e| e.0).collect();
        let names = listed(&names);
        doubts
            .doubt(format!("the data marks nothing as {names}, of which the model found {count}: they count as wrong"));
    }
    if sentences < FEW {
        doubts.note(format!("the interval is that of {}: it says little", counted(sentences, "sentence")));
    }
}

/// Right, found and true ones by type.
pub fn compare(found: &[Span], truth: &[Span]) -> BTreeMap<String, Counts> {
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
    fn types_that_the_data_does_not_mark_are_told_of() {
        let counts = |right, found, true_ones| Counts { right, found, true_ones };
        let told = |misc: usize| {
            let by_type = [("PER".to_owned(), counts(90, 95, 100)), ("MISC".to_owned(), counts(0, misc, 0))].into();
            let mut doubts = Doubts::default();
            weigh(&by_type, 50, &mut doubts);
            doubts
        };
        assert_eq!(told(3), Doubts::default());
        assert!(told(30).forbid_keeping() && told(30).iter().any(|d| d.contains("'MISC'") && d.contains("30")));
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
