//! Each kind of plot: its lines, its scale, its words.

use super::{Dot, Hue, Line, Row, RowKind, Scene, Style, View};
use crate::telemetry::channel::{Channel, Key, Unit, millis};
use crate::telemetry::curve::Curve;
use crate::telemetry::span::Outcome;
use crate::telemetry::statistics::Statistics;
use crate::telemetry::store::Store;

/// Cores that are drawn one by one.
const MOST_CORES: usize = 8;
/// Tokens of a step at which a line stands across the plot.
const BATCHES: [f64; 5] = [1.0, 8.0, 64.0, 512.0, 4096.0];

/// The plot of this kind, if there is anything to draw.
pub(super) fn row(kind: RowKind, store: &Store, view: &View, scene: &Scene) -> Option<Row> {
    let mut row = match kind {
        RowKind::Latency => latency(store, view, &scene.statistics),
        RowKind::Throughput => throughput(store, view, scene),
        RowKind::Batch => batch(store, view)?,
        RowKind::Memory => memory(store, view)?,
        RowKind::AllMemory => all_memory(store, view)?,
        RowKind::Cpu => cpu(store, view)?,
        RowKind::Gpu => gpus(store, view)?,
        RowKind::GpuMemory => gpu_memory(store, view)?,
        RowKind::Load => load(store, view),
        RowKind::Power => power(store, view)?,
        RowKind::Temperature => temperature(store, view)?,
    };
    row.kind = kind;
    Some(row)
}

/// A plot from 0 to `top`.
fn plot(value: String, top: f64, scale: String, lines: Vec<Line>) -> Row {
    Row { kind: RowKind::Load, value, bottom: 0.0, top, scale, lines, dots: Vec::new(), levels: Vec::new() }
}

/// A channel's line, if it has ever been read.
fn line(store: &Store, view: &View, key: Key, hue: Hue, style: Style) -> Option<Line> {
    let name = store.channel(key)?.name.clone();
    // Every peak stays, but where lines lie on each other it need not stand on its own pixel.
    let pixels = match style {
        Style::Area => view.pixels,
        Style::Line => view.pixels / 2,
        Style::Faint => view.pixels / 4,
    };
    let curve = store.curve(store.place(key)?, view.from(), view.to, pixels);
    Some(Line { name, hue, style, curve })
}

/// Lines of all channels whose key fits.
fn lines(store: &Store, view: &View, hue: Hue, style: Style, fits: impl Fn(Key) -> bool) -> Vec<Line> {
    let keys = store.channels().iter().filter(|c| fits(c.key)).map(|c| c.key);
    keys.filter_map(|key| line(store, view, key, hue, style)).collect()
}

fn top_of(lines: &[Line], floor: f64) -> f64 {
    lines.iter().map(|l| l.curve.top(floor)).fold(floor, f64::max)
}

fn unreadable() -> String {
    "not readable".into()
}

fn latency(store: &Store, view: &View, statistics: &Statistics) -> Row {
    let spans = store.spans_between(view.from(), view.to);
    let shown = spans.filter(|s| s.outcome == Outcome::Done && s.end <= view.to && view.filter.fits(s.task));
    let mut dots: Vec<Dot> = shown
        .map(|s| {
            let is_cold = !view.filter.counts(s.heat, s.outcome);
            Dot { time: s.end, value: s.total_ms, is_cold, is_marked: view.marked == Some(s.id) }
        })
        .collect();
    let highest = |cold: bool| dots.iter().filter(|d| d.is_cold == cold).map(|d| d.value).reduce(f64::max);
    let top = highest(false).or(highest(true)).unwrap_or(1.0).max(1.0) * 1.2;
    // What is off the scale stays visible at its edge.
    dots.iter_mut().for_each(|d| d.value = d.value.min(top * 0.95));
    thin(&mut dots, view, top);
    let value = match (statistics.latency, statistics.cold_ms) {
        (Some(p), _) => format!("p50 {:.1} · p95 {}", p.p50, millis(p.p95)),
        (None, Some(cold)) => format!("cold start {}", millis(cold)),
        (None, None) => "no request yet".into(),
    };
    let mut row = plot(value, top, millis(top), Vec::new());
    row.levels = statistics
        .latency
        .map_or_else(Vec::new, |p| vec![(p.p50, "p50".into()), (p.p95, "p95".into()), (p.p99, "p99".into())]);
    row.dots = dots;
    row
}

