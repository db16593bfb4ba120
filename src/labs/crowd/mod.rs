//! An engine under many clients at once: throughput by number of clients, what a newcomer costs those who are reading, what
//! those cost a newcomer, and whether answers are the same alone and in a crowd.
//!
//! Clients are threads that ask through the engine as the window does, in a closed loop: the next question follows the
//! last answer. Prompts are drawn from a list of words, each client's its own, so that nothing of them is known already;
//! texts are sampled with a seed of their own.

mod client;
mod guests;

use crate::engine::Engine;
use crate::error::UserMessage;
use crate::telemetry::stats::{Percentiles, percentiles};
use client::{Answer, Question, ask, prompt};
use guests::{Again, Beside, Equal, Intrusion, Newcomer};
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to measure.
pub struct Plan<'a> {
    pub model: Option<&'a str>,
    /// Numbers of clients, one row each.
    pub clients: &'a [usize],
    /// Words of a prompt (about as many tokens), and tokens of an answer.
    pub prompt: usize,
    pub answer: usize,
    /// Measured time per row.
    pub seconds: f64,
    /// Answers that are compared, alone and among thirty; 0: none.
    pub equal: usize,
    /// Whether newcomers and neighbours are measured too.
    pub guests: bool,
}

/// One number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    pub clients: usize,
    /// Tokens written per second, of all clients together, by the clock.
    pub tokens_per_second: f64,
    /// Over the first row's.
    pub gain: f64,
    pub answers: usize,
    /// Tokens of a prompt and of an answer, on average.
    pub prompt_tokens: f64,
    pub answer_tokens: f64,
    /// From a question to its first token.
    pub ttft_ms: Percentiles,
    /// From one token of an answer to the next.
    pub gap_ms: Percentiles,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdBench {
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub loads: Vec<Load>,
    pub intrusion: Option<Intrusion>,
    pub newcomer: Option<Newcomer>,
    pub beside: Option<Beside>,
    pub again: Option<Again>,
    pub equal: Option<Equal>,
}

/// Measures. `progress` gets parts done and all.
///
/// # Errors
/// What a request failed with.
pub fn run(
    engine: &Engine,
    plan: &Plan<'_>,
    mut progress: impl FnMut(usize, usize),
) -> Result<CrowdBench, UserMessage> {
    let all = plan.clients.len() + 4 * usize::from(plan.guests) + usize::from(plan.equal > 0);
    // Warm: the model is read, the first pages are there.
    let warm = ask(engine, &Question::new(plan, prompt(plan.prompt, 0), 8))?;
    let mut bench = CrowdBench {
        model: warm.model,
        device: warm.device,
        precision: warm.precision,
        loads: Vec::new(),
        intrusion: None,
        newcomer: None,
        beside: None,
        again: None,
        equal: None,
    };
    for clients in plan.clients {
        let load = load(engine, plan, *clients)?;
        let first = bench.loads.first().map_or(load.tokens_per_second, |l| l.tokens_per_second);
        bench.loads.push(Load { gain: load.tokens_per_second / first, ..load });
        progress(bench.loads.len(), all);
    }
    if plan.guests {
        let done = bench.loads.len();
        bench.intrusion = Some(guests::intrusion(engine, plan)?);
        progress(done + 1, all);
        bench.newcomer = Some(guests::newcomer(engine, plan)?);
        progress(done + 2, all);
        bench.beside = Some(guests::beside(engine, plan)?);
        progress(done + 3, all);
        bench.again = Some(guests::again(engine, plan)?);
        progress(done + 4, all);
    }
    if plan.equal > 0 {
        bench.equal = Some(guests::equal(engine, plan)?);
        progress(all, all);
    }
    Ok(bench)
}

/// `clients` at work until the time is over; answers that had not ended then count with what came within it.
fn load(engine: &Engine, plan: &Plan<'_>, clients: usize) -> Result<Load, UserMessage> {
    let answers = Mutex::new(Vec::new());
    let begun = Instant::now();
    let until = begun + Duration::from_secs_f64(plan.seconds);
    let writers = Writers::start(engine, plan, clients, &|answer| crate::nn::lock(&answers).push(answer), || {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    });
    writers?;
    let elapsed = until.saturating_duration_since(begun).as_secs_f64();
    let answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(row(clients, &answers, until, elapsed))
}

fn row(clients: usize, answers: &[Answer], until: Instant, elapsed: f64) -> Load {
    let within = |a: &&Answer| a.tokens.first().is_some_and(|at| *at <= until);
    let tokens: usize = answers.iter().map(|a| a.tokens.iter().filter(|at| **at <= until).count()).sum();
    let whole: Vec<&Answer> = answers.iter().filter(within).collect();
    let mean =
        |of: &dyn Fn(&Answer) -> usize| whole.iter().map(|a| of(a)).sum::<usize>() as f64 / whole.len().max(1) as f64;
    let ttft: Vec<f64> = whole.iter().filter_map(|a| a.ttft_ms()).collect();
    let gaps: Vec<f64> = whole.iter().flat_map(|a| a.gaps_ms(None)).collect();
    let per_second = tokens as f64 / elapsed;
    Load {
        clients,
        tokens_per_second: per_second,
        gain: 1.0,
        answers: whole.iter().filter(|a| a.ended).count(),
        prompt_tokens: mean(&|a| a.prompt_tokens),
        answer_tokens: mean(&|a| a.tokens.len()),
        ttft_ms: percentiles(&ttft).unwrap_or_default(),
        gap_ms: percentiles(&gaps).unwrap_or_default(),
    }
}

/// Clients that write in the background while something else is measured.
struct Writers;

impl Writers {
    /// Starts `clients`, hands every answer (the last ones cut short) to `each`, and stops them when `meanwhile` is over.
    fn start<R>(
        engine: &Engine,
        plan: &Plan<'_>,
        clients: usize,
        each: &(dyn Fn(Answer) + Sync),
        meanwhile: impl FnOnce() -> Result<R, UserMessage>,
    ) -> Result<R, UserMessage> {
        // Every prompt of a run is another.
        static PROMPTS: AtomicU64 = AtomicU64::new(1);
        let (stop, failed) = (AtomicBool::new(false), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let client = crate::engine::message::ClientId::fresh();
                    while !stop.load(Ordering::Acquire) {
                        let seed = PROMPTS.fetch_add(1, Ordering::Relaxed);
                        let mut question = Question::new(plan, prompt(plan.prompt, seed), plan.answer);
                        (question.client, question.seed, question.stop) = (client, seed, Some(&stop));
                        match ask(engine, &question) {
                            Ok(answer) => each(answer),
                            Err(error) => {
                                *crate::nn::lock(&failed) = Some(error);
                                break;
                            }
                        }
                    }
                });
            }
            let result = meanwhile();
            stop.store(true, Ordering::Release);
            result
        })
        .and_then(|result| match failed.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(result),
        })
    }
}
