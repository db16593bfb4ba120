//! The four plots: what is drawn in a frame, and how.

use crate::app::theme::Palette;
use crate::telemetry::sources::Sample;
use crate::telemetry::store::{Outcome, Span, Store, Unit};
use egui::{Color32, Rect, Role, Ui, WidgetInfo, vec2};
use egui_plot::{Line, Plot, PlotPoints, Points, Span as PlotSpan};

/// All that one frame draws, times in seconds before its end (0 = now).
pub struct Frame {
    pub window: f64,
    pub spans: Vec<Span>,
    /// Seconds of the store at the right edge.
    pub now: f64,
    /// What the rates count: tokens while the newest request wrote some.
    pub unit: Unit,
    pub rates: Vec<[f64; 2]>,
    pub memory: Vec<[f64; 2]>,
    pub cpu: Vec<[f64; 2]>,
    pub gpu: Vec<[f64; 2]>,
    pub latest: Option<Sample>,
    /// Points of each plot.
    pub height: f32,
}

impl Frame {
    /// What the store holds of the last `window` seconds before `now`.
    pub fn collect(store: &Store, now: f64, window: f64, height: f32) -> Self {
        let from = now - window;
        let samples = || store.samples_since(from).filter(move |s| s.time <= now);
        let curve = |value: &dyn Fn(&Sample) -> Option<f64>| -> Vec<[f64; 2]> {
            samples().filter_map(|s| Some([s.time - now, value(s)?])).collect()
        };
        let width = (window / 60.0).max(0.5);
        let writes = store.spans_between(from, now).last().is_some_and(|s| s.generated > 0);
        let unit = if writes { Unit::Tokens } else { Unit::Texts };
        Self {
            window,
            spans: store.spans_between(from, now).cloned().collect(),
            now,
            unit,
            rates: store.throughput(from, now, width, unit).into_iter().map(|(t, r)| [(t - now).min(0.0), r]).collect(),
            memory: curve(&|s| s.process_memory.map(|b| b as f64 / 1e6)),
            cpu: curve(&|s| s.cpu.map(f64::from)),
            gpu: curve(&|s| s.gpu.map(f64::from)),
            latest: samples().last().copied(),
            height,
        }
    }

    /// Requests that were answered by a model that was loaded before (`warm`), or that waited for
    /// its loading: the two are never mixed.
    pub fn requests(&self, warm: bool) -> impl Iterator<Item = &Span> {
        let loaded = move |s: &&Span| s.stages.iter().all(|stage| stage.0 != "load") == warm;
        self.spans.iter().filter(|s| s.outcome == Outcome::Done).filter(loaded)
    }

    /// The request at `time` (seconds before the right edge), or the nearest one close by.
    pub fn span_at(&self, time: f64) -> Option<u64> {
        let at = self.now + time;
        let distance = |s: &Span| if at < s.start { s.start - at } else { (at - s.end).max(0.0) };
        let nearest = self.spans.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        (distance(nearest) <= self.window * 0.03).then_some(nearest.id)
    }
}

/// A plot of the frame's time axis with its requests shaded; returns the time that was clicked.
fn base<'a>(
    ui: &mut Ui,
    p: &Palette,
    frame: &'a Frame,
    name: &'static str,
    top: f64,
    marked: Option<u64>,
    draw: impl FnOnce(&mut egui_plot::PlotUi<'a>) + 'a,
) -> Option<f64> {
    let link = egui::Id::unique("pulse cursor");
    let width = f64::from(ui.available_width()).max(1.0);
    let thinnest = frame.window / width * 3.0;
    let accent = p.accent;
    let ground = Rect::from_min_size(ui.cursor().min, vec2(width as f32, frame.height));
    ui.painter().rect_filled(ground, 6.0, p.ground);
    let response = Plot::new(name)
        .height(frame.height)
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
        .link_cursor(link, [true, false])
        .label_formatter(|_| None)
        .show(ui, move |plot| {
            plot.set_plot_bounds_x(-frame.window..=0.0);
            plot.set_plot_bounds_y(0.0..=top);
            for span in &frame.spans {
                let end = span.end - frame.now;
                let start = (span.start - frame.now).min(end - thinnest);
                let share = if marked == Some(span.id) { 0.35 } else { 0.16 };
                let fill = accent.gamma_multiply(share);
                plot.span(
                    PlotSpan::new("", start..=end).fill(fill).border_width(0.0).border_color(Color32::TRANSPARENT),
                );
            }
            draw(plot);
            plot.pointer_coordinate().map(|c| c.x)
        });
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("{name} plot")));
    if response.response.clicked() { response.inner } else { None }
}