/// Leaves one dot where several would lie on the same two pixels.
fn thin(dots: &mut Vec<Dot>, view: &View, top: f64) {
    let step = 2.0 * view.window / view.pixels.max(1) as f64;
    let mut last = Vec::new();
    dots.retain(|d| {
        if d.is_marked {
            return true;
        }
        let cell = ((d.time / step).floor() as i64, (d.value / top * 64.0) as i64, d.is_cold);
        // Dots come by time: only cells of the same column can meet.
        if last.first().is_some_and(|c: &(i64, i64, bool)| c.0 != cell.0) {
            last.clear();
        }
        let fresh = !last.contains(&cell);
        if fresh {
            last.push(cell);
        }
        fresh
    });
}

fn throughput(store: &Store, view: &View, scene: &Scene) -> Row {
    let width = (view.window / 60.0).max(0.5);
    let mut points = store.throughput(view.from(), view.to, width, scene.rate, view.filter);
    points.iter_mut().for_each(|p| p[0] = p[0].clamp(view.from(), view.to));
    let curve = Curve::whole(points);
    let best = curve.top(0.0);
    let digits = |v: f64| if v < 10.0 { format!("{v:.1}") } else { format!("{v:.0}") };
    let name = scene.rate.name();
    let value = if best > 0.0 { format!("up to {} {name}", digits(best)) } else { "–".into() };
    let top = best.max(1.0) * 1.15;
    let line = Line { name: name.into(), hue: Hue::Throughput, style: Style::Area, curve };
    plot(value, top, format!("{} /s", digits(top)), vec![line])
}

/// Tokens of a step, and how many texts share it. Only models that write say how many texts they have.
fn batch(store: &Store, view: &View) -> Option<Row> {
    let mut all = vec![line(store, view, Key::StepTokens, Hue::Batch, Style::Area)?];
    all.extend(line(store, view, Key::Texts, Hue::Muted, Style::Line).filter(|l| l.curve.top(0.0) > 0.0));
    let value = |key| Some(f64::from(store.value_at(store.place(key)?, view.to)?));
    let counted = |n: f64, what: &str| format!("{n:.0} {what}{}", if n.round() == 1.0 { "" } else { "s" });
    let words = value(Key::StepTokens).map_or_else(unreadable, |n| {
        let texts = value(Key::Texts).filter(|n| *n > 0.0);
        counted(n, "token") + &texts.map_or_else(String::new, |n| format!(" · {}", counted(n, "text")))
    });
    let most = top_of(&all, 3.0);
    // A prompt is read by hundreds of tokens a step and written on by one: on a scale that doubles both are seen.
    let height = |n: f64| (1.0 + n).log2();
    all.iter_mut().flat_map(|l| &mut l.curve.points).for_each(|p| p[1] = height(p[1]));
    let mut row = plot(words, height(most) * 1.15, format!("up to {most:.0} a step"), all);
    let levels = BATCHES.into_iter().filter(|n| *n <= most);
    row.levels = levels.map(|n| (height(n), format!("{n:.0}"))).collect();
    Some(row)
}

