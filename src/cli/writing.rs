//! Options of every command that lets a model write.

use crate::tasks::{Input, Message, Options, Sampling};
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct WritingArgs {
    /// What the model is told before the conversation (chat; default: what its template says)
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// 0 always takes the likeliest token (greedy); higher is bolder
    #[arg(long, value_name = "T", default_value_t = Sampling::default().temperature, value_parser = at_least_zero)]
    temperature: f32,
    /// Draw from the K likeliest tokens only (0: from all)
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Draw from the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p, value_parser = share)]
    top_p: f32,
    /// Draw from tokens at least this share as likely as the likeliest
    #[arg(long, value_name = "P", default_value_t = Sampling::default().min_p, value_parser = share)]
    min_p: f32,
    /// Make tokens that have occurred less likely by this factor (1: off)
    #[arg(long, value_name = "R", default_value_t = Sampling::default().repetition_penalty, value_parser = positive)]
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

fn number(text: &str) -> Result<f32, String> {
    text.parse::<f32>().ok().filter(|x| x.is_finite()).ok_or_else(|| "not a number".into())
}

fn at_least_zero(text: &str) -> Result<f32, String> {
    number(text).and_then(|x| if x >= 0.0 { Ok(x) } else { Err("must be 0 or more".into()) })
}

fn positive(text: &str) -> Result<f32, String> {
    number(text).and_then(|x| if x > 0.0 { Ok(x) } else { Err("must be more than 0".into()) })
}

fn share(text: &str) -> Result<f32, String> {
    number(text).and_then(|x| if (0.0..=1.0).contains(&x) { Ok(x) } else { Err("must be 0 to 1".into()) })
}

impl WritingArgs {
    /// As the engine takes them.
    pub fn options(&self) -> Options {
        Options {
            sampling: Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                seed: self.seed,
            },
            max_tokens: self.max_tokens.unwrap_or(Options::default().max_tokens),
            stop: self.stop.clone(),
            candidates: self.candidates.min(100),
            ..Options::default()
        }
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
