//! Temperatures with their limits, what holds the clocks back, and the fan.

use super::files::{Reader, Root, text_of};
use super::{Found, Source, number_of};
use crate::telemetry::channel::{Channel, Key, Unit};
use std::path::{Path, PathBuf};

/// Heat and fans move slowly, and some of their sensors answer slowly.
const PERIOD: f32 = 1.0;
/// Zones that are followed.
const MOST_ZONES: usize = 24;
/// Cooling devices that are followed: PCs have one per core, which move together.
const MOST_DEVICES: usize = 8;
/// A zone that is hotter or colder than this says nonsense (some say -256 while they sleep).
const SANE: std::ops::Range<f64> = -50.0..200.0;

/// Files with one number each, read rarely; `scale` makes the channel's unit of it.
struct Numbers {
    channels: Vec<Channel>,
    files: Vec<(Reader, f64)>,
    sane: std::ops::Range<f64>,
}

impl Numbers {
    fn source(found: Vec<(Channel, PathBuf, f64)>, sane: std::ops::Range<f64>) -> Box<dyn Source> {
        let (channels, files) = found.into_iter().map(|(c, path, scale)| (c, (Reader::new(path), scale))).unzip();
        Box::new(Self { channels, files, sane })
    }
}

impl Source for Numbers {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        for (((file, scale), value), _) in self.files.iter_mut().zip(row).zip(due).filter(|(_, due)| **due) {
            let read = file.number(now).map(|v| v * *scale).filter(|v| self.sane.contains(v));
            *value = read.map_or(f32::NAN, |v| v as f32);
        }
    }
}

pub(super) fn find(root: &Root) -> Found {
    let mut found = Vec::new();
    for zone in root.entries("/sys/class/thermal", "thermal_zone") {
        let file = zone.join("temp");
        if !file.exists() || found.len() == MOST_ZONES {
            continue;
        }
        let kind = text_of(&zone.join("type")).unwrap_or_else(|| "zone".into());
        let name = kind.trim_end_matches("-thermal").to_owned();
        let key = Key::Temperature(number_of(&zone));
        let channel = Channel::new(key, name, Unit::Celsius, root.shown(&file)).every(PERIOD);
        found.push((channel.up_to(limit_of(&zone)), file, 1e-3));
    }
    // PCs have their best sensor of the CPU elsewhere.
    for monitor in root.entries("/sys/class/hwmon", "hwmon") {
        let kind = text_of(&monitor.join("name")).unwrap_or_default();
        let file = monitor.join("temp1_input");
        if !["coretemp", "k10temp", "zenpower"].contains(&kind.as_str()) || !file.exists() {
            continue;
        }
        let key = Key::Temperature(100u8.saturating_add(number_of(&monitor)));
        let limit = Reader::new(monitor.join("temp1_crit")).number(0.0).map(|v| (v / 1e3) as f32);
        let channel = Channel::new(key, "CPU", Unit::Celsius, root.shown(&file)).every(PERIOD);
        found.push((channel.up_to(limit), file, 1e-3));
    }
    if found.is_empty() {
        return Err("no zone in /sys/class/thermal and no CPU sensor in /sys/class/hwmon".into());
    }
    Ok(Numbers::source(found, SANE))
}

/// The temperature at which clocks are lowered (trip type "passive"), or the board switches off.
fn limit_of(zone: &Path) -> Option<f32> {
    let trip = |n: usize| {
        let kind = text_of(&zone.join(format!("trip_point_{n}_type")))?;
        let celsius = Reader::new(zone.join(format!("trip_point_{n}_temp"))).number(0.0)? / 1e3;
        Some((kind, celsius))
    };
    let trips: Vec<(String, f64)> = (0..12).map_while(trip).filter(|t| (20.0..150.0).contains(&t.1)).collect();
    let lowest = |kind: &str| trips.iter().filter(|t| t.0 == kind).map(|t| t.1).min_by(f64::total_cmp);
    lowest("passive").or_else(|| lowest("critical")).map(|v| v as f32)
}

pub(super) fn find_throttling(root: &Root) -> Found {
    let mut found = Vec::new();
    for device in root.entries("/sys/class/thermal", "cooling_device") {
        let kind = text_of(&device.join("type")).unwrap_or_default();
        let max = Reader::new(device.join("max_state")).number(0.0).filter(|m| *m > 0.0);
        // Fans cool without slowing anything down; alerts only report.
        let slows = ["cpufreq", "devfreq", "Processor"].iter().any(|k| kind.contains(k));
        let (true, Some(max)) = (slows && found.len() < MOST_DEVICES, max) else { continue };
        let file = device.join("cur_state");
        let key = Key::Throttle(number_of(&device));
        let channel = Channel::new(key, format!("held back: {kind}"), Unit::Percent, root.shown(&file));
        found.push((channel.every(PERIOD).up_to(Some(100.0)), file, 100.0 / max));
    }
    let mut counters: Vec<PathBuf> = Vec::new();
    for monitor in root.entries("/sys/class/hwmon", "hwmon") {
        counters.extend((1..=3).map(|n| monitor.join(format!("oc{n}_event_cnt"))));
    }
    counters.push(root.at("/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"));
    for (i, file) in counters.into_iter().filter(|p| p.exists()).enumerate() {
        let key = Key::Alarms(u8::try_from(i).unwrap_or(u8::MAX));
        let name = if file.to_string_lossy().contains("event_cnt") { "over-current events" } else { "heat events" };
        let channel = Channel::new(key, name, Unit::Count, root.shown(&file)).every(PERIOD);
        found.push((channel, file, 1.0));
    }
    if found.is_empty() {
        return Err("no cooling device and no counter of events".into());
    }
    Ok(Numbers::source(found, 0.0..1e12))
}

pub(super) fn find_fan(root: &Root) -> Found {
    let mut found = Vec::new();
    for monitor in root.entries("/sys/class/hwmon", "hwmon") {
        let number = number_of(&monitor).wrapping_mul(2);
        // "rpm" is the tachometer of Jetson's kernels; pwm1 counts to 255.
        let turns = ["fan1_input", "rpm"].map(|n| monitor.join(n)).into_iter().find(|p| p.exists());
        if let Some(file) = turns {
            let channel = Channel::new(Key::Fan(number), "fan", Unit::Rpm, root.shown(&file));
            found.push((channel.every(PERIOD), file, 1.0));
        }
        let file = monitor.join("pwm1");
        if file.exists() {
            let channel = Channel::new(Key::Fan(number + 1), "fan drive", Unit::Percent, root.shown(&file));
            found.push((channel.every(PERIOD).up_to(Some(100.0)), file, 100.0 / 255.0));
        }
    }
    if found.is_empty() {
        return Err("no fan in /sys/class/hwmon".into());
    }
    Ok(Numbers::source(found, 0.0..1e6))
}
