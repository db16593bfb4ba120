//! Names in several files at once.

use super::{csv, kind_name, request};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::tabs::Cx;
use crate::app::tabs::asking::{Asking, Ended, Saving, quiet_card, run_stop};
use crate::app::theme::{Palette, card};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{failure, millis, note, secondary};
use crate::engine::message::{Event, ItemResult, Priority, Report};
use crate::error::UserMessage;
use crate::labs::lines;
use crate::tasks::Entity;
use egui::{ScrollArea, Ui};
use std::path::PathBuf;

/// The view's state.
#[derive(Default)]
pub struct Files {
    files: Vec<Loaded>,
    reading: Vec<(PathBuf, Pending<Result<String, UserMessage>>)>,
    picker: Option<FilePicker>,
    problem: Option<UserMessage>,
    asking: Asking,
    report: Option<Report>,
    saving: Saving,
}

struct Loaded {
    name: String,
    text: String,
    result: Option<ItemResult>,
}

impl Loaded {
    fn entities(&self) -> &[Entity] {
        let found = self.result.as_ref().and_then(|r| r.as_ref().ok()).and_then(|o| o.entities());
        found.map_or(&[], |e| &e.entities)
    }
}

impl Files {
    /// Reads a file on a thread of its own.
    pub fn add(&mut self, path: PathBuf, cx: &Cx<'_>) {
        let file = path.clone();
        self.reading.push((path, Pending::spawn(cx.ctx, move || lines::text(&file))));
    }

    /// Searches all files.
    pub fn run(&mut self, cx: &mut Cx<'_>) {
        if self.files.is_empty() {
            let next = "Add one or more text files.";
            self.problem = Some(UserMessage::new("There is nothing to search", "no file has been added", next));
            return;
        }
        let texts = self.files.iter().map(|f| f.text.clone()).collect();
        if self.asking.start(cx, request(texts, Priority::Batch)) {
            self.report = None;
            self.files.iter_mut().for_each(|f| f.result = None);
        }
    }

    /// Ends what runs.
    pub fn stop(&mut self) {
        self.asking.stop();
    }

    /// Takes in what belongs to it.
    pub fn on_event(&mut self, event: &Event) {
        if let Some(Ended { items, report, .. }) = self.asking.on_event(event) {
            for (file, result) in self.files.iter_mut().zip(items) {
                file.result = result;
            }
            self.report = Some(report);
        }
    }

    fn poll(&mut self, ui: &Ui, cx: &mut Cx<'_>) {
        self.saving.poll(ui, cx);
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, cx.palette)
        {
            self.picker = None;
            if let Picked::File(path) = picked {
                self.add(path, cx);
            }
        }
        let (files, problem) = (&mut self.files, &mut self.problem);
        self.reading.retain_mut(|(path, pending)| {
            let Some(result) = pending.poll() else { return true };
            match result {
                Ok(text) => files.push(Loaded { name: path.display().to_string(), text, result: None }),
                Err(message) => *problem = Some(message),
            }
            false
        });
    }

    /// Draws it. True if the person goes back to a single text.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
        self.poll(ui, cx);
        let p = cx.palette;
        let mut back = false;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.heading("Entities in files");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    back = secondary(ui, p, "Back to one text", "").clicked();
                });
            });
            note(ui, p, "Each file is one text. Files can also be dropped on the window.");
            self.controls(ui, cx);
            if let Some(message) = self.problem.clone()
                && failure(ui, p, &message)
            {
                self.problem = None;
            }
            if self.asking.ui(ui, p) == Some(true) {
                self.run(cx);
            }
            self.list(ui, p);
        });
        back
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let running = self.asking.is_running();
        ui.horizontal_wrapped(|ui| {
            match run_stop(ui, p, "Run", !running, running) {
                Some(UiCommand::Run) => self.run(cx),
                Some(UiCommand::Stop) => self.stop(),
                _ => {}
            }
            ui.add_enabled_ui(!running, |ui| {
                if secondary(ui, p, "Add file…", "").clicked() {
                    self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
                }
                if secondary(ui, p, "Remove all", "").clicked() {
                    self.files.clear();
                    self.report = None;
                }
            });
            ui.add_enabled_ui(self.report.is_some(), |ui| {
                if secondary(ui, p, "Save CSV…", "").clicked() {
                    let all: Vec<_> =
                        self.files.iter().map(|f| (f.name.clone(), f.text.as_str(), f.entities())).collect();
                    let table = csv(&all);
                    self.saving.ask("entities.csv", table);
                }
            });
        });
    }

    fn list(&self, ui: &mut Ui, p: &Palette) {
        if self.files.is_empty() {
            quiet_card(ui, p, "No file yet.");
            return;
        }
        if let Some(report) = &self.report {
            let total: usize = self.files.iter().map(|f| f.entities().len()).sum();
            let time = millis(report.timing.total);
            note(ui, p, format!("{total} entities in {} files · {} tokens · {time}", self.files.len(), report.tokens));
        }
        for file in &self.files {
            card(p).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(&file.name);
                match &file.result {
                    None => {
                        note(ui, p, format!("{:.1} kB", file.text.len() as f64 / 1e3));
                    }
                    Some(Err(message)) => {
                        ui.label(egui::RichText::new(message.to_string()).color(p.negative));
                    }
                    Some(Ok(_)) => {
                        note(ui, p, tally(file.entities()));
                    }
                }
            });
        }
    }
}

/// How many of each type, and the names that come most often.
fn tally(entities: &[Entity]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    let mut names: Vec<(&str, usize)> = Vec::new();
    for entity in entities {
        for (list, key) in [(&mut kinds, entity.kind.as_str()), (&mut names, entity.text.as_str())] {
            match list.iter_mut().find(|e| e.0 == key) {
                Some(entry) => entry.1 += 1,
                None => list.push((key, 1)),
            }
        }
    }
    for list in [&mut kinds, &mut names] {
        list.sort_by_key(|entry| std::cmp::Reverse(entry.1));
    }
    let kinds: Vec<String> = kinds.iter().map(|(k, n)| format!("{} {n}", kind_name(k))).collect();
    let names: Vec<String> =
        names.iter().take(8).map(|(t, n)| if *n > 1 { format!("{t} ×{n}") } else { (*t).to_owned() }).collect();
    if entities.is_empty() { "no names".into() } else { format!("{} · {}", kinds.join(", "), names.join(", ")) }
}
