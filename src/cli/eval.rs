//! `glossa eval TASK --data FILE.tsv`: accuracy with its interval, beside latency.

use super::{Common, print_json, progress_bar, task_id, write_line};
use crate::error::UserMessage;
use crate::labs::evaluate::{Evaluation, evaluate};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct EvalArgs {
    /// Task, such as sentiment
    #[arg(value_parser = task_id)]
    task: &'static str,
    /// TSV file, one `label<TAB>text` per line (a label, or its number)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Model id, or a checkpoint folder
    #[arg(long, value_name = "ID|DIR")]
    model: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &EvalArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let engine = common.engine()?;
    let bar = progress_bar(0);
    let result = evaluate(&engine, args.task, args.model.as_deref(), &args.data, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let evaluation = result?;
    if args.json {
        print_json(&evaluation)?
    } else {
        write_line(&table(&evaluation))?
    }
    Ok(ExitCode::SUCCESS)
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
