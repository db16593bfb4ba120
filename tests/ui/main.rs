//! The window as a person meets it: type, click, read, by the names that a screen reader hears.

mod chat;
mod mended;
mod models;
mod monitor;
mod reading;
mod rewriting;
mod stopped;
mod together;

use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use glossa::app::settings::ThemeChoice;
use glossa::app::{App, AppConfig};
use glossa::engine::EngineConfig;
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

struct Window {
    harness: Harness<'static, App>,
    _folder: tempfile::TempDir,
    settings: PathBuf,
}

fn window_with(models: &Path, size: egui::Vec2, settings: &str) -> Window {
    window_in(tempfile::tempdir().expect("folder"), models, size, settings)
}

/// A window whose settings and data lie in `folder`.
fn window_in(folder: tempfile::TempDir, models: &Path, size: egui::Vec2, settings: &str) -> Window {
    window_on(None, folder, models, size, settings)
}

/// The same with the sensors of a recorded `board`; without one there are none.
fn window_on(
    board: Option<PathBuf>,
    folder: tempfile::TempDir,
    models: &Path,
    size: egui::Vec2,
    settings: &str,
) -> Window {
    window_of(board, Library::find(Some(models)), folder, size, settings)
}

/// The same with this library.
fn window_for(library: Library, folder: tempfile::TempDir, size: egui::Vec2, settings: &str) -> Window {
    window_of(None, library, folder, size, settings)
}

fn window_of(
    board: Option<PathBuf>,
    library: Library,
    folder: tempfile::TempDir,
    size: egui::Vec2,
    settings: &str,
) -> Window {
    let path = folder.path().join("settings.json");
    if !settings.is_empty() {
        std::fs::write(&path, settings).expect("settings");
    }
    let mut engine = EngineConfig::new(library);
    engine.device = DeviceChoice::Cpu;
    engine.cache = None;
    let sysroot = board.unwrap_or_else(|| folder.path().to_owned());
    let config =
        AppConfig { engine, settings: Some(path.clone()), data: Some(folder.path().join("data")), sysroot, nvml: None };
    let harness = Harness::builder()
        .with_size(size)
        .allow_missing_glyphs()
        .build_eframe(move |cc| App::new(&cc.egui_ctx, config).expect("window"));
    Window { harness, _folder: folder, settings: path }
}

fn window() -> Window {
    window_with(&models(), vec2(1280.0, 800.0), "")
}

impl Window {
    fn folder(&self) -> PathBuf {
        self._folder.path().to_owned()
    }

    /// Draws until `done` is true.
    fn until(&mut self, what: &str, done: impl Fn(&Harness<'static, App>) -> bool) {
        let begun = Instant::now();
        while !done(&self.harness) {
            assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what}");
            std::thread::sleep(Duration::from_millis(5));
            self.harness.run_steps(1);
        }
    }

    fn until_label(&mut self, part: &str) {
        let wanted = part.to_owned();
        self.until(part, move |h| h.query_all_by_label_contains(&wanted).next().is_some());
    }

    fn has(&self, part: &str) -> bool {
        self.harness.query_all_by_label_contains(part).next().is_some()
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.run_steps(3);
    }

    fn write(&mut self, field: &str, text: &str) {
        self.harness.get_by_label(field).focus();
        self.harness.run_steps(1);
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        self.harness.run_steps(1);
        self.harness.get_by_label(field).type_text(text);
        self.harness.run_steps(2);
    }
}

#[test]
fn type_a_sentence_press_run_and_see_the_label() {
    let mut w = window();
    w.harness.run_steps(2);
    w.write("Text to analyse", "What an awful, boring film.");
    w.click("Run");
    w.until_label("negative 9");
    assert!(w.harness.query_all_by_label_contains("history negative What an awful").next().is_some());
    // The request is on the time axis, with its stages.
    w.until_label("stages in ms: queue");
    assert!(w.harness.query_by_label("Request 1").is_some());
}

