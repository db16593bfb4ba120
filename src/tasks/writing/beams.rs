//! Beam search for decoders: DialoGPT is often run with two beams.
//!
//! Each hypothesis has its keys and values. One that goes on alone takes its parent's as they are;
//! only where two go on from one are they copied.

use crate::nn::beam::{Rules, Search, SearchOptions};
use crate::nn::decoder::{Cache, Decoder, Want};
use crate::nn::kernels::Isa;
use crate::nn::kernels::rank::rank;
use crate::tasks::contract::TaskError;

/// A search on its way.
pub struct Beams {
    search: Search,
    caches: Vec<Cache>,
}

impl Beams {
    /// After `prompt`.
    pub fn new(mut options: SearchOptions, max_tokens: usize, ends: &[u32], prompt: &[u32]) -> Self {
        options.max_tokens = max_tokens;
        options.sampling = None;
        let rules = Rules { ends: ends.to_vec(), ..Rules::default() };
        Self { search: Search::new(options, rules, prompt.to_vec()), caches: Vec::new() }
    }

    /// Whether the prompt has been read.
    pub fn has_begun(&self) -> bool {
        !self.caches.is_empty()
    }

    /// Takes the prompt's keys and values, and the logits after it.
    ///
    /// # Errors
    /// [`TaskError::NotANumber`].
    pub fn begin(&mut self, cache: Cache, logits: &[f32]) -> Result<(), TaskError> {
        self.caches = vec![cache];
        self.choose(&[logits])
    }

    /// One token further.
    ///
    /// # Errors
    /// An error of the device, or [`TaskError::NotANumber`].
    pub fn step(&mut self, decoder: &Decoder) -> Result<(), TaskError> {
        let next = self.search.next();
        let mut old: Vec<Option<Cache>> = std::mem::take(&mut self.caches).into_iter().map(Some).collect();
        for (at, (parent, _)) in next.iter().enumerate() {
            let again = next[at + 1..].iter().any(|n| n.0 == *parent);
            let place = old.get_mut(*parent);
            let place = place.ok_or_else(|| TaskError::Input("work of another task".into()))?;
            let cache = if again { place.as_ref().map(Cache::fork).transpose()? } else { place.take() };
            self.caches.extend(cache);
        }
        let mut logits = Vec::with_capacity(next.len());
        for (cache, (_, token)) in self.caches.iter_mut().zip(&next) {
            logits.push(decoder.forward(cache, &[*token], Want::Last)?);
        }
        self.choose(&logits.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn choose(&mut self, logits: &[&[f32]]) -> Result<(), TaskError> {
        let (isa, count) = (Isa::detect(), self.search.candidates());
        let banned = self.search.banned();
        let ranked: Vec<_> = logits.iter().zip(&banned).map(|(row, banned)| rank(isa, row, banned, count)).collect();
        if self.search.advance(&ranked) { Ok(()) } else { Err(TaskError::NotANumber) }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.search.is_over()
    }

    /// Steps done.
    pub fn steps(&self) -> usize {
        self.search.steps()
    }

    /// Tokens that will not change any more.
    pub fn stable(&self) -> &[u32] {
        self.search.stable()
    }

    /// The best text's tokens, and whether it ended by itself.
    pub fn into_best(self) -> (Vec<u32>, bool) {
        self.search.into_best().into_iter().next().map_or((Vec::new(), false), |best| (best.ids, best.ended))
    }
}
