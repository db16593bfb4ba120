//! CPU, memory and the watched process, from procfs and the control groups that bound it. Written by hand and not with
//! sysinfo because that reads `/proc` and nothing else, and allocates at every reading.

use super::files::{Reader, Root};
use super::{Found, Source};
use crate::memory;
use crate::telemetry::channel::{Channel, Key, Unit};
use std::collections::VecDeque;

/// CPU counters tick 100 times a second. Two ticks of the sampler between the readings that are
/// compared make the grain of one core 5 %.
const SPAN: usize = 2;
/// Cores that are followed one by one.
const MOST_CORES: usize = 64;
/// Bytes of a page, where nothing says otherwise.
const PAGE: u64 = 4096;
/// The entry of the auxiliary vector that holds the size of a page (getauxval(3)).
const AT_PAGESZ: u64 = 6;

/// Busy and all ticks of one CPU since the start of the system.
#[derive(Clone, Copy, Default)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// A group that bounds this process' memory, read again and again.
struct Bound {
    limit: Reader,
    usage: Reader,
    stat: Reader,
    cache: &'static str,
}

struct Host {
    channels: Vec<Channel>,
    stat: Reader,
    meminfo: Reader,
    bounds: Vec<Bound>,
    process: Reader,
    resident: Reader,
    /// Numbers of the cores that have channels, in the channels' order: they come and go, and have holes.
    cores: Vec<u16>,
    /// Counters at the last readings: all CPUs first, the process' ticks, then each core, `None` while it is off.
    past: VecDeque<Vec<Option<Ticks>>>,
    /// The last percentages: they hold while no counter moves.
    held: Vec<f32>,
    has_nvmap: bool,
    has_swap: bool,
    page: f64,
    /// The address space that the shell allows this process, if it is this one that is watched.
    shell: Option<u64>,
}

/// Bytes of a page, from the process' auxiliary vector: some Arm kernels have pages of 64 KiB.
fn page_size(root: &Root, who: &str) -> u64 {
    let vector = std::fs::read(root.at(&format!("/proc/{who}/auxv"))).unwrap_or_default();
    let words = |entry: &[u8]| {
        let word = |at: usize| entry.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
        Some((word(0)?, word(8)?))
    };
    let found = vector.chunks_exact(16).filter_map(words).find(|(key, _)| *key == AT_PAGESZ);
    found.map(|(_, bytes)| bytes).filter(|b| b.is_power_of_two()).unwrap_or(PAGE)
}

