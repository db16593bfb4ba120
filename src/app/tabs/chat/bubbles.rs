//! Questions and answers as they stand in the conversation.

use super::conversation::{Answer, Turn};
use crate::app::tabs::writing::surprise;
use crate::app::theme::{Palette, card, size};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::{chips, explain, note};
use crate::app::words;
use crate::tasks::Step;
use egui::{Align, Frame, Layout, Margin, RichText, Stroke, Ui, UiBuilder, vec2};
use egui_commonmark::{CommonMarkCache, CommonMarkViewer};
use std::collections::HashMap;

/// Tokens that are shown one by one; of longer answers the last so many.
const MOST_TOKENS: usize = 400;

/// What drawing remembers: parsed Markdown, and heights of turns that are out of sight.
#[derive(Default)]
pub struct Bubbles {
    markdown: CommonMarkCache,
    heights: HashMap<usize, f32>,
    width: f32,
    of: String,
}

/// What a person wants done with a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Again,
    Edit,
    Delete,
    Show(usize),
    CopyQuestion,
    CopyAnswer,
    CopyCode,
    /// Ask the changed question instead.
    Resend(String),
    /// Leave the question as it is.
    Leave,
}

/// How answers are drawn.
#[derive(Clone, Copy)]
pub struct Style<'a> {
    pub palette: &'a Palette,
    /// Show how unsure the model was of each token.
    pub surprise: bool,
    /// Whether nothing is being written, so that turns can be changed.
    pub idle: bool,
}

impl Bubbles {
    /// Forgets heights when another conversation or another width is drawn.
    pub fn begin(&mut self, conversation: &str, width: f32) {
        if self.of != conversation || (self.width - width).abs() > 0.5 {
            self.heights.clear();
            self.of = conversation.to_owned();
            self.width = width;
        }
    }

    /// Draws a turn with the answer that is to be seen, or leaves its room free if it is out of
    /// sight. `last` is never left out.
    pub fn turn(
        &mut self,
        ui: &mut Ui,
        style: Style<'_>,
        (index, turn): (usize, &Turn),
        answer: Option<&Answer>,
        last: bool,
    ) -> Option<Wish> {
        if let Some(height) = self.heights.get(&index).copied().filter(|_| !last) {
            let rect = egui::Rect::from_min_size(ui.cursor().min, vec2(ui.available_width(), height));
            if !ui.is_rect_visible(rect.expand(200.0)) {
                ui.allocate_space(rect.size());
                return None;
            }
        }
        let top = ui.cursor().top();
        let mut wish = question_ui(ui, style, index, &turn.question);
        if let Some(answer) = answer {
            wish = self.answer_ui(ui, style, index, turn, answer).or(wish);
        }
        self.heights.insert(index, ui.cursor().top() - top - ui.spacing().item_spacing.y);
        wish
    }

    fn answer_ui(&mut self, ui: &mut Ui, style: Style<'_>, index: usize, turn: &Turn, answer: &Answer) -> Option<Wish> {
        let p = style.palette;
        let mut wish = None;
        answer_frame(ui, p, |ui| {
            if style.surprise && !answer.steps.is_empty() {
                tokens_ui(ui, p, &answer.steps);
            } else {
                self.markdown_ui(ui, p, &answer.text, ("answer", index, turn.shown));
            }
            for warning in &answer.warnings {
                ui.label(RichText::new(format!("⚠ {warning}")).size(size::LABEL).color(p.warning));
            }
            ui.horizontal_wrapped(|ui| {
                note(ui, p, numbers(answer));
                ui.push_id(("details", index, turn.shown), |ui| details_ui(ui, answer));
                ui.add_enabled_ui(style.idle, |ui| {
                    if icons::quiet(ui, p, Icon::Again, "Answer again").clicked() {
                        wish = Some(Wish::Again);
                    }
                });
                if icons::quiet(ui, p, Icon::Copy, "Copy answer").clicked() {
                    wish = Some(Wish::CopyAnswer);
                }
                if !code_of(&answer.text).is_empty() && ui.add(small("Copy code")).clicked() {
                    wish = Some(Wish::CopyCode);
                }
                if turn.answers.len() > 1 {
                    let (at, count) = (turn.shown, turn.answers.len());
                    ui.add_enabled_ui(at > 0, |ui| {
                        if icons::quiet(ui, p, Icon::Left, "Earlier answer").clicked() {
                            wish = Some(Wish::Show(at - 1));
                        }
                    });
                    note(ui, p, format!("{} of {count}", at + 1));
                    ui.add_enabled_ui(at + 1 < count, |ui| {
                        if icons::quiet(ui, p, Icon::Right, "Later answer").clicked() {
                            wish = Some(Wish::Show(at + 1));
                        }
                    });
                }
            });
        });
        wish
    }

    /// Text with Markdown.
    fn markdown_ui(&mut self, ui: &mut Ui, p: &Palette, text: &str, salt: (&str, usize, usize)) {
        ui.push_id(salt, |ui| {
            ui.style_mut().spacing.item_spacing.y = 7.0;
            // The viewer's own copy button has a place without width, where no letter fits: ours
            // stands below the answer.
            ui.style_mut().spacing.button_padding = vec2(4.0, 4.0);
            // Lists would stand in rows as high as buttons.
            ui.style_mut().spacing.interact_size.y = size::INPUT;
            ui.visuals_mut().widgets.inactive.bg_stroke = Stroke::NONE;
            ui.visuals_mut().extreme_bg_color = p.ground;
            ui.visuals_mut().text_edit_bg_color = Some(p.ground);
            ui.style_mut().text_styles.insert(egui::TextStyle::Body, egui::FontId::proportional(size::INPUT));
            CommonMarkViewer::new().show(ui, &mut self.markdown, text);
        });
    }

