//! What batching brings: the same texts one request after the other, and all in one.

use super::lines;
use super::measure::Query;
use crate::engine::Engine;
use crate::engine::message::Priority;
use crate::error::UserMessage;
use crate::tasks::Input;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// Texts per second, both ways.
#[derive(Clone, Debug, Serialize)]
pub struct Batching {
    pub task: &'static str,
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
    pub data: String,
    pub texts: usize,
    /// Mean tokens of a text, special tokens included.
    pub mean_tokens: f64,
    pub one_by_one_per_second: f64,
    pub batched_per_second: f64,
    /// Most texts that shared a forward step.
    pub largest_batch: usize,
    /// Batched over one by one.
    pub gain: f64,
}

/// Runs the lines of `data` (of a TSV the last column) both ways, twice, and keeps the better run
/// of each.
///
/// # Errors
/// A file that cannot be read, or the message with which a request failed.
pub fn run(
    engine: &Engine,
    query: Query<'_>,
    data: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<Batching, UserMessage> {
    let lines = lines::read(data)?;
    let texts: Vec<Input> = lines.iter().map(|l| Input::Text(l.rsplit('\t').next().unwrap_or(l).to_owned())).collect();
    query.ask(engine, texts[0].clone())?;
    let rate = |begun: Instant| texts.len() as f64 / begun.elapsed().as_secs_f64();
    let (mut alone, mut together, mut last) = (0f64, 0f64, None);
    for round in 0..2 {
        let begun = Instant::now();
        for (i, text) in texts.iter().enumerate() {
            // A line that cannot be analysed takes its time in both ways.
            let _ = query.ask(engine, text.clone());
            progress(round * texts.len() + i + 1, 2 * texts.len());
        }
        alone = alone.max(rate(begun));
        let begun = Instant::now();
        let (_, report) = query.ask_all(engine, texts.clone(), Priority::Batch, |_, _| {})?;
        together = together.max(rate(begun));
        last = Some(report);
    }
    let report = last.ok_or_else(|| UserMessage::new("Nothing was measured", "no run", ""))?;
    Ok(Batching {
        task: query.task,
        model: report.model,
        device: report.device,
        precision: report.precision,
        data: data.display().to_string(),
        texts: texts.len(),
        mean_tokens: report.tokens as f64 / texts.len() as f64,
        one_by_one_per_second: alone,
        batched_per_second: together,
        largest_batch: report.batch,
        gain: together / alone,
    })
}
