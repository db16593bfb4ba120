//! Tasks that behave badly on purpose, and an engine around them.

use glossa::engine::message::{Event, EventSink, Events, Priority, Request};
use glossa::engine::{Engine, EngineConfig, Ticket};
use glossa::models::library::{Library, ModelEntry};
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{
    Asked, Input, Model, Output, Partial, Phase, Progress, Reading, Scores, Task, TaskError, Work, own,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the fake saw: the inputs of each step.
pub type Log = Arc<Mutex<Vec<Vec<String>>>>;

/// Answers with its input. What an input says is what its work does:
/// "panic" panics in a step, "broken" makes a step fail for all, "nan" fails alone, "stuck" never moves, "nothing" needs no
/// step, "slow N" takes N steps, "writer N" writes N words, "hold N" is "slow N" with the model's only page of memory.
#[derive(Default)]
pub struct FakeTask {
    pub log: Log,
    /// Milliseconds of one step.
    pub step_ms: u64,
    /// Milliseconds of loading, of a model whose folder ends in `slow` (any, if that is empty).
    pub load_ms: u64,
    pub slow: &'static str,
    pub load_panics: bool,
    pub faults: Faults,
}

/// Faults that can be switched on and off from outside.
#[derive(Clone, Default)]
pub struct Faults {
    /// Whatever asks the task what it is panics.
    pub survey: Arc<AtomicBool>,
    /// Models panic when they are dropped.
    pub drop: Arc<AtomicBool>,
    /// Models panic when they are asked how large they are: what is caught by nobody but the worker's last net.
    pub bytes: Arc<AtomicBool>,
    /// Models panic when they are asked for what "writer 66" has written.
    pub partial: Arc<AtomicBool>,
    /// Models that are loaded now.
    pub alive: Arc<AtomicUsize>,
    /// Contexts that models were loaded with.
    pub contexts: Arc<Mutex<Vec<Option<usize>>>>,
}

struct FakeModel {
    log: Log,
    step_ms: u64,
    faults: Faults,
    page: Arc<AtomicBool>,
}

struct FakeWork {
    input: String,
    left: usize,
    written: usize,
    told: usize,
    has_failed: bool,
    /// The model's page: whether this work has it, and whether it waits for it.
    page: Arc<AtomicBool>,
    holds: bool,
    waits: bool,
}

impl Work for FakeWork {
    fn tokens(&self) -> usize {
        1
    }
    fn remaining(&self) -> usize {
        self.left
    }
    fn load(&self) -> usize {
        1
    }
    fn is_waiting(&self) -> bool {
        self.waits
    }
    fn failure(&mut self) -> Option<TaskError> {
        std::mem::take(&mut self.has_failed).then_some(TaskError::NotANumber)
    }
    fn phase(&self) -> Phase {
        if self.written > 0 { Phase::Decode } else { Phase::Forward }
    }
}

impl FakeWork {
    fn step(&mut self) {
        match self.input.split(' ').next().unwrap_or("") {
            "panic" => panic!("the fake task panics"),
            "nan" => self.has_failed = true,
            "stuck" => {}
            "hold" if !self.holds && self.page.swap(true, Ordering::SeqCst) => self.waits = true,
            first => {
                self.holds = first == "hold";
                self.waits = false;
                self.written += usize::from(first == "writer");
                self.left -= 1;
            }
        }
    }
}

impl Drop for FakeWork {
    fn drop(&mut self) {
        if self.holds {
            self.page.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.faults.alive.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.faults.drop.load(Ordering::SeqCst), "the fake model panics when it is dropped");
    }
}

impl Task for FakeTask {
    fn id(&self) -> &'static str {
        assert!(!self.faults.survey.load(Ordering::SeqCst), "the fake task does not know itself");
        "fake"
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        assert!(!self.load_panics, "the fake task panics while it loads");
        let load_ms = if entry.id.ends_with(self.slow) { self.load_ms } else { 0 };
        for i in 0..load_ms / 5 {
            std::thread::sleep(Duration::from_millis(5));
            if progress(i as f32 * 5.0 / load_ms as f32) {
                return Err(TaskError::Stopped);
            }
        }
        self.faults.alive.fetch_add(1, Ordering::SeqCst);
        self.faults.contexts.lock().expect("contexts").push(runtime.context);
        let (log, faults) = (Arc::clone(&self.log), self.faults.clone());
        Ok(Box::new(FakeModel { log, step_ms: self.step_ms, faults, page: Arc::default() }))
    }
}

