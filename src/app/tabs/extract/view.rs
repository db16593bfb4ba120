//! What the tab looks like.

use super::{EXAMPLES, ExtractTab};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, pieces_ui, quiet_card, run_stop, warnings_ui};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, ink, size};
use crate::app::widgets::gauge::percent;
use crate::app::widgets::icons::{Icon, quiet};
use crate::app::widgets::marked::{Mark, marked};
use crate::app::widgets::{chips, millis, note, secondary};
use crate::labs::extract::{Field, Source};
use egui::{Color32, FontId, ScrollArea, TextEdit, Ui, vec2};
use std::collections::BTreeMap;

/// Rows that are drawn; the CSV has all.
const ROWS: usize = 200;

fn color(p: &Palette, source: Source) -> Color32 {
    match source {
        Source::Question => p.accent,
        Source::Entity => p.throughput,
        Source::Pattern => p.latency,
        Source::Person => p.memory,
    }
}

impl ExtractTab {
    pub(super) fn extract_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let p = cx.palette;
            ui.heading("Extract");
            note(ui, p, "Fields out of a text: names, dates, amounts and addresses, and what you ask for.");
            ui.add_space(4.0);
            self.text_ui(ui, p);
            note(ui, p, "Fields to ask for, one per line: a name, or \"name: a question\".");
            let field = TextEdit::multiline(&mut self.wanted).desired_rows(3).desired_width(f32::INFINITY);
            let field = field.font(FontId::proportional(size::BODY)).hint_text("total: What is the total amount?");
            let _ = ui.add(field).accessible_name("Fields to ask for");
            self.controls(ui, cx);
            let (names, questions) = (self.names.ui(ui, p), self.questions.ui(ui, p));
            if names == Some(true) || questions == Some(true) {
                self.run(cx);
            }
            if names.is_none() && questions.is_none() {
                self.result_ui(ui, cx);
            }
        });
    }

    /// The editor, or the text with the fields' places lit.
    fn text_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let Some(result) = self.result.as_ref().filter(|_| !self.editing) else {
            self.editor.ui(ui, p, 4, 180.0);
            return;
        };
        // What is found does not overlap, but an answer may lie over it, or over another answer: the
        // chosen field comes first, then the answers in their order.
        let mut placed =
            result.fields.iter().enumerate().filter_map(|(i, f)| Some((i, f.place?, f))).collect::<Vec<_>>();
        placed.sort_by_key(|(i, _, f)| (self.selected != Some(*i), f.source != Source::Question, *i));
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        let mut order: Vec<(usize, Mark)> = Vec::new();
        for (i, (start, end), field) in placed {
            if taken.range(..end).next_back().is_none_or(|(_, last)| *last <= start) {
                taken.insert(start, end);
                let (color, tag) = (color(p, field.source), field.name.clone());
                order.push((i, Mark { range: start..end, color, strength: 0.7, tag }));
            }
        }
        order.sort_by_key(|o| o.1.range.start);
        let marks: Vec<Mark> = order.iter().map(|o| o.1.clone()).collect();
        let selected = order.iter().position(|o| Some(o.0) == self.selected);
        let mut clicked = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("fields text").max_height(240.0).show(ui, |ui| {
                clicked = marked(ui, p, &result.text, &marks, selected, "Text with its fields lit");
            });
        });
        if let Some(mark) = clicked {
            self.selected = Some(order[mark].0);
        }
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            chosen = run_stop(ui, p, "Run", !self.is_running(), self.is_running());
            let shown = self.result.is_some() && !self.editing;
            if shown && secondary(ui, p, "Edit", "").on_hover_text("Change the text.").clicked() {
                self.editing = true;
            }
            if secondary(ui, p, "Open file…", "").clicked() {
                self.editor.choose();
            }
            for (name, text, wanted) in EXAMPLES {
                if chips::choice(ui, p, name).clicked() {
                    self.editor.text = text.to_owned();
                    self.wanted = wanted.to_owned();
                    chosen = Some(UiCommand::Run);
                }
            }
        });
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    fn result_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(result) = &mut self.result else {
            quiet_card(ui, p, "Press Run: the fields appear here as a table that you can correct.");
            return;
        };
        let (mut remove, mut focus) = (None, None);
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            for (i, field) in result.fields.iter_mut().take(ROWS).enumerate() {
                let row = field_row(ui, p, i, field, self.selected == Some(i));
                if row.remove {
                    remove = Some(i);
                }
                if row.focused {
                    focus = Some(i);
                }
            }
            if result.fields.is_empty() {
                note(ui, p, "Nothing found.");
            }
            if secondary(ui, p, "Add field", "").clicked() {
                let (name, value) = ("new".to_owned(), Some(String::new()));
                result.fields.push(Field { name, value, place: None, score: 1.0, source: Source::Person });
            }
        });
        if let Some(index) = remove {
            result.fields.remove(index);
            self.selected = None;
        }
        if focus.is_some() {
            self.selected = focus;
        }
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            let tokens: usize = result.reports.iter().map(|r| r.tokens).sum();
            let ms: f64 = result.reports.iter().map(|r| r.timing.total).fold(0.0, f64::max);
            note(ui, p, format!("{} fields · {tokens} tokens · {}", result.fields.len(), millis(ms)));
            chosen = buttons(ui, p, &[UiCommand::Tokens, UiCommand::SaveCsv, UiCommand::CopyText, UiCommand::CopyJson]);
        });
        for report in &result.reports {
            warnings_ui(ui, p, report);
        }
        if self.tokens_shown {
            pieces_ui(ui, p, &result.reading);
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }
}

/// What a person did in a row.
struct RowResponse {
    remove: bool,
    focused: bool,
}

fn field_row(ui: &mut Ui, p: &Palette, index: usize, field: &mut Field, selected: bool) -> RowResponse {
    let mut out = RowResponse { remove: false, focused: false };
    ui.horizontal(|ui| {
        let (dot, _) = ui.allocate_exact_size(vec2(10.0, 10.0), egui::Sense::hover());
        ui.painter().circle_filled(dot.center(), if selected { 5.0 } else { 3.5 }, color(p, field.source));
        let name = TextEdit::singleline(&mut field.name).desired_width(110.0);
        out.focused |= ui.add(name).accessible_name(format!("Name of field {}", index + 1)).has_focus();
        let width = (ui.available_width() - 180.0).max(80.0);
        let mut value = field.value.clone().unwrap_or_default();
        let edit = TextEdit::singleline(&mut value).desired_width(width).hint_text("the text does not say");
        let edit = ui.add(edit).accessible_name(format!("Value of field {}", index + 1));
        out.focused |= edit.has_focus();
        if edit.changed() {
            field.value = Some(value);
            field.source = Source::Person;
            field.place = None;
        }
        let share = if field.source == Source::Person { "—".to_owned() } else { percent(field.score) };
        ui.add_sized(vec2(48.0, 18.0), egui::Label::new(figures(share, size::LABEL)));
        ui.add_sized(
            vec2(62.0, 18.0),
            egui::Label::new(
                egui::RichText::new(field.source.name()).size(size::LABEL).color(ink(p, color(p, field.source))),
            ),
        );
        out.remove = quiet(ui, p, Icon::Bin, &format!("Remove field {}", index + 1)).clicked();
    });
    out
}
