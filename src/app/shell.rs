//! Rail, stage, pulse and status line.

use super::App;
use super::command::UiCommand;
use super::palette::Choice;
use super::theme::{self, Palette, size, strong};
use super::widgets::{icons, note};
use crate::telemetry::channel::Key;
use crate::telemetry::sampler::{PERIOD, lock};
use crate::telemetry::scene::hottest;
use crate::telemetry::store::Store;
use crate::telemetry::warnings::{Level, Warning};
use std::time::Duration;

use egui::{
    Align, Align2, CentralPanel, FontId, Frame, Layout, Margin, Panel, Rect, RichText, ScrollArea, Sense, Stroke, Ui,
    pos2, vec2,
};

/// Time between two pictures of the pulse while nothing happens.
const IDLE: Duration = Duration::from_millis(500);

impl App {
    pub(super) fn shell_ui(&mut self, ui: &mut Ui) {
        let p = theme::palette(ui.ctx());
        let wide = ui.ctx().content_rect().width() >= size::FOLD;
        // Under the panels: at odd scales a gap of a pixel may stay between them.
        ui.painter().rect_filled(ui.ctx().content_rect(), 0.0, p.ground);
        let status = if self.settings.touch { size::TOUCH } else { size::STATUS };
        let side = Frame::new().fill(p.panel).stroke(Stroke::NONE);
        Panel::bottom("status")
            .exact_size(status)
            .resizable(false)
            .frame(side.inner_margin(Margin::symmetric(16, 0)))
            .show(ui, |ui| self.status_ui(ui, p, wide));
        Panel::left("rail")
            .exact_size(size::RAIL)
            .resizable(false)
            .frame(side.inner_margin(Margin::symmetric(8, 12)))
            .show(ui, |ui| self.rail_ui(ui, p));
        if wide || self.settings.pulse_open {
            let width = if wide { size::PULSE } else { 280.0 };
            Panel::right("pulse")
                .exact_size(width)
                .resizable(false)
                .frame(side.inner_margin(Margin::symmetric(14, 12)))
                .show(ui, |ui| {
                    if self.tabs[self.current].has_side() {
                        let (ctx, current) = (ui.ctx().clone(), self.current);
                        self.with_tab(&ctx, current, |tab, cx| tab.side_ui(ui, cx));
                    } else {
                        self.pulse.ui(ui, p, &mut self.settings, &self.store);
                    }
                });
        }
        let own = self.tabs[self.current].has_side();
        if own || (self.pulse.is_moving() && (wide || self.settings.pulse_open)) {
            ui.ctx().request_repaint_after(self.pace());
        }
        let margin = if wide { Margin::symmetric(28, 20) } else { Margin::symmetric(20, 14) };
        CentralPanel::default().frame(Frame::new().fill(p.ground).inner_margin(margin)).show(ui, |ui| {
            let (ctx, current) = (ui.ctx().clone(), self.current);
            self.with_tab(&ctx, current, |tab, cx| tab.ui(ui, cx));
        });
        self.notices.show(ui, p, size::RAIL + 20.0, status + 12.0);
        self.palette_ui(ui, p);
    }

    /// Time between two pictures of the pulse: the sampler's while something happens or has just
    /// happened, otherwise slow, since drawing costs more than anything else here.
    fn pace(&self) -> Duration {
        let store = lock(&self.store);
        let recent = store.last_span().is_some_and(|s| store.now() - s.end < 3.0);
        if recent || self.engine.queue() > 0 { PERIOD } else { IDLE }
    }

