//! The Sentiment tab: its state, and what commands and events do to it.

mod batch;
mod export;
mod view;
mod why;

use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::Ticket;
use crate::engine::message::{Event, Priority, Report, Request};
use crate::error::UserMessage;
use crate::tasks::{Output, Scores};
use batch::Batch;
use egui::Ui;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;
use why::Why;

/// Label whose probability "why?" follows.
pub const POSITIVE: &str = "positive";

/// Answers that the history keeps.
const HISTORY: usize = 50;

/// Name, and text.
const EXAMPLES: [(&str, &str); 3] = [
    ("film review", "A slow start, but the acting is superb and the ending moved me."),
    ("café", "The coffee was cold and the waiter ignored us, what a waste of an afternoon."),
    ("irony", "Great, another meeting that could have been an email."),
];

/// A request that has not ended.
struct Running {
    ticket: Ticket,
    text: String,
    begun: Instant,
    /// Share read of the model, and its bytes.
    loading: Option<(f32, u64)>,
    stopping: bool,
}

/// An analysed text.
#[derive(Clone)]
pub struct Answer {
    pub text: String,
    pub scores: Scores,
    pub report: Report,
    pub request: u64,
}

/// How the last run ended.
enum Outcome {
    Answered(Box<Answer>),
    Stopped,
    Failed(UserMessage),
}

/// The tab.
pub struct SentimentTab {
    text: String,
    running: Option<Running>,
    /// The answer of a running request, until its report comes.
    arrived: Option<Scores>,
    outcome: Option<Outcome>,
    why: Why,
    tokens_shown: bool,
    history: VecDeque<Answer>,
    batch: Option<Batch>,
}

impl Default for SentimentTab {
    fn default() -> Self {
        Self {
            text: EXAMPLES[0].1.to_owned(),
            running: None,
            arrived: None,
            outcome: None,
            why: Why::default(),
            tokens_shown: false,
            history: VecDeque::new(),
            batch: None,
        }
    }
}

impl Tab for SentimentTab {
    fn id(&self) -> &'static str {
        "sentiment"
    }

    fn title(&self) -> &'static str {
        "Sentiment"
    }

    fn icon(&self) -> Icon {
        Icon::Smile
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if let Some(batch) = &mut self.batch {
            if batch.ui(ui, cx) {
                batch.stop();
                self.batch = None;
            }
        } else {
            self.single_ui(ui, cx);
        }
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        if let Some(batch) = &mut self.batch {
            batch.on_event(event);
        }
        self.why.on_event(event);
        if self.running.as_ref().is_some_and(|r| Some(r.ticket.id) == event.id()) {
            self.on_own_event(event, cx);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => match &mut self.batch {
                Some(batch) => batch.run(cx),
                None => self.run(cx),
            },
            UiCommand::Stop => self.stop(),
            UiCommand::Why => self.ask_why(cx),
            UiCommand::Batch => {
                if self.batch.is_none() {
                    self.batch = Some(Batch::default());
                }
            }
            UiCommand::CopyText => self.copy(cx, export::text),
            UiCommand::CopyJson => self.copy(cx, export::json),
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.batch.get_or_insert_with(Batch::default).read(path, cx);
    }
}

impl SentimentTab {
    fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Some(Outcome::Answered(answer)) => Some(answer),
            _ => None,
        }
    }

    fn run(&mut self, cx: &mut Cx<'_>) {
        if self.running.is_some() {
            return;
        }
        self.why.clear();
        self.arrived = None;
        let text = self.text.clone();
        match cx.submit(request(vec![text.clone()], Priority::Interactive)) {
            Ok(ticket) => {
                self.running = Some(Running { ticket, text, begun: Instant::now(), loading: None, stopping: false })
            }
            Err(message) => self.outcome = Some(Outcome::Failed(message)),
        }
    }

    fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stopping = true;
            running.ticket.cancel.cancel();
        }
        self.why.stop();
        if let Some(batch) = &mut self.batch {
            batch.stop();
        }
    }

    fn ask_why(&mut self, cx: &mut Cx<'_>) {
        if let Some(answer) = self.answer().cloned() {
            self.why.start(&answer.text, cx);
        }
    }

    fn copy(&self, cx: &mut Cx<'_>, form: fn(&Answer) -> String) {
        if let Some(answer) = self.answer() {
            cx.copy(form(answer));
        }
    }

    fn on_own_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        match event {
            Event::Loading { share, bytes, .. } => {
                if let Some(running) = &mut self.running {
                    running.loading = Some((*share, *bytes));
                }
            }
            Event::Started { .. } | Event::Partial { .. } | Event::Progress { .. } | Event::Status(_) => {}
            Event::Items { .. } => self.arrived = event.first_answer().and_then(Output::scores).cloned(),
            Event::Done { report, id } => {
                if let (Some(running), Some(scores)) = (self.running.take(), self.arrived.take()) {
                    let answer = Answer { text: running.text, scores, report: report.clone(), request: id.0 };
                    self.history.push_front(answer.clone());
                    self.history.truncate(HISTORY);
                    *cx.mark = Some(id.0);
                    self.outcome = Some(Outcome::Answered(Box::new(answer)));
                }
            }
            Event::Cancelled { .. } => {
                self.running = None;
                self.outcome = Some(Outcome::Stopped);
            }
            Event::Failed { message, .. } => {
                self.running = None;
                self.outcome = Some(Outcome::Failed(message.clone()));
            }
        }
    }
}

/// A request to this task's default model.
fn request(inputs: Vec<String>, priority: Priority) -> Request {
    Request::texts("sentiment", inputs, priority)
}
