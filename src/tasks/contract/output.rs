//! Answers, by their shape.

use super::answers::{Answers, Embedding, Entities, Reading, Scores, Summary};
use super::generated::Generated;
use super::rewritten::{Digest, Translated};
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
