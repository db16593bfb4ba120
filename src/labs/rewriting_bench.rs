//! Speed of an encoder-decoder: sources of equal length, a fixed number of tokens forced, by
//! beams and batch. Network and search alone, warm.

use crate::error::UserMessage;
use crate::models::library::Library;
use crate::nn::beam::SearchOptions;
use crate::nn::runtime::Runtime;
use crate::nn::seq2seq::Model;
use crate::tasks::rewriting::passages::Rewriter;
use crate::tasks::{Need, TaskError};
use crate::telemetry::stats::{Percentiles, percentiles};
use serde::Serialize;
use std::time::Instant;

/// Beams that are measured.
pub const BEAMS: [usize; 2] = [1, 4];

/// What to measure.
pub struct Plan<'a> {
    pub task: &'static str,
    pub model: Option<&'a str>,
    pub batches: &'a [usize],
    pub beams: &'a [usize],
    /// Source tokens, and tokens written.
    pub tokens: usize,
    /// Measured time per cell.
    pub seconds: f64,
}

/// One cell of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub beams: usize,
    pub batch: usize,
    /// Tokens written of all sources, of the median run.
    pub tokens_per_second: f64,
    /// Of a whole run: sources read, tokens written.
    pub run_ms: Percentiles,
    /// Of it, reading the sources.
    pub encode_ms: f64,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct RewritingBench {
    pub task: &'static str,
    pub model: String,
    pub device: String,
    pub precision: &'static str,
    pub threads: usize,
    pub weight_bytes: usize,
    pub tokens: usize,
    pub cells: Vec<Cell>,
}

/// Measures every cell.
///
/// # Errors
/// A model that cannot be opened, or an error of the device.
pub fn run(
    library: &Library,
    runtime: &Runtime,
    plan: &Plan<'_>,
    mut progress: impl FnMut(usize, usize),
) -> Result<RewritingBench, UserMessage> {
    let entry = library.resolve(plan.model, plan.task)?;
    let rewriter = Rewriter::open(&entry, Need::Translator, runtime, &mut |_| false)?;
    let model = &rewriter.network;
    let tokens = plan.tokens.min(model.config().positions - 1);
    let mut cells = Vec::new();
    for &beams in plan.beams {
        for &batch in plan.batches {
            cells.push(cell(model, [beams, batch, tokens], plan.seconds).map_err(TaskError::Nn)?);
            progress(cells.len(), plan.beams.len() * plan.batches.len());
        }
    }
    Ok(RewritingBench {
        task: plan.task,
        model: entry.id.clone(),
        device: runtime.report.name.clone(),
        precision: rewriter.precision().unwrap_or(runtime.precision()),
        threads: runtime.report.threads,
        weight_bytes: model.bytes(),
        tokens,
        cells,
    })
}

fn cell(model: &Model, [beams, batch, tokens]: [usize; 3], seconds: f64) -> Result<Cell, crate::nn::NnError> {
    let vocab = model.config().source_vocab;
    let source = |b: usize| -> Vec<u32> {
        let id = |t: usize| ((1_000 + b * 7_919 + t * 104_729) % (vocab - 10)) as u32 + 5;
        (0..tokens - 1).map(|t| id(t).min(vocab as u32 - 1)).chain([model.config().eos]).collect()
    };
    let ids: Vec<Vec<u32>> = (0..batch).map(source).collect();
    let sources: Vec<&[u32]> = ids.iter().map(|i| &i[..]).collect();
    let options = SearchOptions { beams, min_tokens: tokens, max_tokens: tokens, ..SearchOptions::default() };
    let once = || -> Result<(f64, f64), crate::nn::NnError> {
        let start = Instant::now();
        let mut jobs = model.begin(&sources, &options)?;
        let read = start.elapsed().as_secs_f64() * 1e3;
        while jobs.iter().any(|j| !j.search().is_over()) {
            model.advance(&mut jobs.iter_mut().collect::<Vec<_>>())?;
        }
        Ok((start.elapsed().as_secs_f64() * 1e3, read))
    };
    once()?;
    let begun = Instant::now();
    let (mut times, mut reads) = (Vec::new(), Vec::new());
    while times.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        let (run, read) = once()?;
        times.push(run);
        reads.push(read);
    }
    let run_ms = percentiles(&times).unwrap_or_default();
    let encode_ms = percentiles(&reads).unwrap_or_default().p50;
    let tokens_per_second = (batch * tokens) as f64 / run_ms.p50 * 1e3;
    Ok(Cell { beams, batch, tokens_per_second, run_ms, encode_ms })
}
