//! The labels of labelled data as those of a model: by their names, by their numbers, or by what can
//! mean nothing else. What could mean two things is not guessed.

use super::doubts::{Doubts, counted, listed, quoted};
use std::collections::HashMap;

/// How a label of the data came to be one of the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Its name, or its number.
    Same,
    /// Its name in other capitals or with other signs between the words.
    Spelling,
    /// Another name for the same.
    Meaning,
}

/// What the labels of the data are to the model.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    known: HashMap<String, (usize, How)>,
    /// Labels that the model does not have, with how many lines have them, in order of their first.
    pub unknown: Vec<(String, usize)>,
    /// Lines in all.
    pub lines: usize,
    /// Why numbers were not taken for positions.
    numbers: Option<String>,
}

/// What numbers in the data stand for.
enum Numbers {
    /// Positions in the model's list, from 0 on.
    Positions,
    /// The numbers in the model's names: 4 is "4 stars".
    InNames,
    /// −1 and 1, and 0 between them.
    Signs,
    /// Nothing, for the reason given.
    Nothing(String),
}

impl Labels {
    /// Reads the labels of all lines together, in the light of the model's `names`.
    pub fn read<'a>(lines: impl Iterator<Item = &'a str>, names: &[&str]) -> Self {
        let mut given: Vec<(&str, usize)> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        for label in lines {
            let at = *place.entry(label).or_insert_with(|| {
                given.push((label, 0));
                given.len() - 1
            });
            given[at].1 += 1;
        }
        let numbers = numbers(&given, names);
        let mut out = Self { lines: given.iter().map(|g| g.1).sum(), ..Self::default() };
        for (label, count) in given {
            match find(label, names, &numbers) {
                Some(found) => drop(out.known.insert(label.to_owned(), found)),
                None => out.unknown.push((label.to_owned(), count)),
            }
        }
        if let Numbers::Nothing(why) = numbers {
            out.numbers = Some(why).filter(|w| !w.is_empty());
        }
        out
    }

    /// The position of `label` in the model's list.
    pub fn of(&self, label: &str) -> Option<usize> {
        self.known.get(label).map(|k| k.0)
    }

    /// Lines whose label the model has.
    pub fn lines_known(&self) -> usize {
        self.lines - self.unknown.iter().map(|u| u.1).sum::<usize>()
    }

    /// Why numbers were not taken for positions, if there were any.
    pub fn about_numbers(&self) -> Option<&str> {
        self.numbers.as_deref()
    }

    /// The unknown labels, most frequent first.
    pub fn strangers(&self) -> Vec<&str> {
        let mut all: Vec<&(String, usize)> = self.unknown.iter().collect();
        all.sort_by_key(|u| std::cmp::Reverse(u.1));
        all.into_iter().map(|u| u.0.as_str()).collect()
    }

    /// Says what was not read word for word.
    pub fn tell(&self, names: &[&str], doubts: &mut Doubts) {
        let pairs = |how: How| {
            let mut all: Vec<(usize, &String)> =
                self.known.iter().filter(|(_, k)| k.1 == how).map(|(label, k)| (k.0, label)).collect();
            all.sort();
            let as_names = all.iter().map(|(at, label)| format!("{} as {}", quoted(label), quoted(names[*at])));
            as_names.take(8).collect::<Vec<_>>().join(", ")
        };
        let (spelt, meant) = (pairs(How::Spelling), pairs(How::Meaning));
        if !spelt.is_empty() {
            doubts.note(format!("labels are spelt otherwise than the model's: {spelt}"));
        }
        if !meant.is_empty() {
            doubts.doubt(format!(
                "labels were read by their meaning: {meant}; write the model's own names to have the result kept"
            ));
        }
        if !self.unknown.is_empty() {
            let (count, known) = (self.lines - self.lines_known(), own(names));
            let why = self.numbers.as_ref().map(|w| format!("; {w}")).unwrap_or_default();
            doubts.doubt(format!(
                "{} of {} with a label that the model does not know ({}){why}; counted as wrong. It knows {known}",
                count,
                counted(self.lines, "line"),
                listed(&self.strangers()),
            ));
        }
    }
}

/// The model's labels, as a message lists them.
pub fn own(names: &[&str]) -> String {
    format!("{} (or the numbers 0 to {})", listed(names), names.len().saturating_sub(1))
}

