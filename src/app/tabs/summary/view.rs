//! What the tab looks like.

use super::{Answer, EXAMPLES, Method, SummaryTab, t5};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, cost_ui, examples, quiet_card, reading_ui, run_stop};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::file_picker::{FilePicker, Purpose};
use crate::app::widgets::marked::{Mark, marked};
use crate::app::widgets::{bars, explain, note, secondary};
use egui::{RichText, ScrollArea, Sense, Slider, Ui, vec2};

/// Width of the stage from which text and summary stand side by side.
const BESIDE: f32 = 640.0;

impl SummaryTab {
    pub(super) fn summary_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Summary");
            self.method_ui(ui, cx);
            ui.add_space(4.0);
            self.controls(ui, cx);
            let written = self.method != Method::Extractive;
            let said = if written { self.writer.asking.ui(ui, cx.palette) } else { self.asking.ui(ui, cx.palette) };
            if let Some((done, all)) = self.writer.progress().filter(|_| written && self.writer.is_running()) {
                note(ui, cx.palette, format!("Part {} of {all}", done + 1));
            }
            match said {
                Some(true) => self.run(cx),
                Some(false) => {}
                None if self.shown().is_none() => {
                    quiet_card(ui, cx.palette, "Press Run: the summary appears here, its sentences lit in the text.");
                }
                None => {}
            }
            if ui.available_width() >= BESIDE && self.shown().is_some() {
                ui.columns(2, |columns| {
                    self.text_ui(&mut columns[0], cx.palette, 460.0);
                    self.either_result(&mut columns[1], cx);
                });
            } else {
                self.either_result(ui, cx);
                self.text_ui(ui, cx.palette, 300.0);
            }
        });
    }

    fn either_result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.method == Method::Extractive {
            self.result(ui, cx);
        } else {
            self.written_result(ui, cx);
        }
        self.measures(ui, cx.palette);
    }

    /// The three ways, and what the chosen one does.
    fn method_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let before = self.method;
        ui.horizontal_wrapped(|ui| {
            for (method, name) in [
                (Method::Extractive, "Its own sentences"),
                (Method::Abstractive, "Other words (T5)"),
                (Method::Chat, "Chat model"),
            ] {
                ui.selectable_value(&mut self.method, method, name);
            }
        });
        if self.method != before {
            self.selected = None;
        }
        let about = match self.method {
            Method::Extractive => "The sentences of a text that say most of it, in its own words.",
            Method::Abstractive => "Written anew by a T5 model with beam search; long texts in parts, then once more.",
            Method::Chat => {
                "The chat model is asked to summarize. A small one often copies, or makes things up: see what lights up."
            }
        };
        note(ui, p, about);
        if self.method == Method::Abstractive {
            ui.horizontal_wrapped(|ui| {
                let shown = t5(cx).map(|(_, name)| name);
                note(ui, p, format!("Model: {}", shown.unwrap_or_else(|| "none chosen".into())));
                let hover = "Choose any file in the folder of a T5 checkpoint (config.json, model.safetensors, tokenizer.json or spiece.model).";
                if secondary(ui, p, "Choose…", "").on_hover_text(hover).clicked() {
                    self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
                }
            });
        }
    }

    /// How long a T5 summary may be.
    fn limits_ui(&mut self, ui: &mut Ui, p: &Palette) -> bool {
        let mut changed = false;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().slider_width = 90.0;
            note(ui, p, "Tokens");
            let least = Slider::new(&mut self.limits.least, 0..=100).text("at least");
            changed |= ui.add(least).accessible_name("Least tokens").drag_stopped();
            let most = Slider::new(&mut self.limits.most, 10..=250).text("at most");
            changed |= ui.add(most).accessible_name("Most tokens").drag_stopped();
            note(ui, p, "Beams");
            for n in [1, 2, 4] {
                let button = egui::Button::selectable(self.limits.beams == n, n.to_string());
                if ui.add(button).accessible_name(format!("{n} beams")).clicked() {
                    changed |= self.limits.beams != n;
                    self.limits.beams = n;
                }
            }
        });
        changed
    }

    /// The editor, or the text with its chosen sentences.
    fn text_ui(&mut self, ui: &mut Ui, p: &Palette, height: f32) {
        if !self.editing && self.method != Method::Extractive && self.shown().is_some() {
            self.written_source(ui, p, height);
            return;
        }
        let extractive = self.method == Method::Extractive;
        let Some(answer) = self.answer.as_ref().filter(|_| !self.editing && extractive) else {
            self.editor.ui(ui, p, 10, height);
            return;
        };
        let (marks, chosen) = marks(p, answer, self.shades);
        let selected = self.selected.and_then(|s| chosen.iter().position(|c| *c == Some(s)));
        let mut clicked = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("source").max_height(height).show(ui, |ui| {
                clicked = marked(ui, p, &answer.text, &marks, selected, "Text with the chosen sentences lit");
            });
        });
        if let Some(mark) = clicked {
            self.selected = chosen[mark].filter(|c| Some(*c) != self.selected);
        }
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let busy = self.asking.is_running() || self.writer.is_running();
            chosen = run_stop(ui, p, "Run", !busy, busy);
            let shown = self.shown().is_some() && !self.editing;
            if shown && secondary(ui, p, "Edit", "").on_hover_text("Change the text.").clicked() {
                self.editing = true;
            }
            if secondary(ui, p, "Open file…", "").clicked() {
                self.editor.choose();
            }
            chosen = examples(ui, p, &EXAMPLES, &mut self.editor.text).or(chosen);
        });
        let mut changed = false;
        if self.method == Method::Abstractive {
            changed = self.limits_ui(ui, p);
        } else {
            ui.horizontal_wrapped(|ui| {
                note(ui, p, "Length");
                ui.spacing_mut().slider_width = 150.0;
                if self.by_percent && self.method == Method::Extractive {
                    let slider = Slider::new(&mut self.percent, 5.0..=100.0).step_by(5.0).suffix(" %");
                    changed = ui.add(slider).accessible_name("Share of the sentences").drag_stopped();
                } else {
                    let slider = Slider::new(&mut self.sentences, 1..=20);
                    changed = ui.add(slider).accessible_name("Sentences").drag_stopped();
                }
                if self.method == Method::Extractive {
                    changed |= ui.selectable_value(&mut self.by_percent, false, "sentences").clicked();
                    changed |= ui.selectable_value(&mut self.by_percent, true, "percent").clicked();
                }
            });
        }
        if changed && self.shown().is_some() {
            chosen = Some(UiCommand::Run);
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    fn result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(answer) = &self.answer else { return };
        let mut clicked = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            for (i, sentence) in answer.summary.chosen.iter().enumerate() {
                if sentence_ui(ui, p, &sentence.text, sentence.rank, sentence.score, self.selected == Some(i)) {
                    clicked = Some(i);
                }
            }
        });
        if clicked.is_some() {
            self.selected = if clicked == self.selected { None } else { clicked };
        }
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            ui.label(format!("{} of {} sentences", answer.summary.chosen.len(), answer.summary.sentences.len()));
            cost_ui(ui, p, &answer.summary.reading, &answer.report);
            chosen = buttons(ui, p, &[UiCommand::Why, UiCommand::Tokens, UiCommand::CopyText, UiCommand::CopyJson]);
        });
        if self.shades {
            note(
                ui,
                p,
                "Why these? The stronger a sentence's ground in the text, the nearer its meaning is to the mean of all. The summary takes the nearest, but none that says again what another has said.",
            );
        }
        reading_ui(ui, p, &answer.report, self.tokens_shown.then_some(&answer.summary.reading));
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }
}

