//! `glossa run TASK TEXT …`: answers texts from arguments, files or standard input.

use super::inputs::AnalysisArgs;
use super::search::SearchArgs;
use super::writing::WritingArgs;
use super::{Common, progress_bar, say, task_id, write_line, write_part};
use crate::engine::message::{Event, EventSink, Events, Priority, RequestId};
use crate::engine::record::Record;
use crate::engine::{Engine, SubmitError};
use crate::error::UserMessage;
use crate::labs::measure::Query;
use crate::labs::{extract, summaries};
use crate::tasks::text::patterns::Patterns;
use crate::tasks::{Alternative, Input, Output};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Requests in flight at a time: enough for full batches, fewer than the queue holds.
const IN_FLIGHT: usize = 64;

#[derive(Args)]
pub(super) struct RunArgs {
    /// Task, such as sentiment; or extract: entities, dates, amounts and fields of one's own
    #[arg(value_parser = task)]
    pub(super) task: &'static str,
    /// Texts to answer (qa: questions, if a text is given by --context or --file)
    #[arg(required_unless_present_any = ["input", "file", "context"])]
    texts: Vec<String>,
    /// File with one text per line, JSON lines (.jsonl), or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    analysis: AnalysisArgs,
    #[command(flatten)]
    writing: WritingArgs,
    #[command(flatten)]
    search: SearchArgs,
}

/// Not a task of the engine but several.
const EXTRACT: &str = "extract";

fn task(name: &str) -> Result<&'static str, String> {
    if name == EXTRACT { Ok(EXTRACT) } else { task_id(name).map_err(|e| format!("{e}, {EXTRACT}")) }
}

