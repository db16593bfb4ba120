//! The hardware's curves beside every tab, with each request as a span through all of them.

use super::curves::{self, Look, Touched};
use super::settings::{Settings, WINDOWS};
use super::theme::{Palette, card, size, strong};
use super::widgets::icons::{self, Icon};
use super::widgets::{explain, millis, note, stages};
use super::words;
use crate::telemetry::sampler::{SharedStore, lock};
use crate::telemetry::scene::{RowKind, Scene, View, span_at};
use crate::telemetry::span::Span;
use crate::telemetry::statistics::Filter;
use crate::telemetry::store::Store;
use egui::{ComboBox, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo};

/// Height of everything in the pulse that is no plot.
const FIXED: f32 = 390.0;
/// Room for a plot from which on one more is shown.
const ROOMY: f32 = 110.0;

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
            self.content(ui, p, settings, store, room - FIXED);
        });
    }

    fn content(&mut self, ui: &mut Ui, p: &Palette, settings: &Settings, store: &SharedStore, room: f32) {
        let is_high = room / RowKind::HIGH_PULSE.len() as f32 > ROOMY;
        let kinds: &[RowKind] = if is_high { &RowKind::HIGH_PULSE } else { &RowKind::PULSE };
        let height = (room / kinds.len() as f32).clamp(56.0, 180.0);
        let (view, scene, span, mates) = {
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
            let scene = Scene::collect(&store, &view, kinds);
            let mates = marked.as_ref().map_or_else(Vec::new, |span| mates_of(&store, span));
            (view, scene, marked, mates)
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
        let mate = span.as_ref().and_then(|span| request_card(ui, p, span, &mates));
        self.selected = mate.or(self.selected);
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

/// A request that shared steps with another: its id, and what to call it.
pub struct Mate {
    id: u64,
    name: String,
    /// Whether it has ended, so that it can be looked at.
    is_known: bool,
}

/// Those that shared steps with a request.
pub fn mates_of(store: &Store, span: &Span) -> Vec<Mate> {
    let mate = |id: &u64| match store.span(*id) {
        Some(mate) => Mate { id: *id, name: format!("{} {id}", mate.task), is_known: true },
        None => Mate { id: *id, name: format!("request {id} (still at work)"), is_known: false },
    };
    span.mates().iter().map(mate).collect()
}

/// With whom a request shared its steps: each by name, and a click marks it.
pub fn mates_ui(ui: &mut Ui, p: &Palette, span: &Span, mates: &[Mate]) -> Option<u64> {
    let words = words::shared(span.mate_count)?;
    let mut chosen = None;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(6.0, 2.0);
        ui.spacing_mut().interact_size.y = 18.0;
        note(ui, p, format!("{}:", words::sentence(&words).trim_end_matches('.')));
        for mate in mates {
            if !mate.is_known {
                note(ui, p, &mate.name);
                continue;
            }
            let text = RichText::new(&mate.name).size(size::LABEL).color(p.accent);
            let link = ui.add(egui::Label::new(text).selectable(false).sense(Sense::click()));
            link.widget_info(|| WidgetInfo::labeled(Role::Link, true, format!("Mark {}", mate.name)));
            if link.on_hover_text("Show this request").clicked() {
                chosen = Some(mate.id);
            }
        }
        let more = span.mate_count.saturating_sub(mates.len());
        if more > 0 {
            note(ui, p, format!("and {more} more"));
        }
    });
    chosen
}

/// The stages of one request, and what else is to be said of it. Another one, if that was clicked.
fn request_card(ui: &mut Ui, p: &Palette, span: &Span, mates: &[Mate]) -> Option<u64> {
    let mut chosen = None;
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
        if let Some(words) = words::known(span.cached, span.tokens, span.saved_ms) {
            note(ui, p, words::sentence(&words));
        }
        chosen = mates_ui(ui, p, span, mates);
    });
    chosen
}
