//! What the tab looks like: the text as tokens, the candidates of one, the branches.

use super::{EXAMPLES, GenerateTab};
use crate::app::command::UiCommand;
use crate::app::settings::Settings;
use crate::app::tabs::asking::cut_paste;
use crate::app::tabs::writing::{model_ui, sampling_ui, surprise};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size, strong};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{chips, explain, failure, note, primary, secondary};
use crate::tasks::Step;
use egui::{
    Align, Align2, Color32, FontId, Layout, Margin, RichText, ScrollArea, Sense, Slider, Stroke, TextEdit, Ui, pos2,
    vec2,
};

/// Width of the stage from which candidates and branches stand side by side.
const BESIDE: f32 = 620.0;
/// Tokens shown; of longer texts the last so many.
const MOST_TOKENS: usize = 600;

/// Letters that a prompt may have.
const LONGEST: usize = 100_000;

impl GenerateTab {
    pub(super) fn generate_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            self.header(ui, cx);
            self.prompt_ui(ui, cx);
            self.controls_ui(ui, cx);
            if let Some(message) = self.failed.clone()
                && failure(ui, cx.palette, &message)
            {
                self.submit(cx, cx.settings.generate.max_tokens);
            }
            self.text_ui(ui, cx);
            let chosen = if ui.available_width() >= BESIDE {
                let left = Layout::top_down(Align::LEFT);
                ui.columns(2, |columns| {
                    let chosen = columns[0].with_layout(left, |ui| self.candidates_ui(ui, cx.palette)).inner;
                    columns[1].with_layout(left, |ui| self.branches_ui(ui, cx.palette));
                    chosen
                })
            } else {
                let chosen = self.candidates_ui(ui, cx.palette);
                self.branches_ui(ui, cx.palette);
                chosen
            };
            if let Some((token, candidate)) = chosen {
                self.branch(cx, token, candidate);
            }
        });
        match self.picker.as_mut().map(|picker| picker.show(ui, cx.palette)) {
            Some(Some(Picked::File(path))) => {
                self.picker = None;
                self.on_drop(path, cx);
            }
            Some(Some(Picked::Closed)) => self.picker = None,
            _ => {}
        }
        if self.running.is_some() {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
        }
    }

    fn header(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ui.horizontal(|ui| {
            ui.heading("Generate");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let mut model = cx.settings.generate.model.clone();
                if model_ui(ui, cx, &mut model) {
                    self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
                }
                cx.settings.generate.model = model;
            });
        });
        note(
            ui,
            cx.palette,
            "A language model writes one token at a time. Tap a token to see what else it might have been.",
        );
    }

    fn prompt_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let id = egui::Id::unique("prompt field");
        if let Some(words) = cut_paste(ui, id, &mut self.prompt, LONGEST) {
            cx.notices.push(words);
        }
        let rows = if ui.ctx().content_rect().height() < 900.0 { 1 } else { 2 };
        ScrollArea::vertical().id_salt("prompt").max_height(110.0).show(ui, |ui| {
            let field = TextEdit::multiline(&mut self.prompt)
                .id(id)
                .desired_width(f32::INFINITY)
                .desired_rows(rows)
                .char_limit(LONGEST)
                .font(FontId::proportional(size::INPUT))
                .margin(Margin::symmetric(16, 12))
                .hint_text("The beginning of a text");
            let _ = ui.add(field).accessible_name("Prompt");
        });
    }

    fn controls_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut command = None;
        ui.horizontal_wrapped(|ui| {
            let idle = self.running.is_none();
            ui.add_enabled_ui(idle && !self.prompt.trim().is_empty(), |ui| {
                if primary(ui, p, "Go on", &UiCommand::Run.key_name()).clicked() {
                    command = Some(UiCommand::Run);
                }
                if secondary(ui, p, "One token", "→").on_hover_text(UiCommand::OneToken.tooltip()).clicked() {
                    command = Some(UiCommand::OneToken);
                }
            });
            ui.add_enabled_ui(!idle, |ui| {
                if secondary(ui, p, "Stop", &UiCommand::Stop.key_name()).clicked() {
                    command = Some(UiCommand::Stop);
                }
            });
            let generate = &mut cx.settings.generate;
            ui.spacing_mut().slider_width = 80.0;
            for (name, slider) in [
                (
                    "temperature",
                    Slider::new(&mut generate.sampling.temperature, 0.0..=2.0).step_by(0.05).fixed_decimals(2),
                ),
                ("length", Slider::new(&mut generate.max_tokens, 1..=256)),
            ] {
                note(ui, p, name);
                let _ = ui.add(slider).accessible_name(name);
            }
            if ui.selectable_label(self.controls, "More").clicked() {
                self.controls = !self.controls;
            }
            for (name, text) in EXAMPLES {
                if chips::choice(ui, p, name).clicked() && idle {
                    self.prompt = text.to_owned();
                    command = Some(UiCommand::Run);
                }
            }
        });
        if self.controls {
            card(p).show(ui, |ui| {
                ui.set_width(ui.available_width());
                sampling_ui(ui, &mut cx.settings.generate, &Settings::default().generate);
            });
        }
        if let Some(command) = command {
            self.on_command(command, cx);
        }
    }

    /// The text as tokens, coloured by how unsure the model was.
    fn text_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut clicked = None;
        let mut command = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let Some(branch) = self.shown().filter(|b| !b.steps.is_empty() || self.running.is_some()) else {
                note(ui, p, "Press Go on: the model writes, each token on its own ground. The darker, the less sure it was.");
                return;
            };
            let selected = self.tree.token().map(|t| t.0).filter(|_| self.tree.selected.is_some());
            ScrollArea::vertical().id_salt("tokens").max_height(190.0).stick_to_bottom(true).show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = vec2(0.0, 4.0);
                    let prompt: String = self.tree.prompt.chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect();
                    for word in prompt.split_inclusive(' ') {
                        ui.label(RichText::new(word).size(size::RESULT).color(p.muted));
                    }
                    let from = branch.steps.len().saturating_sub(MOST_TOKENS);
                    for (i, step) in branch.steps.iter().enumerate().skip(from) {
                        let name = format!("token {} {}", i + 1, step.text.trim());
                        if chips::token(ui, p, &step.text, surprise(step), selected == Some(i), &name).clicked() {
                            clicked = Some(i);
                        }
                        if step.text.contains('\n') {
                            ui.end_row();
                        }
                    }
                    if self.running.is_some() {
                        let (rect, _) = ui.allocate_exact_size(vec2(6.0, 26.0), Sense::hover());
                        ui.painter().rect_filled(rect, 1.0, p.accent);
                    }
                });
            });
            ui.horizontal_wrapped(|ui| {
                match &self.running {
                    Some(stream) => note(ui, p, stream.state()),
                    None => note(ui, p, format!("{} tokens", branch.steps.len())),
                };
                let mean = branch.steps.iter().map(|s| s.entropy).sum::<f64>() / branch.steps.len().max(1) as f64;
                note(ui, p, format!("· entropy {mean:.1} bits on average"));
                explain(
                    ui,
                    "entropy",
                    "How many yes-or-no questions it would take, on average, to guess the next token if it is drawn as the model says. 0 bits: it is certain. 3 bits: as open as eight equally likely tokens.",
                );
                for warning in &self.notes {
                    ui.label(RichText::new(format!("⚠ {warning}")).size(size::LABEL).color(p.warning));
                }
                for c in [UiCommand::CopyText, UiCommand::CopyJson] {
                    if secondary(ui, p, c.text(), "").on_hover_text(c.tooltip()).clicked() {
                        command = Some(c);
                    }
                }
            });
        });
        if clicked.is_some() {
            self.tree.selected = clicked;
        }
        if let Some(command) = command {
            self.on_command(command, cx);
        }
    }

    /// What else the token might have been; returns the candidate that was tapped.
    fn candidates_ui(&self, ui: &mut Ui, p: &Palette) -> Option<(usize, usize)> {
        let mut chosen = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let Some((index, step)) = self.tree.token() else {
                ui.label(strong("Candidates", size::BODY));
                note(ui, p, "The ten likeliest next tokens, with the model's probability of each.");
                return;
            };
            ui.horizontal_wrapped(|ui| {
                ui.label(strong(format!("Token {}", index + 1), size::BODY));
                let held: f64 = step.top.iter().map(|c| c.2).sum();
                let count = step.top.len();
                note(ui, p, format!("entropy {:.1} bits · these {count} hold {:.0} %", step.entropy, held * 100.0));
            });
            ui.spacing_mut().item_spacing.y = 2.0;
            let greatest = step.top.first().map_or(1.0, |c| c.2).max(1e-9);
            for (i, candidate) in step.top.iter().enumerate() {
                if candidate_ui(ui, p, candidate, greatest, candidate.0 == step.id) && self.running.is_none() {
                    chosen = Some((index, i));
                }
            }
            if step.top.iter().all(|c| c.0 != step.id) {
                note(ui, p, format!("Drawn: {:?}, probability {:.2} %", step.text, step.probability * 100.0));
            }
        });
        chosen
    }

    fn branches_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let mut show = None;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(strong("Branches", size::BODY));
            for (i, branch) in self.tree.branches.iter().enumerate().filter(|b| !b.1.steps.is_empty()) {
                if branch_ui(ui, p, i, branch, i == self.tree.shown) {
                    show = Some(i);
                }
            }
            note(ui, p, "Tap another one on the left to branch from there. The same seed gives the same text (More).");
        });
        if let Some(i) = show {
            self.tree.shown = i;
            self.tree.selected = Some(self.tree.branches[i].from).filter(|_| i > 0);
        }
    }
}

