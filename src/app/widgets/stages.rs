//! A request's stages as one bar.

use crate::app::theme::{Palette, size};
use egui::{Color32, FontId, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Draws the stages in proportion, and their names with milliseconds below.
pub fn bar(ui: &mut Ui, p: &Palette, stages: &[(&'static str, f64)]) -> Response {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 14.0), Sense::hover());
    let total: f64 = stages.iter().map(|s| s.1).sum::<f64>().max(1e-9);
    let mut x = rect.left();
    for (name, ms) in stages {
        let part = (f64::from(width) * ms / total) as f32;
        let right = (x + part).min(rect.right());
        if part >= 0.5 {
            let block = Rect::from_min_max(pos2(x, rect.top()), pos2((right - 2.0).max(x + 1.0), rect.bottom()));
            ui.painter().rect_filled(block, 2.0, color(p, name));
        }
        x = right;
    }
    let words: Vec<String> = stages.iter().map(|(name, ms)| format!("{name} {ms:.1}")).collect();
    let text = words.join(" · ");
    ui.label(egui::RichText::new(&text).font(FontId::proportional(size::LABEL)).color(p.muted));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("stages in ms: {text}")));
    response
}

/// The colour of a stage.
pub fn color(p: &Palette, stage: &str) -> Color32 {
    match stage {
        "queue" => p.muted,
        "load" => p.warning,
        "tokenize" => p.memory,
        "forward" | "decode" => p.cpu,
        "prefill" => p.accent,
        _ => p.throughput,
    }
}
