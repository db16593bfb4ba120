//! Rail, stage, pulse and status line.

use super::App;
use super::command::UiCommand;
use super::palette::Choice;
use super::theme::{self, Palette, size, strong};
use super::widgets::{bytes, icons, note};
use crate::telemetry::sampler::{PERIOD, lock};
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
                    self.pulse.ui(ui, p, &mut self.settings, &self.store);
                });
            if self.pulse.is_moving() {
                ui.ctx().request_repaint_after(self.pace());
            }
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
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for (index, tab) in self.tabs.iter().enumerate() {
                let here = index == self.current;
                let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 54.0), Sense::click());
                if here || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, f32::from(size::RADIUS), p.raised);
                }
                if here {
                    let bar = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
                    ui.painter().rect_filled(bar, 2.0, p.accent);
                }
                let color = if here { p.text } else { p.muted };
                let upper = Rect::from_center_size(pos2(rect.center().x, rect.top() + 19.0), vec2(20.0, 20.0));
                icons::paint(ui.painter(), upper, tab.icon(), color);
                let place = pos2(rect.center().x, rect.bottom() - 8.0);
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
        let mut chosen = None;
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
            let sample = lock(&self.store).latest().copied();
            if let Some(used) = sample.and_then(|s| s.process_memory) {
                ui.add_space(12.0);
                note(ui, p, "memory");
                ui.label(strong(bytes(used), size::LABEL).color(p.text));
            }
            ui.add_space(12.0);
            note(ui, p, "queue");
            ui.label(strong(self.engine.queue().to_string(), size::LABEL).color(p.text));
            if let Some(celsius) = sample.and_then(|s| s.temperature) {
                ui.add_space(12.0);
                note(ui, p, format!("{celsius:.0} °C"));
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
                    let text = if self.settings.pulse_open { "Hide pulse" } else { "Show pulse" };
                    if ui.add(egui::Button::new(small(text)).frame(false)).clicked() {
                        chosen = Some(UiCommand::Pulse);
                    }
                }
            });
        });
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