/// Colours of branches, by number.
fn branch_color(p: &Palette, index: usize) -> Color32 {
    [p.accent, p.latency, p.throughput, p.memory, p.cpu, p.negative][index % 6]
}

/// A text that can be tapped: some words before its own beginning, its own token, what follows.
fn branch_ui(ui: &mut Ui, p: &Palette, index: usize, branch: &super::Branch, shown: bool) -> bool {
    let join = |steps: &[Step]| steps.iter().map(|s| s.text.as_str()).collect::<String>().replace('\n', " ");
    let at = branch.from.min(branch.steps.len() - 1);
    let before = join(&branch.steps[at.saturating_sub(4)..at]);
    let own = join(&branch.steps[at..=at]);
    let after: String = join(&branch.steps[at + 1..]).chars().take(90).collect();
    let mut job = egui::text::LayoutJob::default();
    let font = |strong: bool| {
        if strong { FontId::new(size::BODY, crate::app::theme::semibold()) } else { FontId::proportional(size::BODY) }
    };
    let mut put = |text: &str, strong: bool| {
        job.append(text, 0.0, egui::TextFormat { font_id: font(strong), color: p.text, ..Default::default() });
    };
    put(&format!("…{before}"), false);
    put(&own, true);
    put(&after, false);
    job.wrap.max_width = ui.available_width() - 24.0;
    let galley = ui.painter().layout_job(job);
    let height = galley.size().y + 12.0;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    if shown || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4.0, p.raised);
    }
    let bar = egui::Rect::from_min_size(rect.min, vec2(3.0, height));
    ui.painter().rect_filled(bar, 1.0, branch_color(p, index));
    ui.painter().galley(rect.min + vec2(14.0, 6.0), galley, p.text);
    response.widget_info(|| {
        egui::WidgetInfo::selected(
            egui::Role::Button,
            true,
            shown,
            format!("branch {}: {before}{own}{after}", index + 1),
        )
    });
    response.clicked()
}

