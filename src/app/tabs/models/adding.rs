//! Adding a file, a folder or an id of the hub: looked at first, then added.

use super::ModelsTab;
use super::details::millions;
use crate::app::tabs::Cx;
use crate::app::theme::{card, size, strong};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{bytes, grouped, note, primary, secondary};
use crate::engine::news::{Card, Errand};
use crate::error::UserMessage;
use egui::{RichText, TextEdit, Ui};
use std::path::PathBuf;

/// The field, and what was found there.
#[derive(Default)]
pub(super) struct Adding {
    text: String,
    picker: Option<FilePicker>,
    /// Was looked at: the path, and what it is.
    pub checked: Option<(PathBuf, Result<Box<Card>, UserMessage>)>,
    /// Is to have the keyboard in the next frame.
    is_new: bool,
}

impl Adding {
    /// With something in the field.
    pub fn of(text: String) -> Self {
        Self { text, is_new: true, ..Self::default() }
    }
}

/// Whether `text` names something on disk rather than on the hub.
fn is_path(text: &str) -> bool {
    let ends = [".gguf", ".zip", ".safetensors", ".bin", ".json"].iter().any(|e| text.to_lowercase().ends_with(e));
    text.starts_with(['/', '.', '~']) || text.contains('\\') || (ends && text.split('/').count() != 3)
}

/// A path as a person types it.
fn path_of(text: &str) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(rest) => FilePicker::home().join(rest),
        None => PathBuf::from(text),
    }
}

impl ModelsTab {
    pub(super) fn adding_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Some(mut adding) = self.adding.take() else { return };
        let p = cx.palette;
        let mut open = true;
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(strong("Add a model", size::BODY));
            let entered = self.field(ui, cx, &mut adding);
            note(
                ui,
                p,
                "A folder with config.json, a GGUF file, a zip archive of a folder; or an id of huggingface.co, such as Qwen/Qwen2.5-0.5B-Instruct.",
            );
            match adding.checked.take() {
                Some((path, Ok(found))) => {
                    found_ui(ui, cx, &found);
                    if primary(ui, p, "Add it", "").clicked() {
                        self.ask(Errand::Add(path.clone()), cx);
                    }
                    adding.checked = Some((path, Ok(found)));
                }
                Some((path, Err(message))) => {
                    ui.label(strong(&message.what, size::BODY).color(p.negative));
                    ui.label(&message.why);
                    note(ui, p, &message.next);
                    adding.checked = Some((path, Err(message)));
                }
                None => {}
            }
            if entered == Some(false) {
                open = false;
            }
        });
        if let Some(picker) = &mut adding.picker
            && let Some(picked) = picker.show(ui, p)
        {
            adding.picker = None;
            if let Picked::File(path) = picked {
                adding.text = path.display().to_string();
                adding.checked = None;
                self.ask(Errand::Check(path), cx);
            }
        }
        if open {
            self.adding = Some(adding);
        }
    }

    /// The field and its buttons; `Some(false)` when it is to be closed.
    fn field(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, adding: &mut Adding) -> Option<bool> {
        let (mut go, mut close) = (false, false);
        let mut text = std::mem::take(&mut adding.text);
        let before = text.clone();
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 270.0).max(140.0);
            let field = TextEdit::singleline(&mut text).hint_text("path, or owner/name").desired_width(width);
            let field = ui.add(field.align(egui::Align2::LEFT_CENTER)).accessible_name("Path or id of a model");
            if std::mem::take(&mut adding.is_new) {
                field.request_focus();
            }
            go = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let word = if is_path(text.trim()) || text.trim().is_empty() { "Check" } else { "Get" };
            ui.add_enabled_ui(!text.trim().is_empty(), |ui| go |= primary(ui, cx.palette, word, "").clicked());
            if secondary(ui, cx.palette, "Browse…", "").clicked() {
                adding.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
            }
            close = secondary(ui, cx.palette, "Close", "").clicked();
        });
        if text != before {
            adding.checked = None;
        }
        let wanted = text.trim();
        if go && !wanted.is_empty() {
            if is_path(wanted) {
                self.ask(Errand::Check(path_of(wanted)), cx);
            } else {
                self.ask(Errand::Get(wanted.to_owned()), cx);
                close = true;
            }
        }
        adding.text = text;
        close.then_some(false)
    }
}

/// What was found at a path.
fn found_ui(ui: &mut Ui, cx: &Cx<'_>, found: &Card) {
    let shape = &found.shape;
    ui.label(strong(&found.name, size::BODY));
    let what = format!(
        "{} for {} · {} layers, {} wide · {} parameters in {} · vocabulary {} · {}",
        found.architecture,
        found.task,
        shape.layers + shape.decoder_layers,
        shape.hidden,
        millions(found.parameters),
        found.precision,
        grouped(shape.vocabulary),
        bytes(found.bytes)
    );
    ui.label(RichText::new(what).size(size::LABEL));
    note(ui, cx.palette, "Its files were checked. It is used where it lies; nothing is copied.");
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn paths_and_ids_are_told_apart() {
        for path in ["/a/b", "./m", "~/m.gguf", "m.gguf", "dir/m.gguf", "C:\\m", "model.zip"] {
            assert!(is_path(path), "{path}");
        }
        for id in ["gpt2", "Qwen/Qwen2.5-0.5B-Instruct", "owner/name/file.gguf"] {
            assert!(!is_path(id), "{id}");
        }
    }
}
