//! The tabs that look into a text: entities, questions, summary, classify, extract.

use super::{Window, models, window_with};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;

fn tab(name: &str) -> Window {
    let settings = format!("{{\"tab\": \"{name}\"}}");
    let mut w = window_with(&models(), vec2(1280.0, 1400.0), &settings);
    w.harness.run_steps(2);
    w
}

/// What was copied by the button called `button`.
fn copied(w: &mut Window, button: &str) -> String {
    w.harness.get_by_label(button).click();
    for _ in 0..6 {
        w.harness.run_steps(1);
        for command in &w.harness.output().platform_output.commands {
            if let egui::OutputCommand::CopyText(text) = command {
                return text.clone();
            }
        }
    }
    panic!("nothing was copied by {button}");
}

#[test]
fn names_light_up_and_one_can_be_looked_into() {
    let mut w = tab("entities");
    w.write("Text to search for names", "Angela Merkel met Emmanuel Macron in Paris.");
    w.click("Run");
    w.until_label("Text with 3 names: Angela Merkel, Emmanuel Macron, Paris");
    assert!(w.harness.query_by_label("Person 2").is_some() && w.harness.query_by_label("Place 1").is_some());
    w.harness.query_all_by_label_contains("Place Paris").next().expect("a row").click();
    w.harness.run_steps(3);
    // Nested: every type's probability of the chosen one.
    assert!(w.harness.query_all_by_label_contains("none ").next().is_some());
    assert!(w.harness.query_all_by_label_contains("Bytes 37–42").next().is_some());
    w.click("Why?");
    w.until_label("variants in one batch");
    w.click("Tokens");
    w.until_label("piece angela");
    let json = copied(&mut w, "JSON");
    assert!(json.contains("\"type\": \"LOC\"") && json.contains("\"timing_ms\""), "{json}");
    // A type can be taken out of the picture.
    w.click("Person 2");
    w.until_label("Text with 1 names: Paris");
    w.click("Edit");
    assert!(w.harness.query_by_label("Text to search for names").is_some());
}

#[test]
fn several_files_are_searched_and_a_table_is_saved() {
    let mut w = tab("entities");
    let folder = w.folder();
    for (name, text) in [("a.txt", "Reuters wrote from London."), ("b.txt", "Nobody was named.")] {
        std::fs::write(folder.join(name), text).expect("file");
    }
    w.click("Batch…");
    for name in ["a.txt", "b.txt"] {
        w.click("Add file…");
        w.until_label("File path");
        w.write("File path", &folder.join(name).display().to_string());
        w.click("Open");
        w.until_label(name);
    }
    w.click("Run");
    w.until_label("2 entities in 2 files");
    w.until_label("no names");
    w.click("Save CSV…");
    w.until_label("File path");
    let table = folder.join("names.csv");
    w.write("File path", &table.display().to_string());
    w.click("Save");
    w.until_label("Saved to");
    let text = std::fs::read_to_string(&table).expect("csv");
    assert!(text.contains("LOC,London,19,25"), "{text}");
}

#[test]
fn a_question_lights_its_answer_and_several_go_at_once() {
    let mut w = tab("questions");
    w.write("Text to look in", "The train leaves at nine from platform four. Tickets cost twelve pounds.");
    w.write("Question", "When does the train leave?");
    w.harness.key_press(Key::Enter);
    w.harness.run_steps(2);
    w.until_label("nine");
    assert!(w.harness.query_by_label("Passage with its answers").is_some());
    assert!(w.harness.query_all_by_label_contains("no answer here").next().is_some());
    w.click("Why?");
    w.until_label("variants in one batch");
    w.click("Several…");
    w.write("Questions, one per line", "When does the train leave?\nHow much do tickets cost?");
    w.click("Ask");
    w.until_label("How much do tickets cost? twelve pounds");
    w.click("How much do tickets cost? twelve pounds");
    w.until_label("place twelve pounds");
    assert!(copied(&mut w, "Copy").contains("How much do tickets cost?\ttwelve pounds"));
}

