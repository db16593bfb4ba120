//! What comes out of a model that reads.

pub use crate::nn::bert::config::ScoreKind;
use serde::Serialize;
use std::ops::Range;

/// What a model read of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Input tokens, special tokens included; those of overlapping windows count each time.
    pub tokens: usize,
    /// The first pieces of the text, as the model sees it.
    pub pieces: Vec<Piece>,
    /// Parts that a long text was analysed in.
    pub windows: usize,
    /// What the reader of the answer should know of that.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A token and the bytes of the text that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub text: String,
    pub id: u32,
    pub start: usize,
    pub end: usize,
}

/// A score per label.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Labels with their scores, in the model's order.
    pub scores: Vec<(String, f64)>,
    /// What they are: probabilities that add up to 1, or each its own, or numbers.
    pub kind: ScoreKind,
    pub reading: Reading,
}

impl Scores {
    /// The label with the greatest score, and that score.
    pub fn top(&self) -> (&str, f64) {
        let best = self.scores.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(("", 0.0), |(label, p)| (label, *p))
    }

    /// The score of `label`, if the model has one of that name.
    pub fn of(&self, label: &str) -> Option<f64> {
        self.scores.iter().find(|s| s.0 == label).map(|s| s.1)
    }
}

/// The entities of a text, in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entities {
    pub entities: Vec<Entity>,
    /// All types that the model knows.
    pub kinds: Vec<String>,
    pub reading: Reading,
}

/// A stretch of the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entity {
    pub text: String,
    pub kind: String,
    /// Bytes of the text, on letters' boundaries.
    pub start: usize,
    pub end: usize,
    /// Mean probability of the type over the words.
    pub score: f64,
    /// The same for each type, and for "none" last.
    pub by_kind: Vec<(String, f64)>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answers {
    /// The likeliest places, best first, none inside another's; at least one.
    pub places: Vec<Place>,
    /// Probability that the text does not say.
    pub no_answer: f64,
    /// Whether the text more likely says than not.
    pub answered: bool,
    pub reading: Reading,
}

/// A stretch of the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    pub text: String,
    /// Bytes of the text, on letters' boundaries.
    pub start: usize,
    pub end: usize,
    /// Probability that the answer begins and ends just there, within its window.
    pub score: f64,
}

impl Answers {
    /// The answer, if the text has one.
    pub fn answer(&self) -> Option<&Place> {
        self.places.first().filter(|_| self.answered)
    }
}

/// A text's place in the space of meanings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedding {
    /// `[width]`, as the model's own modules make it: of length 1 where they say so.
    pub vector: Vec<f32>,
    pub reading: Reading,
}

/// A summary made of the text's own sentences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub text: String,
    /// The chosen sentences, in the order of the text.
    pub chosen: Vec<Chosen>,
    /// Every sentence: bytes of the text, and how central it is, -1 to 1.
    pub sentences: Vec<(Range<usize>, f32)>,
    pub reading: Reading,
}

/// A chosen sentence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    pub text: String,
    /// Bytes of the text.
    pub start: usize,
    pub end: usize,
    /// Cosine to the whole text's mean.
    pub score: f64,
    /// The first that was chosen has 1.
    pub rank: usize,
}
