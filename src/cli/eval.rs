//! `glossa eval TASK --data FILE.tsv`: accuracy with its interval, beside latency.

use super::{Common, follow, print_result, progress_bar, task_id};
use crate::error::UserMessage;
use crate::labs::evaluate::{Evaluation, evaluate};
use crate::labs::perplexity::{Perplexity, WINDOW, perplexity};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct EvalArgs {
    /// Task, such as sentiment; or perplexity: how well a language model predicts a text
    #[arg(value_parser = measure)]
    measure: &'static str,
    /// TSV file, one `label<TAB>text` per line (a label, or its number); for perplexity a plain text
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// Tokens per window, for perplexity
    #[arg(long, value_name = "N", default_value_t = WINDOW)]
    window: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const PERPLEXITY: &str = "perplexity";

fn measure(name: &str) -> Result<&'static str, String> {
    if name == PERPLEXITY { Ok(PERPLEXITY) } else { task_id(name).map_err(|e| format!("{e}, {PERPLEXITY}")) }
}

pub(super) fn run(args: &EvalArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    if args.measure == PERPLEXITY {
        return predict(args, common);
    }
    let engine = common.engine()?;
    let bar = progress_bar(0);
    let result = evaluate(&engine, args.measure, args.model.as_deref(), &args.data, follow(&bar));
    bar.finish_and_clear();
    print_result(args.json, &result?, table)?;
    Ok(ExitCode::SUCCESS)
}

fn predict(args: &EvalArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let bar = progress_bar(0);
    let (library, runtime) = (common.library()?, common.runtime()?);
    let result = perplexity(&library, &runtime, args.model.as_deref(), &args.data, args.window, follow(&bar));
    bar.finish_and_clear();
    print_result(args.json, &result?, perplexity_table)?;
    Ok(ExitCode::SUCCESS)
}

fn perplexity_table(p: &Perplexity) -> String {
    let [low, high] = p.perplexity_ci95;
    let lines = [
        format!("model       {} ({})", p.model, p.device),
        format!("data        {} ({} tokens, windows of {})", p.data, p.tokens, p.window),
        format!("perplexity  {:.4}   95 % interval {low:.3} to {high:.3}   ({} tokens scored)", p.perplexity, p.scored),
        format!("throughput  {:.1} tokens/s", p.tokens_per_second),
    ];
    lines.join("\n")
}

fn table(e: &Evaluation) -> String {
    let [low, high] = e.accuracy_ci95.map(|v| v * 100.0);
    let l = &e.latency_ms;
    let mut lines = vec![
        format!("model       {} ({}, {})", e.model, e.device, e.precision),
        format!("data        {} (n = {})", e.data, e.n),
        format!(
            "accuracy    {:.2} %   95 % interval {low:.2} to {high:.2}   ({} right)",
            e.accuracy * 100.0,
            e.correct
        ),
        format!("macro F1    {:.4}", e.macro_f1),
        format!("latency     p50 {:.2} ms   p95 {:.2} ms   p99 {:.2} ms   (one text per request)", l.p50, l.p95, l.p99),
        format!("throughput  {:.1} texts/s", e.texts_per_second),
    ];
    if e.failed > 0 {
        lines.push(format!("failed      {} (they count as wrong; -v tells why)", e.failed));
    }
    lines.join("\n")
}
