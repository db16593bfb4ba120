//! The GPU of a Jetson, from sysfs.

use super::files::{Reader, Root};
use super::{Found, Source};
use crate::telemetry::channel::{Channel, Key, Unit};
use std::path::PathBuf;

/// Device tree names of Tegra GPUs: Orin's under two kernels, Xavier's, TX2's, Nano's.
const NAMES: [&str; 5] = ["gpu", "ga10b", "gv11b", "gp10b", "gm20b"];

struct Gpu {
    channels: Vec<Channel>,
    /// Permille.
    load: Option<Reader>,
    /// Hz.
    clock: Option<Reader>,
}

pub(super) fn find(root: &Root) -> Found {
    let devfreq = devfreq(root);
    let direct = root.at("/sys/devices/platform/gpu.0/load");
    let of_devfreq = devfreq.as_ref().map(|d| d.join("device/load"));
    let load = [Some(direct), of_devfreq].into_iter().flatten().find_map(|path| {
        let mut reader = Reader::new(path);
        reader.number(0.0).map(|_| reader)
    });
    let clock = devfreq.as_ref().map(|d| d.join("cur_freq")).filter(|p| p.exists()).map(Reader::new);
    if load.is_none() && clock.is_none() {
        return Err("no Tegra GPU in /sys/devices/platform and /sys/class/devfreq".into());
    }
    let mut channels = Vec::new();
    if let Some(load) = &load {
        let source = root.shown(load.path());
        channels.push(Channel::new(Key::Gpu(0), "GPU", Unit::Percent, source).up_to(Some(100.0)));
    }
    if let Some(clock) = &clock {
        let max = devfreq.and_then(|d| Reader::new(d.join("max_freq")).number(0.0)).map(|hz| (hz / 1e6) as f32);
        let source = root.shown(clock.path());
        let channel = Channel::new(Key::GpuClock(0), "GPU clock", Unit::Megahertz, source);
        channels.push(channel.every(1.0).up_to(max));
    }
    Ok(Box::new(Gpu { channels, load, clock }))
}

/// The folder of the GPU's clock.
fn devfreq(root: &Root) -> Option<PathBuf> {
    let is_gpu = |path: &PathBuf| {
        let name = super::files::text_of(&path.join("device/of_node/name"));
        let folder = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let last = folder.rsplit('.').next().unwrap_or("").to_owned();
        NAMES.contains(&name.unwrap_or(last).as_str())
    };
    root.entries("/sys/class/devfreq", "").into_iter().find(is_gpu)
}

impl Source for Gpu {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, now: f64, due: &[bool], _: &mut [u8], row: &mut [f32]) {
        let mut place = 0;
        if let Some(load) = &mut self.load {
            row[place] =
                load.number(now).filter(|v| (0.0..=1000.0).contains(v)).map_or(f32::NAN, |v| (v / 10.0) as f32);
            place += 1;
        }
        if let Some(clock) = &mut self.clock
            && due[place]
        {
            row[place] = clock.number(now).map_or(f32::NAN, |hz| (hz / 1e6) as f32);
        }
    }
}
