//! What the tab looks like with a single text.

use super::{Answer, EXAMPLES, EntitiesTab, kind_name};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, cost_ui, examples, quiet_card, reading_ui, run_stop};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, ink, size, strong};
use crate::app::widgets::gauge::percent;
use crate::app::widgets::marked::{Mark, marked, window};
use crate::app::widgets::{bars, note, secondary};
use crate::tasks::Entity;
use egui::{Align2, Color32, FontId, Layout, Margin, Rect, ScrollArea, Sense, Ui, vec2};

/// Rows of the table that are drawn; the CSV has all.
const ROWS: usize = 300;

/// The colour of a type: CoNLL's four have their own, others take turns.
pub(super) fn color(p: &Palette, kinds: &[String], kind: &str) -> Color32 {
    match kind {
        "PER" | "PERSON" => p.cpu,
        "ORG" => p.latency,
        "LOC" | "GPE" => p.throughput,
        "MISC" => p.memory,
        other => {
            let at = kinds.iter().position(|k| k == other).unwrap_or(0);
            [p.cpu, p.latency, p.throughput, p.memory, p.accent, p.negative][at % 6]
        }
    }
}

impl EntitiesTab {
    pub(super) fn single_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Entities");
            note(ui, cx.palette, "Which people, places and organizations does this text name?");
            ui.add_space(4.0);
            self.text_ui(ui, cx.palette);
            self.controls(ui, cx);
            match self.asking.ui(ui, cx.palette) {
                Some(true) => self.run(cx),
                Some(false) => {}
                None => self.result(ui, cx),
            }
        });
    }

    /// The editor, or the text with its entities.
    fn text_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let Some(answer) = self.answer.as_ref().filter(|_| !self.editing) else {
            self.editor.ui(ui, p, 4, 220.0);
            return;
        };
        let mut clicked = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("marked").max_height(300.0).show(ui, |ui| {
                let shown: Vec<(usize, &Entity)> =
                    answer.found.entities.iter().enumerate().filter(|(_, e)| !self.hidden.contains(&e.kind)).collect();
                // Of a long text only the part around the chosen one is drawn.
                let focus = shown.iter().find(|(i, _)| Some(*i) == self.selected).map_or(0, |(_, e)| e.start);
                let view = window(&answer.text, focus);
                let near: Vec<&(usize, &Entity)> =
                    shown.iter().filter(|(_, e)| e.start < view.end && e.end > view.start).collect();
                let marks: Vec<Mark> = near
                    .iter()
                    .map(|(_, e)| Mark {
                        range: e.start..e.end,
                        color: color(p, &answer.found.kinds, &e.kind),
                        strength: 0.4 + 0.6 * e.score as f32,
                        tag: e.kind.clone(),
                    })
                    .collect();
                let selected = near.iter().position(|(i, _)| Some(*i) == self.selected);
                let names: Vec<&str> = shown.iter().take(50).map(|(_, e)| e.text.as_str()).collect();
                let name = format!("Text with {} names: {}", shown.len(), names.join(", "));
                clicked = marked(ui, p, &answer.text, &marks, selected, &name).map(|m| near[m].0);
            });
        });
        if clicked.is_some() {
            self.selected = if clicked == self.selected { None } else { clicked };
        }
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let busy = self.asking.is_running() || self.why.is_running();
            chosen = run_stop(ui, p, "Run", !self.asking.is_running(), busy);
            if !self.editing && secondary(ui, p, "Edit", "").on_hover_text("Change the text.").clicked() {
                self.editing = true;
            }
            if secondary(ui, p, "Open file…", "").clicked() {
                self.editor.choose();
            }
            if secondary(ui, p, "Batch…", "").on_hover_text("Search several files.").clicked() {
                chosen = Some(UiCommand::Batch);
            }
            chosen = examples(ui, p, &EXAMPLES, &mut self.editor.text).or(chosen);
        });
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    fn result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(answer) = self.answer.clone() else {
            quiet_card(ui, p, "Press Run: the names light up in the text, and their cost in the curves.");
            return;
        };
        self.legend(ui, p, &answer);
        if let Some(entity) = self.selected.and_then(|i| answer.found.entities.get(i)) {
            chosen_ui(ui, p, &answer, entity);
        }
        self.why.ui(ui, cx);
        self.table(ui, p, &answer);
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let count = answer.found.entities.len();
            ui.label(if count == 1 { "1 entity".to_owned() } else { format!("{count} entities") });
            cost_ui(ui, p, &answer.found.reading, &answer.report);
            let all = [UiCommand::Why, UiCommand::Tokens, UiCommand::SaveCsv, UiCommand::CopyText, UiCommand::CopyJson];
            chosen = buttons(ui, p, &all);
        });
        reading_ui(ui, p, &answer.report, self.tokens_shown.then_some(&answer.found.reading));
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    /// A switch per type, with its count.
    fn legend(&mut self, ui: &mut Ui, p: &Palette, answer: &Answer) {
        ui.horizontal_wrapped(|ui| {
            for kind in &answer.found.kinds {
                let count = answer.found.entities.iter().filter(|e| e.kind == *kind).count();
                let hidden = self.hidden.contains(kind);
                let color = color(p, &answer.found.kinds, kind);
                let name = format!("{} {count}", kind_name(kind));
                if bars::legend(ui, p, color, &name, !hidden).clicked() {
                    if hidden {
                        self.hidden.retain(|k| k != kind);
                    } else {
                        self.hidden.push(kind.clone());
                    }
                }
            }
        });
    }

    fn table(&mut self, ui: &mut Ui, p: &Palette, answer: &Answer) {
        let shown: Vec<(usize, &Entity)> =
            answer.found.entities.iter().enumerate().filter(|(_, e)| !self.hidden.contains(&e.kind)).collect();
        if shown.is_empty() {
            quiet_card(ui, p, "No names found.");
            return;
        }
        let mut clicked = None;
        card(p).inner_margin(Margin::same(0)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (index, entity) in shown.iter().take(ROWS) {
                let color = color(p, &answer.found.kinds, &entity.kind);
                let place = format!("{}–{}", answer.letters.before(entity.start), answer.letters.before(entity.end));
                if row(ui, p, entity, color, &place, self.selected == Some(*index)).clicked() {
                    clicked = Some(*index);
                }
            }
        });
        if shown.len() > ROWS {
            note(ui, p, format!("The first {ROWS} of {}; the CSV has all.", shown.len()));
        }
        if clicked.is_some() {
            self.selected = if clicked == self.selected { None } else { clicked };
        }
    }
}

