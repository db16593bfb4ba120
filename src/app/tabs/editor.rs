//! A text that is typed, pasted, or opened from a file.

use super::Cx;
use crate::app::jobs::Pending;
use crate::app::theme::{Palette, blend, card, size};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::marked::grounds;
use crate::app::widgets::{failure, grouped, note, secondary};
use crate::error::UserMessage;
use crate::labs::lines;
use egui::{FontId, Margin, RichText, ScrollArea, TextEdit, Ui};
use std::ops::Range;
use std::path::PathBuf;

/// Bytes of text that can be edited without the window getting slow.
pub const LONG: usize = 20_000;

/// A pasted text longer than `limit`, taken before an editor lays it out.
pub fn take_long_paste(ui: &Ui, limit: usize) -> Option<String> {
    ui.input_mut(|input| {
        let is_long = |e: &egui::Event| matches!(e, egui::Event::Paste(text) if text.len() > limit);
        let at = input.events.iter().position(is_long)?;
        match input.events.remove(at) {
            egui::Event::Paste(text) => Some(text),
            _ => None,
        }
    })
}

/// Puts `pasted` where a field's cursor is, in place of what is selected, as the field itself would; at most `limit`
/// characters stand in the field then. How many characters were left out.
pub fn insert(ui: &Ui, id: egui::Id, text: &mut String, pasted: &str, limit: usize) -> usize {
    let state = egui::text_edit::TextEditState::load(ui.ctx(), id);
    let selected = state.as_ref().and_then(|s| s.cursor.char_range());
    let count = text.chars().count();
    let (from, to) = match selected {
        Some(range) => {
            let (a, b) = (range.primary.index.0.min(count), range.secondary.index.0.min(count));
            (a.min(b), a.max(b))
        }
        None => (count, count),
    };
    let byte = |letter: usize| text.char_indices().nth(letter).map_or(text.len(), |c| c.0);
    let room = limit.saturating_sub(count - (to - from));
    let kept: String = pasted.chars().take(room).collect();
    let (first, last) = (byte(from), byte(to));
    let (taken, left_out) = (kept.chars().count(), pasted.chars().count().saturating_sub(room));
    text.replace_range(first..last, &kept);
    if let Some(mut state) = state {
        let at = egui::text::CCursor::new(from + taken);
        state.cursor.set_char_range(Some(egui::text::CCursorRange::one(at)));
        state.store(ui.ctx(), id);
    }
    left_out
}

/// Takes a paste that a field of `limit` characters has no room for, so that it is said what was cut. `None` if there was
/// none; else the words.
pub fn cut_paste(ui: &Ui, id: egui::Id, text: &mut String, limit: usize) -> Option<String> {
    if !ui.memory(|m| m.has_focus(id)) {
        return None;
    }
    // Bytes bound characters from above: what is shorter always has room.
    let room = limit.saturating_sub(text.len());
    let pasted = take_long_paste(ui, room)?;
    let left_out = insert(ui, id, text, &pasted, limit);
    (left_out > 0).then(|| {
        let all = pasted.chars().count();
        format!(
            "Of {} pasted characters the last {} were left out: a message has at most {}. Open the text as a file in another tab, or paste it in parts.",
            grouped(all),
            grouped(left_out),
            grouped(limit)
        )
    })
}

/// A text that is typed, pasted, or opened from a file.
pub struct Editor {
    pub text: String,
    /// What a screen reader calls it.
    name: &'static str,
    /// What is said of a text too long to edit.
    long: &'static str,
    /// The file that the text came from, until another text is put in its place.
    pub file: Option<PathBuf>,
    /// The byte where the cursor stood in the last frame.
    cursor: Option<usize>,
    picker: Option<FilePicker>,
    reading: Option<(PathBuf, Pending<Result<String, UserMessage>>)>,
    pub failed: Option<UserMessage>,
}

