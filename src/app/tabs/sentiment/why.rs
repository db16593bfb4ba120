//! "Why?": the words of the answered text, coloured by how far each moved the answer.

use super::{POSITIVE, request};
use crate::app::tabs::Cx;
use crate::app::theme::{size, strong};
use crate::app::widgets::gauge::percent;
use crate::app::widgets::{chips, millis, note, primary, secondary};
use crate::engine::Ticket;
use crate::engine::message::{Event, ItemResult, Priority};
use crate::error::UserMessage;
use crate::labs::occlusion::{self, Effects};
use crate::tasks::{Output, Scores};
use egui::{Popup, PopupCloseBehavior, TextEdit, Ui};
use std::ops::Range;

/// The view's state.
#[derive(Default)]
pub struct Why {
    asked: Option<Asked>,
    change: Option<Change>,
    replacement: String,
}

/// A batch of variants, running or done.
struct Asked {
    text: String,
    words: Vec<Range<usize>>,
    ticket: Ticket,
    answers: Vec<Option<ItemResult>>,
    end: Option<End>,
}

enum End {
    Done { effects: Option<Effects>, ms: f64 },
    Stopped,
    Failed(UserMessage),
}

/// One word left out or replaced.
struct Change {
    text: String,
    ticket: Ticket,
    scores: Option<Scores>,
    failed: Option<UserMessage>,
}

impl Why {
    /// Forgets everything; ends what runs.
    pub fn clear(&mut self) {
        self.stop();
        self.asked = None;
        self.change = None;
    }

    /// Ends what runs.
    pub fn stop(&mut self) {
        if let Some(asked) = &self.asked {
            asked.ticket.cancel.cancel();
        }
        if let Some(change) = &self.change {
            change.ticket.cancel.cancel();
        }
    }

    /// Leaves out each word of `text` in turn, all in one batch.
    pub fn start(&mut self, text: &str, cx: &mut Cx<'_>) {
        self.clear();
        let words = occlusion::words(text);
        let variants = occlusion::variants(text, &words);
        let answers = vec![None; variants.len()];
        match cx.submit(request(variants, Priority::Interactive)) {
            Ok(ticket) => self.asked = Some(Asked { text: text.to_owned(), words, ticket, answers, end: None }),
            Err(message) => cx.notices.push(message.to_string()),
        }
    }

    fn try_change(&mut self, text: String, cx: &mut Cx<'_>) {
        match cx.submit(request(vec![text.clone()], Priority::Interactive)) {
            Ok(ticket) => self.change = Some(Change { text, ticket, scores: None, failed: None }),
            Err(message) => cx.notices.push(message.to_string()),
        }
    }

    /// Takes in what belongs to it.
    pub fn on_event(&mut self, event: &Event) {
        if let Some(asked) = self.asked.as_mut().filter(|a| Some(a.ticket.id) == event.id()) {
            asked.on_event(event);
        }
        if let Some(change) = self.change.as_mut().filter(|c| Some(c.ticket.id) == event.id()) {
            match event {
                Event::Items { .. } => change.scores = event.first_answer().and_then(Output::scores).cloned(),
                Event::Failed { message, .. } => change.failed = Some(message.clone()),
                _ => {}
            }
        }
    }

    /// Whether words are being left out now.
    pub fn is_running(&self) -> bool {
        self.asked.as_ref().is_some_and(|a| a.end.is_none())
    }

