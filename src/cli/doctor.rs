//! `glossa doctor`: what was found, and what to do about what is missing.

use super::{Common, print_json, write_line};
use crate::error::UserMessage;
use crate::models::verify::Verifier;
use crate::nn::runtime::{DeviceChoice, Runtime};
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
    let mut all = vec![build(), board(), cpu(common), cuda(), memory(), display()];
    all.extend(models(common));
    let broken = all.iter().any(|f| f.state == "problem");
    if args.json {
        print_json(&all)?;
    } else {
        for f in &all {
            write_line(&format!("{:<9} {:<8} {}", f.what, f.state, f.found))?;
            if !f.next.is_empty() {
                write_line(&format!("{:<18} → {}", "", f.next))?;
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

fn board() -> Finding {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|t| t.trim_matches(['\0', '\n', ' ']).to_owned());
    match read("/proc/device-tree/model") {
        Some(model) => {
            let release =
                read("/etc/nv_tegra_release").and_then(|t| t.lines().next().map(str::to_owned)).unwrap_or_default();
            finding("board", "ok", format!("{model} {release}"), "")
        }
        None => finding("board", "ok", "a PC (no device tree)", ""),
    }
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

fn memory() -> Finding {
    let sample = Sources::probe(Path::new("/")).read(0.0);
    match sample.memory_total.zip(sample.memory_used) {
        Some((total, used)) => {
            let free = total.saturating_sub(used) as f64 / 1e9;
            let found = format!("{free:.1} of {:.1} GB free", total as f64 / 1e9);
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
        all.push(match verifier.check(&entry.dir, manifest, &|| false) {
            Ok(()) => {
                let accuracy = manifest.accuracy.first().map_or_else(String::new, |a| {
                    format!(", {} {:.1} % on {} (n = {})", a.metric, a.value * 100.0, a.data, a.n)
                });
                finding("model", "ok", format!("{} for {}{accuracy}; files checked", entry.id, manifest.task), "")
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
