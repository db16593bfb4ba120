//! `glossa monitor`: what the hardware does, without a window.

use super::{Sensors, print_json, write_line};
use crate::disk::write_whole;
use crate::error::{UserMessage, plain};
use crate::telemetry::export::{Range, Snapshot, html, json, png, readings_csv};
use crate::telemetry::sampler::{Sampler, SharedStore, lock};
use crate::telemetry::scene::{RowKind, readings_at};
use crate::telemetry::sources::Probe;
use crate::telemetry::statistics::Filter;
use crate::telemetry::store::Store;
use clap::Args;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest time that is recorded: what the store's seconds hold.
const LONGEST: u64 = 21_600;

#[derive(Args)]
pub(super) struct MonitorArgs {
    /// How long to record; Ctrl+C ends it earlier
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    seconds: u64,
    /// Write all readings as a table with units
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the curves as a picture
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Size of the picture in pixels
    #[arg(long, value_name = "WxH", default_value = "1600x1200", value_parser = size)]
    size: (u32, u32),
    /// Write a page for the browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON: machine, sensors with their sources, least, mean and greatest values, warnings
    #[arg(long)]
    json: bool,
    /// The same with every single reading
    #[arg(long, requires = "json")]
    samples: bool,
    /// Watch this process, such as a Glossa that runs already (default: this command itself)
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    #[command(flatten)]
    sensors: Sensors,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides
        .filter(|(w, h)| [*w, *h].iter().all(|n| (200..=8000).contains(n)))
        .ok_or_else(|| "a size is WIDTHxHEIGHT, each 200 to 8000".to_owned())
}

pub(super) fn run(args: &MonitorArgs) -> Result<ExitCode, UserMessage> {
    check_files(args)?;
    if let Some(pid) = args.pid.filter(|_| args.sensors.sysroot.is_none())
        && !Path::new(&format!("/proc/{pid}")).exists()
    {
        let why = format!("there is no process {pid}");
        return Err(UserMessage::new("Nothing was recorded", why, "Find its number with: pidof glossa"));
    }
    let probe = Probe { pid: args.pid, ..args.sensors.probe()? };
    let store: SharedStore = Arc::new(Mutex::new(Store::default()));
    let sampler = Sampler::start(Arc::clone(&store), probe).map_err(|e| {
        UserMessage::new("Nothing was recorded", format!("no thread for the sensors ({e})"), "Close other programs.")
    })?;
    record(&store, Duration::from_secs(args.seconds));
    drop(sampler);
    let snapshot = {
        let store = lock(&store);
        let range = Range { from: 0.0, to: store.newest().unwrap_or(0.0), filter: Filter::default(), rate: None };
        // Without an engine there are no requests: no plots of them either.
        Snapshot::take(&store, &range, &RowKind::MONITOR[2..])
    };
    write_files(args, &snapshot)?;
    if args.json {
        print_json(&json(&snapshot, args.samples))?;
    } else {
        write_line(&table(&snapshot))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits, and says on a terminal how things are.
fn record(store: &SharedStore, length: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = Arc::clone(&stop);
    let heard = ctrlc::set_handler(move || pressed.store(true, Ordering::Release));
    if let Err(error) = heard {
        tracing::warn!(%error, "Ctrl+C ends the program without a result");
    }
    let begun = Instant::now();
    let tells = std::io::stderr().is_terminal();
    let mut told = 0;
    while begun.elapsed() < length && !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(50).min(length.saturating_sub(begun.elapsed())));
        let seconds = begun.elapsed().as_secs();
        if tells && seconds > told {
            told = seconds;
            let store = lock(store);
            let now = store.newest().unwrap_or(0.0);
            let all = readings_at(&store, now, now, None).into_iter().skip(1);
            let words: Vec<String> = all.map(|r| format!("{} {}", r.name, r.value)).collect();
            let line = format!("\r\x1b[K{seconds} s  {}", plain(&words.join(" · ")));
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }
    if tells {
        super::say("");
    }
}

/// Each file has a place of its own, and it can be written: said before the recording, not after it.
fn check_files(args: &MonitorArgs) -> Result<(), UserMessage> {
    let wrong = |why: String| {
        Err(UserMessage::new("Nothing was recorded", why, "Name a file for each, in folders that take files."))
    };
    let all: Vec<&PathBuf> = [&args.csv, &args.png, &args.html].into_iter().flatten().collect();
    for (i, path) in all.iter().enumerate() {
        let whole = |p: &PathBuf| {
            let p = crate::disk::target_of(p).unwrap_or_else(|_| p.clone());
            std::fs::canonicalize(&p).or_else(|_| std::path::absolute(&p)).unwrap_or(p)
        };
        let is_named = |other: &&PathBuf| whole(other) == whole(path) && !path.starts_with("/dev");
        if all[..i].iter().any(is_named) {
            return wrong(format!("'{}' is named twice", path.display()));
        }
        if path.is_dir() {
            return wrong(format!("'{}' is a folder", path.display()));
        }
    }
    Ok(())
}

fn write_files(args: &MonitorArgs, snapshot: &Snapshot) -> Result<(), UserMessage> {
    let failed = |e: &dyn std::fmt::Display| UserMessage::new("No file was written", e.to_string(), "");
    if let Some(path) = &args.csv {
        write(path, &readings_csv(snapshot).map_err(|e| failed(&e))?)?;
    }
    if let Some(path) = &args.png {
        write(path, &png(snapshot, args.size.0, args.size.1).map_err(|e| failed(&e))?)?;
    }
    if let Some(path) = &args.html {
        write(path, html(snapshot).map_err(|e| failed(&e))?.as_bytes())?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), UserMessage> {
    write_whole(path, bytes).map_err(|e| {
        let why = format!("'{}' cannot be written ({e})", path.display());
        UserMessage::new("A file was not written", why, "Choose another place, or make room on the disk.")
    })
}

/// What was measured, for people.
fn table(snapshot: &Snapshot) -> String {
    let mut lines = vec![format!("{}, {} cores", snapshot.facts.machine, snapshot.facts.cores)];
    let modes = [&snapshot.facts.jetpack, &snapshot.facts.l4t, &snapshot.facts.power_mode];
    let modes: Vec<&str> = modes.into_iter().flatten().map(String::as_str).collect();
    if !modes.is_empty() {
        lines.push(modes.join(", "));
    }
    let width = snapshot.channels.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
    lines.push(format!("{:<width$} {:>10} {:>10} {:>10}  source", "", "least", "mean", "most"));
    for (index, channel) in snapshot.channels.iter().enumerate() {
        let shown = match snapshot.summary(index) {
            Some(s) => [s.min, s.mean, s.max].map(|v| channel.unit.show(v)),
            None => ["–".into(), "–".into(), channel.without_value().into()],
        };
        lines.push(format!(
            "{:<width$} {:>10} {:>10} {:>10}  {}",
            channel.name, shown[0], shown[1], shown[2], channel.source
        ));
    }
    lines.extend(snapshot.facts.closed.iter().map(|(what, why)| format!("not readable: {what} ({why})")));
    lines.extend(snapshot.facts.absent.iter().map(|(what, why)| format!("not found: {what} ({why})")));
    lines.extend(snapshot.warnings.iter().map(|w| format!("! {} {}", w.what, w.next)));
    if let Some(cost) = snapshot.cost {
        lines.push(format!("measuring took {cost:.1} % of one core"));
    }
    lines.join("\n")
}