    /// Draws it beside the gauge.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, text: &str) {
        let p = cx.palette;
        let Some(asked) = &self.asked else {
            note(
                ui,
                p,
                "Which words say so? Each word is left out in turn, and its colour shows how far the answer moved without it.",
            );
            if secondary(ui, p, "Why?", "Ctrl+Y").clicked() {
                self.start(text, cx);
            }
            return;
        };
        let done = asked.answers.iter().flatten().count();
        match &asked.end {
            None => {
                note(ui, p, format!("Leaving out one word at a time: {done} of {}", asked.answers.len()));
                ui.add(egui::ProgressBar::new(done as f32 / asked.answers.len() as f32));
            }
            Some(End::Stopped) => {
                note(ui, p, "Stopped.");
                if secondary(ui, p, "Why?", "Ctrl+Y").clicked() {
                    self.start(text, cx);
                }
            }
            Some(End::Failed(message)) => {
                ui.label(egui::RichText::new(message.to_string()).color(p.negative));
            }
            Some(End::Done { effects: Some(effects), ms }) => {
                note(
                    ui,
                    p,
                    "Why? Each word left out in turn; colour and number show how far the answer moved. Click a word to change it.",
                );
                let (effects, ms) = (effects.clone(), *ms);
                self.words_ui(ui, cx, &effects);
                if let Some(asked) = &self.asked {
                    let cut = if asked.words.len() == occlusion::MAX_WORDS { " (the first 160 words)" } else { "" };
                    note(ui, p, format!("{} variants in one batch · {}{cut}", asked.answers.len(), millis(ms)));
                }
                self.change_ui(ui, cx, effects.base);
            }
            Some(End::Done { effects: None, .. }) => {
                note(ui, p, "This model has no label 'positive' to follow.");
            }
        }
    }

    fn words_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, effects: &Effects) {
        let Some(asked) = &self.asked else { return };
        let p = cx.palette;
        let mut wanted = None;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = egui::vec2(4.0, 2.0);
            for (word, effect) in asked.words.iter().zip(&effects.by_word) {
                let shown = &asked.text[word.clone()];
                let chip = chips::word(ui, p, shown, *effect, false);
                let popup = Popup::menu(&chip).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
                popup.show(|ui| {
                    ui.set_width(260.0);
                    ui.label(strong(shown, size::BODY));
                    if let Some(e) = effect {
                        let points = e.abs() * 100.0;
                        let way = if *e >= 0.0 { "up" } else { "down" };
                        let moved = if points < 0.05 {
                            "It hardly moved the answer.".into()
                        } else {
                            format!("It moved 'positive' {way} by {points:.1} points.")
                        };
                        note(ui, p, moved);
                    }
                    if secondary(ui, p, "Leave out", "").clicked() {
                        wanted = Some(occlusion::without(&asked.text, word));
                        ui.close();
                    }
                    ui.horizontal(|ui| {
                        let field = TextEdit::singleline(&mut self.replacement)
                            .align(egui::Align2::LEFT_CENTER)
                            .desired_width(130.0)
                            .background_color(p.ground)
                            .hint_text("another word");
                        let field = ui.add(field).accessible_name("Another word");
                        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                        if (primary(ui, p, "Replace", "").clicked() || entered) && !self.replacement.trim().is_empty() {
                            wanted = Some(occlusion::replaced(&asked.text, word, self.replacement.trim()));
                            ui.close();
                        }
                    });
                });
            }
        });
        if let Some(text) = wanted {
            self.try_change(text, cx);
        }
    }

    /// The two results side by side.
    fn change_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, base: f64) {
        let (Some(change), Some(asked)) = (&self.change, &self.asked) else { return };
        let p = cx.palette;
        if let Some(message) = &change.failed {
            ui.label(egui::RichText::new(message.to_string()).color(p.negative));
            return;
        }
        ui.add_space(4.0);
        ui.columns(2, |columns| {
            let after = change.scores.as_ref().and_then(|s| s.of(POSITIVE));
            let sides = [("As it was", &asked.text, Some(base)), ("Changed", &change.text, after)];
            for (column, (title, text, share)) in columns.iter_mut().zip(sides) {
                note(column, p, title);
                match share {
                    Some(share) => {
                        let (label, color) = side(p, share);
                        let value = if share >= 0.5 { share } else { 1.0 - share };
                        column.label(strong(format!("{label} {}", percent(value)), size::RESULT).color(color));
                    }
                    None => {
                        note(column, p, "…");
                    }
                }
                column.add(egui::Label::new(text.as_str()).wrap().halign(egui::Align::LEFT));
            }
        });
    }
}

impl Asked {
    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Items { items, .. } => {
                for (index, result) in items {
                    if let Some(slot) = self.answers.get_mut(*index) {
                        *slot = Some(result.clone());
                    }
                }
            }
            Event::Done { report, .. } => {
                let effects = occlusion::effects(&self.answers, POSITIVE);
                self.end = Some(End::Done { effects, ms: report.timing.total });
            }
            Event::Cancelled { .. } => self.end = Some(End::Stopped),
            Event::Failed { message, .. } => self.end = Some(End::Failed(message.clone())),
            Event::Loading { .. }
            | Event::Started { .. }
            | Event::Partial { .. }
            | Event::Progress { .. }
            | Event::Status(_)
            | Event::Model(_)
            | Event::Library(_)
            | Event::Forecast(_)
            | Event::Stopped(_) => {}
        }
    }
}

/// Label and colour for a probability of "positive".
pub fn side(p: &crate::app::theme::Palette, share: f64) -> (&'static str, egui::Color32) {
    if share >= 0.5 { ("positive", p.positive) } else { ("negative", p.negative) }
}