fn memory(store: &Store, view: &View) -> Option<Row> {
    let mut all: Vec<Line> = line(store, view, Key::ProcessMemory, Hue::Memory, Style::Area).into_iter().collect();
    all.extend(line(store, view, Key::Weights, Hue::Muted, Style::Line));
    all.extend(line(store, view, Key::Caches, Hue::Latency, Style::Line).filter(|l| l.curve.top(0.0) > 0.0));
    all.retain(|l| !l.curve.points.is_empty());
    if all.is_empty() {
        return None;
    }
    let top = top_of(&all, 50e6) * 1.25;
    let total = store.channel(Key::Memory).and_then(|c| c.limit);
    let value = store.shown(Key::ProcessMemory, view.to).map_or_else(unreadable, |used| match total {
        Some(total) => format!("{used} of {}", Unit::Bytes.show(f64::from(total))),
        None => used,
    });
    Some(plot(value, top, Unit::Bytes.show(top), all))
}

fn all_memory(store: &Store, view: &View) -> Option<Row> {
    let mut all = vec![line(store, view, Key::Memory, Hue::Memory, Style::Area)?];
    all.extend(line(store, view, Key::NvMap, Hue::Gpu, Style::Line));
    all.extend(line(store, view, Key::Swap, Hue::Muted, Style::Line).filter(|l| l.curve.top(0.0) > 0.0));
    let total = f64::from(store.channel(Key::Memory)?.limit?);
    let value = store.shown(Key::Memory, view.to).map_or_else(unreadable, |used| format!("{used} in use"));
    let mut row = plot(value, total * 1.05, Unit::Bytes.show(total), all);
    row.levels.push((total, "all there is".into()));
    Some(row)
}

fn cpu(store: &Store, view: &View) -> Option<Row> {
    let cores = store.channels().iter().filter(|c| matches!(c.key, Key::Core(_))).count();
    let mut all = Vec::new();
    if (2..=MOST_CORES).contains(&cores) {
        all = lines(store, view, Hue::Cpu, Style::Faint, |k| matches!(k, Key::Core(_)));
    }
    all.push(line(store, view, Key::Cpu, Hue::Cpu, Style::Area)?);
    all.extend(line(store, view, Key::Process, Hue::Muted, Style::Line));
    let value = store.shown(Key::Cpu, view.to).unwrap_or_else(unreadable);
    Some(plot(value, 105.0, "100 %".into(), all))
}

fn gpus(store: &Store, view: &View) -> Option<Row> {
    let mut all = lines(store, view, Hue::Gpu, Style::Line, |k| matches!(k, Key::Gpu(_)));
    all.first_mut()?.style = Style::Area;
    let clock = store.shown(Key::GpuClock(0), view.to).map_or_else(String::new, |c| format!(" · {c}"));
    let value = store.shown(Key::Gpu(0), view.to).map_or_else(unreadable, |v| format!("{v}{clock}"));
    Some(plot(value, 105.0, "100 %".into(), all))
}

fn gpu_memory(store: &Store, view: &View) -> Option<Row> {
    let mut all = lines(store, view, Hue::Memory, Style::Area, |k| matches!(k, Key::GpuMemory(_)));
    if all.is_empty() {
        all.extend(line(store, view, Key::CudaMemory, Hue::Memory, Style::Area));
    } else {
        all.extend(lines(store, view, Hue::Muted, Style::Line, |k| matches!(k, Key::GpuOwn(_))));
    }
    if all.is_empty() {
        return None;
    }
    let of_card = store.channel(Key::GpuMemory(0)).and_then(|c| c.limit);
    let limit = of_card.or_else(|| store.value_at(store.place(Key::CudaTotal)?, view.to)).map(f64::from);
    let top = limit.unwrap_or_else(|| top_of(&all, 50e6) * 1.25) * 1.05;
    let key = if store.channel(Key::GpuMemory(0)).is_some() { Key::GpuMemory(0) } else { Key::CudaMemory };
    let value = store.shown(key, view.to).unwrap_or_else(unreadable);
    Some(plot(value, top, Unit::Bytes.show(limit.unwrap_or(top)), all))
}

fn load(store: &Store, view: &View) -> Row {
    let mut all: Vec<Line> = line(store, view, Key::Cpu, Hue::Cpu, Style::Area).into_iter().collect();
    all.extend(line(store, view, Key::Gpu(0), Hue::Gpu, Style::Line));
    let both = [store.shown(Key::Cpu, view.to), store.shown(Key::Gpu(0), view.to)];
    let words: Vec<String> = both.into_iter().flatten().collect();
    let value = if words.is_empty() { unreadable() } else { words.join(" · ") };
    plot(value, 105.0, "100 %".into(), all)
}

