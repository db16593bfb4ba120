//! A head taught from a few examples.

use super::error::TaskError;
use crate::nn::logistic::Logistic;
use serde::{Deserialize, Serialize};

/// Labels with their probabilities.
pub type Labelled = Vec<(String, f64)>;

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

    #[test]
    fn a_head_of_another_model_is_refused() {
        let head = TaughtHead {
            version: 1,
            model: "m".into(),
            labels: vec!["a".into(), "b".into()],
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
