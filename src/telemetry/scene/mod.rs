//! What one picture shows, without a word about how it is drawn: the window draws it with egui_plot,
//! exports with plotters.

mod cursor;
mod rows;

pub use cursor::{MemoryPart, Reading, hottest, joules, memory_parts, readings_at};

use super::curve::Curve;
use super::span::{Change, Span};
use super::statistics::{Filter, Rate, Statistics};
use super::store::Store;

/// One of the stacked plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    Latency,
    Throughput,
    /// Tokens of a step, and texts that share it.
    Batch,
    /// This app's memory.
    Memory,
    /// All of the machine's memory.
    AllMemory,
    Cpu,
    Gpu,
    GpuMemory,
    /// CPU and GPU in one plot.
    Load,
    Power,
    Temperature,
}

impl RowKind {
    /// The plots of the monitor, in order.
    pub const MONITOR: [Self; 10] = [
        Self::Latency,
        Self::Throughput,
        Self::Batch,
        Self::Memory,
        Self::AllMemory,
        Self::Cpu,
        Self::Gpu,
        Self::GpuMemory,
        Self::Power,
        Self::Temperature,
    ];

    /// The plots beside every tab.
    pub const PULSE: [Self; 4] = [Self::Latency, Self::Throughput, Self::Memory, Self::Load];

    /// The same where there is room for one more.
    pub const HIGH_PULSE: [Self; 5] = [Self::Latency, Self::Throughput, Self::Batch, Self::Memory, Self::Load];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Latency => "Latency",
            Self::Throughput => "Throughput",
            Self::Batch => "Batch",
            Self::Memory => "Memory",
            Self::AllMemory => "All memory",
            Self::Cpu => "CPU",
            Self::Gpu => "GPU",
            Self::GpuMemory => "GPU memory",
            Self::Load => "CPU",
            Self::Power => "Power",
            Self::Temperature => "Temperature",
        }
    }
}

impl Row {
    /// Its name: of a GPU only where there is one.
    pub fn title(&self) -> &'static str {
        let has_gpu = self.lines.iter().any(|l| l.hue == Hue::Gpu);
        if self.kind == RowKind::Load && has_gpu { "CPU · GPU" } else { self.kind.title() }
    }
}

/// What a line's colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    Latency,
    Throughput,
    Batch,
    Memory,
    Cpu,
    Gpu,
    Power,
    Heat,
    /// Something beside the main thing.
    Muted,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With its area shaded.
    Area,
    Line,
    /// One of many.
    Faint,
}

/// A line of a plot.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub hue: Hue,
    pub style: Style,
    pub curve: Curve,
}

/// A request's latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    pub time: f64,
    pub value: f64,
    /// It waited for a model: not in the percentiles.
    pub is_cold: bool,
    pub is_marked: bool,
}

/// One plot.
#[derive(Clone, Debug)]
pub struct Row {
    pub kind: RowKind,
    /// What it shows now.
    pub value: String,
    /// Ends of the scale, and the upper one in words.
    pub bottom: f64,
    pub top: f64,
    pub scale: String,
    pub lines: Vec<Line>,
    pub dots: Vec<Dot>,
    /// Levels across the plot: percentiles, limits.
    pub levels: Vec<(f64, String)>,
}

/// How a request stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Plain,
    /// It shared steps with the marked one.
    Mate,
    Marked,
}

/// A stretch of time in which requests ran. Those that lie within a pixel of each other are one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    pub from: f64,
    pub to: f64,
    pub weight: Weight,
}

/// A model that came or went.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When its reading began; the same as `time` where none was needed.
    pub from: f64,
    pub time: f64,
    pub change: Change,
    pub label: String,
}

/// What a person has chosen to see.
#[derive(Clone, Debug)]
pub struct View {
    /// Seconds of the store at the right edge.
    pub to: f64,
    pub window: f64,
    pub filter: Filter,
    /// What throughput counts; `None` for what suits the newest request.
    pub rate: Option<Rate>,
    pub marked: Option<u64>,
    /// Width of a plot in pixels.
    pub pixels: usize,
}

impl View {
    /// Seconds of the store at the left edge.
    pub fn from(&self) -> f64 {
        self.to - self.window
    }
}

/// All that a picture shows; times in seconds of the store.
#[derive(Clone, Debug)]
pub struct Scene {
    pub from: f64,
    pub to: f64,
    pub rows: Vec<Row>,
    pub bands: Vec<Band>,
    pub events: Vec<Event>,
    pub rate: Rate,
    pub statistics: Statistics,
}

