//! An engine that has stopped by itself: the window says so, and starts it again.

use super::*;
use glossa::models::library::ModelEntry;
use glossa::nn::runtime::Runtime;
use glossa::tasks::{self, Model, Progress, Task, TaskError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sentiment that does not know its own name while it is `sick`.
struct Sick {
    task: Box<dyn Task>,
    is_sick: Arc<AtomicBool>,
}

impl Task for Sick {
    fn id(&self) -> &'static str {
        assert!(!self.is_sick.load(Ordering::SeqCst), "the task is sick");
        self.task.id()
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        self.task.load(entry, runtime, progress)
    }
}

#[test]
fn an_engine_that_stopped_is_told_and_started_again() {
    let folder = tempfile::tempdir().expect("folder");
    let is_sick = Arc::new(AtomicBool::new(true));
    let mut engine = EngineConfig::new(Library::find(Some(&models())));
    (engine.device, engine.cache) = (DeviceChoice::Cpu, None);
    let task = tasks::find("sentiment").expect("task");
    engine.tasks = vec![Box::new(Sick { task, is_sick: Arc::clone(&is_sick) })];
    let sysroot = folder.path().to_owned();
    let config = AppConfig { engine, settings: None, data: None, sysroot, nvml: None };
    let harness = Harness::builder()
        .with_size(vec2(1280.0, 800.0))
        .allow_missing_glyphs()
        .build_eframe(move |cc| App::new(&cc.egui_ctx, config).expect("window"));
    let mut w = Window { harness, _folder: folder, settings: PathBuf::new() };
    w.until_label("The engine stopped unexpectedly");
    assert!(w.has("the task is sick"));
    w.until_label("the engine has stopped");
    // It does not get better by pressing the button too early.
    w.click("Start the engine again");
    w.until_label("The engine stopped unexpectedly");
    is_sick.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(100));
    w.harness.run_steps(2);
    w.click("Start the engine again");
    w.until_label("started again");
    assert!(!w.has("The engine stopped unexpectedly") && !w.has("the engine has stopped"));
    // Commands find it too, and say that there is nothing to do.
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::K);
    w.harness.run_steps(3);
    w.harness.get_by_label("Find a command").type_text("engine");
    w.harness.run_steps(6);
    w.click("Start the engine again");
    w.until_label("The engine is running.");
}
