//! What is said in a conversation, and how it is written down. Knows no screen.

use crate::tasks::{Message, Role, Step};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Letters of a question that make a conversation's title.
const TITLE: usize = 48;

/// An answer of the model's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub text: String,
    pub model: String,
    /// Tokens written, and per second of writing.
    pub tokens: usize,
    pub tokens_per_second: f64,
    /// Milliseconds from the question to the first token.
    pub ttft_ms: f64,
    /// Tokens of prompt and answer, and how many there may be.
    pub context_used: usize,
    pub context: usize,
    /// Messages at the beginning that the model did not see.
    pub dropped: usize,
    /// Tokens of the prompt that were found already read, and the milliseconds that it saved.
    pub cached: usize,
    pub saved_ms: u32,
    /// Other requests that shared steps with it.
    pub shared_with: usize,
    pub seed: u64,
    pub stopped: bool,
    pub warnings: Vec<String>,
    /// How sure the model was of each token; not written down.
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// A question with all answers to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    pub question: String,
    pub answers: Vec<Answer>,
    /// The answer that counts, by index.
    pub shown: usize,
}

impl Turn {
    /// The answer that counts.
    pub fn answer(&self) -> Option<&Answer> {
        self.answers.get(self.shown)
    }
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conversation {
    /// Names its file.
    pub id: String,
    /// Given by a person; empty: the first question.
    pub title: String,
    /// Seconds since 1970.
    pub created: u64,
    pub changed: u64,
    /// What the model is told first; empty: what its template says.
    pub system: String,
    pub turns: Vec<Turn>,
    /// Not written down.
    #[serde(skip)]
    pub private: bool,
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Conversation {
    /// An empty one.
    pub fn new(system: &str, private: bool) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let id = format!("{nanos:016x}-{:04x}", rand::random::<u16>());
        let (created, changed) = (now(), now());
        Self { id, title: String::new(), created, changed, system: system.to_owned(), turns: Vec::new(), private }
    }

    /// What to call it.
    pub fn name(&self) -> String {
        if !self.title.trim().is_empty() {
            return self.title.clone();
        }
        let Some(turn) = self.turns.first() else { return "New conversation".into() };
        let words: Vec<&str> = turn.question.split_whitespace().collect();
        let text = words.join(" ");
        let short: String = text.chars().take(TITLE).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    }

    /// What the model is given to answer the last question: all turns so far.
    pub fn messages(&self) -> Vec<Message> {
        let mut out = Vec::new();
        if !self.system.trim().is_empty() {
            out.push(Message::system(self.system.trim()));
        }
        for (i, turn) in self.turns.iter().enumerate() {
            out.push(Message::user(&turn.question));
            if let Some(answer) = turn.answer().filter(|_| i + 1 < self.turns.len()) {
                out.push(Message::assistant(&answer.text));
            }
        }
        out
    }

    /// Whether `words` occur in it, large or small.
    pub fn contains(&self, words: &str) -> bool {
        let words = words.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&words);
        has(&self.name()) || self.turns.iter().any(|t| has(&t.question) || t.answers.iter().any(|a| has(&a.text)))
    }

    /// Turns at the beginning that the model did not see when it gave its last answer.
    pub fn unseen_turns(&self) -> usize {
        let dropped = self.turns.iter().rev().find_map(Turn::answer).map_or(0, |a| a.dropped);
        // Question and answer count as one message each.
        dropped.div_ceil(2).min(self.turns.len().saturating_sub(1))
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("# {}\n", self.name());
        if !self.system.trim().is_empty() {
            out.push_str(&format!("\n*System: {}*\n", self.system.trim()));
        }
        for turn in &self.turns {
            out.push_str(&format!("\n**You**\n\n{}\n", turn.question.trim()));
            if let Some(answer) = turn.answer() {
                out.push_str(&format!("\n**{}**\n\n{}\n", answer.model, answer.text.trim()));
            }
        }
        out
    }

    /// As JSON: the messages as chat programs exchange them, and everything else beside them.
    pub fn to_json(&self) -> String {
        let mut messages = self.messages();
        if let Some(answer) = self.turns.last().and_then(Turn::answer) {
            messages.push(Message { role: Role::Assistant, content: answer.text.clone() });
        }
        let json = serde_json::json!({ "title": self.name(), "messages": messages, "conversation": self });
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(turns: usize) -> Conversation {
        let mut c = Conversation::new("Be brief.", false);
        for i in 0..turns {
            let answer = Answer { text: format!("a{i}"), model: "m".into(), ..Answer::default() };
            c.turns.push(Turn { question: format!("q{i}"), answers: vec![answer], shown: 0 });
        }
        c
    }

    #[test]
    fn the_last_question_is_asked_without_its_old_answers() {
        let mut c = talk(2);
        c.turns[1].answers.push(Answer::default());
        let said: Vec<String> = c.messages().into_iter().map(|m| m.content).collect();
        assert_eq!(said, ["Be brief.", "q0", "a0", "q1"]);
    }

    #[test]
    fn a_file_brings_everything_back_but_what_is_private() {
        let mut c = talk(3);
        c.turns[2].shown = 5;
        let back: Conversation = serde_json::from_str(&serde_json::to_string(&c).expect("json")).expect("back");
        assert_eq!(back, c);
        assert!(back.turns[2].answer().is_none(), "a number out of range is no answer, and no panic");
        let old: Conversation = serde_json::from_str("{\"id\":\"x\",\"turns\":[{\"question\":\"hi\"}]}").expect("old");
        assert_eq!(old.name(), "hi");
    }

    #[test]
    fn names_search_and_exports() {
        let mut c = talk(1);
        c.turns[0].question = "How does\n a battery work, and why does it run empty after some years?".into();
        assert_eq!(c.name(), "How does a battery work, and why does it run emp…");
        assert!(c.contains("BATTERY") && c.contains("a0") && !c.contains("zebra"));
        assert!(c.to_markdown().contains("**You**") && c.to_markdown().contains("**m**"));
        let json: serde_json::Value = serde_json::from_str(&c.to_json()).expect("json");
        assert_eq!(json["messages"][2]["content"], "a0");
    }
}