/// A candidate with its bar; true if it was tapped.
fn candidate_ui(ui: &mut Ui, p: &Palette, candidate: &(u32, String, f64), greatest: f64, taken: bool) -> bool {
    let (_, text, probability) = candidate;
    let height = ui.spacing().interact_size.y.clamp(24.0, 44.0) - 8.0;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    let lit = response.hovered() || response.has_focus();
    let name_width = (rect.width() * 0.3).clamp(70.0, 140.0);
    let number_width = 62.0;
    let shown = text.replace('\n', "⏎").replace('\t', "→");
    let shown =
        if shown.trim().is_empty() && !shown.is_empty() { format!("{shown:?}") } else { shown.trim_start().to_owned() };
    let painter = ui.painter().with_clip_rect(rect);
    let font = FontId::monospace(size::LABEL);
    painter.text(pos2(rect.left() + name_width - 10.0, rect.center().y), Align2::RIGHT_CENTER, &shown, font, p.text);
    let track = egui::Rect::from_min_max(
        pos2(rect.left() + name_width, rect.center().y - 8.0),
        pos2(rect.right() - number_width, rect.center().y + 8.0),
    );
    painter.rect_filled(track, 3.0, p.raised);
    let share = (probability / greatest.max(0.25)).clamp(0.0, 1.0) as f32;
    let fill = egui::Rect::from_min_size(track.min, vec2((track.width() * share).max(2.0), track.height()));
    painter.rect_filled(fill, 3.0, if taken { p.accent } else { crate::app::theme::blend(p.panel, p.cpu, 0.6) });
    let percent = figures(format!("{:.1} %", probability * 100.0), size::LABEL);
    painter.text(
        pos2(rect.right() - number_width + 8.0, rect.center().y),
        Align2::LEFT_CENTER,
        percent.text(),
        FontId::monospace(size::LABEL),
        p.muted,
    );
    if lit {
        ui.painter().rect_stroke(rect, 4.0, Stroke::new(1.0, p.accent), egui::StrokeKind::Outside);
    }
    response.widget_info(|| {
        egui::WidgetInfo::selected(
            egui::Role::Button,
            true,
            taken,
            format!("candidate {} {:.1} %", shown, probability * 100.0),
        )
    });
    response.on_hover_text(if taken { "This one was taken." } else { "Tap: what if it had been this one?" }).clicked()
        && !taken
}
