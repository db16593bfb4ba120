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

/// The CPU package's energy counter (Intel and AMD, "RAPL"). Most systems let only root read it.
struct Package {
    channels: Vec<Channel>,
    /// Microjoules, with the count at which each begins anew.
    counters: Vec<(Reader, f64)>,
    last: Option<(f64, f64)>,
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
            Some(_) => counters.push((energy, range)),
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
    Ok(Box::new(Package { channels: vec![channel], counters, last: None }))
}

impl Source for Package {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        if !due[0] {
            return;
        }
        let range: f64 = self.counters.iter().map(|c| c.1).sum();
        let sum: Option<f64> = self.counters.iter_mut().map(|c| c.0.number(now)).sum();
        row[0] = match (self.last, sum) {
            // A counter that stands still has not been written since: the last value holds.
            (Some((_, before)), Some(sum)) if sum == before => row[0],
            (Some((then, before)), Some(sum)) => {
                let microjoules = if sum < before { sum + range - before } else { sum - before };
                (microjoules / 1e6 / (now - then).max(1e-3)) as f32
            }
            _ => f32::NAN,
        };
        if let Some(sum) = sum
            && self.last.is_none_or(|l| l.1 != sum)
        {
            self.last = Some((now, sum));
        }
    }
}
