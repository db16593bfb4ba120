//! Sentiment: is a text positive or negative? Sequence classification on BERT or DistilBERT.

use super::{Input, Model, Options, Output, Piece, Progress, Scores, Task, TaskError, Work};
use crate::models::library::ModelEntry;
use crate::models::tokenizer::{TextTokenizer, Token};
use crate::models::weights::Weights;
use crate::nn::NnError;
use crate::nn::bert::config::Config;
use crate::nn::bert::{Sequence, SequenceClassifier, softmax};
use crate::nn::runtime::Runtime;
use std::any::Any;

/// Tokens that a result shows one by one; of longer texts the first so many.
const MAX_PIECES: usize = 512;

/// The task.
pub struct Sentiment;

impl Task for Sentiment {
    fn id(&self) -> &'static str {
        "sentiment"
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        Ok(Box::new(Classifier::load(entry, runtime, progress)?))
    }
}

/// A sequence classifier with its tokenizer.
pub struct Classifier {
    tokenizer: TextTokenizer,
    network: SequenceClassifier,
}

/// A text cut into windows that fit the model, each with `[CLS]` and `[SEP]`.
struct Windows {
    windows: Vec<Vec<u32>>,
    /// Logits of the windows that are done, in order.
    logits: Vec<Vec<f32>>,
    first: Vec<Token>,
}

impl Work for Windows {
    fn tokens(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    fn remaining(&self) -> usize {
        self.windows[self.logits.len()..].iter().map(Vec::len).sum()
    }
}

impl Classifier {
    /// Opens tokenizer, configuration and weights of `entry`.
    ///
    /// # Errors
    /// What is wrong with the files, or [`TaskError::Stopped`].
    pub fn load(entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Self, TaskError> {
        let here = |source: NnError| match source {
            NnError::Stopped => TaskError::Stopped,
            source => TaskError::Checkpoint { dir: format!("'{}'", entry.dir.display()), source },
        };
        let config = Config::from_json(&entry.read_config()?).map_err(here)?;
        let tokenizer = TextTokenizer::open(&entry.tokenizer)?;
        let weights = Weights::open(&entry.weights)?;
        let mut report = |share: f32| if progress(share) { Err(NnError::Stopped) } else { Ok(()) };
        let network = SequenceClassifier::load(config, &weights, runtime.target(), &mut report).map_err(here)?;
        Ok(Self { tokenizer, network })
    }
}

/// Cuts `tokens` into runs of at most `room`, at the beginning of a word where there is one.
fn cut(tokens: &[Token], room: usize) -> Vec<&[Token]> {
    let mut rest = tokens;
    let mut parts = Vec::new();
    while rest.len() > room {
        let word = (room / 2..=room).rev().find(|&i| rest[i].begins_word);
        let (part, later) = rest.split_at(word.unwrap_or(room));
        parts.push(part);
        rest = later;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

impl Model for Classifier {
    fn bytes(&self) -> usize {
        self.network.bytes()
    }

    fn prepare(&self, input: &Input, _: &Options, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let input = input.text();
        if input.trim().is_empty() {
            return Err(TaskError::Input("the text is empty".into()));
        }
        let tokens = self.tokenizer.encode(input, stop).map_err(TaskError::Tokenizer)?.ok_or(TaskError::Stopped)?;
        if tokens.is_empty() {
            return Err(TaskError::Input("the text has no visible characters".into()));
        }
        let room = self.network.config().positions.saturating_sub(2).max(1);
        let windows = cut(&tokens, room)
            .into_iter()
            .map(|part| {
                let mut ids = vec![self.tokenizer.cls];
                ids.extend(part.iter().map(|t| t.id));
                ids.push(self.tokenizer.sep);
                ids
            })
            .collect();
        let mut first = tokens;
        first.truncate(MAX_PIECES);
        Ok(Box::new(Windows { windows, logits: Vec::new(), first }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let mut works: Vec<&mut Windows> =
            works.iter_mut().filter_map(|w| (&mut **w as &mut dyn Any).downcast_mut()).collect();
        let mut batch = Vec::new();
        let mut owners = Vec::new();
        let mut used = 0;
        for (owner, work) in works.iter().enumerate() {
            for ids in &work.windows[work.logits.len()..] {
                if used > 0 && used + ids.len() > max_tokens {
                    break;
                }
                used += ids.len();
                batch.push(Sequence::new(ids));
                owners.push(owner);
            }
        }
        let logits = self.network.logits(&batch)?;
        for (owner, row) in owners.into_iter().zip(logits) {
            works[owner].logits.push(row);
        }
        Ok(())
    }

    fn finish(&self, _input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let Ok(work) = (work as Box<dyn Any>).downcast::<Windows>() else {
            return Err(TaskError::Input("work of another task".into()));
        };
        let labels = &self.network.config().labels;
        // Windows weigh by their length.
        let mut mean = vec![0f64; labels.len()];
        let total = work.tokens() as f64;
        for (ids, logits) in work.windows.iter().zip(&work.logits) {
            if logits.iter().any(|l| !l.is_finite()) {
                return Err(TaskError::NotANumber);
            }
            for (m, p) in mean.iter_mut().zip(softmax(logits)) {
                *m += p * ids.len() as f64 / total;
            }
        }
        let pieces = work
            .first
            .iter()
            .map(|t| Piece { text: self.tokenizer.name(t.id), id: t.id, start: t.start, end: t.end })
            .collect();
        Ok(Output::Scores(Scores {
            scores: labels.iter().map(|l| display_label(l)).zip(mean).collect(),
            tokens: work.tokens(),
            pieces,
            windows: work.windows.len(),
        }))
    }
}

/// `POSITIVE` and `NEGATIVE` of public checkpoints in our spelling; other labels as they are.
fn display_label(label: &str) -> String {
    match label {
        "POSITIVE" | "NEGATIVE" => label.to_lowercase(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(begins_word: bool) -> Token {
        Token { id: 7, start: 0, end: 1, begins_word }
    }

    #[test]
    fn cutting_keeps_every_token_and_prefers_word_beginnings() {
        let tokens: Vec<Token> = (0..100).map(|i| token(i % 7 == 0)).collect();
        let parts = cut(&tokens, 30);
        assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), 100);
        assert!(parts.iter().all(|p| p.len() <= 30 && p[0].begins_word));
        let solid: Vec<Token> = (0..70).map(|_| token(false)).collect();
        assert_eq!(cut(&solid, 30).iter().map(|p| p.len()).collect::<Vec<_>>(), [30, 30, 10]);
    }
}
