//! Speed of an encoder at fixed lengths and batch sizes, by the network alone and warm.

use crate::error::UserMessage;
use crate::models::blocks::{Layered, prepare};
use crate::models::library::Library;
use crate::models::weights::Weights;
use crate::nn::bert::config::Config;
use crate::nn::bert::{Encoder, HeadKind, Sequence};
use crate::nn::runtime::Runtime;
use crate::tasks::{Need, TaskError};
use crate::telemetry::stats::{Percentiles, percentiles};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Sequence lengths in tokens.
pub const LENGTHS: [usize; 3] = [16, 128, 512];
/// Sequences per forward pass.
pub const BATCHES: [usize; 3] = [1, 8, 32];

/// One cell of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub batch: usize,
    pub tokens: usize,
    /// Of one forward pass.
    pub latency_ms: Percentiles,
    /// Over the wall time of all measured passes.
    pub sequences_per_second: f64,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    pub task: &'static str,
    pub model: String,
    pub device: String,
    pub precision: &'static str,
    pub threads: usize,
    pub warm_up: usize,
    pub cells: Vec<Cell>,
}

/// What to measure.
pub struct Plan<'a> {
    pub task: &'static str,
    pub model: Option<&'a str>,
    pub lengths: &'a [usize],
    pub batches: &'a [usize],
    /// Measured time per cell.
    pub seconds: f64,
}

/// Passes before the clock starts.
const WARM_UP: usize = 3;

/// Measures every cell of the plan.
///
/// # Errors
/// A model that cannot be opened, or an error of the device.
pub fn run(
    library: &Library,
    runtime: &Runtime,
    plan: &Plan<'_>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Bench, UserMessage> {
    let task = crate::tasks::find(plan.task);
    let kind = task.as_ref().and_then(|t| t.head()).unwrap_or(HeadKind::Classify);
    let entry = library.resolve(plan.model, task.as_ref().map_or(plan.task, |t| t.model_task()))?;
    let here = |source| TaskError::checkpoint(&entry, Need::Encoder(kind), source);
    let config = Config::from_json(&entry.read_config()?).map_err(here)?;
    let weights = Weights::open(&entry.weights)?;
    let blocks = prepare(&entry, &weights, runtime.kept(), &mut |_| false)?;
    let weights = Layered { blocks, below: &weights };
    let network = Encoder::load(config, kind, &weights, runtime.target(), &mut |_| Ok(())).map_err(here)?;
    let mut cells = Vec::new();
    let total = plan.lengths.len() * plan.batches.len();
    for &tokens in plan.lengths.iter().filter(|t| **t <= network.config().positions) {
        for &batch in plan.batches {
            cells.push(cell(&network, batch, tokens, plan.seconds).map_err(TaskError::Nn)?);
            progress(cells.len(), total);
        }
    }
    Ok(Bench {
        task: plan.task,
        model: entry.id.clone(),
        device: runtime.report.name.clone(),
        precision: runtime.precision(),
        threads: runtime.report.threads,
        warm_up: WARM_UP,
        cells,
    })
}

fn cell(network: &Encoder, batch: usize, tokens: usize, seconds: f64) -> Result<Cell, crate::nn::NnError> {
    let vocab = network.config().vocab;
    let ids: Vec<Vec<u32>> =
        (0..batch).map(|b| (0..tokens).map(|t| ((1_000 + b * 7_919 + t * 104_729) % vocab) as u32).collect()).collect();
    let batch_ids: Vec<Sequence<'_>> = ids.iter().map(|i| Sequence::new(i)).collect();
    for _ in 0..WARM_UP {
        network.outputs(&batch_ids)?;
    }
    let (begun, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut times = Vec::new();
    while times.len() < 5 || (begun.elapsed() < limit && times.len() < 2_000) {
        let start = Instant::now();
        network.outputs(&batch_ids)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let wall = begun.elapsed().as_secs_f64();
    Ok(Cell {
        batch,
        tokens,
        latency_ms: percentiles(&times).unwrap_or_default(),
        sequences_per_second: (times.len() * batch) as f64 / wall,
    })
}
