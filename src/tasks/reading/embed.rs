//! Sentence embeddings (Reimers & Gurevych 2019): a text as one vector of length 1, so that texts
//! alike in meaning lie near each other. Classification by likeness, taught heads and extractive
//! summaries are built on them and share one model in memory.

use super::classify;
use super::encoder::{EncoderModel, Known, Windows, cut, finished};
use super::sentiment::Classifier;
use super::summarize::{self, Sentences};
use super::vectors::normalized;
use crate::models::library::ModelEntry;
use crate::models::sentence::SentenceModel;
use crate::nn::bert::HeadKind;
use crate::nn::bert::config::Config;
use crate::nn::lock;
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{
    Asked, Embedding, Input, Labelled, Model, Need, Output, Progress, Reading, Scores, Task, TaskError, TaughtHead,
    Work, own,
};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Labels whose embeddings are kept; more are forgotten when the next ones come.
const SEEN: usize = 20_000;

/// Said where a folder has no modules.json, as sentence-transformers says it.
const NO_POOLING: &str = "this folder does not say how a text becomes one vector (modules.json, 1_Pooling); the mean of \
                          its tokens was taken, which is wrong for models that were trained another way";

/// A task on sentence embeddings, by its id; all of them share one model in memory.
pub struct OnEmbeddings(&'static str);

/// The vector itself.
pub const EMBED: OnEmbeddings = OnEmbeddings("embed");
/// Labels of one's own, by likeness or by a taught head.
pub const CLASSIFY: OnEmbeddings = OnEmbeddings("classify");
/// The most central sentences.
pub const SUMMARIZE: OnEmbeddings = OnEmbeddings("summarize");

impl Task for OnEmbeddings {
    fn id(&self) -> &'static str {
        self.0
    }

    fn model_task(&self) -> &'static str {
        EMBED.0
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
    let config = entry.read_config()?;
    if has_classes(&config) {
        return Ok(Box::new(Classifier(EncoderModel::open(entry, HeadKind::Classify, runtime, progress)?)));
    }
    let here = |source| TaskError::checkpoint(entry, Need::Encoder(HeadKind::Mean), source);
    let hidden = Config::from_json(&config).map_err(here)?.hidden;
    let sentence = SentenceModel::read(&entry.dir, hidden)?;
    let model = EncoderModel::open(entry, sentence.head(), runtime, progress)?;
    Ok(Box::new(Embedder { id: entry.id.clone(), model, sentence, labels: Mutex::default() }))
}

/// Whether the checkpoint is a trained classifier rather than an encoder of texts.
fn has_classes(config: &Value) -> bool {
    let names = config.get("architectures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    names.iter().filter_map(Value::as_str).any(|n| n.ends_with("ForSequenceClassification"))
}

struct Embedder {
    id: String,
    model: EncoderModel,
    sentence: SentenceModel,
    /// Embeddings of labels that have been seen.
    labels: Mutex<HashMap<String, Vec<f32>>>,
}

/// Texts whose vectors are wanted, as one row of windows, and what for.
struct Vectors {
    windows: Windows,
    /// The windows of each text.
    texts: Vec<Range<usize>>,
    /// Tokens of the prompt in front of each.
    prompt: usize,
    /// Tokens of the longest text that the model does not read to its end.
    cut: Option<usize>,
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
        Self {
            windows: Windows::new(Vec::new(), Vec::new()),
            texts: Vec::new(),
            prompt: 0,
            cut: None,
            purpose: Purpose::Vector,
        }
    }
}