#[test]
fn a_question_that_is_missing_is_asked_for() {
    let mut w = tab("questions");
    w.write("Question", " ");
    w.click("Ask");
    w.until_label("There is nothing to analyse");
    w.until_label("question is empty");
}

#[test]
fn a_summary_takes_whole_sentences_and_follows_its_length() {
    let mut w = tab("summary");
    w.click("bridge");
    w.until_label("3 of 9 sentences");
    assert!(w.harness.query_by_label("Text with the chosen sentences lit").is_some());
    w.click("percent");
    w.until_label("of 9 sentences");
    w.click("Why?");
    w.until_label("Why these?");
    assert!(copied(&mut w, "JSON").contains("\"sentences\""));
}

#[test]
fn labels_of_ones_own_by_name() {
    let mut w = tab("classify");
    w.write("Labels, one per line", "animals: dogs, cats, horses\nweather: rain, sun, wind");
    w.write("Text to classify", "The dog slept in front of the stove.");
    w.click("Run");
    w.until_label("animals 9");
    w.click("Why?");
    w.until_label("variants in one batch");
    w.write("Labels, one per line", "animals");
    w.click("Run");
    w.until_label("two labels or more");
}

#[test]
fn a_few_examples_teach_and_the_head_is_kept() {
    let mut w = tab("classify");
    w.click("By examples");
    assert!(w.harness.query_all_by_label_contains("Teach first").next().is_some());
    w.write("Label 1", "praise");
    w.write("Examples of label 1", "I love it\nwonderful work\nwell done");
    w.click("Remove label 3");
    w.write("Label 2", "complaint");
    w.write("Examples of label 2", "this is awful\nI am very angry\nwhat a mess");
    w.click("Teach");
    w.until_label("Learned 2 labels from 6 examples");
    w.until_label("of 6 were recognised");
    w.write("Text to classify", "what wonderful, lovely work");
    w.click("Run");
    w.until("an answer", |h| h.query_by_label("JSON").is_some());
    assert!(copied(&mut w, "JSON").contains("\"label\": \"praise\""));
    w.click("Save head…");
    w.until_label("File path");
    let path = w.folder().join("head.json");
    w.write("File path", &path.display().to_string());
    w.click("Save");
    w.until_label("Saved to");
    assert!(glossa::labs::teach::open(&path).is_ok_and(|h| h.labels == ["praise", "complaint"]));
}

#[test]
fn fields_are_found_corrected_and_copied() {
    let mut w = tab("extract");
    w.click("invoice");
    w.until_label("Value of field 1");
    w.until_label("fields ·");
    assert!(w.harness.query_by_label("Text with its fields lit").is_some());
    w.write("Value of field 1", "Someone Else Ltd");
    let json = copied(&mut w, "JSON");
    assert!(json.contains("Someone Else Ltd") && json.contains("\"source\": \"person\""), "{json}");
    assert!(json.contains("GB29 NWBK 6016 1331 9268 19") && json.contains("accounts@northwind.example"), "{json}");
    w.click("Remove field 1");
    assert!(!copied(&mut w, "Copy").contains("Someone Else"));
}

#[test]
fn a_file_is_opened_and_stop_ends_a_long_one() {
    let mut w = tab("entities");
    let file = w.folder().join("long.txt");
    std::fs::write(&file, "Anna Berg met Tom Reed in Oslo. ".repeat(60_000)).expect("file");
    w.click("Open file…");
    w.until_label("File path");
    w.write("File path", &file.display().to_string());
    w.click("Open");
    w.until_label("Long text: Anna Berg");
    w.until_label("Running");
    w.harness.key_press_modifiers(Modifiers::NONE, Key::Escape);
    w.until_label("Stopped. Your text is still there.");
    assert!(w.harness.query_all_by_label_contains("Long text: Anna Berg").next().is_some());
}
