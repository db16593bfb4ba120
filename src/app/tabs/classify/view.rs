//! What the tab looks like.

use super::{Answer, ClassifyTab, EXAMPLES, shown};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, cost_ui, examples, quiet_card, reading_ui, run_stop};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, size, strong};
use crate::app::widgets::gauge::number;
use crate::app::widgets::{bars, note};
use crate::tasks::ScoreKind;
use egui::{FontId, ScrollArea, TextEdit, Ui};

/// Labels whose bars are shown; JSON has all.
const BARS: usize = 10;

impl ClassifyTab {
    pub(super) fn classify_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Classify");
            note(ui, cx.palette, "Labels of your own: by their names alone, or taught by a few examples.");
            ui.horizontal_wrapped(|ui| {
                ui.selectable_value(&mut self.by_examples, false, "By name");
                ui.selectable_value(&mut self.by_examples, true, "By examples");
            });
            if self.by_examples {
                self.taught.ui(ui, cx);
            } else {
                self.labels_ui(ui);
                note(
                    ui,
                    cx.palette,
                    "One label per line; \"sport: matches, athletes, scores\" says more. Nothing is taught: the text goes to the label whose meaning is nearest.",
                );
            }
            ui.add_space(4.0);
            self.editor.ui(ui, cx.palette, 2, 140.0);
            self.controls(ui, cx);
            match self.asking.ui(ui, cx.palette) {
                Some(true) => self.run(cx),
                Some(false) => {}
                None => self.result(ui, cx),
            }
        });
    }

    fn labels_ui(&mut self, ui: &mut Ui) {
        ScrollArea::vertical().id_salt("labels").max_height(150.0).show(ui, |ui| {
            let rows = self.labels.lines().count().clamp(3, 6);
            let field = TextEdit::multiline(&mut self.labels).desired_rows(rows).desired_width(f32::INFINITY);
            let field = field.font(FontId::proportional(size::BODY)).hint_text("one label per line");
            let _ = ui.add(field).accessible_name("Labels, one per line");
        });
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let busy = self.asking.is_running() || self.why.is_running();
            let ready = !self.asking.is_running() && (!self.by_examples || self.taught.head().is_some());
            chosen = run_stop(ui, p, "Run", ready, busy);
            if self.by_examples {
                if self.taught.head().is_none() {
                    note(ui, p, "Teach first; then classify new texts.");
                }
                return;
            }
            chosen = examples(ui, p, &EXAMPLES, &mut self.editor.text).or(chosen);
        });
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    fn result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(answer) = &self.answer else {
            quiet_card(ui, p, "Press Run: how likely each label is appears here.");
            return;
        };
        let head = self.taught.head();
        scores_ui(ui, p, answer, head.as_ref().map_or(&[], |h| &h.labels));
        self.why.ui(ui, cx);
        let scores = &answer.scores;
        let reading = &scores.reading;
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            cost_ui(ui, p, reading, &answer.report);
            chosen = buttons(ui, p, &[UiCommand::Why, UiCommand::Tokens, UiCommand::CopyText, UiCommand::CopyJson]);
        });
        reading_ui(ui, p, &answer.report, self.tokens_shown.then_some(reading));
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }
}

/// The likeliest label in large letters, then bars. Labels that were taught keep the map's colours.
fn scores_ui(ui: &mut Ui, p: &Palette, answer: &Answer, taught: &[String]) {
    let mut order: Vec<&(String, f64)> = answer.scores.scores.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.label(strong(shown(answer.scores.top().0), size::TITLE));
        for (label, share) in order.iter().take(BARS) {
            let color =
                match taught.iter().position(|l| l == label).filter(|_| answer.options.classify.taught.is_some()) {
                    Some(index) => super::map::color(p, index),
                    None => p.accent,
                };
            match answer.scores.kind {
                ScoreKind::Number => {
                    ui.label(format!("{}  {}", shown(label), number(*share)));
                }
                ScoreKind::Shares | ScoreKind::Each => {
                    bars::bar(ui, p, shown(label), *share, color);
                }
            }
        }
        if answer.scores.kind == ScoreKind::Each && order.len() > 1 {
            note(ui, p, "Each label has a probability of its own: several may hold, or none.");
        }
        if order.len() > BARS {
            note(ui, p, format!("and {} labels more", order.len() - BARS));
        }
    });
}
