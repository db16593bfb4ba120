//! Words with a colour and a number each.

use crate::app::theme::{Palette, blend, size};
use egui::{Align2, FontId, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

/// Effects smaller than this are not marked.
const FAINT: f64 = 0.005;

/// A word with its effect (-1 to 1): colour, underline and number say the same thing.
pub fn word(ui: &mut Ui, p: &Palette, text: &str, effect: Option<f64>, selected: bool) -> Response {
    let font = FontId::proportional(size::RESULT);
    let galley = ui.painter().layout_no_wrap(text.to_owned(), font, p.text);
    let extent = vec2(galley.size().x + 12.0, 48.0);
    let (rect, response) = ui.allocate_exact_size(extent, Sense::click());
    let shown = effect.unwrap_or(0.0);
    let color = if shown >= 0.0 { p.positive } else { p.negative };
    let upper = Rect::from_min_size(rect.min, vec2(rect.width(), 32.0));
    let painter = ui.painter();
    if shown.abs() >= FAINT {
        let strength = (0.04 + shown.abs() as f32 * 0.9).min(0.6);
        painter.rect_filled(upper, 4.0, blend(p.panel, color, strength));
        painter.hline(upper.x_range(), upper.bottom(), Stroke::new(2.0, color));
        let number = format!("{shown:+.2}");
        let below = pos2(rect.center().x, rect.bottom() - 1.0);
        painter.text(below, Align2::CENTER_BOTTOM, number, FontId::monospace(11.0), color);
    }
    if selected || response.hovered() || response.has_focus() {
        painter.rect_stroke(upper, 4.0, Stroke::new(1.0, p.accent), StrokeKind::Outside);
    }
    let place = pos2(upper.left() + 6.0, upper.center().y - galley.size().y / 2.0);
    painter.galley(place, galley, p.text);
    let name = match effect {
        Some(e) => format!("word {text} {e:+.2}"),
        None => format!("word {text}"),
    };
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &name));
    response
}

/// A rounded choice, such as an example.
pub fn choice(ui: &mut Ui, p: &Palette, text: &str) -> Response {
    let label = egui::RichText::new(text).size(size::LABEL).color(p.muted);
    ui.add(egui::Button::new(label).corner_radius(16).min_size(vec2(0.0, ui.spacing().interact_size.y.min(36.0))))
}

/// A piece as the model reads it, with its number and the bytes of the text that it stands for.
pub fn piece(ui: &mut Ui, p: &Palette, text: &str, id: u32, bytes: (usize, usize)) -> Response {
    let upper = ui.painter().layout_no_wrap(text.to_owned(), FontId::monospace(size::LABEL), p.text);
    let lower = ui.painter().layout_no_wrap(id.to_string(), FontId::monospace(10.0), p.muted);
    let place = format!("{}–{}", bytes.0, bytes.1);
    let last = ui.painter().layout_no_wrap(place, FontId::monospace(10.0), p.muted);
    let width = upper.size().x.max(lower.size().x).max(last.size().x) + 12.0;
    let (rect, response) = ui.allocate_exact_size(vec2(width, 48.0), Sense::hover());
    ui.painter().rect_filled(rect, 4.0, p.raised);
    ui.painter().galley(rect.min + vec2(6.0, 3.0), upper, p.text);
    ui.painter().galley(rect.min + vec2(6.0, 19.0), lower, p.muted);
    ui.painter().galley(rect.min + vec2(6.0, 32.0), last, p.muted);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("piece {text} {id}")));
    response
}

/// A written token in running text. Its ground shows how unsure the model was (0 to 1); spaces are
/// part of it. `name` is what a screen reader says.
pub fn token(ui: &mut Ui, p: &Palette, text: &str, unsure: f32, selected: bool, name: &str) -> Response {
    let shown = text.replace('\n', "⏎").replace('\t', "→");
    let galley = ui.painter().layout_no_wrap(shown, FontId::proportional(size::RESULT), p.text);
    let extent = vec2(galley.size().x.max(4.0) + 2.0, 30.0);
    let (rect, response) = ui.allocate_exact_size(extent, Sense::click());
    let ground = rect.shrink2(vec2(0.5, 1.0));
    if unsure > 0.02 {
        ui.painter().rect_filled(ground, 4.0, blend(p.panel, p.accent, 0.06 + 0.44 * unsure));
    }
    if selected || response.hovered() || response.has_focus() {
        let width = if selected { 2.0 } else { 1.0 };
        ui.painter().rect_stroke(ground, 4.0, Stroke::new(width, p.accent), StrokeKind::Outside);
    }
    let place = pos2(rect.left() + 1.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(place, galley, p.text);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, name));
    response
}
