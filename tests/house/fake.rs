//! Tasks that behave badly on purpose, and an engine around them.

use crossbeam_channel::Receiver;
use glossa::engine::message::{Event, EventSink, Priority, Request};
use glossa::engine::{Engine, EngineConfig, Ticket};
use glossa::models::library::{Library, ModelEntry};
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{Asked, Input, Model, Output, Progress, Reading, Scores, Task, TaskError, Work};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the fake saw: the inputs of each step.
pub type Log = Arc<Mutex<Vec<Vec<String>>>>;

/// Answers with its input; panics on "panic", takes N steps for "slow N", none for "nothing", and gets nowhere with "stuck".
pub struct FakeTask {
    pub log: Log,
    /// Milliseconds of one step.
    pub step_ms: u64,
    /// Milliseconds of loading.
    pub load_ms: u64,
}

struct FakeModel {
    log: Log,
    step_ms: u64,
}

struct FakeWork {
    input: String,
    left: usize,
}

impl Work for FakeWork {
    fn tokens(&self) -> usize {
        1
    }
    fn remaining(&self) -> usize {
        self.left
    }
}

impl Task for FakeTask {
    fn id(&self) -> &'static str {
        "fake"
    }

    fn load(&self, _: &ModelEntry, _: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        for i in 0..self.load_ms / 5 {
            std::thread::sleep(Duration::from_millis(5));
            if progress(i as f32 * 5.0 / self.load_ms as f32) {
                return Err(TaskError::Stopped);
            }
        }
        Ok(Box::new(FakeModel { log: Arc::clone(&self.log), step_ms: self.step_ms }))
    }
}

impl Model for FakeModel {
    fn bytes(&self) -> usize {
        1000
    }

    fn prepare(&self, asked: &Asked<'_>, _: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let input = asked.input.text();
        if input.is_empty() {
            return Err(TaskError::Input("empty".into()));
        }
        let left = match input {
            "nothing" => 0,
            other => other.strip_prefix("slow ").and_then(|n| n.parse().ok()).unwrap_or(1),
        };
        Ok(Box::new(FakeWork { input: input.to_owned(), left }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], _: usize) -> Result<(), TaskError> {
        std::thread::sleep(Duration::from_millis(self.step_ms));
        let mut seen = Vec::new();
        for work in works {
            let work: &mut FakeWork = (&mut **work as &mut dyn Any).downcast_mut().expect("fake work");
            assert!(work.input != "panic", "the fake task panics");
            work.left -= usize::from(work.input != "stuck");
            seen.push(work.input.clone());
        }
        self.log.lock().expect("log").push(seen);
        Ok(())
    }

    fn finish(&self, input: &Input, _: Box<dyn Work>) -> Result<Output, TaskError> {
        let scores = vec![(input.text().to_owned(), 1.0)];
        Ok(Output::Scores(Scores {
            scores,
            reading: Reading { tokens: 1, windows: 1, ..Reading::default() },
            ..Scores::default()
        }))
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An engine with the fake task and nothing else.
pub fn engine(step_ms: u64, load_ms: u64, capacity: usize) -> (Engine, Log) {
    let log = Log::default();
    let mut config = EngineConfig::new(Library::find(Some(&fixture(""))));
    config.device = DeviceChoice::Cpu;
    config.threads = Some(1);
    config.cache = None;
    config.capacity = capacity;
    config.tasks = vec![Box::new(FakeTask { log: Arc::clone(&log), step_ms, load_ms })];
    (Engine::start(config).expect("engine"), log)
}

pub fn request(inputs: &[&str], priority: Priority) -> Request {
    let model = Some(fixture("bert-tiny").display().to_string());
    let inputs = inputs.iter().map(|s| (*s).to_owned()).collect();
    Request { model, ..Request::texts("fake", inputs, priority) }
}

/// Submits, and gives the ticket with the request's own events.
pub fn submit(engine: &Engine, inputs: &[&str], priority: Priority) -> (Ticket, Receiver<Event>) {
    let (sink, events) = EventSink::channel(None);
    let ticket = engine.submit(request(inputs, priority), sink).expect("taken");
    (ticket, events)
}

/// All events up to the last; fails if none comes or if any follows it.
pub fn all_events(events: &Receiver<Event>) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let event = events.recv_timeout(Duration::from_secs(20)).expect("an end");
        let last = event.is_terminal();
        all.push(event);
        if last {
            break;
        }
    }
    assert!(events.recv_timeout(Duration::from_millis(30)).is_err(), "nothing follows the end");
    all
}

/// A copy of a fixture's folder.
pub fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in std::fs::read_dir(fixture(name)).expect("fixture").flatten() {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
    }
    folder
}

/// All files below a folder, in order; links are not followed.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path()) {
        if path.is_dir() && !path.is_symlink() { all.extend(files_below(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}
