//! Chat and Generate as a person meets them.

use super::{Window, models, window_in, window_with};
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use std::path::Path;

fn tab(name: &str, more: &str) -> Window {
    window_with(&models(), vec2(1280.0, 800.0), &format!("{{\"tab\":\"{name}\"{more}}}"))
}

/// Greedy and short, so that a test knows what comes.
const BRIEF: &str = ",\"chat\":{\"sampling\":{\"temperature\":0.0},\"max_tokens\":24},\"generate\":{\"sampling\":{\"temperature\":0.0},\"max_tokens\":6}";

/// The chat with a conversation of these turns kept from before, and opened by this name.
fn kept_tab(turns: &str, more: &str, name: &str) -> Window {
    let folder = tempfile::tempdir().expect("folder");
    let kept = folder.path().join("data/conversations/a.json");
    std::fs::create_dir_all(kept.parent().expect("parent")).expect("folder");
    std::fs::write(&kept, format!("{{\"turns\":[{turns}]}}")).expect("file");
    let settings = format!("{{\"tab\":\"chat\"{more}{BRIEF}}}");
    let mut w = window_in(folder, &models(), vec2(1280.0, 800.0), &settings);
    w.until_label("Conversations (1)");
    w.click("Conversations (1)");
    w.click(name);
    w
}

impl Window {
    pub fn say(&mut self, text: &str) {
        self.harness.get_by_label("Message").focus();
        self.harness.run_steps(1);
        self.harness.get_by_label("Message").type_text(text);
        self.harness.run_steps(2);
        self.harness.key_press(Key::Enter);
        self.harness.run_steps(2);
    }

    /// Waits until `count` answers with their numbers stand there.
    pub fn until_answers(&mut self, count: usize) {
        self.until("answers", move |h| {
            h.query_all_by_label_contains("tokens/s · first token").count() == count
                && h.query_by_label("Stop").is_none()
        });
    }

    pub fn kept(&self) -> Vec<serde_json::Value> {
        let folder = self.folder().join("data/conversations");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let text = files.filter_map(|f| std::fs::read_to_string(f.path()).ok());
        text.filter_map(|t| serde_json::from_str(&t).ok()).collect()
    }

    pub fn until_kept(&self, done: impl Fn(&[serde_json::Value]) -> bool) {
        let begun = std::time::Instant::now();
        while !done(&self.kept()) {
            assert!(begun.elapsed().as_secs() < 20, "{:?}", self.kept());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn a_question_is_answered_and_the_conversation_is_kept() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.say("What is the capital of France?");
    w.until_answers(1);
    assert!(w.has("Paris"));
    assert!(w.has("context "));
    w.until_kept(|all| {
        all.len() == 1 && all[0]["turns"][0]["answers"][0]["text"].as_str().is_some_and(|t| t.contains("Paris"))
    });
    // The request is on the time axis, with what it read and wrote.
    w.until_label("tokens read");
    w.say("And of Italy?");
    w.until_answers(2);
    // What was said before need not be read again.
    w.until_label("tokens were known already");
    w.until_kept(|all| all[0]["turns"][1]["answers"][0]["cached"].as_u64() > Some(0));
    w.until_kept(|all| all[0]["turns"].as_array().is_some_and(|t| t.len() == 2));
}

#[test]
fn an_answer_is_given_again_and_both_stay() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.click("How does a battery work?");
    w.until_answers(1);
    w.click("Answer again");
    w.until_label("2 of 2");
    w.click("Earlier answer");
    w.until_label("1 of 2");
}

#[test]
fn a_question_is_changed_deleted_and_brought_back() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.say("What is the capital of France?");
    w.until_answers(1);
    w.click("Edit message");
    w.write("Changed message", "What is the capital of Italy?");
    w.click("Send again");
    w.until_answers(1);
    assert!(w.has("Italy?") && !w.has("of France?"));
    w.click("Undo");
    w.until_label("of France?");
    w.click("Delete message");
    w.until_label("Message deleted.");
    assert!(!w.has("of France?"));
    w.click("Undo");
    w.until_label("of France?");
    w.until_kept(|all| all.len() == 1 && all[0]["turns"][0]["question"] == "What is the capital of France?");
}

#[test]
fn conversations_are_listed_found_renamed_and_deleted() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.say("What is the capital of France?");
    w.until_answers(1);
    w.click("New conversation");
    w.say("Name a colour.");
    w.until_answers(1);
    w.click("Conversations (2)");
    w.write("Find in all conversations", "colour");
    assert!(w.has("Open Name a colour.") && !w.has("Open What is"));
    w.write("Find in all conversations", "capital");
    w.click("Rename conversation");
    w.write("New name", "Geography");
    w.click("Rename");
    w.until_label("Open Geography");
    w.click("Delete conversation");
    w.until_label("Conversation deleted.");
    w.until_kept(|all| all.len() == 1);
    w.click("Undo");
    w.until_kept(|all| all.len() == 2);
    w.click("Open Geography");
    w.until_label("of France?");
}