impl Scene {
    /// What `store` has for `view`: those of `kinds` that it has anything for.
    pub fn collect(store: &Store, view: &View, kinds: &[RowKind]) -> Self {
        let (from, to) = (view.from(), view.to);
        let rate = view.rate.unwrap_or_else(|| {
            let newest = store.spans_between(from, to).next_back();
            if newest.is_some_and(|s| s.generated > 0) { Rate::Tokens } else { Rate::Texts }
        });
        let events = store.marks_between(from, to).map(|m| {
            let name = store.name_of(m.model);
            Event {
                from: (m.time - m.ms / 1e3).max(from),
                time: m.time,
                change: m.change,
                label: format!("{name} {}", m.change.name()),
            }
        });
        let mut scene = Self {
            from,
            to,
            rows: Vec::with_capacity(kinds.len()),
            bands: bands(store, view),
            events: events.collect(),
            rate,
            statistics: store.statistics(from, to, view.filter),
        };
        scene.rows = kinds.iter().filter_map(|kind| rows::row(*kind, store, view, &scene)).collect();
        scene
    }
}

/// The request at `time`, or the nearest one within `reach` seconds.
pub fn span_at(store: &Store, view: &View, time: f64, reach: f64) -> Option<u64> {
    let distance = |s: &Span| if time < s.start { s.start - time } else { (time - s.end).max(0.0) };
    let near = store.spans_between(view.from(), view.to).filter(|s| view.filter.fits(s.task));
    // Of several that run at `time`, the one that began last lies on top.
    let nearest = near.min_by(|a, b| distance(a).total_cmp(&distance(b)).then(b.start.total_cmp(&a.start)))?;
    (distance(nearest) <= reach).then_some(nearest.id)
}

/// The requests as stretches of time.
fn bands(store: &Store, view: &View) -> Vec<Band> {
    let pixel = view.window / view.pixels.max(1) as f64;
    let mates: &[u64] = view.marked.and_then(|id| store.span(id)).map_or(&[], Span::mates);
    let mut bands: Vec<Band> = Vec::new();
    let mut special: Vec<Band> = Vec::new();
    // In the order of their ends, so that neighbours meet.
    for span in store.spans_between(view.from(), view.to).filter(|s| view.filter.fits(s.task)) {
        // Short ones are at least three pixels wide, or nobody would find them.
        let from = span.start.min(span.end - 3.0 * pixel).max(view.from());
        let to = span.end.min(view.to);
        let weight = match view.marked {
            Some(id) if id == span.id => Weight::Marked,
            _ if mates.contains(&span.id) => Weight::Mate,
            _ => Weight::Plain,
        };
        let band = Band { from, to, weight };
        match bands.last_mut() {
            _ if weight != Weight::Plain => special.push(band),
            Some(last) if from - last.to < pixel && last.from - to < pixel => {
                last.from = last.from.min(from);
                last.to = last.to.max(to);
            }
            _ => bands.push(band),
        }
    }
    special.sort_by_key(|b| b.weight);
    bands.append(&mut special);
    bands
}

#[cfg(test)]
mod tests {
    use super::super::span::Outcome;
    use super::*;

    fn view(to: f64, window: f64) -> View {
        View { to, window, filter: Filter::default(), rate: None, marked: None, pixels: 300 }
    }

    #[test]
    fn a_click_finds_the_request_under_it_or_close_by() {
        let mut store = Store::default();
        store.push_span(Span::plain(1, 10.0, 10.01, 1));
        store.push_span(Span::plain(2, 50.0, 55.0, 1));
        let view = view(60.0, 60.0);
        assert_eq!(span_at(&store, &view, 52.0, 1.8), Some(2));
        assert_eq!(span_at(&store, &view, 11.0, 1.8), Some(1));
        assert_eq!(span_at(&store, &view, 30.0, 1.8), None);
    }

    #[test]
    fn a_thousand_requests_become_few_bands_and_the_marked_one_stays_whole() {
        let mut store = Store::default();
        for i in 0..1000u32 {
            let start = f64::from(i) * 0.6;
            store.push_span(Span::plain(u64::from(i), start, start + 0.3, 1));
        }
        let mut view = view(600.0, 600.0);
        view.marked = Some(500);
        let bands = bands(&store, &view);
        assert!(bands.len() <= 151, "{}", bands.len());
        let last = bands.last().expect("band");
        assert!(last.weight == Weight::Marked && (last.to - 300.3).abs() < 1e-6);
        let first_and_last = [bands[0].from, bands[bands.len() - 2].to - 599.7];
        assert!(first_and_last.iter().all(|v| v.abs() < 1e-6), "{bands:?}");
    }

    #[test]
    fn rows_that_have_nothing_are_left_out_and_failures_make_no_dot() {
        let mut store = Store::default();
        store.push_span(Span::plain(1, 1.0, 1.2, 1));
        store.push_span(Span { outcome: Outcome::Failed, ..Span::plain(2, 2.0, 2.5, 0) });
        let scene = Scene::collect(&store, &view(10.0, 10.0), &RowKind::MONITOR);
        let kinds: Vec<_> = scene.rows.iter().map(|r| r.kind).collect();
        assert_eq!(kinds, [RowKind::Latency, RowKind::Throughput]);
        assert_eq!(scene.rows[0].dots.len(), 1);
        assert_eq!(scene.statistics.failed, 1);
    }
}
