//! Sensors that behave oddly: cores that come and go, counters that begin anew, numbers that cannot be, files that answer
//! slowly or not at all, zones that are numbered anew. Made after `make_trees.py` of the cases.

use glossa::telemetry::channel::Key;
use glossa::telemetry::sampler::{Sampler, lock};
use glossa::telemetry::sources::{Probe, Sources};
use glossa::telemetry::store::Store;
use glossa::telemetry::watch::Watch;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A copy of a recorded board, to be changed.
fn tree(board: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("folder");
        for entry in std::fs::read_dir(from).expect("folder").flatten() {
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            if path.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&path).expect("link"), to).expect("link");
            } else if path.is_dir() {
                copy(&path, &to);
            } else {
                std::fs::copy(&path, &to).expect("file");
            }
        }
    }
    let folder = tempfile::tempdir().expect("folder");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/boards").join(board), folder.path());
    folder
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    let _ = std::fs::remove_file(path.with_extension("frames"));
    std::fs::write(path, text).expect("file");
}

/// `/proc/stat` at second `t`, with these cores on, busy so far.
fn stat(cores: &[usize], busy: &dyn Fn(usize) -> f64, t: usize) -> String {
    let line = |core: &usize| {
        let b = 1_000 + (busy(*core) * 100.0 * t as f64) as u64;
        let i = 100_000 + ((1.0 - busy(*core)) * 100.0 * t as f64) as u64;
        (b, i, format!("cpu{core} {b} 0 0 {i} 0 0 0 0 0 0"))
    };
    let all: Vec<_> = cores.iter().map(line).collect();
    let sum = (all.iter().map(|l| l.0).sum::<u64>(), all.iter().map(|l| l.1).sum::<u64>());
    let lines: Vec<String> = all.into_iter().map(|l| l.2).collect();
    format!("cpu  {} 0 0 {} 0 0 0 0 0 0\n{}\nintr 1 0\n", sum.0, sum.1, lines.join("\n"))
}

fn frames(root: &Path, each: Vec<String>) {
    put(root, "proc/stat", &each[0]);
    std::fs::write(root.join("proc/stat.frames"), each.join("%%\n")).expect("frames");
}

struct Read(Sources, u32);

impl Read {
    fn open(root: &Path) -> Self {
        Self(Sources::open(Probe::new(root)), 0)
    }

    fn until(&mut self, second: u32) {
        while self.1 <= second * 10 + 5 {
            self.0.read(f64::from(self.1) * 0.1);
            self.1 += 1;
        }
    }

    fn value(&self, key: Key) -> Option<f32> {
        let place = self.0.channels().iter().position(|c| c.key == key)?;
        Some(self.0.row()[place]).filter(|v| v.is_finite())
    }

    fn cores(&self) -> Vec<(u16, Option<f32>)> {
        let core = |key| match key {
            Key::Core(n) => Some((n, self.value(key))),
            _ => None,
        };
        self.0.channels().iter().filter_map(|c| core(c.key)).collect()
    }
}

#[test]
fn a_core_that_goes_off_is_off_and_not_at_its_last_value() {
    let root = tree("orin-nano-jp6");
    let at = |t: usize| match t {
        0..4 => stat(&[0, 1, 2, 3, 4, 5], &|c| if c == 3 { 1.0 } else { 0.05 }, t),
        _ => stat(&[0, 1, 2, 4, 5], &|_| 0.05, t),
    };
    frames(root.path(), (0..12).map(at).collect());
    let mut read = Read::open(root.path());
    read.until(3);
    assert!(read.value(Key::Core(3)).is_some_and(|v| v > 95.0), "{:?}", read.cores());
    read.until(8);
    assert_eq!(read.value(Key::Core(3)), None);
    assert!(read.value(Key::Core(5)).is_some_and(|v| v < 20.0));
    assert_eq!(read.0.facts().cores, 5);
    // It is no fault that somebody has to hear of.
    let (mut store, mut watch) = (Store::default(), Watch::default());
    store.describe(read.0.channels(), read.0.facts());
    for t in 0..40 {
        store.push_row(f64::from(t), read.0.row());
        store.set_read_at(&read.0.read_at().iter().map(|a| a.min(3.0)).collect::<Vec<_>>());
        watch.look(&mut store, f64::from(t));
    }
    assert!(!store.warnings().iter().any(|w| w.what.contains("'core")), "{:?}", store.warnings());
}

