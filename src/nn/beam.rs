//! Beam search, greedy search and sampling over any model that continues texts.
//!
//! Knows no model: [`Search::next`] says which hypotheses go on with which token, the caller computes their
//! logits, [`Search::advance`] chooses. The rules are those of `transformers` 4.57
//! (`GenerationMixin._beam_search`): twice as many candidates as beams are looked at, finished
//! ones compete by mean log-probability with a length penalty (Wu et al. 2016, arXiv:1609.08144, in
//! its simple form `score / length^penalty`).

use super::kernels::rank::Ranked;
pub use super::options::{EarlyStopping, SearchOptions};
use super::sampling::Sampler;

/// Most beams that are searched.
pub const MAX_BEAMS: usize = 16;

/// What a model asks of every search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Tokens that end a text.
    pub ends: Vec<u32>,
    /// Tokens that never come.
    pub banned: Vec<u32>,
    /// What the last token must be when the greatest length is reached.
    pub forced_end: Option<u32>,
}

/// A text that may come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Tokens after the prompt, with the end token if there is one.
    pub ids: Vec<u32>,
    /// Log-probability over length to the power of the penalty.
    pub score: f32,
    /// Whether it ended by itself, not by its length.
    pub ended: bool,
}

struct Running {
    ids: Vec<u32>,
    score: f32,
}

/// One text's search.
pub struct Search {
    options: SearchOptions,
    rules: Rules,
    prompt: Vec<u32>,
    running: Vec<Running>,
    /// Of each running one: which row of the last step it continues.
    parents: Vec<usize>,
    finished: Vec<Hypothesis>,
    sampler: Option<Sampler>,
    over: bool,
    steps: usize,
}

impl Search {
    /// A search that continues `prompt` (an encoder-decoder's: the start token), at least one token.
    pub fn new(mut options: SearchOptions, rules: Rules, prompt: Vec<u32>) -> Self {
        options.beams = options.beams.clamp(1, MAX_BEAMS);
        options.max_tokens = options.max_tokens.max(1);
        let sampling = options.sampling.clone().filter(|s| s.temperature > 0.0);
        if sampling.is_some() {
            options.beams = 1;
        }
        options.n_best = options.n_best.clamp(1, options.beams);
        let running = vec![Running { ids: Vec::new(), score: 0.0 }];
        let sampler = sampling.map(Sampler::new);
        Self { options, rules, prompt, running, parents: vec![0], finished: Vec::new(), sampler, over: false, steps: 0 }
    }

