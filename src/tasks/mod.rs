//! Language tasks: what goes in, what comes out, how a model's numbers become an answer.
//!
//! A new task is one file here and one line in [`all`].

pub mod abstractive;
pub mod beams;
mod caches;
pub mod chat;
pub mod classify;
pub mod embed;
pub mod encoder;
pub mod entities;
mod error;
pub mod forecast;
pub mod generate;
pub mod generated;
pub mod language;
pub mod links;
pub mod need;
pub mod output;
pub mod passages;
pub mod patterns;
mod pooled;
pub mod questions;
pub mod sentences;
pub mod sentiment;
pub mod structure;
pub mod summarize;
pub mod translate;

use crate::error::UserMessage;
use crate::models::library::ModelEntry;
pub use crate::models::template::{Message, Role};
pub use crate::nn::beam::{EarlyStopping, SearchOptions};
use crate::nn::bert::HeadKind;
use crate::nn::runtime::Runtime;
pub use crate::nn::sampling::Sampling;
use classify::TaughtHead;
pub use error::TaskError;
use language::Partial;
pub use need::Need;
pub use output::{Output, Piece, Scores};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;
pub use structure::Structure;
use summarize::Length;

/// Every task, in the order in which the window lists them.
pub fn all() -> Vec<Box<dyn Task>> {
    vec![
        Box::new(sentiment::Sentiment),
        Box::new(entities::EntitiesTask),
        Box::new(questions::Questions),
        Box::new(summarize::Summarize),
        Box::new(abstractive::Abstractive),
        Box::new(translate::Translate),
        Box::new(classify::Classify),
        Box::new(embed::Embed),
        Box::new(generate::Generate),
        Box::new(chat::Chat),
    ]
}

/// Whether the answers of the task called `id` are texts that a model writes.
pub fn writes(id: &str) -> bool {
    find(id).is_some_and(|t| t.writes())
}

/// The task called `id`.
pub fn find(id: &str) -> Option<Box<dyn Task>> {
    all().into_iter().find(|t| t.id() == id)
}

/// A language task.
pub trait Task: Send + Sync {
    /// Short and stable: in commands, manifests and JSON.
    fn id(&self) -> &'static str;

    /// The task whose models this one uses; tasks that share models share them in memory too.
    fn model_task(&self) -> &'static str {
        self.id()
    }

    /// Whether its answers are texts that a model writes.
    fn writes(&self) -> bool {
        false
    }

    /// What stands on its encoder, of a task that has one.
    fn head(&self) -> Option<HeadKind> {
        None
    }

    /// Opens a model for this task on the runtime's device.
    ///
    /// # Errors
    /// [`TaskError::Stopped`] if `progress` says so; otherwise what is wrong with the files.
    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError>;
}

/// Tokens of one forward step: about a tenth of a second on two desktop cores, so that Stop and an
/// interactive request never wait long behind a batch.
pub const STEP_TOKENS: usize = 1024;

/// What the texts hold that a model is writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Texts that are read or written.
    pub sequences: usize,
    /// Pages of keys and values in use, those kept for later requests included, and all that there may be.
    pub pages: usize,
    pub limit: usize,
}

/// Told the share of a loading that is done (0 to 1); answers whether to stop.
pub type Progress<'a> = &'a mut dyn FnMut(f32) -> bool;

/// A loaded model. It is driven in steps, so that requests can be cancelled, mixed and shown
/// while they run.
pub trait Model: Send {
    /// Bytes of weights held, and of what it keeps between requests.
    fn bytes(&self) -> usize;

    /// Of these, keys and values of conversations.
    fn cache_bytes(&self) -> usize {
        0
    }

    /// The type that most of its weights are kept in, where the file decides.
    fn precision(&self) -> Option<&'static str> {
        None
    }

    /// Tokens that a step should take at most, while `writing` texts get one more each.
    fn budget(&self, _writing: usize) -> usize {
        STEP_TOKENS
    }

    /// What its running texts hold, of a model that keeps keys and values in pages.
    fn occupancy(&self) -> Option<Occupancy> {
        None
    }

    /// Tokenizes one input. `stop` is asked now and then.
    ///
    /// # Errors
    /// [`TaskError::Input`] for an input without content.
    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError>;

    /// One forward step over some of what is left of `works`, at most about `max_tokens`. A work either moves or stays as it
    /// was. What goes wrong with one alone it keeps to itself ([`Work::failure`]); others are not disturbed.
    ///
    /// # Errors
    /// An error of the device, which all share.
    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError>;

    /// What has come since the last call, of an answer that streams.
    fn partial(&self, _work: &mut dyn Work) -> Option<Partial> {
        None
    }

    /// The answer from finished work.
    ///
    /// # Errors
    /// [`TaskError::NotANumber`] if the model gave no usable numbers.
    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError>;
}

