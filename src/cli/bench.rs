//! `glossa bench TASK`: speed at fixed lengths and batch sizes.

use super::{Common, follow, print_noted, print_result, progress_bar, task_id};
use crate::error::UserMessage;
use crate::labs::batching::Batching;
use crate::labs::bench::{BATCHES, Bench, LENGTHS, Plan};
use crate::labs::crowd;
use crate::labs::language_bench::{self, LanguageBench};
use crate::labs::measure::Query;
use crate::labs::rewriting_bench::{self, RewritingBench};
use crate::nn::runtime::Runtime;
use crate::tasks::Options;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Not a task, but many who ask.
const CROWD: &str = "crowd";

#[derive(Args)]
pub(super) struct BenchArgs {
    /// Task, such as sentiment; or crowd: many clients of a language model at once
    #[arg(value_parser = bench_id)]
    task: &'static str,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// Clients at once, comma-separated (crowd)
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    clients: Vec<usize>,
    /// Tokens of a prompt (crowd)
    #[arg(long, default_value_t = 128)]
    prompt_tokens: usize,
    /// Tokens of an answer (crowd)
    #[arg(long, default_value_t = 128)]
    answer_tokens: usize,
    /// Answers that are compared, alone and among thirty (crowd)
    #[arg(long, default_value_t = 0)]
    answers: usize,
    /// Throughput alone, without newcomers and neighbours (crowd)
    #[arg(long)]
    only_load: bool,
    /// Tokens per sequence, comma-separated
    #[arg(long, value_delimiter = ',', default_values_t = LENGTHS)]
    lengths: Vec<usize>,
    /// Sequences per forward pass, comma-separated
    #[arg(long, value_delimiter = ',', default_values_t = BATCHES)]
    batches: Vec<usize>,
    /// Beams, comma-separated (translate, summarize)
    #[arg(long, value_delimiter = ',', default_values_t = rewriting_bench::BEAMS)]
    beams: Vec<usize>,
    /// Tokens read and written per source (translate, summarize)
    #[arg(long, default_value_t = 32)]
    tokens: usize,
    /// Instead: the lines of this file one request after the other, and all in one
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Measured seconds per cell
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn bench_id(name: &str) -> Result<&'static str, String> {
    if name == CROWD { Ok(CROWD) } else { task_id(name).map_err(|known| format!("{known}; or {CROWD}")) }
}

