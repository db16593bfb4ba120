//! Readings of CPU, memory, GPU, power and heat. What cannot be read is absent, never 0.

pub(super) mod files;
mod gpu;
mod group;
mod heat;
mod host;
mod lane;
mod machine;
mod nvml;
mod own;
mod power;

use super::channel::{Channel, Facts, Key, Unit};
use crossbeam_channel::RecvTimeoutError;
use files::{LIMIT, Root};
use group::{Found, Group, QUICK, SEARCH, Search};
use lane::{Lane, Outcome};
use own::OwnSource;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most channels that are kept; what is found beyond them is left out.
pub const MOST_CHANNELS: usize = 160;
/// Seconds after which a group is looked for again that gives something no more; twice as long each
/// time it is in vain.
const AGAIN: f64 = 5.0;
/// The longest such time, and that for a group that was never there.
const RARELY: f64 = 40.0;
/// The group that every machine has.
const HOST: &str = "CPU and memory";
/// Rails from this number on count whole devices, and are summed up.
const WHOLE: u8 = 100;

/// What this app knows of itself. Filled by the owner of the sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Bytes of weights, and of keys and values between requests.
    pub weights: u64,
    pub caches: u64,
    /// Requests waiting or running.
    pub queue: usize,
    /// Tokens of a step, of all texts together; 0 while there is none.
    pub step_tokens: usize,
    /// Texts that are read or written.
    pub texts: usize,
    /// Free and total bytes on the GPU, where CUDA is in use.
    pub cuda: Option<(u64, u64)>,
}

/// Tells what this app knows of itself; called at every tick on the sampler's thread.
pub type OwnReader = Box<dyn FnMut() -> Own + Send>;

/// What to read.
pub struct Probe {
    /// `/`, or a recorded tree.
    pub root: PathBuf,
    /// The process that is watched; `None` for this one.
    pub pid: Option<u32>,
    /// NVIDIA's management library, if not the driver's own.
    pub nvml: Option<PathBuf>,
    pub own: Option<OwnReader>,
}

impl Probe {
    /// This process, below `root`. A recorded tree names no library: none of its files is ever run.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), pid: None, nvml: None, own: None }
    }
}

/// Readings that come together.
trait Source: Send {
    /// What it reads, in order.
    fn channels(&self) -> &[Channel];

    /// Reads into `row`, one place per channel, what is `due` by the channel's period; the rest of the row
    /// keeps what it holds. What is due and cannot be read becomes absent. `buffer` is room for a
    /// file's text.
    fn read(&mut self, now: f64, due: &[bool], buffer: &mut [u8], row: &mut [f32]);
}

/// Opens the sources, reads them again and again, and looks anew for those that fail.
pub struct Sources {
    root: Root,
    groups: Vec<Group>,
    channels: Vec<Channel>,
    row: Vec<f32>,
    /// When each channel was last read.
    read_at: Vec<f64>,
    buffer: Box<[u8]>,
    facts: Facts,
    facts_next: f64,
    revision: u32,
}

impl Sources {
    /// Looks for everything that there is.
    pub fn open(probe: Probe) -> Self {
        let Probe { root, pid, nvml, own } = probe;
        let root = Root::new(&root);
        let mut groups = vec![
            Group::new(HOST, move |root| host::find(root, pid)),
            Group::new("CPU clock", host::find_clock),
            Group::new("Jetson GPU", gpu::find),
            Group::new("NVML", move |root| nvml::find(root, nvml.as_deref())),
            Group::new("power", power::find),
            Group::new("CPU power", power::find_package),
            Group::new("temperature", heat::find),
            Group::new("throttling", heat::find_throttling),
            Group::new("fan", heat::find_fan),
        ];
        let mut own = own;
        if own.is_some() {
            groups.push(Group::new("this app", move |_| match own.take() {
                Some(reader) => Ok(Box::new(OwnSource::new(reader)) as Box<dyn Source>),
                None => Err("it has ended".into()),
            }));
        }
        let mut sources = Self {
            root,
            groups,
            channels: Vec::new(),
            row: Vec::with_capacity(MOST_CHANNELS),
            read_at: Vec::with_capacity(MOST_CHANNELS),
            buffer: vec![0; LIMIT].into_boxed_slice(),
            facts: Facts::default(),
            facts_next: 0.0,
            revision: 0,
        };
        for index in 0..sources.groups.len() {
            sources.look_for(index, 0.0);
        }
        sources.find_sum();
        sources.facts = machine::facts(&sources.root, &sources.channels);
        sources.learn(0.0);
        sources
    }

    /// What is read, in the order of [`Sources::read`]. Only ever grows.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// What the machine is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Changes when [`Sources::channels`] or [`Sources::facts`] do.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// The values of the last reading.
    pub fn row(&self) -> &[f32] {
        &self.row
    }

    /// When each channel was last read; before any time if it never was.
    pub fn read_at(&self) -> &[f64] {
        &self.read_at
    }

