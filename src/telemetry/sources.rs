//! Readings of CPU, memory, GPU and temperature. What cannot be read is absent, never 0.

use std::path::{Path, PathBuf};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// One reading of everything that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Seconds since the store began.
    pub time: f64,
    /// Whole CPU, percent of all cores.
    pub cpu: Option<f32>,
    /// This process, percent of all cores.
    pub process_cpu: Option<f32>,
    /// Resident memory of this process, bytes.
    pub process_memory: Option<u64>,
    /// MemTotal minus MemAvailable, bytes (the page cache is not use).
    pub memory_used: Option<u64>,
    /// MemTotal, bytes.
    pub memory_total: Option<u64>,
    /// GPU load, percent (Jetson: sysfs).
    pub gpu: Option<f32>,
    /// Hottest thermal zone, °C.
    pub temperature: Option<f32>,
}

/// Opens the sources once and reads them again and again.
pub struct Sources {
    system: Option<System>,
    pid: Option<Pid>,
    cores: usize,
    /// File and divisor to percent.
    gpu: Option<(PathBuf, f32)>,
    thermal: Vec<PathBuf>,
}

impl Sources {
    /// Probes what there is below `root` (`/`, or a recorded tree in tests).
    pub fn probe(root: &Path) -> Self {
        let kinds = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kinds).ok();
        let cores = system.as_ref().map_or(1, |s| s.cpus().len().max(1));
        let pid = sysinfo::get_current_pid().ok();
        Self { system, pid, cores, gpu: find_gpu(root), thermal: find_thermal(root) }
    }

    /// Reads everything. `time` is stamped on the sample.
    pub fn read(&mut self, time: f64) -> Sample {
        let mut sample = Sample { time, ..Sample::default() };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            sample.cpu = Some(system.global_cpu_usage()).filter(|v| v.is_finite());
            let total = system.total_memory();
            if total > 0 {
                sample.memory_total = Some(total);
                sample.memory_used = Some(total.saturating_sub(system.available_memory()));
            }
            if let Some(pid) = self.pid {
                let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
                system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
                if let Some(process) = system.process(pid) {
                    sample.process_memory = Some(process.memory());
                    sample.process_cpu = Some(process.cpu_usage() / self.cores as f32);
                }
            }
        }
        sample.gpu = self.gpu.as_ref().and_then(|(path, divisor)| Some(number(path)? / divisor));
        let hottest = self.thermal.iter().filter_map(|p| number(p)).fold(f32::NEG_INFINITY, f32::max);
        sample.temperature = Some(hottest / 1000.0).filter(|t| (-50.0..200.0).contains(t));
        sample
    }
}

fn number(path: &Path) -> Option<f32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The Jetson's GPU load: permille, at one of two places.
fn find_gpu(root: &Path) -> Option<(PathBuf, f32)> {
    let orin = root.join("sys/devices/platform/gpu.0/load");
    if number(&orin).is_some() {
        return Some((orin, 10.0));
    }
    let folders = std::fs::read_dir(root.join("sys/class/devfreq")).ok()?;
    let mut paths: Vec<PathBuf> = folders.flatten().map(|f| f.path().join("device/load")).collect();
    paths.sort();
    paths.into_iter().find(|p| number(p).is_some()).map(|p| (p, 10.0))
}

fn find_thermal(root: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root.join("sys/class/thermal"));
    let mut paths: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().starts_with("thermal_zone"))
        .map(|f| f.path().join("temp"))
        .filter(|p| number(p).is_some())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_gives_memory_and_absent_sensors_stay_absent() {
        let empty = tempfile::tempdir().expect("folder");
        let mut sources = Sources::probe(empty.path());
        let sample = sources.read(1.0);
        assert!(sample.memory_total.is_some_and(|t| t > 1 << 20));
        assert!(sample.process_memory.is_some_and(|m| m > 1 << 16));
        assert_eq!((sample.gpu, sample.temperature), (None, None));
    }

    #[test]
    fn a_jetson_tree_gives_gpu_load_and_the_hottest_zone() {
        let tree = tempfile::tempdir().expect("folder");
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("file");
        };
        write("sys/devices/platform/gpu.0/load", "613\n");
        write("sys/class/thermal/thermal_zone0/temp", "45500\n");
        write("sys/class/thermal/thermal_zone1/temp", "47250\n");
        write("sys/class/thermal/thermal_zone2/temp", "not now\n");
        let sample = Sources::probe(tree.path()).read(0.0);
        assert_eq!(sample.gpu, Some(61.3));
        assert_eq!(sample.temperature, Some(47.25));
    }
}
