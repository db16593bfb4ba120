//! What the tab looks like with a single text.

use super::{Answer, EXAMPLES, SentimentTab};
use crate::app::command::UiCommand;
use crate::app::tabs::Cx;
use crate::app::tabs::asking::{buttons, cost_ui, examples, quiet_card, reading_ui, run_stop};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::gauge::{figure, gauge};
use crate::app::widgets::{millis, note, secondary};
use crate::tasks::ScoreKind;
use egui::{Color32, Layout, Margin, RichText, ScrollArea, Sense, Ui, vec2};

/// Width of the stage from which gauge and words stand side by side.
const BESIDE: f32 = 540.0;
/// Width of the stage from which an answer's numbers and buttons share a line.
const BUTTONS_BESIDE: f32 = 660.0;

/// The colour of a label: the two that we know, the accent for others.
fn label_color(p: &Palette, label: &str) -> Color32 {
    match label {
        "positive" => p.positive,
        "negative" => p.negative,
        _ => p.accent,
    }
}

impl SentimentTab {
    pub(super) fn single_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Sentiment");
            note(ui, cx.palette, "Is this text positive or negative? And which words say so?");
            ui.add_space(4.0);
            let rows = if ui.ctx().content_rect().height() < 700.0 { 2 } else { 3 };
            self.editor.ui(ui, cx.palette, rows, 160.0);
            self.controls(ui, cx);
            self.result(ui, cx);
            self.history_ui(ui, cx.palette);
        });
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        ui.horizontal_wrapped(|ui| {
            let busy = self.asking.is_running() || self.why.is_running();
            let mut chosen = run_stop(ui, p, "Run", !self.asking.is_running(), busy);
            if secondary(ui, p, "Batch…", "").on_hover_text(UiCommand::Batch.tooltip()).clicked() {
                chosen = Some(UiCommand::Batch);
            }
            ui.add_space(8.0);
            chosen = examples(ui, p, &EXAMPLES, &mut self.editor.text).or(chosen);
            if let Some(command) = chosen {
                use crate::app::tabs::Tab as _;
                self.on_command(command, cx);
            }
        });
    }

    fn result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        match self.asking.ui(ui, cx.palette) {
            Some(true) => self.run(cx),
            Some(false) => {}
            None => match self.answer.clone() {
                None => quiet_card(ui, cx.palette, "Press Run: the answer appears here, and its cost in the curves."),
                Some(answer) => {
                    self.answer_ui(ui, cx, &answer);
                    self.details_ui(ui, cx, &answer);
                }
            },
        }
    }

    fn answer_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, answer: &Answer) {
        let p = cx.palette;
        let (label, share) = answer.scores.top();
        let color = label_color(p, label);
        let measure = |ui: &mut Ui| match answer.scores.kind {
            ScoreKind::Number => figure(ui, p, share, label, color),
            ScoreKind::Shares | ScoreKind::Each => gauge(ui, p, share, label, color),
        };
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            if ui.available_width() >= BESIDE {
                ui.horizontal_top(|ui| {
                    measure(ui);
                    ui.add_space(20.0);
                    ui.vertical(|ui| self.why.ui(ui, cx, &answer.text));
                });
            } else {
                ui.vertical_centered(measure);
                self.why.ui(ui, cx, &answer.text);
            }
        });
    }

    fn details_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, answer: &Answer) {
        let p = cx.palette;
        let mut chosen = None;
        let beside = ui.available_width() >= BUTTONS_BESIDE;
        ui.horizontal_wrapped(|ui| {
            for (label, share) in answer.scores.scores.iter().rev().take(6) {
                ui.label(label);
                ui.label(figures(format!("{share:.3}"), size::LABEL).strong());
                ui.add_space(4.0);
            }
            cost_ui(ui, p, &answer.scores.reading, &answer.report);
            if beside {
                ui.with_layout(Layout::right_to_left(egui::Align::Center), |ui| {
                    chosen = buttons(ui, p, &[UiCommand::CopyJson, UiCommand::CopyText, UiCommand::Tokens]);
                });
            }
        });
        if !beside {
            ui.horizontal_wrapped(|ui| {
                chosen = buttons(ui, p, &[UiCommand::Tokens, UiCommand::CopyText, UiCommand::CopyJson]);
            });
        }
        reading_ui(ui, p, &answer.report, self.tokens_shown.then_some(&answer.scores.reading));
        if let Some(command) = chosen {
            use crate::app::tabs::Tab as _;
            self.on_command(command, cx);
        }
    }

    fn history_ui(&mut self, ui: &mut Ui, p: &Palette) {
        if self.history.is_empty() {
            return;
        }
        ui.add_space(4.0);
        note(ui, p, "History");
        let mut chosen = None;
        card(p).inner_margin(Margin::same(0)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (i, answer) in self.history.iter().enumerate() {
                if i > 0 {
                    ui.separator();
                }
                if history_row(ui, p, answer).clicked() {
                    chosen = Some(answer.clone());
                }
            }
        });
        if let Some(answer) = chosen {
            self.editor.text.clone_from(&answer.text);
            self.why.clear();
            self.asking.clear();
            self.answer = Some(answer);
        }
    }
}

fn history_row(ui: &mut Ui, p: &Palette, answer: &Answer) -> egui::Response {
    let (label, share) = answer.scores.top();
    let color = label_color(p, label);
    let mark = match label {
        "positive" => "▲",
        "negative" => "▼",
        _ => "●",
    };
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 38.0), Sense::click());
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, f32::from(size::RADIUS), p.raised);
    }
    let name = format!("history {label} {}", answer.text);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    let mut row = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect.shrink2(vec2(16.0, 0.0)))
            .layout(Layout::left_to_right(egui::Align::Center)),
    );
    row.label(RichText::new(format!("{mark} {share:.2}")).color(color));
    row.add_space(20.0);
    row.with_layout(Layout::right_to_left(egui::Align::Center), |ui| {
        ui.label(figures(millis(answer.report.timing.total), size::LABEL).color(p.muted));
        ui.with_layout(Layout::left_to_right(egui::Align::Center), |ui| {
            let first: String = answer.text.chars().take(200).collect();
            ui.add(egui::Label::new(first.replace('\n', " ")).truncate().selectable(false));
        });
    });
    response
}