impl Model for FakeModel {
    fn bytes(&self) -> usize {
        assert!(!self.faults.bytes.load(Ordering::SeqCst), "the fake model does not know its size");
        1000
    }

    fn prepare(&self, asked: &Asked<'_>, _: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let input = asked.input.text();
        if input.is_empty() {
            return Err(TaskError::Input("empty".into()));
        }
        let left = match input {
            "nothing" => 0,
            other => other.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(1),
        };
        let page = Arc::clone(&self.page);
        let (input, has_failed, holds, waits) = (input.to_owned(), false, false, false);
        Ok(Box::new(FakeWork { input, left, written: 0, told: 0, has_failed, page, holds, waits }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], _: usize) -> Result<(), TaskError> {
        std::thread::sleep(Duration::from_millis(self.step_ms));
        let mut works: Vec<&mut FakeWork> = works.iter_mut().map(|w| own(*w).expect("fake work")).collect();
        if works.iter().any(|w| w.input == "broken") {
            return Err(TaskError::Input("the fake device is broken".into()));
        }
        works.iter_mut().for_each(|w| w.step());
        self.log.lock().expect("log").push(works.iter().map(|w| w.input.clone()).collect());
        Ok(())
    }

    fn partial(&self, work: &mut dyn Work) -> Option<Partial> {
        let work: &mut FakeWork = own(work)?;
        let is_asked = work.input == "writer 66" && self.faults.partial.load(Ordering::SeqCst);
        assert!(!is_asked, "the fake model does not say what it wrote");
        let new = work.told..work.written;
        work.told = work.written;
        let text: String = new.clone().map(|i| format!("{i} ")).collect();
        (!new.is_empty()).then(|| Partial { text, tokens: new.len(), ..Partial::default() })
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
    let task = FakeTask { step_ms, load_ms, ..FakeTask::default() };
    let log = Arc::clone(&task.log);
    (Engine::start(EngineConfig { capacity, ..config(task) }).expect("engine"), log)
}

/// What an engine with the fake task is made of.
pub fn config(task: FakeTask) -> EngineConfig {
    let mut config = EngineConfig::new(Library::find(Some(&fixture(""))));
    config.device = DeviceChoice::Cpu;
    config.threads = Some(1);
    config.cache = None;
    config.tasks = vec![Box::new(task)];
    config
}

/// The same with a reader of its news.
pub fn listened(task: FakeTask) -> (Engine, Events) {
    let (sink, news) = EventSink::channel(None);
    let config = EngineConfig { status: Some(sink), ..config(task) };
    (Engine::start(config).expect("engine"), news)
}

pub fn request(inputs: &[&str], priority: Priority) -> Request {
    request_of("bert-tiny", inputs, priority)
}

/// The same for another model.
pub fn request_of(folder: &str, inputs: &[&str], priority: Priority) -> Request {
    let model = Some(fixture(folder).display().to_string());
    let inputs = inputs.iter().map(|s| (*s).to_owned()).collect();
    Request { model, ..Request::texts("fake", inputs, priority) }
}

/// Submits, and gives the ticket with the request's own events.
pub fn submit(engine: &Engine, inputs: &[&str], priority: Priority) -> (Ticket, Events) {
    send(engine, request(inputs, priority))
}

/// The same for a request that is ready.
pub fn send(engine: &Engine, request: Request) -> (Ticket, Events) {
    let (sink, events) = EventSink::channel(None);
    let ticket = engine.submit(request, sink).expect("taken");
    (ticket, events)
}

/// What a request's readers saw written.
pub fn text_of(events: &[Event]) -> String {
    let part = |event: &Event| match event {
        Event::Partial { partial, .. } => Some(partial.text.clone()),
        _ => None,
    };
    events.iter().filter_map(part).collect()
}

/// What "writer N" writes.
pub fn words(n: usize) -> String {
    (0..n).map(|i| format!("{i} ")).collect()
}

/// Waits until `is_so`, and fails if that takes long.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All events up to the last; fails if none comes or if any follows it.
pub fn all_events(events: &Events) -> Vec<Event> {
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
