//! Beside the plots: values at the cursor, the marked request, memory, latencies, what is wrong.

use super::{MonitorTab, Shown};
use crate::app::pulse::{Mate, mates_of, mates_ui};
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, figures, size, strong};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::{explain, flame, histogram, millis, note, stages};
use crate::app::words;
use crate::telemetry::sampler::lock;
use crate::telemetry::scene::{MemoryPart, Reading, memory_parts, readings_at, span_at};
use crate::telemetry::span::Span;
use crate::telemetry::statistics::Statistics;
use crate::telemetry::stats::{Bin, histogram as bins_of};
use crate::telemetry::warning::{Level, Warning};
use egui::{Align, Color32, Layout, Rect, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

/// Bars of the histogram.
const BARS: usize = 16;

/// All that stands beside the plots, copied under one lock.
struct Facts {
    readings: Vec<Reading>,
    span: Option<Span>,
    /// The marked request's model.
    model: String,
    /// Those that shared its steps.
    mates: Vec<Mate>,
    memory: Option<Vec<MemoryPart>>,
    unified: bool,
    statistics: Statistics,
    bins: Vec<Bin>,
    warnings: Vec<Warning>,
    cost: Option<f32>,
    is_now: bool,
}

impl MonitorTab {
    fn look_up(&mut self, cx: &Cx<'_>) -> Facts {
        let Shown { view, scene } = self.shown(cx);
        let store = lock(cx.store);
        let newest = store.newest().unwrap_or(0.0).min(view.to);
        let cursor = self.hovered.or(self.pinned);
        let (time, is_now) = (cursor.unwrap_or(newest), cursor.is_none());
        let marked = self.marked.and_then(|id| store.span(id)).copied();
        let under = self.hovered.and_then(|time| span_at(&store, &view, time, view.window * 0.004));
        let under = under.and_then(|id| store.span(id)).copied().or(marked);
        Facts {
            readings: readings_at(&store, time, if is_now { time } else { view.to }, under.as_ref()),
            span: marked,
            model: marked.map_or_else(String::new, |s| store.name_of(s.model).to_owned()),
            mates: marked.as_ref().map_or_else(Vec::new, |s| mates_of(&store, s)),
            memory: memory_parts(&store, time),
            unified: store.facts().unified,
            bins: bins_of(&store.latencies(view.from(), view.to, view.filter), BARS),
            statistics: scene.statistics.clone(),
            warnings: store.warnings().to_vec(),
            cost: store.cost(),
            is_now,
        }
    }

    pub(super) fn side(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let shown = self.look_up(cx);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 5.0;
            ui.horizontal(|ui| {
                ui.label(strong(if shown.is_now { "Now" } else { "At the cursor" }, size::BODY));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if !cx.settings.touch {
                        ui.spacing_mut().interact_size.y = 28.0;
                    }
                    if icons::quiet(ui, p, Icon::Right, "Next request").clicked() {
                        self.walk(1, cx);
                    }
                    if icons::quiet(ui, p, Icon::Left, "Previous request").clicked() {
                        self.walk(-1, cx);
                    }
                });
            });
            for reading in &shown.readings {
                pair(ui, p, reading.name, &reading.value);
            }
            if let Some(span) = &shown.span {
                self.request(ui, p, span, &shown.model, &shown.mates);
            }
            warnings(ui, p, &shown.warnings);
            if let Some(parts) = &shown.memory {
                rule(ui);
                let title = if shown.unified { "Memory of CPU and GPU" } else { "Memory" };
                ui.label(strong(title, size::BODY));
                memory(ui, p, parts);
            }
            rule(ui);
            latencies(ui, p, &shown);
            if let Some(cost) = shown.cost {
                ui.add_space(6.0);
                note(ui, p, format!("Measuring takes {cost:.1} % of one core."));
            }
        });
    }

    fn request(&mut self, ui: &mut Ui, p: &Palette, span: &Span, model: &str, mates: &[Mate]) {
        rule(ui);
        ui.horizontal(|ui| {
            let end = span.outcome.remark().map_or_else(String::new, |r| format!(", {r}"));
            ui.label(strong(format!("Request {}{end}", span.id), size::BODY));
            explain(ui, "this picture", "Time runs from left to right: the whole request, its stages where they were, and below the forward steps with how many texts shared one. Where nothing is drawn it waited for others.");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.button("×").accessible_name("Unmark").clicked() {
                    self.marked = None;
                    self.pinned = None;
                }
            });
        });
        note(ui, p, format!("{model} · {} · {}", span.device, span.precision));
        flame::show(ui, p, span);
        stages::bar(ui, p, &span.sums());
        note(ui, p, span.counts());
        if let Some(words) = words::known(span.cached, span.tokens, span.saved_ms) {
            note(ui, p, words::sentence(&words));
        }
        if let Some(mate) = mates_ui(ui, p, span, mates) {
            self.marked = Some(mate);
        }
    }
}

