//! The monitor: everything that the hardware did, and every request, on one time axis that can be
//! held, dragged and zoomed.

mod sensors;
mod side;
mod view;

use super::asking::Saving;
use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::curves::Touched;
use crate::app::widgets::icons::Icon;
use crate::telemetry::export::{self, Range, Snapshot};
use crate::telemetry::sampler::lock;
use crate::telemetry::scene::{RowKind, Scene, View, span_at};
use crate::telemetry::statistics::{Filter, Rate};
use crate::telemetry::store::Store;
use egui::Ui;
use std::sync::Arc;
use std::time::SystemTime;

/// Shortest and longest time that the curves show, seconds.
const SHORTEST: f64 = 2.0;
const LONGEST: f64 = 21_600.0;
/// Columns in which the least and greatest value are kept: more than the eye tells apart on a projector.
const COLUMNS: usize = 800;
/// Pixels of an exported picture: paper, projector, large screen.
const PICTURES: [(u32, u32); 3] = [(1_600, 1_200), (1_920, 1_080), (3_840, 2_160)];

/// What is written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Export {
    Picture,
    Page,
    Readings,
    Requests,
    Json,
}

impl Export {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Picture, "Picture (PNG)", "png"),
        (Self::Page, "Session report (HTML)", "html"),
        (Self::Readings, "Readings (CSV)", "csv"),
        (Self::Requests, "Requests (CSV)", "csv"),
        (Self::Json, "Everything (JSON)", "json"),
    ];

    /// The file's bytes.
    fn write(self, snapshot: &Snapshot, (width, height): (u32, u32)) -> std::io::Result<Vec<u8>> {
        let other = |e: &dyn std::fmt::Display| std::io::Error::other(e.to_string());
        match self {
            Self::Picture => export::png(snapshot, width, height).map_err(|e| other(&e)),
            Self::Page => export::html(snapshot).map(String::into_bytes).map_err(|e| other(&e)),
            Self::Readings => export::readings_csv(snapshot).map_err(|e| other(&e)),
            Self::Requests => export::requests_csv(snapshot).map_err(|e| other(&e)),
            Self::Json => serde_json::to_vec_pretty(&export::json(snapshot, true)).map_err(|e| other(&e)),
        }
    }
}

/// The tab.
#[derive(Default)]
pub struct MonitorTab {
    /// Seconds of the store at the right edge while the curves are held; `None` while they move.
    to: Option<f64>,
    /// Seconds shown, if not one of the windows to choose from.
    zoom: Option<f64>,
    /// Where the pointer is, and where it was clicked: there the values stay.
    hovered: Option<f64>,
    pinned: Option<f64>,
    marked: Option<u64>,
    task: Option<&'static str>,
    rate: Option<Rate>,
    /// The list of sensors instead of the curves.
    is_list: bool,
    /// Which of the sizes an exported picture has.
    picture: usize,
    /// Width of the plots in the last frame.
    pixels: usize,
    saving: Saving,
    /// What this frame shows, with the frame's number: stage and side show the same.
    shown: Option<(u64, Shown)>,
}

/// What a frame shows.
#[derive(Clone)]
struct Shown {
    view: Arc<View>,
    scene: Arc<Scene>,
}

impl Tab for MonitorTab {
    fn id(&self) -> &'static str {
        "monitor"
    }

    fn title(&self) -> &'static str {
        "Monitor"
    }

    fn icon(&self) -> Icon {
        Icon::Pulse
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.saving.poll(ui, cx);
        self.take_keys(ui, cx);
        self.show(ui, cx);
    }

    fn has_side(&self) -> bool {
        true
    }

    fn side_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        self.side(ui, cx);
    }

    fn on_command(&mut self, command: UiCommand, cx: &mut Cx<'_>) -> bool {
        match command {
            UiCommand::PausePulse => self.toggle_pause(&lock(cx.store)),
            UiCommand::SaveCsv => self.export(Export::Readings, cx),
            UiCommand::Stop => {
                self.pinned = None;
                self.marked = None;
            }
            _ => return false,
        }
        true
    }
}

impl MonitorTab {
    /// A monitor whose curves are held with this moment (seconds of the store) at their right edge.
    pub fn held_at(time: f64) -> Self {
        Self { to: Some(time), ..Self::default() }
    }

    fn toggle_pause(&mut self, store: &Store) {
        self.to = match self.to {
            Some(_) => None,
            None => Some(store.now()),
        };
    }

    /// Seconds shown.
    fn window(&self, cx: &Cx<'_>) -> f64 {
        self.zoom.unwrap_or(cx.settings.monitor.window_secs).clamp(SHORTEST, LONGEST)
    }

    fn filter(&self, cx: &Cx<'_>) -> Filter {
        Filter { task: self.task, warming: cx.settings.monitor.warming }
    }

    /// What the curves show now.
    fn view(&self, store: &Store, cx: &Cx<'_>) -> View {
        View {
            to: self.to.unwrap_or_else(|| store.now()),
            window: self.window(cx),
            filter: self.filter(cx),
            rate: self.rate,
            marked: self.marked,
            pixels: self.pixels.clamp(100, COLUMNS),
        }
    }

