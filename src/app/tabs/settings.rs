//! Settings: look, size, device, time window. Kept between starts.

use super::{Cx, Tab};
use crate::app::settings::{CONTEXTS, ThemeChoice, WINDOWS};
use crate::app::theme::{card, size};
use crate::app::widgets::icons::Icon;
use crate::app::widgets::{explain, note, secondary};
use crate::nn::runtime::DeviceChoice;
use egui::{Grid, RichText, ScrollArea, Slider, Ui};

/// The tab.
#[derive(Default)]
pub struct SettingsTab {
    /// Text scale while the slider is dragged: applying it at once would move the slider.
    scale: Option<f32>,
}

impl Tab for SettingsTab {
    fn id(&self) -> &'static str {
        "settings"
    }

    fn title(&self) -> &'static str {
        "Settings"
    }

    fn icon(&self) -> Icon {
        Icon::Gear
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading("Settings");
            note(ui, cx.palette, "Kept between starts.");
            ui.add_space(8.0);
            card(cx.palette).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(RichText::new("Look").size(size::LABEL).color(cx.palette.muted));
                Grid::new("look").num_columns(2).spacing([24.0, 12.0]).show(ui, |ui| self.look(ui, cx));
                note(
                    ui,
                    cx.palette,
                    "Arabic and Hebrew are read and answered as they should be, but this window draws every line from left to right: their words stand in reverse order on the screen. Exports and copies are right. A letter that no font on this machine has is drawn as a box.",
                );
            });
            card(cx.palette).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(RichText::new("Computing").size(size::LABEL).color(cx.palette.muted));
                Grid::new("computing").num_columns(2).spacing([24.0, 12.0]).show(ui, |ui| computing(ui, cx));
                if let Some(status) = cx.status {
                    note(ui, cx.palette, format!("In use: {}, weights in {}", status.device.name, status.precision));
                    if let Some(notice) = &status.device.notice {
                        ui.label(RichText::new(notice).color(cx.palette.warning));
                    }
                }
            });
            note(
                ui,
                cx.palette,
                format!(
                    "Glossa {} · everything here runs on this machine; nothing you type leaves it.",
                    env!("CARGO_PKG_VERSION")
                ),
            );
        });
    }
}

impl SettingsTab {
    fn look(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ui.label("Theme");
        ui.horizontal(|ui| {
            for (choice, name) in
                [(ThemeChoice::System, "As the system"), (ThemeChoice::Light, "Light"), (ThemeChoice::Dark, "Dark")]
            {
                if ui.selectable_label(cx.settings.theme == choice, name).clicked() {
                    cx.settings.theme = choice;
                }
            }
        });
        ui.end_row();
        ui.label("Text size");
        ui.horizontal(|ui| {
            let mut scale = self.scale.unwrap_or(cx.settings.scale);
            let slider = Slider::new(&mut scale, 0.8..=2.0).step_by(0.1).fixed_decimals(1).suffix(" ×");
            let response = ui.add(slider).accessible_name("Text size");
            self.scale = Some(scale);
            if response.drag_stopped() || (response.changed() && !response.dragged()) {
                cx.settings.scale = scale;
            }
            if !response.dragged() {
                self.scale = None;
            }
        });
        ui.end_row();
        ui.label("Projector");
        ui.checkbox(&mut cx.settings.projector, "Everything 1.4 times larger");
        ui.end_row();
        ui.label("Touch");
        ui.checkbox(&mut cx.settings.touch, "Large buttons");
        ui.end_row();
        ui.label("Pulse shows");
        ui.horizontal_wrapped(|ui| {
            for (secs, name) in WINDOWS {
                if ui.selectable_label(cx.settings.window_secs == secs, name).clicked() {
                    cx.settings.window_secs = secs;
                }
            }
        });
        ui.end_row();
    }
}

/// Cores of this machine, looked up once: that reads files.
fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn computing(ui: &mut Ui, cx: &mut Cx<'_>) {
    let before = (cx.settings.device, cx.settings.threads);
    ui.label("Device");
    ui.horizontal(|ui| {
        for (choice, name) in DeviceChoice::ALL {
            if ui.selectable_label(cx.settings.device == choice, name).clicked() {
                cx.settings.device = choice;
            }
        }
        explain(ui, "the device", "CUDA runs models on an NVIDIA graphics processor. Automatic takes it where it is there and gives right results, and the CPU otherwise.");
    });
    ui.end_row();
    ui.label("CPU threads");
    ui.horizontal(|ui| {
        let most = cores();
        let mut automatic = cx.settings.threads.is_none();
        if ui.checkbox(&mut automatic, format!("One per core ({most})")).changed() {
            cx.settings.threads = if automatic { None } else { Some(most) };
        }
        if let Some(threads) = &mut cx.settings.threads {
            let value = egui::DragValue::new(threads).range(1..=most.max(1));
            let _ = ui.add(value).accessible_name("Threads");
        }
    });
    ui.end_row();
    ui.label("Context");
    ui.horizontal_wrapped(|ui| {
        for (tokens, name) in CONTEXTS {
            let is_chosen = cx.settings.context == tokens;
            if ui.selectable_label(is_chosen, name).clicked() && !is_chosen {
                cx.use_context(tokens);
            }
        }
        explain(ui, "the context", "How many tokens a conversation may have, the model's answers included; at most what the model was made for. Each token keeps its place in memory, so a longer context needs more of it.");
    });
    ui.end_row();
    ui.label("Memory");
    if secondary(ui, cx.palette, "Unload models", "").clicked()
        && let Err(error) = cx.engine.unload()
    {
        cx.notices.push(error.to_string());
    }
    ui.end_row();
    if before != (cx.settings.device, cx.settings.threads)
        && let Err(error) = cx.engine.set_device(cx.settings.device, cx.settings.threads)
    {
        cx.notices.push(error.to_string());
    }
}
