//! How often which value came.

use super::millis;
use crate::app::theme::{Palette, size};
use crate::telemetry::stats::{Bin, Percentiles};
use egui::{Align2, Color32, FontId, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

const HEIGHT: f32 = 92.0;
const FOOT: f32 = 16.0;

/// Bars for `bins`, values above the 95th percentile fainter.
pub fn show(ui: &mut Ui, p: &Palette, bins: &[Bin], percentiles: &Percentiles, color: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT + FOOT), Sense::hover());
    let most = bins.iter().map(|b| b.n).max().unwrap_or(1).max(1) as f32;
    let width = rect.width() / bins.len().max(1) as f32;
    let mut hit = None;
    for (i, bin) in bins.iter().enumerate() {
        let left = rect.left() + i as f32 * width;
        // A single request stays visible beside a thousand.
        let height = if bin.n == 0 { 0.0 } else { (HEIGHT * bin.n as f32 / most).max(2.0) };
        let bar =
            Rect::from_min_max(pos2(left, rect.top() + HEIGHT - height), pos2(left + width - 2.0, rect.top() + HEIGHT));
        let shade = if bin.from > percentiles.p95 { color.gamma_multiply(0.5) } else { color };
        ui.painter().rect_filled(bar, 2.0, shade);
        if response.hover_pos().is_some_and(|pos| (left..left + width).contains(&pos.x)) {
            hit = Some(bin);
        }
    }
    let font = FontId::monospace(size::SMALL - 1.0);
    if let (Some(first), Some(last)) = (bins.first(), bins.last()) {
        ui.painter().text(rect.left_bottom(), Align2::LEFT_BOTTOM, millis(first.from), font.clone(), p.muted);
        ui.painter().text(rect.right_bottom(), Align2::RIGHT_BOTTOM, millis(last.to), font, p.muted);
    }
    let n = percentiles.n;
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("histogram of {n} latencies")));
    match hit {
        Some(bin) => response.on_hover_text(format!("{} to {}: {} requests", millis(bin.from), millis(bin.to), bin.n)),
        None => response,
    }
}
