//! Draws a scene's plots. The pulse and the monitor look alike because both draw with this.

use super::theme::{Palette, hue, size};
use crate::telemetry::scene::{Row, Scene, Style, Weight};
use crate::telemetry::span::Change;
use egui::{Align2, Color32, FontId, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_plot::{FilledArea, HLine, Line, LineStyle, Plot, PlotPoints, Points, Span, VLine};

/// How a plot is drawn.
pub struct Look {
    pub height: f32,
    /// What it lies on.
    pub ground: Color32,
    /// Seconds of the store at which a line stands through all plots.
    pub cursor: Option<f64>,
    /// The scale's upper end and names of levels are written into the plot.
    pub words: bool,
    /// Dragging and turning the wheel mean something.
    pub moves: bool,
}

/// What a person did to a plot; times in seconds of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Touched {
    pub hovered: Option<f64>,
    pub clicked: Option<f64>,
    /// Seconds by which the picture was dragged to the right.
    pub dragged: f64,
    /// Factor by which the shown time shrinks, around `hovered`.
    pub zoomed: Option<f64>,
    pub reset: bool,
}

impl Touched {
    /// What was done to either of two plots.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            hovered: self.hovered.or(other.hovered),
            clicked: self.clicked.or(other.clicked),
            dragged: self.dragged + other.dragged,
            zoomed: self.zoomed.or(other.zoomed),
            reset: self.reset || other.reset,
        }
    }
}

/// Draws one plot over the width that there is.
pub fn draw(ui: &mut Ui, p: &Palette, scene: &Scene, row: &Row, look: &Look) -> Touched {
    let width = ui.available_width().max(1.0);
    let ground = Rect::from_min_size(ui.cursor().min, vec2(width, look.height));
    ui.painter().rect_filled(ground, 6.0, look.ground);
    let name = row.title();
    let sense = if look.moves { Sense::click_and_drag() } else { Sense::click() };
    let shown = Plot::new(name)
        .height(look.height)
        .sense(sense)
        .show_axes(false)
        .show_grid([false, true])
        .grid_color(p.hairline)
        .show_background(false)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .label_formatter(|_| None)
        .show(ui, |plot| {
            plot.set_plot_bounds_x(scene.from..=scene.to);
            plot.set_plot_bounds_y(row.bottom..=row.top);
            bands(plot, p, scene);
            events(plot, p, scene);
            lines(plot, p, scene, row);
            dots(plot, p, row);
            if let Some(time) = look.cursor {
                plot.vline(
                    VLine::new("", time).color(p.text).width(1.0).style(LineStyle::dotted_dense()).allow_hover(false),
                );
            }
            plot.pointer_coordinate().map(|c| c.x)
        });
    if look.words {
        words(ui, p, row, look, ground);
    }
    let response = shown.response;
    let value = row.value.as_str();
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("{name} plot: {value}")));
    let inside = |t: &f64| (scene.from..=scene.to).contains(t);
    let hovered = shown.inner.filter(inside).filter(|_| response.hovered());
    let mut touched = Touched { hovered, ..Touched::default() };
    touched.clicked = response.interact_pointer_pos().filter(|_| response.clicked()).and(shown.inner).filter(inside);
    if look.moves {
        let seconds = (scene.to - scene.from) / f64::from(width);
        touched.dragged = if response.dragged() { f64::from(response.drag_delta().x) * seconds } else { 0.0 };
        touched.reset = response.double_clicked();
        if response.hovered() {
            let (zoom, scroll) = ui.input(|i| (i.zoom_delta(), i.smooth_scroll_delta()));
            touched.dragged += f64::from(scroll.x) * seconds;
            let factor = f64::from(zoom) * f64::from(scroll.y * 0.004).exp();
            touched.zoomed = Some(factor).filter(|f| (f - 1.0).abs() > 1e-4);
        }
    }
    touched
}

/// A stretch of time, shaded through the whole height.
fn stretch(from: f64, to: f64, fill: Color32) -> Span {
    Span::new("", from..=to).fill(fill).border_width(0.0).border_color(Color32::TRANSPARENT)
}

fn bands(plot: &mut egui_plot::PlotUi<'_>, p: &Palette, scene: &Scene) {
    for band in &scene.bands {
        let share = match band.weight {
            Weight::Plain => 0.16,
            Weight::Mate => 0.24,
            Weight::Marked => 0.38,
        };
        let fill = p.accent.gamma_multiply(share);
        plot.span(stretch(band.from, band.to, fill));
    }
}

