//! How well a language model predicts a text.

use super::doubts::Doubts;
use super::lines;
use crate::error::UserMessage;
use crate::models::library::Library;
use crate::nn::decoder::{CHUNK, Want};
use crate::nn::runtime::Runtime;
use crate::tasks::writing::language::LanguageModel;
use crate::tasks::{Model as _, TaskError};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::path::Path;
use std::time::Instant;

/// Tokens per window unless asked otherwise.
pub const WINDOW: usize = 512;
/// Scored tokens below which a perplexity says little.
const FEW: usize = 100;

/// What a measurement found.
#[derive(Clone, Debug, Serialize)]
pub struct Perplexity {
    pub model: String,
    pub device: String,
    pub precision: &'static str,
    pub data: String,
    pub window: usize,
    /// `exp` of the mean negative log likelihood per scored token.
    pub perplexity: f64,
    /// Nats per scored token.
    pub nll: f64,
    /// 95 % interval of the perplexity, from the spread over tokens (normal approximation; tokens
    /// of a text depend on one another, so the true interval is somewhat wider).
    pub perplexity_ci95: [f64; 2],
    /// Tokens scored: all but the first of each window.
    pub scored: usize,
    pub tokens: usize,
    pub tokens_per_second: f64,
    pub warnings: Doubts,
}

/// Scores the text of a file in windows without overlap.
///
/// # Errors
/// A file or a model that cannot be read, or a text of fewer than two tokens.
pub fn perplexity(
    library: &Library,
    runtime: &Runtime,
    model: Option<&str>,
    data: &Path,
    window: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Perplexity, UserMessage> {
    let text = lines::text(data)?;
    let entry = library.resolve(model, "chat")?;
    let model = LanguageModel::load(&entry, runtime, &mut |_| false)?;
    let ids = model.codec().encode(&text, false).map_err(TaskError::Prompt)?;
    let context = model.decoder().config().context;
    if ids.len() < 2 || window < 2 || window > context {
        let why = format!("{} tokens in windows of {window} (the context is {context})", ids.len());
        return Err(UserMessage::new(
            "Nothing was measured",
            why,
            "Give a longer text, and a window of 2 to the context.",
        ));
    }
    let begun = Instant::now();
    let mut surprise: Vec<f64> = Vec::with_capacity(ids.len());
    let mut read = 0;
    for part in ids.chunks(window) {
        let mut cache = model.decoder().cache();
        for (at, chunk) in part.chunks(CHUNK).enumerate() {
            let logits = model.decoder().forward(&mut cache, chunk, Want::All).map_err(TaskError::Nn)?;
            let next = &part[at * CHUNK + 1..];
            let vocab = model.decoder().config().vocab;
            for (row, id) in logits.chunks_exact(vocab).zip(next) {
                surprise.push(negative_log_likelihood(row, *id).ok_or(TaskError::NotANumber)?);
            }
            read += chunk.len();
            progress(read, ids.len());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let n = surprise.len() as f64;
    let nll = surprise.iter().sum::<f64>() / n;
    let variance = surprise.iter().map(|s| (s - nll) * (s - nll)).sum::<f64>() / (n - 1.0).max(1.0);
    let margin = 1.96 * (variance / n).sqrt();
    Ok(Perplexity {
        model: entry.id.clone(),
        device: runtime.report.name.clone(),
        precision: model.precision().unwrap_or(runtime.precision()),
        data: data.display().to_string(),
        window,
        perplexity: nll.exp(),
        nll,
        perplexity_ci95: [(nll - margin).exp(), (nll + margin).exp()],
        scored: surprise.len(),
        tokens: ids.len(),
        tokens_per_second: ids.len() as f64 / seconds,
        warnings: doubts(&text, surprise.len()),
    })
}

/// What a text, of which `scored` tokens were scored, says against a perplexity of it.
fn doubts(text: &str, scored: usize) -> Doubts {
    let mut out = Doubts::default();
    if scored < FEW {
        out.doubt(format!("{scored} tokens say little of a model: give a text of {FEW} or more"));
    }
    let lines = || text.lines().filter(|l| !l.trim().is_empty());
    let count = lines().count();
    let is_row = |l: &&str| l.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(l).is_ok();
    if serde_json::from_str::<IgnoredAny>(text).is_ok() || lines().take(100).filter(is_row).count() * 2 > count.min(100)
    {
        out.doubt("the file is JSON, whose quotes and names were scored with the text: write the text alone");
    } else if count > 1 && lines().filter(|l| l.contains('\t')).count() * 10 >= count * 9 {
        out.doubt("the lines have columns, and all were scored: write the text alone");
    }
    if text.contains("<unk>") || text.contains(" @-@ ") {
        out.note(
            "the text was cut into words for other models (<unk>, @-@): compare only with numbers on the same file",
        );
    }
    out
}

/// `log(sum(exp(logits))) - logits[id]`; `None` if it is no number.
pub fn negative_log_likelihood(logits: &[f32], id: u32) -> Option<f64> {
    let top = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - top).exp()).sum();
    let nll = top + sum.ln() - f64::from(*logits.get(id as usize)?);
    nll.is_finite().then_some(nll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_prose_and_short_ones_are_told_of() {
        assert_eq!(doubts("The train leaves.\nIt is late.\n", 500), Doubts::default());
        for (text, scored, said) in [
            ("The train leaves.", 4, "4 tokens"),
            ("{\"text\": \"The train\"}\n{\"text\": \"leaves.\"}\n", 500, "JSON"),
            ("[{\"text\":\n \"The train\"}]\n", 500, "JSON"),
            ("1\tThe train leaves.\n0\tIt is late.\n", 500, "columns"),
        ] {
            let doubts = doubts(text, scored);
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{text}: {doubts:?}");
        }
        assert!(!doubts("The <unk> leaves.", 500).forbid_keeping());
    }

    #[test]
    fn even_logits_cost_the_log_of_the_vocabulary() {
        let nll = negative_log_likelihood(&[3.0; 8], 5).expect("number");
        assert!((nll - 8f64.ln()).abs() < 1e-12);
        assert!(negative_log_likelihood(&[1.0, f32::NAN], 0).is_none());
    }
}
