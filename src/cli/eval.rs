//! `glossa eval TASK --data FILE.tsv`: accuracy with its interval, beside latency.

use super::inputs::{Method, TeachingArgs};
use super::search::SearchArgs;
use super::{Common, follow, print_noted, progress_bar, task_id};
use crate::error::UserMessage;
use crate::labs::eval_entities::{self, EntityEvaluation};
use crate::labs::eval_kinds::Agreement;
use crate::labs::eval_questions::{self, QuestionEvaluation};
use crate::labs::eval_rewriting::{self, SummaryEvaluation, TranslationEvaluation};
use crate::labs::evaluate::{Evaluation, Found, evaluate};
use crate::labs::labelled::read_rows;
use crate::labs::measure::{Measured, Query};
use crate::labs::perplexity::{Perplexity, WINDOW, perplexity};
use crate::labs::summaries;
use crate::tasks::{ClassifyOptions, Options};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct EvalArgs {
    /// Task, such as sentiment; or perplexity: how well a language model predicts a text
    #[arg(value_parser = measure)]
    measure: &'static str,
    /// TSV file, one `label<TAB>text` per line (a label, or its number); for entities CoNLL's lines
    /// `word<TAB>tag` (IOB1, IOB2, IOBES, BILOU); for qa SQuAD's JSON, or JSON lines of question, context,
    /// answers; for translate `source<TAB>reference` in the last two columns; for summarize the same, or JSON
    /// lines of sentences, summaries; for perplexity a plain text
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// Labels to choose between, comma-separated (classify; default: those of the data)
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    #[command(flatten)]
    teaching: TeachingArgs,
    #[command(flatten)]
    search: SearchArgs,
    /// How to summarize (summarize)
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Only lines whose first column is this (translate)
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
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
    let model = args.model.as_deref();
    let mut options = Options::from(ClassifyOptions { labels: args.labels.clone(), taught: None });
    if args.measure == "classify" {
        options.classify.taught = args.teaching.head(&engine, model, &[&args.data])?;
        if options.classify.taught.is_none() && options.classify.labels.is_empty() {
            options.classify.labels = read_rows(&args.data)?.into_iter().map(|r| r.label).collect();
        }
    }
    args.search.apply(None, &mut options);
    let task = Method::task(args.measure, args.method);
    if task == "chat" && args.measure == "summarize" {
        options = Options { search: options.search, ..summaries::options(2) };
    }
    let found = if task == "translate" { args.search.model(model, common)? } else { None };
    let query = Query { task, model: found.as_deref().or(model), options: &options };
    let bar = progress_bar(0);
    match args.measure {
        "entities" => {
            let result = eval_entities::evaluate(&engine, query, &args.data, follow(&bar));
            bar.finish_and_clear();
            print_noted(common, args.json, &result?, entity_table)?;
        }
        "translate" => {
            let data = (&*args.data, args.only.as_deref());
            let result = eval_rewriting::translations(&engine, query, data, follow(&bar));
            bar.finish_and_clear();
            print_noted(common, args.json, &result?, translation_table)?;
        }
        "summarize" | "abstractive" => {
            let result = eval_rewriting::summaries(&engine, query, &args.data, follow(&bar));
            bar.finish_and_clear();
            print_noted(common, args.json, &result?, summary_table)?;
        }
        "qa" => {
            let result = eval_questions::evaluate(&engine, query, &args.data, follow(&bar));
            bar.finish_and_clear();
            print_noted(common, args.json, &result?, question_table)?;
        }
        _ => {
            let result = evaluate(&engine, query, &args.data, follow(&bar));
            bar.finish_and_clear();
            match result? {
                Found::Labels(found) => print_noted(common, args.json, &found, table)?,
                Found::Numbers(found) => print_noted(common, args.json, &found, number_table)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn predict(args: &EvalArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let bar = progress_bar(0);
    let (library, runtime) = (common.library()?, common.runtime()?);
    let result = perplexity(&library, &runtime, args.model.as_deref(), &args.data, args.window, follow(&bar));
    bar.finish_and_clear();
    print_noted(common, args.json, &result?, perplexity_table)?;
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

/// The lines that every measurement begins with, and those that it ends with.
fn frame(m: &Measured, scores: Vec<String>) -> String {
    let l = &m.latency_ms;
    let mut lines = vec![
        format!("model       {} ({}, {})", m.model, m.device, m.precision),
        format!("data        {} (n = {})", m.data, m.n),
    ];
    lines.extend(scores);
    lines.extend([
        format!("latency     p50 {:.2} ms   p95 {:.2} ms   p99 {:.2} ms   (one text per request)", l.p50, l.p95, l.p99),
        format!("throughput  {:.1} texts/s", m.texts_per_second),
    ]);
    if m.failed > 0 {
        lines.push(format!("failed      {} (they count as wrong; -v tells why)", m.failed));
    }
    lines.join("\n")
}

fn table(e: &Evaluation) -> String {
    let [low, high] = e.accuracy_ci95.map(|v| v * 100.0);
    let (share, right) = (e.accuracy * 100.0, e.correct);
    let lines = vec![
        format!("accuracy    {share:.2} %   95 % interval {low:.2} to {high:.2}   ({right} right)"),
        format!("macro F1    {:.4}", e.macro_f1),
    ];
    frame(&e.measured, lines)
}

fn number_table(e: &Agreement) -> String {
    let [low, high] = e.pearson_ci95;
    let lines = vec![
        format!("Pearson     {:.4}   95 % interval {low:.4} to {high:.4}", e.pearson),
        format!("Spearman    {:.4}", e.spearman),
        format!("RMSE        {:.4}", e.rmse),
    ];
    frame(&e.measured, lines)
}

fn entity_table(e: &EntityEvaluation) -> String {
    let [low, high] = e.f1_ci95.map(|v| v * 100.0);
    let row = |name: &str, s: &eval_entities::Score| {
        format!(
            "{name:<11} F1 {:.2}   precision {:.2}   recall {:.2}   ({} entities)",
            s.f1 * 100.0,
            s.precision * 100.0,
            s.recall * 100.0,
            s.support
        )
    };
    let mut lines = vec![format!("tags        {}", e.scheme)];
    lines.extend([row("all", &e.overall), format!("            95 % interval of F1 {low:.2} to {high:.2}")]);
    lines.extend(e.by_type.iter().map(|(kind, s)| row(kind, s)));
    frame(&e.measured, lines)
}

fn translation_table(e: &TranslationEvaluation) -> String {
    let row = |name: &str, score: f64, [low, high]: [f64; 2]| {
        format!("{name}        {score:.2}   95 % interval {low:.2} to {high:.2}")
    };
    frame(&e.measured, vec![row("BLEU", e.bleu, e.bleu_ci95), row("chrF", e.chrf, e.chrf_ci95)])
}

fn summary_table(e: &SummaryEvaluation) -> String {
    let [low, high] = e.rouge_l_ci95.map(|v| v * 100.0);
    let r = &e.rouge;
    let lines = vec![
        format!("ROUGE-1     {:.2}", r.rouge1 * 100.0),
        format!("ROUGE-2     {:.2}", r.rouge2 * 100.0),
        format!("ROUGE-L     {:.2}   95 % interval {low:.2} to {high:.2}", r.rouge_l * 100.0),
    ];
    frame(&e.measured, lines)
}

fn question_table(e: &QuestionEvaluation) -> String {
    let [low, high] = e.f1_ci95.map(|v| v * 100.0);
    let mut lines = vec![
        format!("F1          {:.2}   95 % interval {low:.2} to {high:.2}", e.f1 * 100.0),
        format!("exact       {:.2}", e.exact * 100.0),
    ];
    if let Some(none) = e.no_answer_accuracy {
        let has = e.has_answer_f1 * 100.0;
        lines.push(format!(
            "            F1 where there is an answer {has:.2}, right where there is none {:.2} %",
            none * 100.0
        ));
    }
    frame(&e.measured, lines)
}
