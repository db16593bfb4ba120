//! A stretch of time as files: tables, JSON, pictures, a page. Works without a window.

mod chart;
mod page;
mod tables;

pub use chart::{ChartError, png, svg};
pub use page::html;
pub use tables::{json, readings_csv, requests_csv};

use super::channel::{Channel, Facts};
use super::energy::Energy;
use super::scene::{RowKind, Scene, View};
use super::span::{Mark, Span};
use super::statistics::{Filter, Rate, Statistics};
use super::stats::Percentiles;
use super::store::Store;
use super::warning::Warning;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Everything that is known about a stretch of time, copied out of the store so that writing it
/// down holds nobody up.
pub struct Snapshot {
    pub facts: Facts,
    pub began: SystemTime,
    pub from: f64,
    pub to: f64,
    pub channels: Vec<Channel>,
    /// Rows of readings: times in seconds of the store, and values by channel. What is older than
    /// the fine readings stands there as means of seconds.
    pub times: Vec<f64>,
    pub values: Vec<Vec<f32>>,
    /// Seconds since each channel was read, when this was taken.
    pub ages: Vec<Option<f64>>,
    pub spans: Vec<Span>,
    pub models: Vec<String>,
    /// By request.
    pub energies: HashMap<u64, Energy>,
    pub marks: Vec<Mark>,
    pub statistics: Statistics,
    /// The same, task by task.
    pub tasks: Vec<(&'static str, Statistics)>,
    /// Since the start: task, warm latencies (within 0.1 %), cold starts.
    pub session: Vec<(&'static str, Option<Percentiles>, usize)>,
    pub warnings: Vec<Warning>,
    pub cost: Option<f32>,
    pub device_notice: Option<String>,
    /// What the plots show.
    pub scene: Scene,
}

/// What of the store is written down.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub from: f64,
    pub to: f64,
    pub filter: Filter,
    pub rate: Option<Rate>,
}

/// Points of a curve across an exported picture.
const CURVE: usize = 1_000;

impl Snapshot {
    /// Copies what `store` knows of the range.
    pub fn take(store: &Store, range: &Range, rows: &[RowKind]) -> Self {
        let Range { from, to, filter, rate } = *range;
        let view = View { to, window: (to - from).max(0.1), filter, rate, marked: None, pixels: CURVE };
        let (times, values) = readings(store, from, to);
        let spans: Vec<Span> = store.spans_between(from, to).filter(|s| filter.fits(s.task)).copied().collect();
        let most = spans.iter().map(|s| s.model).max().unwrap_or(0);
        let marks: Vec<Mark> = store.marks_between(from, to).copied().collect();
        let most = marks.iter().map(|m| m.model).max().unwrap_or(0).max(most);
        let of_task = |task| (task, store.statistics(from, to, Filter { task: Some(task), ..filter }));
        Self {
            facts: store.facts().clone(),
            began: store.began(),
            from,
            to,
            channels: store.channels().to_vec(),
            ages: (0..store.channels().len()).map(|i| store.age(i, store.newest().unwrap_or(0.0))).collect(),
            times,
            values,
            spans,
            models: (0..=most).map(|i| store.name_of(i).to_owned()).collect(),
            energies: store.energies(from, to).into_iter().collect(),
            marks,
            statistics: store.statistics(from, to, filter),
            tasks: store.tasks_between(from, to).into_iter().filter(|t| filter.fits(t)).map(of_task).collect(),
            session: store.sessions().all().iter().map(|s| (s.task, s.latency(), s.cold)).collect(),
            warnings: store.warnings().to_vec(),
            cost: store.cost(),
            device_notice: store.device_notice().map(str::to_owned),
            scene: Scene::collect(store, &view, rows),
        }
    }

    /// The time of day at `time` seconds of the store, as ISO 8601 in UTC.
    pub fn clock(&self, time: f64) -> String {
        iso(self.began + Duration::from_secs_f64(time.max(0.0)))
    }

    /// Joules of the request with this id, if they are known.
    pub fn energy(&self, id: u64) -> Option<Energy> {
        self.energies.get(&id).copied()
    }

    /// Least, mean, greatest and last value of a channel, and how many there are.
    pub fn summary(&self, channel: usize) -> Option<Summary> {
        let values = || self.values[channel].iter().copied().filter(|v| v.is_finite()).map(f64::from);
        let n = values().count();
        Some(Summary {
            min: values().reduce(f64::min)?,
            mean: values().sum::<f64>() / n as f64,
            max: values().reduce(f64::max)?,
            last: values().next_back()?,
            n,
        })
    }
}

/// A channel over the range.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    pub last: f64,
    pub n: usize,
}

/// Rows of the range: seconds first, where the fine readings do not reach back.
fn readings(store: &Store, from: f64, to: f64) -> (Vec<f64>, Vec<Vec<f32>>) {
    let width = store.channels().len();
    let (mut times, mut values) = (Vec::new(), vec![Vec::new(); width]);
    let fine_from = store.fine.oldest().unwrap_or(f64::INFINITY);
    let coarse = (store.coarse.first_at(from), store.coarse.first_at(to.min(fine_from) + 1e-9));
    let fine = (store.fine.first_at(from), store.fine.first_at(to + 1e-9));
    for (column, out) in values.iter_mut().enumerate() {
        for (_, cells) in store.coarse.pieces(column, coarse.0, coarse.1) {
            out.extend(cells.iter().map(|c| c.mean));
        }
        for (_, readings) in store.fine.pieces(column, fine.0, fine.1) {
            out.extend_from_slice(readings);
        }
    }
    times.extend((coarse.0..coarse.1).map(|row| store.coarse.time(row)));
    times.extend((fine.0..fine.1).map(|row| store.fine.time(row)));
    (times, values)
}

/// ISO 8601 in UTC, with milliseconds. Days to dates as in Hinnant, "chrono-compatible low-level date
/// algorithms" (2013).
pub fn iso(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z")
}

/// A name for a file that says when: `glossa-20261124-183000.csv`.
pub fn file_name(now: SystemTime, kind: &str) -> String {
    let digits: String = iso(now).chars().take(19).filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("glossa-{}.{kind}", digits.replace('T', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_over_leap_years() {
        let at = |s: u64| iso(SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_795_545_000), "2026-11-24T18:30:00.000Z");
        assert_eq!(
            file_name(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_545_000), "csv"),
            "glossa-20261124-183000.csv"
        );
    }
}
