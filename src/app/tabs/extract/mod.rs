//! The Extract tab: a text as fields, from names, patterns and questions, to be corrected by hand.

mod view;

use super::asking::{Asking, Editor, Ended, Saving};
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::widgets::icons::Icon;
use crate::engine::message::{ClientId, Event, Priority, Report, Request};
use crate::labs::extract::{self, Field, Source, Wanted};
use crate::tasks::text::patterns::Patterns;
use crate::tasks::{Answers, Entities, Options, Output, Reading};
use egui::Ui;
use std::path::PathBuf;
use std::sync::Arc;

/// Name, text, and fields to ask for; ours.
const EXAMPLES: [(&str, &str, &str); 2] = [
    (
        "invoice",
        "Invoice no. INV-2026-0417 of 12 March 2026. Northwind Office Supplies Ltd, 14 Harbour Street, Bristol, sold 40 desks and 40 chairs to the Greenfield School in Bath. The total amount of £6,480.00 is due on 11 April 2026. Please pay to IBAN GB29 NWBK 6016 1331 9268 19. Questions: accounts@northwind.example or +44 117 496 0123.",
        "supplier: Who sold the desks?\nschool: Which school were the desks sold to?\ntotal: What is the total amount?\ndue date: When is the amount due?",
    ),
    (
        "accident report",
        "On Friday, 6 November 2026, at about 7.40 in the morning, a delivery van driven by Marta Keller hit a cyclist at the crossing of Mill Road and Station Street in Cambridge. The cyclist, Owen Price, was taken to Addenbrooke's Hospital with a broken wrist. The damage to the van is put at 2,300 pounds. Witnesses may call 01223 555 0143.",
        "driver: Who drove the van?\ninjured person: Who was the cyclist?\ninjury: What injury did the cyclist have?\nplace: Where did the van hit the cyclist?",
    ),
];

/// What a text gave.
pub struct Extracted {
    pub text: Arc<str>,
    pub fields: Vec<Field>,
    pub reports: Vec<Report>,
    pub request: u64,
    /// What was read for the names.
    pub reading: Reading,
}

/// The parts of a run, as they come in.
#[derive(Default)]
struct Parts {
    text: Arc<str>,
    wanted: Vec<Wanted>,
    entities: Option<Entities>,
    answers: Option<Vec<Option<Answers>>>,
    reports: Vec<Report>,
    request: u64,
}

/// The tab.
pub struct ExtractTab {
    editor: Editor,
    editing: bool,
    /// One field per line, `name` or `name: question`.
    wanted: String,
    names: Asking,
    questions: Asking,
    parts: Option<Parts>,
    merging: Option<Pending<Extracted>>,
    result: Option<Extracted>,
    selected: Option<usize>,
    tokens_shown: bool,
    saving: Saving,
}

impl Default for ExtractTab {
    fn default() -> Self {
        Self {
            editor: Editor::new("Text to extract from", EXAMPLES[0].1),
            editing: true,
            wanted: EXAMPLES[0].2.to_owned(),
            names: Asking::default(),
            questions: Asking::default(),
            parts: None,
            merging: None,
            result: None,
            selected: None,
            tokens_shown: false,
            saving: Saving::default(),
        }
    }
}

impl Tab for ExtractTab {
    fn id(&self) -> &'static str {
        "extract"
    }

    fn title(&self) -> &'static str {
        "Extract"
    }

    fn icon(&self) -> Icon {
        Icon::Table
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.saving.poll(ui, cx);
        if self.editor.poll(ui, cx) {
            self.editing = true;
        }
        if let Some(extracted) = self.merging.as_mut().and_then(Pending::poll) {
            self.merging = None;
            *cx.mark = Some(extracted.request);
            self.result = Some(extracted);
            self.editing = false;
            self.selected = None;
        }
        self.extract_ui(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        let (names, questions) = (self.names.on_event(event), self.questions.on_event(event));
        let Some(parts) = &mut self.parts else { return };
        if let Some(Ended { id, items, report }) = names {
            if let Some(Some(Ok(Output::Entities(found)))) = items.into_iter().next() {
                parts.entities = Some(found);
            }
            parts.reports.push(report);
            parts.request = id;
        }
        if let Some(Ended { items, report, .. }) = questions {
            let answers = items.into_iter().map(|i| i.and_then(Result::ok).and_then(|o| o.answers().cloned()));
            parts.answers = Some(answers.collect());
            parts.reports.push(report);
        }
        if parts.entities.is_some() && parts.answers.is_some() {
            self.merge(cx);
        }
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::Run => self.run(cx),
            UiCommand::Stop => {
                self.names.stop();
                self.questions.stop();
            }
            UiCommand::CopyText => self.copy(cx, |r| {
                let row = |f: &Field| format!("{}\t{}", f.name, f.value.as_deref().unwrap_or(""));
                r.fields.iter().map(row).collect::<Vec<_>>().join("\n")
            }),
            UiCommand::CopyJson => self.copy(cx, json),
            UiCommand::Tokens => self.tokens_shown = !self.tokens_shown,
            UiCommand::SaveCsv => {
                if let Some(result) = &self.result {
                    self.saving.ask("fields.csv", csv(&result.fields));
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

impl ExtractTab {
    fn is_running(&self) -> bool {
        self.names.is_running() || self.questions.is_running() || self.merging.is_some()
    }

    fn run(&mut self, cx: &mut Cx<'_>) {
        if self.is_running() {
            return;
        }
        let text: Arc<str> = self.editor.text.as_str().into();
        let wanted: Vec<Wanted> = self.wanted.lines().filter_map(Wanted::parse).collect();
        let names = Request::texts("entities", vec![text.to_string()], Priority::Interactive);
        if !self.names.start(cx, names) {
            return;
        }
        let mut parts = Parts { text: Arc::clone(&text), ..Parts::default() };
        if wanted.is_empty() {
            parts.answers = Some(Vec::new());
        } else {
            let questions = Request {
                task: "qa",
                model: None,
                inputs: extract::questions(&text, &wanted),
                options: Options::default(),
                priority: Priority::Interactive,
                client: ClientId::default(),
            };
            self.questions.start(cx, questions);
        }
        parts.wanted = wanted;
        self.parts = Some(parts);
    }

    /// Puts the parts together, on a thread: patterns take their time on a long text.
    fn merge(&mut self, cx: &Cx<'_>) {
        let Some(parts) = self.parts.take() else { return };
        self.merging = Some(Pending::spawn(cx.ctx, move || {
            let answers = parts.answers.unwrap_or_default();
            let entities = parts.entities.as_ref();
            let fields = extract::merge(&parts.text, &parts.wanted, &answers, entities, &Patterns::new());
            let reading = parts.entities.map(|e| e.reading).unwrap_or_default();
            Extracted { text: parts.text, fields, reports: parts.reports, request: parts.request, reading }
        }));
    }

    fn copy(&self, cx: &mut Cx<'_>, form: fn(&Extracted) -> String) {
        if let Some(result) = &self.result {
            cx.copy(form(result));
        }
    }
}

fn json(result: &Extracted) -> String {
    let record = extract::record(result.request, &result.text, &result.fields, &result.reports);
    serde_json::to_string_pretty(&record).unwrap_or_default()
}

fn csv(fields: &[Field]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(["name", "value", "score", "source"]);
    for f in fields {
        let score = if f.source == Source::Person { String::new() } else { format!("{:.4}", f.score) };
        let _ = writer.write_record([f.name.as_str(), f.value.as_deref().unwrap_or(""), &score, f.source.name()]);
    }
    writer.into_inner().unwrap_or_default()
}
