//! The one way through the house: no upward call, no file too long for one room.

use std::path::{Path, PathBuf};

/// What each room may use of the others (beside itself and the leaves, `error`, `disk` and `memory`).
const MAY_USE: [(&str, &[&str]); 8] = [
    ("app", &["engine", "labs", "telemetry", "tasks", "nn::runtime", "nn::precision"]),
    ("cli", &["app", "engine", "labs", "models", "nn", "tasks", "telemetry"]),
    ("labs", &["engine", "models", "nn", "tasks", "telemetry::stats"]),
    ("engine", &["tasks", "models", "nn"]),
    ("tasks", &["nn", "models"]),
    ("models", &["nn"]),
    ("nn", &[]),
    ("telemetry", &[]),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn nothing_calls_upward() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, allowed) in MAY_USE {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        assert!(!files.is_empty(), "{room}");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("source");
            for used in text.split("crate::").skip(1) {
                let fits = |name: &str| {
                    used.strip_prefix(name)
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                };
                if !fits(room) && !fits("error") && !fits("disk") && !fits("memory") && !allowed.iter().any(|a| fits(a))
                {
                    wrong.push(format!("{}: crate::{}", file.display(), used.lines().next().unwrap_or("")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_fit_one_room() {
    let mut files = Vec::new();
    for dir in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    let long: Vec<_> = files
        .into_iter()
        .map(|f| (std::fs::read_to_string(&f).expect("source").lines().count(), f))
        .filter(|(lines, _)| *lines > 420)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
