//! One model in a row: name, what it is for, size, speed, and what can be done with it.

use super::fit::in_words;
use super::{ModelsTab, loaded, task_name};
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, semibold, size};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::{bytes, grouped};
use crate::engine::news::{Download, Errand, Found, Phase};
use crate::engine::shelf::{Measurement, Volume};
use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{
    Align, Align2, Button, Color32, FontId, Layout, Rect, Response, RichText, Role, Sense, Ui, UiBuilder, WidgetInfo,
    pos2, vec2,
};

/// Height of a row.
const HEIGHT: f32 = 58.0;
/// Below this width the speed and the precision have no column.
const NARROW: f32 = 640.0;
/// Widths of the columns, from the right: state, speed, size, precision, task.
const COLUMNS: [f32; 5] = [124.0, 112.0, 82.0, 82.0, 88.0];

impl ModelsTab {
    pub(super) fn row(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume) {
        let p = cx.palette;
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::click());
        let is_chosen = self.selected.as_deref() == Some(&volume.id);
        let state = self.state(cx, volume);
        let name = format!("{}, {}, {}, {state}", volume.name, task_name(volume), bytes(volume.bytes));
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &name));
        if response.clicked() {
            self.selected = if is_chosen { None } else { Some(volume.id.clone()) };
            self.leaving = None;
        }
        if ui.is_rect_visible(rect) {
            if is_chosen || response.hovered() || response.has_focus() {
                ui.painter().rect_filled(rect.shrink(1.0), f32::from(size::RADIUS), p.raised);
            }
            let second = self.second_line(cx, volume);
            paint(ui, cx, rect, volume, &second);
        }
        let mut cell = state_cell(ui, rect, &volume.id);
        self.state_ui(&mut cell, cx, volume);
    }

    /// A download of something that the list does not have.
    pub(super) fn stranger(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, id: &str) {
        let Some(download) = self.downloads.get(id).cloned() else { return };
        let second = self.told(&download);
        let mut cell = bare(ui, cx.palette, id, &second);
        self.download_ui(&mut cell, cx, id, id, &download);
    }

    /// Something that a search has found on the hub.
    pub(super) fn found_row(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, found: &Found) {
        let kind = found.pipeline.as_deref().unwrap_or("of a kind that its page does not tell");
        let mut cell = bare(
            ui,
            cx.palette,
            &found.id,
            &format!("{kind} · {} downloads", grouped(usize::try_from(found.downloads).unwrap_or(usize::MAX))),
        );
        if !self.downloads.contains_key(&found.id) && button(&mut cell, cx.palette, "Get", &found.id, true).clicked() {
            self.ask(Errand::Get(found.id.clone()), cx);
        }
    }

    /// What the state column says, in words.
    fn state(&self, cx: &Cx<'_>, volume: &Volume) -> &'static str {
        if self.downloads.contains_key(&volume.id) {
            "downloading"
        } else if self.loading.iter().any(|l| l.model == volume.id) {
            "loading"
        } else if loaded(cx, &volume.id).is_some() {
            "loaded"
        } else if volume.problem.is_some() {
            "damaged"
        } else if volume.is_here {
            "here"
        } else {
            "can be had"
        }
    }

    /// Below the name: the download, what went wrong, or the best that is known.
    fn second_line(&self, cx: &Cx<'_>, volume: &Volume) -> String {
        if let Some(download) = self.downloads.get(&volume.id) {
            return self.told(download);
        }
        if let Some(message) = self.failed.get(&volume.id) {
            return format!("{}: {}", message.what, message.why);
        }
        if let Some(problem) = &volume.problem {
            return problem.clone();
        }
        if !volume.is_here {
            let rest = volume.bytes.saturating_sub(volume.partial);
            return format!("{} · {} to get", volume.licence, bytes(rest));
        }
        let mut parts = Vec::new();
        if volume.is_default {
            parts.push("default".to_owned());
        }
        if volume.is_pinned {
            parts.push("pinned".to_owned());
        }
        parts.push(accuracy(cx, volume).unwrap_or_else(|| volume.licence.clone()));
        parts.retain(|part| !part.is_empty());
        parts.join(" · ")
    }

    fn state_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume) {
        let (p, id) = (cx.palette, &volume.id);
        if let Some(download) = self.downloads.get(id).cloned() {
            self.download_ui(ui, cx, id, &volume.name, &download);
            return;
        }
        if let Some(loading) = self.loading.iter().find(|l| l.model == *id) {
            let (share, cancel) = (loading.share, loading.ticket.cancel.clone());
            if icons::quiet(ui, p, Icon::Pause, &format!("Stop loading {}", volume.name)).clicked() {
                cancel.cancel();
            }
            progress(ui, p, share);
            return;
        }
        if loaded(cx, id).is_some() {
            ui.label(RichText::new("● loaded").color(p.positive));
        } else if volume.problem.is_some() {
            ui.label(RichText::new("damaged").color(p.negative));
        } else if volume.is_here {
            if button(ui, p, "Load", &volume.name, false).clicked() {
                self.load(id, cx);
            }
        } else {
            let word = if volume.partial > 0 { "Resume" } else { "Get" };
            if button(ui, p, word, &volume.name, true).clicked() {
                self.ask(Errand::Get(id.clone()), cx);
            }
        }
    }

    /// What a download is doing, in words.
    fn told(&self, download: &Download) -> String {
        if self.pausing.contains(&download.id) { "pausing…".into() } else { told(download) }
    }

    /// A bar, and the button that pauses or goes on.
    fn download_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, id: &str, name: &str, download: &Download) {
        if !matches!(download.state, Phase::Waiting | Phase::Running) {
            if button(ui, cx.palette, "Resume", name, true).clicked() {
                self.ask(Errand::Get(id.to_owned()), cx);
            }
            return;
        }
        if icons::quiet(ui, cx.palette, Icon::Pause, &format!("Pause {name}")).clicked() {
            self.pausing.push(id.to_owned());
            self.ask(Errand::Pause(id.to_owned()), cx);
        }
        let at = &download.progress;
        progress(ui, cx.palette, at.done as f32 / at.total.max(1) as f32);
    }
}

