//! Power: the INA3221 monitors of Jetson boards, and the energy counter of x86 CPUs.

use super::files::{Reader, Root, text_of};
use super::{Found, Source, WHOLE};
use crate::telemetry::channel::{Channel, Key, Unit};

/// Seconds between two readings: the monitors average over longer than one tick of ours.
const PERIOD: f32 = 0.2;
/// Rails that carry all of a board's power.
const TOTALS: [&str; 2] = ["VDD_IN", "POM_5V_IN"];
/// Rails that are followed.
const MOST_RAILS: usize = 12;

struct Rail {
    /// mV and mA.
    voltage: Reader,
    current: Reader,
}

struct Monitors {
    channels: Vec<Channel>,
    rails: Vec<Rail>,
    /// The rail that is the total; else the sum is.
    total: Option<usize>,
}

pub(super) fn find(root: &Root) -> Found {
    let mut found: Vec<(String, Rail, String, Option<f32>)> = Vec::new();
    for device in root.entries("/sys/bus/i2c/devices", "") {
        if !text_of(&device.join("name")).is_some_and(|n| n.starts_with("ina3221")) {
            continue;
        }
        let folders = std::fs::read_dir(device.join("hwmon")).into_iter().flatten().flatten();
        for folder in folders.map(|f| f.path()) {
            for n in 1..=3 {
                let file = |name: &str| folder.join(format!("{name}{n}_input"));
                let Some(label) = text_of(&folder.join(format!("in{n}_label"))) else { continue };
                // "NC" marks an input that nothing is connected to.
                if label == "NC" || label.starts_with("NC_") || !file("curr").exists() || found.len() == MOST_RAILS {
                    continue;
                }
                let (voltage, current) = (Reader::new(file("in")), Reader::new(file("curr")));
                let source = root.shown(&file("curr")).replace("curr", "{in,curr}");
                let number = |path: &str| Reader::new(folder.join(format!("curr{n}_{path}"))).number(0.0);
                // The current at which the board protects itself, at 5 V or what is measured now.
                let volts = Reader::new(file("in")).number(0.0).unwrap_or(5_000.0);
                let limit = number("crit").map(|ma| (ma * volts / 1e6) as f32);
                found.push((label, Rail { voltage, current }, source, limit.filter(|w| *w > 0.0)));
            }
        }
    }
    if found.is_empty() {
        return Err("no INA3221 monitor in /sys/bus/i2c/devices".into());
    }
    let total = found.iter().position(|f| TOTALS.contains(&f.0.as_str()));
    let whole = match total {
        Some(i) => (found[i].2.clone(), found[i].3),
        None => (format!("sum of {}", found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>().join(", ")), None),
    };
    let watts = |key, name: &str, source: &str| Channel::new(key, name, Unit::Watts, source).every(PERIOD);
    let mut channels = vec![watts(Key::Power, "power", &whole.0).up_to(whole.1)];
    for (i, (label, _, source, limit)) in found.iter().enumerate() {
        let key = Key::Rail(u8::try_from(i).unwrap_or(0));
        channels.push(watts(key, label, source).up_to(*limit));
    }
    let rails = found.into_iter().map(|f| f.1).collect();
    Ok(Box::new(Monitors { channels, rails, total }))
}

impl Source for Monitors {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        // All are due together.
        if !due[0] {
            return;
        }
        for (rail, watts) in self.rails.iter_mut().zip(&mut row[1..]) {
            let product = rail.voltage.number(now).zip(rail.current.number(now));
            *watts = product.map_or(f32::NAN, |(mv, ma)| (mv * ma / 1e6) as f32);
        }
        row[0] = match self.total {
            Some(i) => row[1 + i],
            None => row[1..].iter().sum(),
        };
    }
}

/// Watts that no package takes: a counter that began anew (after a suspend, say) seems to.
const ABSURD: f64 = 2_000.0;

/// A package's counter of microjoules.
struct Counter {
    energy: Reader,
    /// The count at which it begins anew, each its own.
    range: f64,
    /// When it last moved, and to what.
    last: Option<(f64, f64)>,
    watts: f64,
}