fn events(plot: &mut egui_plot::PlotUi<'_>, p: &Palette, scene: &Scene) {
    for event in &scene.events {
        let color = if event.change == Change::Loaded { p.positive } else { p.warning };
        if event.from < event.time {
            let fill = color.gamma_multiply(0.12);
            plot.span(stretch(event.from, event.time, fill));
        }
        plot.vline(
            VLine::new("", event.time).color(color).width(1.0).style(LineStyle::dashed_loose()).allow_hover(false),
        );
    }
}

fn lines(plot: &mut egui_plot::PlotUi<'_>, p: &Palette, scene: &Scene, row: &Row) {
    for (level, _) in &row.levels {
        let color = p.muted.gamma_multiply(0.6);
        plot.hline(HLine::new("", *level).color(color).width(1.0).style(LineStyle::dashed_loose()).allow_hover(false));
    }
    for line in &row.lines {
        let color = hue(p, line.hue);
        for piece in line.curve.pieces() {
            if line.style == Style::Area {
                plot.add(
                    shade(piece, row.bottom, (scene.to - scene.from) / 400.0)
                        .fill_color(color.gamma_multiply(0.18))
                        .allow_hover(false),
                );
            }
            let points: PlotPoints<'_> = piece.to_vec().into();
            let drawn = Line::new(line.name.as_str(), points).allow_hover(false);
            plot.line(match line.style {
                Style::Area | Style::Line => drawn.width(1.5).color(color),
                Style::Faint => drawn.width(1.0).color(color.gamma_multiply(0.35)),
            });
        }
    }
}

/// The area below a line. It is drawn apart from it: a line with a fill of its own is not merged into few points per
/// pixel, and takes several times as long.
///
/// Its edge follows the upper ends of the line: of points closer than `near` seconds the highest.
fn shade(piece: &[[f64; 2]], bottom: f64, near: f64) -> FilledArea {
    let (mut xs, mut ys): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for (i, [x, y]) in piece.iter().copied().enumerate() {
        // The first and the last point stay where they are.
        match (xs.last(), ys.last_mut()) {
            (Some(last), Some(top)) if xs.len() > 1 && i + 1 < piece.len() && x - last < near => *top = top.max(y),
            _ => {
                xs.push(x);
                ys.push(y);
            }
        }
    }
    FilledArea::new("", &xs, &vec![bottom; xs.len()], &ys)
}

fn dots(plot: &mut egui_plot::PlotUi<'_>, p: &Palette, row: &Row) {
    let of = |cold: bool, marked: bool| -> Vec<[f64; 2]> {
        let fits = |d: &&crate::telemetry::scene::Dot| d.is_cold == cold && d.is_marked == marked;
        row.dots.iter().filter(fits).map(|d| [d.time, d.value]).collect()
    };
    let points = |all: Vec<[f64; 2]>| Points::new("latency", all).color(p.latency).allow_hover(false);
    for (cold, marked) in [(false, false), (true, false), (false, true), (true, true)] {
        let all = of(cold, marked);
        if !all.is_empty() {
            // A request that waited for its model is hollow.
            plot.points(points(all).radius(if marked { 5.0 } else { 3.0 }).filled(!cold));
        }
    }
}

/// Writes the scale and the levels into the plot.
fn words(ui: &Ui, p: &Palette, row: &Row, look: &Look, ground: Rect) {
    let painter = ui.painter().with_clip_rect(ground);
    let font = FontId::monospace(size::SMALL - 1.0);
    let scale = ui.painter().layout_no_wrap(row.scale.clone(), font.clone(), p.muted);
    let place = Align2::RIGHT_TOP.anchor_size(ground.right_top() + vec2(-6.0, 3.0), scale.size());
    // Lines shall not run through it.
    painter.rect_filled(place.expand2(vec2(3.0, 1.0)), 3.0, look.ground);
    painter.galley(place.min, scale, p.muted);
    let mut last = f32::INFINITY;
    for (level, name) in &row.levels {
        let share = ((level - row.bottom) / (row.top - row.bottom)).clamp(0.0, 1.0) as f32;
        let y = ground.bottom() - share * ground.height();
        // Two levels too close to each other share a name: the lower one's.
        if last - y > 11.0 {
            let (align, gap) =
                if y > ground.top() + 14.0 { (Align2::LEFT_BOTTOM, -1.0) } else { (Align2::LEFT_TOP, 1.0) };
            painter.text(pos2(ground.left() + 4.0, y + gap), align, name, font.clone(), p.muted);
            last = y;
        }
    }
}
