//! The Summary tab: the sentences that say most of a text, lit where they stand; or a summary in a
//! model's own words.

mod compare;
mod view;
mod written;

use super::asking::{Asking, Editor, Ended};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::file_picker::{FilePicker, Picked};
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, Priority, Report, Request};
use crate::engine::record::Record;
use crate::error::UserMessage;
use crate::labs::overlap::Rouge;
use crate::labs::summaries;
use crate::tasks::{Length, Output, Summary, SummaryOptions};
use egui::Ui;
use std::path::PathBuf;
use written::{Limits, Writer, Written};

/// Name, and text; ours.
const EXAMPLES: [(&str, &str); 2] = [
    (
        "bridge",
        "The old road bridge over the river at Hallstead was closed on Monday after engineers found cracks in two of its main beams. It had carried some nine thousand vehicles a day. The town council said that repairs would take at least eight months and cost about two million pounds. Drivers will have to use the motorway bridge, six miles to the north. Shop owners in the old town fear that many of their customers will stay away. \"Half of our trade comes over that bridge,\" said Amira Cole, who runs a bakery near the market. A ferry for people on foot will start next week and will be free of charge. The bridge was built in 1931 and was last repaired in 1988. The council had put off an inspection twice because of the cost.",
    ),
    (
        "coral",
        "Coral reefs cover less than one percent of the sea floor, yet about a quarter of all sea animals depend on them. A coral is a colony of small animals that build a skeleton of limestone. Most of their food comes from algae that live inside them and need light. When the water grows too warm for some weeks, the corals push the algae out and turn white. A bleached coral is not dead, but it starves, and if the heat lasts it dies. In the last thirty years such heat waves have become five times as common. Some corals stand heat better than others, and researchers breed these in tanks. They have planted them on damaged reefs in Florida and Australia. Whether such reefs will last is not yet known. Planting can help a reef, but only cooler seas can save them all.",
    ),
];

/// How a summary is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The text's own sentences.
    #[default]
    Extractive,
    /// A T5 model's words.
    Abstractive,
    /// The chat model's words.
    Chat,
}

/// A summarized text.
pub struct Answer {
    pub text: String,
    pub summary: Summary,
    pub report: Report,
    pub request: u64,
}

/// Sizes of a summary and its source, and what it has in common with a reference.
struct Measured {
    /// The request that made it.
    of: Option<u64>,
    reference: String,
    /// Words of the summary and of its source.
    words: [usize; 2],
    rouge: Rouge,
}

/// The tab.
pub struct SummaryTab {
    editor: Editor,
    editing: bool,
    sentences: usize,
    percent: f32,
    by_percent: bool,
    asking: Asking,
    asked: String,
    answer: Option<Answer>,
    selected: Option<usize>,
    tokens_shown: bool,
    /// Whether every sentence shows how central it is.
    shades: bool,
    method: Method,
    writer: Writer,
    limits: Limits,
    /// Chooses a T5 model's folder.
    picker: Option<FilePicker>,
    reference: String,
    comparing: bool,
    measured: Option<Measured>,
}

impl Default for SummaryTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to summarize", EXAMPLES[0].1),
            editing: true,
            sentences: 3,
            percent: 30.0,
            by_percent: false,
            asking: Asking::default(),
            asked: String::new(),
            answer: None,
            selected: None,
            tokens_shown: false,
            shades: false,
            method: Method::default(),
            writer: Writer::default(),
            limits: Limits::default(),
            picker: None,
            reference: String::new(),
            comparing: false,
            measured: None,
        }
    }
}

impl Tab for SummaryTab {
    fn id(&self) -> &'static str {
        "summary"
    }

    fn title(&self) -> &'static str {
        "Summary"
    }

    fn icon(&self) -> Icon {
        Icon::Lines
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.editor.poll(ui, cx) {
            self.run(cx);
        }
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, cx.palette)
        {
            self.picker = None;
            // Any file of the checkpoint says which folder is meant.
            if let Picked::File(path) = picked {
                cx.settings.t5 = path.parent().map(|dir| dir.display().to_string());
                self.run(cx);
            }
        }
        self.summary_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        let before = self.writer.written.as_ref().map(|w| w.request);
        self.writer.on_event(event, cx);
        if self.writer.written.as_ref().map(|w| w.request) != before {
            (self.selected, self.editing) = (None, false);
        }
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        if let Some(Some(Ok(Output::Summary(summary)))) = items.into_iter().next() {
            let text = std::mem::take(&mut self.asked);
            self.answer = Some(Answer { text, summary, report, request: id });
            self.selected = None;
            self.editing = false;
            *cx.mark = Some(id);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.run(cx),
            UiCommand::Stop => {
                self.asking.stop();
                self.writer.stop();
            }
            UiCommand::Why => self.shades = !self.shades,
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            UiCommand::CopyText => {
                if let Some((summary, _)) = self.shown() {
                    cx.copy(summary.to_owned());
                }
            }
            UiCommand::CopyJson => {
                let answer = self.answer.as_ref().filter(|_| self.method == Method::Extractive).map(json);
                if let Some(text) = answer.or_else(|| self.writer.written.as_ref().map(written_json)) {
                    cx.copy(text);
                }
            }
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.editor.open(path, cx);
    }
}

impl SummaryTab {
    fn run(&mut self, cx: &mut Cx<'_>) {
        let text = self.editor.text.clone();
        match self.method {
            Method::Extractive => {}
            Method::Abstractive => {
                match t5(cx) {
                    Some((model, _)) => self.writer.abstractive(cx, text, model, self.limits),
                    None => self.writer.refuse(UserMessage::new(
                        "There is no model for this method",
                        "summaries in other words need a T5 model, and none lies in the models folders",
                        "Choose the folder of one (such as t5-small), or use the text's own sentences or the chat model.",
                    )),
                }
                return;
            }
            Method::Chat => {
                self.writer.chat(cx, text, self.sentences.min(8));
                return;
            }
        }
        let length = if self.by_percent { Length::Percent(self.percent) } else { Length::Sentences(self.sentences) };
        let request = Request {
            task: "summarize",
            model: None,
            inputs: vec![text.as_str().into()],
            options: SummaryOptions { length }.into(),
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        if self.asking.start(cx, request) {
            self.asked = text;
        }
    }
}

/// The T5 model to ask, and what to call it: the folder that was chosen, or the first that is known.
fn t5(cx: &Cx<'_>) -> Option<(String, String)> {
    let chosen = cx.settings.t5.clone().map(|folder| (folder.clone(), folder));
    let known = || cx.status?.models.iter().find(|m| m.task == "abstractive").map(|m| (m.id.clone(), m.name.clone()));
    chosen.or_else(known)
}

fn json(answer: &Answer) -> String {
    let output = Output::Summary(answer.summary.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}

fn written_json(written: &Written) -> String {
    let record = summaries::record(written.request, &written.text, &written.summary, &written.reports);
    serde_json::to_string_pretty(&record).unwrap_or_default()
}