impl Counter {
    /// Watts since it last moved; the last value while it stands still.
    fn read(&mut self, now: f64) -> f64 {
        let Some(count) = self.energy.number(now) else {
            self.last = None;
            self.watts = f64::NAN;
            return f64::NAN;
        };
        let Some((then, before)) = self.last else {
            self.last = Some((now, count));
            return f64::NAN;
        };
        // A counter that stands still has not been written since: the last value holds.
        if count == before {
            return self.watts;
        }
        let moved = if count < before { count + self.range - before } else { count - before };
        let watts = moved / 1e6 / (now - then).max(1e-3);
        self.last = Some((now, count));
        self.watts = if (0.0..ABSURD).contains(&watts) { watts } else { f64::NAN };
        self.watts
    }
}

/// The CPU packages' energy counters (Intel and AMD, "RAPL"). Most systems let only root read them.
struct Package {
    channels: Vec<Channel>,
    counters: Vec<Counter>,
}

pub(super) fn find_package(root: &Root) -> Found {
    let folders = root.entries("/sys/class/powercap", "intel-rapl:");
    // "intel-rapl:0" is a package, "intel-rapl:0:0" a part of one.
    let packages =
        folders.into_iter().filter(|f| f.file_name().is_some_and(|n| n.to_string_lossy().matches(':').count() == 1));
    let mut counters = Vec::new();
    let mut closed = false;
    for folder in packages {
        if !text_of(&folder.join("name")).is_some_and(|n| n.starts_with("package")) {
            continue;
        }
        let mut energy = Reader::new(folder.join("energy_uj"));
        let range = Reader::new(folder.join("max_energy_range_uj")).number(0.0).unwrap_or(0.0);
        match energy.number(0.0) {
            Some(_) => counters.push(Counter { energy, range, last: None, watts: f64::NAN }),
            None => closed = true,
        }
    }
    if counters.is_empty() {
        return Err(if closed {
            "/sys/class/powercap/intel-rapl:*/energy_uj is for root only".into()
        } else {
            "no energy counter in /sys/class/powercap".into()
        });
    }
    let source = "/sys/class/powercap/intel-rapl:*/energy_uj";
    let channel = Channel::new(Key::Rail(WHOLE), "CPU package", Unit::Watts, source).every(PERIOD);
    Ok(Box::new(Package { channels: vec![channel], counters }))
}

impl Source for Package {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        if !due[0] {
            return;
        }
        row[0] = self.counters.iter_mut().map(|c| c.read(now)).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(counters: &[(&str, &str)], seconds: usize) -> Vec<f32> {
        let folder = tempfile::tempdir().expect("folder");
        for (n, (range, frames)) in counters.iter().enumerate() {
            let at = folder.path().join(format!("sys/class/powercap/intel-rapl:{n}"));
            std::fs::create_dir_all(&at).expect("folder");
            std::fs::write(at.join("name"), format!("package-{n}\n")).expect("file");
            std::fs::write(at.join("max_energy_range_uj"), range).expect("file");
            std::fs::write(at.join("energy_uj"), "0").expect("file");
            std::fs::write(at.join("energy_uj.frames"), frames).expect("file");
        }
        let Ok(mut source) = find_package(&Root::new(folder.path())) else { panic!("a package") };
        let mut row = [f32::NAN];
        let mut each = |t: usize| {
            source.read(t as f64, &[true], &mut [], &mut row);
            row[0]
        };
        (0..seconds).map(&mut each).collect()
    }

    fn frames(counts: &[u64]) -> String {
        counts.iter().map(u64::to_string).collect::<Vec<_>>().join("\n%%\n")
    }

    #[test]
    fn each_counter_wraps_by_itself() {
        let range = 262_143_328_850u64;
        let wraps: Vec<u64> = (0..8).map(|t| (range - 150_000_000 + 50_000_000 * t) % range).collect();
        let other: Vec<u64> = (0..8).map(|t| 5_000_000_000 + 50_000_000 * t).collect();
        let range = range.to_string();
        let all = watts(&[(&range, &frames(&wraps)), (&range, &frames(&other))], 8);
        assert!(all[1..].iter().all(|w| (w - 100.0).abs() < 0.1), "{all:?}");
    }

    #[test]
    fn a_counter_that_begins_anew_gives_no_number_then() {
        let counts = [90_000_000_000, 90_050_000_000, 90_100_000_000, 1_000, 50_001_000, 100_001_000];
        let all = watts(&[("262143328850", &frames(&counts))], 6);
        assert!(all[0].is_nan() && all[3].is_nan(), "{all:?}");
        assert!([1, 2, 4, 5].iter().all(|i| (all[*i] - 50.0).abs() < 0.1), "{all:?}");
    }
}
