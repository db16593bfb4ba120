//! What can be found by its form alone: dates, amounts, e-mail and web addresses, telephone numbers,
//! identifiers. No model; a match is a match.

use regex::Regex;
use std::collections::BTreeMap;
use std::ops::Range;

/// A stretch of the text and what its form says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// `date`, `amount`, `percent`, `email`, `url`, `phone` or `id`.
    pub kind: &'static str,
    /// Bytes of the text.
    pub range: Range<usize>,
}

const MONTH: &str = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?";
const NUMBER: &str = r"\d{1,3}(?:[ ,.'’\u{a0}\u{202f}]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?";
const SYMBOL: &str = r"[$€£¥₹₩₽]|US\$|CHF|USD|EUR|GBP|JPY|CAD|AUD";
const WORDS: &str = r"dollars?|euros?|pounds?|yen|francs?|cents?";
const SCALE: &str = r"(?:\s?(?:thousand|million|billion|trillion|[kKmM]n?|bn)\b)?";

/// All patterns, compiled. Of two that match at one place the earlier in the list counts.
pub struct Patterns {
    list: Vec<(&'static str, Regex)>,
}

impl Patterns {
    /// Compiles them; some milliseconds.
    ///
    /// # Panics
    /// Never: the patterns are constants, and a test compiles them.
    #[expect(clippy::expect_used, reason = "constant patterns")]
    pub fn new() -> Self {
        let list = [
            ("email", r"(?i)\b[a-z0-9._%+\-]+@[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?(?:\.[a-z0-9\-]+)*\.[a-z]{2,}\b".to_owned()),
            ("url", r#"(?i)\b(?:https?://|www\.)[^\s<>"“”]*[^\s<>"“”.,;:!?)\]']"#.to_owned()),
            ("id", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b".to_owned()),
            ("date", r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?)?\b".to_owned()),
            ("date", format!(r"(?i)\b(?:(?:Mon|Tues?|Wednes|Thurs?|Fri|Satur|Sun)(?:day)?\.?,? )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {MONTH}(?:,? \d{{4}})?\b")),
            ("date", format!(r"(?i)\b(?:(?:Mon|Tues?|Wednes|Thurs?|Fri|Satur|Sun)(?:day)?\.?,? )?{MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?\b")),
            ("date", format!(r"(?i)\b{MONTH} \d{{4}}\b")),
            ("date", r"\b(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|[12]\d|3[01])[./-](?:19|20)?\d{2}\b".to_owned()),
            ("amount", format!(r"(?:{SYMBOL})\s?(?:{NUMBER}){SCALE}")),
            ("amount", format!(r"\b(?:{NUMBER}){SCALE}\s?(?:{SYMBOL}|(?i:{WORDS})\b)")),
            ("percent", format!(r"\b(?:{NUMBER})\s?(?:%|‰|(?:percent|per cent)\b)")),
            ("phone", r"(?:\+\d{1,3}[ .\-/]?)?(?:\(\d{1,4}\)[ .\-/]?)?\d{2,4}(?:[ .\-/]\d{2,4}){2,4}\b|\+\d{8,15}\b".to_owned()),
            ("id", r"\b(?:[A-Z]{1,5}[-/#]?)?\d{2,}(?:[-/][A-Z0-9]+)+\b|\b[A-Z]{2,5}[-/#]\d{2,}(?:[-/][A-Z0-9]+)*\b|#\d{2,}\b".to_owned()),
        ];
        let compile = |(kind, text): (&'static str, String)| (kind, Regex::new(&text).expect("a constant pattern"));
        Self { list: list.into_iter().map(compile).collect() }
    }

    /// All matches in `text`, in order, none overlapping.
    pub fn find(&self, text: &str) -> Vec<Match> {
        let mut found: BTreeMap<usize, Match> = BTreeMap::new();
        for (kind, pattern) in &self.list {
            for m in pattern.find_iter(text) {
                let range = m.range();
                // A number that is part of a longer run of digits and letters is none of its own.
                let glued = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let first = text[range.clone()].chars().next();
                if glued(first) && glued(text[..range.start].chars().next_back()) {
                    continue;
                }
                // Of those before the end of this one the last alone can reach into it.
                let before = found.range(..range.end).next_back();
                if before.is_none_or(|(_, f)| f.range.end <= range.start) {
                    found.insert(range.start, Match { kind, range });
                }
            }
        }
        found.into_values().collect()
    }
}

impl Default for Patterns {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_exactly() {
        let text = "Invoice INV-2024-0013 of 12 March 2024 (due 2024-04-11): CHF 1'200.50, i.e. €45 and 3.5 million \
                    dollars, 19 %. Mail a.b@ex-ample.co.uk, call +49 30 1234-5678 or see https://example.org/x?y=1. \
                    IBAN DE89 3704 0044 0532 0130 00. On Friday, March 1st, 2024 no. 7 was 01.02.2023.";
        let found = Patterns::new().find(text);
        let pairs: Vec<(&str, &str)> = found.iter().map(|m| (m.kind, &text[m.range.clone()])).collect();
        assert_eq!(
            pairs,
            [
                ("id", "INV-2024-0013"),
                ("date", "12 March 2024"),
                ("date", "2024-04-11"),
                ("amount", "CHF 1'200.50"),
                ("amount", "€45"),
                ("amount", "3.5 million dollars"),
                ("percent", "19 %"),
                ("email", "a.b@ex-ample.co.uk"),
                ("phone", "+49 30 1234-5678"),
                ("url", "https://example.org/x?y=1"),
                ("id", "DE89 3704 0044 0532 0130 00"),
                ("date", "Friday, March 1st, 2024"),
                ("date", "01.02.2023"),
            ]
        );
    }

    #[test]
    fn plain_text_has_none() {
        assert_eq!(Patterns::new().find("We may march on. In 1999 there were 12 of us, 😀 and 3 cats."), []);
    }
}
