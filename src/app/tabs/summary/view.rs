//! What the tab looks like.

use super::{Answer, EXAMPLES, SummaryTab};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, cost_ui, pieces_ui, quiet_card, run_stop, warnings_ui};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::marked::{Mark, marked};
use crate::app::widgets::{bars, chips, explain, note, secondary};
use egui::{RichText, ScrollArea, Sense, Slider, Ui, vec2};

/// Width of the stage from which text and summary stand side by side.
const BESIDE: f32 = 640.0;

impl SummaryTab {
    pub(super) fn summary_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Summary");
            note(ui, cx.palette, "The sentences of a text that say most of it, in its own words.");
            ui.add_space(4.0);
            self.controls(ui, cx);
            match self.asking.ui(ui, cx.palette) {
                Some(true) => self.run(cx),
                Some(false) => {}
                None if self.answer.is_none() => {
                    quiet_card(ui, cx.palette, "Press Run: the summary appears here, its sentences lit in the text.");
                }
                None => {}
            }
            if ui.available_width() >= BESIDE && self.answer.is_some() {
                ui.columns(2, |columns| {
                    self.text_ui(&mut columns[0], cx.palette, 460.0);
                    self.result(&mut columns[1], cx);
                });
            } else {
                self.result(ui, cx);
                self.text_ui(ui, cx.palette, 300.0);
            }
        });
    }

    /// The editor, or the text with its chosen sentences.
    fn text_ui(&mut self, ui: &mut Ui, p: &Palette, height: f32) {
        let Some(answer) = self.answer.as_ref().filter(|_| !self.editing) else {
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
            chosen = run_stop(ui, p, "Run", !self.asking.is_running(), self.asking.is_running());
            let shown = self.answer.is_some() && !self.editing;
            if shown && secondary(ui, p, "Edit", "").on_hover_text("Change the text.").clicked() {
                self.editing = true;
            }
            if secondary(ui, p, "Open file…", "").clicked() {
                self.editor.choose();
            }
            for (name, text) in EXAMPLES {
                if chips::choice(ui, p, name).clicked() {
                    self.editor.text = text.to_owned();
                    chosen = Some(UiCommand::Run);
                }
            }
        });
        let mut changed = false;
        ui.horizontal_wrapped(|ui| {
            note(ui, p, "Length");
            ui.spacing_mut().slider_width = 150.0;
            if self.by_percent {
                let slider = Slider::new(&mut self.percent, 5.0..=100.0).step_by(5.0).suffix(" %");
                changed = ui.add(slider).accessible_name("Share of the sentences").drag_stopped();
            } else {
                let slider = Slider::new(&mut self.sentences, 1..=20);
                changed = ui.add(slider).accessible_name("Sentences").drag_stopped();
            }
            changed |= ui.selectable_value(&mut self.by_percent, false, "sentences").clicked();
            changed |= ui.selectable_value(&mut self.by_percent, true, "percent").clicked();
        });
        if changed && self.answer.is_some() {
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
            let words = |t: &str| t.split_whitespace().count();
            let (all, short) = (words(&answer.text), words(&answer.summary.text));
            ui.label(format!(
                "{} of {} sentences · {short} of {all} words",
                answer.summary.chosen.len(),
                answer.summary.sentences.len()
            ));
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
        warnings_ui(ui, p, &answer.report);
        if self.tokens_shown {
            pieces_ui(ui, p, &answer.summary.reading);
        }
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
