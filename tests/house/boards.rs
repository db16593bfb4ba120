//! Sensors on recorded trees (tests/fixtures/boards, made by make_boards.py): every source, every
//! value that moves, every file that may be missing.

use glossa::telemetry::channel::{Facts, Key, Unit};
use glossa::telemetry::sources::{Probe, Sources};
use std::path::{Path, PathBuf};
use std::process::Command;

fn board(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/boards").join(name)
}

/// A tree that has been read ten times a second up to some moment.
struct Read {
    sources: Sources,
    tick: u32,
}

impl Read {
    fn open(root: &Path) -> Self {
        Self { sources: Sources::open(Probe::new(root)), tick: 0 }
    }

    fn at(name: &str, second: u32) -> Self {
        let mut read = Self::open(&board(name));
        read.until(second);
        read
    }

    fn until(&mut self, second: u32) {
        while self.tick <= second * 10 + 5 {
            self.sources.read(f64::from(self.tick) * 0.1);
            self.tick += 1;
        }
    }

    fn value(&self, key: Key) -> Option<f32> {
        let place = self.sources.channels().iter().position(|c| c.key == key)?;
        Some(self.sources.row()[place]).filter(|v| v.is_finite())
    }

    fn limit(&self, key: Key) -> Option<f32> {
        self.sources.channels().iter().find(|c| c.key == key)?.limit
    }

    fn named(&self, name: &str) -> Option<f32> {
        let place = self.sources.channels().iter().position(|c| c.name == name)?;
        Some(self.sources.row()[place]).filter(|v| v.is_finite())
    }

    fn facts(&self) -> &Facts {
        self.sources.facts()
    }
}

fn near(value: Option<f32>, wanted: f32, share: f32) -> bool {
    value.is_some_and(|v| (v - wanted).abs() <= wanted * share)
}

#[test]
fn orin_nano_on_jetpack_6() {
    let mut read = Read::at("orin-nano-jp6", 3);
    let facts = read.facts().clone();
    assert_eq!(facts.machine, "NVIDIA Jetson Orin Nano Developer Kit");
    assert_eq!((facts.l4t.as_deref(), facts.jetpack.as_deref()), (Some("R36.4.3"), Some("JetPack 6")));
    assert_eq!((facts.power_mode.as_deref(), facts.faster_mode), (Some("7W"), Some((0, "15W".into()))));
    assert!(facts.unified && facts.cores == 6);
    let idle = [Key::Cpu, Key::Gpu(0), Key::Power, Key::GpuClock(0)].map(|k| read.value(k).expect("value"));
    assert!(idle[0] < 6.0 && idle[1] < 6.0 && (4.2..5.0).contains(&idle[2]), "{idle:?}");
    read.until(26);
    assert!(near(read.value(Key::Cpu), 57.0, 0.05), "{:?}", read.value(Key::Cpu));
    assert!(read.value(Key::Core(0)) > read.value(Key::Core(5)));
    assert!(near(read.value(Key::Process), 51.0, 0.06), "{:?}", read.value(Key::Process));
    assert!(near(read.value(Key::Gpu(0)), 85.7, 0.01));
    assert!(near(read.value(Key::Power), 11.4, 0.01), "{:?}", read.value(Key::Power));
    assert!(near(read.named("VDD_CPU_GPU_CV"), 5.25, 0.01));
    assert_eq!(read.named("sum of shunt voltages"), None);
    assert!(near(read.value(Key::GpuClock(0)), 624.75, 0.01));
    assert_eq!(read.limit(Key::GpuClock(0)), Some(624.75));
    assert!(near(read.value(Key::CpuClock), 1510.4, 0.01));
    assert_eq!(read.limit(Key::Memory), Some(7_802_340.0 * 1024.0));
    assert!(near(read.value(Key::Memory), 2_800_000.0 * 1024.0, 0.01));
    assert!(near(read.value(Key::ProcessMemory), 700_000.0 * 1024.0, 0.01));
    assert!(near(read.value(Key::NvMap), 440_000.0 * 1024.0, 0.01));
    assert!(near(read.named("tj"), 59.0, 0.03) && read.named("cv0").is_none());
    assert_eq!(read.limit(Key::Temperature(0)), Some(99.0));
    assert!(near(read.named("fan"), 3000.0, 0.1) && near(read.named("fan drive"), 65.0, 0.2));
    assert_eq!(read.named("held back: cpufreq-cpu0"), Some(0.0));
    assert!(read.named("held back: pwm-fan").is_none() && read.named("held back: cpu-throttle-alert").is_none());
    assert_eq!(read.value(Key::Alarms(2)), Some(0.0));
    let absent: Vec<&str> = read.facts().absent.iter().map(|a| a.0.as_str()).collect();
    assert_eq!(absent, ["NVML", "CPU power"]);
}

