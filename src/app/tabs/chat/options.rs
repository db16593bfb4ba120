//! How the model answers: what it is told first, how its tokens are drawn, what is kept.

use super::ChatTab;
use crate::app::settings::Settings;
use crate::app::tabs::Cx;
use crate::app::tabs::writing::sampling_ui;
use crate::app::theme::{dialog, size, strong};
use crate::app::widgets::{chips, explain, note, primary};
use egui::{Id, Modal, ScrollArea, TextEdit, Ui};

/// Name, and what the model is told.
const PRESETS: [(&str, &str); 5] = [
    ("As the model comes", ""),
    ("Brief", "Answer in one or two short sentences."),
    ("Teacher", "You are a patient teacher. Explain simply, with an example from everyday life."),
    ("Poet", "You answer in short rhyming verses."),
    (
        "Exhibit guide",
        "You are a friendly guide at an exhibition for families. Keep answers short and safe for children.",
    ),
];

impl ChatTab {
    /// Draws the dialog; false when it is closed.
    pub(super) fn options_ui(&mut self, ui: &Ui, cx: &mut Cx<'_>) -> bool {
        let p = cx.palette;
        let mut open = true;
        let before = (cx.settings.chat.system.clone(), cx.settings.private);
        let modal = Modal::new(Id::unique("chat options")).frame(dialog(p)).show(ui.ctx(), |ui| {
            ui.set_width(520.0_f32.min(ui.ctx().content_rect().width() - 64.0));
            let room = ui.ctx().content_rect().height() - 160.0;
            ui.label(strong("Options", size::INPUT));
            ScrollArea::vertical().max_height(room).show(ui, |ui| {
                ui.horizontal(|ui| {
                    ui.label("System prompt");
                    explain(
                        ui,
                        "a system prompt",
                        "Words that the model is given before the conversation: who it is and how it should answer. Small models follow them loosely.",
                    );
                });
                let chat = &mut cx.settings.chat;
                let field = TextEdit::multiline(&mut chat.system).desired_rows(2).desired_width(f32::INFINITY);
                let _ = ui.add(field.hint_text("As the model's template says")).accessible_name("System prompt");
                ui.horizontal_wrapped(|ui| {
                    for (name, text) in PRESETS {
                        if chips::choice(ui, p, name).clicked() {
                            chat.system = text.to_owned();
                        }
                    }
                });
                ui.separator();
                sampling_ui(ui, chat, &Settings::default().chat);
                ui.separator();
                ui.horizontal(|ui| {
                    ui.checkbox(&mut cx.settings.private, "Private: do not keep new conversations");
                    explain(ui, "private mode", "Conversations are kept as files on this machine, so that they are there at the next start. Private ones are forgotten when Glossa closes.");
                });
                if let Some(folder) = cx.data {
                    note(ui, p, format!("Kept in {}", folder.join("conversations").display()));
                }
            });
            if primary(ui, p, "Done", "").clicked() {
                open = false;
            }
        });
        if before != (cx.settings.chat.system.clone(), cx.settings.private) {
            self.apply_options(cx);
        }
        open && !modal.should_close()
    }

    /// A new system prompt holds for the conversation that is shown; privacy for one that is empty.
    fn apply_options(&mut self, cx: &Cx<'_>) {
        if let Some(conversation) = self.conversations.get_mut(self.current) {
            conversation.system.clone_from(&cx.settings.chat.system);
            if conversation.turns.is_empty() {
                conversation.private = cx.settings.private;
            }
        }
    }
}
