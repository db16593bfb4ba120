//! The stage: controls, the plots, the time axis.

use super::{Export, MonitorTab, PICTURES, Shown};
use crate::app::curves::{self, Look, Touched};
use crate::app::pulse::name_of;
use crate::app::settings::LONG_WINDOWS;
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, size, strong};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::{explain, note};
use crate::telemetry::sampler::lock;
use crate::telemetry::scene::{Row, RowKind, Scene};
use crate::telemetry::statistics::Rate;
use egui::{Align, Align2, ComboBox, FontId, Layout, ScrollArea, Ui, vec2};

/// Width of the column with names.
const NAMES: f32 = 126.0;
/// Height of the time axis below the plots.
const AXIS: f32 = 24.0;
const GAP: f32 = 8.0;
/// Heights of a plot.
const LOW: f32 = 46.0;
const HIGH: f32 = 150.0;

impl MonitorTab {
    pub(super) fn show(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ui.horizontal(|ui| {
            ui.heading("Monitor");
            explain(
                ui,
                "the monitor",
                "All curves share one time axis; each answer is a shaded span through all of them. Drag to look back, turn the wheel or pinch to zoom, double-click for now. Click a span to see where its time went. A dashed line is a model that was loaded or dropped. Batch is how many tokens went through a model in one step, of all requests together; its scale doubles.",
            );
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.controls(ui, cx));
        });
        note(ui, cx.palette, "Each answer is a shaded span through all curves.");
        ui.add_space(4.0);
        if self.is_list {
            self.sensors(ui, cx);
            return;
        }
        let room = ui.available_height();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The scroll bar lies over the content.
            self.pixels = (ui.available_width() - NAMES).max(100.0) as usize;
            let Shown { view, scene } = self.shown(cx);
            let count = scene.rows.len().max(1) as f32;
            let height = ((room - AXIS - 4.0) / count - GAP).clamp(LOW, HIGH);
            let cursor = self.hovered.or(self.pinned);
            let look = Look { height, ground: cx.palette.panel, cursor, words: true, moves: true };
            ui.spacing_mut().item_spacing.y = GAP;
            let mut touched = Touched::default();
            for row in &scene.rows {
                touched = touched.or(ui.horizontal(|ui| one(ui, cx.palette, &scene, row, &look)).inner);
            }
            axis(ui, cx.palette, &scene, self.to.is_none());
            self.touch(touched, &view, cx);
        });
    }

    /// From right to left.
    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ui.spacing_mut().item_spacing.x = 6.0;
        let export = ui.button("Export…").accessible_name("Export");
        egui::Popup::menu(&export).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
            for (what, name, _) in Export::ALL {
                if ui.button(name).clicked() {
                    self.export(what, cx);
                    ui.close();
                }
            }
            ui.separator();
            ui.label("Size of the picture");
            for (place, (width, height)) in PICTURES.into_iter().enumerate() {
                // The menu stays open: the picture is chosen next.
                ui.radio_value(&mut self.picture, place, format!("{width} × {height}"));
            }
        });
        let show = ui.button("Show…").accessible_name("Show");
        egui::Popup::menu(&show).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
            let most = ui.ctx().content_rect().height() - 110.0;
            ScrollArea::vertical().max_height(most).show(ui, |ui| self.choices(ui, cx));
        });
        let (icon, name) =
            if self.to.is_none() { (Icon::Pause, "Hold the curves") } else { (Icon::Play, "Show what happens now") };
        if icons::button(ui, cx.palette, icon, name).clicked() {
            self.toggle_pause(&lock(cx.store));
        }
        let before = cx.settings.monitor.window_secs;
        let shown = match self.zoom {
            Some(seconds) if seconds < 90.0 => format!("{seconds:.0} s"),
            Some(seconds) if seconds < 5_400.0 => format!("{:.0} min", seconds / 60.0),
            Some(seconds) => format!("{:.1} h", seconds / 3_600.0),
            None => name_of(&LONG_WINDOWS, before).to_owned(),
        };
        let combo = ComboBox::from_id_salt("monitor window").width(84.0).selected_text(shown).show_ui(ui, |ui| {
            for (secs, name) in LONG_WINDOWS {
                if ui.selectable_value(&mut cx.settings.monitor.window_secs, secs, name).clicked() {
                    self.zoom = None;
                }
            }
        });
        let _ = combo.response.accessible_name("Time window");
        self.task_choice(ui, cx);
    }

    /// Requests of one task, or of all: percentiles of a mixture say little.
    fn task_choice(&mut self, ui: &mut Ui, cx: &Cx<'_>) {
        let tasks = {
            let store = lock(cx.store);
            store.sessions().all().iter().map(|s| s.task).collect::<Vec<_>>()
        };
        if tasks.len() < 2 && self.task.is_none() {
            return;
        }
        let shown = self.task.unwrap_or("all tasks");
        let combo = ComboBox::from_id_salt("monitor task").width(96.0).selected_text(shown).show_ui(ui, |ui| {
            ui.selectable_value(&mut self.task, None, "all tasks");
            for task in tasks {
                ui.selectable_value(&mut self.task, Some(task), task);
            }
        });
        let _ = combo.response.accessible_name("Task");
    }

    /// What is shown, and what counts.
    fn choices(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ui.set_min_width(300.0);
        if !cx.settings.touch {
            ui.spacing_mut().interact_size.y = 28.0;
            ui.spacing_mut().item_spacing.y = 4.0;
        }
        ui.checkbox(&mut self.is_list, "Sensors as a list");
        ui.separator();
        for kind in RowKind::MONITOR {
            let hidden = &mut cx.settings.monitor.hidden;
            let place = hidden.iter().position(|h| h == kind.title());
            let mut on = place.is_none();
            if ui.checkbox(&mut on, kind.title()).changed() {
                match place {
                    Some(place) => drop(hidden.remove(place)),
                    None => hidden.push(kind.title().to_owned()),
                }
            }
        }
        ui.separator();
        ui.label("Throughput counts");
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.rate, None, "what fits");
            for rate in Rate::ALL {
                ui.selectable_value(&mut self.rate, Some(rate), rate.name());
            }
        });
        ui.separator();
        ui.horizontal(|ui| {
            ui.checkbox(&mut cx.settings.monitor.warming, "Percentiles count warm-up");
            explain(ui, "warm-up", "The first three requests after a model was loaded: its memory is touched for the first time and caches are cold. Requests that waited for the loading itself never count.");
        });
    }
}