    /// An answer that is coming.
    pub fn coming(&mut self, ui: &mut Ui, style: Style<'_>, text: &str, steps: &[Step], state: &str) {
        let p = style.palette;
        answer_frame(ui, p, |ui| {
            if style.surprise && !steps.is_empty() {
                tokens_ui(ui, p, steps);
            } else if !text.is_empty() {
                self.markdown_ui(ui, p, text, ("coming", 0, 0));
            }
            note(ui, p, state);
        });
    }
}

/// A button of small letters, high enough for a finger.
fn small(text: &str) -> egui::Button<'_> {
    egui::Button::new(RichText::new(text).size(size::LABEL)).min_size(vec2(0.0, 28.0))
}

/// The fenced code blocks of a Markdown text, one after the other.
pub fn code_of(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// What an answer cost, in one line.
fn numbers(answer: &Answer) -> String {
    let mut parts = Vec::new();
    if answer.tokens_per_second > 0.0 {
        parts.push(format!("{:.0} tokens/s", answer.tokens_per_second));
    }
    if answer.ttft_ms > 0.0 {
        parts.push(format!("first token {:.2} s", answer.ttft_ms / 1e3));
    }
    if answer.context > 0 {
        parts.push(format!("context {} of {}", answer.context_used, answer.context));
    }
    if answer.stopped {
        parts.push("stopped".into());
    }
    parts.join(" · ")
}

/// A "?" with everything that is known of what an answer cost.
fn details_ui(ui: &mut Ui, answer: &Answer) {
    let prompt = answer.context_used.saturating_sub(answer.tokens);
    let read = (prompt > 0).then(|| format!("read {}", words::counted(prompt, "token")));
    let rate = if answer.tokens_per_second > 0.0 {
        format!(", {:.1} a second", answer.tokens_per_second)
    } else {
        String::new()
    };
    let lines = [
        (!answer.model.is_empty()).then(|| format!("written by {}", answer.model)),
        words::known(answer.cached, prompt, answer.saved_ms).or(read),
        (answer.tokens > 0).then(|| format!("wrote {}{rate}", words::counted(answer.tokens, "token"))),
        words::shared(answer.shared_with),
    ];
    let said: Vec<String> = lines.iter().flatten().map(|line| words::sentence(line)).collect();
    if !said.is_empty() {
        explain(ui, "behind this answer", &said.join("\n"));
    }
}

fn answer_frame(ui: &mut Ui, p: &Palette, content: impl FnOnce(&mut Ui)) {
    let width = (ui.available_width() * 0.86).max(280.0).min(ui.available_width());
    ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::LEFT), |ui| {
        card(p).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            content(ui);
        });
    });
}

fn question_ui(ui: &mut Ui, style: Style<'_>, index: usize, question: &str) -> Option<Wish> {
    let p = style.palette;
    let mut wish = None;
    let most = ui.available_width() * 0.8 - 100.0;
    ui.push_id(("question", index), |ui| {
        ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
            let text = RichText::new(question).size(size::INPUT);
            let galley = egui::WidgetText::from(text).into_galley(ui, None, most - 32.0, egui::TextStyle::Body);
            let frame = Frame::new().fill(p.raised).stroke(Stroke::new(1.0, p.hairline)).corner_radius(size::RADIUS);
            let inner = frame.inner_margin(Margin::symmetric(16, 10));
            let extent = galley.size();
            ui.scope_builder(UiBuilder::new(), |ui| {
                inner.show(ui, |ui| {
                    ui.set_max_width(extent.x + 1.0);
                    ui.add(egui::Label::new(galley));
                });
            });
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.add_enabled_ui(style.idle, |ui| {
                if icons::quiet(ui, p, Icon::Bin, "Delete message").clicked() {
                    wish = Some(Wish::Delete);
                }
            });
            if icons::quiet(ui, p, Icon::Copy, "Copy message").clicked() {
                wish = Some(Wish::CopyQuestion);
            }
            ui.add_enabled_ui(style.idle, |ui| {
                if icons::quiet(ui, p, Icon::Pencil, "Edit message").clicked() {
                    wish = Some(Wish::Edit);
                }
            });
        });
    });
    wish
}

/// Tokens with a ground that shows how unsure the model was.
fn tokens_ui(ui: &mut Ui, p: &Palette, steps: &[Step]) {
    let from = steps.len().saturating_sub(MOST_TOKENS);
    if from > 0 {
        note(ui, p, format!("the last {MOST_TOKENS} of {} tokens", steps.len()));
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(0.0, 2.0);
        for step in &steps[from..] {
            let name = format!("token {} {:.0} %", step.text.trim(), step.probability * 100.0);
            chips::token(ui, p, &step.text, surprise(step), false, &name).on_hover_text(format!(
                "probability {:.1} %, entropy {:.1} bits",
                step.probability * 100.0,
                step.entropy
            ));
            if step.text.contains('\n') {
                ui.end_row();
            }
        }
    });
    note(ui, p, "colour: how unsure the model was of each token");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_stands_between_fences() {
        assert_eq!(code_of("Try:\n```python\na = 1\n```\nthen\n```\nb\n"), "a = 1\nb\n");
        assert!(code_of("no `code` here").is_empty());
    }
}
