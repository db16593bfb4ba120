//! The stage: heading, what is added, will it fit, filter, rows.

use super::adding::Adding;
use super::{ModelsTab, TASKS};
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, size};
use crate::app::widgets::{note, secondary};
use crate::engine::news::{Errand, Found};
use crate::engine::shelf::Volume;
use egui::{Align, Frame, Layout, RichText, ScrollArea, Stroke, TextEdit, Ui};

impl ModelsTab {
    pub(super) fn show(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.heading("Models");
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if self.adding.is_none() && secondary(ui, cx.palette, "Add file or id…", "").clicked() {
                        self.adding = Some(Adding::of(String::new()));
                    }
                });
            });
            note(ui, cx.palette, "What is here, what can be had, and what fits this board.");
            self.adding_ui(ui, cx);
            self.fit_ui(ui, cx);
            self.filter_ui(ui, cx);
            self.list_ui(ui, cx);
            self.found_ui(ui, cx);
            note(ui, cx.palette, "Drop a GGUF file or a model folder anywhere in the window to add it.");
        });
    }

    fn filter_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let mut entered = false;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let label = |text: &str| RichText::new(text).size(size::LABEL);
            if ui.selectable_label(self.only.is_none(), label("All")).clicked() {
                self.only = None;
            }
            for (task, name) in TASKS {
                if self.volumes().iter().any(|v| v.task == task)
                    && ui.selectable_label(self.only == Some(task), label(name)).clicked()
                {
                    self.only = Some(task);
                }
            }
            let field = TextEdit::singleline(&mut self.words).hint_text("find").desired_width(110.0);
            let field = ui.add(field.align(egui::Align2::LEFT_CENTER)).accessible_name("Find a model");
            entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        });
        let words = self.words.trim().to_owned();
        if words.is_empty() {
            self.found = None;
            return;
        }
        ui.horizontal(|ui| {
            let asked =
                ui.add_enabled_ui(!self.searching, |ui| secondary(ui, cx.palette, "Search the hub", "").clicked());
            note(ui, cx.palette, "for more than the list has");
            if (entered || asked.inner) && !self.searching {
                self.searching = true;
                self.ask(Errand::Search(words), cx);
            }
        });
    }

    fn is_shown(&self, volume: &Volume) -> bool {
        let text = || format!("{} {} {}", volume.name, volume.id, volume.languages.join(" ")).to_lowercase();
        self.only.is_none_or(|task| volume.task == task)
            && (self.words.trim().is_empty()
                || self.words.to_lowercase().split_whitespace().all(|w| text().contains(w)))
    }

    fn list_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(shelf) = self.shelf.clone() else {
            note(ui, p, "Looking through the folders…");
            return;
        };
        // Downloads that have no row yet.
        let strangers: Vec<String> = self.downloads.keys().filter(|id| self.volume(id).is_none()).cloned().collect();
        if !strangers.is_empty() {
            list(ui, p, |ui| strangers.iter().for_each(|id| self.stranger(ui, cx, id)));
        }
        for (here, title) in [(true, "Here"), (false, "To be had")] {
            let volumes: Vec<&Volume> =
                shelf.volumes.iter().filter(|v| v.is_here == here && self.is_shown(v)).collect();
            if volumes.is_empty() {
                continue;
            }
            ui.add_space(2.0);
            note(ui, p, title);
            list(ui, p, |ui| {
                for (i, volume) in volumes.iter().enumerate() {
                    if i > 0 {
                        hairline(ui, p);
                    }
                    self.row(ui, cx, volume);
                    if self.selected.as_deref() == Some(&volume.id) {
                        self.details(ui, cx, volume);
                    }
                }
            });
        }
    }

    /// What the hub has for the words.
    fn found_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        if self.searching {
            note(ui, p, "Searching the hub…");
        }
        // It is back before the frame ends: rows need the tab.
        let Some((words, result)) = self.found.take() else { return };
        ui.add_space(2.0);
        match &result {
            Ok(found) => self.found_rows(ui, cx, &words, found),
            Err(message) => {
                note(ui, p, format!("The hub was not searched: {}. {}", message.why, message.next));
            }
        }
        self.found = Some((words, result));
    }

    fn found_rows(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, words: &str, found: &[Found]) {
        let p = cx.palette;
        let fresh: Vec<_> = found.iter().filter(|f| runs(f) && self.volume(&f.id).is_none()).collect();
        if fresh.is_empty() {
            note(ui, p, format!("The hub has nothing more for \"{words}\" that could run here."));
            return;
        }
        note(ui, p, format!("On the hub, for \"{words}\""));
        list(ui, p, |ui| {
            for (i, one) in fresh.iter().enumerate() {
                if i > 0 {
                    hairline(ui, p);
                }
                self.found_row(ui, cx, one);
            }
        });
    }
}

/// Whether the hub calls it something that may run here. What does not is told before its weights come.
fn runs(found: &Found) -> bool {
    const KINDS: [&str; 10] = [
        "text-classification",
        "token-classification",
        "question-answering",
        "translation",
        "summarization",
        "text2text-generation",
        "text-generation",
        "sentence-similarity",
        "feature-extraction",
        "image-text-to-text",
    ];
    found.pipeline.as_deref().is_none_or(|kind| KINDS.contains(&kind))
}

/// A card whose rows reach its edges.
fn list(ui: &mut Ui, p: &Palette, rows: impl FnOnce(&mut Ui)) {
    let frame = Frame::new().fill(p.panel).stroke(Stroke::new(1.0, p.hairline)).corner_radius(size::RADIUS);
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        rows(ui);
    });
}

fn hairline(ui: &Ui, p: &Palette) {
    let range = ui.max_rect().x_range();
    ui.painter().hline(range, ui.cursor().top(), Stroke::new(1.0, p.hairline));
}