#[test]
fn orin_nano_on_jetpack_7_is_hot_and_held_back() {
    let mut read = Read::at("orin-nano-jp7", 2);
    assert_eq!((read.facts().jetpack.as_deref(), read.facts().faster_mode.as_ref()), (Some("JetPack 7"), None));
    assert_eq!(read.facts().power_mode.as_deref(), Some("MAXN_SUPER"));
    assert_eq!((read.named("held back: cpufreq-cpu0"), read.value(Key::Alarms(0))), (Some(0.0), Some(0.0)));
    read.until(31);
    assert_eq!((read.named("held back: cpufreq-cpu0"), read.value(Key::Alarms(0))), (Some(15.0), Some(2.0)));
    assert!(near(read.named("tj"), 97.0, 0.04), "{:?}", read.named("tj"));
    assert!(near(read.named("fan"), 3930.0, 0.02));
    assert!(near(read.limit(Key::Power), 30.0, 0.03), "{:?}", read.limit(Key::Power));
}

#[test]
fn agx_orin_sums_its_rails_and_has_its_load_elsewhere() {
    let read = Read::at("agx-orin-jp6", 26);
    let source =
        |key| read.sources.channels().iter().find(|c| c.key == key).map(|c| c.source.clone()).expect("channel");
    assert_eq!(source(Key::Gpu(0)), "/sys/class/devfreq/17000000.gpu/device/load");
    assert_eq!(source(Key::Power), "sum of VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0, VDDQ_VDD2_1V8AO");
    let rails = [0, 1, 2, 3].map(|i| read.value(Key::Rail(i)).expect("rail"));
    assert!(near(read.value(Key::Power), rails.iter().sum(), 0.001));
    assert!(near(Some(rails[0]), 20.3, 0.01), "{rails:?}");
    assert!(read.value(Key::Rail(4)).is_none());
    assert_eq!((read.facts().cores, read.facts().power_mode.as_deref()), (12, Some("MAXN")));
}

#[test]
fn a_plain_pc_counts_its_package_energy_over_the_overflow() {
    let mut read = Read::at("pc-plain", 1);
    assert_eq!(read.facts().machine, "AMD Ryzen 5 5600G with Radeon Graphics");
    assert!(!read.facts().unified && read.facts().l4t.is_none() && read.facts().gpus.is_empty());
    for (second, watts) in [(4, 10.6), (7, 37.0), (26, 47.0)] {
        read.until(second);
        // The counter moves once a second, the reader asks five times.
        let power = read.value(Key::Power).expect("power");
        assert!(power > watts * 0.8, "{second}: {power}");
    }
    assert!((read.value(Key::CpuClock), read.limit(Key::CpuClock)) == (Some(2603.5), None));
    assert!(near(read.named("CPU"), 45.0, 1.0));
    assert!(read.value(Key::Gpu(0)).is_none() && read.value(Key::NvMap).is_none());
    let absent: Vec<&str> = read.facts().absent.iter().map(|a| a.0.as_str()).collect();
    assert_eq!(absent, ["Jetson GPU", "NVML", "power"]);
}

