//! The hardware's curves beside every tab, with each request as a span through all of them.

mod plots;

use super::settings::{Settings, WINDOWS};
use super::theme::{Palette, card, size, strong};
use super::widgets::icons::{self, Icon};
use super::widgets::{bytes, explain, millis, note, stages};
use crate::telemetry::sampler::{SharedStore, lock};
use crate::telemetry::stats::percentiles;
use crate::telemetry::store::{Outcome, Span};
use egui::{ComboBox, ScrollArea, Ui};
use plots::Frame;

/// Height of everything in the pulse that is no plot.
const FIXED: f32 = 330.0;

/// What the pulse remembers between frames.
#[derive(Default)]
pub struct Pulse {
    /// The time at which the curves were held, in seconds of the store.
    held: Option<f64>,
    selected: Option<u64>,
}

impl Pulse {
    /// Holds the curves, or lets them go on.
    pub fn toggle_pause(&mut self, store: &SharedStore) {
        self.held = match self.held {
            Some(_) => None,
            None => Some(lock(store).now()),
        };
    }

    /// Whether the curves move.
    pub fn is_moving(&self) -> bool {
        self.held.is_none()
    }

    /// Marks a request.
    pub fn select(&mut self, id: u64) {
        self.selected = Some(id);
    }

    /// Draws header, four plots and the marked request.
    pub fn ui(&mut self, ui: &mut Ui, p: &Palette, settings: &mut Settings, store: &SharedStore) {
        let room = ui.available_height();
        ui.horizontal(|ui| {
            ui.label(strong("Pulse", size::BODY));
            explain(
                ui,
                "the pulse",
                "Each shaded band is a request; click it to see where its time went. p50 is the middle latency, and 95 of 100 requests are faster than p95. A hollow dot waited for the model to load and is not counted in them.",
            );
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let moving = self.is_moving();
                let (icon, name) =
                    if moving { (Icon::Pause, "Pause the pulse") } else { (Icon::Play, "Let the pulse run") };
                if icons::button(ui, p, icon, name).clicked() {
                    self.toggle_pause(store);
                }
                let chosen = format!("last {}", settings.window_name());
                let combo = ComboBox::from_id_salt("pulse window").width(96.0).selected_text(chosen);
                let shown = combo.show_ui(ui, |ui| {
                    for (secs, name) in WINDOWS {
                        ui.selectable_value(&mut settings.window_secs, secs, name);
                    }
                });
                let _ = shown.response.accessible_name("Time window");
            });
        });
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            ui.spacing_mut().interact_size.y = 18.0;
            self.content(ui, p, settings, store, ((room - FIXED) / 4.0).clamp(56.0, 180.0));
        });
    }

    fn content(&mut self, ui: &mut Ui, p: &Palette, settings: &Settings, store: &SharedStore, height: f32) {
        let (frame, last) = {
            let store = lock(store);
            let now = self.held.unwrap_or_else(|| store.now());
            (Frame::collect(&store, now, settings.window_secs, height), store.last_span().cloned())
        };
        let marked = self.selected.and_then(|id| lock(store).span(id).cloned()).or(last);
        let marked_id = marked.as_ref().map(|s| s.id);
        header(ui, p, "Latency", &frame.latency_text());
        let mut clicked = plots::latency(ui, p, &frame, marked_id);
        header(ui, p, "Throughput", &frame.throughput_text());
        clicked = clicked.or(plots::throughput(ui, p, &frame, marked_id));
        header(ui, p, "Memory", &frame.memory_text());
        clicked = clicked.or(plots::memory(ui, p, &frame, marked_id));
        header(ui, p, frame.load_title(), &frame.load_text());
        clicked = clicked.or(plots::load(ui, p, &frame, marked_id));
        ui.horizontal(|ui| {
            note(ui, p, format!("−{}", settings.window_name()));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                note(ui, p, if self.is_moving() { "now" } else { "held" });
            });
        });
        if let Some(time) = clicked {
            self.selected = frame.span_at(time);
        }
        if let Some(span) = &marked {
            request_card(ui, p, span);
        }
    }
}

fn header(ui: &mut Ui, p: &Palette, name: &str, value: &str) {
    ui.horizontal(|ui| {
        note(ui, p, name);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(strong(value, size::LABEL).color(p.text));
        });
    });
}

/// The stages of one request.
fn request_card(ui: &mut Ui, p: &Palette, span: &Span) {
    ui.add_space(4.0);
    card(p).inner_margin(egui::Margin::same(12)).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(strong(format!("Request {}", span.id), size::LABEL));
            let end = match span.outcome {
                Outcome::Done => "",
                Outcome::Cancelled => " · stopped",
                Outcome::Failed => " · failed",
            };
            note(ui, p, format!("{}{end}", span.task));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                note(ui, p, millis(span.total_ms));
            });
        });
        stages::bar(ui, p, &span.stages);
        if span.generated > 0 {
            let rate = span.tokens_per_second.map_or_else(String::new, |rate| format!(" · {rate:.0} tokens/s"));
            note(ui, p, format!("{} tokens read · {} written{rate}", span.tokens, span.generated));
        } else if span.done > 1 || span.batch > 1 {
            note(ui, p, format!("{} texts · {} tokens · up to {} in one step", span.done, span.tokens, span.batch));
        }
    });
}

impl Frame {
    fn latency_text(&self) -> String {
        let values: Vec<f64> = self.requests(true).map(|s| s.total_ms).collect();
        match (percentiles(&values), self.requests(false).last()) {
            (Some(p), _) => format!("p50 {:.1} · p95 {}", p.p50, millis(p.p95)),
            (None, Some(cold)) => format!("cold start {}", millis(cold.total_ms)),
            (None, None) => "no request yet".into(),
        }
    }

    fn throughput_text(&self) -> String {
        let best = self.rates.iter().map(|r| r[1]).fold(0.0, f64::max);
        match best {
            0.0 => "–".into(),
            best if best < 10.0 => format!("up to {best:.1} {}", self.unit.name()),
            best => format!("up to {best:.0} {}", self.unit.name()),
        }
    }

    fn memory_text(&self) -> String {
        match self.latest.and_then(|s| s.process_memory.zip(s.memory_total)) {
            Some((used, total)) => format!("{} of {}", bytes(used), bytes(total)),
            None => "not readable".into(),
        }
    }

    fn load_title(&self) -> &'static str {
        if self.gpu.is_empty() { "CPU" } else { "CPU · GPU" }
    }

    fn load_text(&self) -> String {
        let percent = |v: Option<f32>| v.map(|v| format!("{v:.0} %"));
        let (cpu, gpu) = self.latest.map_or((None, None), |s| (percent(s.cpu), percent(s.gpu)));
        match (cpu, gpu) {
            (Some(cpu), Some(gpu)) => format!("{cpu} · {gpu}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "not readable".into(),
        }
    }
}