pub(super) fn find(root: &Root, pid: Option<u32>) -> Found {
    let who = pid.map_or_else(|| "self".to_owned(), |p| p.to_string());
    let stat = root.text("/proc/stat").ok_or("/proc/stat cannot be read")?;
    let mut cores: Vec<u16> = stat.lines().filter_map(core_of).collect();
    cores.sort_unstable();
    cores.dedup();
    cores.truncate(MOST_CORES);
    let memory = root.text("/proc/meminfo").unwrap_or_default();
    let groups = memory::groups(&root.at("/"));
    let bounds: Vec<u64> = groups.iter().filter_map(|g| g.read()).map(|m| m.total).collect();
    let shell = memory::address_limit().filter(|_| root.is_live() && pid.is_none());
    let bounds: Vec<u64> = bounds.into_iter().chain(shell).collect();
    let whole = memory::of_meminfo(&memory).map(|m| bounds.iter().fold(m.total, |least, b| least.min(*b)));
    let source = if bounds.is_empty() { "/proc/meminfo" } else { "/proc/meminfo, cgroup and shell limits" };
    let total = whole.map(|v| v as f32);
    let swap = field(&memory, "SwapTotal:").filter(|v| *v > 0.0).map(|v| v as f32);
    let has_swap = swap.is_some();
    let has_nvmap = field(&memory, "NvMapMemUsed:").is_some();
    let (process, resident) = (format!("/proc/{who}/stat"), format!("/proc/{who}/statm"));
    let mut channels = vec![
        Channel::new(Key::Cpu, "CPU", Unit::Percent, "/proc/stat").up_to(Some(100.0)),
        Channel::new(Key::Process, "this app's CPU", Unit::Percent, &process).up_to(Some(100.0)),
        Channel::new(Key::Memory, "memory", Unit::Bytes, source).up_to(total),
        Channel::new(Key::ProcessMemory, "this app's memory", Unit::Bytes, &resident).up_to(total),
    ];
    channels.push(Channel::new(Key::Swap, "swap", Unit::Bytes, "/proc/meminfo").up_to(swap));
    if has_nvmap {
        channels.push(Channel::new(Key::NvMap, "GPU memory (NvMap)", Unit::Bytes, "/proc/meminfo").up_to(total));
    }
    channels.extend(cores.iter().map(|core| of_core(*core)));
    let bounds = groups.into_iter().map(|g| Bound {
        limit: Reader::new(g.limit),
        usage: Reader::new(g.usage),
        stat: Reader::new(g.stat),
        cache: g.cache,
    });
    Ok(Box::new(Host {
        held: vec![f32::NAN; channels.len()],
        channels,
        stat: Reader::new(root.at("/proc/stat")),
        meminfo: Reader::new(root.at("/proc/meminfo")),
        bounds: bounds.collect(),
        process: Reader::new(root.at(&process)),
        resident: Reader::new(root.at(&resident)),
        cores,
        past: VecDeque::with_capacity(SPAN + 1),
        has_nvmap,
        has_swap,
        page: page_size(root, &who) as f64,
        shell,
    }))
}

fn of_core(number: u16) -> Channel {
    let name = format!("core {number}");
    Channel::new(Key::Core(number), name, Unit::Percent, "/proc/stat").up_to(Some(100.0))
}

impl Host {
    /// Places of the first core's channel, and of its counters in a row of them.
    fn first_core(&self) -> (usize, usize) {
        (5 + usize::from(self.has_nvmap), 2)
    }

    /// Counters of `/proc/stat`; a core that was never seen gets a channel.
    fn count(&mut self, now: f64, buffer: &mut [u8], ticks: &mut Vec<Option<Ticks>>) -> bool {
        let Some(text) = self.stat.read(now, buffer) else { return false };
        for line in text.lines().take_while(|l| l.starts_with("cpu")) {
            if line.starts_with("cpu ") {
                ticks[0] = Some(ticks_of(line));
                continue;
            }
            let Some(core) = core_of(line) else { continue };
            let known = self.cores.iter().position(|c| *c == core);
            if known.is_none() && self.cores.len() == MOST_CORES {
                continue;
            }
            let place = known.unwrap_or_else(|| {
                self.cores.push(core);
                self.channels.push(of_core(core));
                self.held.push(f32::NAN);
                ticks.push(None);
                self.cores.len() - 1
            });
            ticks[place + 2] = Some(ticks_of(line));
        }
        ticks[0].is_some()
    }

    /// Percentages from the oldest counters that are kept to these.
    fn compare(&mut self, ticks: &[Option<Ticks>]) {
        let (first_core, first_ticks) = self.first_core();
        for (i, now) in ticks.iter().enumerate() {
            let place = if i < first_ticks { i } else { first_core + i - first_ticks };
            let then = self.past.front().and_then(|past| past.get(i).copied().flatten());
            match (then, now) {
                // What is off is not idle, and not what it was before.
                (_, None) => self.held[place] = f32::NAN,
                (Some(then), Some(now)) => {
                    if let Some(share) = share(then, *now) {
                        self.held[place] = share;
                    }
                }
                (None, Some(_)) => {}
            }
        }
    }

