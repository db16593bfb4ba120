//! A half circle that fills with a probability.

use crate::app::theme::{Palette, semibold, size};
use egui::{Align2, Color32, FontId, Pos2, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};
use std::f32::consts::PI;

/// Draws `share` (0 to 1) with its percentage and `label` inside.
pub fn gauge(ui: &mut Ui, p: &Palette, share: f64, label: &str, color: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(236.0, 150.0), Sense::hover());
    let center = pos2(rect.center().x, rect.top() + 128.0);
    arc(ui, center, 1.0, p.raised);
    arc(ui, center, share as f32, color);
    let painter = ui.painter();
    let percent = percent(share);
    painter.text(center - vec2(0.0, 38.0), Align2::CENTER_CENTER, &percent, FontId::new(size::BIG, semibold()), p.text);
    painter.text(center - vec2(0.0, 4.0), Align2::CENTER_CENTER, label, FontId::proportional(size::INPUT), color);
    let name = format!("{label} {percent}");
    response.widget_info(|| WidgetInfo::labeled(Role::Meter, true, &name));
    response
}

/// A number that is no probability, with `label` below it.
pub fn figure(ui: &mut Ui, p: &Palette, value: f64, label: &str, color: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(236.0, 150.0), Sense::hover());
    let (painter, text) = (ui.painter(), number(value));
    let at = rect.center();
    painter.text(at - vec2(0.0, 16.0), Align2::CENTER_CENTER, &text, FontId::new(size::BIG, semibold()), p.text);
    painter.text(at + vec2(0.0, 22.0), Align2::CENTER_CENTER, label, FontId::proportional(size::INPUT), color);
    let name = format!("{label} {text}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    response
}

/// A number for people: three places that mean something.
pub fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.3}") }
}

/// A probability for people. Never a rounded 100 %: no model is certain.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 99.0 && percent < 100.0 { format!("{:.1} %", percent.min(99.9)) } else { format!("{percent:.0} %") }
}

fn arc(ui: &Ui, center: Pos2, share: f32, color: Color32) {
    const RADIUS: f32 = 100.0;
    const WIDTH: f32 = 18.0;
    let steps = ((share * 64.0).ceil() as usize).max(1);
    let at = |i: usize| {
        let angle = PI + PI * share.clamp(0.0, 1.0) * i as f32 / steps as f32;
        center + RADIUS * vec2(angle.cos(), angle.sin())
    };
    let points: Vec<Pos2> = (0..=steps).map(at).collect();
    let ends = [points[0], points[steps]];
    ui.painter().add(Shape::line(points, Stroke::new(WIDTH, color)));
    for end in ends {
        ui.painter().circle_filled(end, WIDTH / 2.0, color);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn certainty_is_never_rounded_up() {
        assert_eq!(super::percent(0.943), "94 %");
        assert_eq!(super::percent(0.9993), "99.9 %");
        assert_eq!(super::percent(0.99999), "99.9 %");
    }
}