/// A plot with its name and value on the left.
fn one(ui: &mut Ui, p: &Palette, scene: &Scene, row: &Row, look: &Look) -> Touched {
    ui.spacing_mut().item_spacing.x = 0.0;
    ui.allocate_ui_with_layout(vec2(NAMES, look.height), Layout::top_down(Align::Min), |ui| {
        ui.set_width(NAMES);
        ui.set_height(look.height);
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.add_space((look.height / 2.0 - 23.0).max(0.0));
        ui.label(strong(row.kind.title(), size::LABEL + 1.0).color(p.text));
        // The value may need two lines: "p50 6.1 · p95 9.8 ms".
        for part in row.value.split(" · ") {
            ui.label(egui::RichText::new(part).font(FontId::monospace(size::SMALL)).color(p.muted));
        }
    });
    curves::draw(ui, p, scene, row, look)
}

/// Times below the plots.
fn axis(ui: &mut Ui, p: &Palette, scene: &Scene, live: bool) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), AXIS - 6.0), egui::Sense::hover());
    let window = scene.to - scene.from;
    let font = FontId::monospace(size::SMALL);
    let left = rect.left() + NAMES;
    for i in 0..=4u8 {
        let share = f32::from(i) / 4.0;
        let ago = window * f64::from(1.0 - share);
        let text = match i {
            4 if live => "now".to_owned(),
            4 => "held".to_owned(),
            _ if window > 7_000.0 => format!("−{:.1} h", ago / 3_600.0),
            _ if window > 170.0 => format!("−{:.1} min", ago / 60.0),
            _ if window > 20.0 => format!("−{ago:.0} s"),
            _ => format!("−{ago:.1} s"),
        };
        let align = match i {
            0 => Align2::LEFT_TOP,
            4 => Align2::RIGHT_TOP,
            _ => Align2::CENTER_TOP,
        };
        let x = left + share * (rect.right() - left);
        ui.painter().text(egui::pos2(x, rect.top()), align, text, font.clone(), p.muted);
    }
}
