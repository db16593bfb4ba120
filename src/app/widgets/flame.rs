//! A request's time from left to right: the whole, its stages where they were, the batches.

use super::stages;
use crate::app::theme::{Palette, size};
use crate::telemetry::span::Span;
use egui::{Align2, FontId, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Height of a row, and between two.
const ROW: f32 = 20.0;
const GAP: f32 = 3.0;

/// Draws the request. Under the pointer, and after a tap, a stretch says what it is.
pub fn show(ui: &mut Ui, p: &Palette, span: &Span) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 3.0 * ROW + 2.0 * GAP), Sense::click());
    let total = span.total_ms.max(1e-6);
    let x = |ms: f64| rect.left() + (ms / total).clamp(0.0, 1.0) as f32 * rect.width();
    let row = |index: f32| rect.top() + index * (ROW + GAP);
    let block = |index: f32, from: f64, to: f64| {
        let (left, right) = (x(from), x(to).max(x(from) + 1.0));
        Rect::from_min_max(pos2(left, row(index)), pos2(right, row(index) + ROW))
    };
    let font = FontId::proportional(size::SMALL);
    let write = |area: Rect, text: &str, color| {
        let galley = ui.painter().layout_no_wrap(text.to_owned(), font.clone(), color);
        if galley.size().x < area.width() - 6.0 {
            let place = Align2::CENTER_CENTER.align_size_within_rect(galley.size(), area);
            ui.painter().galley(place.min, galley, color);
        }
    };
    let whole = block(0.0, 0.0, total);
    ui.painter().rect_filled(whole, 3.0, p.raised);
    write(whole, &format!("{} {}", span.task, super::millis(span.total_ms)), p.text);
    let mut words = Vec::new();
    for stage in span.stages.all() {
        let (from, to) = (f64::from(stage.start_ms), f64::from(stage.start_ms + stage.ms));
        let area = block(1.0, from, to);
        ui.painter().rect_filled(area, 3.0, stages::color(p, stage.name));
        write(area, stage.name, p.on_accent);
        if stage.batch > 0 {
            let area = block(2.0, from, to);
            ui.painter().rect_filled(area, 3.0, p.raised);
            let steps = if stage.steps > 1 { format!("{} steps", stage.steps) } else { "1 step".into() };
            let text = if stage.batch > 1 { format!("{steps} × {}", stage.batch) } else { steps };
            write(area, &text, p.muted);
        }
        words.push(format!("{} {:.1}", stage.name, stage.ms));
    }
    response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("stages in order, ms: {}", words.join(", "))));
    let at = response.hover_pos().or_else(|| response.interact_pointer_pos());
    let under = at.map(|pos| f64::from((pos.x - rect.left()) / rect.width()) * total);
    let hit = under.and_then(|ms| {
        let inside =
            |s: &&crate::telemetry::span::Stage| (f64::from(s.start_ms)..=f64::from(s.start_ms + s.ms)).contains(&ms);
        span.stages.all().iter().find(inside)
    });
    match hit {
        Some(s) => {
            let share = 100.0 * f64::from(s.ms) / total;
            let steps = if s.steps > 1 { format!(" in {} steps", s.steps) } else { String::new() };
            let batch = if s.batch > 1 { format!(", up to {} texts at once", s.batch) } else { String::new() };
            response.on_hover_text(format!("{}: {:.2} ms{steps} ({share:.0} %){batch}", s.name, s.ms))
        }
        None => response.on_hover_text("Between its stages a request waits while others have their turn."),
    }
}
