//! Sentiment: is a text positive or negative? Sequence classification on BERT, DistilBERT or RoBERTa.

use super::encoder::{EncoderModel, Known, Windows, cut, finished};
use crate::models::library::ModelEntry;
use crate::nn::bert::config::ScoreKind;
use crate::nn::bert::{HeadKind, softmax};
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Asked, Input, Model, Output, Progress, Scores, Task, TaskError, Work};

/// The task.
pub struct Sentiment;

impl Task for Sentiment {
    fn id(&self) -> &'static str {
        "sentiment"
    }

    fn head(&self) -> Option<HeadKind> {
        Some(HeadKind::Classify)
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        Ok(Box::new(Classifier(EncoderModel::open(entry, HeadKind::Classify, runtime, progress)?)))
    }
}

/// A sequence classifier with its tokenizer.
pub struct Classifier(pub EncoderModel);

impl Classifier {
    /// The probability of each label. Windows weigh by their length.
    pub fn scores(&self, work: &Windows) -> Scores {
        let config = self.0.network.config();
        let mut mean = vec![0f64; config.labels.len()];
        let reading = self.0.reading(work);
        for (window, logits) in work.windows.iter().zip(&work.outputs) {
            let shares = match config.scores {
                ScoreKind::Shares => softmax(logits),
                ScoreKind::Each => sigmoid(logits),
                ScoreKind::Number => logits.iter().map(|x| f64::from(*x)).collect(),
            };
            for (m, p) in mean.iter_mut().zip(shares) {
                *m += p * window.ids.len() as f64 / reading.tokens as f64;
            }
        }
        if work.known == Known::Nothing && config.scores == ScoreKind::Shares {
            // Of nothing follows nothing: no label is likelier than another.
            let even = 1.0 / mean.len() as f64;
            mean.fill(even);
        }
        let scores = config.labels.iter().map(|l| display_label(l)).zip(mean).collect();
        Scores { scores, kind: config.scores, reading }
    }
}

impl Model for Classifier {
    fn bytes(&self) -> usize {
        self.0.network.bytes()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let tokens = self.0.tokens(asked.input.text(), stop)?;
        let windows = cut(&tokens, self.0.room(), 0).into_iter().map(|r| self.0.window(&tokens, r)).collect();
        Ok(Box::new(self.0.windows(asked.input.text(), tokens, windows)))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        self.0.step(works, max_tokens)
    }

    fn finish(&self, _input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        Ok(Output::Scores(self.scores(&*finished::<Windows>(work)?)))
    }
}

/// Each label's own probability, of models whose labels do not exclude each other.
fn sigmoid(logits: &[f32]) -> Vec<f64> {
    logits.iter().map(|x| 1.0 / (1.0 + (-f64::from(*x)).exp())).collect()
}

/// `POSITIVE` and `NEGATIVE` of public checkpoints in our spelling; other labels as they are.
fn display_label(label: &str) -> String {
    match label {
        "POSITIVE" | "NEGATIVE" => label.to_lowercase(),
        other => other.to_owned(),
    }
}