impl Embedder {
    /// One more text whose vector is wanted; it begins at byte `at` of what was asked about.
    fn add(&self, to: &mut Vectors, text: &str, at: usize, stop: &dyn Fn() -> bool) -> Result<(), TaskError> {
        let SentenceModel { prompt, lowercase, longest, .. } = &self.sentence;
        if text.trim().is_empty() {
            return Err(TaskError::Input("the text is empty".into()));
        }
        let whole = if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prompt}{text}")) };
        let whole = if *lowercase { Cow::Owned(whole.to_lowercase()) } else { whole };
        let mut tokens = self.model.tokens(&whole, stop)?;
        let rest = tokens.split_off(tokens.iter().take_while(|t| t.start < prompt.len()).count());
        let (head, mut tokens) = (tokens, rest);
        if tokens.is_empty() {
            return Err(TaskError::Input("the text has no visible characters".into()));
        }
        // Of the last text: what comes before one to classify are labels.
        to.windows.known = self.model.known(&whole, &tokens);
        let positions = self.model.network.config().positions;
        let room = positions.min(longest.unwrap_or(positions)).saturating_sub(2 + head.len()).max(1);
        if longest.is_some() && tokens.len() > room {
            to.cut = to.cut.max(Some(tokens.len()));
            tokens.truncate(room);
        }
        let first = to.windows.windows.len();
        to.prompt = head.len();
        for range in cut(&tokens, room, 0) {
            let mut window = self.model.window(&tokens, range);
            window.ids.splice(1..1, head.iter().map(|t| t.id));
            window.head += head.len();
            to.windows.windows.push(window);
        }
        to.texts.push(first..to.windows.windows.len());
        // Places in the text as it was asked about; in lower case some letters have another length.
        let place = |byte: usize| at + byte.saturating_sub(prompt.len()).min(text.len());
        for token in &mut tokens {
            (token.start, token.end) = (place(token.start), place(token.end));
        }
        // Sentences of one text follow each other; what comes before a text to classify is another.
        if at == 0 {
            to.windows.tokens.clear();
        }
        to.windows.tokens.extend(tokens);
        Ok(())
    }

    /// The vector of text `index`, as the model's modules make it; of several windows their mean, weighted by length.
    fn vector(&self, work: &Vectors, index: usize) -> Vec<f32> {
        let mut sum: Vec<f32> = Vec::new();
        let windows = work.texts[index].clone();
        let all: usize = windows.clone().map(|w| work.windows.windows[w].ids.len()).sum();
        for w in windows {
            let (output, tokens) = (&work.windows.outputs[w], work.windows.windows[w].ids.len());
            let row = self.sentence.pooled(output, self.model.network.config().hidden, work.prompt);
            let share = tokens as f32 / all as f32;
            sum.resize(row.len(), 0.0);
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += share * x);
        }
        self.sentence.finished(sum)
    }

    /// The same, of length 1: for likeness.
    fn direction(&self, work: &Vectors, index: usize) -> Vec<f32> {
        normalized(self.vector(work, index))
    }

    fn labels(&self, asked: &Asked<'_>, to: &mut Vectors, stop: &dyn Fn() -> bool) -> Result<(), TaskError> {
        let labels = classify::distinct(&asked.options.classify.labels)?;
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
        let mut notes: Vec<String> = work.windows.known.note().into_iter().collect();
        if let (Some(all), Some(longest)) = (work.cut, self.sentence.longest) {
            notes.push(format!(
                "this model reads {longest} tokens of a text (its max_seq_length); of {all} the rest was left out"
            ));
        }
        if !self.sentence.is_said {
            notes.push(NO_POOLING.into());
        }
        Reading { tokens, windows: last.len(), notes, ..self.model.reading(&work.windows) }
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
            id if id == SUMMARIZE.0 => {
                let sentences = Sentences::of(text, &asked.options.summarize.length)?;
                let ranges: Vec<Range<usize>> = sentences.ranges().collect();
                work.purpose = Purpose::Summary(sentences);
                for range in ranges {
                    if stop() {
                        return Err(TaskError::Stopped);
                    }
                    self.add(&mut work, &text[range.clone()], range.start, stop)?;
                }
                work.windows.known = self.model.known(text, &work.windows.tokens);
                return Ok(Box::new(work));
            }
            id if id == CLASSIFY.0 => match &asked.options.classify.taught {
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
        let last = work.texts.len() - 1;
        let scores = match &work.purpose {
            Purpose::Vector => return Ok(Output::Vector(Embedding { vector: self.vector(&work, last), reading })),
            Purpose::Summary(sentences) => {
                let vectors: Vec<Vec<f32>> = (0..work.texts.len()).map(|i| self.direction(&work, i)).collect();
                let reading = Reading { windows: 1, tokens: work.tokens(), ..reading };
                return Ok(Output::Summary(summarize::rank(input.text(), sentences, &vectors, reading)));
            }
            Purpose::Labels { labels, fresh } => {
                let new = fresh.iter().enumerate().map(|(i, label)| (label.clone(), self.direction(&work, i)));
                let mut seen = lock(&self.labels);
                if seen.len() > SEEN {
                    seen.retain(|label, _| labels.contains(label));
                }
                seen.extend(new);
                drop(seen);
                self.likeness(&self.direction(&work, last), labels.clone())
            }
            Purpose::Taught(head) => head.scores(&self.direction(&work, last), &self.id)?,
        };
        let even = 1.0 / scores.len().max(1) as f64;
        let is_unread = work.windows.known == Known::Nothing;
        // Of nothing follows nothing: no label is likelier than another.
        let scores = if is_unread { scores.into_iter().map(|(l, _)| (l, even)).collect() } else { scores };
        Ok(Output::Scores(Scores { scores, reading, ..Scores::default() }))
    }
}
