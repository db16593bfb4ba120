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
    /// Why it alone failed.
    pub failure: Option<TaskError>,
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

    /// One step for all: passages that wait are read while there is room, all that run get one token further. Who gets no
    /// numbers keeps that to itself ([`Passages::failure`]).
    ///
    /// # Errors
    /// An error of the device; nobody has moved then.
    pub fn step(&self, works: &mut [&mut Passages], max_tokens: usize) -> Result<(), TaskError> {
        self.begin(works, max_tokens)?;
        let mut running: Vec<&mut Job> = Vec::new();
        let mut counts: Vec<usize> = Vec::with_capacity(works.len());
        for work in works.iter_mut() {
            let before = running.len();
            for passage in &mut work.all[work.first..work.begun] {
                if let State::Running(job) = &mut passage.state {
                    running.push(job);
                }
            }
            counts.push(running.len() - before);
        }
        self.network.advance(&mut running)?;
        for (work, count) in works.iter_mut().zip(counts) {
            work.steps += 1;
            work.fresh += count;
            let (link, open) = (work.link, work.first..work.begun);
            for passage in &mut work.all[open] {
                let State::Running(job) = &passage.state else { continue };
                if job.is_broken() {
                    work.failure = Some(TaskError::NotANumber);
                } else if job.search().is_over()
                    && let Err(error) = self.complete(passage, link)
                {
                    work.failure = Some(error);
                }
            }
            work.skip_done();
        }
        Ok(())
    }

    /// Reads passages that wait, as many as rows, memory and `max_tokens` allow; all of them or, if that fails, none.
    fn begin(&self, works: &mut [&mut Passages], max_tokens: usize) -> Result<(), TaskError> {
        let chosen = Self::chosen(works, max_tokens);
        let each = works.iter_mut().zip(&chosen).flat_map(|(work, count)| {
            let from = work.begun;
            work.all[from..from + count].iter_mut()
        });
        let mut passages: Vec<&mut Passage> = each.collect();
        let (mut jobs, mut rest) = (Vec::with_capacity(passages.len()), &passages[..]);
        while let Some(first) = rest.first() {
            // Those with the same options begin together.
            let count = rest.iter().take_while(|p| p.options == first.options).count();
            let (now, later) = rest.split_at(count);
            let sources: Vec<&[u32]> = now.iter().map(|p| &p.ids[..]).collect();
            jobs.extend(self.network.begin(&sources, &first.options)?);
            rest = later;
        }
        for (passage, job) in passages.iter_mut().zip(jobs) {
            passage.state = State::Running(Box::new(job));
        }
        for (work, count) in works.iter_mut().zip(chosen) {
            for passage in &work.all[work.begun..work.begun + count] {
                work.waiting[0] -= passage.ids.len();
                work.waiting[1] -= passage.most();
            }
            work.begun += count;
        }
        Ok(())
    }

    /// How many passages of each are to begin.
    fn chosen(works: &[&mut Passages], max_tokens: usize) -> Vec<usize> {
        let (mut rows, mut bytes) = (0, 0);
        for passage in works.iter().flat_map(|w| w.open()) {
            if let State::Running(job) = &passage.state {
                rows += job.search().rows().max(passage.options.beams);
                bytes += job.bytes();
            }
        }
        let mut chosen = vec![0; works.len()];
        // A few places are not worth a reading of their own, unless there are no others.
        if rows > MAX_ROWS * 3 / 4 || bytes > MAX_MEMORY {
            return chosen;
        }
        let (mut tokens, mut is_first) = (0, true);
        for (work, count) in works.iter().zip(&mut chosen) {
            for passage in &work.all[work.begun..] {
                let full = rows + passage.options.beams > MAX_ROWS || tokens + passage.ids.len() > max_tokens;
                if full && (rows > 0 || !is_first) {
                    return chosen;
                }
                rows += passage.options.beams;
                tokens += passage.ids.len();
                *count += 1;
                is_first = false;
            }
        }
        chosen
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
