//! What comes out of a model that says a text in other words.

use super::answers::Reading;
use serde::Serialize;
use std::ops::Range;

/// One way to say a passage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    pub text: String,
    /// Log-probability over length to the power of the length penalty.
    pub score: f32,
}

/// A passage that has been rewritten.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rewritten {
    /// Best first, at least one.
    pub alternatives: Vec<Alternative>,
    /// Which words of the source the best one's words look at. Source bytes count from the beginning of the
    /// whole text, target bytes from the beginning of this passage's best alternative.
    pub links: Vec<Link>,
    /// Target tokens of the best, its end included.
    pub tokens: usize,
    /// Whether the best ended by itself rather than by its length.
    pub ended: bool,
}

/// Two words that belong together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// Bytes of the source text.
    pub source: Range<usize>,
    /// Bytes of the translation.
    pub target: Range<usize>,
    /// Share of the target word's attention, 0 to 1.
    pub weight: f32,
}

/// A sentence with its translation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sentence {
    /// Bytes of the source text.
    pub source: Range<usize>,
    /// Bytes of the translated text.
    pub target: Range<usize>,
    pub rewritten: Rewritten,
}

/// A translated text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Translated {
    pub text: String,
    pub sentences: Vec<Sentence>,
    pub reading: Reading,
    /// Tokens written.
    pub tokens: usize,
}

impl Translated {
    /// The mean of the sentences' scores, weighted by length.
    pub fn score(&self) -> f64 {
        let each = || self.sentences.iter().map(|s| (&s.rewritten, s.rewritten.tokens as f64));
        let total: f64 = each().map(|(_, n)| n).sum();
        let sum: f64 = each().filter_map(|(r, n)| Some(f64::from(r.alternatives.first()?.score) * n)).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    }

    /// What the reader should know.
    pub fn warnings(&self) -> Vec<String> {
        let cut = self.sentences.iter().filter(|s| !s.rewritten.ended).count();
        if cut == 0 {
            return Vec::new();
        }
        let what = if cut == 1 { "one sentence".to_owned() } else { format!("{cut} sentences") };
        vec![format!("the model did not end {what} by itself; what it wrote was cut at the greatest length")]
    }
}

/// A summary in the model's own words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Digest {
    /// Best first, at least one.
    pub alternatives: Vec<Alternative>,
    pub reading: Reading,
    /// Tokens written, in all passes.
    pub tokens: usize,
    /// Times that the text, or what was left of it, was gone through.
    pub passes: usize,
    /// Whether the last one ended by itself.
    pub ended: bool,
}

impl Digest {
    /// The best summary.
    pub fn text(&self) -> &str {
        self.alternatives.first().map_or("", |a| &a.text)
    }

    /// What the reader should know.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.reading.windows > 1 {
            let passes = self.passes - 1;
            let again = if passes == 1 { "once more".to_owned() } else { format!("{passes} times more") };
            out.push(format!(
                "a long text ({} tokens) was summarized in {} parts, and what came out {again}",
                self.reading.tokens, self.reading.windows
            ));
        }
        if !self.ended {
            out.push("the model did not end by itself; the summary was cut at its greatest length".into());
        }
        out
    }
}