fn power(store: &Store, view: &View) -> Option<Row> {
    let total = line(store, view, Key::Power, Hue::Power, Style::Area)?;
    let rails = store.channels().iter().filter(|c| matches!(c.key, Key::Rail(_))).count();
    let mut all = Vec::new();
    if rails > 1 {
        all = lines(store, view, Hue::Power, Style::Faint, |k| matches!(k, Key::Rail(_)));
    }
    all.push(total);
    let top = top_of(&all, 5.0) * 1.2;
    let value = store.shown(Key::Power, view.to).unwrap_or_else(unreadable);
    let mut row = plot(value, top, Unit::Watts.show(top), all);
    row.levels = limit(store.channel(Key::Power), &row);
    Some(row)
}

fn temperature(store: &Store, view: &View) -> Option<Row> {
    let hottest = store.hottest(view.to).map(|h| h.0);
    let is_zone = |k: Key| matches!(k, Key::Temperature(_)) && Some(k) != hottest;
    let mut all = lines(store, view, Hue::Heat, Style::Faint, is_zone);
    all.extend(hottest.and_then(|key| line(store, view, key, Hue::Heat, Style::Area)));
    if all.iter().all(|l| l.curve.points.is_empty()) {
        return None;
    }
    let channel = hottest.and_then(|key| store.channel(key));
    let name = channel.map_or("", |c| c.name.as_str());
    let value = hottest.and_then(|k| store.shown(k, view.to)).map_or_else(unreadable, |v| format!("{v} · {name}"));
    let top = top_of(&all, 60.0) * 1.15;
    let mut row = plot(value, top, Unit::Celsius.show(top), all);
    row.bottom = 20.0;
    row.levels = limit(channel, &row);
    Some(row)
}

/// The channel's limit as a level, where the scale reaches it.
fn limit(channel: Option<&Channel>, row: &Row) -> Vec<(f64, String)> {
    let limit =
        channel.and_then(|c| Some((f64::from(c.limit?), format!("limit {}", c.unit.show(f64::from(c.limit?))))));
    limit.into_iter().filter(|l| l.0 <= row.top).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::channel::Facts;
    use crate::telemetry::statistics::Filter;

    #[test]
    fn the_batch_is_seen_beside_a_long_prompt_and_is_nothing_while_nothing_runs() {
        let mut store = Store::default();
        let keys = [Key::StepTokens, Key::Texts].map(|k| Channel::new(k, "x", Unit::Count, "t"));
        store.describe(&keys, &Facts::default());
        let view = View { to: 4.0, window: 4.0, filter: Filter::default(), rate: None, marked: None, pixels: 300 };
        let row = |store: &Store| batch(store, &view);
        assert!(row(&store).is_none(), "an engine that says nothing has no such plot");
        for (time, values) in [(1.0, [512.0, 1.0]), (2.0, [2.0, 2.0]), (4.0, [0.0, 0.0])] {
            store.push_row(time, &values);
        }
        let shown = row(&store).expect("row");
        assert_eq!((shown.value.as_str(), shown.scale.as_str()), ("0 tokens", "up to 512 a step"));
        let names: Vec<&str> = shown.levels.iter().map(|l| l.1.as_str()).collect();
        assert_eq!(names, ["1", "8", "64", "512"]);
        let heights: Vec<f64> = shown.lines[0].curve.points.iter().map(|p| p[1] / shown.top).collect();
        assert!(heights[0] > 0.8 && heights[1] > 0.1 && heights[2] == 0.0, "{heights:?}");
        let then = View { to: 2.0, ..view.clone() };
        assert_eq!(batch(&store, &then).map(|r| r.value).as_deref(), Some("2 tokens · 2 texts"));
    }
}
