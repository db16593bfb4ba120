//! "Why?": each word is left out in turn, and what that does to a label's probability is its
//! effect (leave-one-out occlusion; Zeiler & Fergus 2014 for images, Li et al. 2016 for words).
//!
//! The variants are one batch of inputs for the engine. An effect says how the answer moved
//! without that one word. Words that only matter together can both show none.

use crate::engine::message::ItemResult;
use crate::tasks::Output;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// Words of a text that are left out in turn; of a longer text the first so many.
pub const MAX_WORDS: usize = 160;

/// The byte ranges of the words of `text`: what stands between white space, and where a script
/// writes without spaces, its segments by Unicode's rules (UAX #29).
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for chunk in text.split_whitespace() {
        let start = chunk.as_ptr() as usize - text.as_ptr() as usize;
        if chunk.chars().any(without_spaces) {
            let segments = chunk.split_word_bound_indices();
            found.extend(segments.map(|(i, s)| start + i..start + i + s.len()));
        } else {
            found.push(start..start + chunk.len());
        }
    }
    found.truncate(MAX_WORDS);
    found
}

/// Scripts that put no spaces between words: Thai, Lao, Khmer, Burmese, kana, CJK ideographs.
fn without_spaces(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0x20000..=0x2FFFF)
}

/// `text` without `word`, and without a doubled space where it was.
pub fn without(text: &str, word: &Range<usize>) -> String {
    replaced(text, word, "")
}

/// `text` with `word` replaced.
pub fn replaced(text: &str, word: &Range<usize>, by: &str) -> String {
    let (before, after) = (&text[..word.start], &text[word.end..]);
    if by.is_empty() {
        let after = if before.is_empty() || before.ends_with(char::is_whitespace) { after.trim_start() } else { after };
        return format!("{before}{after}");
    }
    format!("{before}{by}{after}")
}

/// The batch: the text itself, then one variant per word.
pub fn variants(text: &str, words: &[Range<usize>]) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    all.extend(words.iter().map(|w| without(text, w)));
    all
}

/// How far each word moved the probability of `label`: with it minus without it, -1 to 1.
/// `None` for a variant that could not be analysed (nothing left of the text).
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    /// Probability of the label for the whole text.
    pub base: f64,
    pub by_word: Vec<Option<f64>>,
}

/// Puts the answers of a batch of [`variants`] together. `None` until all are there.
pub fn effects(answers: &[Option<ItemResult>], label: &str) -> Option<Effects> {
    let probability = |answer: &Option<ItemResult>| match answer {
        Some(Ok(Output::Scores(scores))) => scores.of(label),
        _ => None,
    };
    if answers.iter().any(Option::is_none) {
        return None;
    }
    let base = probability(answers.first()?)?;
    Some(Effects { base, by_word: answers[1..].iter().map(|a| probability(a).map(|p| base - p)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ranges_of_the_text() {
        let text = "  A slow start, but café 🙂.";
        let found: Vec<&str> = words(text).into_iter().map(|r| &text[r]).collect();
        assert_eq!(found, ["A", "slow", "start,", "but", "café", "🙂."]);
        assert!(words(" \n ").is_empty());
        let chinese = "很好 film";
        assert_eq!(words(chinese).iter().map(|r| &chinese[r.clone()]).collect::<Vec<_>>(), ["很", "好", "film"]);
        assert_eq!(words(&"a ".repeat(1000)).len(), MAX_WORDS);
    }

    #[test]
    fn leaving_out_keeps_the_rest_tidy() {
        let text = "A slow start";
        let w = words(text);
        assert_eq!(variants(text, &w), ["A slow start", "slow start", "A start", "A slow "]);
        assert_eq!(replaced(text, &w[1], "fast"), "A fast start");
    }

    #[test]
    fn effects_wait_for_all_answers_and_survive_a_missing_one() {
        let answer = |p: f64| {
            Some(Ok(Output::Scores(crate::tasks::Scores {
                scores: vec![("negative".into(), 1.0 - p), ("positive".into(), p)],
                ..Default::default()
            })))
        };
        let failed = Some(Err(crate::error::UserMessage::new("a", "b", "c")));
        assert!(effects(&[answer(0.9), None], "positive").is_none());
        let e = effects(&[answer(0.9), answer(0.5), failed], "positive").expect("complete");
        assert!((e.by_word[0].expect("number") - 0.4).abs() < 1e-12);
        assert_eq!(e.by_word[1], None);
        assert!(effects(&[answer(0.9), answer(0.5)], "joy").is_none(), "the model has no such label");
    }
}
