//! The monitor as a person meets it: curves of a recorded board, a marked request, exports.

use super::{Window, models, window_with};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use std::path::Path;

fn board(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/boards").join(name)
}

/// A window on a recorded board, with the monitor shown.
fn monitor(size: egui::Vec2) -> Window {
    super::window_on(
        Some(board("orin-nano-jp6")),
        tempfile::tempdir().expect("folder"),
        &models(),
        size,
        r#"{"tab":"monitor"}"#,
    )
}

fn ask(w: &mut Window) {
    w.click("Sentiment");
    w.until_label("Run");
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::Enter);
    w.until_label("positive");
    w.click("Monitor");
}

#[test]
fn a_boards_curves_are_shown_with_values_and_units() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("GPU plot: ");
    for title in ["Batch", "CPU", "GPU", "Power", "Temperature", "All memory"] {
        w.until_label(&format!("{title} plot: "));
    }
    w.until_label("Power mode is 7W; 15W would allow higher clocks.");
    w.until_label("Memory of CPU and GPU");
    w.until_label("memory: weights 0 MB, caches 0 MB");
    assert!(w.harness.query_by_label_contains("GPU memory plot").is_none(), "a board with one memory has no second");
    w.until_label("Measuring takes");
}

#[test]
fn a_request_is_marked_with_its_stages_and_its_energy() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("Power plot: ");
    ask(&mut w);
    // The first waited for its model: it is a cold start and no percentile.
    w.until_label("Only cold starts so far");
    ask(&mut w);
    w.until_label("histogram of 1 latencies");
    w.until_label("1 cold start (up to");
    w.click("Previous request");
    w.until_label("stages in order, ms: queue");
    w.until_label("1 · sentiment");
    w.until_label("cold start");
    w.until_label("energy");
    w.click("Next request");
    w.until_label("2 · sentiment");
    w.click("Unmark");
    w.until("the mark to go", |h| h.query_by_label_contains("stages in order").is_none());
}

#[test]
fn curves_can_be_held_walked_through_and_let_go() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("CPU plot: ");
    w.click("Hold the curves");
    assert!(w.harness.query_by_label("Show what happens now").is_some());
    w.harness.key_press(Key::ArrowLeft);
    w.harness.run_steps(2);
    w.harness.key_press(Key::Plus);
    w.harness.run_steps(2);
    // 60 s, one and a half times closer.
    assert!(w.harness.query_all_by_label_contains("40 s").next().is_some() || combo_shows(&w, "40 s"));
    w.harness.key_press(Key::Home);
    w.harness.run_steps(2);
    assert!(w.harness.query_by_label("Hold the curves").is_some() && combo_shows(&w, "60 s"));
}

/// Mouse and wheel on the curves: drag looks back, the wheel zooms around the pointer, a double click
/// shows now, a click on a request marks it.
#[test]
fn the_mouse_drags_zooms_and_marks() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("CPU plot: ");
    ask(&mut w);
    w.until_label("Latency plot: cold start");
    let plot = w.harness.get_by_label_contains("CPU plot: ").rect();
    let press = |pos, pressed| egui::Event::PointerButton {
        pos,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    let from = plot.center();
    let to = from + vec2(plot.width() / 4.0, 0.0);
    for event in [egui::Event::PointerMoved(from), press(from, true), egui::Event::PointerMoved(to), press(to, false)] {
        w.harness.event(event);
        w.harness.run_steps(1);
    }
    assert!(w.harness.query_by_label("Show what happens now").is_some(), "what is dragged is held");
    w.until_label("At the cursor");
    w.harness.key_press(Key::Home);
    w.harness.run_steps(2);
    let wheel = egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 400.0),
        source: egui::MouseWheelSource::Unknown,
        phase: egui::TouchPhase::Move,
        modifiers: Modifiers::NONE,
    };
    w.harness.event(egui::Event::PointerMoved(to));
    w.harness.run_steps(1);
    w.harness.event(wheel);
    w.harness.run_steps(8);
    assert!(!combo_shows(&w, "60 s"), "the wheel zooms");
    w.harness.key_press(Key::Home);
    w.harness.run_steps(2);
    // The request is the newest thing: its band lies close to the right edge.
    w.harness.key_press(Key::Plus);
    w.harness.run_steps(1);
    let plot = w.harness.get_by_label_contains("CPU plot: ").rect();
    w.until("a mark", |h| h.query_by_label_contains("CPU plot: ").is_some());
    let edge = plot.right_center() - vec2(plot.width() * 0.02, 0.0);
    for step in 0..40u8 {
        let at = edge - vec2(f32::from(step) * plot.width() * 0.02, 0.0);
        for event in [egui::Event::PointerMoved(at), press(at, true), press(at, false)] {
            w.harness.event(event);
            w.harness.run_steps(1);
        }
        w.harness.run_steps(1);
        if w.harness.query_by_label_contains("stages in order").is_some() {
            return;
        }
    }
    panic!("no click met the request");
}

