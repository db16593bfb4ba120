//! What a person is told when something fails: what, why, and what to do next.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// Text from outside (a file's name, a model's) as it may stand in a line: what would steer a terminal, break the line or
/// turn its direction is written out.
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    written_out(text, steers)
}

/// The same for text of several lines, such as a model's answer: lines and tabs stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c.is_control() && c != '\n' && c != '\t')
}

/// `text` with the characters that steer a terminal as escapes.
fn written_out(text: &str, steers: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&steers) {
        return Cow::Borrowed(text);
    }
    let each = text.chars().map(|c| if steers(c) { c.escape_debug().to_string() } else { c.to_string() });
    Cow::Owned(each.collect())
}

/// A failure in a person's words. Every layer's error becomes one of these at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserMessage {
    /// What did not work.
    pub what: String,
    /// Why, with the name of the file or value.
    pub why: String,
    /// What to do about it.
    pub next: String,
}

impl UserMessage {
    /// A message of three sentences. Names in them that would steer a terminal are written out.
    pub fn new(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        let own = |text: String| match plain(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(plain) => plain,
        };
        Self { what: own(what.into()), why: own(why.into()), next: own(next.into()) }
    }
}

impl fmt::Display for UserMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.next.is_empty() {
            write!(f, "\n  {}", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for UserMessage {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb\u{9b}1m\u{202e}"), "a\\u{1b}[31m\\nb\\u{9b}1m\\u{202e}");
        assert!(matches!(plain("Zoë's файл 文件.gguf"), Cow::Borrowed(_)));
        assert_eq!(plain_lines("a\n\tb\u{7}\r"), "a\n\tb\\u{7}\\r");
        let message = UserMessage::new("x", "'a\nb' is damaged", "");
        assert_eq!(message.to_string(), "x: 'a\\nb' is damaged");
    }
}
