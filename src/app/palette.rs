//! Finds a command by typing a part of its name.

use super::command::UiCommand;
use super::theme::{Palette, dialog, size};
use super::widgets::note;
use egui::{Id, Key, Modal, ScrollArea, TextEdit, Ui};

/// The open palette.
#[derive(Default)]
pub struct CommandPalette {
    query: String,
    marked: usize,
}

/// What came of a frame.
pub enum Choice {
    Open,
    Closed,
    Command(UiCommand),
}

impl CommandPalette {
    /// Draws it over the window. `tabs` are the titles of the rail.
    pub fn show(&mut self, ui: &Ui, p: &Palette, tabs: &[&str]) -> Choice {
        let found = self.matches(tabs);
        let (down, up, enter) =
            ui.input(|i| (i.key_pressed(Key::ArrowDown), i.key_pressed(Key::ArrowUp), i.key_pressed(Key::Enter)));
        let last = found.len().saturating_sub(1);
        self.marked = (self.marked + usize::from(down)).saturating_sub(usize::from(up)).min(last);
        let mut choice = Choice::Open;
        if enter && let Some(command) = found.get(self.marked) {
            choice = Choice::Command(command.1);
        }
        let modal = Modal::new(Id::unique("command palette")).frame(dialog(p)).show(ui.ctx(), |ui| {
            ui.set_width(460.0_f32.min(ui.ctx().content_rect().width() - 64.0));
            let field = TextEdit::singleline(&mut self.query)
                .align(egui::Align2::LEFT_CENTER)
                .desired_width(f32::INFINITY)
                .hint_text("Find a command");
            let field = ui.add(field).accessible_name("Find a command");
            field.request_focus();
            let room = ui.ctx().content_rect().height() - 140.0;
            ScrollArea::vertical().max_height(room.max(120.0)).show(ui, |ui| {
                for (i, (name, command)) in found.iter().enumerate() {
                    let key = egui::RichText::new(command.key_name()).size(size::SMALL).color(p.muted);
                    let button = egui::Button::selectable(i == self.marked, name.as_str()).right_text(key);
                    let height = ui.spacing().interact_size.y;
                    let response = ui.add_sized([ui.available_width(), height], button);
                    if i == self.marked && (down || up) {
                        response.scroll_to_me(None);
                    }
                    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::MenuItem, true, name));
                    if response.on_hover_text(command.tooltip()).clicked() {
                        choice = Choice::Command(*command);
                    }
                }
            });
            if found.is_empty() {
                note(ui, p, "No command has that in its name.");
            }
        });
        if modal.should_close() && matches!(choice, Choice::Open) {
            choice = Choice::Closed;
        }
        choice
    }

    fn matches(&self, tabs: &[&str]) -> Vec<(String, UiCommand)> {
        let query = self.query.to_lowercase();
        let commands = UiCommand::ALL.into_iter().map(|c| (c.text().to_owned(), c));
        let tabs = (0u8..).zip(tabs).map(|(i, t)| (format!("Go to {t}"), UiCommand::Tab(i)));
        commands
            .chain(tabs)
            .filter(|(name, c)| {
                *c != UiCommand::Palette
                    && (name.to_lowercase().contains(&query) || c.tooltip().to_lowercase().contains(&query))
            })
            .collect()
    }
}