#[test]
fn why_colours_the_words_and_a_word_can_be_left_out_or_replaced() {
    let mut w = window();
    w.harness.run_steps(2);
    w.write("Text to analyse", "A superb film");
    w.click("Run");
    w.until_label("positive 9");
    w.click("Why?");
    w.until_label("4 variants in one batch");
    let chip = w.harness.query_all_by_label_contains("word superb +").next().expect("coloured word");
    chip.click();
    w.harness.run_steps(3);
    w.click("Leave out");
    w.until_label("Changed");
    w.until_label("A film");
    w.harness.query_all_by_label_contains("word superb +").next().expect("word").click();
    w.harness.run_steps(3);
    w.write("Another word", "dreadful");
    w.click("Replace");
    w.until_label("A dreadful film");
    w.until_label("negative 9");
}

#[test]
fn tokens_are_shown_and_the_answer_is_copied() {
    let mut w = window();
    w.harness.run_steps(2);
    w.write("Text to analyse", "A superb film");
    w.click("Run");
    w.until_label("positive 9");
    w.click("Tokens");
    w.until_label("piece superb 21688");
    for (button, part) in [("Copy", "positive 9"), ("JSON", "\"timing_ms\"")] {
        w.harness.get_by_label(button).click();
        let copied = (0..4).any(|_| {
            w.harness.run_steps(1);
            let commands = &w.harness.output().platform_output.commands;
            commands.iter().any(|c| matches!(c, egui::OutputCommand::CopyText(text) if text.contains(part)))
        });
        assert!(copied, "{button}");
    }
}

#[test]
fn why_can_be_stopped_and_asked_again() {
    let mut w = window();
    w.harness.run_steps(2);
    w.write("Text to analyse", &"It was fine, really. ".repeat(60));
    w.click("Run");
    w.until_label("positive 9");
    w.click("Why?");
    w.until_label("Leaving out one word at a time");
    w.click("Stop");
    w.until("Stopped.", |h| h.query_by_label("Stopped.").is_some());
    assert!(w.harness.query_by_label("Why?").is_some());
}

#[test]
fn stop_ends_a_long_run_and_keeps_the_text() {
    let mut w = window();
    w.harness.run_steps(2);
    let text = "It was fine. ".repeat(40_000);
    w.harness.get_by_label("Text to analyse").focus();
    w.harness.run_steps(1);
    w.harness.event(egui::Event::Paste(text));
    w.harness.run_steps(1);
    w.click("Run");
    w.until_label("Running");
    w.click("Stop");
    w.until_label("Stopped. Your text is still there.");
    assert!(w.harness.query_all_by_label_contains("Long text: A slow start").next().is_some());
}

#[test]
fn the_theme_is_switched_and_kept() {
    let mut w = window();
    w.harness.run_steps(2);
    w.click("Settings");
    w.click("Light");
    assert_eq!(w.harness.ctx.theme(), egui::Theme::Light);
    w.click("Dark");
    assert_eq!(w.harness.ctx.theme(), egui::Theme::Dark);
    assert_eq!(w.harness.state().settings().theme, ThemeChoice::Dark);
    let path = w.settings.clone();
    w.until("the settings file", move |_| std::fs::read_to_string(&path).is_ok_and(|t| t.contains("\"dark\"")));
    // By key, from any tab.
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::T);
    w.harness.run_steps(3);
    assert_eq!(w.harness.ctx.theme(), egui::Theme::Light);
}

