//! What translation and abstractive summaries share: an encoder-decoder with its tokenizer, and
//! texts cut into passages that are rewritten one by one, many in one step.

use super::links::links;
use crate::models::blocks::{Layered, prepare};
use crate::models::entry::languages_of;
use crate::models::library::ModelEntry;
use crate::models::sentencepiece::{PairTokenizer, SourceToken};
use crate::models::weights::Weights;
use crate::nn::NnError;
use crate::nn::beam::SearchOptions;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::nn::seq2seq::Model as Network;
use crate::nn::seq2seq::config::{Config, Family};
use crate::nn::seq2seq::job::Job;
use crate::nn::source::TensorSource as _;
use crate::tasks::contract::{Alternative, Need, Progress, Rewritten, TaskError};
use std::ops::Range;

/// Rows (hypotheses of all passages) that one step takes at most.
const MAX_ROWS: usize = 128;
/// Bytes of keys and values that running passages may hold together.
const MAX_MEMORY: usize = 512 << 20;

/// An encoder-decoder with its tokenizer.
pub struct Rewriter {
    /// Languages that its manifest names, source first.
    pub languages: Vec<String>,
    pub network: Network,
    pub tokenizer: PairTokenizer,
    precision: Option<&'static str>,
}

/// A passage on its way.
pub struct Passage {
    /// Bytes of the text.
    pub range: Range<usize>,
    ids: Vec<u32>,
    tokens: Vec<SourceToken>,
    options: SearchOptions,
    state: State,
    /// Stable tokens that have been handed out.
    shown: usize,
}

impl Passage {
    /// More than it will ever need.
    fn most(&self) -> usize {
        self.ids.len() + self.options.max_tokens + 1
    }
}

enum State {
    Waiting,
    Running(Box<Job>),
    Done(Rewritten),
}

/// A text's passages. They begin in order, so that those which run lie in a narrow window.
#[derive(Default)]
pub struct Passages {
    all: Vec<Passage>,
    /// All before are done.
    first: usize,
    /// All from here on wait.
    begun: usize,
    /// Tokens of those that wait, and the most steps that they may take.
    waiting: [usize; 2],
    /// Whether links are wanted.
    pub link: bool,
    /// Steps done.
    pub steps: usize,
    /// New tokens since they were last asked for.
    fresh: usize,
    /// All before have been shown to their end.
    shown: usize,
}

impl Rewriter {
    /// Opens a T5 or Marian folder; `need` is what whoever asks wants of it.
    ///
    /// # Errors
    /// What is wrong with the files, or [`TaskError::Stopped`].
    pub fn open(entry: &ModelEntry, need: Need, runtime: &Runtime, progress: Progress<'_>) -> Result<Self, TaskError> {
        let here = |source: NnError| TaskError::checkpoint(entry, need, source);
        let config = Config::from_json(&entry.read_config()?).map_err(here)?;
        let tokenizer = PairTokenizer::open(&entry.tokenizer, [config.source_vocab, config.vocab])?;
        let weights = Weights::open(&entry.weights)?;
        let blocks = prepare(entry, &weights, runtime.kept(), progress)?;
        let weights = Layered { blocks, below: &weights };
        let own = runtime.kept() == Precision::Own;
        let precision = weights.precision().filter(|p| own && p.starts_with('Q'));
        let mut report = |share: f32| if progress(share) { Err(NnError::Stopped) } else { Ok(()) };
        let network = Network::load(config, &weights, runtime.target(), &mut report).map_err(here)?;
        let languages = match &entry.manifest {
            Some(manifest) => manifest.languages.clone(),
            None => languages_of(&entry.id),
        };
        Ok(Self { languages, network, tokenizer, precision })
    }

    /// Whether it is told in words what to do.
    pub fn is_t5(&self) -> bool {
        self.network.config().family == Family::T5
    }

