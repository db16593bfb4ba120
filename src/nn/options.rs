//! What may be asked of a text that is written: how tokens are drawn, how a search goes; with the ranges of all numbers.

use serde::{Deserialize, Deserializer, Serialize};
use std::ops::RangeInclusive;

/// How the next token is chosen. Each number has a range, which the command line, settings files and the engine
/// all check by [`within`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Logits are divided by it; 0 always takes the likeliest token (greedy).
    #[serde(deserialize_with = "temperature")]
    pub temperature: f32,
    /// Only the so many likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability.
    #[serde(deserialize_with = "top_p")]
    pub top_p: f32,
    /// Only tokens at least this share as likely as the likeliest.
    #[serde(deserialize_with = "min_p")]
    pub min_p: f32,
    /// Tokens that have occurred become less likely by this factor; 1 for none.
    #[serde(deserialize_with = "repetition_penalty")]
    pub repetition_penalty: f32,
    /// The same seed gives the same text on one device; `None` draws one.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.6, top_k: 40, top_p: 0.9, min_p: 0.0, repetition_penalty: 1.0, seed: None }
    }
}

/// Of [`Sampling::temperature`].
pub const TEMPERATURE: RangeInclusive<f32> = 0.0..=100.0;
/// Of [`Sampling::top_p`] and [`Sampling::min_p`].
pub const SHARE: RangeInclusive<f32> = 0.0..=1.0;
/// Of [`Sampling::repetition_penalty`]: what is further from 1 makes nonsense, and in the end infinities.
pub const REPETITION_PENALTY: RangeInclusive<f32> = 0.1..=10.0;

/// `value`, if it is a number in `range`.
///
/// # Errors
/// In words, with both ends of the range.
pub fn within(value: f32, range: &RangeInclusive<f32>) -> Result<f32, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("it must be a number from {} to {}, not {value}", range.start(), range.end()))
}

impl Sampling {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// Which is not, in words.
    pub fn check(&self) -> Result<(), String> {
        for (name, value, range) in [
            ("temperature", self.temperature, TEMPERATURE),
            ("top-p", self.top_p, SHARE),
            ("min-p", self.min_p, SHARE),
            ("repetition penalty", self.repetition_penalty, REPETITION_PENALTY),
        ] {
            within(value, &range).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    }
}

fn ranged<'de, D: Deserializer<'de>>(from: D, range: &RangeInclusive<f32>) -> Result<f32, D::Error> {
    within(f32::deserialize(from)?, range).map_err(serde::de::Error::custom)
}

fn temperature<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    ranged(from, &TEMPERATURE)
}

fn top_p<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    ranged(from, &SHARE)
}

fn min_p<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    ranged(from, &SHARE)
}

fn repetition_penalty<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    ranged(from, &REPETITION_PENALTY)
}

/// Of [`SearchOptions::length_penalty`].
pub const LENGTH_PENALTY: RangeInclusive<f32> = -10.0..=10.0;

/// When a search with enough finished hypotheses ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EarlyStopping {
    /// As soon as there are as many as beams.
    Yes,
    /// When no running one is better at its present length.
    #[default]
    No,
    /// When no running one can become better at the greatest length.
    Never,
}

/// How to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchOptions {
    /// 1: greedy, or sampling.
    pub beams: usize,
    /// Scores are divided by length to the power of it; above 0 prefers longer texts.
    pub length_penalty: f32,
    pub early_stopping: EarlyStopping,
    /// Tokens before the end may come.
    pub min_tokens: usize,
    /// Tokens at most, the end token included.
    pub max_tokens: usize,
    /// No run of so many tokens comes twice; 0: no such rule.
    pub no_repeat_ngram: usize,
    /// Hypotheses to give, best first; at most as many as beams.
    pub n_best: usize,
    /// Draws tokens instead of searching, if its temperature is above 0.
    pub sampling: Option<Sampling>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            beams: 4,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::No,
            min_tokens: 0,
            max_tokens: 256,
            no_repeat_ngram: 0,
            n_best: 1,
            sampling: None,
        }
    }
}

impl SearchOptions {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// Which is not, in words.
    pub fn check(&self) -> Result<(), String> {
        within(self.length_penalty, &LENGTH_PENALTY).map_err(|why| format!("length penalty: {why}"))?;
        self.sampling.as_ref().map_or(Ok(()), Sampling::check)
    }
}
