//! Which words of a source the words of a translation look at, from the decoder's attention.
//!
//! Attention is not alignment, but averaged over heads of the later layers it comes close (Garg et
//! al. 2019, arXiv:1909.02074).

use crate::models::sentencepiece::{PairTokenizer, SourceToken};
use crate::tasks::contract::Link;
use std::ops::Range;

/// Share of a target word's attention from which a source word is linked to it.
const LEAST: f32 = 0.2;

/// Words of the source: places, and the indices of their tokens.
fn source_words(tokens: &[SourceToken]) -> Vec<(Range<usize>, Vec<usize>)> {
    let mut out: Vec<(Range<usize>, Vec<usize>)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match out.last_mut() {
            // Tokens that touch are one word.
            Some((range, members)) if range.end >= token.start => {
                range.end = range.end.max(token.end);
                members.push(index);
            }
            _ => out.push((token.start..token.end, vec![index])),
        }
    }
    out.retain(|w| !w.0.is_empty());
    out
}

/// Words of the target: places in the decoded text, and the indices of their ids.
fn target_words(ids: &[u32], tokenizer: &PairTokenizer) -> Vec<(Range<usize>, Vec<usize>)> {
    let mut out: Vec<(Range<usize>, Vec<usize>)> = Vec::new();
    let mut length = 0;
    for (index, id) in ids.iter().enumerate().filter(|(_, id)| !tokenizer.is_special(**id)) {
        let piece = tokenizer.piece(*id);
        // Single bytes become letters together: places would be wrong.
        if piece.starts_with("<0x") {
            return Vec::new();
        }
        let plain = piece.trim_start_matches('▁');
        let begins = plain.len() < piece.len() || out.is_empty();
        if begins {
            // The decoded text has one space between words, none at its beginning.
            length += usize::from(length > 0);
            out.push((length..length, Vec::new()));
        }
        length += plain.len();
        if let Some((range, members)) = out.last_mut() {
            range.end = length;
            members.push(index);
        }
    }
    out.retain(|w| !w.0.is_empty());
    out
}

/// Links between words. `looks` is `[target ids][source tokens]`; `before` source tokens stand before
/// `tokens` (a prefix), one after them (the end).
pub fn links(
    tokens: &[SourceToken],
    before: usize,
    ids: &[u32],
    tokenizer: &PairTokenizer,
    looks: &[Vec<f32>],
) -> Vec<Link> {
    let words = source_words(tokens);
    let mut out = Vec::new();
    for (place, members) in target_words(ids, tokenizer) {
        let weight = |word: &(Range<usize>, Vec<usize>)| -> f32 {
            let of = |row: &Vec<f32>| word.1.iter().map(|i| row.get(before + i).copied().unwrap_or(0.0)).sum::<f32>();
            members.iter().filter_map(|m| looks.get(*m)).map(of).sum()
        };
        let weights: Vec<f32> = words.iter().map(weight).collect();
        // What goes to the end token or the prefix says nothing of words.
        let total: f32 = weights.iter().sum();
        let top = weights.iter().copied().fold(0f32, f32::max);
        for (word, weight) in words.iter().zip(weights) {
            let share = weight / total.max(f32::MIN_POSITIVE);
            if weight > 0.0 && (share >= LEAST || weight == top) {
                out.push(Link { source: word.0.clone(), target: place.clone(), weight: share });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_tokens_are_one_word() {
        let token = |start, end| SourceToken { id: 1, start, end };
        let words = source_words(&[token(0, 3), token(3, 5), token(6, 9), token(9, 9)]);
        assert_eq!(words, [(0..5, vec![0, 1]), (6..9, vec![2, 3])]);
    }
}
