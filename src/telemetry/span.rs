//! What happens on the time axis: requests with their stages, models that come and go.

use serde::Serialize;

/// Kinds of stages, in the order of a request's life.
pub const STAGES: [&str; 7] = ["queue", "load", "tokenize", "forward", "prefill", "decode", "post"];
/// Stretches of a request that are kept apart.
pub const MOST_STAGES: usize = 32;
/// Requests that shared its steps whose ids are kept.
pub const MOST_MATES: usize = 8;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Cancelled,
    Failed,
}

impl Outcome {
    /// What is to be said of it, if it is not simply done.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Cancelled => Some("stopped"),
            Self::Failed => Some("failed"),
        }
    }
}

/// Whether a request's time says something about the model's speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Heat {
    /// It waited for the model to be read.
    Cold,
    /// One of the first after that: memory and caches are not as they will be.
    Warming,
    Warm,
}

impl Heat {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold start",
            Self::Warming => "warming up",
            Self::Warm => "warm",
        }
    }
}

/// A stretch of a request's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stage {
    pub name: &'static str,
    /// Milliseconds after the submission.
    pub start_ms: f32,
    pub ms: f32,
    /// Steps that it is made of, and the most inputs (of all requests) in one of them.
    pub steps: u32,
    pub batch: u16,
}

/// The stages of a request, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stages {
    all: [Stage; MOST_STAGES],
    len: usize,
}

impl Stages {
    /// The first [`MOST_STAGES`] of `stages`.
    pub fn new(stages: impl IntoIterator<Item = Stage>) -> Self {
        let mut all = [Stage::default(); MOST_STAGES];
        let mut len = 0;
        for (slot, stage) in all.iter_mut().zip(stages) {
            *slot = stage;
            len += 1;
        }
        Self { all, len }
    }

    /// The stages.
    pub fn all(&self) -> &[Stage] {
        &self.all[..self.len]
    }
}

/// One request on the time axis. Of fixed size, so that keeping one allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub id: u64,
    pub task: &'static str,
    /// Number of its model's name in the store.
    pub model: u16,
    pub device: &'static str,
    pub precision: &'static str,
    /// Seconds since the store began: handed over, work begun, ended.
    pub submitted: f64,
    pub start: f64,
    pub end: f64,
    /// Milliseconds from submission to the end, and to the first written token.
    pub total_ms: f64,
    pub ttft_ms: Option<f64>,
    /// Milliseconds of each of [`STAGES`].
    pub sums: [f64; STAGES.len()],
    /// When they were: of a long request without the shortest.
    pub stages: Stages,
    /// Inputs answered.
    pub done: usize,
    /// Tokens read.
    pub tokens: usize,
    /// Of these, found already read, and the milliseconds that it saved.
    pub cached: usize,
    pub saved_ms: u32,
    /// Tokens written, and how many per second.
    pub generated: usize,
    pub tokens_per_second: Option<f64>,
    /// Most inputs in one step.
    pub batch: usize,
    /// Other requests that shared steps: the first ids, and how many in all.
    pub mates: [u64; MOST_MATES],
    pub mate_count: usize,
    pub outcome: Outcome,
    /// Filled in by the store.
    pub heat: Heat,
}

impl Span {
    /// Ids of the first requests that shared its steps.
    pub fn mates(&self) -> &[u64] {
        &self.mates[..self.mate_count.min(MOST_MATES)]
    }

    /// Whether it waited for a model to be read.
    pub fn has_loaded(&self) -> bool {
        self.sums[1] > 0.0
    }

    /// What it read and wrote, in words.
    pub fn counts(&self) -> String {
        if self.generated > 0 {
            let rate = self.tokens_per_second.map_or_else(String::new, |rate| format!(" · {rate:.0} tokens/s"));
            return format!("{} tokens read · {} written{rate}", self.tokens, self.generated);
        }
        let texts = if self.done == 1 { "1 text".to_owned() } else { format!("{} texts", self.done) };
        let batch = if self.batch > 1 { format!(" · up to {} in one step", self.batch) } else { String::new() };
        format!("{texts} · {} tokens{batch}", self.tokens)
    }

    /// The stages that it had, with their milliseconds.
    pub fn sums(&self) -> Vec<(&'static str, f64)> {
        let always = |name: &str| matches!(name, "queue" | "tokenize" | "post");
        STAGES.into_iter().zip(self.sums).filter(|(name, ms)| *ms > 0.0 || always(name)).collect()
    }
}

/// What happened to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Loaded,
    /// Dropped to make room for another.
    Evicted,
    /// Dropped for another reason: asked for, another device, a fault.
    Dropped,
}

impl Change {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Evicted => "evicted",
            Self::Dropped => "dropped",
        }
    }
}

/// A model that came or went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Seconds since the store began.
    pub time: f64,
    pub change: Change,
    /// Number of its name in the store.
    pub model: u16,
    pub bytes: u64,
    /// Milliseconds that reading it took.
    pub ms: f64,
}

#[cfg(test)]
impl Span {
    /// A request with nothing but its place in time, for tests.
    pub(crate) fn plain(id: u64, start: f64, end: f64, done: usize) -> Self {
        Self {
            id,
            task: "t",
            model: 0,
            device: "cpu",
            precision: "f32",
            submitted: start,
            start,
            end,
            total_ms: (end - start) * 1e3,
            ttft_ms: None,
            sums: [0.0; STAGES.len()],
            stages: Stages::new([]),
            done,
            tokens: 0,
            cached: 0,
            saved_ms: 0,
            generated: 0,
            tokens_per_second: None,
            batch: 1,
            mates: [0; MOST_MATES],
            mate_count: 0,
            outcome: Outcome::Done,
            heat: Heat::Warm,
        }
    }
}
