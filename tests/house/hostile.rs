//! Files that want to harm: every one of `tests/hostile` is refused, in words, without running anything,
//! without much memory, and without a byte outside of our folders.

use glossa::error::UserMessage;
use glossa::models::ModelError;
use glossa::models::add;
use glossa::models::gguf::Gguf;
use glossa::models::library::Library;
use glossa::models::weights::Weights;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the pickles would leave behind if anything in them ran, and the archives if a path led outside.
const MARKS: [&str; 3] = ["/tmp/glossa-was-run", "/tmp/glossa-was-here", "glossa-was-here"];
/// No refusal needs more memory than this: the longest index that is read, and what is made of it.
const MOST_BYTES: u64 = 300 << 20;

fn corpus(ending: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let files = std::fs::read_dir(dir).expect("corpus").flatten().map(|f| f.path());
    let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

/// Holds every file with this ending against `open`.
fn hold(ending: &str, least: usize, open: impl Fn(&Path) -> Result<(), ModelError>) {
    let files = corpus(ending);
    assert!(files.len() >= least, "{} files", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let begun = Instant::now();
        let mut result = Ok(());
        let spent = allocation_counter::measure(|| result = open(&path));
        match (&result, name.starts_with("control")) {
            (Ok(()), true) => continue,
            (Ok(()), false) => wrong.push(format!("{name} was accepted")),
            (Err(error), true) => wrong.push(format!("{name} was refused: {error}")),
            (Err(_), false) => {}
        }
        if let Err(error) = result {
            let message = UserMessage::from(error);
            if !message.why.contains(&name) || message.next.is_empty() {
                wrong.push(format!("{name}: it is not named, or nothing is advised: {message}"));
            }
            if message.why.is_empty() || message.why.len() > 2_000 {
                wrong.push(format!("{name}: the message is no message: {:?}", message.why.get(..200)));
            }
        }
        if spent.bytes_max > MOST_BYTES {
            wrong.push(format!("{name} took {} bytes", spent.bytes_max));
        }
        // No speed is measured here: it is whether it ends at all.
        if begun.elapsed() > Duration::from_secs(30) {
            wrong.push(format!("{name} took {:?}", begun.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for mark in MARKS {
        assert!(!Path::new(mark).exists(), "'{mark}' is there: something was run or written outside");
    }
}

#[test]
fn pickles_run_nothing_and_claim_nothing() {
    hold("bin", 45, |path| Weights::open(&[path.to_owned()]).map(drop));
}

#[test]
fn safetensors_headers_are_held_against_the_file() {
    hold("safetensors", 18, |path| Weights::open(&[path.to_owned()]).map(drop));
}

#[test]
fn gguf_headers_are_held_against_the_file() {
    hold("gguf", 16, |path| Gguf::open(path).map(drop));
}

#[test]
fn archives_stay_inside_their_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("a/b/data");
    let library = Library::default().with_registry(data.join("library.json"));
    hold("zip", 11, |path| {
        let result = add::add(&library, path).map(drop);
        let left: Vec<_> = std::fs::read_dir(data.join("models")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{}: left behind: {left:?}", path.display());
        result
    });
    for dir in [folder.path(), &folder.path().join("a"), &folder.path().join("a/b")] {
        let names: Vec<_> = std::fs::read_dir(dir).expect("folder").flatten().map(|f| f.file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    assert!(library.registry().added.is_empty());
}
