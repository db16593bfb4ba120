//! Several answers at the same time: two conversations, and the chat beside other tabs.

use super::{Window, models, window_with};
use egui::vec2;
use egui_kittest::kittest::Queryable as _;

/// Greedy, and so long that nothing ends by itself while somebody clicks.
const LONG: &str = ",\"chat\":{\"sampling\":{\"temperature\":0.0},\"max_tokens\":2000},\"generate\":{\"sampling\":{\"temperature\":0.0},\"max_tokens\":1000}";
const STORY: &str = "Write a very long story about a dragon.";
const SHIPS: &str = "Tell me all about the history of ships.";

fn chat() -> Window {
    let mut w = window_with(&models(), vec2(1280.0, 800.0), &format!("{{\"tab\":\"chat\"{LONG}}}"));
    w.harness.run_steps(3);
    w
}

/// A chat in which the story and the ships are being written.
fn two() -> Window {
    let mut w = chat();
    w.say(STORY);
    w.until_label("writing…");
    w.click("New conversation");
    w.say(SHIPS);
    w.until_label("writing…");
    w
}

impl Window {
    fn until_gone(&mut self, part: &str) {
        let gone = part.to_owned();
        self.until(&format!("'{part}' to go"), move |h| h.query_all_by_label_contains(&gone).next().is_none());
    }
}

/// Letters of the first answer to a conversation's first question, of what lies on the disk.
fn letters(all: &[serde_json::Value], question: &str) -> usize {
    let turn = all.iter().map(|c| &c["turns"][0]).find(|t| t["question"] == question);
    turn.and_then(|t| t["answers"][0]["text"].as_str()).map_or(0, str::len)
}

#[test]
fn two_conversations_are_written_at_once_and_each_has_its_own_stop() {
    let mut w = two();
    assert!(w.has("1 other answer is being written"));
    w.until_label("At work: smollm2-135m: 2 written");
    w.click("Conversations (2)");
    assert!(w.has(&format!("{STORY} is being written")) && w.has(&format!("{SHIPS} is being written")));
    w.click(&format!("Stop {SHIPS}"));
    w.until_gone(&format!("{SHIPS} is being written"));
    // The other one goes on, and is seen as it comes.
    assert!(w.has(&format!("{STORY} is being written")));
    w.until_label("smollm2-135m: 1 written");
    w.click(&format!("Open {STORY}"));
    w.until_label("writing…");
    assert!(!w.has("other answer"));
    w.click("Stop");
    w.until_label("stopped");
    w.until_gone("At work:");
    // Who shared the steps is told under the answer, and in the pulse by name.
    w.until_label("Shared its steps with 1 other request:");
    assert!(w.has("Mark chat "));
    w.click("What is behind this answer?");
    w.until_label("Shared its steps with 1 other request.");
    w.until_kept(|all| letters(all, STORY) > 0 && letters(all, SHIPS) > 0);
}

#[test]
fn a_conversation_that_is_written_is_deleted_and_its_answer_ends() {
    let mut w = two();
    w.click("Conversations (2)");
    let delete = w.harness.get_all_by_label("Delete conversation").next().expect("button");
    delete.click();
    w.harness.run_steps(3);
    w.until_label("Conversation deleted.");
    w.until_label("smollm2-135m: 1 written");
    w.until_kept(|all| all.len() == 1);
    // What had come of it comes back with it, and the other was not disturbed.
    w.click("Undo");
    w.until_kept(|all| all.len() == 2 && letters(all, SHIPS) > 0);
    assert!(w.has(&format!("{STORY} is being written")) && !w.has(&format!("{SHIPS} is being written")));
    w.click(&format!("Stop {STORY}"));
    w.until_gone("At work:");
    w.click(&format!("Open {SHIPS}"));
    w.until_label("stopped");
}

#[test]
fn what_is_being_written_is_kept_when_the_window_closes() {
    let mut w = two();
    eframe::App::on_exit(w.harness.state_mut(), None);
    let all = w.kept();
    assert!(letters(&all, STORY) > 0 && letters(&all, SHIPS) > 0, "{all:?}");
}

#[test]
fn the_chat_and_a_text_go_on_at_the_same_time() {
    let mut w = window_with(&models(), vec2(1280.0, 800.0), &format!("{{\"tab\":\"generate\"{LONG}}}"));
    w.harness.run_steps(3);
    w.click("Go on");
    w.until_label("token 3 ");
    w.harness.get_by_role_and_label(egui::Role::Tab, "Chat").click();
    w.harness.run_steps(3);
    w.say(STORY);
    w.until_label("writing…");
    w.until_label("2 written");
    // What is told in short can be read in full.
    w.harness.get_by_label_contains("At work: ").click();
    w.until_label("are written");
}
