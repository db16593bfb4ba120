//! Extractive summaries: the sentences nearest to what the whole text is about, none of them twice.
//!
//! A sentence's centrality is the cosine of its embedding and the mean of all sentences' (as in
//! centroid summarization, Radev et al. 2004, on embeddings: Rossiello et al. 2017). Sentences are
//! chosen one by one, each time the one with the best centrality less its likeness to those chosen
//! (maximal marginal relevance, Carbonell & Goldstein 1998).

use super::options::Length;
use super::vectors::{cosine, normalized};
use crate::tasks::contract::{Chosen, Reading, Summary, TaskError};
use crate::tasks::text::sentences::sentences;
use std::ops::Range;

/// Share of centrality in the choice; the rest is the penalty for saying the same again.
const RELEVANCE: f32 = 0.7;
/// Words from which a line counts as a sentence rather than a heading.
const SENTENCE_WORDS: usize = 4;
/// Most sentences that one summary is chosen from.
const MAX_SENTENCES: usize = 20_000;

/// A text's sentences, and how many of them are wanted.
pub struct Sentences {
    all: Vec<Range<usize>>,
    wanted: usize,
}

impl Sentences {
    /// The sentences of `text` and the number that `length` asks for.
    ///
    /// # Errors
    /// [`TaskError::Input`] for a text without any, [`TaskError::Prompt`] for one with too many.
    pub fn of(text: &str, length: &Length) -> Result<Self, TaskError> {
        // Lines of nothing but marks have no meaning to be near to.
        let has_letters = |r: &Range<usize>| text[r.clone()].chars().any(char::is_alphanumeric);
        let all: Vec<_> = sentences(text).into_iter().filter(has_letters).collect();
        if all.is_empty() {
            return Err(TaskError::Input("the text has no sentence".into()));
        }
        if all.len() > MAX_SENTENCES {
            let why = format!("the text has {} sentences; at most {MAX_SENTENCES} can be compared", all.len());
            return Err(TaskError::Prompt(why));
        }
        let wanted = match length {
            Length::Sentences(n) => *n,
            Length::Percent(p) => (all.len() as f32 * p.clamp(0.0, 100.0) / 100.0).round() as usize,
        };
        Ok(Self { wanted: wanted.clamp(1, all.len()), all })
    }

    /// Bytes of each sentence.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.all.iter().cloned()
    }
}

/// Chooses sentences by their vectors (each of length 1).
pub fn rank(text: &str, sentences: &Sentences, vectors: &[Vec<f32>], reading: Reading) -> Summary {
    let mut mean = vec![0f32; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        mean.iter_mut().zip(vector).for_each(|(m, x)| *m += x);
    }
    let mean = normalized(mean);
    let scores: Vec<f32> = vectors.iter().map(|v| cosine(v, &mean)).collect();
    let words = |r: &Range<usize>| text[r.clone()].split_whitespace().nth(SENTENCE_WORDS - 1).is_some();
    let mut candidates: Vec<usize> = (0..vectors.len()).filter(|&i| words(&sentences.all[i])).collect();
    if candidates.len() < sentences.wanted {
        candidates = (0..vectors.len()).collect();
    }
    let mut likeness = vec![0f32; vectors.len()];
    let mut order: Vec<usize> = Vec::new();
    while order.len() < sentences.wanted {
        let value = |i: usize| RELEVANCE * scores[i] - (1.0 - RELEVANCE) * likeness[i];
        // Of equals the earlier.
        let best = candidates.iter().copied().reduce(|a, b| if value(b) > value(a) { b } else { a });
        let Some(best) = best else { break };
        candidates.retain(|c| *c != best);
        for &i in &candidates {
            likeness[i] = likeness[i].max(cosine(&vectors[i], &vectors[best]));
        }
        order.push(best);
    }
    let mut chosen: Vec<Chosen> = order
        .iter()
        .enumerate()
        .map(|(rank, &i)| {
            let range = sentences.all[i].clone();
            let text = text[range.clone()].to_owned();
            Chosen { text, start: range.start, end: range.end, score: f64::from(scores[i]), rank: rank + 1 }
        })
        .collect();
    chosen.sort_by_key(|c| c.start);
    let joined: Vec<String> = chosen.iter().map(|c| c.text.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let sentences = sentences.all.iter().cloned().zip(scores).collect();
    Summary { text: joined.join(" "), chosen, sentences, reading }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_says_the_same_again_is_not_chosen() {
        let text = "The bridge was closed today. The bridge is closed now. Repairs will cost two million. Cats sleep a great deal.";
        let vectors = [[0.9, 0.1, 0.0], [0.9, 0.12, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]];
        let vectors: Vec<Vec<f32>> = vectors.into_iter().map(|v| normalized(v.to_vec())).collect();
        let wanted = Sentences::of(text, &Length::Sentences(2)).expect("sentences");
        let summary = rank(text, &wanted, &vectors, Reading::default());
        assert_eq!(summary.text, "The bridge is closed now. Repairs will cost two million.");
        assert_eq!(summary.sentences.len(), 4);
        assert_eq!(Sentences::of(text, &Length::Percent(75.0)).expect("sentences").wanted, 3);
        assert_eq!(Sentences::of(text, &Length::Percent(1.0)).expect("sentences").wanted, 1);
        assert!(Sentences::of(" !!! \n", &Length::default()).is_err());
    }
}