#[test]
fn cores_have_numbers_with_holes_and_come_later() {
    let root = tree("orin-nano-jp6");
    let busy = |c: usize| [0.05, 0.05, 0.05, 0.5, 0.05, 0.9][c];
    frames(root.path(), (0..12).map(|t| stat(&[0, 1, 3, 4, 5], &busy, t)).collect());
    let mut read = Read::open(root.path());
    read.until(4);
    assert_eq!(read.cores().iter().map(|c| c.0).collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    assert!(read.value(Key::Core(5)).is_some_and(|v| (v - 90.0).abs() < 5.0), "{:?}", read.cores());
    assert!(read.value(Key::Core(3)).is_some_and(|v| (v - 50.0).abs() < 5.0));

    let root = tree("orin-nano-jp6");
    let busy = |c: usize| if c > 3 { 0.8 } else { 0.05 };
    let at = |t: usize| stat(if t < 3 { &[0, 1, 2, 3] } else { &[0, 1, 2, 3, 4, 5] }, &busy, t);
    frames(root.path(), (0..20).map(at).collect());
    let mut read = Read::open(root.path());
    read.until(2);
    assert_eq!(read.cores().len(), 4);
    read.until(7);
    assert_eq!(read.cores().iter().map(|c| c.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(read.value(Key::Core(4)).is_some_and(|v| (v - 80.0).abs() < 5.0), "{:?}", read.cores());
    // Facts are looked at every few seconds.
    read.until(12);
    assert_eq!(read.0.facts().cores, 6);
}

#[test]
fn more_available_than_there_is_is_none_in_use() {
    let root = tree("orin-nano-jp6");
    let text = "MemTotal: 2000000 kB\nMemFree: 1000000 kB\nMemAvailable: 2500000 kB\nSwapTotal: 100000 kB\nSwapFree: 200000 kB\n";
    put(root.path(), "proc/meminfo", text);
    let _ = std::fs::remove_file(root.path().join("proc/meminfo.frames"));
    let mut read = Read::open(root.path());
    read.until(1);
    assert_eq!((read.value(Key::Memory), read.value(Key::Swap)), (Some(0.0), Some(0.0)));
    put(
        root.path(),
        "proc/meminfo",
        "MemTotal: 2000000 kB\nMemFree: 1000000 kB\nBuffers: 100000 kB\nCached: 300000 kB\n",
    );
    let mut read = Read::open(root.path());
    read.until(1);
    assert_eq!(read.value(Key::Memory), Some(600_000.0 * 1024.0));
}

#[test]
fn a_containers_limit_is_the_scale() {
    let root = tree("pc-plain");
    put(root.path(), "proc/self/cgroup", "0::/box\n");
    put(root.path(), "sys/fs/cgroup/box/memory.max", "1000000000\n");
    put(root.path(), "sys/fs/cgroup/box/memory.current", "700000000\n");
    put(root.path(), "sys/fs/cgroup/box/memory.stat", "inactive_file 100000000\n");
    let mut read = Read::open(root.path());
    read.until(1);
    let channel = read.0.channels().iter().find(|c| c.key == Key::Memory).expect("memory");
    assert_eq!(channel.limit, Some(1e9));
    assert_eq!(read.value(Key::Memory), Some(6e8));
}

/// A zone with another number is the same zone: no warning of the old one stays behind.
#[test]
fn a_zone_that_is_numbered_anew_goes_on() {
    let root = tree("orin-nano-jp6");
    let zones = root.path().join("sys/class/thermal");
    let from = zones.join("thermal_zone0");
    let name = std::fs::read_to_string(from.join("type")).expect("type").trim().trim_end_matches("-thermal").to_owned();
    let _ = std::fs::remove_file(from.join("temp.frames"));
    let mut read = Read::open(root.path());
    read.until(2);
    let place = read.0.channels().iter().position(|c| c.name == name).expect("zone");
    assert!(read.0.row()[place].is_finite());
    let count = read.0.channels().len();
    // What sysfs does with a file that has gone, an empty one does here: it gives no number any more.
    std::fs::write(from.join("temp"), "").expect("empty");
    let _ = std::fs::remove_file(from.join("temp.frames"));
    std::fs::rename(&from, zones.join("thermal_zone37")).expect("renamed");
    std::fs::remove_file(zones.join("thermal_zone37/temp")).expect("gone");
    std::fs::write(zones.join("thermal_zone37/temp"), "51000\n").expect("temp");
    read.until(20);
    assert_eq!(read.0.channels().len(), count);
    assert_eq!((read.0.channels()[place].key, read.0.row()[place]), (Key::Temperature(37), 51.0));
    let (mut store, mut watch) = (Store::default(), Watch::default());
    store.describe(read.0.channels(), read.0.facts());
    for t in 21..40 {
        store.push_row(f64::from(t), read.0.row());
        store.set_read_at(read.0.read_at());
        watch.look(&mut store, f64::from(t) - 18.0);
    }
    assert!(!store.warnings().iter().any(|w| w.id == "stale"), "{:?}", store.warnings());
}

/// What is there and closed is not called absent.
#[test]
fn what_cannot_be_read_is_not_called_absent() {
    let root = tree("pc-plain");
    // A folder in a file's place: it is there, and no reading succeeds.
    let energy = root.path().join("sys/class/powercap/intel-rapl:0/energy_uj");
    let _ = std::fs::remove_file(&energy);
    let _ = std::fs::remove_file(energy.with_extension("frames"));
    std::fs::create_dir_all(&energy).expect("unreadable");
    put(root.path(), "sys/class/powercap/intel-rapl:0/name", "package-0\n");
    let read = Read::open(root.path());
    let facts = read.0.facts();
    assert!(facts.closed.iter().any(|c| c.0 == "CPU power" && c.1.contains("energy_uj")), "{facts:?}");
    assert!(!facts.absent.iter().any(|a| a.0 == "CPU power"), "{facts:?}");
}

/// A pipe that nobody writes to stands for a sensor that answers slowly: the others keep their pace.
#[test]
fn a_slow_file_slows_nobody_else() {
    let root = tree("orin-nano-jp6");
    let zone = root.path().join("sys/class/thermal/thermal_zone0/temp");
    let _ = std::fs::remove_file(zone.with_extension("frames"));
    let mut frames = zone.clone().into_os_string();
    frames.push(".frames");
    let _ = std::fs::remove_file(PathBuf::from(frames));
    std::fs::write(&zone, "45000\n").expect("zone");
    // How long a reading takes is told by a library that is loaded before all others.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/slow.c");
    let library = root.path().join("slow.so");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(cc.status().is_ok_and(|s| s.success()), "the README asks for a C compiler");
    // One slow file, and then every file of every zone: looking for them takes half a minute.
    for part in ["thermal_zone0/temp", "thermal_zone"] {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_glossa"));
        run.args(["monitor", "--seconds", "5", "--json", "--sysroot"]).arg(root.path());
        run.env("LD_PRELOAD", &library).env("SLOW_PART", part).env("SLOW_MS", "700");
        let output = run.output().expect("monitor");
        assert!(output.status.success());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let channels = json["channels"].as_array().expect("channels");
        let cpu = channels.iter().find(|c| c["key"] == "cpu").expect("CPU");
        // Ten a second, but for the beginning: with the slow file in the row it were seven in all.
        assert!(cpu["values"]["n"].as_u64().is_some_and(|n| n > 25), "{part}: {cpu}");
        if part.ends_with("temp") {
            let is_slow = |c: &&serde_json::Value| c["source"].as_str().is_some_and(|s| s.contains("thermal_zone0/"));
            let slow = channels.iter().find(is_slow).expect("zone");
            assert!(slow["values"]["n"].as_u64().is_some_and(|n| n > 0), "it is read all the same: {slow}");
        }
    }
}

/// The sampler ends at once, whatever it reads.
#[test]
fn a_sampler_of_an_odd_tree_begins_and_ends() {
    let root = tree("pc-plain");
    let store = Arc::new(Mutex::new(Store::default()));
    let sampler = Sampler::start(Arc::clone(&store), Probe::new(root.path())).expect("sampler");
    std::thread::sleep(Duration::from_millis(600));
    drop(sampler);
    assert!(lock(&store).newest().is_some());
}
