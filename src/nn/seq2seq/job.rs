//! Searches on their way, many in one step.

use super::{Memory, Model, Next, Source, Strand};
use crate::nn::NnError;
use crate::nn::beam::{Rules, Search, SearchOptions};

/// One source with its search.
pub struct Job {
    source: Source,
    memory: Memory,
    search: Search,
    /// Whether the model gave it no numbers; its search is over then, and means nothing.
    is_broken: bool,
}

impl Model {
    /// What the checkpoint asks of every search.
    pub fn rules(&self) -> Rules {
        let c = &self.config;
        Rules { ends: c.ends.clone(), banned: c.banned.clone(), forced_end: c.forced_eos }
    }

    /// Begins a search for each of `sources` (ids with their end token). Lengths beyond the model's are cut
    /// to what fits.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn begin(&self, sources: &[&[u32]], options: &SearchOptions) -> Result<Vec<Job>, NnError> {
        let mut options = options.clone();
        options.max_tokens = options.max_tokens.min(self.config.positions - 1);
        let start = |source| {
            let search = Search::new(options.clone(), self.rules(), vec![self.config.start]);
            Job { source, memory: self.memory(), search, is_broken: false }
        };
        Ok(self.encode(sources)?.into_iter().map(start).collect())
    }

    /// One token further for each of `jobs` that is not over, all in one step.
    ///
    /// Returns whether the model gave all of them usable numbers; which it did not is said by [`Job::is_broken`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn advance(&self, jobs: &mut [&mut Job]) -> Result<bool, NnError> {
        let mut going: Vec<&mut &mut Job> = jobs.iter_mut().filter(|j| !j.search.is_over()).collect();
        let next: Vec<Vec<(usize, u32)>> = going.iter().map(|j| j.search.next()).collect();
        let mut strands: Vec<Strand<'_>> = going
            .iter_mut()
            .zip(&next)
            .map(|(job, next)| {
                let Job { source, memory, .. } = &mut ***job;
                Strand { source, memory, next: Next::Beams(next) }
            })
            .collect();
        if strands.is_empty() {
            return Ok(true);
        }
        let logits = self.step(&mut strands)?;
        let drawn = going.iter().any(|j| j.search.is_sampling());
        let banned: Vec<Vec<u32>> = going.iter().flat_map(|j| j.search.banned()).collect();
        let wanted = going.iter().map(|j| j.search.candidates()).max().unwrap_or(1);
        let ranked = if drawn && going.iter().all(|j| j.search.is_sampling()) {
            Vec::new()
        } else {
            self.rank(&logits, &banned, wanted)
        };
        let (mut at, mut usable) = (0, true);
        for (job, next) in going.iter_mut().zip(&next) {
            let rows = at..at + next.len();
            at = rows.end;
            let is_usable = if job.search.is_sampling() {
                let vocab = self.config.vocab;
                job.search.advance_sampled(&logits[rows.start * vocab..rows.end * vocab])
            } else {
                job.search.advance(&ranked[rows])
            };
            job.is_broken = !is_usable;
            usable &= is_usable;
        }
        Ok(usable)
    }
}

impl Job {
    /// Its search.
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// Whether the model gave it no numbers.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Source tokens.
    pub fn source_tokens(&self) -> usize {
        self.source.tokens()
    }

    /// The source, for what else may be asked of it, and the search that has ended.
    pub fn into_parts(self) -> (Source, Search) {
        (self.source, self.search)
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.source.bytes() + self.memory.bytes()
    }
}
