//! CPU, memory and the watched process, from procfs. Written by hand and not with sysinfo because
//! that reads `/proc` and nothing else, and allocates at every reading.

use super::files::{Reader, Root};
use super::{Found, Source};
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

struct Host {
    channels: Vec<Channel>,
    stat: Reader,
    meminfo: Reader,
    process: Reader,
    resident: Reader,
    cores: usize,
    /// Counters at the last readings: all CPUs first, then each; the process' ticks last.
    past: VecDeque<Vec<Ticks>>,
    /// The last percentages: they hold while no counter moves.
    held: Vec<f32>,
    has_nvmap: bool,
    has_swap: bool,
    page: f64,
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
    let cores = stat.lines().filter(|l| core_of(l).is_some()).count().clamp(1, MOST_CORES);
    let memory = root.text("/proc/meminfo").unwrap_or_default();
    let total = field(&memory, "MemTotal:").map(|v| v as f32);
    let swap = field(&memory, "SwapTotal:").filter(|v| *v > 0.0).map(|v| v as f32);
    let has_swap = swap.is_some();
    let has_nvmap = field(&memory, "NvMapMemUsed:").is_some();
    let (process, resident) = (format!("/proc/{who}/stat"), format!("/proc/{who}/statm"));
    let mut channels = vec![
        Channel::new(Key::Cpu, "CPU", Unit::Percent, "/proc/stat").up_to(Some(100.0)),
        Channel::new(Key::Process, "this app's CPU", Unit::Percent, &process).up_to(Some(100.0)),
        Channel::new(Key::Memory, "memory", Unit::Bytes, "/proc/meminfo").up_to(total),
        Channel::new(Key::ProcessMemory, "this app's memory", Unit::Bytes, &resident).up_to(total),
    ];
    channels.push(Channel::new(Key::Swap, "swap", Unit::Bytes, "/proc/meminfo").up_to(swap));
    if has_nvmap {
        channels.push(Channel::new(Key::NvMap, "GPU memory (NvMap)", Unit::Bytes, "/proc/meminfo").up_to(total));
    }
    let each = (0..cores).map(|i| {
        let key = Key::Core(u16::try_from(i).unwrap_or(u16::MAX));
        Channel::new(key, format!("core {i}"), Unit::Percent, "/proc/stat").up_to(Some(100.0))
    });
    channels.extend(each);
    Ok(Box::new(Host {
        held: vec![f32::NAN; channels.len()],
        channels,
        stat: Reader::new(root.at("/proc/stat")),
        meminfo: Reader::new(root.at("/proc/meminfo")),
        process: Reader::new(root.at(&process)),
        resident: Reader::new(root.at(&resident)),
        cores,
        past: VecDeque::with_capacity(SPAN + 1),
        has_nvmap,
        has_swap,
        page: page_size(root, &who) as f64,
    }))
}

impl Source for Host {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, _: &[bool], buffer: &mut [u8], row: &mut [f32]) {
        row.fill(f32::NAN);
        let first_core = 5 + usize::from(self.has_nvmap);
        // The oldest counters' room is used again.
        let mut ticks = if self.past.len() > SPAN { self.past.pop_front() } else { None }.unwrap_or_default();
        ticks.clear();
        ticks.resize(self.cores + 2, Ticks::default());
        let is_read = self.stat.read(now, buffer).is_some_and(|text| count(text, &mut ticks));
        let all = ticks[0].all;
        let process = self.process.read(now, buffer).and_then(process_ticks);
        let process_at = self.cores + 1;
        ticks[process_at] = Ticks { busy: process.unwrap_or(0), all };
        if is_read {
            if let Some(before) = self.past.front() {
                for (i, (then, now)) in before.iter().zip(&ticks).enumerate() {
                    let place = match i {
                        0 => 0,
                        i if i == process_at => 1,
                        i => first_core + i - 1,
                    };
                    if let Some(share) = share(*then, *now) {
                        self.held[place] = share;
                    }
                }
            }
            row[0] = self.held[0];
            row[1] = if process.is_some() { self.held[1] } else { f32::NAN };
            row[first_core..].copy_from_slice(&self.held[first_core..]);
        }
        self.past.push_back(ticks);
        if let Some(text) = self.meminfo.read(now, buffer) {
            let difference = |whole: &str, part: &str| Some((field(text, whole)? - field(text, part)?) as f32);
            row[2] = difference("MemTotal:", "MemAvailable:").unwrap_or(f32::NAN);
            // Without swap there is none in use either: absent, not 0.
            row[4] = difference("SwapTotal:", "SwapFree:").filter(|_| self.has_swap).unwrap_or(f32::NAN);
            if self.has_nvmap {
                row[5] = field(text, "NvMapMemUsed:").map_or(f32::NAN, |v| v as f32);
            }
        }
        if let Some(text) = self.resident.read(now, buffer) {
            let pages: Option<f64> = text.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok());
            row[3] = pages.map_or(f32::NAN, |n| (n * self.page) as f32);
        }
    }
}

/// Percent busy between two readings; `None` while the counter has not moved, or has begun anew.
fn share(then: Ticks, now: Ticks) -> Option<f32> {
    let all = now.all.checked_sub(then.all).filter(|d| *d > 0)?;
    let busy = now.busy.checked_sub(then.busy)?;
    Some((100.0 * busy as f32 / all as f32).min(100.0))
}

/// The number of a line such as `cpu3 …`.
fn core_of(line: &str) -> Option<usize> {
    line.strip_prefix("cpu")?.split(' ').next()?.parse().ok()
}

/// Counters of `/proc/stat` (proc_stat(5)): everything that is neither idle nor waiting for a disk
/// is busy. Time of guests is part of user time already. Cores that are off keep zeros.
fn count(text: &str, ticks: &mut [Ticks]) -> bool {
    let cores = ticks.len() - 2;
    let mut found = false;
    for line in text.lines().take_while(|l| l.starts_with("cpu")) {
        let place = if line.starts_with("cpu ") {
            0
        } else {
            match core_of(line) {
                Some(core) if core < cores => core + 1,
                _ => continue,
            }
        };
        let (mut busy, mut all) = (0u64, 0u64);
        for (i, word) in line.split_ascii_whitespace().skip(1).take(8).enumerate() {
            let ticks: u64 = word.parse().unwrap_or(0);
            all += ticks;
            if i != 3 && i != 4 {
                busy += ticks;
            }
        }
        ticks[place] = Ticks { busy, all };
        found |= place == 0;
    }
    found
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
    let line = text.lines().find(|l| l.starts_with(name))?;
    let kib: f64 = line[name.len()..].split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
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
        let mut ticks = [Ticks::default(); 4];
        assert!(count("cpu  10 2 3 100 50 1 1 0 7 7\ncpu1 5 0 0 50 0 0 0 0 0 0\nintr 1\n", &mut ticks));
        assert_eq!((ticks[0].busy, ticks[0].all), (17, 167));
        assert_eq!((ticks[1].all, ticks[2].busy, ticks[2].all), (0, 5, 55));
        assert_eq!(share(ticks[0], Ticks { busy: 27, all: 187 }), Some(50.0));
        assert_eq!(share(ticks[0], ticks[0]), None);
    }
}