/// A line between two parts.
fn rule(ui: &mut Ui) {
    ui.add_space(4.0);
    ui.separator();
}

/// A name on the left, its value on the right.
fn pair(ui: &mut Ui, p: &Palette, name: &str, value: &str) {
    row(ui, |ui| {
        note(ui, p, name);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(figures(value, size::LABEL));
        });
    });
}

/// A row that is no target and so may be lower than one.
fn row(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        ui.horizontal(add);
    });
}

/// Colours of the parts of memory, in their order.
fn shades(p: &Palette) -> [Color32; 5] {
    [p.memory, p.latency, p.memory.gamma_multiply(0.45), p.muted.gamma_multiply(0.6), p.raised]
}

/// The memory as one bar, and a legend.
fn memory(ui: &mut Ui, p: &Palette, parts: &[MemoryPart]) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
    let total: f64 = parts.iter().map(|m| m.bytes).sum::<f64>().max(1.0);
    let mut x = rect.left();
    for (part, color) in parts.iter().zip(shades(p)) {
        let width = (part.bytes / total) as f32 * rect.width();
        let block = Rect::from_min_max(pos2(x, rect.top()), pos2(x + width, rect.bottom()));
        ui.painter().rect_filled(block, 0.0, color);
        x += width;
    }
    ui.painter().rect_stroke(rect, 3.0, egui::Stroke::new(1.0, p.hairline), egui::StrokeKind::Outside);
    let words: Vec<String> = parts.iter().map(MemoryPart::text).collect();
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("memory: {}", words.join(", "))));
    for (part, color) in parts.iter().zip(shades(p)) {
        row(ui, |ui| {
            let (dot, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
            ui.painter().rect_filled(dot, 2.0, color);
            note(ui, p, part.name);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(figures(crate::telemetry::channel::bytes(part.bytes), size::SMALL));
            });
        });
    }
}

fn latencies(ui: &mut Ui, p: &Palette, shown: &Facts) {
    let s = &shown.statistics;
    let Some(percentiles) = &s.latency else {
        ui.label(strong("Latency", size::BODY));
        note(ui, p, if s.cold > 0 { "Only cold starts so far: run once more." } else { "No request in this time." });
        return;
    };
    let cut = if s.is_cut { "newest " } else { "" };
    let plural = if percentiles.n == 1 { "" } else { "s" };
    ui.label(strong(format!("Latency, {cut}{} request{plural}", percentiles.n), size::BODY));
    histogram::show(ui, p, &shown.bins, percentiles, p.latency);
    let p3 = [percentiles.p50, percentiles.p95, percentiles.p99];
    ui.label(figures(format!("p50 {} · p95 {}", millis(p3[0]), millis(p3[1])), size::SMALL));
    ui.label(figures(format!("p99 {}", millis(p3[2])), size::SMALL));
    let [requests, texts, tokens] = s.rates();
    let mut words = format!("{requests:.1} requests/s · {texts:.1} texts/s");
    if s.tokens > 0 {
        words += &format!(" · {tokens:.1} tokens/s");
    }
    note(ui, p, words);
    let mut apart = Vec::new();
    if let Some(ms) = s.cold_ms {
        apart.push(format!(
            "{} cold start{} (up to {}) not counted",
            s.cold,
            if s.cold == 1 { "" } else { "s" },
            millis(ms)
        ));
    }
    if s.cancelled + s.failed > 0 {
        apart.push(format!("{} stopped, {} failed", s.cancelled, s.failed));
    }
    if !apart.is_empty() {
        note(ui, p, apart.join(" · "));
    }
}

fn warnings(ui: &mut Ui, p: &Palette, all: &[Warning]) {
    if all.is_empty() {
        return;
    }
    rule(ui);
    ui.label(strong("Notices", size::BODY));
    for warning in all {
        let color = match warning.level {
            Level::Danger => p.negative,
            Level::Warning => p.warning,
            Level::Note => p.muted,
        };
        let bar = ui.painter().add(egui::Shape::Noop);
        let inner = egui::Frame::new().inner_margin(egui::Margin { left: 12, ..egui::Margin::ZERO }).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(RichText::new(&warning.what).size(size::LABEL));
            ui.label(RichText::new(&warning.next).size(size::LABEL).color(p.muted));
        });
        let rect = inner.response.rect;
        let line = Rect::from_min_max(rect.min, pos2(rect.left() + 3.0, rect.bottom()));
        ui.painter().set(bar, egui::Shape::rect_filled(line, 1.0, color));
    }
}
