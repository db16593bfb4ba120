//! What stands against a measurement: data that does not fit the model, or that says less than its
//! number seems to. What is doubted is shown with its warning and never kept on a model's card.

use crate::error::plain;
use serde::{Serialize, Serializer};
use std::fmt::Display;

/// Names that a warning lists before it counts the rest.
const LISTED: usize = 6;
/// Bytes of a name that are shown.
const SHOWN: usize = 40;
/// One in so many lines may be odd before the whole is doubted.
const ODD: usize = 20;

/// What was noticed about a measurement, in sentences. In JSON: a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    against: Vec<String>,
    beside: Vec<String>,
}

impl Doubts {
    /// Notices something after which the number cannot be trusted: it will not be kept.
    pub fn doubt(&mut self, text: impl AsRef<str>) {
        add(&mut self.against, text.as_ref());
    }

    /// Notices something worth knowing; the number stands.
    pub fn note(&mut self, text: impl AsRef<str>) {
        add(&mut self.beside, text.as_ref());
    }

    /// Notices what `count` of `all` lines have: a doubt from one in twenty on, below that a note, of none nothing.
    pub fn some(&mut self, count: usize, all: usize, text: impl AsRef<str>) {
        match count {
            0 => {}
            _ if count * ODD >= all => self.doubt(text),
            _ => self.note(text),
        }
    }

    /// Takes over what `other` noticed.
    pub fn extend(&mut self, other: &Self) {
        other.against.iter().for_each(|t| self.doubt(t));
        other.beside.iter().for_each(|t| self.note(t));
    }

    /// Whether the number cannot be trusted.
    pub fn forbid_keeping(&self) -> bool {
        !self.against.is_empty()
    }

    /// All sentences, doubts first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.against.iter().chain(&self.beside).map(String::as_str)
    }
}

impl Serialize for Doubts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

fn add(list: &mut Vec<String>, text: &str) {
    let text = plain(text).into_owned();
    if !list.contains(&text) {
        list.push(text);
    }
}

/// A name from a file as a message may have it: in quotes, not too long.
pub fn quoted(name: &str) -> String {
    let cut = name.floor_char_boundary(SHOWN);
    let more = if cut < name.len() { "…" } else { "" };
    format!("'{}{more}'", plain(&name[..cut]))
}

/// Names in a row, in quotes: the first few, and how many more there are.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let first: Vec<String> = names.iter().take(LISTED).map(|n| quoted(n.as_ref())).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// "1 line", "2 lines".
pub fn counted(n: usize, one: impl Display) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_come_first_and_once_and_forbid_keeping() {
        let mut doubts = Doubts::default();
        doubts.note("long");
        assert!(!doubts.forbid_keeping());
        doubts.some(0, 100, "none");
        doubts.some(4, 100, "four");
        assert!(!doubts.forbid_keeping());
        doubts.some(5, 100, "five");
        doubts.doubt("five");
        assert!(doubts.forbid_keeping());
        assert_eq!(serde_json::to_string(&doubts).expect("JSON"), r#"["five","long","four"]"#);
        let mut all = Doubts::default();
        all.extend(&doubts);
        assert_eq!(all, doubts);
    }

    #[test]
    fn names_are_short_and_cannot_steer_a_terminal() {
        assert_eq!(quoted("a\u{1b}[2J"), "'a\\u{1b}[2J'");
        assert_eq!(quoted(&"ä".repeat(50)), format!("'{}…'", "ä".repeat(20)));
        assert_eq!(listed(&["a", "b"]), "'a', 'b'");
        assert!(listed(&["a"; 9]).ends_with("'a' and 3 more"));
        assert_eq!((counted(1, "line"), counted(2, "line")), ("1 line".into(), "2 lines".into()));
    }
}