#[test]
fn a_card_is_read_through_the_management_library() {
    let folder = tempfile::tempdir().expect("folder");
    let library = folder.path().join("libnvidia-ml.so");
    let source = board("nvml.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.is_ok_and(|s| s.success()), "cc, which links Rust programs too, builds the library");
    let mut sources = Sources::open(Probe { nvml: Some(library), ..Probe::new(board("pc-nvidia")) });
    sources.read(0.0);
    let place = |sources: &Sources, key: Key| sources.channels().iter().position(|c| c.key == key);
    let value = |sources: &Sources, key: Key| place(sources, key).map(|i| sources.row()[i]);
    assert_eq!(sources.facts().gpus, ["NVIDIA GeForce RTX 2070"], "a card without readings is left out");
    assert_eq!(value(&sources, Key::Gpu(0)), Some(10.0));
    assert_eq!(value(&sources, Key::GpuMemory(0)), Some(1_073_741_824.0));
    assert_eq!(value(&sources, Key::Power), Some(45.0));
    assert_eq!(value(&sources, Key::Temperature(200)), Some(51.0));
    assert_eq!(value(&sources, Key::Throttle(200)), Some(0.0));
    assert!(value(&sources, Key::GpuOwn(0)).is_some_and(f32::is_nan), "what the library does not know is absent");
    let channel = |key| sources.channels().iter().find(|c| c.key == key).expect("channel");
    assert_eq!((channel(Key::Power).limit, channel(Key::Temperature(200)).limit), (Some(175.0), Some(94.0)));
    assert_eq!(channel(Key::GpuMemory(0)).unit, Unit::Bytes);
}

#[test]
fn a_library_in_a_recorded_tree_is_never_opened() {
    let tree = tempfile::tempdir().expect("folder");
    let sources = Sources::open(Probe::new(tree.path()));
    let why = sources.facts().absent.iter().find(|a| a.0 == "NVML").map(|a| a.1.as_str());
    assert_eq!(why, Some("a recorded tree has no management library"));
}

fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, files);
        } else {
            std::fs::copy(entry.path(), &target).expect("copy");
            files.push(target);
        }
    }
}

/// Any file may be missing, empty or full of nonsense: what it gave is absent, never 0, and
/// everything else stays.
#[test]
fn any_file_may_be_missing_or_damaged() {
    for name in ["orin-nano-jp6", "agx-orin-jp6", "pc-plain"] {
        let tree = tempfile::tempdir().expect("folder");
        let mut files = Vec::new();
        copy(&board(name), tree.path(), &mut files);
        let finite = |read: &Read| read.sources.row().iter().filter(|v| v.is_finite()).count();
        let whole = finite(&Read::at(name, 3));
        for file in files.iter().filter(|f| f.extension().is_none_or(|e| e != "frames")) {
            let mut name = file.clone().into_os_string();
            name.push(".frames");
            let frames = PathBuf::from(name);
            let kept = (std::fs::read(file).expect("file"), std::fs::read(&frames).ok());
            for damage in [None, Some(&b""[..]), Some(b"\xff\xfe nonsense\n")] {
                let _ = std::fs::remove_file(&frames);
                match damage {
                    None => std::fs::remove_file(file).expect("removed"),
                    Some(bytes) => std::fs::write(file, bytes).expect("damaged"),
                }
                let mut read = Read::open(tree.path());
                read.until(3);
                let left = finite(&read);
                // /proc/stat alone gives the most: total, process, each core.
                assert!(left <= whole + 1 && left + 32 >= whole, "{}: {left} of {whole}", file.display());
                let now = read.value(Key::Memory);
                assert!(now.is_none_or(|m| m > 1e9), "{}: memory {now:?}", file.display());
            }
            std::fs::write(file, &kept.0).expect("restored");
            if let Some(bytes) = &kept.1 {
                std::fs::write(&frames, bytes).expect("restored");
            }
        }
    }
}