    /// Memory in use: of the machine, or of the container that bounds this process more tightly.
    fn memory(&mut self, now: f64, size: Option<f64>, buffer: &mut [u8], row: &mut [f32]) {
        let Some(text) = self.meminfo.read(now, buffer) else { return };
        let whole = memory::of_meminfo(text);
        // Without swap there is none in use either: absent, not 0.
        if let (Some(all), Some(free), true) = (field(text, "SwapTotal:"), field(text, "SwapFree:"), self.has_swap) {
            row[4] = (all - free).max(0.0) as f32;
        }
        if self.has_nvmap {
            row[5] = field(text, "NvMapMemUsed:").map_or(f32::NAN, |v| v as f32);
        }
        let Some(mut left) = whole else { return };
        for bound in &mut self.bounds {
            let limit = bound.limit.read(now, buffer).and_then(memory::limit_of);
            let usage = bound.usage.number(now);
            let cache = bound.stat.read(now, buffer).and_then(|t| memory::stat_of(t, bound.cache)).unwrap_or(0);
            if let (Some(limit), Some(usage)) = (limit, usage) {
                left.total = left.total.min(limit);
                left.available = left.available.min(memory::left(limit, usage as u64, cache));
            }
        }
        if let (Some(limit), Some(size)) = (self.shell, size) {
            left.total = left.total.min(limit);
            left.available = left.available.min(memory::left(limit, size as u64, 0));
        }
        row[2] = left.total.saturating_sub(left.available) as f32;
    }
}

impl Source for Host {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, _: &[bool], buffer: &mut [u8], row: &mut [f32]) {
        row.fill(f32::NAN);
        // The oldest counters' room is used again.
        let mut ticks = if self.past.len() > SPAN { self.past.pop_front() } else { None }.unwrap_or_default();
        ticks.clear();
        ticks.resize(self.cores.len() + 2, None);
        let is_read = self.count(now, buffer, &mut ticks);
        let process = self.process.read(now, buffer).and_then(process_ticks);
        let all = ticks[0].map_or(0, |t| t.all);
        ticks[1] = process.map(|busy| Ticks { busy, all });
        if is_read {
            self.compare(&ticks);
            let (first_core, _) = self.first_core();
            row[..2].copy_from_slice(&self.held[..2]);
            // A core that has just come has its place from the next reading on.
            for (value, held) in row[first_core..].iter_mut().zip(&self.held[first_core..]) {
                *value = *held;
            }
        }
        self.past.push_back(ticks);
        let mut size = None;
        if let Some(text) = self.resident.read(now, buffer) {
            let pages = |at: usize| text.split_ascii_whitespace().nth(at)?.parse::<f64>().ok();
            row[3] = pages(1).map_or(f32::NAN, |n| (n * self.page) as f32);
            size = pages(0).map(|n| n * self.page);
        }
        self.memory(now, size, buffer, row);
    }
}

/// Percent busy between two readings; `None` while the counter has not moved, or has begun anew.
fn share(then: Ticks, now: Ticks) -> Option<f32> {
    let all = now.all.checked_sub(then.all).filter(|d| *d > 0)?;
    let busy = now.busy.checked_sub(then.busy)?;
    Some((100.0 * busy as f32 / all as f32).min(100.0))
}

/// The number of a line such as `cpu3 …`.
fn core_of(line: &str) -> Option<u16> {
    line.strip_prefix("cpu")?.split(' ').next()?.parse().ok()
}

/// Counters of a line of `/proc/stat` (proc_stat(5)): everything that is neither idle nor waiting for a disk is busy.
/// Time of guests is part of user time already.
fn ticks_of(line: &str) -> Ticks {
    let mut ticks = Ticks::default();
    for (i, word) in line.split_ascii_whitespace().skip(1).take(8).enumerate() {
        let count: u64 = word.parse().unwrap_or(0);
        ticks.all = ticks.all.saturating_add(count);
        if i != 3 && i != 4 {
            ticks.busy = ticks.busy.saturating_add(count);
        }
    }
    ticks
}

