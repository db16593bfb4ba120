//! What the tab looks like.

use super::bubbles::{Style, Wish};
use super::{ChatTab, Deleted, Over};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::cut_paste;
use crate::app::tabs::writing::model_ui;
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, size};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{chips, explain, failure, note, primary, secondary, writing_mark};
use egui::{CentralPanel, FontId, Frame, Key, Layout, Margin, Modifiers, Panel, ScrollArea, TextEdit, Ui};
use std::path::PathBuf;

/// Questions to begin with.
const EXAMPLES: [&str; 4] = [
    "How does a battery work?",
    "Write a short poem about the sea.",
    "Explain photosynthesis in two sentences.",
    "Give me three ideas for a school project.",
];

/// Width that the button beside the input takes.
const SEND: f32 = 116.0;
/// Letters that a message may have.
const LONGEST: usize = 100_000;

/// A model's links are often invented, and a kiosk has no browser to get lost in: they are shown,
/// never opened.
fn refuse_links(cx: &mut Cx<'_>) {
    let mut refused = None;
    cx.ctx.output_mut(|out| {
        out.commands.retain(|command| match command {
            egui::OutputCommand::OpenUrl(open) => {
                refused = Some(open.url.clone());
                false
            }
            _ => true,
        });
    });
    if let Some(url) = refused {
        cx.notices.say(format!("Links are not opened here: {url}"));
    }
}

fn input_id() -> egui::Id {
    egui::Id::unique("chat input")
}

