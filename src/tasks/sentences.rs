//! Where sentences begin and end: Unicode's rules (UAX #29), corrected for what they break wrongly in
//! ordinary English text: abbreviations, initials, and lines that were wrapped by hand.

use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// Abbreviations that a sentence goes on after.
const ABBREVIATIONS: [&str; 30] = [
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "e.g", "i.e", "cf", "fig", "figs", "no", "nos",
    "vol", "al", "gen", "col", "lt", "sgt", "capt", "rev", "hon", "pres", "gov", "inc", "u.s",
];

/// The byte ranges of the sentences of `text`, white space at their ends left out.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut raw_end = 0;
    for (start, piece) in text.split_sentence_bound_indices() {
        let inner = piece.trim();
        if inner.is_empty() {
            if piece.contains('\n') {
                raw_end = usize::MAX; // an empty line: never joined over
            }
            continue;
        }
        let at = start + (piece.len() - piece.trim_start().len());
        let range = at..at + inner.len();
        match out.last_mut() {
            Some(last) if raw_end == start && goes_on(&text[last.clone()], &text[last.end..range.start], inner) => {
                last.end = range.end;
            }
            _ => out.push(range),
        }
        raw_end = start + piece.len();
    }
    out
}

/// Whether what stands after `gap` belongs to the sentence `before`.
fn goes_on(before: &str, gap: &str, after: &str) -> bool {
    let breaks = gap.matches('\n').count();
    let ended = before
        .trim_end_matches(['"', '\'', '”', '’', ')', ']'])
        .ends_with(['.', '!', '?', '…', ':', ';', '。', '！', '？']);
    if breaks > 0 {
        let small = after.chars().next().is_some_and(|c| c.is_lowercase() || c.is_numeric());
        return breaks == 1 && !ended && small;
    }
    if after.starts_with(char::is_lowercase) {
        return true; // "Was it late?" she asked.
    }
    let Some(word) = before.strip_suffix('.').and_then(|b| b.split_whitespace().next_back()) else { return false };
    let word = word.trim_start_matches(['(', '[', '"', '“']);
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    initial
        || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
            && (word.to_lowercase() != "no" || after.starts_with(|c: char| c.is_numeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn abbreviations_and_wrapped_lines_do_not_end_a_sentence() {
        let text = "Dr. Smith met J. R. Hill. \"Was it late?\" she asked.\nThe train, which was\nlate, left at 5 p.m. on time.\n\nA heading\nNext one.";
        assert_eq!(
            cut(text),
            [
                "Dr. Smith met J. R. Hill.",
                "\"Was it late?\" she asked.",
                "The train, which was\nlate, left at 5 p.m. on time.",
                "A heading",
                "Next one."
            ]
        );
        assert_eq!(cut("It was no. It stayed so."), ["It was no.", "It stayed so."]);
        assert_eq!(cut("See no. 5 first."), ["See no. 5 first."]);
        assert!(cut(" \n \n").is_empty());
        assert_eq!(cut("一。二！"), ["一。", "二！"]);
    }
}