pub(super) fn run(args: &BenchArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let usable = |v: &[usize]| !v.is_empty() && v.iter().all(|n| (1..=65_536).contains(n));
    if !usable(&args.lengths)
        || !usable(&args.batches)
        || !usable(&args.beams)
        || !usable(&[args.tokens, args.prompt_tokens, args.answer_tokens])
        || !usable(&args.clients)
        || !(0.0..=3600.0).contains(&args.seconds)
    {
        return Err(UserMessage::new(
            "Nothing was measured",
            "lengths and batches must be 1 to 65536, seconds 0 to 3600",
            "Correct the numbers.",
        ));
    }
    if args.task == CROWD {
        let most = crate::engine::CAPACITY - 8;
        if args.seconds < 0.5 || args.clients.iter().any(|n| *n > most) {
            let why = format!("a crowd takes half a second or more (--seconds), and 1 to {most} clients (--clients)");
            return Err(UserMessage::new("Nothing was measured", why, "Correct the numbers."));
        }
        let plan = crowd::Plan {
            model: args.model.as_deref(),
            clients: &args.clients,
            prompt: args.prompt_tokens,
            answer: args.answer_tokens,
            seconds: args.seconds,
            equal: args.answers,
            guests: !args.only_load,
        };
        return super::crowd::run(&plan, args.json, common);
    }
    if let Some(data) = &args.texts {
        return batching(args, data, common);
    }
    let runtime = common.runtime()?;
    if matches!(args.task, "translate" | "summarize" | "abstractive") {
        return rewriting(args, common, &runtime);
    }
    if crate::tasks::writes(args.task) {
        return language(args, common, &runtime);
    }
    let bar = progress_bar((args.lengths.len() * args.batches.len()) as u64);
    let plan = Plan {
        task: args.task,
        model: args.model.as_deref(),
        lengths: &args.lengths,
        batches: &args.batches,
        seconds: args.seconds,
    };
    let bench = crate::labs::bench::run(&common.library()?, &runtime, &plan, |done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    print_noted(common, args.json, &bench?, table)?;
    Ok(ExitCode::SUCCESS)
}

fn batching(args: &BenchArgs, data: &Path, common: &Common) -> Result<ExitCode, UserMessage> {
    let engine = common.engine()?;
    let options = Options::default();
    let query = Query { task: args.task, model: args.model.as_deref(), options: &options };
    let bar = progress_bar(0);
    let result = crate::labs::batching::run(&engine, query, data, follow(&bar));
    bar.finish_and_clear();
    print_result(args.json, &result?, batching_table)?;
    Ok(ExitCode::SUCCESS)
}

fn batching_table(b: &Batching) -> String {
    let lines = [
        format!("{} · {}, {} · {} texts of {:.1} tokens", b.model, b.device, b.precision, b.texts, b.mean_tokens),
        format!("one by one  {:>8.1} texts/s", b.one_by_one_per_second),
        format!("batched     {:>8.1} texts/s   (up to {} in one step)", b.batched_per_second, b.largest_batch),
        format!("gain        {:>8.2} ×", b.gain),
    ];
    lines.join("\n")
}

fn rewriting(args: &BenchArgs, common: &Common, runtime: &Runtime) -> Result<ExitCode, UserMessage> {
    let library = &common.library()?;
    let bar = progress_bar(0);
    let plan = rewriting_bench::Plan {
        task: if args.task == "translate" { "translate" } else { "abstractive" },
        model: args.model.as_deref(),
        batches: &args.batches,
        beams: &args.beams,
        tokens: args.tokens,
        seconds: args.seconds,
    };
    let result = rewriting_bench::run(library, runtime, &plan, follow(&bar));
    bar.finish_and_clear();
    print_noted(common, args.json, &result?, rewriting_table)?;
    Ok(ExitCode::SUCCESS)
}

fn rewriting_table(b: &RewritingBench) -> String {
    let mut lines = vec![
        format!(
            "{} · {} · weights in {}, {} MB · {} tokens read and written per source",
            b.model,
            b.device,
            b.precision,
            b.weight_bytes / 1_000_000,
            b.tokens
        ),
        format!(
            "{:>6} {:>6} {:>12} {:>10} {:>10} {:>6} {:>12}",
            "beams", "batch", "tokens/s", "p50 ms", "p95 ms", "n", "encoder ms"
        ),
    ];
    for c in &b.cells {
        let r = &c.run_ms;
        lines.push(format!(
            "{:>6} {:>6} {:>12.1} {:>10.1} {:>10.1} {:>6} {:>12.1}",
            c.beams, c.batch, c.tokens_per_second, r.p50, r.p95, r.n, c.encode_ms
        ));
    }
    lines.join("\n")
}

fn language(args: &BenchArgs, common: &Common, runtime: &Runtime) -> Result<ExitCode, UserMessage> {
    let library = &common.library()?;
    let bar = progress_bar(4);
    let model = args.model.as_deref();
    let result = language_bench::run(library, runtime, model, args.seconds, |done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    print_noted(common, args.json, &result?, language_table)?;
    Ok(ExitCode::SUCCESS)
}

fn language_table(b: &LanguageBench) -> String {
    let row = |name: &str, r: &language_bench::Rate| {
        let n = r.run_ms.n;
        format!(
            "{name:<9} {:>5} tokens {:>9.1} tokens/s   (median of {n} runs, p95 {:.1} ms)",
            r.tokens, r.tokens_per_second, r.run_ms.p95
        )
    };
    let mb = b.weight_bytes / 1_000_000;
    let mut lines = vec![format!("{} · {} · weights in {}, {mb} MB", b.model, b.device, b.precision)];
    lines.extend(b.prefill.iter().map(|r| row("prefill", r)));
    lines.push(row("decode", &b.decode));
    lines.push(format!("first token after {:.1} ms (p95 {:.1}), prompt of 128 tokens", b.ttft_ms.p50, b.ttft_ms.p95));
    if let Some(bytes) = b.peak_memory_bytes {
        lines.push(format!("peak memory {} MB", bytes / 1_000_000));
    }
    lines.join("\n")
}

fn table(b: &Bench) -> String {
    let mut lines = vec![
        format!(
            "{} · {} · weights in {} · network alone, warm ({} passes before the clock)",
            b.model, b.device, b.precision, b.warm_up
        ),
        format!(
            "{:>6} {:>7} {:>10} {:>10} {:>10} {:>6} {:>12}",
            "batch", "tokens", "p50 ms", "p95 ms", "p99 ms", "n", "sequences/s"
        ),
    ];
    for c in &b.cells {
        let l = &c.latency_ms;
        lines.push(format!(
            "{:>6} {:>7} {:>10.2} {:>10.2} {:>10.2} {:>6} {:>12.1}",
            c.batch, c.tokens, l.p50, l.p95, l.p99, l.n, c.sequences_per_second
        ));
    }
    lines.join("\n")
}