/// One input of a request, with the task that it is for: tasks may share a model.
pub struct Asked<'a> {
    pub task: &'static str,
    pub input: &'a Input,
    pub options: &'a Options,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A text to analyse, or to go on with.
    Text(String),
    /// A conversation that waits for the model's turn.
    Chat(Vec<Message>),
    /// A text that is followed by these very tokens, then to go on with.
    Forced { text: String, ids: Vec<u32> },
    /// A question about a text.
    Question { question: String, context: Arc<str> },
}

impl Input {
    /// The text, the question, or the last turn of a conversation.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Forced { text, .. } | Self::Question { question: text, .. } => text,
            Self::Chat(messages) => messages.last().map_or("", |m| &m.content),
        }
    }

    /// The text that answers point into: of a question that which it is about.
    pub fn context(&self) -> &str {
        match self {
            Self::Question { context, .. } => context,
            other => other.text(),
        }
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// How a request wants its answers; what a task does not know of it does not look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    pub sampling: Sampling,
    /// Tokens that an answer may have.
    pub max_tokens: usize,
    /// Strings that end an answer; they are not part of it.
    pub stop: Vec<String>,
    /// Likeliest tokens to report at each step.
    pub candidates: usize,
    /// Labels to choose between, for `classify`.
    pub labels: Vec<String>,
    /// A head to classify with, instead of labels.
    #[serde(skip)]
    pub taught: Option<Arc<TaughtHead>>,
    /// Of a summary.
    pub length: Length,
    /// Of translations and abstractive summaries. 0 beams, 0 tokens: what suits the model and the text.
    pub search: SearchOptions,
    /// Languages by code, for `translate`; empty: the model's own.
    pub from: String,
    pub to: String,
    /// How the text to translate is written.
    pub structure: Structure,
    /// Whether `translate` says which words belong together.
    pub align: bool,
}

impl Options {
    /// Whether every number is in its range: the engine asks before it begins.
    ///
    /// # Errors
    /// Which is not, and what its range is.
    pub fn check(&self) -> Result<(), UserMessage> {
        let checked = self.sampling.check().and_then(|()| self.search.check());
        checked.map_err(|why| UserMessage::new("Nothing was run", why, "Correct this option and ask again."))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            max_tokens: 512,
            stop: Vec::new(),
            candidates: 0,
            labels: Vec::new(),
            taught: None,
            length: Length::default(),
            search: SearchOptions { beams: 0, max_tokens: 0, ..SearchOptions::default() },
            from: String::new(),
            to: String::new(),
            structure: Structure::Plain,
            align: false,
        }
    }
}

/// An input on its way through a model.
pub trait Work: Any + Send {
    /// Input tokens, special tokens included.
    fn tokens(&self) -> usize;

    /// Tokens still to be computed; 0 when finished. It falls with every step that it takes part in.
    fn remaining(&self) -> usize;

    /// Tokens that the next step would take of it: what the worker fills a step with.
    fn load(&self) -> usize {
        self.remaining()
    }

    /// Allows it `tokens` of the next step; what cannot be cut so small may take more where there is room.
    fn allow(&mut self, _tokens: usize) {}

    /// Whether it waits for memory that others hold: a step would not move it.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Why it alone failed in the last step, if it did; asked once.
    fn failure(&mut self) -> Option<TaskError> {
        None
    }

    /// What the next step will do.
    fn phase(&self) -> Phase {
        Phase::Forward
    }
}

/// `work` as what it is, if it is a `W`.
pub fn own<W: Work>(work: &mut dyn Work) -> Option<&mut W> {
    (work as &mut dyn Any).downcast_mut()
}

/// Finished work as what it is.
///
/// # Errors
/// [`TaskError::Input`] for another task's.
pub fn ended<W: Work>(work: Box<dyn Work>) -> Result<Box<W>, TaskError> {
    let work = (work as Box<dyn Any>).downcast::<W>();
    work.map_err(|_| TaskError::Input("work of another task".into()))
}

/// The stage that a step's time counts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One pass from input to answer.
    Forward,
    /// Reading a prompt.
    Prefill,
    /// Writing, token by token.
    Decode,
}
