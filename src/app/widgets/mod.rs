//! Pictures and controls that know no task.

pub mod bars;
pub mod chips;
pub mod file_picker;
pub mod flame;
pub mod gauge;
pub mod histogram;
pub mod icons;
pub mod marked;
pub mod stages;

use super::theme::{Palette, card, size, strong};
use crate::error::UserMessage;
pub use crate::telemetry::channel::millis;
use egui::{Button, Response, Sense, Ui, WidgetText, vec2};
use std::time::Duration;

/// Time between two pictures of a mark that moves.
const MARK_EVERY: Duration = Duration::from_millis(100);

/// The one button that matters most here.
pub fn primary(ui: &mut Ui, p: &Palette, text: &str, key: &str) -> Response {
    let label = strong(text, size::BODY).color(p.on_accent);
    let mut button = Button::new(label).fill(p.accent).min_size(vec2(96.0, ui.spacing().interact_size.y));
    if !key.is_empty() {
        button = button.right_text(egui::RichText::new(key).size(size::SMALL).color(p.on_accent));
    }
    let response = ui.add(button);
    named(&response, text, ui.is_enabled());
    response
}

/// An ordinary button, with its key in small letters.
pub fn secondary(ui: &mut Ui, p: &Palette, text: &str, key: &str) -> Response {
    let mut button = Button::new(text).min_size(vec2(0.0, ui.spacing().interact_size.y));
    if !key.is_empty() {
        button = button.right_text(egui::RichText::new(key).size(size::SMALL).color(p.muted));
    }
    let response = ui.add(button);
    named(&response, text, ui.is_enabled());
    response
}

/// Gives a button a name without its key, for screen readers and tests.
fn named(response: &Response, text: &str, enabled: bool) {
    let text = text.to_owned();
    response.widget_info(move || egui::WidgetInfo::labeled(egui::Role::Button, enabled, &text));
}

/// Muted small text.
pub fn note(ui: &mut Ui, p: &Palette, text: impl Into<String>) -> Response {
    ui.label(egui::RichText::new(text).size(size::LABEL).color(p.muted))
}

/// Three dots that swell one after the other while something is written; `name` says what.
pub fn writing_mark(ui: &mut Ui, p: &Palette, name: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(size::MARK, size::MARK), Sense::hover());
    let beat = ui.input(|i| i.time) * 1.2;
    for dot in 0..3u8 {
        let phase = (beat - f64::from(dot) * 0.2).fract() as f32;
        let swell = (phase * std::f32::consts::PI).sin();
        let x = rect.center().x + (f32::from(dot) - 1.0) * size::MARK * 0.3;
        ui.painter().circle_filled(egui::pos2(x, rect.center().y), 1.2 + 1.4 * swell, p.accent);
    }
    ui.ctx().request_repaint_after(MARK_EVERY);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, name));
    response
}

/// A "?" that explains a term when it is clicked or tapped.
pub fn explain(ui: &mut Ui, term: &str, text: &str) {
    let button = Button::new("?").small().min_size(vec2(24.0, 24.0));
    let response = ui.add(button).accessible_name(format!("What is {term}?"));
    egui::Popup::from_toggle_button_response(&response).show(|ui| {
        ui.set_max_width(320.0);
        ui.label(WidgetText::from(text));
    });
}

/// The title of a card or a panel, and what it means behind a "?".
pub fn titled(ui: &mut Ui, title: &str, term: &str, text: &str) {
    ui.horizontal(|ui| {
        ui.label(strong(title, size::BODY));
        explain(ui, term, text);
    });
}

/// A failure: what, why, what next. Returns whether Retry was pressed.
pub fn failure(ui: &mut Ui, p: &Palette, message: &UserMessage) -> bool {
    let mut retry = false;
    card(p).stroke(egui::Stroke::new(1.0, p.negative)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.label(strong(&message.what, size::BODY).color(p.negative));
        ui.label(&message.why);
        if !message.next.is_empty() {
            ui.label(egui::RichText::new(&message.next).color(p.muted));
        }
        retry = secondary(ui, p, "Retry", "").clicked();
    });
    retry
}

/// Bytes as people read them: MB and GB of a thousand.
pub fn bytes(count: u64) -> String {
    crate::telemetry::channel::bytes(count as f64)
}

/// A number with commas, as in 4,096.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_have_commas() {
        assert_eq!(
            [0, 12, 999, 4_096, 32_768, 1_000_000].map(grouped),
            ["0", "12", "999", "4,096", "32,768", "1,000,000"]
        );
    }
}
