//! Speed of a language model: prefill, decode, time to first token, memory. Network alone, warm.

use crate::error::UserMessage;
use crate::models::library::Library;
use crate::nn::decoder::{Cache, Decoder, Want};
use crate::nn::runtime::Runtime;
use crate::nn::sampling::{Sampler, Sampling};
use crate::tasks::writing::language::LanguageModel;
use crate::tasks::{Model as _, TaskError};
use crate::telemetry::stats::{Percentiles, percentiles};
use serde::Serialize;
use std::time::Instant;

/// Prompt lengths that are measured.
pub const PROMPTS: [usize; 2] = [128, 512];
/// Tokens that are written, after a prompt of as many.
const DECODE: usize = 128;

/// One row: tokens of a run, and rates over its repetitions.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    pub tokens: usize,
    /// Median over the repetitions.
    pub tokens_per_second: f64,
    /// Milliseconds of the whole run.
    pub run_ms: Percentiles,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct LanguageBench {
    pub task: &'static str,
    pub model: String,
    pub device: String,
    pub precision: &'static str,
    pub threads: usize,
    pub weight_bytes: usize,
    pub prefill: Vec<Rate>,
    pub decode: Rate,
    /// From a prompt of 128 tokens to the first token.
    pub ttft_ms: Percentiles,
    /// The process' largest resident memory, if the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// Reads `count` tokens of no meaning in steps as a request does; logits of the last.
fn read(decoder: &Decoder, cache: &mut Cache, count: usize) -> Result<Vec<f32>, TaskError> {
    let vocab = decoder.config().vocab;
    let ids: Vec<u32> = (0..count).map(|t| ((1_000 + t * 7_919) % vocab) as u32).collect();
    Ok(decoder.read(cache, &ids)?)
}

fn rate(tokens: usize, times: &[f64]) -> Rate {
    let run_ms = percentiles(times).unwrap_or_default();
    Rate { tokens, tokens_per_second: tokens as f64 / run_ms.p50 * 1e3, run_ms }
}

fn timed(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn greedy() -> Sampler {
    Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() })
}

/// Times of `work`, for about `seconds` but three times at least, after once before the clock.
fn repeat(seconds: f64, work: &mut dyn FnMut() -> Result<f64, TaskError>) -> Result<Vec<f64>, TaskError> {
    work()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        times.push(work()?);
    }
    Ok(times)
}

/// Speed of writing `tokens` tokens after a prompt of 128, for about `seconds`.
///
/// # Errors
/// An error of the device, or logits that are no numbers.
pub fn decode(decoder: &Decoder, tokens: usize, seconds: f64) -> Result<Rate, TaskError> {
    let (mut cache, mut sampler) = (decoder.cache(), greedy());
    let times = repeat(seconds, &mut || {
        cache.truncate(0);
        let mut logits = read(decoder, &mut cache, DECODE)?;
        let begun = Instant::now();
        for _ in 0..tokens {
            let id = sampler.choose(&logits, &[], 0).ok_or(TaskError::NotANumber)?.id;
            logits = decoder.forward(&mut cache, &[id], Want::Last)?;
        }
        Ok(timed(begun))
    })?;
    Ok(rate(tokens, &times))
}

/// Measures each number for about `seconds`.
///
/// # Errors
/// A model that cannot be opened, or an error of the device.
pub fn run(
    library: &Library,
    runtime: &Runtime,
    model: Option<&str>,
    seconds: f64,
    mut progress: impl FnMut(usize, usize),
) -> Result<LanguageBench, UserMessage> {
    let entry = library.resolve(model, "chat")?;
    let model = LanguageModel::load(&entry, runtime, &mut |_| false)?;
    let decoder = model.decoder();
    let mut cache = decoder.cache();
    let mut sampler = greedy();
    let steps = PROMPTS.len() + 2;
    let mut prefill = Vec::new();
    for tokens in PROMPTS.into_iter().filter(|t| *t <= decoder.config().context) {
        let times = repeat(seconds, &mut || {
            cache.truncate(0);
            let begun = Instant::now();
            read(decoder, &mut cache, tokens)?;
            Ok(timed(begun))
        })?;
        prefill.push(rate(tokens, &times));
        progress(prefill.len(), steps);
    }
    let ttft = repeat(seconds, &mut || {
        cache.truncate(0);
        let begun = Instant::now();
        let logits = read(decoder, &mut cache, DECODE)?;
        sampler.choose(&logits, &[], 0).ok_or(TaskError::NotANumber)?;
        Ok(timed(begun))
    })?;
    progress(steps - 1, steps);
    let decode = decode(decoder, DECODE, seconds)?;
    progress(steps, steps);
    Ok(LanguageBench {
        task: "chat",
        model: entry.id.clone(),
        device: runtime.report.name.clone(),
        precision: model.precision().unwrap_or(runtime.precision()),
        threads: runtime.report.threads,
        weight_bytes: decoder.bytes(),
        prefill,
        decode,
        ttft_ms: percentiles(&ttft).unwrap_or_default(),
        peak_memory_bytes: peak_memory(),
    })
}

/// `VmHWM` of this process.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