    /// The type that most of its weights are kept in, where the file decides.
    pub fn precision(&self) -> Option<&'static str> {
        self.precision
    }

    /// Source tokens that a passage may have, beside `extra` in front and the end token.
    pub fn room(&self, extra: usize) -> usize {
        self.network.config().positions.min(512).saturating_sub(extra + 1).max(1)
    }

    /// Tokens of `text`, which begins at byte `at` of what was asked about.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn tokens(&self, text: &str, at: usize) -> Result<Vec<SourceToken>, TaskError> {
        let mut tokens = self.tokenizer.encode(text).map_err(TaskError::Tokenizer)?;
        for token in &mut tokens {
            token.start += at;
            token.end += at;
        }
        Ok(tokens)
    }

    /// A passage of these tokens, after `prefix`; `range` are its bytes.
    pub fn passage(
        &self,
        prefix: &[u32],
        range: Range<usize>,
        tokens: Vec<SourceToken>,
        options: SearchOptions,
    ) -> Passage {
        let end = self.network.config().eos;
        let ids = prefix.iter().copied().chain(tokens.iter().map(|t| t.id)).chain([end]).collect();
        Passage { range, ids, tokens, options, state: State::Waiting, shown: 0 }
    }

    /// One step for all: passages that wait are read while there is room, all that run get one token further.
    ///
    /// # Errors
    /// An error of the device, or [`TaskError::NotANumber`].
    pub fn step(&self, works: &mut [&mut Passages], max_tokens: usize) -> Result<(), TaskError> {
        self.begin(works, max_tokens)?;
        let mut running: Vec<&mut Job> = Vec::new();
        for work in works.iter_mut() {
            work.steps += 1;
            for passage in &mut work.all[work.first..work.begun] {
                if let State::Running(job) = &mut passage.state {
                    work.fresh += 1;
                    running.push(job);
                }
            }
        }
        if !self.network.advance(&mut running)? {
            return Err(TaskError::NotANumber);
        }
        for work in works.iter_mut() {
            let (link, open) = (work.link, work.first..work.begun);
            for passage in &mut work.all[open] {
                if matches!(&passage.state, State::Running(job) if job.search().is_over()) {
                    self.complete(passage, link)?;
                }
            }
            work.skip_done();
        }
        Ok(())
    }

    /// Reads passages that wait, as many as rows, memory and `max_tokens` allow.
    fn begin(&self, works: &mut [&mut Passages], max_tokens: usize) -> Result<(), TaskError> {
        let (mut rows, mut bytes) = (0, 0);
        for passage in works.iter().flat_map(|w| w.open()) {
            if let State::Running(job) = &passage.state {
                rows += job.search().rows().max(passage.options.beams);
                bytes += job.bytes();
            }
        }
        // A few places are not worth a reading of their own, unless there are no others.
        if rows > MAX_ROWS * 3 / 4 || bytes > MAX_MEMORY {
            return Ok(());
        }
        let mut tokens = 0;
        let mut chosen: Vec<&mut Passage> = Vec::new();
        'works: for work in works.iter_mut() {
            let Passages { all, begun, waiting, .. } = &mut **work;
            for passage in &mut all[*begun..] {
                let full = rows + passage.options.beams > MAX_ROWS || tokens + passage.ids.len() > max_tokens;
                if full && (rows > 0 || !chosen.is_empty()) {
                    break 'works;
                }
                rows += passage.options.beams;
                tokens += passage.ids.len();
                *begun += 1;
                waiting[0] -= passage.ids.len();
                waiting[1] -= passage.most();
                chosen.push(passage);
            }
        }
        let mut rest = &mut chosen[..];
        while let Some(first) = rest.first() {
            // Those with the same options begin together.
            let options = first.options.clone();
            let count = rest.iter().take_while(|p| p.options == options).count();
            let (now, later) = rest.split_at_mut(count);
            let sources: Vec<&[u32]> = now.iter().map(|p| &p.ids[..]).collect();
            let jobs = self.network.begin(&sources, &options)?;
            for (passage, job) in now.iter_mut().zip(jobs) {
                passage.state = State::Running(Box::new(job));
            }
            rest = later;
        }
        Ok(())
    }

    fn complete(&self, passage: &mut Passage, link: bool) -> Result<(), TaskError> {
        let State::Running(job) = std::mem::replace(&mut passage.state, State::Waiting) else { return Ok(()) };
        let (source, search) = job.into_parts();
        let best = search.into_best();
        let first = best.first().cloned();
        let (ids, ended) = first.map_or((Vec::new(), false), |b| (b.ids, b.ended));
        let mut alternatives: Vec<Alternative> = Vec::new();
        for hypothesis in &best {
            let text = self.tokenizer.decode(&hypothesis.ids);
            if alternatives.iter().all(|a| a.text != text) {
                alternatives.push(Alternative { text, score: hypothesis.score });
            }
        }
        let links = if link && !ids.is_empty() {
            let start = self.network.config().start;
            let forced: Vec<u32> = [start].into_iter().chain(ids[..ids.len() - 1].iter().copied()).collect();
            let looks = self.network.align(&source, &forced)?;
            let before = source.tokens() - 1 - passage.tokens.len();
            links(&passage.tokens, before, &ids, &self.tokenizer, &looks)
        } else {
            Vec::new()
        };
        passage.state = State::Done(Rewritten { alternatives, links, tokens: ids.len(), ended });
        Ok(())
    }

    /// The stable beginnings that have grown since the last call: passage and its text so far.
    pub fn grown(&self, passages: &mut Passages) -> Vec<(usize, String)> {
        let mut out = Vec::new();
        // Those that ended in the last step may lie before the window by now.
        let from = passages.shown;
        passages.shown = passages.first;
        for (index, passage) in passages.all.iter_mut().enumerate().take(passages.begun).skip(from) {
            match &passage.state {
                State::Running(job) => {
                    let stable = job.search().stable();
                    if stable.len() > passage.shown {
                        passage.shown = stable.len();
                        out.push((index, self.tokenizer.decode(stable)));
                    }
                }
                State::Done(done) if passage.shown < usize::MAX => {
                    passage.shown = usize::MAX;
                    out.push((index, done.alternatives.first().map(|a| a.text.clone()).unwrap_or_default()));
                }
                State::Waiting | State::Done(_) => {}
            }
        }
        out
    }
}