impl Editor {
    /// With `text` in it.
    pub fn new(name: &'static str, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            name,
            long: "read in windows.",
            file: None,
            cursor: None,
            picker: None,
            reading: None,
            failed: None,
        }
    }

    /// The same, with something else to say of a text too long to edit.
    pub fn saying(self, long: &'static str) -> Self {
        Self { long, ..self }
    }

    fn id(&self) -> egui::Id {
        egui::Id::unique(self.name)
    }

    /// Reads a file on a thread of its own.
    pub fn open(&mut self, path: PathBuf, cx: &Cx<'_>) {
        let file = path.clone();
        self.failed = None;
        self.reading = Some((path, Pending::spawn(cx.ctx, move || lines::text(&file))));
    }

    /// Lets a person choose a file.
    pub fn choose(&mut self) {
        self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
    }

    /// The file dialog, and what has been read. Once a frame. True if a file's text has come.
    pub fn poll(&mut self, ui: &Ui, cx: &mut Cx<'_>) -> bool {
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, cx.palette)
        {
            self.picker = None;
            if let Picked::File(path) = picked {
                self.open(path, cx);
            }
        }
        let Some((path, pending)) = &mut self.reading else { return false };
        let Some(result) = pending.poll() else { return false };
        let path = std::mem::take(path);
        self.reading = None;
        match result {
            Ok(text) => {
                self.text = text;
                self.file = Some(path);
                true
            }
            Err(message) => {
                self.failed = Some(message);
                false
            }
        }
    }

    /// Draws it with `rows` lines at least, at most `height` points high.
    pub fn ui(&mut self, ui: &mut Ui, p: &Palette, rows: usize, height: f32) {
        self.lit_ui(ui, p, rows, height, None);
    }

    /// As [`Self::ui`], with these bytes of the text lit; the byte under the pointer, and the one where the
    /// cursor was put.
    pub fn lit_ui(
        &mut self,
        ui: &mut Ui,
        p: &Palette,
        rows: usize,
        height: f32,
        lit: Option<&Range<usize>>,
    ) -> [Option<usize>; 2] {
        let id = self.id();
        if ui.memory(|m| m.has_focus(id))
            && let Some(text) = take_long_paste(ui, LONG)
        {
            insert(ui, id, &mut self.text, &text, usize::MAX);
        }
        if let Some((path, _)) = &self.reading {
            note(ui, p, format!("Reading '{}'…", path.display()));
        }
        if let Some(message) = &self.failed
            && failure(ui, p, message)
        {
            self.failed = None;
            self.choose();
        }
        if self.text.len() > LONG {
            self.long_ui(ui, p);
            return [None, None];
        }
        let area = ScrollArea::vertical().id_salt(self.name).max_height(height);
        let shown = area.show(ui, |ui| {
            // Behind the letters, which come out of the field's own layout.
            let ground = ui.painter().add(egui::Shape::Noop);
            let shown = TextEdit::multiline(&mut self.text)
                .id(id)
                .desired_width(f32::INFINITY)
                .desired_rows(rows)
                .font(FontId::proportional(size::INPUT))
                .margin(Margin::symmetric(16, 14))
                .background_color(if lit.is_some() { egui::Color32::TRANSPARENT } else { p.panel })
                .hint_text("Type or paste a text")
                .show(ui);
            let field = shown.response.response.accessible_name(self.name);
            if let Some(lit) = lit.filter(|r| self.text.get((*r).clone()).is_some()) {
                let count = |to: usize| self.text[..to].chars().count();
                let letters = count(lit.start)..count(lit.end);
                let mut shapes = vec![egui::Shape::rect_filled(field.rect, f32::from(size::RADIUS), p.panel)];
                let color = blend(p.panel, p.accent, 0.2);
                shapes.extend(
                    grounds(&shown.galley, &letters)
                        .into_iter()
                        .map(|r| egui::Shape::rect_filled(r.translate(shown.galley_pos.to_vec2()), 3.0, color)),
                );
                ui.painter().set(ground, egui::Shape::Vec(shapes));
            }
            let byte = |letter: usize| self.text.char_indices().nth(letter).map_or(self.text.len(), |c| c.0);
            let under = field.hover_pos().map(|at| byte(shown.galley.cursor_from_pos(at - shown.galley_pos).index.0));
            let at = shown.cursor_range.filter(|_| field.has_focus()).map(|c| byte(c.primary.index.0));
            let put = at.filter(|at| self.cursor != Some(*at));
            self.cursor = at;
            [under, put]
        });
        shown.inner
    }

    /// A text too long to edit smoothly: its beginning, its size, and a way back.
    fn long_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let mut clear = false;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let first: String = self.text.chars().take(280).collect();
            let shown = ui.label(RichText::new(format!("{}…", first.trim())).size(size::BODY));
            let name = format!("Long text: {first}");
            shown.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &name));
            ui.horizontal_wrapped(|ui| {
                note(ui, p, format!("{:.0} kB: {}", self.text.len() as f64 / 1e3, self.long));
                clear = secondary(ui, p, "Clear", "").clicked();
            });
        });
        if clear {
            self.text.clear();
            self.file = None;
        }
    }
}