#[test]
fn a_file_of_lines_is_analysed_as_a_batch_and_exported() {
    let mut w = window();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("lines.txt");
    std::fs::write(&file, "A fine film.\nAn awful film.\n\nLovely!\n").expect("file");
    w.harness.run_steps(2);
    w.click("Batch…");
    w.click("Choose file…");
    w.write("File path", &file.display().to_string());
    w.click("Open");
    w.until_label("3 lines from");
    w.click("Run");
    w.until_label("done · 3 of 3");
    assert!(w.harness.query_all_by_label_contains("2 positive, 1 negative").next().is_some());
    w.click("Export CSV…");
    let out = folder.path().join("new folder/out.csv");
    w.write("File path", &out.display().to_string());
    w.click("Save");
    w.until_label("3 rows saved");
    let csv = std::fs::read_to_string(&out).expect("csv");
    assert!(csv.starts_with("text,label,probability,error\nA fine film.,positive,0."), "{csv}");
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn a_batch_stops_at_once_and_keeps_what_is_done() {
    let mut w = window();
    w.harness.run_steps(2);
    w.click("Batch…");
    w.harness.get_by_label("Lines to analyse").focus();
    w.harness.run_steps(1);
    w.harness.event(egui::Event::Paste("The film was quite good, all in all, I would say.\n".repeat(5_000)));
    w.harness.run_steps(1);
    w.click("Run");
    w.until_label("running · ");
    w.click("Stop");
    w.until_label("stopped · ");
}

#[test]
fn errors_are_shown_with_a_remedy_and_the_text_stays() {
    let empty = tempfile::tempdir().expect("folder");
    let mut w = window_with(empty.path(), vec2(1280.0, 800.0), "");
    w.harness.run_steps(2);
    w.write("Text to analyse", "Kept.");
    w.click("Run");
    w.until_label("The model could not be opened");
    assert!(w.harness.query_all_by_label_contains("--models").next().is_some());
    assert!(w.harness.query_by_label("Retry").is_some());
    assert_eq!(w.harness.get_by_label("Text to analyse").value().as_deref(), Some("Kept."));
}

#[test]
fn an_empty_text_says_what_to_do() {
    let mut w = window();
    w.harness.run_steps(2);
    w.write("Text to analyse", "  ");
    w.click("Run");
    w.until_label("There is nothing to analyse");
    w.click("film review");
    w.until_label("positive 9");
}

#[test]
fn a_file_that_is_not_text_is_named() {
    let mut w = window();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("picture.png");
    std::fs::write(&file, [0x89, 0x50, 0xff, 0xfe]).expect("file");
    w.harness.run_steps(2);
    w.click("Batch…");
    w.click("Choose file…");
    w.write("File path", &file.display().to_string());
    w.click("Open");
    w.until_label("is not UTF-8 text");
    assert!(w.harness.query_all_by_label_contains("picture.png").next().is_some());
}

#[test]
fn settings_that_cannot_be_kept_are_said() {
    let folder = tempfile::tempdir().expect("folder");
    let blocker = folder.path().join("file");
    std::fs::write(&blocker, "").expect("file");
    let mut engine = EngineConfig::new(Library::find(Some(&models())));
    engine.cache = None;
    let sysroot = folder.path().to_owned();
    let config = AppConfig { engine, settings: Some(blocker.join("settings.json")), data: None, sysroot, nvml: None };
    let harness = Harness::builder()
        .with_size(vec2(1280.0, 800.0))
        .allow_missing_glyphs()
        .build_eframe(move |cc| App::new(&cc.egui_ctx, config).expect("window"));
    let mut w = Window { harness, _folder: folder, settings: PathBuf::new() };
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::T);
    w.until_label("cannot be written");
    w.click("Dismiss");
    assert!(w.harness.query_all_by_label_contains("cannot be written").next().is_none());
}

#[test]
fn commands_are_found_by_name() {
    let mut w = window();
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::K);
    w.harness.run_steps(3);
    w.harness.get_by_label("Find a command").type_text("settings");
    w.harness.run_steps(6);
    w.click("Go to Settings");
    w.until_label("Kept between starts.");
}

/// Every tab at every size that we serve, both themes: it draws, and its title is there.
#[test]
fn all_tabs_draw_at_all_sizes_in_both_themes() {
    for (width, height) in [(1920.0, 1080.0), (1280.0, 800.0), (1024.0, 600.0), (960.0, 540.0)] {
        for theme in ["light", "dark"] {
            let settings = format!(r#"{{"theme":"{theme}","pulse_open":true}}"#);
            let mut w = window_with(&models(), vec2(width, height), &settings);
            w.harness.run_steps(3);
            for tab in glossa::app::tabs::all() {
                w.harness.get_by_role_and_label(egui::Role::Tab, tab.title()).click();
                w.harness.run_steps(3);
                assert!(w.harness.query_all_by_label(tab.title()).next().is_some());
                let beside = if tab.has_side() { "Now" } else { "Pulse" };
                assert!(w.harness.query_by_label(beside).is_some(), "{} at {width}", tab.title());
            }
            let screen = w.harness.ctx.content_rect();
            w.harness.get_by_role_and_label(egui::Role::Tab, "Sentiment").click();
            w.harness.run_steps(3);
            let run = w.harness.get_by_label("Run").rect();
            assert!(screen.contains_rect(run), "{run:?} in {screen:?}");
        }
    }
}