    /// The plots that are wanted.
    fn rows(cx: &Cx<'_>) -> Vec<RowKind> {
        let hidden = &cx.settings.monitor.hidden;
        RowKind::MONITOR.into_iter().filter(|k| !hidden.iter().any(|h| h == k.title())).collect()
    }

    /// What this frame shows: collected once, under one lock.
    fn shown(&mut self, cx: &Cx<'_>) -> Shown {
        let frame = cx.ctx.cumulative_pass_nr();
        if let Some((_, shown)) = self.shown.as_ref().filter(|s| s.0 == frame) {
            return shown.clone();
        }
        let store = lock(cx.store);
        let view = self.view(&store, cx);
        let scene = Arc::new(Scene::collect(&store, &view, &Self::rows(cx)));
        let shown = Shown { view: Arc::new(view), scene };
        self.shown = Some((frame, shown.clone()));
        shown
    }

    /// Does what a person did to a plot.
    fn touch(&mut self, touched: Touched, view: &View, cx: &Cx<'_>) {
        self.hovered = touched.hovered;
        let now = lock(cx.store).now();
        if touched.reset {
            (self.to, self.zoom, self.pinned) = (None, None, None);
            return;
        }
        if let Some(time) = touched.clicked {
            self.pinned = Some(time);
            self.marked = span_at(&lock(cx.store), view, time, view.window * 0.02);
        }
        if touched.dragged != 0.0 {
            self.pan(-touched.dragged, view, now);
        }
        if let Some(factor) = touched.zoomed {
            let around = touched.hovered.unwrap_or(view.to);
            self.zoom_by(factor, around, view, now);
        }
    }

    /// Moves the picture by `seconds` to the right of the time axis. At its end it runs on.
    fn pan(&mut self, seconds: f64, view: &View, now: f64) {
        let to = view.to + seconds;
        self.to = (to < now).then_some(to.max(view.window.min(now)));
    }

    /// Shows `factor` times less time, with `around` staying where it is.
    fn zoom_by(&mut self, factor: f64, around: f64, view: &View, now: f64) {
        let window = (view.window / factor).clamp(SHORTEST, LONGEST);
        self.zoom = Some(window);
        if self.to.is_some() || around < view.to - view.window * 0.1 {
            let share = (view.to - around) / view.window;
            let to = around + share * window;
            self.to = (to < now).then_some(to);
        }
    }

    /// Arrow keys walk through time, plus and minus zoom, Home shows now.
    fn take_keys(&mut self, ui: &Ui, cx: &Cx<'_>) {
        use egui::{Key, Modifiers};
        if ui.ctx().egui_wants_keyboard_input() || ui.ctx().memory(|m| m.focused().is_some()) {
            return;
        }
        let pressed = |key: Key| ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
        let step = f64::from(i8::from(pressed(Key::ArrowRight)) - i8::from(pressed(Key::ArrowLeft)));
        let larger = pressed(Key::Plus) || pressed(Key::Equals);
        let zoom = f64::from(i8::from(larger) - i8::from(pressed(Key::Minus)));
        let home = pressed(Key::Home);
        if step == 0.0 && zoom == 0.0 && !home {
            return;
        }
        let (view, now) = {
            let store = lock(cx.store);
            (self.view(&store, cx), store.now())
        };
        if home {
            (self.to, self.zoom) = (None, None);
        }
        if step != 0.0 {
            self.pan(step * view.window / 8.0, &view, now);
        }
        if zoom != 0.0 {
            self.zoom_by(1.5f64.powf(zoom), view.to, &view, now);
        }
    }

    /// Marks the request before or after the marked one.
    fn walk(&mut self, step: isize, cx: &Cx<'_>) {
        let store = lock(cx.store);
        let from = self.marked.or_else(|| store.last_span().map(|s| s.id));
        let Some(next) = from.and_then(|id| store.neighbour(id, step)) else { return };
        self.marked = Some(next.id);
        self.pinned = Some(f64::midpoint(next.start, next.end));
        let view = self.view(&store, cx);
        if next.start < view.from() || next.end > view.to {
            self.to = Some((next.end + view.window / 2.0).min(store.now()));
        }
    }

    /// Asks where to, and writes there on a thread of its own what is shown.
    fn export(&mut self, what: Export, cx: &Cx<'_>) {
        let range = {
            let store = lock(cx.store);
            let mut view = self.view(&store, cx);
            // A report is of the whole session, as far as it is remembered.
            if what == Export::Page {
                (view.to, view.window) = (store.now(), LONGEST);
                view.filter.task = None;
            }
            Range { from: view.from().max(0.0), to: view.to, filter: view.filter, rate: view.rate }
        };
        let (shared, rows) = (Arc::clone(cx.store), Self::rows(cx));
        let kind = Export::ALL.iter().find(|e| e.0 == what).map_or("txt", |e| e.2);
        let name = export::file_name(SystemTime::now(), kind);
        let size = PICTURES[self.picture.min(PICTURES.len() - 1)];
        // Hours of readings are copied at once and counted afterwards: neither window nor sensors wait for that.
        self.saving.ask_for(&name, move || {
            let copy = lock(&shared).clone();
            what.write(&Snapshot::take(&copy, &range, &rows), size)
        });
    }
}
