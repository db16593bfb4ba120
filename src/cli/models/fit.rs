//! `fit` and `quantize`.

use super::{Common, ExitCode, Library, SHOWN, find, mb, print_json, progress_bar, write_line, write_row};
use crate::error::UserMessage;
use crate::labs::footprint;
use crate::models::ModelError;
use crate::models::blocks::{folder, place, prepare};
use crate::models::catalogue;
use crate::models::gguf::Gguf;
use crate::models::library::ModelEntry;
use crate::models::quantized;
use crate::models::weights::Weights;
use crate::nn::forecast::Forecast;
use crate::nn::precision::Precision;
use crate::tasks::DEFAULT_CONTEXT;
use crate::tasks::forecast;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// A forecast with its precision.
#[derive(Serialize)]
struct Row {
    precision: &'static str,
    #[serde(flatten)]
    forecast: Forecast,
    total: usize,
    fits: bool,
}

fn row(precision: Precision, forecast: Forecast) -> Row {
    let name = if precision == Precision::Own { "own" } else { precision.name() };
    Row { precision: name, forecast, total: forecast.total(), fits: !forecast.is_too_much() }
}

pub(super) fn fit(
    library: &Library,
    common: &Common,
    (id, measure): (&str, bool),
    json: bool,
) -> Result<ExitCode, UserMessage> {
    let context = common.context().unwrap_or(DEFAULT_CONTEXT);
    let asked: Vec<Precision> = match common.precision {
        Some(precision) => vec![precision],
        None => std::iter::once(Precision::Own).chain(SHOWN).collect(),
    };
    let found = find(library, id);
    let rows: Vec<Row> = match (&found, catalogue::find(id)) {
        (Ok(entry), _) => {
            let runtime = common.runtime()?;
            if measure {
                return measured(entry, common, json);
            }
            let forecasts = forecast::each(entry, &runtime, &asked)?;
            asked.into_iter().zip(forecasts).map(|(p, f)| row(p, f)).collect()
        }
        (Err(_), Some(k)) => {
            let (file, place) = ((k.bytes, k.is_quantized()), common.runtime()?.place());
            asked.into_iter().map(|p| row(p, k.shape.forecast(file, p, context, place))).collect()
        }
        (Err(error), None) => return Err(error.clone()),
    };
    if json {
        print_json(&json!({ "id": id, "context": context, "here": found.is_ok(), "forecasts": rows }))?;
    } else {
        write_line(&table(id, context, &rows))?;
    }
    Ok(if rows.iter().any(|r| r.fits) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn table(id: &str, context: usize, rows: &[Row]) -> String {
    let free = rows.first().and_then(|r| r.forecast.available);
    let words = free.map_or_else(|| "unknown".to_owned(), |f| mb(f as u64));
    let mut lines = vec![
        format!("{id} · context {context} · free now {words}"),
        format!("{:<9} {:>10} {:>10} {:>10} {:>10}", "precision", "weights", "KV cache", "work", "together"),
    ];
    for r in rows {
        let f = &r.forecast;
        let left = f.available.map(|a| a as i64 - r.total as i64);
        let verdict = match left {
            Some(left) if left >= 0 => format!("fits, {} left", mb(left as u64)),
            Some(left) => format!("does not fit, {} too much", mb(left.unsigned_abs())),
            None => String::new(),
        };
        let [w, c, k, t] = [f.weights, f.cache, f.work, r.total].map(|b| mb(b as u64));
        lines.push(format!("{:<9} {w:>10} {c:>10} {k:>10} {t:>10}   {verdict}", r.precision));
    }
    lines.iter().map(|l| crate::error::plain(l)).collect::<Vec<_>>().join("\n")
}

fn measured(entry: &ModelEntry, common: &Common, json: bool) -> Result<ExitCode, UserMessage> {
    let mut runtime = common.runtime()?;
    runtime.context = Some(common.context().unwrap_or(DEFAULT_CONTEXT));
    let print = footprint::measure(entry, &runtime)?;
    if json {
        print_json(&json!({ "id": entry.id, "precision": runtime.kept(), "footprint": print }))?;
    } else {
        let f = &print.forecast;
        write_row(&format!(
            "{}: forecast {} (weights {}, KV cache {}, work {}), measured {} ({} after loading): {:.2} ×",
            entry.id,
            mb(f.total() as u64),
            mb(f.weights as u64),
            mb(f.cache as u64),
            mb(f.work as u64),
            mb(print.peak as u64),
            mb(print.loaded as u64),
            print.ratio
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn quantize(
    library: &Library,
    common: &Common,
    (id, out): (&str, Option<&Path>),
    json: bool,
) -> Result<ExitCode, UserMessage> {
    let nothing = |why: String, next: &str| UserMessage::new("Nothing was quantized", why, next);
    let Some(precision) = common.precision.filter(|p| p.blocks().is_some()) else {
        let next = "Give --precision q8_0, q5_0, q4_0 or q4_k_m. (f16 and int8 are made while loading.)";
        return Err(nothing("it was not said into what".into(), next));
    };
    let entry = find(library, id)?;
    let bar = progress_bar(100);
    let mut progress = |share: f32| {
        bar.set_position((share * 100.0) as u64);
        false
    };
    let path = match out {
        Some(folder) => quantized::write(&entry, precision, folder, &mut progress)?,
        None => keep(&entry, precision, &mut progress)?,
    };
    bar.finish_and_clear();
    let size = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
    let after = if path.is_dir() { size(&path.join("model.safetensors")) } else { size(&path) };
    let before = entry.weight_bytes();
    if json {
        let row = json!({ "id": entry.id, "precision": precision, "path": path.display().to_string(), "bytes_before": before, "bytes_after": after });
        print_json(&row)?;
    } else {
        let kept = if out.is_some() { "" } else { " (the matrices; the rest is read from the model)" };
        write_row(&format!(
            "{} in {}: {} instead of {}{kept}, {}",
            entry.id,
            precision.name(),
            mb(after),
            mb(before),
            path.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the blocks that a loading would make.
fn keep(
    entry: &ModelEntry,
    precision: Precision,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<std::path::PathBuf, UserMessage> {
    match entry.gguf() {
        Some(path) => prepare(entry, &Gguf::open(path)?, precision, progress)?,
        None => prepare(entry, &Weights::open(&entry.weights)?, precision, progress)?,
    };
    let kept = folder().map(|f| place(entry, precision, &f, progress)).transpose()?.filter(|p| p.is_file());
    let why = || std::io::Error::other("the blocks are not there");
    let place = folder().unwrap_or_default();
    Ok(kept.ok_or_else(|| ModelError::Write { path: place, why: why() })?)
}
