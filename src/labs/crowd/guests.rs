//! Newcomers and neighbours: what they cost those who are at work, and what those cost them.

use super::client::{Answer, Question, ask, prompt};
use super::{Plan, Writers};
use crate::engine::Engine;
use crate::error::UserMessage;
use crate::nn::lock;
use crate::telemetry::stats::{Percentiles, percentiles};
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Words of a long prompt that comes while others read their answers.
const LONG: usize = 2_000;
/// Words of a document that is asked about twice.
const DOCUMENT: usize = 1_500;
/// Clients that write while a newcomer asks.
const AT_WORK: usize = 8;
/// Long prompts that come one after the other.
const INTRUSIONS: usize = 3;
/// Short questions, and texts to classify.
const QUESTIONS: usize = 24;
/// Clients among whom answers are compared.
const CROWD: usize = 30;

/// What a long prompt costs those who are reading answers.
#[derive(Clone, Debug, Serialize)]
pub struct Intrusion {
    pub clients: usize,
    pub prompt_tokens: usize,
    /// Gaps between tokens before it came, and while it was read.
    pub before_ms: Percentiles,
    pub during_ms: Percentiles,
    /// p99 over p99.
    pub ratio: f64,
    /// How long the newcomer waited for the first token.
    pub ttft_ms: Percentiles,
}

/// What others cost a short question.
#[derive(Clone, Debug, Serialize)]
pub struct Newcomer {
    pub clients: usize,
    pub prompt_tokens: usize,
    pub alone_ms: Percentiles,
    pub among_ms: Percentiles,
    /// One step of those at work: the median gap between their tokens.
    pub step_ms: f64,
    /// p95 among others less the median alone, in such steps.
    pub steps: f64,
}

/// A sentence for another model while a chat is written.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    pub words: usize,
    pub alone_ms: Percentiles,
    pub beside_ms: Percentiles,
    /// p95 over p95.
    pub ratio: f64,
}

/// Two questions about one document.
#[derive(Clone, Debug, Serialize)]
pub struct Again {
    pub prompt_tokens: usize,
    pub first_ms: f64,
    pub second_ms: f64,
    pub ratio: f64,
}

/// Answers that were the same, token for token, alone and in a crowd.
#[derive(Clone, Debug, Serialize)]
pub struct Equal {
    pub clients: usize,
    pub same: usize,
    pub of: usize,
}

fn found(values: &[f64]) -> Percentiles {
    percentiles(values).unwrap_or_default()
}

/// Gaps between tokens before and while a long prompt is read.
pub fn intrusion(engine: &Engine, plan: &Plan<'_>) -> Result<Intrusion, UserMessage> {
    let answers: Mutex<Vec<Answer>> = Mutex::default();
    let steady = Plan { answer: plan.answer.max(512), ..*plan };
    let clients = AT_WORK / 2;
    let (spans, quiet, newcomers) = Writers::start(engine, &steady, clients, &|a| lock(&answers).push(a), || {
        let (mut spans, mut quiet, mut newcomers) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..INTRUSIONS as u64 {
            let from = Instant::now() + Duration::from_secs_f64(plan.seconds.min(5.0) / 4.0);
            std::thread::sleep(Duration::from_secs_f64(plan.seconds.min(5.0)));
            quiet.push((from, Instant::now()));
            let begun = Instant::now();
            newcomers.push(ask(engine, &Question::new(plan, prompt(LONG, 1_000_000 + seed), 1))?);
            spans.push((begun, Instant::now()));
        }
        Ok((spans, quiet, newcomers))
    })?;
    let answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Of an answer's own beginning and of others' that begin at the same time nothing is said here: prompts of the
    // writers themselves are long past.
    let gaps = |spans: &[(Instant, Instant)]| -> Vec<f64> {
        answers.iter().flat_map(|a| spans.iter().flat_map(|span| a.gaps_ms(Some(*span)))).collect()
    };
    let (before_ms, during_ms) = (found(&gaps(&quiet)), found(&gaps(&spans)));
    let ttft: Vec<f64> = newcomers.iter().filter_map(Answer::ttft_ms).collect();
    let prompt_tokens = newcomers.first().map_or(0, |a| a.prompt_tokens);
    let ratio = during_ms.p99 / before_ms.p99.max(1e-9);
    Ok(Intrusion { clients, prompt_tokens, before_ms, during_ms, ratio, ttft_ms: found(&ttft) })
}

