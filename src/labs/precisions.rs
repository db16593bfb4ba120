//! One model in several precisions: how fast each is here.

use super::bench::{self, Plan};
use super::language_bench::decode;
use super::notes::{self, Notable as _, TOKENS};
use super::rewriting_bench;
use crate::error::UserMessage;
use crate::models::library::{Library, ModelEntry};
use crate::models::measured::{self, Measurement};
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, Runtime};
use crate::tasks::writing::language::LanguageModel;
use crate::tasks::{Model as _, Progress, TaskError, forecast};

/// Tokens that a language model writes per run.
const WRITTEN: usize = 32;
/// Measured time of each precision, seconds.
const SECONDS: f64 = 1.0;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Asked {
    pub model: String,
    pub precisions: Vec<Precision>,
    pub device: DeviceChoice,
    pub threads: Option<usize>,
    pub context: Option<usize>,
}

/// A precision, and its speed or why there is none.
pub type Compared = (Precision, Result<Measurement, UserMessage>);

/// Measures one precision after the other, and keeps the numbers with those of the list of models. `progress`
/// gets how many are done, and says whether to stop: before the next, or while a chat model is read.
///
/// # Errors
/// A model that is not there, or no device.
pub fn compare(
    library: &Library,
    asked: &Asked,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Compared>, UserMessage> {
    let entry = library.resolve(Some(&asked.model), "")?;
    let runtime = Runtime::new(asked.device, asked.threads, None).map_err(TaskError::Nn)?.with_context(asked.context);
    let mut rows = Vec::new();
    for &precision in &asked.precisions {
        if progress(rows.len()) {
            break;
        }
        let done = rows.len();
        let result = speed(library, &entry, &runtime.keeping(precision), &mut |_| progress(done));
        if result.is_err() && progress(done) {
            break;
        }
        if let Ok(measurement) = &result {
            measured::note(library.measurements().as_deref(), vec![measurement.clone()]);
        }
        rows.push((precision, result));
    }
    Ok(rows)
}

/// The number that the list shows: milliseconds for 128 tokens, or tokens per second of writing.
fn speed(
    library: &Library,
    entry: &ModelEntry,
    runtime: &Runtime,
    stop: Progress<'_>,
) -> Result<Measurement, UserMessage> {
    let forecast = forecast::of(entry, runtime)?;
    if forecast.is_too_much() {
        return Err(forecast::too_large(forecast, runtime).into());
    }
    let model = Some(&*entry.id);
    let found = match entry.task() {
        Some("chat") => return language(entry, runtime, stop),
        Some(task @ ("translate" | "abstractive")) => {
            let task = if task == "translate" { "translate" } else { "abstractive" };
            let plan =
                rewriting_bench::Plan { task, model, batches: &[1], beams: &[1], tokens: WRITTEN, seconds: SECONDS };
            rewriting_bench::run(library, runtime, &plan, |_, _| ())?.measurements()
        }
        other => {
            let all = crate::tasks::all();
            let task = all.iter().find(|t| other == Some(t.model_task())).map_or("sentiment", |t| t.id());
            let plan = Plan { task, model, lengths: &[TOKENS], batches: &[1], seconds: SECONDS };
            bench::run(library, runtime, &plan, |_, _| ())?.measurements()
        }
    };
    let none = || UserMessage::new("Nothing was measured", format!("the model reads fewer than {TOKENS} tokens"), "");
    found.into_iter().next().ok_or_else(none)
}

fn language(entry: &ModelEntry, runtime: &Runtime, stop: Progress<'_>) -> Result<Measurement, UserMessage> {
    let model = LanguageModel::load(entry, runtime, stop)?;
    let rate = decode(model.decoder(), WRITTEN, SECONDS)?;
    let precision = model.precision().unwrap_or(runtime.precision());
    let of = (&*entry.id, precision, &*runtime.report.name);
    Ok(notes::speed(of, "tokens/s", rate.tokens_per_second, rate.run_ms.n))
}
