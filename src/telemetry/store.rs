//! All that is remembered: readings, requests, models; in memory that is taken once.

use super::channel::{Channel, Facts, Key};
use super::sessions::{Entry, Sessions};
use super::span::{Heat, Mark, Span};
use super::table::Table;
use super::warning::Warning;
use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

/// Ten minutes at ten readings a second, and some.
const FINE: usize = 6_200;
/// Six hours of seconds.
const COARSE: usize = 21_600;
/// Requests remembered with their stages.
const SPANS: usize = 4_096;
/// Requests remembered with their latency alone, for percentiles.
const ENTRIES: usize = 65_536;
/// Models that came and went.
const MARKS: usize = 512;
/// Requests after a model's loading that count as warming up.
pub const WARMING: u8 = 3;

/// A second of a channel. Not a number where there was no reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub min: f32,
    pub max: f32,
    pub mean: f32,
}

impl Cell {
    const ABSENT: Self = Self { min: f32::NAN, max: f32::NAN, mean: f32::NAN };
}

/// The running second of a channel.
#[derive(Clone, Copy)]
struct Gathered {
    min: f32,
    max: f32,
    sum: f64,
    n: u32,
}

impl Gathered {
    const NONE: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY, sum: 0.0, n: 0 };

    fn add(&mut self, value: f32) {
        if value.is_finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += f64::from(value);
            self.n += 1;
        }
    }

    fn cell(&self) -> Cell {
        if self.n == 0 {
            return Cell::ABSENT;
        }
        Cell { min: self.min, max: self.max, mean: (self.sum / f64::from(self.n)) as f32 }
    }
}

/// All that the plots, the exports and the warnings are made of.
#[derive(Clone)]
pub struct Store {
    origin: Instant,
    began: SystemTime,
    pub(super) channels: Vec<Channel>,
    /// When each channel was last read.
    seen: Vec<f64>,
    facts: Facts,
    pub(super) fine: Table<f32>,
    pub(super) coarse: Table<Cell>,
    gathered: Vec<Gathered>,
    /// The second that is being gathered.
    second: f64,
    spans: VecDeque<Span>,
    pub(super) entries: VecDeque<Entry>,
    sessions: Sessions,
    marks: VecDeque<Mark>,
    /// Names of models, by number.
    names: Vec<String>,
    /// Requests that are still to count as warming up, per model.
    warming: Vec<u8>,
    pub(super) warnings: Vec<Warning>,
    cost: Option<f32>,
    /// Why the device is not the one that was asked for.
    device_notice: Option<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            began: SystemTime::now(),
            channels: Vec::new(),
            seen: Vec::new(),
            facts: Facts::default(),
            fine: Table::new(FINE),
            coarse: Table::new(COARSE),
            gathered: Vec::new(),
            second: 0.0,
            spans: VecDeque::with_capacity(SPANS),
            entries: VecDeque::with_capacity(ENTRIES),
            sessions: Sessions::default(),
            marks: VecDeque::with_capacity(MARKS),
            names: Vec::new(),
            warming: Vec::new(),
            warnings: Vec::new(),
            cost: None,
            device_notice: None,
        }
    }
}

impl Store {
    /// Seconds from the store's beginning to `instant` (0 for earlier ones).
    pub fn seconds(&self, instant: Instant) -> f64 {
        instant.saturating_duration_since(self.origin).as_secs_f64()
    }

    /// Seconds from the store's beginning to now.
    pub fn now(&self) -> f64 {
        self.seconds(Instant::now())
    }

    /// When the store began.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Takes over what is read and what the machine is. Channels keep their places.
    pub fn describe(&mut self, channels: &[Channel], facts: &Facts) {
        for _ in self.channels.len()..channels.len() {
            self.seen.push(f64::NEG_INFINITY);
            self.gathered.push(Gathered::NONE);
            self.fine.add_column(f32::NAN);
            self.coarse.add_column(Cell::ABSENT);
        }
        self.channels = channels.to_vec();
        self.facts.clone_from(facts);
    }

    /// Adds a reading: a value per channel, not a number where it is absent.
    pub fn push_row(&mut self, time: f64, row: &[f32]) {
        let second = time.floor();
        if second > self.second {
            let gathered = &self.gathered;
            self.coarse.push(self.second + 1.0, |i| gathered[i].cell());
            self.gathered.fill(Gathered::NONE);
            self.second = second;
        }
        let value = |i: usize| row.get(i).copied().unwrap_or(f32::NAN);
        self.fine.push(time, value);
        for (i, gathered) in self.gathered.iter_mut().enumerate() {
            gathered.add(value(i));
            if value(i).is_finite() {
                self.seen[i] = time;
            }
        }
    }

    /// Notes when each channel was really read: a value that is read rarely is repeated in between.
    pub fn set_read_at(&mut self, times: &[f64]) {
        self.seen.iter_mut().zip(times).for_each(|(seen, time)| *seen = *time);
    }

    /// Adds a request that has ended; the oldest falls out. The number of its model's name comes
    /// from [`Store::name_of`].
    pub fn push_span(&mut self, mut span: Span) {
        span.heat = self.heat_of(&span);
        if self.spans.len() == SPANS {
            self.spans.pop_front();
        }
        if self.entries.len() == ENTRIES {
            self.entries.pop_front();
        }
        let entry = Entry::from(&span);
        self.entries.push_back(entry);
        self.sessions.add(&entry);
        self.spans.push_back(span);
    }

