//! What once went wrong in the window: notices over fields, pastes cut in silence, two windows, large text.

use super::{Window, models, window_of, window_with};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use glossa::models::library::Library;

fn tab(name: &str, more: &str) -> Window {
    window_with(&models(), vec2(1280.0, 800.0), &format!("{{\"tab\":\"{name}\"{more}}}"))
}

#[test]
fn notices_have_a_place_of_their_own_and_can_be_put_away() {
    let mut w = tab("chat", ",\"theme\":\"sepia\",\"private\":\"who knows\"");
    w.until_label("are not understood");
    w.harness.run_steps(4);
    let field = w.harness.get_by_label("Message").rect();
    let notice = w.harness.get_by_label_contains("are not understood").rect();
    assert!(notice.top() > field.bottom(), "{notice:?} over {field:?}");
    assert!(notice.bottom() < 800.0, "{notice:?}");
    assert!(w.harness.state().settings().private, "what may have been private is");
    w.click("Dismiss");
    w.harness.run_steps(2);
    assert!(!w.has("are not understood"));
}

#[test]
fn a_paste_that_is_cut_is_said_and_there_are_three_notices_at_most() {
    let mut w = tab("chat", ",\"theme\":\"sepia\"");
    w.until_label("are not understood");
    w.harness.get_by_label("Message").focus();
    w.harness.run_steps(2);
    w.harness.event(egui::Event::Paste("word ".repeat(1_000_000)));
    w.until_label("4,900,000 were left out");
    w.harness.run_steps(4);
    let notices = w.harness.query_all_by_label("Dismiss").count();
    assert!((1..=3).contains(&notices), "{notices}");
    // Both can be read: the strip is as high as it must be.
    let screen = w.harness.ctx.content_rect();
    for part in ["are not understood", "were left out"] {
        let rect = w.harness.get_by_label_contains(part).rect();
        assert!(screen.contains_rect(rect), "{part}: {rect:?}");
    }
}

#[test]
fn a_long_paste_replaces_what_is_selected() {
    let mut w = tab("entities", "");
    let name = "Text to search for names";
    w.harness.run_steps(3);
    w.harness.get_by_label(name).focus();
    w.harness.run_steps(2);
    // As a keyboard says it on Linux: Ctrl is the command key too.
    w.harness.key_press_modifiers(Modifiers { ctrl: true, command: true, ..Modifiers::NONE }, Key::A);
    w.harness.run_steps(2);
    w.harness.event(egui::Event::Paste(format!("Anna lives in Oslo. {}", "And so on. ".repeat(3_000))));
    w.until_label("Long text: Anna lives in Oslo.");
}

#[test]
fn a_second_window_says_that_it_is_one() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().to_owned();
    let library = || Library::find(Some(&models()));
    let mut first = window_of(None, library(), folder, vec2(1280.0, 800.0), "");
    first.harness.run_steps(3);
    assert!(!first.has("open in another window"));
    // The same folders: a link to them, since each window of a test has a folder of its own.
    let other = tempfile::tempdir().expect("folder");
    std::os::unix::fs::symlink(path.join("data"), other.path().join("data")).expect("link");
    let mut second = window_of(None, library(), other, vec2(1280.0, 800.0), "");
    second.until_label("open in another window");
    drop(first);
}

#[test]
fn nothing_overlaps_in_the_status_line_at_any_size() {
    for (size, scale) in [(vec2(1280.0, 800.0), 2.0), (vec2(1024.0, 600.0), 2.0), (vec2(1920.0, 1080.0), 1.0)] {
        let mut w = window_with(&models(), size / scale, "");
        w.until_label("queue");
        w.harness.run_steps(3);
        let device = w.harness.get_by_label_contains("threads, ").rect();
        let commands = w.harness.get_by_label("Commands").rect();
        let queue = w.harness.query_by_label("queue").map(|n| n.rect());
        assert!(device.right() <= commands.left(), "{device:?} {commands:?}");
        if let Some(queue) = queue {
            assert!(
                device.right() <= queue.left() && queue.right() <= commands.left(),
                "{device:?} {queue:?} {commands:?}"
            );
        }
        assert!(commands.right() <= size.x / scale, "{commands:?}");
    }
}