#[test]
fn private_talk_is_not_written_down() {
    let mut w = tab("chat", &format!("{BRIEF},\"private\":true"));
    w.harness.run_steps(3);
    assert!(w.has("private: not kept"));
    w.say("What is the capital of France?");
    w.until_answers(1);
    w.click("New conversation");
    assert!(w.kept().is_empty());
}

#[test]
fn links_in_answers_are_shown_and_never_opened() {
    let turn = r#"{"question":"Where?","answers":[{"text":"See [the page](https://example.org/x)."}]}"#;
    let mut w = kept_tab(turn, "", "Open Where?");
    w.until_label("the page");
    w.harness.get_by_label("the page").click();
    for _ in 0..4 {
        w.harness.run_steps(1);
        let commands = &w.harness.output().platform_output.commands;
        assert!(!commands.iter().any(|c| matches!(c, egui::OutputCommand::OpenUrl(_))));
    }
    w.until_label("Links are not opened here: https://example.org/x");
}

#[test]
fn a_full_context_is_marked_where_it_begins() {
    let turn = r#"{"question":"What do you think about the weather in the mountains this month?","answers":[{"text":"It is often mild, and sometimes it rains a little in the evening."}]}"#;
    let mut w =
        kept_tab(&[turn; 12].join(","), ",\"context\":256", "Open What do you think about the weather in the mount…");
    w.say("And today?");
    w.until_label("of 256");
    w.until_label("were left out");
    w.until_label("the model no longer sees the");
}

#[test]
fn what_was_said_is_there_after_a_restart() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.say("What is the capital of France?");
    w.until_answers(1);
    w.until_kept(|all| all.len() == 1 && !all[0]["turns"][0]["answers"].as_array().expect("answers").is_empty());
    let Window { harness, _folder: folder, .. } = w;
    drop(harness);
    std::fs::write(folder.path().join("data/conversations/damaged.json"), "{ no").expect("file");
    let settings = format!("{{\"tab\":\"chat\"{BRIEF}}}");
    let mut again = window_in(folder, &models(), vec2(1280.0, 800.0), &settings);
    again.harness.run_steps(2);
    again.until_label("Conversations (1)");
    again.until_label("damaged.json");
    assert!(again.has("left out"));
    again.click("Conversations (1)");
    again.click("Open What is the capital of France?");
    again.until_label("Paris");
}

#[test]
fn stop_keeps_what_was_written_and_a_missing_model_is_explained() {
    let mut w = tab("chat", ",\"chat\":{\"sampling\":{\"temperature\":0.0},\"max_tokens\":2000}");
    w.harness.run_steps(3);
    w.say("Write a very long story about a dragon and a knight.");
    w.until_label("writing…");
    w.harness.key_press(Key::Escape);
    w.until_label("stopped");
    let mut w = tab("chat", ",\"chat\":{\"model\":\"/nowhere/model.gguf\"}");
    w.harness.run_steps(3);
    w.say("Hello");
    w.until_label("'/nowhere/model.gguf' is missing");
    assert!(w.has("Retry") && w.has("Hello"), "the question stays");
}

#[test]
fn a_text_is_continued_and_a_candidate_begins_a_branch() {
    let mut w = tab("generate", BRIEF);
    w.harness.run_steps(3);
    w.write("Prompt", "The days of the week are Monday, Tuesday,");
    w.click("Go on");
    w.until("six tokens", |h| {
        h.query_all_by_label_contains("token 6 ").next().is_some() && h.query_by_label("Stop").is_some()
    });
    assert!(w.has("token 1 Wednesday"));
    w.until_label("candidate ");
    w.click("token 1 Wednesday");
    w.until_label("Token 1");
    assert_eq!(w.harness.query_all_by_label_contains("candidate ").count(), 10);
    let other = w.harness.query_all_by_label_contains("candidate ").nth(1).expect("second candidate");
    other.click();
    w.harness.run_steps(3);
    w.until_label("branch 2:");
    assert!(w.has("branch 1:"));
    w.harness.key_press_modifiers(Modifiers::COMMAND, Key::ArrowRight);
    w.harness.run_steps(2);
}

#[test]
fn options_explain_themselves_and_presets_set_the_system_prompt() {
    let mut w = tab("chat", BRIEF);
    w.harness.run_steps(3);
    w.click("Options");
    w.harness.run_steps(6);
    for name in ["Temperature", "Top-k", "Top-p", "Min-p", "Repetition", "Longest"] {
        assert!(w.has(&format!("What is {name}?")), "{name}");
    }
    w.click("Teacher");
    w.click("Done");
    w.say("Hi");
    w.until_answers(1);
    w.until_kept(|all| all.len() == 1 && all[0]["system"].as_str().is_some_and(|s| s.contains("patient teacher")));
    assert!(Path::new(&w.folder()).is_dir());
}