    fn heat_of(&mut self, span: &Span) -> Heat {
        let Some(left) = self.warming.get_mut(usize::from(span.model)) else { return span.heat };
        if span.has_loaded() {
            *left = WARMING;
            Heat::Cold
        } else if *left > 0 {
            *left -= 1;
            Heat::Warming
        } else {
            Heat::Warm
        }
    }

    /// Notes that a model came or went.
    pub fn push_mark(&mut self, mark: Mark) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// The number of a model's name.
    pub fn number_of(&mut self, name: &str) -> u16 {
        let known = self.names.iter().position(|n| n == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.warming.push(0);
            self.names.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The model with this number.
    pub fn name_of(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// What the sampler costs, percent of one core.
    pub fn set_cost(&mut self, percent: f32) {
        self.cost = Some(percent);
    }

    /// What the sampler costs, percent of one core, if that can be measured.
    pub fn cost(&self) -> Option<f32> {
        self.cost
    }

    /// Says why the device is not the one that was asked for.
    pub fn set_device_notice(&mut self, notice: Option<String>) {
        self.device_notice = notice;
    }

    /// Why the device is not the one that was asked for.
    pub fn device_notice(&self) -> Option<&str> {
        self.device_notice.as_deref()
    }

    /// What is read.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// What the machine is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is wrong, worst first.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The place of the first channel with this key.
    pub fn place(&self, key: Key) -> Option<usize> {
        self.channels.iter().position(|c| c.key == key)
    }

    /// The first channel with this key, if it has ever given a value.
    pub fn channel(&self, key: Key) -> Option<&Channel> {
        self.place(key).filter(|i| self.seen[*i].is_finite()).map(|i| &self.channels[i])
    }

    /// Seconds since channel `place` was read; `None` if it never was.
    pub fn age(&self, place: usize, now: f64) -> Option<f64> {
        self.seen.get(place).filter(|s| s.is_finite()).map(|s| (now - s).max(0.0))
    }

    /// The value of the newest row.
    pub fn latest(&self, key: Key) -> Option<f32> {
        self.latest_at(self.place(key)?)
    }

    /// The newest row's value of channel `place`.
    pub fn latest_at(&self, place: usize) -> Option<f32> {
        let last = self.fine.len().checked_sub(1)?;
        Some(self.fine.value(place, last)).filter(|v| v.is_finite())
    }

    /// Time of the newest row.
    pub fn newest(&self) -> Option<f64> {
        self.fine.len().checked_sub(1).map(|i| self.fine.time(i))
    }

    /// The value of channel `place` at `time`: of the last reading before it, or of its second.
    pub fn value_at(&self, place: usize, time: f64) -> Option<f32> {
        /// A reading that is older than this says nothing about `time`.
        const REACH: f64 = 1.5;
        let row = self.fine.first_at(time + 1e-6).checked_sub(1);
        if let Some(row) = row
            && time - self.fine.time(row) <= REACH
        {
            return Some(self.fine.value(place, row)).filter(|v| v.is_finite());
        }
        let row = self.coarse.first_at(time);
        let near = row < self.coarse.len() && self.coarse.time(row) - time <= REACH;
        near.then(|| self.coarse.value(place, row).mean).filter(|v| v.is_finite())
    }

    /// The value of the first channel with this key at `time`, in words with its unit.
    pub fn shown(&self, key: Key, time: f64) -> Option<String> {
        let place = self.place(key)?;
        Some(self.channels[place].unit.show(f64::from(self.value_at(place, time)?)))
    }

    /// The hottest zone at `time`, and how hot it is.
    pub fn hottest(&self, time: f64) -> Option<(Key, f32)> {
        let zones = self.channels.iter().enumerate().filter(|(_, c)| matches!(c.key, Key::Temperature(_)));
        let values = zones.filter_map(|(place, c)| Some((c.key, self.value_at(place, time)?)));
        values.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Requests that overlap `from..=to`, oldest first.
    pub fn spans_between(&self, from: f64, to: f64) -> impl DoubleEndedIterator<Item = &Span> + Clone {
        // They lie in the order of their ends.
        let first = self.spans.partition_point(|s| s.end < from);
        self.spans.range(first..).filter(move |s| s.start <= to)
    }

    /// The request with this id.
    pub fn span(&self, id: u64) -> Option<&Span> {
        self.spans.iter().rev().find(|s| s.id == id)
    }

    /// The newest request.
    pub fn last_span(&self) -> Option<&Span> {
        self.spans.back()
    }

    /// The request that ended before (`-1`) or after (`1`) the one with this id.
    pub fn neighbour(&self, id: u64, step: isize) -> Option<&Span> {
        let place = self.spans.iter().position(|s| s.id == id)?;
        self.spans.get(place.checked_add_signed(step)?)
    }

    /// Models that came or went in `from..=to`.
    pub fn marks_between(&self, from: f64, to: f64) -> impl Iterator<Item = &Mark> {
        self.marks.iter().filter(move |m| m.time >= from && m.time <= to)
    }

    /// Latencies of the whole session.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Bytes of the buffers, which do not grow with time.
    pub fn bytes(&self) -> usize {
        let tables = self.channels.len() * (FINE * size_of::<f32>() + COARSE * size_of::<Cell>());
        let rings = SPANS * size_of::<Span>() + ENTRIES * size_of::<Entry>() + MARKS * size_of::<Mark>();
        tables + rings + (FINE + COARSE) * size_of::<f64>()
    }
}