/// User and system ticks of `/proc/PID/stat` (proc_pid_stat(5)): fields 14 and 15, counted after
/// the name, which may hold blanks and brackets.
fn process_ticks(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Bytes of a line such as `MemTotal:  7802340 kB`.
fn field(text: &str, name: &str) -> Option<f64> {
    memory::meminfo_field(text, name).map(|bytes| bytes as f64)
}

/// The cores' clock: the mean of those that are on.
struct Clock {
    channels: Vec<Channel>,
    cores: Vec<Reader>,
    /// Where there is no cpufreq (virtual machines): `/proc/cpuinfo`.
    info: Option<Reader>,
}

pub(super) fn find_clock(root: &Root) -> Found {
    const FOLDER: &str = "/sys/devices/system/cpu";
    let folders = root.entries(FOLDER, "cpu");
    let files = folders.iter().map(|f| f.join("cpufreq/scaling_cur_freq")).filter(|p| p.exists());
    let cores: Vec<Reader> = files.map(Reader::new).collect();
    let mut info = None;
    let (mut source, mut limit) = (format!("{FOLDER}/cpu*/cpufreq/scaling_cur_freq"), None);
    if cores.is_empty() {
        let text = root.text("/proc/cpuinfo").unwrap_or_default();
        megahertz(&text).ok_or("neither cpufreq nor /proc/cpuinfo tells it")?;
        info = Some(Reader::new(root.at("/proc/cpuinfo")));
        source = "/proc/cpuinfo".into();
    } else {
        let max = root.text(&format!("{FOLDER}/cpu0/cpufreq/cpuinfo_max_freq"));
        limit = max.and_then(|khz| Some(khz.parse::<f32>().ok()? / 1e3));
    }
    let channel = Channel::new(Key::CpuClock, "CPU clock", Unit::Megahertz, source).every(1.0).up_to(limit);
    Ok(Box::new(Clock { channels: vec![channel], cores, info }))
}

impl Source for Clock {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], buffer: &mut [u8], row: &mut [f32]) {
        if !due[0] {
            return;
        }
        row[0] = match &mut self.info {
            Some(info) => info.read(now, buffer).and_then(megahertz).unwrap_or(f32::NAN),
            None => {
                let (mut sum, mut n) = (0.0, 0.0);
                for khz in self.cores.iter_mut().filter_map(|core| core.number(now)) {
                    sum += khz / 1e3;
                    n += 1.0;
                }
                (sum / n) as f32
            }
        };
    }
}

/// The mean of the `cpu MHz` lines.
fn megahertz(text: &str) -> Option<f32> {
    let (mut sum, mut n) = (0.0f32, 0.0f32);
    for line in text.lines().filter(|l| l.starts_with("cpu MHz")) {
        sum += line.rsplit(':').next()?.trim().parse::<f32>().ok()?;
        n += 1.0;
    }
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = "1234 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 9 0 1 2 3";
        assert_eq!(process_ticks(line), Some(175));
        assert_eq!(process_ticks("1234 (a"), None);
    }

    #[test]
    fn this_machines_pages_are_of_a_known_size() {
        let size = page_size(&Root::new(std::path::Path::new("/")), "self");
        assert!([4096, 16_384, 65_536].contains(&size), "{size}");
        let empty = tempfile::tempdir().expect("folder");
        assert_eq!(page_size(&Root::new(empty.path()), "self"), PAGE);
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        let ticks = [ticks_of("cpu  10 2 3 100 50 1 1 0 7 7"), ticks_of("cpu1 5 0 0 50 0 0 0 0 0 0")];
        assert_eq!((ticks[0].busy, ticks[0].all), (17, 167));
        assert_eq!((ticks[1].busy, ticks[1].all), (5, 55));
        assert_eq!(core_of("cpu12 5 0"), Some(12));
        assert_eq!(share(ticks[0], Ticks { busy: 27, all: 187 }), Some(50.0));
        assert_eq!(share(ticks[0], ticks[0]), None);
    }
}
