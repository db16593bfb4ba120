//! Translation, and summaries in other words than the text's.

use super::{Window, models, window_with};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use std::path::Path;

fn tab(name: &str, more: &str) -> Window {
    let settings = format!("{{\"tab\": \"{name}\"{more}}}");
    let mut w = window_with(&models(), vec2(1280.0, 1400.0), &settings);
    w.harness.run_steps(2);
    w
}

fn run(w: &mut Window) {
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::Enter);
    w.harness.run_steps(2);
}

fn t5() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seq2seq-t5").display().to_string()
}

#[test]
fn a_text_is_translated_and_looked_into_sentence_by_sentence() {
    let mut w = tab("translate", "");
    w.until_label("Short everyday sentences");
    w.write("Text to translate", "I love you.\n\nThank you very much!");
    run(&mut w);
    w.until_label("Translation: ");
    w.until_label("2 sentences");
    // Paragraphs are kept.
    assert!(w.harness.query_all_by_label_contains("\n\n").next().is_some());
    assert!(w.harness.query_by_label("Alternatives").is_some());
    let bridge = "Which words belong together: ";
    assert!(w.harness.query_all_by_label_contains(bridge).next().is_some());
    // The cursor in the source chooses a sentence: its alternatives follow.
    w.harness.get_by_label("Text to translate").focus();
    w.harness.run_steps(1);
    w.harness.key_press_modifiers(Modifiers::CTRL, Key::Home);
    w.harness.run_steps(3);
    let chosen = |w: &Window, word: &str| {
        w.harness.query_all_by_label_contains(&format!("Which words belong together: {word}")).next().is_some()
    };
    assert!(chosen(&w, "I"));
    for _ in 0..14 {
        w.harness.key_press(Key::ArrowRight);
        w.harness.run_steps(1);
    }
    w.harness.run_steps(2);
    assert!(chosen(&w, "Thank"));
    // Another number of beams asks again, and both costs are shown.
    w.click("1 beams");
    w.until_label("1 beam: ");
    assert!(w.harness.query_all_by_label_contains("4 beams: ").next().is_some());
    assert!(w.harness.query_by_label("One beam finds one translation.").is_some());
    // There is no model for the way back.
    w.harness.get_by_label("Swap the languages").click();
    w.harness.run_steps(3);
    assert!(w.harness.query_by_label("Text to translate").is_some());
    // A text that has changed since is said to have.
    w.write("Text to translate", "Good night. ");
    w.until_label("The text has changed since.");
}

#[test]
fn a_file_keeps_its_structure_and_is_saved_beside_it() {
    let mut w = tab("translate", "");
    w.until_label("Short everyday sentences");
    let path = w.folder().join("note.md");
    std::fs::write(&path, "# Good morning\n\n- `x = 1`\n- I am tired.\n").expect("file");
    w.click("File…");
    w.until_label("File path");
    w.write("File path", &path.display().to_string());
    w.click("Open");
    w.until_label("The file's structure is kept");
    assert!(w.harness.query_all_by_label_contains("- `x = 1`").next().is_some());
}

#[test]
fn a_summary_by_the_chat_model_is_compared_with_its_source_and_a_reference() {
    let mut w = tab("summary", "");
    w.click("Chat model");
    run(&mut w);
    w.until_label("times shorter");
    w.until_label("tokens read");
    // The comparison with the source comes a moment later, and moves what stands below.
    for _ in 0..40 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        w.harness.run_steps(1);
    }
    w.click("Compare with a reference…");
    w.write("Reference summary", "The bridge was closed after engineers found cracks.");
    w.until_label("ROUGE-L");
}

#[test]
fn other_words_need_a_t5_and_follow_their_limits() {
    let mut w = tab("summary", "");
    w.click("Other words (T5)");
    run(&mut w);
    w.until_label("There is no model for this method");
    let mut w = tab("summary", &format!(", \"t5\": {:?}", t5()));
    w.click("Other words (T5)");
    w.until_label("seq2seq-t5");
    run(&mut w);
    w.until_label("tokens read");
    assert!(w.harness.query_by_label("Most tokens").is_some());
    w.click("4 beams");
    w.until_label("tokens read");
}