    /// Reads everything at `now` (seconds since the first reading): a value per channel, not a
    /// number where it is absent.
    pub fn read(&mut self, now: f64) -> &[f32] {
        self.row.fill(f32::NAN);
        for index in 0..self.groups.len() {
            let is_silent = self.read_group(index, now);
            if self.groups[index].finding.is_some() {
                self.take_found(index, now, Duration::ZERO);
            } else if is_silent && now >= self.groups[index].next {
                self.look_for(index, now);
            }
        }
        self.sum_up(now);
        if now >= self.facts_next {
            self.learn(now);
        }
        &self.row
    }

    /// Reads a group. True if it has no source, or one that gives something no more that it gave.
    fn read_group(&mut self, index: usize, now: f64) -> bool {
        let group = &mut self.groups[index];
        let Some(lane) = &mut group.source else { return true };
        let outcome = if lane.is_busy() {
            lane.take(&mut group.due, &mut group.row)
        } else {
            let times = lane.channels().iter().zip(&mut group.read_next).zip(&mut group.due);
            for ((channel, next), due) in times {
                *due = now >= *next;
                if *due {
                    // A little early, so that a period of whole ticks is met by the tick that is meant.
                    *next = now + f64::from(channel.period) - 0.02;
                }
            }
            lane.read(now, &group.due, &mut self.buffer, &mut group.row)
        };
        // What was read slowly is as old as its asking; what is awaited is not silent.
        let (read_at, is_waiting) = match outcome {
            Outcome::Read(time) => (Some(time), false),
            Outcome::Later => (None, lane.is_busy()),
            Outcome::Gone => {
                group.source = None;
                return true;
            }
        };
        let has_grown = lane.channels().len() > group.columns.len();
        let mut is_silent = false;
        for (place, (column, value)) in group.columns.iter().zip(&group.row).enumerate() {
            let Some(column) = *column else { continue };
            self.row[column] = *value;
            let at = &mut self.read_at[column];
            if let Some(time) = read_at.filter(|_| value.is_finite() && group.due[place]) {
                *at = time;
            }
            is_silent |= at.is_finite() && now - *at > AGAIN && !is_waiting;
        }
        // Cores that are off are silent, and nothing to look for.
        is_silent &= group.name != HOST || self.row.first().is_none_or(|v| v.is_nan());
        if !is_silent {
            group.pause = AGAIN;
        }
        if has_grown {
            self.adopt(index);
        }
        is_silent
    }

    /// Gives the channels of a group that have none a place among all.
    fn adopt(&mut self, index: usize) {
        let group = &mut self.groups[index];
        let Some(lane) = &group.source else { return };
        for channel in &lane.channels()[group.columns.len()..] {
            let known = self.channels.iter().position(|c| c.key == channel.key);
            let place = known.unwrap_or(self.channels.len());
            let is_free = known.is_none() && place < MOST_CHANNELS;
            group.columns.push(is_free.then_some(place));
            if is_free {
                self.channels.push(channel.clone());
            }
        }
        let count = lane.channels().len();
        group.row.resize(count, f32::NAN);
        group.read_next.resize(count, f64::NEG_INFINITY);
        group.due.resize(count, false);
        self.make_room();
    }

    /// Looks for a group's source: on a thread of its own, unless it is known to be quick, since what is looked at may
    /// answer slowly.
    fn look_for(&mut self, index: usize, now: f64) {
        let (group, root) = (&mut self.groups[index], &self.root);
        let Some(find) = group.find.take() else { return };
        if group.is_quick {
            return self.settle(index, now, Search::run(find, root));
        }
        let ((say, found), root) = (crossbeam_channel::bounded(1), root.clone());
        let search = move || drop(say.send(Search::run(find, &root)));
        match std::thread::Builder::new().name("glossa-sensor-search".into()).spawn(search) {
            Ok(_) => group.finding = Some(found),
            Err(error) => group.why = format!("no thread to look for it ({error})"),
        }
        self.take_found(index, now, SEARCH);
    }

    /// Takes in what a search on a thread has found, if it has ended.
    fn take_found(&mut self, index: usize, now: f64, patience: Duration) {
        let group = &mut self.groups[index];
        let Some(finding) = &group.finding else { return };
        match finding.recv_timeout(patience) {
            Ok(search) => self.settle(index, now, search),
            Err(RecvTimeoutError::Timeout) => "it answers slowly".clone_into(&mut group.why),
            Err(RecvTimeoutError::Disconnected) => group.finding = None,
        }
    }

