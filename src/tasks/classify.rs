//! Classification with labels of one's own: by likeness to the labels' names (zero-shot), or by a
//! head taught from a few examples. Both stand on sentence embeddings. A checkpoint with classes of
//! its own answers with those.

use super::embed::cosine;
use super::{Model, Progress, Task, TaskError};
use crate::models::library::ModelEntry;
use crate::nn::bert::{HeadKind, softmax};
use crate::nn::logistic::Logistic;
use crate::nn::runtime::Runtime;
use serde::{Deserialize, Serialize};

/// Most labels of one request.
pub const MAX_LABELS: usize = 10_000;
/// Cosines are divided by this before the softmax: a tenth more likeness is e² times as likely.
const TEMPERATURE: f32 = 0.05;

/// Labels with their probabilities.
pub type Labelled = Vec<(String, f64)>;

/// The task.
pub struct Classify;

impl Task for Classify {
    fn id(&self) -> &'static str {
        "classify"
    }

    fn model_task(&self) -> &'static str {
        "embed"
    }

    fn head(&self) -> Option<HeadKind> {
        Some(HeadKind::Mean)
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        super::embed::load(entry, runtime, progress)
    }
}

/// The labels, each once, without blanks around them.
///
/// # Errors
/// [`TaskError::Prompt`] for fewer than two, or too many.
pub fn distinct(labels: &[String]) -> Result<Vec<String>, TaskError> {
    let mut seen = std::collections::HashSet::new();
    let trimmed = labels.iter().map(|l| l.trim()).filter(|l| !l.is_empty());
    let unique: Vec<String> = trimmed.filter(|l| seen.insert(l.to_lowercase())).map(str::to_owned).collect();
    if unique.len() < 2 {
        return Err(TaskError::Labels("two labels or more are needed to choose between".into()));
    }
    if unique.len() > MAX_LABELS {
        let why = format!("{} labels were given; at most {MAX_LABELS} can be compared", unique.len());
        return Err(TaskError::Labels(why));
    }
    Ok(unique)
}

/// A label as one would say it: `card_arrival` as "card arrival".
pub fn spoken(label: &str) -> String {
    label.replace('_', " ")
}

/// Softmax of the cosines between a vector and the labels', all of length 1.
pub fn shares(vector: &[f32], labels: &[&Vec<f32>]) -> Vec<f64> {
    let likeness = |l: &&Vec<f32>| cosine(l, vector) / TEMPERATURE;
    softmax(&labels.iter().map(likeness).collect::<Vec<f32>>())
}

/// A head fitted on the embeddings of examples, as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaughtHead {
    /// Format of the file.
    pub version: u32,
    /// The embedding model that it was taught on; it means nothing on another.
    pub model: String,
    pub labels: Vec<String>,
    /// Width of an embedding.
    pub width: usize,
    /// `[labels, width + 1]`, the bias last.
    pub weights: Vec<f32>,
    /// Examples that it was taught with.
    pub examples: usize,
    /// Examples left out and recognised all the same, and how many were tried.
    pub held_out: Option<(usize, usize)>,
}

impl TaughtHead {
    /// The probability of each label for an embedding by the model called `model`.
    ///
    /// # Errors
    /// [`TaskError::Labels`] if it was taught on another model: its weights mean nothing here.
    pub fn scores(&self, vector: &[f32], model: &str) -> Result<Labelled, TaskError> {
        // A folder may have moved: its own name counts.
        let name = |id: &str| id.rsplit(['/', '\\']).next().map(str::to_owned);
        let fits = vector.len() == self.width && self.weights.len() == self.labels.len() * (self.width + 1);
        if !fits || name(model) != name(&self.model) {
            let why = format!("the head was taught on the model '{}', this is '{model}'", self.model);
            return Err(TaskError::Labels(why));
        }
        let head = Logistic { weights: self.weights.clone(), classes: self.labels.len(), width: self.width };
        Ok(self.labels.iter().cloned().zip(head.shares(vector)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn labels_count_once_and_there_must_be_two() {
        assert_eq!(distinct(&owned(&[" sport", "Sport", "", "politics "])).expect("two"), ["sport", "politics"]);
        assert!(distinct(&owned(&["one", "one"])).unwrap_err().to_string().contains("two labels"));
        let many: Vec<String> = (0..=MAX_LABELS).map(|i| i.to_string()).collect();
        assert!(distinct(&many).unwrap_err().to_string().contains("10000"));
    }

    #[test]
    fn the_nearest_label_is_likeliest() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let p = shares(&[0.9, 0.43589], &[&x, &y]);
        assert!(p[0] > 0.99 && (p[0] + p[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_head_of_another_model_is_refused() {
        let head = TaughtHead {
            version: 1,
            model: "m".into(),
            labels: owned(&["a", "b"]),
            width: 2,
            weights: vec![0.0; 6],
            examples: 2,
            held_out: None,
        };
        assert!(head.scores(&[1.0, 0.0], "elsewhere/m").is_ok());
        for (vector, model) in [(&[1.0][..], "m"), (&[1.0, 0.0], "n")] {
            assert!(head.scores(vector, model).unwrap_err().to_string().contains("'m'"));
        }
    }
}