fn find(label: &str, names: &[&str], numbers: &Numbers) -> Option<(usize, How)> {
    let only = |fits: &dyn Fn(&str) -> bool| {
        let mut found = names.iter().enumerate().filter(|(_, n)| fits(n)).map(|(i, _)| i);
        found.next().filter(|_| found.next().is_none())
    };
    if let Some(at) = only(&|n| n == label) {
        return Some((at, How::Same));
    }
    if let Some(at) = only(&|n| spelling(n) == spelling(label)) {
        return Some((at, How::Spelling));
    }
    if let Some(n) = number(label) {
        let position = usize::try_from(n).ok().filter(|n| *n < names.len());
        return match numbers {
            Numbers::Positions if label.parse::<usize>().is_ok() => position.map(|at| (at, How::Same)),
            Numbers::Positions => position.map(|at| (at, How::Meaning)),
            Numbers::InNames => only(&|name| number_in(name) == Some(n)).map(|at| (at, How::Meaning)),
            Numbers::Signs => only(&|name| polarity(name) == Some(n.signum())).map(|at| (at, How::Meaning)),
            Numbers::Nothing(_) => None,
        };
    }
    let bare = spelling(label).trim_start_matches("label ").trim_start().to_owned();
    let mut meanings = [
        only(&|n| spelling(n) == bare),
        polarity(label).and_then(|p| only(&|n| polarity(n) == Some(p))),
        label_number(label).filter(|at| *at < names.len()),
        stars(label).and_then(|s| only(&|n| number_in(n) == Some(s))),
    ]
    .into_iter()
    .flatten();
    let first = meanings.next()?;
    meanings.all(|other| other == first).then_some((first, How::Meaning))
}

/// Small, with single blanks between the words: `NOT_Found` and `not found` are spelt alike.
fn spelling(label: &str) -> String {
    let words = label.to_lowercase().replace(['_', '-'], " ");
    let plain = words.split_whitespace().collect::<Vec<_>>().join(" ");
    // Signs alone are names too.
    if plain.is_empty() { label.to_owned() } else { plain }
}

/// A whole number, also written `1.0` or `+1`.
fn number(label: &str) -> Option<i64> {
    let label = label.strip_suffix(".0").unwrap_or(label);
    label.parse().ok()
}

/// The only number in a name, such as 4 in "4 stars".
fn number_in(name: &str) -> Option<i64> {
    let mut runs = name.split(|c: char| !c.is_ascii_digit()).filter(|r| !r.is_empty());
    let first = runs.next()?.parse().ok()?;
    runs.next().is_none().then_some(first)
}

/// The position that `LABEL_1` names.
fn label_number(label: &str) -> Option<usize> {
    spelling(label).strip_prefix("label ")?.parse().ok()
}

/// The number of "4 stars".
fn stars(label: &str) -> Option<i64> {
    let plain = spelling(label);
    plain.strip_suffix(" stars").or_else(|| plain.strip_suffix(" star"))?.parse().ok()
}

/// −1, 0, 1 for names of the two poles and what lies between.
fn polarity(label: &str) -> Option<i64> {
    match spelling(label).trim_start_matches("label ").trim_start() {
        "negative" | "neg" | "-" | "\u{2212}" => Some(-1),
        "neutral" | "neu" | "neut" => Some(0),
        "positive" | "pos" | "+" => Some(1),
        _ => None,
    }
}

