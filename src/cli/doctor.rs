//! `glossa doctor`: what was found, and what to do about what is missing.

use super::{Common, Sensors, print_json, write_row};
use crate::error::UserMessage;
use crate::models::card::Card;
use crate::models::verify::Verifier;
use crate::nn::runtime::{DeviceChoice, Runtime};
use crate::telemetry::channel::{Facts, Key};
use crate::telemetry::sources::Sources;
use clap::Args;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sensors: Sensors,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    /// `ok`, `missing` or `problem`
    state: &'static str,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    next: String,
}

fn finding(what: &'static str, state: &'static str, found: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { what, state, found: found.into(), next: next.into() }
}

pub(super) fn run(args: &DoctorArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let mut sources = Sources::open(args.sensors.probe()?);
    sources.read(0.0);
    let mut all = vec![build(), board(sources.facts()), cpu(common), cuda(), memory(&sources)];
    all.extend(sensors(&sources));
    all.push(display());
    all.extend(models(common));
    let broken = all.iter().any(|f| f.state == "problem");
    if args.json {
        print_json(&all)?;
    } else {
        for f in &all {
            write_row(&format!("{:<9} {:<8} {}", f.what, f.state, f.found))?;
            if !f.next.is_empty() {
                write_row(&format!("{:<18} → {}", "", f.next))?;
            }
        }
    }
    Ok(if broken { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn build() -> Finding {
    let features = if cfg!(feature = "cuda") { "with CUDA" } else { "CPU only" };
    let found = format!("glossa {}, {features}, {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    finding("build", "ok", found, "")
}

fn board(facts: &Facts) -> Finding {
    let parts = [Some(facts.machine.clone()), facts.l4t.clone(), facts.jetpack.clone(), facts.power_mode.clone()];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    let next = facts.faster_mode.as_ref().map(|(n, name)| format!("{name} allows higher clocks: sudo nvpmodel -m {n}"));
    finding("board", "ok", words.join(", "), next.unwrap_or_default())
}

/// Every reading that there is, and what was looked for in vain.
fn sensors(sources: &Sources) -> Vec<Finding> {
    let counted = |key: Key| !matches!(key, Key::Core(_));
    let row = sources.row();
    let shown = sources.channels().iter().zip(row).filter(|(c, _)| counted(c.key)).map(|(c, value)| {
        let value = if value.is_finite() { c.unit.show(f64::from(*value)) } else { "no value yet".into() };
        format!("{} {value} ({})", c.name, c.source)
    });
    let found: Vec<String> = shown.collect();
    let mut all = vec![finding("sensors", "ok", found.join("; "), "")];
    let absent = sources.facts().absent.iter().map(|(what, why)| format!("{what} ({why})"));
    let absent: Vec<String> = absent.collect();
    let closed: Vec<String> = sources.facts().closed.iter().map(|(what, why)| format!("{what} ({why})")).collect();
    if !closed.is_empty() {
        let next = "Give this user the right to read it, or start Glossa as one who has it.";
        all.push(finding("sensors", "closed", closed.join("; "), next));
    }
    if !absent.is_empty() {
        all.push(finding("sensors", "missing", absent.join("; "), ""));
    }
    all
}

fn cpu(common: &Common) -> Finding {
    match Runtime::new(DeviceChoice::Cpu, common.threads(), None) {
        Ok(runtime) => {
            let name = runtime.report.name;
            let next = if name.contains("portable") {
                "This CPU has no vector path of ours: expect answers several times slower."
            } else {
                ""
            };
            finding("cpu", "ok", name, next)
        }
        Err(error) => finding("cpu", "problem", error.to_string(), "Start with --threads 1."),
    }
}

fn cuda() -> Finding {
    let gpu =
        Path::new("/dev/nvidia0").exists() || Path::new("/dev/nvhost-gpu").exists() || Path::new("/dev/nvgpu").exists();
    if !cfg!(feature = "cuda") {
        return if gpu {
            finding(
                "cuda",
                "missing",
                "an NVIDIA GPU is here, but this build has no CUDA",
                "Build with: cargo build --release --features cuda",
            )
        } else {
            finding("cuda", "missing", "no NVIDIA GPU was found; the CPU is used", "")
        };
    }
    match Runtime::new(DeviceChoice::Cuda, None, None) {
        Ok(Runtime { report, .. }) if report.used == "cuda" => {
            finding("cuda", "ok", format!("{}, self-test passed", report.name), "")
        }
        Ok(runtime) => {
            let why = runtime.report.notice.unwrap_or_default();
            finding(
                "cuda",
                "problem",
                why,
                "Check the driver with nvidia-smi (on a Jetson: tegrastats), and that no other program has taken the memory.",
            )
        }
        Err(error) => finding("cuda", "problem", error.to_string(), ""),
    }
}

fn memory(sources: &Sources) -> Finding {
    let place = sources.channels().iter().position(|c| c.key == Key::Memory);
    let sizes = place.and_then(|i| Some((sources.channels()[i].limit?, sources.row()[i]))).filter(|s| s.1.is_finite());
    match sizes {
        Some((total, used)) => {
            let free = f64::from(total - used) / 1e9;
            let found = format!("{free:.1} of {:.1} GB free", f64::from(total) / 1e9);
            if free < 0.5 {
                finding("memory", "problem", found, "Close other programs: a model needs about 0.2 GB.")
            } else {
                finding("memory", "ok", found, "")
            }
        }
        None => finding("memory", "missing", "cannot be read", ""),
    }
}

fn display() -> Finding {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    match set("WAYLAND_DISPLAY").or_else(|| set("DISPLAY")) {
        Some(display) => finding("display", "ok", display, ""),
        None => finding(
            "display",
            "missing",
            "neither DISPLAY nor WAYLAND_DISPLAY is set",
            "Start on a desktop for the window; 'glossa run' works without one.",
        ),
    }
}

fn models(common: &Common) -> Vec<Finding> {
    let library = match common.library() {
        Ok(library) => library,
        Err(message) => return vec![finding("models", "problem", message.why, message.next)],
    };
    let (entries, errors) = library.list();
    let mut all: Vec<Finding> = errors
        .into_iter()
        .map(|e| {
            let message = UserMessage::from(e);
            finding("model", "problem", message.why, message.next)
        })
        .collect();
    let mut verifier = Verifier::new(None);
    for entry in &entries {
        let Some(manifest) = &entry.manifest else { continue };
        // Models that came without a list of hashes are opened; 'glossa models verify' reads all of a hub's.
        let result = match manifest.files.as_slice() {
            [] => Card::of(entry).map(|_| "headers checked"),
            _ => verifier.check(&entry.dir, manifest, &|| false).map(|()| "files checked"),
        };
        all.push(match result {
            Ok(checked) => {
                let accuracy = manifest.accuracy.first().map_or_else(String::new, |a| {
                    format!(", {} {:.1} % on {} (n = {})", a.metric, a.value * 100.0, a.data, a.n)
                });
                finding("model", "ok", format!("{} for {}{accuracy}; {checked}", entry.id, manifest.task), "")
            }
            Err(error) => {
                let message = UserMessage::from(error);
                finding("model", "problem", message.why, message.next)
            }
        });
    }
    if entries.is_empty() && all.is_empty() {
        let searched: Vec<String> = library.roots().iter().map(|r| r.display().to_string()).collect();
        let found = format!(
            "no model found in: {}",
            if searched.is_empty() { "no folder".into() } else { searched.join(", ") }
        );
        all.push(finding(
            "models",
            "problem",
            found,
            "Clone the project with its models folder, or set --models DIR or GLOSSA_MODELS.",
        ));
    }
    all
}