impl ChatTab {
    pub(super) fn chat_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.header(ui, cx);
        // Every answer goes on, whatever is shown.
        if self.answering.is_any() {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
        }
        if matches!(self.over, Over::List(_)) {
            self.list_ui(ui, cx);
            return;
        }
        self.failed_ui(ui, cx);
        let below = Panel::bottom("chat input panel").frame(Frame::NONE).resizable(false).show_separator_line(false);
        below.show(ui, |ui| {
            ui.add_space(8.0);
            self.deleted_ui(ui, cx);
            self.input_ui(ui, cx);
        });
        CentralPanel::default().frame(Frame::NONE).show(ui, |ui| self.turns_ui(ui, cx));
        self.over_ui(ui, cx);
        refuse_links(cx);
    }

    fn header(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut command = None;
        ui.horizontal(|ui| {
            ui.heading("Chat");
            ui.with_layout(Layout::right_to_left(egui::Align::Center), |ui| {
                if secondary(ui, p, "New conversation", "")
                    .on_hover_text(UiCommand::NewConversation.tooltip())
                    .clicked()
                {
                    command = Some(UiCommand::NewConversation);
                }
                let mut model = cx.settings.chat.model.clone();
                if model_ui(ui, cx, &mut model) {
                    self.over = Over::OpenModel(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
                }
                cx.settings.chat.model = model;
            });
        });
        ui.horizontal_wrapped(|ui| {
            note(ui, p, "A model that runs on this machine. It can be wrong.");
            let listed = self.conversations.iter().filter(|c| !c.turns.is_empty()).count();
            let open = matches!(self.over, Over::List(_));
            let name = if open { "Back".to_owned() } else { format!("Conversations ({listed})") };
            if ui.add(egui::Button::new(egui::RichText::new(name).size(size::LABEL)).frame(open)).clicked() {
                self.over = if open { Over::Nothing } else { Over::List(super::list::List::default()) };
            }
            if ui.add(egui::Button::new(egui::RichText::new("Options").size(size::LABEL)).frame(false)).clicked() {
                self.over = Over::Options;
            }
            if ui.add(egui::Button::new(egui::RichText::new("Export…").size(size::LABEL)).frame(false)).clicked() {
                self.over = Over::Export(FilePicker::new(Purpose::Save, FilePicker::home(), "conversation.md"));
            }
            let mut surprise = cx.settings.surprise;
            if ui.checkbox(&mut surprise, egui::RichText::new("Surprise").size(size::LABEL)).changed() {
                cx.settings.surprise = surprise;
            }
            explain(ui, "surprise", "Shows each token of an answer on a ground that is darker the less sure the model was of it. Where it is dark, another word could easily have come.");
            if self.shown().is_some_and(|c| c.private) {
                note(ui, p, "private: not kept");
            }
            self.elsewhere_ui(ui, p);
        });
        if let Some(command) = command {
            self.on_command(command, cx);
        }
    }

    /// Says that other conversations are being written: at the end of the line, where it moves nothing.
    fn elsewhere_ui(&self, ui: &mut Ui, p: &Palette) {
        let elsewhere = self.shown().map_or(0, |c| self.answering.elsewhere(&c.id));
        if elsewhere == 0 {
            return;
        }
        let (answers, are) = if elsewhere == 1 { ("answer", "is") } else { ("answers", "are") };
        let words = format!("{elsewhere} other {answers} {are} being written");
        ui.spacing_mut().item_spacing.x = 4.0;
        writing_mark(ui, p, &words);
        note(ui, p, format!("{elsewhere} more")).on_hover_text(words);
    }

    fn turns_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let is_busy = self.is_busy();
        let Some(place) = self.conversations.get_mut(self.current) else { return };
        // Out of its place while it is drawn, so that nothing need be copied; what a person wants
        // done with it waits until it is back.
        let conversation = std::mem::take(place);
        let style = Style { palette: cx.palette, surprise: cx.settings.surprise, idle: !is_busy };
        let here = self.answering.of(&conversation.id).map(|r| r.turn);
        let (mut wish, mut example) = (None, None);
        let area = ScrollArea::vertical().id_salt(("turns", &conversation.id)).auto_shrink(false).stick_to_bottom(true);
        area.show(ui, |ui| {
            self.bubbles.begin(&conversation.id, ui.available_width());
            ui.spacing_mut().item_spacing.y = 10.0;
            if conversation.turns.is_empty() {
                example = examples_ui(ui, cx);
            }
            let unseen = conversation.unseen_turns();
            let count = conversation.turns.len();
            for (index, turn) in conversation.turns.iter().enumerate() {
                if index == unseen && unseen > 0 {
                    note(
                        ui,
                        cx.palette,
                        format!("↑ The context was full: the model no longer sees the {unseen} turns above."),
                    );
                }
                if self.editing.as_ref().is_some_and(|e| e.0 == index) {
                    if let Some(w) = self.editing_ui(ui, cx) {
                        wish = Some((index, w));
                    }
                    continue;
                }
                let last = index + 1 == count;
                // The old answer of a question that is answered again makes room for the new one.
                let answer = turn.answer().filter(|_| here != Some(index));
                if let Some(w) = self.bubbles.turn(ui, style, (index, turn), answer, last) {
                    wish = Some((index, w));
                }
                if let Some(running) = self.answering.of(&conversation.id).filter(|_| here == Some(index)) {
                    let stream = &running.stream;
                    self.bubbles.coming(ui, style, &stream.text, &stream.steps, &stream.state());
                }
            }
            if std::mem::take(&mut self.to_bottom) {
                ui.scroll_to_cursor(Some(egui::Align::BOTTOM));
            }
        });
        self.conversations[self.current] = conversation;
        if let Some((turn, wish)) = wish {
            self.fulfil(turn, wish, cx);
        }
        if let Some(example) = example {
            self.ask(example.to_owned(), cx);
        }
    }

    fn fulfil(&mut self, turn: usize, wish: Wish, cx: &mut Cx<'_>) {
        let Some(conversation) = self.conversations.get_mut(self.current) else { return };
        let count = conversation.turns.len();
        let Some(here) = conversation.turns.get_mut(turn) else { return };
        match wish {
            Wish::CopyQuestion => cx.copy(here.question.clone()),
            Wish::CopyAnswer => cx.copy(here.answer().map(|a| a.text.clone()).unwrap_or_default()),
            Wish::CopyCode => cx.copy(here.answer().map(|a| super::bubbles::code_of(&a.text)).unwrap_or_default()),
            Wish::Resend(question) => {
                self.editing = None;
                self.resend(turn, question, cx);
            }
            Wish::Leave => self.editing = None,
            Wish::Show(index) => {
                here.shown = index;
                self.keep(self.current);
            }
            Wish::Edit => self.editing = Some((turn, here.question.clone())),
            Wish::Delete => self.delete_turn(turn),
            Wish::Again => {
                if turn + 1 < count {
                    // What came after belongs to the old answer; it can be brought back.
                    self.remember("The turns after it were left out.");
                    self.conversations[self.current].turns.truncate(turn + 1);
                }
                self.answer_last(cx);
            }
        }
    }

    fn editing_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) -> Option<Wish> {
        let (_, text) = self.editing.as_mut()?;
        let mut wish = None;
        card(cx.palette).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let id = egui::Id::unique("changed message");
            if let Some(words) = cut_paste(ui, id, text, LONGEST) {
                cx.notices.push(words);
            }
            let field = TextEdit::multiline(text)
                .id(id)
                .char_limit(LONGEST)
                .desired_width(f32::INFINITY)
                .desired_rows(2)
                .font(FontId::proportional(size::INPUT));
            let _ = ui.add(field).accessible_name("Changed message");
            ui.horizontal_wrapped(|ui| {
                if primary(ui, cx.palette, "Send again", "").clicked() && !text.trim().is_empty() {
                    wish = Some(Wish::Resend(text.trim().to_owned()));
                }
                if secondary(ui, cx.palette, "Cancel", "").clicked() {
                    wish = Some(Wish::Leave);
                }
                note(ui, cx.palette, "What was said after it is replaced; Undo brings it back.");
            });
        });
        wish
    }

    fn failed_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Some(message) = self.shown().and_then(|c| self.answering.failure(&c.id)).cloned() else { return };
        if failure(ui, cx.palette, &message) {
            self.answer_last(cx);
        }
    }

    pub(super) fn deleted_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Some(Deleted { what, .. }) = &self.deleted else { return };
        let (mut undo, mut gone) = (false, false);
        ui.horizontal(|ui| {
            note(ui, cx.palette, *what);
            undo = ui.button("Undo").clicked();
            gone = ui.button("×").accessible_name("Dismiss").clicked();
        });
        if undo {
            self.undo();
        } else if gone {
            self.deleted = None;
        }
    }

    fn input_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut command = None;
        let busy = self.is_busy();
        // Enter sends, Shift+Enter begins a line.
        if let Some(words) = cut_paste(ui, input_id(), &mut self.input, LONGEST) {
            cx.notices.push(words);
        }
        let focused = ui.memory(|m| m.has_focus(input_id()));
        if focused && !busy && ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter)) {
            command = Some(UiCommand::Run);
        }
        card(p).inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
            ui.horizontal(|ui| {
                let room = egui::vec2(ui.available_width() - SEND, ui.spacing().interact_size.y);
                let left = Layout::left_to_right(egui::Align::Center);
                ui.allocate_ui_with_layout(room, left, |ui| {
                    ScrollArea::vertical().id_salt("chat input").max_height(84.0).min_scrolled_height(34.0).show(
                        ui,
                        |ui| {
                            let field = TextEdit::multiline(&mut self.input)
                                .id(input_id())
                                .desired_width(f32::INFINITY)
                                .desired_rows(1)
                                .char_limit(LONGEST)
                                .font(FontId::proportional(size::INPUT))
                                .frame(Frame::NONE)
                                .margin(Margin::symmetric(4, 7))
                                .return_key(egui::KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter))
                                .hint_text("Write a message");
                            let response = ui.add(field);
                            // Whoever opens the tab can type at once.
                            if std::mem::take(&mut self.to_focus) {
                                response.request_focus();
                            }
                            let _ = response.accessible_name("Message");
                        },
                    )
                });
                ui.with_layout(Layout::right_to_left(egui::Align::Center), |ui| {
                    let full = !self.input.trim().is_empty();
                    if busy {
                        if secondary(ui, p, "Stop", "Esc").clicked() {
                            command = Some(UiCommand::Stop);
                        }
                    } else if ui.add_enabled_ui(full, |ui| primary(ui, p, "Send", "⏎")).inner.clicked() {
                        command = Some(UiCommand::Run);
                    }
                });
            });
        });
        if let Some(command) = command {
            self.on_command(command, cx);
            self.to_focus = true;
        }
    }

    fn over_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        match std::mem::take(&mut self.over) {
            Over::Options => {
                if self.options_ui(ui, cx) {
                    self.over = Over::Options;
                }
            }
            Over::OpenModel(mut picker) => match picker.show(ui, cx.palette) {
                Some(Picked::File(path)) => self.on_drop(path, cx),
                Some(Picked::Closed) => {}
                None => self.over = Over::OpenModel(picker),
            },
            Over::Export(mut picker) => match picker.show(ui, cx.palette) {
                Some(Picked::File(path)) => self.export(path, cx),
                Some(Picked::Closed) => {}
                None => self.over = Over::Export(picker),
            },
            other => self.over = other,
        }
    }

    fn export(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        let Some(conversation) = self.shown() else { return };
        let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let text = if json { conversation.to_json() } else { conversation.to_markdown() };
        self.exporting = Some(crate::app::jobs::Pending::spawn(cx.ctx, move || {
            let written = crate::disk::write_whole(&path, text.as_bytes());
            match written {
                Ok(()) => Ok(format!("Saved to '{}'.", path.display())),
                Err(e) => Err(format!("'{}' could not be written: {e}. Choose another place.", path.display())),
            }
        }));
    }
}

/// Questions to begin with; the one that was tapped.
fn examples_ui(ui: &mut Ui, cx: &Cx<'_>) -> Option<&'static str> {
    ui.add_space(12.0);
    note(ui, cx.palette, "Ask something, or tap one of these:");
    let mut tapped = None;
    ui.horizontal_wrapped(|ui| {
        for example in EXAMPLES {
            if chips::choice(ui, cx.palette, example).clicked() {
                tapped = Some(example);
            }
        }
    });
    tapped
}