    /// Gives the channels of a source that was found their places.
    fn settle(&mut self, index: usize, now: f64, search: Search) {
        let group = &mut self.groups[index];
        group.is_quick = search.took < QUICK;
        group.finding = None;
        group.find = Some(search.find);
        match search.found {
            Err(why) => {
                group.why = why;
                group.closed = search.closed;
                group.source = None;
            }
            Ok(source) => {
                group.closed = None;
                let mine = std::mem::take(&mut group.columns);
                let is_here = |key: Key| source.channels().iter().any(|c| c.key == key);
                let gone: Vec<usize> =
                    mine.iter().flatten().copied().filter(|c| !is_here(self.channels[*c].key)).collect();
                let mut gone_now = gone.clone();
                for channel in source.channels() {
                    let same = |c: &Channel| c.name == channel.name && c.unit == channel.unit;
                    let known = self.channels.iter().position(|c| c.key == channel.key);
                    // A zone that has another number now is the same zone: its curve goes on.
                    let renamed = gone_now.iter().position(|g| known.is_none() && same(&self.channels[*g]));
                    let known = known.or_else(|| renamed.map(|at| gone_now.swap_remove(at)));
                    let place = known.unwrap_or(self.channels.len());
                    // Two libraries may know the same GPU: who came first keeps it.
                    let free = known.is_none_or(|k| mine.contains(&Some(k))) && place < MOST_CHANNELS;
                    group.columns.push(free.then_some(place));
                    if free && place < self.channels.len() {
                        self.channels[place] = channel.clone();
                    } else if free {
                        self.channels.push(channel.clone());
                    }
                }
                let count = source.channels().len();
                group.row = vec![f32::NAN; count];
                group.read_next = vec![f64::NEG_INFINITY; count];
                group.due = vec![false; count];
                group.why.clear();
                group.source = Some(Lane::new(source));
                // What is no more is not late either.
                for column in gone_now {
                    self.read_at[column] = f64::NEG_INFINITY;
                }
            }
        }
        let was_never_there = group.columns.is_empty();
        group.next = now + if was_never_there { RARELY } else { group.pause };
        group.pause = (2.0 * group.pause).min(RARELY);
        let is_found = group.source.is_some();
        if is_found {
            self.make_room();
        }
        self.find_sum();
    }

    /// After a change of the channels: a value and a time for each.
    fn make_room(&mut self) {
        self.row.resize(self.channels.len(), f32::NAN);
        self.read_at.resize(self.channels.len(), f64::NEG_INFINITY);
        self.revision += 1;
    }

    /// The devices whose power is known make a channel of their own.
    fn find_sum(&mut self) {
        if self.channels.iter().any(|c| c.key == Key::Power) || self.channels.len() == MOST_CHANNELS {
            return;
        }
        let parts: Vec<&Channel> = self.channels.iter().filter(|c| is_whole(c)).collect();
        let names: Vec<&str> = parts.iter().map(|c| c.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        let limit = parts.iter().map(|c| c.limit).sum::<Option<f32>>();
        let period = parts.iter().map(|c| c.period).fold(0.0, f32::max);
        let source =
            if let [one] = names.as_slice() { (*one).to_owned() } else { format!("sum of {}", names.join(", ")) };
        self.channels.push(Channel::new(Key::Power, "power", Unit::Watts, source).every(period).up_to(limit));
        self.make_room();
    }

    /// Fills in the sum, while all its parts are there.
    fn sum_up(&mut self, now: f64) {
        if !self.channels.iter().any(is_whole) {
            return;
        }
        let Some(place) = self.channels.iter().position(|c| c.key == Key::Power) else { return };
        if self.row[place].is_nan() {
            let sum = self.channels.iter().zip(&self.row).filter(|(c, _)| is_whole(c)).map(|(_, v)| *v).sum::<f32>();
            self.row[place] = sum;
            if sum.is_finite() {
                self.read_at[place] = now;
            }
        }
    }

    /// Brings what may change of the facts up to date.
    fn learn(&mut self, now: f64) {
        self.facts_next = now + AGAIN;
        let (power_mode, faster_mode) = machine::power_modes(&self.root);
        let missing = self.groups.iter().filter(|g| g.source.is_none());
        let (closed, absent): (Vec<&Group>, Vec<&Group>) = missing.partition(|g| g.closed.is_some());
        let absent: Vec<_> = absent.into_iter().map(|g| (g.name.to_owned(), g.why.clone())).collect();
        let why = |g: &Group| g.closed.clone().unwrap_or_default();
        let closed: Vec<_> = closed.into_iter().map(|g| (g.name.to_owned(), why(g))).collect();
        let on = self.channels.iter().zip(&self.row).filter(|(c, v)| matches!(c.key, Key::Core(_)) && v.is_finite());
        let cores = Some(on.count()).filter(|n| *n > 0).unwrap_or_else(|| machine::cores(&self.root));
        let gpus = machine::gpus(&self.channels);
        let facts = &mut self.facts;
        if (&power_mode, &faster_mode, &absent, &gpus, &closed, cores)
            != (&facts.power_mode, &facts.faster_mode, &facts.absent, &facts.gpus, &facts.closed, facts.cores)
        {
            (facts.closed, facts.cores) = (closed, cores);
            (facts.power_mode, facts.faster_mode, facts.absent, facts.gpus) = (power_mode, faster_mode, absent, gpus);
            self.revision += 1;
        }
    }
}

fn is_whole(channel: &Channel) -> bool {
    matches!(channel.key, Key::Rail(n) if n >= WHOLE)
}

/// The number of a path's last folder, such as 3 of `thermal_zone3`.
fn number_of(path: &Path) -> u8 {
    u8::try_from(files::number_in(path)).unwrap_or(0)
}
