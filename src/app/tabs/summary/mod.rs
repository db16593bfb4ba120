//! The Summary tab: the sentences that say most of a text, lit where they stand.

mod view;

use super::asking::{Asking, Editor, Ended};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{Event, Priority, Report, Request};
use crate::engine::record::Record;
use crate::tasks::summarize::{Length, Summary};
use crate::tasks::{Options, Output};
use egui::Ui;
use std::path::PathBuf;

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

/// A summarized text.
pub struct Answer {
    pub text: String,
    pub summary: Summary,
    pub report: Report,
    pub request: u64,
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
        self.summary_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
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
            UiCommand::Stop => self.asking.stop(),
            UiCommand::Why => self.shades = !self.shades,
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            UiCommand::CopyText => {
                if let Some(answer) = &self.answer {
                    cx.copy(answer.summary.text.clone());
                }
            }
            UiCommand::CopyJson => {
                if let Some(answer) = &self.answer {
                    cx.copy(json(answer));
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
        let length = if self.by_percent { Length::Percent(self.percent) } else { Length::Sentences(self.sentences) };
        let request = Request {
            task: "summarize",
            model: None,
            inputs: vec![text.as_str().into()],
            options: Options { length, ..Options::default() },
            priority: Priority::Interactive,
        };
        if self.asking.start(cx, request) {
            self.asked = text;
        }
    }
}

fn json(answer: &Answer) -> String {
    let output = Output::Summary(answer.summary.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}
