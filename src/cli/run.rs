//! `glossa run TASK TEXT …`: answers texts from arguments, a file or standard input.

use super::writing::WritingArgs;
use super::{Common, progress_bar, task_id, write_line, write_part};
use crate::engine::message::{Event, EventSink, Priority, Request, RequestId};
use crate::engine::record::Record;
use crate::engine::{Engine, SubmitError};
use crate::error::UserMessage;
use crate::labs::lines;
use crate::tasks::Output;
use clap::Args;
use crossbeam_channel::Receiver;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Requests in flight at a time: enough for full batches, fewer than the queue holds.
const IN_FLIGHT: usize = 64;

#[derive(Args)]
pub(super) struct RunArgs {
    /// Task, such as sentiment
    #[arg(value_parser = task_id)]
    task: &'static str,
    /// Texts to answer
    #[arg(required_unless_present = "input")]
    texts: Vec<String>,
    /// File with one text per line, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    writing: WritingArgs,
}

pub(super) fn run(args: &RunArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let texts = texts(args)?;
    let engine = common.engine()?;
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
            match submit(&engine, args, &texts[sent], &sink) {
                Ok(id) => {
                    open.by_id.insert(id, sent);
                    sent += 1;
                }
                Err(SubmitError::Busy) if !open.by_id.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        open.take(&events)?;
        bar.set_position(open.next as u64);
    }
    bar.finish_and_clear();
    Ok(if open.failures > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn texts(args: &RunArgs) -> Result<Vec<String>, UserMessage> {
    match &args.input {
        None => Ok(args.texts.clone()),
        Some(path) if path.as_os_str() == "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(lines::MAX_BYTES).read_to_end(&mut bytes);
            read.map_err(|e| UserMessage::new("Standard input could not be read", e.to_string(), ""))?;
            lines::decode(&bytes, "standard input")
        }
        Some(path) => lines::read(path),
    }
}

fn submit(engine: &Engine, args: &RunArgs, text: &str, sink: &EventSink) -> Result<RequestId, SubmitError> {
    let request = Request {
        task: args.task,
        model: args.model.clone(),
        inputs: vec![args.writing.input(args.task, text)],
        options: args.writing.options(),
        priority: Priority::Batch,
    };
    Ok(engine.submit(request, sink.clone())?.id)
}

/// Requests that have not ended, and answers that wait for their turn to be printed.
struct Open<'a> {
    args: &'a RunArgs,
    texts: &'a [String],
    by_id: BTreeMap<RequestId, usize>,
    outputs: BTreeMap<RequestId, Output>,
    waiting: BTreeMap<usize, Printed>,
    next: usize,
    failures: usize,
}

enum Printed {
    Line(String),
    Failure(UserMessage),
}

impl Open<'_> {
    /// Takes one event in; prints what is due, in the order of the inputs.
    fn take(&mut self, events: &Receiver<Event>) -> Result<(), UserMessage> {
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
                    let line = if self.args.json {
                        let record = Record::new(index as u64, text, &output, &report);
                        serde_json::to_string(&record)
                            .map_err(|e| UserMessage::new("The result could not be written", e.to_string(), ""))?
                    } else {
                        plain(text, &output, &report.warnings, self.texts.len() == 1)
                    };
                    self.waiting.insert(index, Printed::Line(line));
                }
            }
            Event::Failed { message, .. } => {
                if let Some(index) = self.by_id.remove(&id) {
                    self.waiting.insert(index, Printed::Failure(message));
                }
            }
            Event::Cancelled { .. } => return Err(SubmitError::Stopped.into()),
            Event::Loading { .. } | Event::Started { .. } | Event::Partial { .. } | Event::Status(_) => {}
        }
        while let Some(due) = self.waiting.remove(&self.next) {
            match due {
                Printed::Line(line) => write_line(&line)?,
                Printed::Failure(message) => {
                    self.failures += 1;
                    eprintln!("glossa: text {}: {message}", self.next + 1);
                }
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// An answer for people; `streamed`: a text has been seen as it came.
fn plain(text: &str, output: &Output, warnings: &[String], streamed: bool) -> String {
    for warning in warnings {
        eprintln!("glossa: note: {warning}");
    }
    let scores = match output {
        Output::Scores(scores) => scores,
        Output::Text(_) if streamed => return String::new(),
        Output::Text(g) => return g.text.clone(),
    };
    let (label, p) = scores.top();
    format!("{label}\t{p:.4}\t{}", text.replace(['\n', '\t'], " "))
}
