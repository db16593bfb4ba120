//! Answers, by their shape.

use super::abstractive::Digest;
use super::embed::Embedding;
use super::encoder::Reading;
use super::entities::Entities;
use super::language::Generated;
use super::questions::Answers;
use super::summarize::Summary;
use super::translate::Translated;
pub use crate::nn::bert::config::ScoreKind;
use serde::Serialize;

/// An answer, by its shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Output {
    Scores(Scores),
    Entities(Entities),
    Answers(Answers),
    Vector(Embedding),
    Summary(Summary),
    Text(Generated),
    Translation(Translated),
    Digest(Digest),
}

impl Output {
    /// What the reader of the answer should know beside it.
    pub fn warnings(&self) -> Vec<String> {
        let how = match self {
            Self::Scores(_) => "the answer is their mean, weighted by length",
            Self::Vector(_) => "the vector is their mean, weighted by length",
            Self::Entities(_) => "they overlap, and each word counts once",
            Self::Answers(_) => "they overlap, and all were searched",
            Self::Summary(_) => return Vec::new(),
            Self::Text(g) => return g.warnings(),
            Self::Translation(t) => return t.warnings(),
            Self::Digest(d) => return d.warnings(),
        };
        let Some(Reading { tokens, windows, notes, .. }) = self.reading() else { return Vec::new() };
        let mut out = notes.clone();
        if *windows > 1 {
            out.push(format!("a long text ({tokens} tokens) was analysed in {windows} windows; {how}"));
        }
        out
    }

    /// What the model read, of a task on an encoder.
    pub fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Scores(s) => Some(&s.reading),
            Self::Entities(e) => Some(&e.reading),
            Self::Answers(a) => Some(&a.reading),
            Self::Vector(v) => Some(&v.reading),
            Self::Summary(s) => Some(&s.reading),
            Self::Translation(t) => Some(&t.reading),
            Self::Digest(d) => Some(&d.reading),
            Self::Text(_) => None,
        }
    }

    /// The scores, of a task that gives some.
    pub fn scores(&self) -> Option<&Scores> {
        match self {
            Self::Scores(scores) => Some(scores),
            _ => None,
        }
    }

    /// The text, of a task that writes one.
    pub fn text(&self) -> Option<&Generated> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entities, of a task that finds some.
    pub fn entities(&self) -> Option<&Entities> {
        match self {
            Self::Entities(entities) => Some(entities),
            _ => None,
        }
    }

    /// The answers to a question.
    pub fn answers(&self) -> Option<&Answers> {
        match self {
            Self::Answers(answers) => Some(answers),
            _ => None,
        }
    }

    /// The embedding, of a task that gives one.
    pub fn vector(&self) -> Option<&[f32]> {
        match self {
            Self::Vector(embedding) => Some(&embedding.vector),
            _ => None,
        }
    }

    /// The translation, of a task that makes one.
    pub fn translation(&self) -> Option<&Translated> {
        match self {
            Self::Translation(translated) => Some(translated),
            _ => None,
        }
    }

    /// The summary in the model's own words, of a task that makes one.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            _ => None,
        }
    }

    /// The summary, of a task that makes one.
    pub fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Summary(summary) => Some(summary),
            _ => None,
        }
    }
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

/// A token and the bytes of the text that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub text: String,
    pub id: u32,
    pub start: usize,
    pub end: usize,
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