/// A row of two lines and nothing else; returns the place for what can be done with it.
fn bare(ui: &mut Ui, p: &Palette, name: &str, second: &str) -> Ui {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}, {second}")));
    lines(ui, p, rect, COLUMNS[0], [name, second]);
    state_cell(ui, rect, name)
}

/// A name and what stands below it, left of columns that take `taken` points.
fn lines(ui: &Ui, p: &Palette, rect: Rect, taken: f32, [name, second]: [&str; 2]) {
    let (left, room) = (rect.left() + 14.0, rect.width() - taken - 24.0);
    text(ui, left, rect.top() + 20.0, room, name, FontId::new(size::BODY, semibold()), p.text);
    text(ui, left, rect.top() + 41.0, room, second, FontId::proportional(size::LABEL), p.muted);
}

/// The place at a row's right end.
fn state_cell(ui: &mut Ui, row: Rect, id: &str) -> Ui {
    let cell = Rect::from_min_max(pos2(row.right() - COLUMNS[0], row.top()), row.max).shrink2(vec2(14.0, 8.0));
    let inside = UiBuilder::new().id_salt(("state", id)).max_rect(cell);
    ui.new_child(inside.layout(Layout::right_to_left(Align::Center)))
}

/// What a download is doing, in words: how much of how much, and how long yet.
fn told(download: &Download) -> String {
    let at = &download.progress;
    match &download.state {
        Phase::Waiting => return "waits for its turn".into(),
        Phase::Failed(message) => return format!("{}: {}", message.what, message.why),
        Phase::Paused => return format!("paused at {} of {}", bytes(at.done), bytes(at.total)),
        Phase::Running | Phase::Done => {}
    }
    if at.is_checking {
        return "its files are checked".into();
    }
    if let Some(seconds) = at.waiting {
        return format!("the hub asks for patience: {seconds} s");
    }
    if at.total == 0 {
        return "asking the hub…".into();
    }
    let share = at.done as f64 / at.total as f64 * 100.0;
    let left = at.total.saturating_sub(at.done) as f64 / download.rate;
    let left = match left {
        s if !s.is_finite() => String::new(),
        s if s < 100.0 => format!(" · {s:.0} s left"),
        s if s < 6_000.0 => format!(" · {:.0} min left", s / 60.0),
        s => format!(" · {:.1} h left", s / 3_600.0),
    };
    format!("{} of {} · {share:.0} %{left}", bytes(at.done), bytes(at.total))
}

