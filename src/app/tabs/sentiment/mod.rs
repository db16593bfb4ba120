//! The Sentiment tab: its state, and what commands and events do to it.

mod batch;
mod export;
mod view;
mod why;

use super::asking::{Asking, Editor, Ended};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{Event, Priority, Report, Request};
use crate::tasks::{Output, Scores};
use batch::Batch;
use egui::Ui;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use why::Why;

/// Label whose probability "why?" follows.
pub const POSITIVE: &str = "positive";

/// Answers that the history keeps.
const HISTORY: usize = 50;

/// What becomes of a text that is too long to edit.
const LONG_TEXT: &str = "analysed in windows of up to 512 tokens; the answer is their mean, weighted by length.";

/// Name, and text.
const EXAMPLES: [(&str, &str); 3] = [
    ("film review", "A slow start, but the acting is superb and the ending moved me."),
    ("café", "The coffee was cold and the waiter ignored us, what a waste of an afternoon."),
    ("irony", "Great, another meeting that could have been an email."),
];

/// An analysed text.
pub struct Answer {
    pub text: String,
    pub scores: Scores,
    pub report: Report,
    pub request: u64,
}

/// The tab.
pub struct SentimentTab {
    editor: Editor,
    asking: Asking,
    /// What the running request is about.
    asked: String,
    answer: Option<Rc<Answer>>,
    why: Why,
    tokens_shown: bool,
    history: VecDeque<Rc<Answer>>,
    batch: Option<Batch>,
}

impl Default for SentimentTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to analyse", EXAMPLES[0].1).saying(LONG_TEXT),
            asking: Asking::default(),
            asked: String::new(),
            answer: None,
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
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        if let Some(Some(Ok(Output::Scores(scores)))) = items.into_iter().next() {
            let answer = Rc::new(Answer { text: std::mem::take(&mut self.asked), scores, report, request: id });
            self.history.push_front(Rc::clone(&answer));
            self.history.truncate(HISTORY);
            *cx.mark = Some(id);
            self.answer = Some(answer);
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
    fn run(&mut self, cx: &mut Cx<'_>) {
        if self.asking.is_running() {
            return;
        }
        self.why.clear();
        let text = self.editor.text.clone();
        // An answer to what was asked before would stand beside another text.
        self.answer = None;
        if self.asking.start(cx, request(vec![text.clone()], Priority::Interactive)) {
            self.asked = text;
        }
    }

    fn stop(&mut self) {
        self.asking.stop();
        self.why.stop();
        if let Some(batch) = &mut self.batch {
            batch.stop();
        }
    }

    fn ask_why(&mut self, cx: &mut Cx<'_>) {
        if let Some(answer) = &self.answer {
            self.why.start(&answer.text, cx);
        }
    }

    fn copy(&self, cx: &mut Cx<'_>, form: fn(&Answer) -> String) {
        if let Some(answer) = &self.answer {
            cx.copy(form(answer));
        }
    }
}

/// A request to this task's default model.
fn request(inputs: Vec<String>, priority: Priority) -> Request {
    Request::texts("sentiment", inputs, priority)
}
