//! What a model takes in memory, measured beside what was forecast.

use crate::error::UserMessage;
use crate::models::kind;
use crate::models::library::ModelEntry;
use crate::nn::beam::SearchOptions;
use crate::nn::bert::{HeadKind, Sequence};
use crate::nn::decoder::{CHUNK, Want};
use crate::nn::forecast::Forecast;
use crate::nn::runtime::{Runtime, process_memory};
use crate::tasks::reading::encoder::EncoderModel;
use crate::tasks::rewriting::passages::Rewriter;
use crate::tasks::writing::language::LanguageModel;
use crate::tasks::{DEFAULT_CONTEXT, Need, TaskError, forecast};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes, each above what the process held before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    pub forecast: Forecast,
    /// After the model was read.
    pub loaded: usize,
    /// The most at any time while it was read and did the largest work that the forecast is for.
    pub peak: usize,
    /// Forecast over measured, of the whole.
    pub ratio: f64,
}

/// Looks at the process' memory every millisecond.
struct Watcher {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watcher {
    fn start() -> std::io::Result<Self> {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, most) = (Arc::clone(&stop), Arc::clone(&peak));
        let look = move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(process_memory().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let thread = std::thread::Builder::new().name("glossa-footprint".into()).spawn(look)?;
        Ok(Self { stop, peak, thread: Some(thread) })
    }

    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.peak.load(Ordering::Relaxed).max(process_memory().unwrap_or(0))
    }
}

/// Reads `entry` on a CPU runtime, has it do the largest work that its forecast is for, and measures.
///
/// # Errors
/// What is wrong with the files, or a system that does not tell what memory a process holds.
pub fn measure(entry: &ModelEntry, runtime: &Runtime) -> Result<Footprint, UserMessage> {
    let forecast = forecast::of(entry, runtime)?;
    let cannot = |why: String| UserMessage::new("Memory cannot be measured", why, "Leave --measure out.");
    let before = process_memory().ok_or_else(|| cannot("this system does not tell".into()))?;
    let watcher = Watcher::start().map_err(|e| cannot(e.to_string()))?;
    let loaded = work(entry, runtime)?.saturating_sub(before);
    let peak = watcher.end().saturating_sub(before);
    Ok(Footprint { forecast, loaded, peak, ratio: forecast.total() as f64 / peak.max(1) as f64 })
}

/// Loads and works; the process' memory once the model was read.
fn work(entry: &ModelEntry, runtime: &Runtime) -> Result<usize, TaskError> {
    let task = match entry.gguf() {
        Some(_) => "chat",
        None => kind::recognize(&entry.read_config()?).map_or("", |f| f.task),
    };
    let held = || process_memory().unwrap_or(0);
    let id = |i: usize, vocabulary: usize| ((1_000 + i * 7_919) % vocabulary) as u32;
    match task {
        "chat" => {
            let model = LanguageModel::load(entry, runtime, &mut |_| false)?;
            let loaded = held();
            let (decoder, config) = (model.decoder(), model.decoder().config());
            let ids: Vec<u32> = (0..config.context).map(|i| id(i, config.vocab)).collect();
            let mut cache = decoder.cache();
            for chunk in ids.chunks(CHUNK) {
                decoder.forward(&mut cache, chunk, Want::Last)?;
            }
            Ok(loaded)
        }
        "abstractive" | "translate" => {
            let model = Rewriter::open(entry, Need::Translator, runtime, &mut |_| false)?.network;
            let loaded = held();
            let tokens = runtime.context.unwrap_or(DEFAULT_CONTEXT).min(512).min(model.config().positions) - 1;
            let (vocab, eos) = (model.config().source_vocab, model.config().eos);
            let source: Vec<u32> = (0..tokens).map(|i| id(i, vocab)).chain([eos]).collect();
            let options =
                SearchOptions { beams: 4, min_tokens: tokens, max_tokens: tokens, ..SearchOptions::default() };
            let mut jobs = model.begin(&[&source], &options)?;
            while jobs.iter().any(|j| !j.search().is_over()) {
                model.advance(&mut jobs.iter_mut().collect::<Vec<_>>())?;
            }
            Ok(loaded)
        }
        _ => {
            let head = match task {
                "entities" => HeadKind::Tokens,
                "qa" => HeadKind::Spans,
                "embed" => HeadKind::Mean,
                _ => HeadKind::Classify,
            };
            let reader = EncoderModel::open(entry, head, runtime, &mut |_| false)?;
            let loaded = held();
            let model = &reader.network;
            let (tokens, vocab) = (model.config().positions.min(512), model.config().vocab);
            let ids: Vec<u32> = (0..tokens).map(|i| id(i, vocab)).collect();
            // Once by the team, then many, a thread each.
            model.outputs(&vec![Sequence::new(&ids); (1024 / tokens).max(1)])?;
            model.outputs(&vec![Sequence::new(&ids[..tokens.min(64)]); 16])?;
            Ok(loaded)
        }
    }
}
