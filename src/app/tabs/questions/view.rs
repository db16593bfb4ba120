//! What the tab looks like.

use super::{Answered, EXAMPLES, QuestionsTab};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, cost_ui, quiet_card, reading_ui, run_stop};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size, strong};
use crate::app::widgets::gauge::percent;
use crate::app::widgets::marked::{Mark, marked};
use crate::app::widgets::{bars, chips, explain, note, secondary};
use crate::tasks::Place;
use egui::{FontId, Margin, RichText, ScrollArea, Sense, TextEdit, Ui, vec2};

/// Places less likely than this are not shown.
const LEAST: f64 = 0.005;
/// Width of the stage from which passage and questions stand side by side.
const BESIDE: f32 = 640.0;

impl QuestionsTab {
    pub(super) fn questions_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.heading("Questions");
                    note(ui, cx.palette, "Ask about a text. The answer is a piece of it, or nothing.");
                });
                ui.with_layout(egui::Layout::right_to_left(egui::Align::TOP), |ui| {
                    if secondary(ui, cx.palette, "Open file…", "").clicked() {
                        self.editor.choose();
                    }
                    let shown = self.answered.is_some() && !self.editing;
                    if shown && secondary(ui, cx.palette, "Edit text", "").clicked() {
                        self.editing = true;
                    }
                });
            });
            ui.add_space(4.0);
            if ui.available_width() >= BESIDE {
                ui.columns(2, |columns| {
                    self.passage_ui(&mut columns[0], cx.palette, 420.0);
                    self.side_ui(&mut columns[1], cx);
                });
            } else {
                self.passage_ui(ui, cx.palette, 180.0);
                self.side_ui(ui, cx);
            }
            self.why.ui(ui, cx);
            self.foot_ui(ui, cx);
        });
    }

    /// The editor, or the passage with the answers lit.
    fn passage_ui(&mut self, ui: &mut Ui, p: &Palette, height: f32) {
        let Some(answered) = self.answered.as_ref().filter(|_| !self.editing) else {
            self.editor.ui(ui, p, (height / 26.0) as usize, height);
            return;
        };
        let (question, chosen) = self.shown;
        let mut order: Vec<(usize, Mark)> = Vec::new();
        if let Some(answers) = answered.answers(question) {
            for (i, place) in answers.places.iter().enumerate().filter(|(i, p)| *i == 0 || p.score >= LEAST) {
                let lit = i == chosen && (answers.answered || chosen > 0);
                let strength = if lit { 1.0 } else { 0.12 };
                let mark = Mark { range: place.start..place.end, color: p.latency, strength, tag: String::new() };
                order.push((i, mark));
            }
        }
        order.sort_by_key(|(_, m)| m.range.start);
        let marks: Vec<Mark> = order.iter().map(|o| o.1.clone()).collect();
        let selected = order.iter().position(|o| o.0 == chosen);
        let mut clicked = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("passage").max_height(height).show(ui, |ui| {
                clicked = marked(ui, p, &answered.passage, &marks, selected, "Passage with its answers");
            });
        });
        if let Some(mark) = clicked {
            self.shown.1 = order[mark].0;
        }
    }

    /// Questions, and the answer to the chosen one.
    fn side_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        self.question_field(ui, cx);
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            chosen =
                run_stop(ui, p, "Ask", !self.asking.is_running(), self.asking.is_running() || self.why.is_running());
            let (text, tip) =
                if self.several { ("One…", "Ask one question.") } else { ("Several…", "One question per line.") };
            if secondary(ui, p, text, "").on_hover_text(tip).clicked() {
                self.several = !self.several;
                if !self.several {
                    self.questions = self.questions.lines().next().unwrap_or("").to_owned();
                }
            }
        });
        if self.editor.text == super::PASSAGE {
            ui.horizontal_wrapped(|ui| {
                for question in EXAMPLES {
                    if chips::choice(ui, p, question).clicked() {
                        self.questions = question.to_owned();
                        chosen = Some(UiCommand::Run);
                    }
                }
            });
        }
        match self.asking.ui(ui, p) {
            Some(true) => chosen = Some(UiCommand::Run),
            Some(false) => {}
            None => self.answers_ui(ui, p),
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    fn question_field(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let font = FontId::proportional(size::INPUT);
        let hint = "Ask a question about the text";
        let margin = Margin::symmetric(16, 12);
        if self.several {
            let field = TextEdit::multiline(&mut self.questions).desired_rows(4).hint_text(hint);
            let _ = ui
                .add(field.desired_width(f32::INFINITY).font(font).margin(margin))
                .accessible_name("Questions, one per line");
            return;
        }
        let field = TextEdit::multiline(&mut self.questions).desired_rows(1).return_key(None).hint_text(hint);
        let field = ui.add(field.desired_width(f32::INFINITY).font(font).margin(margin)).accessible_name("Question");
        if field.has_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter) && i.modifiers.is_none()) {
            self.run(cx);
        }
    }

    fn answers_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let Some(answered) = &self.answered else {
            quiet_card(ui, p, "Press Ask: the answer lights up in the text.");
            return;
        };
        let mut shown = self.shown;
        if answered.questions.len() > 1 {
            for i in 0..answered.questions.len() {
                if question_row(ui, p, answered, i, shown.0 == i).clicked() {
                    shown = (i, 0);
                }
            }
        }
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            match answered.questions.get(shown.0).map(|q| &q.1) {
                Some(Ok(_)) => {
                    if let Some(place) = answer_ui(ui, p, answered, shown) {
                        shown.1 = place;
                    }
                }
                Some(Err(message)) => {
                    ui.label(RichText::new(message.to_string()).color(p.negative));
                }
                None => {}
            }
        });
        self.shown = shown;
    }

    fn foot_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(answered) = &self.answered else { return };
        let reading = answered.answers(self.shown.0).map(|a| a.reading.clone()).unwrap_or_default();
        let mut chosen = None;
        ui.horizontal_wrapped(|ui| {
            cost_ui(ui, p, &reading, &answered.report);
            chosen = buttons(ui, p, &[UiCommand::Why, UiCommand::Tokens, UiCommand::CopyText, UiCommand::CopyJson]);
        });
        reading_ui(ui, p, &answered.report, self.tokens_shown.then_some(&reading));
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }
}

