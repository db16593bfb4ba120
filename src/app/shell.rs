//! Rail, stage, pulse and status line.

use super::App;
use super::command::UiCommand;
use super::palette::Choice;
use super::theme::{self, Palette, size, strong};
use super::widgets::{self, icons, note};
use super::words;
use crate::engine::message::AtWork;
use crate::telemetry::channel::Key;
use crate::telemetry::channel::PERIOD;
use crate::telemetry::sampler::lock;
use crate::telemetry::scene::hottest;
use crate::telemetry::store::Store;
use crate::telemetry::warning::{Level, Warning};
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
        if let Some(remedy) = self.notices.show(ui, p) {
            let ctx = ui.ctx().clone();
            self.run_command(&ctx, remedy);
        }
        let margin = if wide { Margin::symmetric(28, 20) } else { Margin::symmetric(20, 14) };
        CentralPanel::default().frame(Frame::new().fill(p.ground).inner_margin(margin)).show(ui, |ui| {
            let (ctx, current) = (ui.ctx().clone(), self.current);
            self.with_tab(&ctx, current, |tab, cx| tab.ui(ui, cx));
        });
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
        let sensed = sensed(&lock(&self.store));
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.spacing_mut().interact_size.y = 28.0;
        // The right end first: what stands there keeps its place, the rest has what is left.
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let small = |text: &str| RichText::new(text).size(size::LABEL).color(p.muted);
            let words = if room_for(ui, "Ctrl+K commands") < 0.35 { "Ctrl+K commands" } else { "Ctrl+K" };
            if ui.add(egui::Button::new(small(words)).frame(false)).accessible_name("Commands").clicked() {
                chosen = Some(UiCommand::Palette);
            }
            if !wide {
                let beside = if self.tabs[self.current].has_side() { "details" } else { "pulse" };
                let text = format!("{} {beside}", if self.settings.pulse_open { "Hide" } else { "Show" });
                if ui.add(egui::Button::new(small(&text)).frame(false)).clicked() {
                    chosen = Some(UiCommand::Pulse);
                }
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| details = self.state_ui(ui, p, &sensed));
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

    /// Device, models, memory, queue, board and what is wrong, as far as there is room for them. True if somebody wants to
    /// know more of what is wrong.
    fn state_ui(&self, ui: &mut Ui, p: &Palette, sensed: &Sensed) -> bool {
        if !self.engine.is_alive() {
            ui.label(RichText::new("⚠ the engine has stopped").size(size::LABEL).color(p.warning));
            return false;
        }
        let Some(status) = &self.status else {
            note(ui, p, "starting…");
            return false;
        };
        let device = RichText::new(&status.device.name).size(size::LABEL).color(p.text).strong();
        ui.add(egui::Label::new(device).truncate());
        let mut details = false;
        let mut warn = |ui: &mut Ui, text: String, hover: String| {
            if ui.available_width() > 80.0 {
                ui.add_space(6.0);
                let text = RichText::new(text).size(size::LABEL).color(p.warning);
                let label = ui.add(egui::Label::new(text).truncate().sense(Sense::click()));
                details |= label.on_hover_text(hover).clicked();
            }
        };
        if let Some(notice) = &status.device.notice {
            warn(ui, format!("⚠ {notice}"), notice.clone());
        }
        if let Some(warning) = &sensed.warning {
            warn(ui, format!("⚠ {}", warning.what), format!("{} {}", warning.what, warning.next));
        }
        let names: Vec<String> = status.loaded.iter().map(|m| format!("{} · {}", m.id, m.precision)).collect();
        let models = if names.is_empty() { "no model loaded".to_owned() } else { names.join(", ") };
        at_work(ui, p, &status.work);
        let mut parts = vec![("", models)];
        parts.extend(sensed.memory.iter().map(|used| ("memory", used.clone())));
        parts.push(("queue", self.engine.queue().to_string()));
        if !sensed.board.is_empty() {
            parts.push(("", sensed.board.clone()));
        }
        for (name, value) in parts {
            if room_for(ui, &format!("{name} {value}")) > 0.9 {
                continue;
            }
            ui.add_space(12.0);
            if name.is_empty() {
                note(ui, p, value);
            } else {
                note(ui, p, name);
                ui.label(strong(value, size::LABEL).color(p.text));
            }
        }
        details
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

/// What is being done now; the whole of it under the pointer and after a click. Nothing while nothing is done.
fn at_work(ui: &mut Ui, p: &Palette, work: &[AtWork]) {
    let Some(short) = words::at_work(work) else { return };
    if ui.available_width() < size::MARK + 90.0 {
        return;
    }
    ui.add_space(6.0);
    widgets::writing_mark(ui, p, "The engine is at work");
    let text = RichText::new(&short).size(size::LABEL).color(p.text);
    let label = ui.add(egui::Label::new(text).truncate().selectable(false).sense(Sense::click()));
    label.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("At work: {short}")));
    let whole = words::at_work_in_full(work);
    egui::Popup::from_toggle_button_response(&label).width(360.0).show(|ui| ui.label(&whole));
    label.on_hover_text(whole);
}

/// The share of the room that is left which `text` would take.
fn room_for(ui: &Ui, text: &str) -> f32 {
    let font = FontId::proportional(size::LABEL);
    let width = ui.painter().layout_no_wrap(text.to_owned(), font, egui::Color32::PLACEHOLDER).size().x + 24.0;
    width / ui.available_width().max(1.0)
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