/// The chosen entity: every type's probability.
fn chosen_ui(ui: &mut Ui, p: &Palette, answer: &Answer, entity: &Entity) {
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.label(strong(&entity.text, size::RESULT));
        note(
            ui,
            p,
            format!(
                "Bytes {}–{} of the text. How likely each type is, as the mean over the words:",
                entity.start, entity.end
            ),
        );
        for (kind, share) in &entity.by_kind {
            let color = if kind == "none" { p.muted } else { color(p, &answer.found.kinds, kind) };
            bars::bar(ui, p, &kind_name(kind), *share, color);
        }
    });
}

fn row(ui: &mut Ui, p: &Palette, entity: &Entity, color: Color32, place: &str, selected: bool) -> egui::Response {
    let height = ui.spacing().interact_size.y.max(38.0);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    if selected || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4.0, p.raised);
    }
    ui.painter().hline(rect.x_range(), rect.bottom(), egui::Stroke::new(1.0, p.hairline));
    let name = format!("{} {} {}", kind_name(&entity.kind), entity.text, percent(entity.score));
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, &name));
    let at = |x: f32| egui::pos2(x, rect.center().y);
    let (left, right) = (rect.left() + 14.0, rect.right() - 14.0);
    let painter = ui.painter();
    let small = FontId::monospace(size::LABEL);
    painter.text(at(right), Align2::RIGHT_CENTER, place, small.clone(), p.muted);
    painter.text(at(right - 110.0), Align2::RIGHT_CENTER, percent(entity.score), small, p.text);
    let wide = rect.width() > 560.0;
    if wide {
        let bar = Rect::from_min_size(at(right - 270.0) - vec2(0.0, 5.0), vec2(100.0, 10.0));
        painter.rect_filled(bar, 2.0, p.raised);
        painter.rect_filled(bar.with_max_x(bar.left() + 100.0 * entity.score as f32), 2.0, color);
    }
    let kind_at = right - if wide { 390.0 } else { 270.0 };
    painter.text(
        at(kind_at),
        Align2::LEFT_CENTER,
        kind_name(&entity.kind),
        FontId::proportional(size::BODY),
        ink(p, color),
    );
    let words = Rect::from_min_max(egui::pos2(left, rect.top()), egui::pos2(kind_at - 12.0, rect.bottom()));
    let inside = egui::UiBuilder::new().max_rect(words).layout(Layout::left_to_right(egui::Align::Center));
    let label = egui::Label::new(entity.text.replace('\n', " ")).truncate().selectable(false);
    ui.new_child(inside).add(label);
    response
}