/// The accuracy that is told beside the name: measured when the model was made, else here.
fn accuracy(cx: &Cx<'_>, volume: &Volume) -> Option<String> {
    if let Some(a) = volume.card.as_ref().and_then(|c| c.accuracy.first()) {
        let data = a.data.split(',').next().unwrap_or(&a.data);
        let metric = a.metric.split(' ').next().unwrap_or(&a.metric);
        let value = a.value * 100.0;
        return Some(match metric {
            "accuracy" => format!("{data} {value:.1} % (n {})", a.n),
            "entity-level" => format!("{data} F1 {value:.1} (n {})", a.n),
            metric => format!("{data} {metric} {value:.1} (n {})", a.n),
        });
    }
    let precision = in_effect(cx, volume);
    let fits = |m: &&Measurement| !m.is_speed() && m.precision.eq_ignore_ascii_case(precision);
    volume.measured.iter().rfind(fits).map(|m| format!("{} {} (n {})", m.data, m.shown(), m.n))
}

/// The speed in this precision, if it was measured: on the device in use, else on another.
pub(super) fn speed<'a>(cx: &Cx<'_>, volume: &'a Volume, precision: &str) -> Option<&'a Measurement> {
    let device = cx.status.map_or("", |s| &s.device.name);
    let fits = |m: &&Measurement| m.is_speed() && m.precision.eq_ignore_ascii_case(precision);
    let mut all = volume.measured.iter().rev().filter(fits);
    all.clone().find(|m| m.device == device).or_else(|| all.next())
}

/// What the model is measured as in the precision that it is to be loaded in. Without a choice blocks stay as they
/// are, but an encoder's; everything else becomes what the device likes.
fn in_effect<'a>(cx: &Cx<'_>, volume: &'a Volume) -> &'a str {
    if let Some(kept) = volume.kept {
        return kept.name();
    }
    let is_writer = ["chat", "translate", "abstractive"].contains(&volume.task.as_str());
    let is_float = ["f32", "f16", "bf16"].iter().any(|f| volume.precision.eq_ignore_ascii_case(f));
    if is_writer && !is_float { &volume.precision } else { cx.status.map_or("f32", |s| s.precision) }
}

fn paint(ui: &Ui, cx: &Cx<'_>, rect: Rect, volume: &Volume, second: &str) {
    let p = cx.palette;
    let wide = rect.width() >= NARROW;
    let columns: f32 = if wide { COLUMNS.iter().sum() } else { COLUMNS[0] + COLUMNS[2] + COLUMNS[4] };
    lines(ui, p, rect, columns, [&volume.name, second]);
    let middle = rect.center().y;
    let mut right = rect.right() - COLUMNS[0];
    let mut column = |width: f32, shown: &str, font: FontId| {
        right -= width;
        ui.painter().text(pos2(right, middle), Align2::LEFT_CENTER, shown, font, p.text);
    };
    let figures = || FontId::monospace(size::LABEL);
    if wide {
        let speed = speed(cx, volume, in_effect(cx, volume)).map_or_else(|| "–".to_owned(), Measurement::shown);
        column(COLUMNS[1], &speed, figures());
    }
    column(COLUMNS[2], &bytes(volume.bytes), figures());
    if wide {
        column(COLUMNS[3], &in_words(volume.kept, &volume.precision), figures());
    }
    column(COLUMNS[4], task_name(volume), FontId::proportional(size::BODY));
}

/// A line that ends in "…" where it is too long.
fn text(ui: &Ui, left: f32, middle: f32, room: f32, shown: &str, font: FontId, color: Color32) {
    let mut job = LayoutJob::single_section(shown.to_owned(), TextFormat::simple(font, color));
    job.wrap = TextWrapping::truncate_at_width(room.max(20.0));
    let galley = ui.painter().layout_job(job);
    ui.painter().galley(pos2(left, middle - galley.size().y / 2.0), galley, color);
}

fn progress(ui: &mut Ui, p: &Palette, share: f32) {
    let width = (ui.available_width() - 4.0).clamp(20.0, 100.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 8.0), Sense::hover());
    ui.painter().rect_filled(rect, 4.0, p.hairline);
    let share = share.clamp(0.0, 1.0);
    ui.painter().rect_filled(Rect::from_min_size(rect.min, vec2(width * share, 8.0)), 4.0, p.accent);
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, format!("{:.0} %", share * 100.0)));
}

/// A button of a row; for screen readers its name tells which model it is about.
fn button(ui: &mut Ui, p: &Palette, word: &str, model: &str, is_primary: bool) -> Response {
    let button =
        if is_primary { Button::new(RichText::new(word).color(p.on_accent)).fill(p.accent) } else { Button::new(word) };
    ui.add(button).accessible_name(format!("{word} {model}"))
}