/// A sensor that goes away leaves a gap and is found again when it comes back.
#[test]
fn a_sensor_that_comes_back_is_found_again() {
    let tree = tempfile::tempdir().expect("folder");
    copy(&board("orin-nano-jp6"), tree.path(), &mut Vec::new());
    let folder = tree.path().join("sys/bus/i2c/devices/1-0040");
    let away = tree.path().join("away");
    // Pictures in a file are read at the start: plain files here.
    for n in 1..=3 {
        for kind in ["in", "curr"] {
            let frames = folder.join(format!("hwmon/hwmon1/{kind}{n}_input.frames"));
            std::fs::remove_file(frames).expect("frames");
        }
    }
    let mut read = Read::open(tree.path());
    read.until(2);
    let before = read.value(Key::Power).expect("power");
    std::fs::rename(&folder, &away).expect("gone");
    for n in 1..=3 {
        for kind in ["in", "curr"] {
            // The open file would live on: a driver that is gone answers with an error, an emptied one with nothing.
            std::fs::write(away.join(format!("hwmon/hwmon1/{kind}{n}_input")), "").expect("emptied");
        }
    }
    read.until(4);
    assert_eq!(read.value(Key::Power), None);
    std::fs::rename(&away, &folder).expect("back");
    for n in 1..=3 {
        std::fs::write(folder.join(format!("hwmon/hwmon1/in{n}_input")), "5000\n").expect("voltage");
        std::fs::write(folder.join(format!("hwmon/hwmon1/curr{n}_input")), "1000\n").expect("current");
    }
    read.until(20);
    assert_eq!(read.value(Key::Power), Some(5.0));
    assert!(before > 4.0 && read.sources.channels().iter().filter(|c| c.key == Key::Power).count() == 1);
}

/// Runs `glossa monitor` for a second on a recorded tree.
fn monitor(args: &[&str]) -> std::process::Output {
    let tree = board("orin-nano-jp6").display().to_string();
    let mut all = vec!["monitor", "--seconds", "1", "--sysroot", &tree];
    all.extend_from_slice(args);
    crate::cli::glossa(&all, None)
}

#[test]
fn the_command_line_records_tables_pictures_and_a_page() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (csv, png, html) = (path("a.csv"), path("a.png"), path("a.html"));
    let output = monitor(&["--csv", &csv, "--png", &png, "--size", "640x480", "--html", &html, "--json", "--samples"]);
    assert!(output.status.success(), "{}", crate::cli::stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&crate::cli::stdout(&output)).expect("json alone on stdout");
    assert_eq!(json["machine"]["jetpack"], "JetPack 6");
    let channels = json["channels"].as_array().expect("channels");
    let power = channels.iter().find(|c| c["key"] == "power").expect("power");
    assert_eq!((power["unit"].as_str(), power["limit"].is_number()), (Some("W"), true));
    assert!(power["values"]["mean"].as_f64().is_some_and(|w| (4.0..6.0).contains(&w)), "{power}");
    assert!(power["source"].as_str().is_some_and(|s| s.contains("1-0040")), "{power}");
    let silent = channels.iter().find(|c| c["name"] == "cv0").expect("a zone that sleeps");
    assert!(silent["values"].is_null() && silent["age_s"].is_null(), "absent is absent: {silent}");
    let rows = json["times_s"].as_array().map_or(0, Vec::len);
    assert!((6..=14).contains(&rows), "{rows} rows in a second");
    assert!(channels.iter().all(|c| c["samples"].as_array().is_some_and(|s| s.len() == rows)));

    let mut table = csv::Reader::from_path(&csv).expect("table");
    let heads = table.headers().expect("heads").clone();
    assert!(heads.iter().any(|h| h == "VDD_IN (W)") && heads.iter().any(|h| h == "GPU (%)"), "{heads:?}");
    let cv0 = heads.iter().position(|h| h == "cv0 (°C)").expect("column");
    let records: Vec<csv::StringRecord> = table.records().map(|r| r.expect("row")).collect();
    assert!(records.len() == rows && records.iter().all(|r| r[cv0].is_empty() && r[1].ends_with('Z')));

    let picture = std::fs::read(&png).expect("picture");
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!((&picture[16..20], &picture[20..24]), (&640u32.to_be_bytes()[..], &480u32.to_be_bytes()[..]));
    let page = std::fs::read_to_string(&html).expect("page");
    assert!(page.contains("<svg") && page.contains("Orin Nano") && page.contains("NVML"), "{}", page.len());
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="), "one file, no network");
}

