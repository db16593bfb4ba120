//! Shares as bars, and the coloured switches of a legend.

use super::gauge::percent;
use crate::app::theme::{Palette, figures, size};
use egui::{Color32, Rect, Response, RichText, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};

/// A bar of `width` points that `share` (0 to 1) fills.
pub fn line(ui: &mut Ui, p: &Palette, share: f64, color: Color32, width: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(width, 10.0), Sense::hover());
    ui.painter().rect_filled(rect, 2.0, p.raised);
    let full = Rect::from_min_size(rect.min, vec2(width * share.clamp(0.0, 1.0) as f32, 10.0));
    ui.painter().rect_filled(full, 2.0, color);
    response
}

/// A name, a bar and a percentage in a row.
pub fn bar(ui: &mut Ui, p: &Palette, name: &str, share: f64, color: Color32) -> Response {
    let row = ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 22.0;
        ui.set_height(22.0);
        let width = (ui.available_width() * 0.42).clamp(80.0, 260.0);
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        ui.allocate_ui_with_layout(vec2(width, 20.0), layout, |ui| {
            ui.set_width(width);
            ui.add(egui::Label::new(name).truncate().selectable(false));
        });
        let left = (ui.available_width() - 64.0).clamp(40.0, 320.0);
        line(ui, p, share, color, left);
        ui.label(figures(percent(share), size::LABEL));
    });
    let text = format!("{name} {}", percent(share));
    row.response.widget_info(|| WidgetInfo::labeled(Role::Meter, true, &text));
    row.response
}

/// A switch of a legend: a dot and a name, dim when `on` is false.
pub fn legend(ui: &mut Ui, p: &Palette, color: Color32, name: &str, on: bool) -> Response {
    let shown = RichText::new(format!("     {name}")).size(size::LABEL);
    let shown = if on { shown.color(p.text) } else { shown.color(p.muted).strikethrough() };
    let height = ui.spacing().interact_size.y.min(36.0);
    let line = Stroke::new(1.5, if on { color } else { p.hairline });
    let button = egui::Button::new(shown).corner_radius(16).stroke(line).min_size(vec2(0.0, height));
    let response = ui.add(button);
    if on {
        let dot = egui::pos2(response.rect.left() + ui.spacing().button_padding.x + 4.5, response.rect.center().y);
        ui.painter().circle_filled(dot, 4.5, color);
        ui.painter().rect_stroke(response.rect, 16.0, line, StrokeKind::Inside);
    }
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, name));
    response
}
