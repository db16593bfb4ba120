//! Models whose scores are no shares of one whole: each label a question of its own, or a number.

use super::doubts::{Doubts, counted};
use super::labelled::Row;
use super::labels::Labels;
use super::measure::Measured;
use crate::error::UserMessage;
use crate::tasks::{ScoreKind, Scores};
use serde::Serialize;
use std::path::Path;

/// Between the labels that hold of one text.
const BETWEEN: &str = ", ";
/// From this probability on a label holds.
const HOLDS: f64 = 0.5;
/// A text of which no label holds.
const NONE: &str = "none";

/// What an evaluation of numbers found.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    #[serde(flatten)]
    pub measured: Measured,
    /// Correlation of the model's numbers with those of the data (Pearson), −1 to 1.
    pub pearson: f64,
    /// 95 % interval of it, by Fisher's transformation.
    pub pearson_ci95: [f64; 2],
    /// Correlation of their ranks.
    pub spearman: f64,
    /// Root of the mean squared difference, in the data's units.
    pub rmse: f64,
}

/// What the data may call the answers of such a model.
pub fn names(scores: &Scores) -> Vec<String> {
    let all: Vec<String> = scores.scores.iter().map(|s| s.0.clone()).collect();
    match (&scores.kind, &all[..]) {
        // 0 and 1 then mean what they say.
        (ScoreKind::Each, [only]) => vec![format!("not {only}"), only.clone()],
        _ => all,
    }
}

/// What the model decides: the label with the greatest share, or all that hold.
pub fn decide(scores: &Scores) -> String {
    match (&scores.kind, &scores.scores[..]) {
        (ScoreKind::Each, [(only, p)]) => {
            if *p >= HOLDS {
                only.clone()
            } else {
                format!("not {only}")
            }
        }
        (ScoreKind::Each, all) => joined(all.iter().filter(|s| s.1 >= HOLDS).map(|s| s.0.as_str())),
        _ => scores.top().0.to_owned(),
    }
}

/// The labels that a line of the data has, where several may hold.
pub fn parts(label: &str, several: bool) -> impl Iterator<Item = &str> {
    let commas = if several { "," } else { "\n" };
    label.split(commas).map(str::trim).filter(move |part| !(several && part.eq_ignore_ascii_case(NONE)))
}

/// The same as the model's names, in the model's order.
pub fn meant(label: &str, several: bool, labels: &Labels, names: &[String]) -> String {
    if !several {
        return labels.of(label).map_or_else(|| label.to_owned(), |at| names[at].clone());
    }
    let mut found: Vec<usize> = parts(label, true).filter_map(|part| labels.of(part)).collect();
    found.sort_unstable();
    found.dedup();
    joined(found.into_iter().map(|at| names[at].as_str()))
}

fn joined<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = labels.collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(BETWEEN) }
}

/// Whether `label` is among those of one text.
pub fn has(labels: &str, label: &str, several: bool) -> bool {
    if several { labels.split(BETWEEN).any(|l| l == label) } else { labels == label }
}

/// Compares the model's numbers (`None`: not analysed) with those in the data's first column.
///
/// # Errors
/// A line without a number, by its number.
pub fn agreement(
    rows: &[Row],
    given: &[Option<f64>],
    mut measured: Measured,
    data: &Path,
) -> Result<Agreement, UserMessage> {
    let mut pairs = Vec::new();
    for (at, (row, given)) in rows.iter().zip(given).enumerate() {
        let Some(truth) = row.label.parse::<f64>().ok().filter(|x| x.is_finite()) else {
            let why =
                format!("'{}': line {} begins with no number, and this model gives numbers", data.display(), at + 1);
            return Err(UserMessage::new("Nothing was measured", why, "Each line must be: number, tab, text."));
        };
        pairs.extend(given.map(|x| (truth, x)));
    }
    let (truths, answers): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let n = pairs.len();
    let squares: f64 = pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum();
    let r = pearson(&truths, &answers);
    let doubts: &mut Doubts = &mut measured.warnings;
    if r.is_none() {
        doubts.doubt(format!(
            "{} with one and the same number: how far the two go together cannot be said",
            counted(n, "line")
        ));
    }
    let r = r.unwrap_or(0.0);
    Ok(Agreement {
        pearson: r,
        pearson_ci95: interval(r, n),
        spearman: pearson(&ranks(&truths), &ranks(&answers)).unwrap_or(0.0),
        rmse: (squares / n.max(1) as f64).sqrt(),
        measured,
    })
}

/// Pearson's correlation; `None` where one of the two does not vary.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (spread > 0.0).then(|| sum(&|x, y| x * y) / spread)
}

/// Ranks, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |x: &f64| {
        let (below, same) =
            values.iter().fold((0, 0), |(below, same), y| (below + usize::from(y < x), same + usize::from(y == x)));
        below as f64 + (same as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Fisher 1921: the inverse hyperbolic tangent of r is nearly normal with variance 1 / (n − 3).
fn interval(r: f64, n: usize) -> [f64; 2] {
    if n < 4 {
        return [-1.0, 1.0];
    }
    let (z, half) = (r.clamp(-0.999_999, 0.999_999).atanh(), 1.959_964 / (n as f64 - 3.0).sqrt());
    [(z - half).tanh(), (z + half).tanh()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(kind: ScoreKind, all: &[(&str, f64)]) -> Scores {
        Scores { scores: all.iter().map(|(l, p)| ((*l).to_owned(), *p)).collect(), kind, ..Scores::default() }
    }

    #[test]
    fn what_holds_is_decided_by_each_kinds_own_rule() {
        let one = |p| scores(ScoreKind::Each, &[("toxic", p)]);
        assert_eq!((decide(&one(0.6)), decide(&one(0.4))), ("toxic".into(), "not toxic".into()));
        assert_eq!(names(&one(0.6)), ["not toxic", "toxic"]);
        let many = |a, b| scores(ScoreKind::Each, &[("joy", a), ("fear", b)]);
        assert_eq!((decide(&many(0.9, 0.7)), decide(&many(0.1, 0.2))), ("joy, fear".into(), "none".into()));
        assert_eq!(decide(&scores(ScoreKind::Shares, &[("a", 0.3), ("b", 0.4)])), "b");
        let own = names(&many(0.1, 0.2));
        let labels = Labels::read(["fear", "joy"].into_iter(), &["joy", "fear"]);
        assert_eq!(meant("fear, joy", true, &labels, &own), "joy, fear");
        assert_eq!(meant("none", true, &labels, &own), "none");
        assert!(has("joy, fear", "fear", true) && !has("joy, fear", "fear", false));
    }

    #[test]
    fn correlations_are_those_of_a_hand_count() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]);
        assert!((pearson(&a, &b).expect("r") - 0.8).abs() < 1e-12);
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
        let [low, high] = interval(0.8, 5);
        assert!((low + 0.2796).abs() < 1e-3 && (high - 0.9862).abs() < 1e-3, "{low} {high}");
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_none());
    }
}
