//! One client: a question, and when each token of the answer came.

use super::Plan;
use crate::engine::Engine;
use crate::engine::message::{ClientId, Event, EventSink, Priority, Request};
use crate::error::UserMessage;
use crate::tasks::{Input, Options, Output, Sampling, WritingOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Words that are one token each in almost every vocabulary of English.
const WORDS: [&str; 48] = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "was", "on", "with", "he", "be", "as", "by", "at",
    "his", "have", "from", "they", "we", "had", "this", "not", "are", "but", "or", "one", "you", "were", "all", "her",
    "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "more", "no", "if",
];

/// So many words; every `seed` has its own.
pub fn prompt(words: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x2545_F491_4F6C_DD1D);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        WORDS[(state >> 33) as usize % WORDS.len()]
    };
    (0..words).map(|_| next()).collect::<Vec<_>>().join(" ")
}

/// What is asked.
pub struct Question<'a> {
    pub task: &'static str,
    pub model: Option<&'a str>,
    pub text: String,
    pub tokens: usize,
    pub seed: u64,
    /// 0: greedy.
    pub temperature: f32,
    pub client: ClientId,
    /// Ends the answer early.
    pub stop: Option<&'a AtomicBool>,
}

impl<'a> Question<'a> {
    /// A text to go on with, by a client of its own.
    pub fn new(plan: &Plan<'a>, text: String, tokens: usize) -> Self {
        let client = ClientId::fresh();
        Self { task: "generate", model: plan.model, text, tokens, seed: 1, temperature: 0.8, client, stop: None }
    }
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub asked: Option<Instant>,
    /// When each token came.
    pub tokens: Vec<Instant>,
    pub ids: Vec<u32>,
    pub prompt_tokens: usize,
    /// Whether it came to its end.
    pub ended: bool,
    /// From question to last event.
    pub total_ms: f64,
}

fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

impl Answer {
    /// Milliseconds to the first token.
    pub fn ttft_ms(&self) -> Option<f64> {
        Some(ms(self.asked?, *self.tokens.first()?))
    }

    /// Milliseconds between tokens, of those that came within the span.
    pub fn gaps_ms(&self, within: Option<(Instant, Instant)>) -> Vec<f64> {
        let counts = |pair: &&[Instant]| within.is_none_or(|(from, to)| pair[1] >= from && pair[0] <= to);
        self.tokens.windows(2).filter(counts).map(|pair| ms(pair[0], pair[1])).collect()
    }
}

/// Asks, and waits for the last event.
///
/// # Errors
/// What the request failed with.
pub fn ask(engine: &Engine, question: &Question<'_>) -> Result<Answer, UserMessage> {
    let input = match question.task {
        "chat" => Input::Chat(vec![crate::tasks::Message::user(&question.text)]),
        _ => Input::Text(question.text.clone()),
    };
    let sampling =
        Sampling { temperature: question.temperature, top_k: 40, seed: Some(question.seed), ..Sampling::default() };
    let options: Options = WritingOptions { sampling, max_tokens: question.tokens, ..WritingOptions::default() }.into();
    let request = Request {
        task: question.task,
        model: question.model.map(str::to_owned),
        inputs: vec![input],
        options,
        priority: Priority::Interactive,
        client: question.client,
    };
    let (sink, events) = EventSink::channel(None);
    let asked = Instant::now();
    let ticket = engine.submit(request, sink)?;
    let mut answer = Answer { asked: Some(asked), ..Answer::default() };
    while let Ok(event) = events.recv() {
        let now = Instant::now();
        if question.stop.is_some_and(|stop| stop.load(Ordering::Acquire)) {
            ticket.cancel.cancel();
        }
        match event {
            Event::Partial { partial, .. } => {
                answer.prompt_tokens = partial.prompt.tokens;
                answer.tokens.extend(std::iter::repeat_n(now, partial.tokens));
                answer.ids.extend(partial.steps.iter().map(|s| s.id));
            }
            Event::Items { items, .. } => {
                answer.ended = true;
                if let Some((_, Ok(Output::Text(text)))) = items.into_iter().next() {
                    answer.ids = text.token_ids;
                }
            }
            Event::Failed { message, .. } => return Err(message),
            Event::Done { report, .. } | Event::Cancelled { report, .. } => {
                (answer.model, answer.device, answer.precision) = (report.model, report.device, report.precision);
                break;
            }
            _ => {}
        }
    }
    answer.total_ms = ms(asked, Instant::now());
    Ok(answer)
}