#[test]
fn the_command_line_says_what_is_wrong_with_its_arguments() {
    let wrong = |args: &[&str]| {
        let output = crate::cli::glossa(args, None);
        (output.status.code(), crate::cli::stderr(&output))
    };
    let (code, said) = wrong(&["monitor", "--seconds", "1", "--sysroot", "/nowhere"]);
    assert!(code == Some(1) && said.contains("/nowhere"), "{said}");
    assert_eq!(wrong(&["monitor", "--size", "10x10"]).0, Some(2));
    assert_eq!(wrong(&["monitor", "--seconds", "0"]).0, Some(2));
    let (code, said) = wrong(&["monitor", "--seconds", "1", "--pid", "4000000000"]);
    assert!(code == Some(1) && said.contains("4000000000"), "{said}");
    let (code, said) = wrong(&["monitor", "--seconds", "1", "--csv", "/proc/nowhere/a.csv"]);
    assert!(code == Some(1) && said.contains("/proc/nowhere/a.csv"), "{said}");
    let output = monitor(&[]);
    let table = crate::cli::stdout(&output);
    assert!(table.contains("VDD_CPU_GPU_CV") && table.contains("not found: NVML"), "{table}");
}

#[test]
fn doctor_names_sensors_and_what_is_not_there() {
    let tree = board("pc-plain").display().to_string();
    let output = crate::cli::glossa(&["doctor", "--json", "--sysroot", &tree], None);
    let json: serde_json::Value = serde_json::from_str(&crate::cli::stdout(&output)).expect("json");
    let said = json.to_string();
    assert!(said.contains("AMD Ryzen 5 5600G") && said.contains("no Tegra GPU") && said.contains("CPU package"));
}

/// One reading of a group fails while the others go on: its ages grows, and it is found at another place.
#[test]
fn a_single_reading_that_fails_is_looked_for_elsewhere() {
    let tree = tempfile::tempdir().expect("folder");
    copy(&board("orin-nano-jp6"), tree.path(), &mut Vec::new());
    let load = tree.path().join("sys/devices/platform/gpu.0/load");
    std::fs::remove_file(load.with_file_name("load.frames")).expect("frames");
    let mut read = Read::open(tree.path());
    read.until(2);
    let place = read.sources.channels().iter().position(|c| c.key == Key::Gpu(0)).expect("GPU");
    let clock = read.sources.channels().iter().position(|c| c.key == Key::GpuClock(0)).expect("clock");
    // The clock is read once a second: its age says so.
    let ages = |read: &Read| [place, clock].map(|i| f64::from(read.tick - 1) * 0.1 - read.sources.read_at()[i]);
    let [load_age, clock_age] = ages(&read);
    assert!(load_age < 0.05 && (0.35..=1.0).contains(&clock_age), "{load_age} {clock_age}");
    std::fs::write(&load, "").expect("silent");
    let other = tree.path().join("sys/class/devfreq/17000000.gpu/device/load");
    std::fs::write(&other, "420\n").expect("the older place");
    read.until(5);
    assert_eq!(read.value(Key::Gpu(0)), None);
    assert!(ages(&read)[0] > 2.9 && ages(&read)[1] <= 1.0);
    read.until(9);
    assert_eq!(read.value(Key::Gpu(0)), Some(42.0));
    assert_eq!(read.sources.channels()[place].source, "/sys/class/devfreq/17000000.gpu/device/load");
}