fn combo_shows(w: &Window, text: &str) -> bool {
    w.harness
        .query_by_label("Time window")
        .is_some_and(|n| n.value().is_some_and(|v| v == text) || format!("{n:?}").contains(text))
}

#[test]
fn plots_can_be_left_out_and_sensors_listed() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("Power plot: ");
    w.click("Show");
    w.until_label("Sensors as a list");
    w.harness.get_by_role_and_label(egui::Role::CheckBox, "Power").click();
    w.until("the power plot to go", |h| h.query_by_label_contains("Power plot").is_none());
    w.click("Sensors as a list");
    w.until_label("/sys/bus/i2c/devices/1-0040/hwmon/hwmon1/{in,curr}1_input");
    w.until_label("Looked for and not found");
    w.until_label("NVML: a recorded tree has no management library");
    w.until_label("absent");
}

#[test]
fn what_is_shown_is_saved_as_a_table_a_picture_and_a_page() {
    let mut w = monitor(vec2(1280.0, 800.0));
    w.until_label("Power plot: ");
    ask(&mut w);
    w.until_label("Latency plot: cold start");
    let folder = w.folder();
    for (item, file, wanted) in [
        ("Readings (CSV)", "a.csv", &b"time (s),time (UTC),CPU (%)"[..]),
        ("Requests (CSV)", "b.csv", b"id,task,model,device"),
        ("Picture (PNG)", "a.png", b"\x89PNG\r\n\x1a\n"),
        ("Session report (HTML)", "a.html", b"<!doctype html>"),
        ("Everything (JSON)", "a.json", b"{\n"),
    ] {
        w.click("Export");
        w.until_label(item);
        w.click(item);
        let path = folder.join(file);
        w.write("File path", &path.display().to_string());
        w.click("Save");
        w.until("the file", |_| path.is_file());
        let bytes = std::fs::read(&path).expect("file");
        assert!(bytes.starts_with(wanted), "{file}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
        w.until_label("Saved to");
    }
    let readings = std::fs::read_to_string(folder.join("a.csv")).expect("table");
    assert!(readings.contains("tokens per step,texts at work"), "{}", &readings[..400]);
    let page = std::fs::read_to_string(folder.join("a.html")).expect("page");
    assert!(page.contains("Batch") && page.contains("tokens per step"));
    let requests = std::fs::read_to_string(folder.join("b.csv")).expect("table");
    assert!(requests.lines().count() == 2 && requests.contains("sentiment") && requests.contains("cold"), "{requests}");
}

#[test]
fn nothing_of_the_monitor_is_cut_off_on_small_screens() {
    for size in [vec2(1024.0, 600.0), vec2(1280.0, 800.0), vec2(1920.0, 1080.0)] {
        let mut w = monitor(size);
        w.until_label("CPU plot: ");
        for name in ["Export", "Show", "Hold the curves", "Time window"] {
            let rect = w.harness.get_by_label(name).rect();
            assert!(
                rect.left() > 112.0 && rect.right() <= size.x && rect.bottom() < size.y,
                "{name} at {size:?}: {rect:?}"
            );
        }
    }
}

#[test]
fn without_any_sensor_the_monitor_still_shows_requests() {
    let mut w = window_with(&models(), vec2(1280.0, 800.0), r#"{"tab":"monitor"}"#);
    w.until_label("Latency plot: no request yet");
    assert!(w.harness.query_by_label_contains("CPU plot").is_none(), "absent is not drawn as 0");
    ask(&mut w);
    w.until_label("Latency plot: cold start");
}
