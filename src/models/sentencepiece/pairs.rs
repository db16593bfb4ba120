//! SentencePiece's BPE as merges, which is how the `tokenizers` crate wants it.

use std::collections::HashMap;
use tokenizers::models::bpe::{Merges, Vocab};

/// Ids by token; of two that read alike the first counts.
pub fn vocabulary(tokens: &[String]) -> Vocab {
    tokens.iter().enumerate().rev().map(|(id, token)| (token.clone(), id as u32)).collect()
}

/// The merges that follow from the scores, as `transformers` converts them: two tokens merge if their
/// union is one of `merged` (tokens with their scores), the best first.
pub fn merges<'a>(tokens: &'a [String], merged: impl Iterator<Item = (&'a str, f64)>) -> Merges {
    let ids: HashMap<&str, u32> = tokens.iter().zip(0u32..).map(|(t, i)| (t.as_str(), i)).collect();
    let mut merges: Vec<(&str, &str, f64)> = Vec::new();
    for (piece, score) in merged {
        let cuts = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let mut own: Vec<(&str, &str, f64)> =
            cuts.filter(|(l, r)| ids.contains_key(l) && ids.contains_key(r)).map(|(l, r)| (l, r, score)).collect();
        own.sort_by_key(|(l, r, _)| (ids[l], ids[r]));
        merges.extend(own);
    }
    merges.sort_by(|a, b| {
        let lengths = |m: &(&str, &str, f64)| (m.0.chars().count(), m.1.chars().count());
        b.2.total_cmp(&a.2).then_with(|| lengths(b).cmp(&lengths(a)))
    });
    merges.into_iter().map(|(l, r, _)| (l.to_owned(), r.to_owned())).collect()
}