pub(super) fn run(args: &RunArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let mut inputs = args.analysis.inputs(args.task, &args.texts, args.input.as_deref(), common.context.as_deref())?;
    let engine = common.engine()?;
    if args.task == EXTRACT {
        return extract_all(args, &engine, &inputs);
    }
    let task = args.analysis.task(args.task);
    if task == "chat" && args.task == "summarize" {
        return summarize_all(args, &engine, &inputs);
    }
    for input in &mut inputs {
        if let Input::Text(text) = input {
            *input = args.writing.input(task, text);
        }
    }
    let mut options = args.writing.options();
    args.analysis.apply(&engine, args.model.as_deref(), args.input.as_deref(), &mut options)?;
    args.search.apply(Some(&args.writing), &mut options);
    options.translate.structure = args.analysis.structure();
    options.translate.align = args.json;
    let model =
        if task == "translate" { args.search.model(args.model.as_deref(), common)? } else { args.model.clone() };
    let query = Query { task, model: model.as_deref(), options: &options };
    let texts = inputs;
    let bar = if texts.len() > 1 { progress_bar(texts.len() as u64) } else { indicatif::ProgressBar::hidden() };
    let (sink, events) = EventSink::channel(None);
    let mut open = Open {
        args,
        texts: &texts,
        by_id: BTreeMap::new(),
        outputs: BTreeMap::new(),
        waiting: BTreeMap::new(),
        next: 0,
        failures: 0,
    };
    let mut sent = 0;
    while sent < texts.len() || !open.by_id.is_empty() {
        while sent < texts.len() && open.by_id.len() < IN_FLIGHT {
            match submit(&engine, &query, &texts[sent], &sink) {
                Ok(id) => {
                    open.by_id.insert(id, sent);
                    sent += 1;
                }
                Err(SubmitError::Busy { .. }) if !open.by_id.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        open.take(&events)?;
        bar.set_position(open.next as u64);
    }
    bar.finish_and_clear();
    Ok(if open.failures > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn submit(engine: &Engine, query: &Query<'_>, input: &Input, sink: &EventSink) -> Result<RequestId, SubmitError> {
    Ok(engine.submit(query.request(vec![input.clone()], Priority::Batch), sink.clone())?.id)
}

/// Requests that have not ended, and answers that wait for their turn to be printed.
struct Open<'a> {
    args: &'a RunArgs,
    texts: &'a [Input],
    by_id: BTreeMap<RequestId, usize>,
    outputs: BTreeMap<RequestId, Output>,
    waiting: BTreeMap<usize, Printed>,
    next: usize,
    failures: usize,
}

enum Printed {
    /// An answer, with what is to be said after it.
    Line(String, Vec<String>),
    Failure(UserMessage),
}

impl Open<'_> {
    /// Takes one event in; prints what is due, in the order of the inputs.
    fn take(&mut self, events: &Events) -> Result<(), UserMessage> {
        let event = events.recv().map_err(|_| SubmitError::Stopped)?;
        let Some(id) = event.id() else { return Ok(()) };
        match event {
            Event::Items { items, .. } => {
                if let Some((_, Ok(output))) = items.into_iter().next() {
                    self.outputs.insert(id, output);
                }
            }
            // A single text is seen as it is written.
            Event::Partial { partial, .. } if !self.args.json && self.texts.len() == 1 => write_part(&partial.text)?,
            Event::Done { report, .. } => {
                if let (Some(index), Some(output)) = (self.by_id.remove(&id), self.outputs.remove(&id)) {
                    let text = &self.texts[index];
                    let notes = if self.args.json { Vec::new() } else { report.warnings.clone() };
                    let line = if self.args.json {
                        let record = Record::new(index as u64, text, &output, &report);
                        serde_json::to_string(&record)
                            .map_err(|e| UserMessage::new("The result could not be written", e.to_string(), ""))?
                    } else {
                        plain(text, &output, self.texts.len() == 1)
                    };
                    self.waiting.insert(index, Printed::Line(line, notes));
                }
            }
            Event::Failed { message, .. } => {
                if let Some(index) = self.by_id.remove(&id) {
                    self.waiting.insert(index, Printed::Failure(message));
                }
            }
            Event::Cancelled { .. } => return Err(SubmitError::Stopped.into()),
            Event::Loading { .. }
            | Event::Started { .. }
            | Event::Partial { .. }
            | Event::Progress { .. }
            | Event::Status(_)
            | Event::Model(_)
            | Event::Library(_)
            | Event::Forecast(_)
            | Event::Stopped(_) => {}
        }
        while let Some(due) = self.waiting.remove(&self.next) {
            match due {
                Printed::Line(line, notes) => {
                    // After the line end: a text that streamed has none so far.
                    write_line(&line)?;
                    notes.iter().for_each(|note| say(&format!("glossa: note: {note}")));
                }
                Printed::Failure(message) => {
                    self.failures += 1;
                    say(&format!("glossa: text {}: {message}", self.next + 1));
                }
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// An answer for people; `streamed`: a text has been seen as it came.
fn plain(input: &Input, output: &Output, streamed: bool) -> String {
    let line = |text: &str| text.replace(['\n', '\t'], " ");
    match output {
        Output::Scores(scores) => {
            let (label, p) = scores.top();
            format!("{label}\t{p:.4}\t{}", line(input.text()))
        }
        Output::Entities(found) => {
            let row = |e: &crate::tasks::Entity| format!("{}\t{}\t{:.4}", e.kind, line(&e.text), e.score);
            let rows: Vec<String> = found.entities.iter().map(row).collect();
            if rows.is_empty() { "(no entities)".to_owned() } else { rows.join("\n") }
        }
        Output::Answers(a) => match a.answer() {
            Some(best) => format!("{}\t{:.4}\t{}", line(&best.text), best.score, line(input.text())),
            None => format!("(no answer)\t{:.4}\t{}", a.no_answer, line(input.text())),
        },
        Output::Vector(e) => e.vector.iter().map(f32::to_string).collect::<Vec<_>>().join(" "),
        Output::Summary(s) => s.text.clone(),
        Output::Text(_) if streamed => String::new(),
        Output::Text(g) => g.text.clone(),
        Output::Translation(t) => others(
            t.text.clone(),
            t.sentences.first().filter(|_| t.sentences.len() == 1).map(|s| &s.rewritten.alternatives[..]),
        ),
        Output::Digest(d) => others(d.text().to_owned(), Some(&d.alternatives)),
    }
}

/// A text, and the other ways to say it with their scores.
fn others(text: String, alternatives: Option<&[Alternative]>) -> String {
    let rest = alternatives.unwrap_or_default().iter().skip(1);
    rest.fold(text, |out, a| format!("{out}\n{:.3}\t{}", a.score, a.text))
}

/// Answers one text after the other, where an answer takes several requests; prints the lines of each.
fn one_by_one(
    inputs: &[Input],
    answer: impl Fn(u64, &str) -> Result<Vec<String>, UserMessage>,
) -> Result<ExitCode, UserMessage> {
    let mut failures = 0;
    for (index, input) in inputs.iter().enumerate() {
        match answer(index as u64, input.text()) {
            Ok(lines) => lines.iter().try_for_each(|line| write_line(line))?,
            Err(message) => {
                failures += 1;
                say(&format!("glossa: text {}: {message}", index + 1));
            }
        }
    }
    Ok(if failures > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Summarizes with the chat model.
fn summarize_all(args: &RunArgs, engine: &Engine, inputs: &[Input]) -> Result<ExitCode, UserMessage> {
    let sentences = args.analysis.summary_sentences();
    one_by_one(inputs, |id, input| {
        let (text, reports) = summaries::by_chat(engine, args.model.as_deref(), input, sentences)?;
        Ok(vec![if args.json { summaries::record(id, input, &text, &reports).to_string() } else { text }])
    })
}

/// Extracts fields.
fn extract_all(args: &RunArgs, engine: &Engine, inputs: &[Input]) -> Result<ExitCode, UserMessage> {
    let (wanted, patterns) = (args.analysis.wanted(), Patterns::new());
    one_by_one(inputs, |id, text| {
        let (fields, reports) = extract::extract(engine, text, &wanted, &patterns)?;
        if args.json {
            return Ok(vec![extract::record(id, text, &fields, &reports).to_string()]);
        }
        let row = |field: &extract::Field| {
            let value = field.value.as_deref().unwrap_or("-").replace(['\n', '\t'], " ");
            format!("{}\t{value}\t{:.4}\t{}", field.name, field.score, field.source.name())
        };
        Ok(fields.iter().map(row).collect())
    })
}