/// A dot per request, milliseconds.
pub fn latency(ui: &mut Ui, p: &Palette, frame: &Frame, marked: Option<u64>) -> Option<f64> {
    let dots = |warm| -> Vec<[f64; 2]> { frame.requests(warm).map(|s| [s.end - frame.now, s.total_ms]).collect() };
    let (warm, cold) = (dots(true), dots(false));
    let shown = if warm.is_empty() { &cold } else { &warm };
    let top = shown.iter().map(|d| d[1]).fold(1.0, f64::max) * 1.25;
    let color = p.latency;
    base(ui, p, frame, "Latency", top, marked, move |plot| {
        plot.points(Points::new("latency", warm).radius(3.0).color(color).allow_hover(false));
        // A cold start is hollow, and stays at the top edge where it is off the scale.
        let cold: Vec<[f64; 2]> = cold.into_iter().map(|[x, y]| [x, y.min(top * 0.95)]).collect();
        plot.points(Points::new("cold start", cold).radius(3.5).filled(false).color(color).allow_hover(false));
    })
}

/// Texts per second of wall time.
pub fn throughput(ui: &mut Ui, p: &Palette, frame: &Frame, marked: Option<u64>) -> Option<f64> {
    let top = frame.rates.iter().map(|r| r[1]).fold(1.0, f64::max) * 1.15;
    let color = p.throughput;
    base(ui, p, frame, "Throughput", top, marked, move |plot| area(plot, "throughput", frame.rates.clone(), color))
}

/// This process' resident memory, MB.
pub fn memory(ui: &mut Ui, p: &Palette, frame: &Frame, marked: Option<u64>) -> Option<f64> {
    let top = frame.memory.iter().map(|r| r[1]).fold(50.0, f64::max) * 1.25;
    let color = p.memory;
    base(ui, p, frame, "Memory", top, marked, move |plot| area(plot, "memory", frame.memory.clone(), color))
}

/// CPU and, where it can be read, GPU load in percent.
pub fn load(ui: &mut Ui, p: &Palette, frame: &Frame, marked: Option<u64>) -> Option<f64> {
    let (cpu, gpu) = (p.cpu, p.gpu);
    base(ui, p, frame, "Load", 105.0, marked, move |plot| {
        area(plot, "cpu", frame.cpu.clone(), cpu);
        if !frame.gpu.is_empty() {
            plot.line(Line::new("gpu", frame.gpu.clone()).color(gpu).width(1.5).allow_hover(false));
        }
    })
}

/// A line with its area shaded. A missing stretch of samples is a break, never a bridge.
fn area(plot: &mut egui_plot::PlotUi<'_>, name: &str, points: Vec<[f64; 2]>, color: Color32) {
    const GAP: f64 = 15.0;
    let breaks = |pair: &[f64; 2], next: &[f64; 2]| next[0] - pair[0] <= GAP;
    for run in points.chunk_by(breaks) {
        let points: PlotPoints<'static> = run.to_vec().into();
        plot.line(Line::new(name, points).color(color).width(1.5).fill(0.0).fill_alpha(0.18).allow_hover(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_finds_the_request_under_it_or_close_by() {
        let mut store = Store::default();
        store.push_span(Span::plain(1, 10.0, 10.01, 1));
        store.push_span(Span::plain(2, 50.0, 55.0, 1));
        let frame = Frame::collect(&store, 60.0, 60.0, 90.0);
        assert_eq!(frame.span_at(-8.0), Some(2));
        assert_eq!(frame.span_at(-49.0), Some(1));
        assert_eq!(frame.span_at(-30.0), None);
    }
}
