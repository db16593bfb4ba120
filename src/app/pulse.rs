//! The hardware's curves beside every tab, with each request as a span through all of them.

use super::curves::{self, Look, Touched};
use super::settings::{Settings, WINDOWS};
use super::theme::{Palette, card, size, strong};
use super::widgets::icons::{self, Icon};
use super::widgets::{explain, millis, note, stages};
use crate::telemetry::sampler::{SharedStore, lock};
use crate::telemetry::scene::{RowKind, Scene, View, span_at};
use crate::telemetry::span::Span;
use crate::telemetry::statistics::Filter;
use egui::{ComboBox, ScrollArea, Ui};

/// Height of everything in the pulse that is no plot.
const FIXED: f32 = 330.0;

/// What the pulse remembers between frames.
#[derive(Default)]
pub struct Pulse {
    /// The time at which the curves were held, in seconds of the store.
    held: Option<f64>,
    selected: Option<u64>,
    /// Where the pointer was in the last frame.
    cursor: Option<f64>,
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
                window_choice(ui, "pulse window", &mut settings.window_secs, &WINDOWS);
            });
        });
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            ui.spacing_mut().interact_size.y = 18.0;
            self.content(ui, p, settings, store, ((room - FIXED) / 4.0).clamp(56.0, 180.0));
        });
    }

    fn content(&mut self, ui: &mut Ui, p: &Palette, settings: &Settings, store: &SharedStore, height: f32) {
        let (view, scene, span) = {
            let store = lock(store);
            let marked = self.selected.and_then(|id| store.span(id)).or(store.last_span()).copied();
            let view = View {
                to: self.held.unwrap_or_else(|| store.now()),
                window: settings.window_secs,
                filter: Filter::default(),
                rate: None,
                marked: marked.map(|s| s.id),
                pixels: ui.available_width() as usize,
            };
            let scene = Scene::collect(&store, &view, &RowKind::PULSE);
            (view, scene, marked)
        };
        let look = Look { height, ground: p.ground, cursor: self.cursor, words: false, moves: false };
        let mut touched = Touched::default();
        for row in &scene.rows {
            header(ui, p, row.title(), &row.value);
            touched = touched.or(curves::draw(ui, p, &scene, row, &look));
        }
        self.cursor = touched.hovered;
        ui.horizontal(|ui| {
            note(ui, p, format!("−{}", name_of(&WINDOWS, settings.window_secs)));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                note(ui, p, if self.is_moving() { "now" } else { "held" });
            });
        });
        if let Some(time) = touched.clicked {
            self.selected = span_at(&lock(store), &view, time, view.window * 0.03);
        }
        if let Some(span) = &span {
            request_card(ui, p, span);
        }
    }
}

/// The name of a time window.
pub fn name_of(windows: &[(f64, &'static str)], seconds: f64) -> &'static str {
    windows.iter().find(|w| w.0 == seconds).map_or("some time", |w| w.1)
}

/// Chooses how much time is shown.
pub fn window_choice(ui: &mut Ui, salt: &str, seconds: &mut f64, windows: &[(f64, &'static str)]) {
    let chosen = format!("last {}", name_of(windows, *seconds));
    let combo = ComboBox::from_id_salt(salt).width(96.0).selected_text(chosen);
    let shown = combo.show_ui(ui, |ui| {
        for (secs, name) in windows {
            ui.selectable_value(seconds, *secs, *name);
        }
    });
    let _ = shown.response.accessible_name("Time window");
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
            let end = span.outcome.remark().map_or_else(String::new, |r| format!(" · {r}"));
            note(ui, p, format!("{}{end}", span.task));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                note(ui, p, millis(span.total_ms));
            });
        });
        stages::bar(ui, p, &span.sums());
        if span.generated > 0 || span.done > 1 || span.batch > 1 {
            note(ui, p, span.counts());
        }
    });
}
