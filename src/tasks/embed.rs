//! Sentence embeddings (Reimers & Gurevych 2019): a text as one vector of length 1, so that texts
//! alike in meaning lie near each other. Classification by likeness, taught heads and extractive
//! summaries are built on them and share one model in memory.

use super::classify::{self, Labelled, TaughtHead};
use super::encoder::{EncoderModel, Reading, Windows, cut, finished};
use super::sentiment::Classifier;
use super::summarize::{self, Sentences};
use super::{Asked, Input, Model, Output, Progress, Task, TaskError, Work, own};
use crate::models::library::ModelEntry;
use crate::nn::bert::HeadKind;
use crate::nn::lock;
use crate::nn::runtime::Runtime;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Labels whose embeddings are kept; more are forgotten when the next ones come.
const SEEN: usize = 20_000;

/// The task.
pub struct Embed;

/// A text's place in the space of meanings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedding {
    /// `[width]`, of length 1.
    pub vector: Vec<f32>,
    pub reading: Reading,
}

impl Task for Embed {
    fn id(&self) -> &'static str {
        "embed"
    }

    fn head(&self) -> Option<HeadKind> {
        Some(HeadKind::Mean)
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        load(entry, runtime, progress)
    }
}

/// Opens an embedder; or, for `classify`, a checkpoint that has classes of its own.
///
/// # Errors
/// What is wrong with the files, or [`TaskError::Stopped`].
pub fn load(entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
    if has_classes(entry)? {
        return Ok(Box::new(Classifier(EncoderModel::open(entry, HeadKind::Classify, runtime, progress)?)));
    }
    let model = EncoderModel::open(entry, pooling(entry), runtime, progress)?;
    Ok(Box::new(Embedder { id: entry.id.clone(), model, labels: Mutex::default() }))
}

/// Whether the checkpoint is a trained classifier rather than an encoder of texts.
fn has_classes(entry: &ModelEntry) -> Result<bool, TaskError> {
    let config = entry.read_config()?;
    let names = config.get("architectures").and_then(|a| a.as_array()).cloned().unwrap_or_default();
    Ok(names.iter().filter_map(|n| n.as_str()).any(|n| n.ends_with("ForSequenceClassification")))
}

/// Sentence-transformers' own note on how its model was trained; the mean if there is none.
fn pooling(entry: &ModelEntry) -> HeadKind {
    let text = std::fs::read_to_string(entry.dir.join("1_Pooling/config.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let first = json.get("pooling_mode_cls_token").and_then(serde_json::Value::as_bool).unwrap_or(false);
    if first { HeadKind::First } else { HeadKind::Mean }
}

struct Embedder {
    id: String,
    model: EncoderModel,
    /// Embeddings of labels that have been seen.
    labels: Mutex<HashMap<String, Vec<f32>>>,
}

/// Texts whose vectors are wanted, as one row of windows, and what for.
struct Vectors {
    windows: Windows,
    /// The windows of each text.
    texts: Vec<Range<usize>>,
    purpose: Purpose,
}

enum Purpose {
    Vector,
    /// The last text is to be classified; those before are labels not seen so far.
    Labels {
        labels: Vec<String>,
        fresh: Vec<String>,
    },
    Taught(Arc<TaughtHead>),
    Summary(Sentences),
}

impl Work for Vectors {
    fn tokens(&self) -> usize {
        self.windows.tokens()
    }

    fn remaining(&self) -> usize {
        self.windows.remaining()
    }
}

impl AsRef<Windows> for Vectors {
    fn as_ref(&self) -> &Windows {
        &self.windows
    }
}

/// Vectors as far as they are worked out.
impl Vectors {
    fn new() -> Self {
        Self { windows: Windows::new(Vec::new(), Vec::new()), texts: Vec::new(), purpose: Purpose::Vector }
    }

    /// The vector of text `index`: the mean of its windows, weighted by length, of length 1.
    fn vector(&self, index: usize) -> Vec<f32> {
        let mut sum: Vec<f32> = Vec::new();
        for w in self.texts[index].clone() {
            let (row, weight) = (&self.windows.outputs[w], self.windows.windows[w].ids.len() as f32);
            sum.resize(row.len(), 0.0);
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += weight * x);
        }
        normalized(sum)
    }
}

/// `v` scaled to length 1.
pub fn normalized(mut v: Vec<f32>) -> Vec<f32> {
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        v.iter_mut().for_each(|x| *x /= length);
    }
    v
}