/// The stretches to light: the chosen sentences, and with `shades` all others by how central they are.
/// With each the chosen sentence that it is.
fn marks(p: &Palette, answer: &Answer, shades: bool) -> (Vec<Mark>, Vec<Option<usize>>) {
    let scores = answer.summary.sentences.iter().map(|s| s.1);
    let (low, high) = scores.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), s| (l.min(s), h.max(s)));
    let share = |s: f32| if high > low { (s - low) / (high - low) } else { 1.0 };
    let chosen = &answer.summary.chosen;
    let each = answer.summary.sentences.iter().filter_map(|(range, score)| {
        let at = chosen.binary_search_by_key(&range.start, |c| c.start).ok();
        if at.is_none() && !shades {
            return None;
        }
        let strength = if shades { 0.1 + 0.9 * share(*score) } else { 0.8 };
        let color = if at.is_some() { p.accent } else { p.muted };
        let tag = at.map_or_else(String::new, |i| chosen[i].rank.to_string());
        Some((Mark { range: range.clone(), color, strength, tag }, at))
    });
    each.unzip()
}

/// A sentence of the summary; whether it was clicked.
fn sentence_ui(ui: &mut Ui, p: &Palette, text: &str, rank: usize, score: f64, selected: bool) -> bool {
    let row = ui.horizontal_top(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(26.0, 26.0), Sense::hover());
        ui.painter().circle_filled(rect.center(), 11.0, if selected { p.accent } else { p.raised });
        let color = if selected { p.on_accent } else { p.text };
        let font = egui::FontId::monospace(size::LABEL);
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, rank.to_string(), font, color);
        ui.vertical(|ui| {
            let shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let label = egui::Label::new(RichText::new(shown).size(size::INPUT)).wrap().sense(Sense::click());
            let clicked = ui.add(label).clicked();
            ui.horizontal(|ui| {
                bars::line(ui, p, score, p.accent, 90.0);
                ui.label(figures(format!("{score:.2}"), size::SMALL).color(p.muted));
                if rank == 1 {
                    explain(
                        ui,
                        "the number",
                        "How near the sentence's meaning is to the mean of all sentences (the cosine of their embeddings): 1 would be the same, 0 nothing in common. The number in the circle says in which order they were chosen.",
                    );
                }
            });
            clicked
        })
        .inner
    });
    row.inner
}
