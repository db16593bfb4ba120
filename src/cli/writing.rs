//! Options of every command that lets a model write.

use crate::nn::options as ranges;
use crate::tasks::{Input, Message, Options, Sampling, WritingOptions};
use clap::Args;
use std::ops::RangeInclusive;

#[derive(Args, Clone)]
pub(super) struct WritingArgs {
    /// What the model is told before the conversation (chat; default: what its template says)
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// 0 always takes the likeliest token (greedy); higher is bolder
    #[arg(long, value_name = "T", default_value_t = Sampling::default().temperature, value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Draw from the K likeliest tokens only (0: from all)
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Draw from the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p, value_parser = share, allow_negative_numbers = true)]
    top_p: f32,
    /// Draw from tokens at least this share as likely as the likeliest
    #[arg(long, value_name = "P", default_value_t = Sampling::default().min_p, value_parser = share, allow_negative_numbers = true)]
    min_p: f32,
    /// Make tokens that have occurred less likely by this factor (1: off)
    #[arg(long, value_name = "R", default_value_t = Sampling::default().repetition_penalty, value_parser = penalty, allow_negative_numbers = true)]
    repetition_penalty: f32,
    /// The same seed gives the same text on one device
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Tokens that an answer may have (default: 512; for translations what the source suggests)
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// End the answer before this string (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Report the N likeliest tokens at each step (with --json)
    #[arg(long, value_name = "N", default_value_t = 0)]
    candidates: usize,
}

/// `text` as a number in `range`.
pub(super) fn number(text: &str, range: &RangeInclusive<f32>) -> Result<f32, String> {
    ranges::within(text.parse().map_err(|_| "not a number")?, range)
}

fn temperature(text: &str) -> Result<f32, String> {
    number(text, &ranges::TEMPERATURE)
}

fn penalty(text: &str) -> Result<f32, String> {
    number(text, &ranges::REPETITION_PENALTY)
}

fn share(text: &str) -> Result<f32, String> {
    number(text, &ranges::SHARE)
}

impl WritingArgs {
    /// As the engine takes them.
    pub fn options(&self) -> Options {
        let written = WritingOptions {
            sampling: Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                seed: self.seed,
            },
            max_tokens: self.max_tokens.unwrap_or(WritingOptions::default().max_tokens),
            stop: self.stop.clone(),
            candidates: self.candidates.min(100),
        };
        written.into()
    }

    /// The greatest length, if one was asked for.
    pub fn max_tokens(&self) -> Option<usize> {
        self.max_tokens
    }

    /// What `text` means to `task`: a message in chat, else a text.
    pub fn input(&self, task: &str, text: &str) -> Input {
        if task != "chat" {
            return Input::Text(text.to_owned());
        }
        let system = self.system.iter().map(Message::system);
        Input::Chat(system.chain([Message::user(text)]).collect())
    }
}