impl Passages {
    /// These, none of them read so far.
    pub fn new(all: Vec<Passage>, link: bool) -> Self {
        let waiting = [all.iter().map(|p| p.ids.len()).sum(), all.iter().map(Passage::most).sum()];
        Self { all, link, waiting, ..Self::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that have begun, but for a run of done ones at the beginning.
    fn open(&self) -> &[Passage] {
        &self.all[self.first..self.begun]
    }

    fn skip_done(&mut self) {
        while self.first < self.begun && matches!(self.all[self.first].state, State::Done(_)) {
            self.first += 1;
        }
    }

    /// New tokens since the last call.
    pub fn take_fresh(&mut self) -> usize {
        std::mem::take(&mut self.fresh)
    }

    /// Source tokens of all.
    pub fn tokens(&self) -> usize {
        self.all.iter().map(|p| p.ids.len()).sum()
    }

    /// Steps that are left at most, as tokens: falls with every step of any passage.
    pub fn remaining(&self) -> usize {
        let left = |p: &Passage| match &p.state {
            State::Waiting => p.most(),
            // Once read, a passage has its steps left and the one that ends it.
            State::Running(job) => job.search().steps_left() + 1,
            State::Done(_) => 0,
        };
        self.open().iter().map(left).sum::<usize>() + self.waiting[1]
    }

    /// Tokens that the next steps would take of it.
    pub fn load(&self) -> usize {
        let one = |p: &Passage| match &p.state {
            State::Waiting => p.ids.len(),
            State::Running(job) => job.search().rows(),
            State::Done(_) => 0,
        };
        self.open().iter().map(one).sum::<usize>() + self.waiting[0]
    }

    /// What came out, in order of the text; the passages' places.
    pub fn into_done(self) -> Vec<(Range<usize>, Rewritten)> {
        let one = |p: Passage| match p.state {
            State::Done(done) => Some((p.range, done)),
            State::Waiting | State::Running(_) => None,
        };
        self.all.into_iter().filter_map(one).collect()
    }
}