/// The first token of a short question, alone and while others are written.
pub fn newcomer(engine: &Engine, plan: &Plan<'_>) -> Result<Newcomer, UserMessage> {
    let question = |seed: u64| {
        let mut question = Question::new(plan, format!("What do you know about {}?", prompt(4, seed)), 2);
        question.task = "chat";
        ask(engine, &question)
    };
    question(99)?;
    let alone: Vec<Answer> = (0..QUESTIONS as u64).map(question).collect::<Result<_, _>>()?;
    let answers: Mutex<Vec<Answer>> = Mutex::default();
    let steady = Plan { answer: plan.answer.max(512), ..*plan };
    let among = Writers::start(engine, &steady, AT_WORK, &|a| lock(&answers).push(a), || {
        std::thread::sleep(Duration::from_secs_f64(plan.seconds.min(4.0)));
        let ask = |seed: u64| {
            // Not in step with the others.
            std::thread::sleep(Duration::from_millis(40 + 7 * (seed % 11)));
            question(1_000 + seed)
        };
        (0..QUESTIONS as u64).map(ask).collect::<Result<Vec<_>, _>>()
    })?;
    let ttft = |answers: &[Answer]| found(&answers.iter().filter_map(Answer::ttft_ms).collect::<Vec<_>>());
    let (alone_ms, among_ms) = (ttft(&alone), ttft(&among));
    let answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let step_ms = found(&answers.iter().flat_map(|a| a.gaps_ms(None)).collect::<Vec<_>>()).p50;
    let steps = (among_ms.p95 - alone_ms.p50) / step_ms.max(1e-9);
    let prompt_tokens = alone.first().map_or(0, |a| a.prompt_tokens);
    Ok(Newcomer { clients: AT_WORK, prompt_tokens, alone_ms, among_ms, step_ms, steps })
}

/// Sentiment alone and while a chat is written.
pub fn beside(engine: &Engine, plan: &Plan<'_>) -> Result<Beside, UserMessage> {
    let classify = |seed: u64| {
        std::thread::sleep(Duration::from_millis(3 * (seed % 13)));
        let text = prompt(plan.prompt, 5_000 + seed);
        let question = Question { task: "sentiment", model: None, ..Question::new(plan, text, 1) };
        ask(engine, &question).map(|a| a.total_ms)
    };
    classify(0)?;
    let count = 4 * QUESTIONS as u64;
    let alone = (0..count).map(classify).collect::<Result<Vec<_>, _>>()?;
    let steady = Plan { answer: plan.answer.max(512), ..*plan };
    let beside = Writers::start(engine, &steady, 1, &|_| {}, || {
        std::thread::sleep(Duration::from_millis(500));
        (0..count).map(classify).collect::<Result<Vec<_>, _>>()
    })?;
    let (alone_ms, beside_ms) = (found(&alone), found(&beside));
    Ok(Beside { words: plan.prompt, alone_ms, beside_ms, ratio: beside_ms.p95 / alone_ms.p95.max(1e-9) })
}

/// The second question about a document that has been read.
pub fn again(engine: &Engine, plan: &Plan<'_>) -> Result<Again, UserMessage> {
    let document = prompt(DOCUMENT, 77_777);
    let about = |what: &str| ask(engine, &Question::new(plan, format!("{document}\n\n{what}"), 4));
    let (first, second) = (about("In the morning they")?, about("Later he")?);
    let (first_ms, second_ms) = (first.ttft_ms().unwrap_or(0.0), second.ttft_ms().unwrap_or(0.0));
    let ratio = second_ms / first_ms.max(1e-9);
    Ok(Again { prompt_tokens: second.prompt_tokens, first_ms, second_ms, ratio })
}

/// The same questions by one client after the other, and by thirty that come and go at random.
pub fn equal(engine: &Engine, plan: &Plan<'_>) -> Result<Equal, UserMessage> {
    let question = |at: u64| {
        // Every third is greedy, every second begins as others do.
        let words = 4 + (at * 7 % 60) as usize;
        let beginning = if at.is_multiple_of(2) { prompt(70, 3) } else { String::new() };
        let mut question = Question::new(plan, format!("{beginning}{}", prompt(words, at)), 4 + (at % 13) as usize);
        (question.seed, question.temperature) = (at, if at.is_multiple_of(3) { 0.0 } else { 0.9 });
        ask(engine, &question).map(|answer| answer.ids)
    };
    let all = plan.equal as u64;
    let alone = (0..all).map(question).collect::<Result<Vec<_>, _>>()?;
    let (next, same, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for client in 0..CROWD as u64 {
            let (next, same, failed, alone, question) = (&next, &same, &failed, &alone, &question);
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(client * 17 % 211));
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(want) = alone.get(at) else { break };
                    match question(at as u64) {
                        Ok(ids) => _ = same.fetch_add(usize::from(ids == *want), Ordering::Relaxed),
                        Err(error) => {
                            *lock(failed) = Some(error);
                            break;
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(Equal { clients: CROWD, same: same.into_inner(), of: plan.equal }),
    }
}