    /// Hypotheses that it keeps at most.
    pub fn width(&self) -> usize {
        self.options.beams
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Steps done: tokens of the longest hypothesis.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Steps that it may still take.
    pub fn steps_left(&self) -> usize {
        if self.over { 0 } else { self.options.max_tokens - self.steps }
    }

    /// Rows of the next step.
    pub fn rows(&self) -> usize {
        self.running.len()
    }

    /// The next step: which row of the last one each hypothesis continues, and its newest token. At
    /// the first step the prompt's last token.
    pub fn next(&self) -> Vec<(usize, u32)> {
        let last = |r: &Running| r.ids.last().or(self.prompt.last()).copied().unwrap_or(0);
        self.parents.iter().copied().zip(self.running.iter().map(last)).collect()
    }

    /// Candidates that [`Self::advance`] wants of each row.
    pub fn candidates(&self) -> usize {
        if self.options.beams == 1 { 1 } else { 2 * self.options.beams }
    }

    /// Whether tokens are drawn: then [`Self::advance_sampled`] is to be called.
    pub fn is_sampling(&self) -> bool {
        self.sampler.is_some()
    }

    /// Tokens that each row may not go on with.
    pub fn banned(&self) -> Vec<Vec<u32>> {
        self.running.iter().map(|r| self.banned_after(&r.ids)).collect()
    }

    fn banned_after(&self, ids: &[u32]) -> Vec<u32> {
        let mut banned = self.rules.banned.clone();
        if ids.len() < self.options.min_tokens {
            banned.extend(&self.rules.ends);
        }
        let n = self.options.no_repeat_ngram;
        if n > 0 {
            let all: Vec<u32> = self.prompt.iter().chain(ids).copied().collect();
            if all.len() + 1 >= n {
                let tail = &all[all.len() + 1 - n..];
                banned.extend(all.windows(n).filter(|w| w[..n - 1] == *tail).map(|w| w[n - 1]));
            }
        }
        banned
    }

    /// Whether this step's token is the last that fits.
    fn is_last_step(&self) -> bool {
        self.steps + 1 >= self.options.max_tokens
    }

    /// Takes the likeliest tokens of each row of the step.
    ///
    /// Returns whether the numbers were usable; if not, the search is over.
    pub fn advance(&mut self, ranked: &[Ranked]) -> bool {
        if ranked.iter().any(|r| r.broken) || ranked.len() != self.running.len() {
            self.over = true;
            return false;
        }
        let forced = self.rules.forced_end.filter(|_| self.is_last_step()).map(|end| [(end, 0.0)]);
        let mut candidates: Vec<(usize, u32, f32)> = Vec::new();
        for (row, (running, ranked)) in self.running.iter().zip(ranked).enumerate() {
            let best = forced.as_ref().map_or(&ranked.best[..], |f| &f[..]);
            candidates.extend(best.iter().map(|(id, p)| (row, *id, running.score + p)));
        }
        // Stable: of equals the earlier row, then the smaller id.
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2));
        candidates.truncate(self.candidates());
        if candidates.is_empty() {
            // Every token was forbidden: what there is counts.
            self.steps += 1;
            self.give_up();
            return true;
        }
        self.take(&candidates);
        true
    }

    fn take(&mut self, candidates: &[(usize, u32, f32)]) {
        let (beams, full_length) = (self.options.beams, self.is_last_step());
        let (mut running, mut parents) = (Vec::new(), Vec::new());
        let full = self.finished.len() == beams && self.options.early_stopping == EarlyStopping::Yes;
        self.steps += 1;
        let length = (self.steps as f32).powf(self.options.length_penalty);
        for (place, &(row, id, score)) in candidates.iter().enumerate() {
            let ended = self.rules.ends.contains(&id);
            let extended = || self.running[row].ids.iter().copied().chain([id]).collect::<Vec<u32>>();
            if ended || full_length {
                if place < beams && !full {
                    // What was forced to end did not end by itself.
                    let ended = ended && !(full_length && self.rules.forced_end.is_some());
                    self.finished.push(Hypothesis { ids: extended(), score: score / length, ended });
                }
            } else if running.len() < beams {
                running.push(Running { ids: extended(), score });
                parents.push(row);
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(beams);
        (self.running, self.parents) = (running, parents);
        self.over = full_length || self.running.is_empty() || self.is_settled();
    }

    /// Whether the finished hypotheses can no longer be bettered.
    fn is_settled(&self) -> bool {
        if self.options.beams == 1 {
            return !self.finished.is_empty();
        }
        let (Some(worst), Some(best)) = (self.finished.last(), self.running.first()) else { return false };
        if self.finished.len() < self.options.beams {
            return false;
        }
        if self.options.early_stopping == EarlyStopping::Yes {
            return true;
        }
        let penalty = self.options.length_penalty;
        let length = if self.options.early_stopping == EarlyStopping::Never && penalty > 0.0 {
            self.options.max_tokens
        } else {
            self.steps
        };
        best.score / (length as f32).powf(penalty) <= worst.score
    }

    fn give_up(&mut self) {
        let length = (self.steps.max(1) as f32).powf(self.options.length_penalty);
        let left = std::mem::take(&mut self.running);
        self.finished.extend(left.into_iter().map(|r| Hypothesis {
            score: r.score / length,
            ids: r.ids,
            ended: false,
        }));
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.over = true;
    }

    /// Draws the next token from the logits `[vocab]` of the only row.
    ///
    /// Returns whether the numbers were usable; if not, the search is over.
    pub fn advance_sampled(&mut self, logits: &[f32]) -> bool {
        let Some(running) = self.running.first() else { return false };
        let mut allowed = logits.to_vec();
        for id in self.banned_after(&running.ids) {
            if let Some(logit) = allowed.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        let seen: Vec<u32> = self.prompt.iter().chain(&running.ids).copied().collect();
        let choice = self.sampler.as_mut().and_then(|s| s.choose(&allowed, &seen, 0));
        let Some(choice) = choice else {
            self.over = true;
            return false;
        };
        let forced = self.rules.forced_end.filter(|_| self.is_last_step());
        let score = running.score + (choice.probability as f32).ln();
        self.take(&[(0, forced.unwrap_or(choice.id), score)]);
        true
    }

    /// Tokens on which all hypotheses agree that may still win.
    pub fn stable(&self) -> &[u32] {
        let mut all = self.running.iter().map(|r| &r.ids[..]).chain(self.finished.first().map(|f| &f.ids[..]));
        let Some(first) = all.next() else { return &[] };
        let common = all.fold(first.len(), |n, ids| first.iter().zip(ids).take(n).take_while(|(a, b)| a == b).count());
        &first[..common]
    }

    /// The best hypotheses, best first, as many as were asked for; at least one when it is over.
    pub fn into_best(mut self) -> Vec<Hypothesis> {
        if self.finished.is_empty() {
            self.give_up();
        }
        self.finished.truncate(self.options.n_best);
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model without memory: the same three tokens are always possible. Token 0 ends.
    fn row(logs: [f32; 3]) -> Ranked {
        let mut best: Vec<(u32, f32)> = (0..).zip(logs).collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ranked { best, broken: false }
    }

    fn rules() -> Rules {
        Rules { ends: vec![0], ..Rules::default() }
    }

    fn run(options: SearchOptions, logs: [f32; 3]) -> Vec<Hypothesis> {
        let mut search = Search::new(options, rules(), vec![9]);
        while !search.is_over() {
            let banned = search.banned();
            let rows: Vec<Ranked> = banned
                .iter()
                .map(|banned| {
                    let mut ranked = row(logs);
                    ranked.best.retain(|b| !banned.contains(&b.0));
                    ranked
                })
                .collect();
            assert_eq!(search.next().len(), rows.len());
            assert!(search.advance(&rows));
        }
        search.into_best()
    }

    #[test]
    fn greedy_takes_the_likeliest_until_the_end_or_the_length() {
        let options = SearchOptions { beams: 1, max_tokens: 5, ..SearchOptions::default() };
        let best = run(options.clone(), [-2.0, -0.5, -1.0]);
        assert_eq!((best[0].ids.clone(), best[0].ended), (vec![1; 5], false));
        let best = run(options, [-0.1, -3.0, -4.0]);
        assert_eq!((best[0].ids.clone(), best[0].ended), (vec![0], true));
    }

    #[test]
    fn the_least_length_and_repeats_are_heeded() {
        let base = SearchOptions { beams: 1, max_tokens: 6, ..SearchOptions::default() };
        let best = run(SearchOptions { min_tokens: 2, ..base.clone() }, [-0.1, -1.0, -2.0]);
        assert_eq!(best[0].ids, [1, 1, 0]);
        // 1 1, then 1 would repeat "1 1": 2; then 1; "2 1" is new, "1 2" would repeat …
        let best = run(SearchOptions { no_repeat_ngram: 2, max_tokens: 4, ..base }, [-9.0, -0.1, -1.0]);
        assert_eq!(best[0].ids, [1, 1, 2, 1]);
    }

    #[test]
    fn more_beams_find_what_greedy_misses_and_come_in_order() {
        let options =
            SearchOptions { beams: 2, n_best: 2, max_tokens: 3, length_penalty: 0.0, ..SearchOptions::default() };
        let best = run(options, [-0.95, -0.9, -1.0]);
        assert_eq!(best[0].ids, [0], "without a length penalty the shortest has the greatest sum");
        assert!(best[0].score >= best[1].score);
        let long = SearchOptions { beams: 2, max_tokens: 3, length_penalty: 3.0, ..SearchOptions::default() };
        assert_eq!(run(long, [-1.2, -0.9, -1.0])[0].ids.len(), 3);
    }

    #[test]
    fn a_decoder_that_never_ends_ends_at_the_length_with_the_forced_token() {
        let rules = Rules { forced_end: Some(0), ..rules() };
        let mut search = Search::new(SearchOptions { max_tokens: 4, ..SearchOptions::default() }, rules, vec![9]);
        while !search.is_over() {
            let rows = vec![row([-50.0, -0.1, -0.2]); search.rows()];
            search.advance(&rows);
        }
        let best = search.into_best();
        assert_eq!((best[0].ids.len(), best[0].ids.last()), (4, Some(&0)));
    }

    #[test]
    fn numbers_that_are_none_end_the_search() {
        let mut search = Search::new(SearchOptions::default(), rules(), vec![9]);
        assert!(!search.advance(&[Ranked { best: Vec::new(), broken: true }]));
        assert!(search.is_over());
    }

    #[test]
    fn the_stable_prefix_is_what_all_agree_on() {
        let mut search = Search::new(SearchOptions { beams: 2, ..SearchOptions::default() }, rules(), vec![9]);
        search.advance(&[row([-9.0, -0.1, -5.0])]);
        assert_eq!(search.stable(), [] as [u32; 0]);
        // The second hypothesis is so far behind that both now begin with 1.
        search.advance(&[row([-9.0, -0.7, -0.8]), row([-9.0, -0.7, -0.8])]);
        assert_eq!(search.stable(), [1]);
    }
}
