//! The examples as dots on a plane: what the model holds for alike lies together.

use crate::app::theme::{Palette, size};
use crate::app::widgets::note;
use egui::{Color32, Ui};
use egui_plot::{Legend, Plot, PlotPoints, Points};

/// Labels that get a colour of their own; more share the muted one.
const COLOURED: usize = 6;

/// The colour of the label at `index`.
pub fn color(p: &Palette, index: usize) -> Color32 {
    [p.cpu, p.latency, p.throughput, p.memory, p.accent, p.negative].get(index).copied().unwrap_or(p.muted)
}

/// Draws the examples at `points`, one colour per label.
pub fn map_ui(ui: &mut Ui, p: &Palette, labels: &[String], classes: &[usize], points: &[[f64; 2]]) {
    note(ui, p, "A map of the examples: near means alike in meaning (the two directions in which they differ most).");
    let plot = Plot::new("examples map")
        .height(240.0)
        .show_axes(false)
        .show_grid(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_boxed_zoom(false)
        .data_aspect(1.0)
        .set_margin_fraction(egui::vec2(0.1, 0.12))
        .show_x(false)
        .show_y(false)
        .legend(Legend::default().text_style(egui::TextStyle::Small));
    plot.show(ui, |plot| {
        let shapes = [egui_plot::MarkerShape::Circle, egui_plot::MarkerShape::Diamond, egui_plot::MarkerShape::Square];
        for (index, label) in labels.iter().enumerate() {
            let mine = classes.iter().zip(points).filter(|(c, _)| **c == index).map(|(_, p)| *p);
            let name = if index < COLOURED { label.as_str() } else { "others" };
            let dots = Points::new(name.to_owned(), PlotPoints::from(mine.collect::<Vec<_>>()))
                .radius(if classes.len() > 200 { 2.5 } else { size::SMALL / 2.5 })
                .shape(shapes[index.min(COLOURED) % 3])
                .color(color(p, index));
            plot.points(dots);
        }
    });
}