/// The cosine of two vectors of length 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Embedder {
    /// One more text whose vector is wanted; it begins at byte `at` of what was asked about.
    fn add(&self, to: &mut Vectors, text: &str, at: usize, stop: &dyn Fn() -> bool) -> Result<(), TaskError> {
        let mut tokens = self.model.tokens(text, stop)?;
        let first = to.windows.windows.len();
        let parts = cut(&tokens, self.model.room(), 0);
        to.windows.windows.extend(parts.into_iter().map(|r| self.model.window(&tokens, r)));
        to.texts.push(first..to.windows.windows.len());
        for token in &mut tokens {
            token.start += at;
            token.end += at;
        }
        // Sentences of one text follow each other; what comes before a text to classify is another.
        if at == 0 {
            to.windows.tokens.clear();
        }
        to.windows.tokens.extend(tokens);
        Ok(())
    }

    fn labels(&self, asked: &Asked<'_>, to: &mut Vectors, stop: &dyn Fn() -> bool) -> Result<(), TaskError> {
        let labels = classify::distinct(&asked.options.labels)?;
        let seen = lock(&self.labels);
        let fresh: Vec<String> = labels.iter().filter(|l| !seen.contains_key(*l)).cloned().collect();
        drop(seen);
        for label in &fresh {
            if stop() {
                return Err(TaskError::Stopped);
            }
            let added = self.add(to, &classify::spoken(label), 0, stop);
            added.map_err(|e| match e {
                TaskError::Input(_) => TaskError::Labels(format!("the label {label:?} has no visible characters")),
                other => other,
            })?;
        }
        to.purpose = Purpose::Labels { labels, fresh };
        Ok(())
    }

    /// What was read of the last text; labels before it do not count.
    fn reading(&self, work: &Vectors) -> Reading {
        let last = work.texts.last().cloned().unwrap_or_default();
        let tokens = work.windows.windows[last.clone()].iter().map(|w| w.ids.len()).sum();
        Reading { tokens, windows: last.len(), ..self.model.reading(&work.windows) }
    }

    /// Likeness of `vector` to each label, as probabilities.
    fn likeness(&self, vector: &[f32], labels: Vec<String>) -> Labelled {
        let seen = lock(&self.labels);
        let known = labels.into_iter().filter_map(|l| seen.get(&l).map(|v| (l, v)));
        let (labels, vectors): (Vec<String>, Vec<&Vec<f32>>) = known.unzip();
        let shares = classify::shares(vector, &vectors);
        labels.into_iter().zip(shares).collect()
    }
}

impl Model for Embedder {
    fn bytes(&self) -> usize {
        self.model.network.bytes()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let mut work = Vectors::new();
        let text = asked.input.text();
        match asked.task {
            "summarize" => {
                let sentences = Sentences::of(text, &asked.options.length)?;
                for range in sentences.ranges() {
                    if stop() {
                        return Err(TaskError::Stopped);
                    }
                    self.add(&mut work, &text[range.clone()], range.start, stop)?;
                }
                work.purpose = Purpose::Summary(sentences);
                return Ok(Box::new(work));
            }
            "classify" => match &asked.options.taught {
                Some(head) => work.purpose = Purpose::Taught(Arc::clone(head)),
                None => self.labels(asked, &mut work, stop)?,
            },
            _ => {}
        }
        self.add(&mut work, text, 0, stop)?;
        Ok(Box::new(work))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let works = works.iter_mut().filter_map(|w| own::<Vectors>(*w));
        let mut inner: Vec<&mut dyn Work> = works.map(|w| &mut w.windows as &mut dyn Work).collect();
        self.model.step(&mut inner, max_tokens)
    }

    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work: Box<Vectors> = finished(work)?;
        let reading = self.reading(&work);
        let last = || work.vector(work.texts.len() - 1);
        let scores = match &work.purpose {
            Purpose::Vector => return Ok(Output::Vector(Embedding { vector: last(), reading })),
            Purpose::Summary(sentences) => {
                let vectors: Vec<Vec<f32>> = (0..work.texts.len()).map(|i| work.vector(i)).collect();
                let reading = Reading { windows: 1, tokens: work.tokens(), ..reading };
                return Ok(Output::Summary(summarize::rank(input.text(), sentences, &vectors, reading)));
            }
            Purpose::Labels { labels, fresh } => {
                let new = fresh.iter().enumerate().map(|(i, label)| (label.clone(), work.vector(i)));
                let mut seen = lock(&self.labels);
                if seen.len() > SEEN {
                    seen.retain(|label, _| labels.contains(label));
                }
                seen.extend(new);
                drop(seen);
                self.likeness(&last(), labels.clone())
            }
            Purpose::Taught(head) => head.scores(&last(), &self.id)?,
        };
        Ok(Output::Scores(super::Scores { scores, reading }))
    }
}
