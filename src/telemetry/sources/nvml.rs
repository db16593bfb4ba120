//! GPUs on a card, by NVIDIA's management library. It is opened at run time: without it, and
//! without its driver, there is simply nothing here.

use super::files::Root;
use super::{Found, Source, WHOLE};
use crate::telemetry::channel::{Channel, Key, Unit};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use std::path::Path;

/// The library averages load over a sixth of a second or longer.
const PERIOD: f32 = 0.2;
/// GPUs that are followed.
const MOST_GPUS: u32 = 8;
/// Values of each, and how many of them are read at the faster rhythm.
const EACH: usize = 7;
const FAST: usize = 3;

struct Cards {
    nvml: Nvml,
    /// Numbers of the cards that give readings.
    cards: Vec<u32>,
    pid: u32,
    channels: Vec<Channel>,
}

pub(super) fn find(root: &Root, library: Option<&Path>) -> Found {
    if !root.is_live() && library.is_none() {
        return Err("a recorded tree has no management library".into());
    }
    let nvml = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    let nvml = nvml.map_err(|e| match e {
        NvmlError::LibloadingError(_) => "libnvidia-ml.so.1, which comes with NVIDIA's driver, is not here".into(),
        other => format!("the management library does not start ({other})"),
    })?;
    let count = nvml.device_count().map_err(|e| format!("it counts no GPU ({e})"))?.min(MOST_GPUS);
    // A Jetson's own GPU is counted, but answers "not supported" to everything.
    let answers = |index: &u32| {
        nvml.device_by_index(*index).is_ok_and(|d| d.utilization_rates().is_ok() || d.memory_info().is_ok())
    };
    let cards: Vec<u32> = (0..count).filter(answers).collect();
    if cards.is_empty() {
        return Err(format!("the management library gives no readings of its {count} GPUs"));
    }
    let mut channels = Vec::new();
    for &index in &cards {
        let n = u8::try_from(index).unwrap_or(0);
        let device = nvml.device_by_index(index).map_err(|e| e.to_string())?;
        let name = device.name().unwrap_or_else(|_| format!("GPU {index}"));
        let total = device.memory_info().ok().map(|m| m.total as f32);
        let hot = [TemperatureThreshold::Slowdown, TemperatureThreshold::Shutdown];
        let hot = hot.into_iter().find_map(|t| device.temperature_threshold(t).ok()).map(|t| t as f32);
        let cap = device.enforced_power_limit().ok().map(|mw| mw as f32 / 1e3);
        let clock = device.max_clock_info(Clock::SM).ok().map(|mhz| mhz as f32);
        let source = format!("NVML, GPU {index}");
        let channel = |key, name: String, unit| Channel::new(key, name, unit, &source);
        let (fast, slow) = (PERIOD, 1.0);
        channels.extend([
            channel(Key::Gpu(n), name.clone(), Unit::Percent).every(fast).up_to(Some(100.0)),
            channel(Key::GpuMemory(n), format!("{name} memory"), Unit::Bytes).every(fast).up_to(total),
            channel(Key::Rail(WHOLE + 1 + n), name.clone(), Unit::Watts).every(fast).up_to(cap),
            channel(Key::GpuClock(n), format!("{name} clock"), Unit::Megahertz).every(slow).up_to(clock),
            channel(Key::Temperature(200 + n), name.clone(), Unit::Celsius).every(slow).up_to(hot),
            channel(Key::Throttle(200 + n), format!("held back: {name}"), Unit::Percent).every(slow).up_to(Some(100.0)),
            channel(Key::GpuOwn(n), format!("this app on {name}"), Unit::Bytes).every(slow).up_to(total),
        ]);
    }
    Ok(Box::new(Cards { nvml, cards, pid: std::process::id(), channels }))
}

/// Whether heat or the power supply lowers the clocks. An idle card's low clock is no throttling,
/// and neither is one that somebody has set.
fn is_slowed(reasons: ThrottleReasons) -> bool {
    let slowing = ThrottleReasons::HW_SLOWDOWN
        | ThrottleReasons::SW_THERMAL_SLOWDOWN
        | ThrottleReasons::HW_THERMAL_SLOWDOWN
        | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN
        | ThrottleReasons::SW_POWER_CAP;
    reasons.intersects(slowing)
}

impl Source for Cards {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, _: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        for (&index, (row, due)) in self.cards.iter().zip(row.chunks_exact_mut(EACH).zip(due.chunks_exact(EACH))) {
            let Ok(device) = self.nvml.device_by_index(index) else {
                row.fill(f32::NAN);
                continue;
            };
            if due[0] {
                row[0] = device.utilization_rates().map_or(f32::NAN, |u| u.gpu as f32);
                row[1] = device.memory_info().map_or(f32::NAN, |m| m.used as f32);
                row[2] = device.power_usage().map_or(f32::NAN, |mw| mw as f32 / 1e3);
            }
            if due[FAST] {
                row[3] = device.clock_info(Clock::SM).map_or(f32::NAN, |mhz| mhz as f32);
                row[4] = device.temperature(TemperatureSensor::Gpu).map_or(f32::NAN, |t| t as f32);
                row[5] = device.current_throttle_reasons().map_or(f32::NAN, |r| if is_slowed(r) { 100.0 } else { 0.0 });
                let mine = device.running_compute_processes().ok().map(|all| {
                    let mine = all.into_iter().filter(|p| p.pid == self.pid);
                    mine.map(|p| if let UsedGpuMemory::Used(bytes) = p.used_gpu_memory { bytes } else { 0 })
                        .sum::<u64>()
                });
                row[6] = mine.map_or(f32::NAN, |bytes| bytes as f32);
            }
        }
    }
}
