//! The Classify tab: labels of one's own, by their names or taught by examples.

mod map;
mod taught;
mod view;

use super::asking::{Asking, Editor, Ended};
use super::why::Words;
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{Event, Priority, Report, Request};
use crate::engine::record::Record;
use crate::tasks::{ClassifyOptions, Options, Output, Scores};
use egui::Ui;
use std::path::PathBuf;
use taught::Taught;

const LABELS: &str = "politics\nsport\ntechnology\ncooking";

/// Name, and text.
const EXAMPLES: [(&str, &str); 3] = [
    ("news", "The minister resigned after her party lost the vote in parliament."),
    ("kitchen", "Let the onions soften in butter before you add the stock and the beans."),
    ("match", "She saved two penalties in the final and was carried off the pitch by her team."),
];

/// A classified text.
pub struct Answer {
    pub text: String,
    pub scores: Scores,
    pub options: Options,
    pub report: Report,
    pub request: u64,
}

/// The tab.
pub struct ClassifyTab {
    editor: Editor,
    /// One label per line, a name or `name: description`.
    labels: String,
    by_examples: bool,
    taught: Taught,
    asking: Asking,
    asked: (String, Options),
    answer: Option<Answer>,
    tokens_shown: bool,
    why: Words,
}

impl Default for ClassifyTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to classify", EXAMPLES[0].1),
            labels: LABELS.to_owned(),
            by_examples: false,
            taught: Taught::default(),
            asking: Asking::default(),
            asked: Default::default(),
            answer: None,
            tokens_shown: false,
            why: Words::default(),
        }
    }
}

impl Tab for ClassifyTab {
    fn id(&self) -> &'static str {
        "classify"
    }

    fn title(&self) -> &'static str {
        "Classify"
    }

    fn icon(&self) -> Icon {
        Icon::Shapes
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.editor.poll(ui, cx);
        self.taught.poll(ui, cx);
        self.classify_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        self.why.on_event(event);
        if let Some(id) = self.taught.on_event(event, cx) {
            *cx.mark = Some(id);
        }
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        if let Some(Some(Ok(Output::Scores(scores)))) = items.into_iter().next() {
            let (text, options) = std::mem::take(&mut self.asked);
            self.answer = Some(Answer { text, scores, options, report, request: id });
            *cx.mark = Some(id);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.run(cx),
            UiCommand::Stop => {
                self.asking.stop();
                self.taught.stop();
                self.why.stop();
            }
            UiCommand::Why => self.ask_why(cx),
            UiCommand::CopyText => {
                if let Some(answer) = &self.answer {
                    let row = |(label, p): &(String, f64)| format!("{label}\t{p:.4}");
                    cx.copy(answer.scores.scores.iter().map(row).collect::<Vec<_>>().join("\n"));
                }
            }
            UiCommand::CopyJson => {
                if let Some(answer) = &self.answer {
                    cx.copy(json(answer));
                }
            }
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        if self.by_examples {
            self.taught.open(path, cx);
        } else {
            self.editor.open(path, cx);
        }
    }
}

impl ClassifyTab {
    fn options(&self) -> Options {
        if self.by_examples {
            return ClassifyOptions { taught: self.taught.head(), ..ClassifyOptions::default() }.into();
        }
        let labels = self.labels.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        ClassifyOptions { labels, taught: None }.into()
    }

    fn run(&mut self, cx: &mut Cx<'_>) {
        self.why.clear();
        if self.by_examples && self.taught.head().is_none() {
            self.taught.teach(cx);
            return;
        }
        let (text, options) = (self.editor.text.clone(), self.options());
        if self.asking.start(cx, request(vec![text.clone()], &options)) {
            self.asked = (text, options);
        }
    }

    fn ask_why(&mut self, cx: &mut Cx<'_>) {
        let Some(answer) = &self.answer else { return };
        let label = answer.scores.top().0.to_owned();
        let what = format!("the probability of '{}'", shown(&label));
        let options = answer.options.clone();
        let probe = move |output: &Output| output.scores()?.of(&label);
        let text = answer.text.clone();
        self.why.start(cx, &text, what, |variants| request(variants, &options), probe);
    }
}

/// What is shown of a label: its name, without the description.
fn shown(label: &str) -> &str {
    label.split_once(':').map_or(label, |(name, _)| name).trim()
}

fn request(texts: Vec<String>, options: &Options) -> Request {
    Request { options: options.clone(), ..Request::texts("classify", texts, Priority::Interactive) }
}

fn json(answer: &Answer) -> String {
    let output = Output::Scores(answer.scores.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}
