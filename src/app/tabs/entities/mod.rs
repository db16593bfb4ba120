//! The Entities tab: who and what a text names, in the running text and as a table.

mod files;
mod view;

use super::asking::{Asking, Editor, Ended, Saving};
use super::why::Words;
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{Event, Priority, Report, Request};
use crate::engine::record::Record;
use crate::engine::shapes::Letters;
use crate::tasks::{Entities, Entity, Output};
use egui::Ui;
use files::Files;
use std::path::PathBuf;
use std::rc::Rc;

/// Name, and text.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "science",
        "In 1903 Marie Curie became the first woman to win a Nobel Prize. Born in Warsaw, she studied at the University of Paris and shared the award with Pierre Curie and Henri Becquerel.",
    ),
    (
        "news",
        "NVIDIA will open an office in Zürich, Jensen Huang said on Tuesday after a visit to ETH. The Swiss Federal Railways and Siemens are said to be among its first customers.",
    ),
    (
        "sport",
        "Barcelona beat Real Madrid 3-1 at the Camp Nou on Sunday. Alexia Putellas scored twice for the Spanish champions, who meet Chelsea in London next week.",
    ),
];

/// An analysed text.
pub struct Answer {
    pub text: String,
    pub found: Entities,
    /// Where the entities begin and end, in Unicode scalar values.
    pub letters: Letters,
    pub report: Report,
    pub request: u64,
}

/// The tab.
pub struct EntitiesTab {
    editor: Editor,
    /// Whether the text is being edited rather than shown with its entities.
    editing: bool,
    asking: Asking,
    asked: String,
    answer: Option<Rc<Answer>>,
    selected: Option<usize>,
    /// Types that are not shown.
    hidden: Vec<String>,
    tokens_shown: bool,
    why: Words,
    saving: Saving,
    files: Option<Files>,
}

impl Default for EntitiesTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to search for names", EXAMPLES[0].1),
            editing: true,
            asking: Asking::default(),
            asked: String::new(),
            answer: None,
            selected: None,
            hidden: Vec::new(),
            tokens_shown: false,
            why: Words::default(),
            saving: Saving::default(),
            files: None,
        }
    }
}

impl Tab for EntitiesTab {
    fn id(&self) -> &'static str {
        "entities"
    }

    fn title(&self) -> &'static str {
        "Entities"
    }

    fn icon(&self) -> Icon {
        Icon::Tag
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.editor.poll(ui, cx) {
            self.editing = true;
            self.run(cx);
        }
        self.saving.poll(ui, cx);
        match &mut self.files {
            Some(files) => {
                if files.ui(ui, cx) {
                    files.stop();
                    self.files = None;
                }
            }
            None => self.single_ui(ui, cx),
        }
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        if let Some(files) = &mut self.files {
            files.on_event(event);
        }
        self.why.on_event(event);
        let Some(Ended { id, items, report }) = self.asking.on_event(event) else { return };
        if let Some(Some(Ok(Output::Entities(found)))) = items.into_iter().next() {
            let text = std::mem::take(&mut self.asked);
            let letters = letters(&text, &found.entities);
            self.answer = Some(Rc::new(Answer { text, found, letters, report, request: id }));
            self.editing = false;
            *cx.mark = Some(id);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => match &mut self.files {
                Some(files) => files.run(cx),
                None => self.run(cx),
            },
            UiCommand::Stop => {
                self.asking.stop();
                self.why.stop();
                if let Some(files) = &mut self.files {
                    files.stop();
                }
            }
            UiCommand::Why => self.ask_why(cx),
            UiCommand::Batch => {
                self.files.get_or_insert_with(Files::default);
            }
            UiCommand::CopyText => self.copy(cx, rows_text),
            UiCommand::CopyJson => self.copy(cx, json),
            UiCommand::SaveCsv => {
                if let Some(answer) = &self.answer {
                    let table = csv(&[(String::new(), answer.text.as_str(), answer.found.entities.as_slice())]);
                    self.saving.ask("entities.csv", table);
                }
            }
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            _ => return false,
        }
        true
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        match &mut self.files {
            Some(files) => files.add(path, cx),
            None => self.editor.open(path, cx),
        }
    }
}

impl EntitiesTab {
    fn run(&mut self, cx: &mut Cx<'_>) {
        self.why.clear();
        self.selected = None;
        let text = self.editor.text.clone();
        if self.asking.start(cx, request(vec![text.clone()], Priority::Interactive)) {
            self.asked = text;
        }
    }

    /// Follows the probability of the chosen entity's type, or of the first one's.
    fn ask_why(&mut self, cx: &mut Cx<'_>) {
        let Some(answer) = &self.answer else { return };
        let Some(entity) = answer.found.entities.get(self.selected.unwrap_or(0)).cloned() else { return };
        let what = format!("'{}' as {}", entity.text, kind_name(&entity.kind));
        let probe = move |output: &Output| {
            let found = output.entities()?.entities.iter().filter(|e| e.text == entity.text);
            let shares = found.flat_map(|e| &e.by_kind).filter(|k| k.0 == entity.kind).map(|k| k.1);
            Some(shares.fold(0.0, f64::max))
        };
        let text = answer.text.clone();
        self.why.start(cx, &text, what, |variants| request(variants, Priority::Interactive), probe);
    }

    fn copy(&self, cx: &mut Cx<'_>, form: fn(&Answer) -> String) {
        if let Some(answer) = &self.answer {
            cx.copy(form(answer));
        }
    }
}

/// A request to this task's default model.
fn request(inputs: Vec<String>, priority: Priority) -> Request {
    Request::texts("entities", inputs, priority)
}

/// What the four types of CoNLL are called; others as they are.
fn kind_name(kind: &str) -> String {
    match kind {
        "PER" | "PERSON" => "Person".into(),
        "ORG" => "Organization".into(),
        "LOC" | "GPE" => "Place".into(),
        "MISC" => "Other".into(),
        other => other.to_owned(),
    }
}

/// The places of `entities` counted in Unicode scalar values.
fn letters(text: &str, entities: &[Entity]) -> Letters {
    Letters::new(text, entities.iter().flat_map(|e| [e.start, e.end]).collect())
}

fn rows_text(answer: &Answer) -> String {
    let row = |e: &Entity| format!("{}\t{}\t{:.3}", e.kind, e.text.replace(['\n', '\t'], " "), e.score);
    answer.found.entities.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn json(answer: &Answer) -> String {
    let output = Output::Entities(answer.found.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}

/// Entities of one or several texts as CSV: file, type, text, start, end (Unicode scalar values), score.
fn csv(texts: &[(String, &str, &[Entity])]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(["file", "type", "text", "start", "end", "score"]);
    for (name, text, entities) in texts {
        let letters = letters(text, entities);
        for e in *entities {
            let place = |at: usize| letters.before(at).to_string();
            let _ = writer.write_record([
                name,
                &e.kind,
                &e.text,
                &place(e.start),
                &place(e.end),
                &format!("{:.4}", e.score),
            ]);
        }
    }
    writer.into_inner().unwrap_or_default()
}