    fn rail_ui(&mut self, ui: &mut Ui, p: &Palette) {
        let mut chosen = None;
        // On a low screen the entries move together before they have to be scrolled.
        let height = (ui.available_height() / self.tabs.len().max(1) as f32 - 2.0).clamp(40.0, 54.0).floor();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for (index, tab) in self.tabs.iter().enumerate() {
                let here = index == self.current;
                let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
                if here || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, f32::from(size::RADIUS), p.raised);
                }
                if here {
                    let bar = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
                    ui.painter().rect_filled(bar, 2.0, p.accent);
                }
                let color = if here { p.text } else { p.muted };
                let upper = Rect::from_center_size(
                    pos2(rect.center().x, rect.top() + 19.0 - (54.0 - height) / 2.0),
                    vec2(20.0, 20.0),
                );
                icons::paint(ui.painter(), upper, tab.icon(), color);
                let place = pos2(rect.center().x, rect.bottom() - 8.0 + (54.0 - height) / 2.0);
                ui.painter().text(place, Align2::CENTER_BOTTOM, tab.title(), FontId::proportional(size::LABEL), color);
                let title = tab.title();
                response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Tab, true, here, title));
                if response.clicked() {
                    chosen = Some(index);
                }
            }
        });
        if let Some(index) = chosen {
            self.show_tab(index);
        }
    }

    fn status_ui(&mut self, ui: &mut Ui, p: &Palette, wide: bool) {
        let (mut chosen, mut details) = (None, false);
        ui.horizontal_centered(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            ui.spacing_mut().interact_size.y = 28.0;
            match &self.status {
                None => {
                    note(ui, p, "starting…");
                }
                Some(status) => {
                    ui.label(strong(&status.device.name, size::LABEL).color(p.text));
                    if let Some(notice) = &status.device.notice {
                        ui.label(RichText::new(format!("⚠ {notice}")).size(size::LABEL).color(p.warning));
                    }
                    ui.add_space(12.0);
                    match status.loaded.as_slice() {
                        [] => {
                            note(ui, p, "no model loaded");
                        }
                        models => {
                            let names: Vec<String> =
                                models.iter().map(|m| format!("{} · {}", m.id, m.precision)).collect();
                            note(ui, p, names.join(", "));
                        }
                    }
                }
            }
            let sensed = sensed(&lock(&self.store));
            if let Some(used) = &sensed.memory {
                ui.add_space(12.0);
                note(ui, p, "memory");
                ui.label(strong(used, size::LABEL).color(p.text));
            }
            ui.add_space(12.0);
            note(ui, p, "queue");
            ui.label(strong(self.engine.queue().to_string(), size::LABEL).color(p.text));
            if !sensed.board.is_empty() {
                ui.add_space(12.0);
                note(ui, p, &sensed.board);
            }
            if let Some(warning) = sensed.warning {
                ui.add_space(12.0);
                let text = RichText::new(format!("⚠ {}", warning.what)).size(size::LABEL).color(p.warning);
                // What stands at the right end keeps its place.
                ui.scope(|ui| {
                    ui.set_max_width((ui.available_width() - if wide { 140.0 } else { 250.0 }).max(0.0));
                    let label = ui.add(egui::Label::new(text).truncate().sense(Sense::click()));
                    if label.on_hover_text(format!("{} {}", warning.what, warning.next)).clicked() {
                        details = true;
                    }
                });
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let small = |text: &str| RichText::new(text).size(size::LABEL).color(p.muted);
                if ui
                    .add(egui::Button::new(small("Ctrl+K commands")).frame(false))
                    .accessible_name("Commands")
                    .clicked()
                {
                    chosen = Some(UiCommand::Palette);
                }
                if !wide {
                    let beside = if self.tabs[self.current].has_side() { "details" } else { "pulse" };
                    let text = format!("{} {beside}", if self.settings.pulse_open { "Hide" } else { "Show" });
                    if ui.add(egui::Button::new(small(&text)).frame(false)).clicked() {
                        chosen = Some(UiCommand::Pulse);
                    }
                }
            });
        });
        // What is wrong is told in full there.
        if details && let Some(monitor) = self.tabs.iter().position(|t| t.id() == "monitor") {
            self.show_tab(monitor);
        }
        if let Some(command) = chosen {
            let ctx = ui.ctx().clone();
            self.run_command(&ctx, command);
        }
    }

    fn palette_ui(&mut self, ui: &Ui, p: &Palette) {
        let Some(mut palette) = self.palette.take() else { return };
        let titles: Vec<&str> = self.tabs.iter().map(|t| t.title()).collect();
        match palette.show(ui, p, &titles) {
            Choice::Open => self.palette = Some(palette),
            Choice::Closed => {}
            Choice::Command(command) => self.run_command(ui.ctx(), command),
        }
    }
}

/// What the status line says of the machine.
struct Sensed {
    memory: Option<String>,
    /// Temperature and power.
    board: String,
    /// The worst of what is wrong; the device's own notice stands beside its name already.
    warning: Option<Warning>,
}

fn sensed(store: &Store) -> Sensed {
    let now = store.newest().unwrap_or(0.0);
    let board: Vec<String> = [hottest(store, now), store.shown(Key::Power, now)].into_iter().flatten().collect();
    let serious = |w: &&Warning| w.level > Level::Note && w.id != "device";
    Sensed {
        memory: store.shown(Key::ProcessMemory, now),
        board: board.join(" · "),
        warning: store.warnings().iter().find(serious).cloned(),
    }
}
