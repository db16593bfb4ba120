//! A written summary beside its source, and either kind beside a reference.

use super::{Measured, Method, SummaryTab, Written};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, warnings_ui};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::marked::{Mark, marked};
use crate::app::widgets::{explain, millis, note, secondary};
use crate::labs::overlap::Rouge;
use egui::{Align, Label, Layout, RichText, ScrollArea, Sense, TextEdit, Ui};

impl SummaryTab {
    /// The source of a written summary, with the sentences lit that the chosen sentence is nearest to.
    pub(super) fn written_source(&mut self, ui: &mut Ui, p: &Palette, height: f32) {
        let Some(written) = &self.writer.written else { return };
        let lit: Vec<(usize, f32)> = match self.selected {
            Some(sentence) => written.near.get(sentence).cloned().unwrap_or_default(),
            None => written.near.iter().flatten().copied().collect(),
        };
        let mut places: Vec<(usize, f32)> = lit;
        places.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        places.dedup_by_key(|l| l.0);
        let mark = |(index, cosine): &(usize, f32)| {
            let range = written.places[1].get(*index)?.clone();
            Some(Mark { range, color: p.accent, strength: 0.8, tag: format!("{cosine:.2}") })
        };
        let marks: Vec<Mark> = places.iter().filter_map(mark).collect();
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("written source").max_height(height).show(ui, |ui| {
                marked(ui, p, &written.text, &marks, None, "Text with the sentences that the summary is nearest to");
            });
        });
    }

    /// A written summary, sentence by sentence.
    pub(super) fn written_result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        if self.writer.is_running() && !self.writer.coming.is_empty() {
            written_card(ui, p, |ui| {
                ui.label(RichText::new(&self.writer.coming).size(size::INPUT).color(p.muted));
            });
        }
        let Some(written) = &self.writer.written else { return };
        let mut clicked = None;
        written_card(ui, p, |ui| {
            for (index, place) in written.places[0].iter().enumerate() {
                let text = RichText::new(&written.summary[place.clone()]).size(size::INPUT);
                let text = if self.selected == Some(index) { text.color(p.accent) } else { text };
                let near = written.near.get(index).and_then(|n| n.first());
                let hover = near.map_or_else(
                    || "No sentence of the text is near to this one: read it with care.".to_owned(),
                    |n| format!("Nearest sentence of the text: cosine {:.2}. Click to light it.", n.1),
                );
                if ui.add(Label::new(text).wrap().sense(Sense::click())).on_hover_text(hover).clicked() {
                    clicked = Some(index);
                }
            }
            if written.places[0].is_empty() {
                note(ui, p, "The model wrote nothing.");
            }
        });
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let [read, wrote] = written.tokens();
            let parts = if written.windows > 1 {
                format!("{} parts, {} passes · ", written.windows, written.passes)
            } else {
                String::new()
            };
            note(ui, p, format!("{parts}{read} tokens read, {wrote} written · {}", millis(written.millis())));
            chosen = buttons(ui, p, &[UiCommand::CopyText, UiCommand::CopyJson]);
        });
        if let Some(report) = written.reports.last() {
            warnings_ui(ui, p, report);
        }
        let lost = written.near.iter().filter(|n| n.is_empty()).count();
        if lost > 0 && written.near.len() == written.places[0].len() && written.near.iter().any(|n| !n.is_empty()) {
            let what = if lost == 1 { "One sentence has".to_owned() } else { format!("{lost} sentences have") };
            let text = format!("{what} no near sentence in the text: the model may have made it up.");
            ui.label(RichText::new(text).size(size::LABEL).color(p.warning));
        }
        if clicked.is_some() {
            self.selected = if clicked == self.selected { None } else { clicked };
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    /// The summary that is shown, and the text that it is of.
    pub(super) fn shown(&self) -> Option<(&str, &str)> {
        if self.method == Method::Extractive {
            return self.answer.as_ref().map(|a| (a.summary.text.as_str(), a.text.as_str()));
        }
        let fits = |w: &&Written| w.method == self.method;
        self.writer.written.as_ref().filter(fits).map(|w| (w.summary.as_str(), w.text.as_str()))
    }

    /// The request that made the summary that is shown.
    fn shown_id(&self) -> Option<u64> {
        match self.method {
            Method::Extractive => self.answer.as_ref().map(|a| a.request),
            _ => self.writer.written.as_ref().map(|w| w.request),
        }
    }

    /// How much shorter the summary is, and what it has in common with a reference.
    pub(super) fn measures(&mut self, ui: &mut Ui, p: &Palette) {
        let Some((summary, text)) = self.shown() else { return };
        let id = self.shown_id();
        if self.measured.as_ref().is_none_or(|m| m.of != id || m.reference != self.reference) {
            let words = |t: &str| t.split_whitespace().count();
            let words = [words(summary), words(text)];
            let rouge = Rouge::of(summary, &self.reference);
            self.measured = Some(Measured { of: id, reference: self.reference.clone(), words, rouge });
        }
        let Some(Measured { words: [short, all], rouge, .. }) = self.measured else { return };
        ui.horizontal_wrapped(|ui| {
            let ratio = if short > 0 { all as f64 / short as f64 } else { 0.0 };
            note(ui, p, format!("{short} of {all} words: {ratio:.1} times shorter"));
            let label = if self.comparing { "Hide the reference" } else { "Compare with a reference…" };
            if secondary(ui, p, label, "").clicked() {
                self.comparing = !self.comparing;
            }
        });
        if !self.comparing {
            return;
        }
        let field = TextEdit::multiline(&mut self.reference).desired_rows(3).desired_width(f32::INFINITY);
        let _ = ui.add(field.hint_text("Paste a summary by a person")).accessible_name("Reference summary");
        if !self.reference.trim().is_empty() {
            ui.horizontal_wrapped(|ui| {
                for (name, value) in [("ROUGE-1", rouge.rouge1), ("ROUGE-2", rouge.rouge2), ("ROUGE-L", rouge.rouge_l)] {
                    note(ui, p, name);
                    ui.label(figures(format!("{:.1}", value * 100.0), size::BODY));
                }
                explain(
                    ui,
                    "ROUGE",
                    "How many words (1), pairs of words (2), and words in the same order (L) the summary and the reference have in common: 100 would be the same text. A good summary in other words can score low.",
                );
            });
        }
    }
}

/// A card of running text; columns would stretch its lines to both edges.
fn written_card(ui: &mut Ui, p: &Palette, add: impl FnOnce(&mut Ui)) {
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.with_layout(Layout::top_down(Align::LEFT), add);
    });
}