/// What the numbers among `given` mean, seen together.
fn numbers(given: &[(&str, usize)], names: &[&str]) -> Numbers {
    let nothing = |why: &str| Numbers::Nothing(why.to_owned());
    let is_name = |label: &str| names.contains(&label);
    let all: Vec<i64> = given.iter().filter(|g| !is_name(g.0)).filter_map(|g| number(g.0)).collect();
    let (Some(least), Some(most)) = (all.iter().min().copied(), all.iter().max().copied()) else {
        return nothing("");
    };
    if given.iter().any(|g| is_name(g.0) && number(g.0).is_some()) {
        return nothing("some numbers are names of the model's, so the others are no positions");
    }
    if least < 0 {
        let poles = |p: i64| names.iter().filter(|n| polarity(n) == Some(p)).count() == 1;
        let has_all = all.iter().all(|n| n.abs() <= 1 && poles(n.signum()));
        return if has_all { Numbers::Signs } else { nothing("numbers below 0 are no positions") };
    }
    let mut in_names: Vec<i64> = names.iter().filter_map(|n| number_in(n)).collect();
    in_names.sort_unstable();
    in_names.dedup();
    let named = in_names.len() == names.len() && all.iter().all(|n| in_names.contains(n));
    let are_positions = usize::try_from(most).is_ok_and(|m| m < names.len());
    let agree = names.iter().enumerate().all(|(i, n)| number_in(n) == i64::try_from(i).ok());
    match (named, are_positions) {
        (true, true) if !agree => {
            nothing("the numbers could be those in the model's names or positions from 0 on: write the names")
        }
        (_, true) => Numbers::Positions,
        (true, false) => Numbers::InNames,
        (false, false) if least >= 1 && usize::try_from(most).is_ok_and(|m| m == names.len()) => {
            nothing("numbers count from 0 on, these seem to count from 1")
        }
        (false, false) => {
            Numbers::Nothing(format!("numbers count the model's labels from 0 on, and there is none {most}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [&str; 2] = ["negative", "positive"];
    const THREE: [&str; 3] = ["negative", "neutral", "positive"];
    const STARS: [&str; 5] = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"];

    fn read(given: &[&str], names: &[&str]) -> (Vec<Option<usize>>, Doubts) {
        let labels = Labels::read(given.iter().copied(), names);
        let mut doubts = Doubts::default();
        labels.tell(names, &mut doubts);
        (given.iter().map(|g| labels.of(g)).collect(), doubts)
    }

    #[test]
    fn names_and_numbers_are_read_without_a_word() {
        for given in [["negative", "positive"], ["0", "1"], ["0", "positive"]] {
            assert_eq!(read(&given, &TWO), (vec![Some(0), Some(1)], Doubts::default()));
        }
        // A name is a name, even if it is a number: a taught head has its labels in order of the examples.
        assert_eq!(read(&["0", "1"], &["1", "0"]), (vec![Some(1), Some(0)], Doubts::default()));
        assert_eq!(read(&["1", "2"], &["1", "2", "3"]).0, [Some(0), Some(1)]);
        assert_eq!(read(&["0", "1"], &["LABEL_0", "LABEL_1"]), (vec![Some(0), Some(1)], Doubts::default()));
    }

    #[test]
    fn what_can_mean_one_thing_only_is_accepted_and_said() {
        let cases: [(&[&str], &[&str], &[usize]); 9] = [
            (&["pos", "neg"], &TWO, &[1, 0]),
            (&["POS", "Neg", "neu"], &THREE, &[2, 0, 1]),
            (&["LABEL_1", "LABEL_0"], &TWO, &[1, 0]),
            (&["__label__pos", "__label__negative"], &TWO, &[1, 0]),
            (&["-1", "1"], &THREE, &[0, 2]),
            (&["-1", "+1", "0"], &THREE, &[0, 2, 1]),
            (&["1.0", "0.0"], &TWO, &[1, 0]),
            (&["5", "1"], &STARS, &[4, 0]),
            (&["5 star", "1-stars"], &STARS, &[4, 0]),
        ];
        for (given, names, expected) in cases {
            let (found, doubts) = read(given, names);
            assert_eq!(found, expected.iter().map(|e| Some(*e)).collect::<Vec<_>>(), "{given:?}");
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(given[0])), "{given:?}: {doubts:?}");
        }
        let (found, doubts) = read(&["NEGATIVE", "Positive"], &TWO);
        assert_eq!(found, [Some(0), Some(1)]);
        assert!(!doubts.forbid_keeping() && doubts.iter().any(|d| d.contains("'NEGATIVE'")), "{doubts:?}");
        assert_eq!(read(&["card lost"], &["card_lost", "x"]).0, [Some(0)]);
    }

    #[test]
    fn what_could_mean_two_things_is_not_guessed() {
        let cases: [(&[&str], &[&str], &str); 9] = [
            (&["LABEL_1"], &["1", "2"], "'LABEL_1'"),
            (&["1", "2"], &TWO, "from 1"),
            (&["0", "4"], &TWO, "none 4"),
            (&["1", "4"], &STARS, "could be"),
            (&["-1", "1"], &STARS, "below 0"),
            (&["good", "bad"], &TWO, "'good'"),
            (&["negative"], &["LABEL_0", "LABEL_1"], "'LABEL_0'"),
            (&["neutral"], &TWO, "'negative', 'positive' (or the numbers 0 to 1)"),
            (&["yes", "True", ""], &TWO, "''"),
        ];
        for (given, names, said) in cases {
            let (found, doubts) = read(given, names);
            assert!(found.iter().all(Option::is_none), "{given:?}: {found:?}");
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{given:?}: {doubts:?}");
        }
    }

    #[test]
    fn lines_of_unknown_labels_are_counted() {
        let labels = Labels::read(["positive", "mixed", "other", "mixed"].into_iter(), &TWO);
        assert_eq!((labels.lines, labels.lines_known()), (4, 1));
        assert_eq!(labels.strangers(), ["mixed", "other"]);
    }
}
