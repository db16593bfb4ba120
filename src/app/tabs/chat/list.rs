//! All conversations: found by a word, renamed, deleted, opened.

use super::conversation::now;
use super::{ChatTab, Over};
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, card, size};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::{note, writing_mark};
use crate::app::words;
use egui::{Margin, RichText, ScrollArea, Sense, TextEdit, Ui};

/// The open list.
#[derive(Default)]
pub struct List {
    search: String,
    /// The conversation that is being renamed, and its new name.
    renaming: Option<(String, String)>,
}

/// What a person wants done.
enum Act {
    Open(usize),
    Delete(usize),
    Rename(usize, String),
    Stop(String),
}

/// How a conversation stands out.
#[derive(Clone, Copy)]
struct Is {
    shown: bool,
    /// An answer is coming.
    written: bool,
    /// Its last question got none.
    failed: bool,
}

impl ChatTab {
    pub(super) fn list_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Over::List(mut list) = std::mem::take(&mut self.over) else { return };
        let field =
            TextEdit::singleline(&mut list.search).desired_width(f32::INFINITY).hint_text("Find in all conversations");
        let _ = ui.add(field.margin(Margin::symmetric(12, 8))).accessible_name("Find in all conversations");
        self.deleted_ui_in_list(ui, cx);
        let mut act = None;
        let mut none = true;
        ScrollArea::vertical().id_salt("conversations").auto_shrink(false).show(ui, |ui| {
            for (index, conversation) in self.conversations.iter().enumerate() {
                if conversation.turns.is_empty() || (!list.search.is_empty() && !conversation.contains(&list.search)) {
                    continue;
                }
                none = false;
                let is = Is {
                    shown: index == self.current,
                    written: self.answering.of(&conversation.id).is_some(),
                    failed: self.answering.failure(&conversation.id).is_some(),
                };
                act = row(ui, cx, &mut list, (index, conversation), is).or(act.take());
            }
            if none {
                note(
                    ui,
                    cx.palette,
                    if list.search.is_empty() { "No conversations yet." } else { "No conversation has that in it." },
                );
            }
        });
        let mut open = true;
        match act {
            Some(Act::Open(index)) => {
                self.current = index;
                self.editing = None;
                self.to_bottom = true;
                open = false;
            }
            Some(Act::Stop(id)) => self.answering.stop(&id),
            Some(Act::Delete(index)) => self.delete_conversation(index),
            Some(Act::Rename(index, title)) => {
                if let Some(conversation) = self.conversations.get_mut(index) {
                    conversation.title = title.trim().to_owned();
                }
                self.keep(index);
            }
            None => {}
        }
        if open && matches!(self.over, Over::Nothing) {
            self.over = Over::List(list);
        }
    }

    fn deleted_ui_in_list(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if self.deleted.as_ref().is_some_and(|d| d.what.starts_with("Conversation")) {
            self.deleted_ui(ui, cx);
        }
    }
}

fn row(
    ui: &mut Ui,
    cx: &Cx<'_>,
    list: &mut List,
    (index, conversation): (usize, &super::Conversation),
    is: Is,
) -> Option<Act> {
    let p = cx.palette;
    let mut act = None;
    let mut frame = card(p).inner_margin(Margin::symmetric(12, 6));
    if is.shown {
        frame = frame.stroke(egui::Stroke::new(1.0, p.accent));
    }
    frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.set_width(ui.available_width());
            if let Some((_, title)) = list.renaming.as_mut().filter(|r| r.0 == conversation.id) {
                let _ = ui.add(TextEdit::singleline(title).desired_width(320.0)).accessible_name("New name");
                let enter = ui.input(|i| i.key_pressed(egui::Key::Enter));
                if ui.button("Rename").clicked() || enter {
                    act = Some(Act::Rename(index, title.clone()));
                    list.renaming = None;
                }
                return;
            }
            let name = conversation.name();
            let label = egui::Label::new(RichText::new(&name).size(size::BODY)).truncate().sense(Sense::click());
            let room = egui::vec2((ui.available_width() - if is.written { 400.0 } else { 270.0 }).max(120.0), 28.0);
            let left = egui::Layout::left_to_right(egui::Align::Center);
            let response = ui.allocate_ui_with_layout(room, left, |ui| ui.add(label)).inner;
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Open {name}")));
            if response.clicked() {
                act = Some(Act::Open(index));
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if icons::quiet(ui, p, Icon::Bin, "Delete conversation").clicked() {
                    act = Some(Act::Delete(index));
                }
                if icons::quiet(ui, p, Icon::Pencil, "Rename conversation").clicked() {
                    list.renaming = Some((conversation.id.clone(), name.clone()));
                }
                act = state_ui(ui, p, conversation, is).or(act.take());
            });
        });
    });
    act
}

/// How long a conversation is and how it stands; while it is written, a button to stop that.
fn state_ui(ui: &mut Ui, p: &Palette, conversation: &super::Conversation, is: Is) -> Option<Act> {
    let kept = if conversation.private { " · private" } else { "" };
    let state = match is {
        Is { written: true, .. } => " · being written",
        Is { failed: true, .. } => " · not answered",
        _ => "",
    };
    let turns = words::counted(conversation.turns.len(), "turn");
    note(ui, p, format!("{turns} · {}{kept}{state}", ago(conversation.changed)));
    if !is.written {
        return None;
    }
    let name = conversation.name();
    writing_mark(ui, p, &format!("{name} is being written"));
    let stop = ui.add(egui::Button::new(RichText::new("Stop").size(size::LABEL)));
    stop.accessible_name(format!("Stop {name}")).clicked().then(|| Act::Stop(conversation.id.clone()))
}

/// How long ago, in words.
fn ago(seconds: u64) -> String {
    let past = now().saturating_sub(seconds);
    match past {
        0..=59 => "just now".into(),
        60..=3_599 => format!("{} min ago", past / 60),
        3_600..=86_399 => format!("{} h ago", past / 3_600),
        86_400..=172_799 => "yesterday".into(),
        _ => format!("{} days ago", past / 86_400),
    }
}