/// The answer in large letters, and all places with their scores; the place that was clicked.
fn answer_ui(ui: &mut Ui, p: &Palette, answered: &Answered, shown: (usize, usize)) -> Option<usize> {
    let answers = answered.answers(shown.0)?;
    ui.horizontal(|ui| {
        note(ui, p, "Answer");
        explain(
            ui,
            "the number",
            "The model gives every word a probability of beginning and of ending the answer; a place's number is the product of the two. They are compared within one window of the text, with 'no answer' as one more place.",
        );
    });
    match answers.answer() {
        Some(best) => {
            let text: String = best.text.chars().take(300).collect();
            ui.add(egui::Label::new(strong(text.replace('\n', " "), size::TITLE)).wrap());
        }
        None => {
            ui.label(strong("No answer here", size::TITLE).color(p.muted));
            note(ui, p, "The text more likely does not say. The places below are guesses.");
        }
    }
    ui.add_space(4.0);
    let mut clicked = None;
    let worth_showing = |(i, place): &(usize, &Place)| *i == 0 || place.score >= LEAST;
    for (i, place) in answers.places.iter().enumerate().filter(worth_showing) {
        let text = place.text.replace('\n', " ");
        if place_row(ui, p, &text, place.score, shown.1 == i).clicked() {
            clicked = Some(i);
        }
    }
    bars::bar(ui, p, "no answer here", answers.no_answer, p.muted);
    clicked
}

fn place_row(ui: &mut Ui, p: &Palette, text: &str, score: f64, selected: bool) -> egui::Response {
    let height = ui.spacing().interact_size.y.max(30.0);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    if selected || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.expand2(vec2(6.0, 0.0)), 4.0, p.raised);
    }
    let name = format!("place {text} {}", percent(score));
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, &name));
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(rect));
    row.horizontal_centered(|ui| bars::bar(ui, p, text, score, p.latency));
    response
}

/// A question with its answer, as a line that can be chosen.
fn question_row(ui: &mut Ui, p: &Palette, answered: &Answered, index: usize, selected: bool) -> egui::Response {
    let (question, _) = &answered.questions[index];
    let answers = answered.answers(index);
    let answer = answers.and_then(|a| a.answer()).map_or("no answer here", |a| &a.text);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 48.0), Sense::click());
    if selected || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, f32::from(size::RADIUS), p.raised);
    }
    let name = format!("{question} {answer}");
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, &name));
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(rect.shrink2(vec2(12.0, 4.0))));
    row.spacing_mut().item_spacing.y = 0.0;
    row.add(egui::Label::new(RichText::new(question).size(size::LABEL).color(p.muted)).truncate().selectable(false));
    row.horizontal(|ui| {
        let score = answers.map_or(0.0, |a| a.answer().map_or(a.no_answer, |b| b.score));
        ui.label(figures(percent(score), size::LABEL));
        ui.add(egui::Label::new(answer.replace('\n', " ")).truncate().selectable(false));
    });
    response
}
