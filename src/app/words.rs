//! What the engine did and does, in words for people: the chat, the pulse, the monitor and the status line say it alike.

use super::widgets::{grouped, millis};
use crate::engine::message::AtWork;

/// "1 request", "2 requests".
pub fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// How much of a prompt was found already read, and what that saved; nothing if nothing was.
pub fn known(cached: usize, tokens: usize, saved_ms: u32) -> Option<String> {
    if cached == 0 {
        return None;
    }
    // A model that has just been read does not know its own speed yet.
    let saved = match saved_ms {
        0 => String::new(),
        1..100 => format!(": {saved_ms} ms saved"),
        _ => format!(": {} saved", millis(f64::from(saved_ms))),
    };
    let were = if cached == 1 { "was" } else { "were" };
    Some(format!("{} of {} {were} known already{saved}", grouped(cached), counted(tokens.max(cached), "token")))
}

/// With how many other requests steps were shared; nothing if with none.
pub fn shared(others: usize) -> Option<String> {
    (others > 0).then(|| format!("shared its steps with {}", counted(others, "other request")))
}

/// A sentence of what would stand in the middle of one.
pub fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// What the models at work do, short enough for the status line; nothing while nothing is done.
pub fn at_work(work: &[AtWork]) -> Option<String> {
    let all = work.iter().fold((0, 0, 0), |(w, r, q), m| (w + m.writing, r + m.reading, q + m.waiting));
    let name = match work {
        [] => return None,
        [one] => name_of(one).to_owned(),
        many => counted(many.len(), "model"),
    };
    let pages = match work {
        [one] => one.occupancy.filter(|o| o.pages > 0),
        _ => None,
    };
    let pages = pages.map_or_else(String::new, |o| format!(" · {} of {} pages", grouped(o.pages), grouped(o.limit)));
    Some(format!("{name}: {}{pages}", doings(all)))
}

/// "2 written, 1 read, 1 waits", without what is none.
fn doings((writing, reading, waiting): (usize, usize, usize)) -> String {
    let waits = if waiting == 1 { "waits" } else { "wait" };
    let each = [(writing, "written"), (reading, "read"), (waiting, waits)];
    let said: Vec<String> = each.iter().filter(|e| e.0 > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if said.is_empty() { "at work".into() } else { said.join(", ") }
}

/// The same as whole sentences, a paragraph per model.
pub fn at_work_in_full(work: &[AtWork]) -> String {
    let paragraphs: Vec<String> = work.iter().map(paragraph).collect();
    paragraphs.join("\n\n")
}

fn paragraph(work: &AtWork) -> String {
    let are = |n: usize, what: &str, one: &str, many: &str| {
        (n > 0).then(|| format!("{} {}", counted(n, what), if n == 1 { one } else { many }))
    };
    let mut said = vec![
        are(work.writing, "text", "is written", "are written"),
        are(work.reading, "text", "is read", "are read"),
        are(
            work.waiting,
            "request",
            "waits for its turn, for the model or for memory",
            "wait for their turn, for the model or for memory",
        ),
    ];
    said.push(
        (work.rows > 0).then(|| format!("the last step took {}, of all texts together", counted(work.rows, "token"))),
    );
    said.push(work.occupancy.map(|o| {
        format!(
            "{} of {} of its memory for texts are in use or kept for later",
            grouped(o.pages),
            counted(o.limit, "page")
        )
    }));
    let sentences: Vec<String> = said.iter().flatten().map(|words| sentence(words)).collect();
    format!("{}: {}", name_of(work), sentences.join(" "))
}

fn name_of(work: &AtWork) -> &str {
    // A default model has no name before it is looked up.
    if work.id.is_empty() { "a model" } else { &work.id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Occupancy;

    fn work(id: &str, writing: usize, reading: usize, waiting: usize) -> AtWork {
        AtWork { id: id.into(), writing, reading, waiting, ..AtWork::default() }
    }

    #[test]
    fn what_is_done_now_is_said_shortly() {
        let occupancy = Some(Occupancy { sequences: 3, pages: 38, limit: 512, ..Occupancy::default() });
        let one = AtWork { occupancy, rows: 3, ..work("smollm2-135m", 2, 1, 1) };
        let said = at_work(std::slice::from_ref(&one));
        assert_eq!(said.as_deref(), Some("smollm2-135m: 2 written, 1 read, 1 waits · 38 of 512 pages"));
        let full = at_work_in_full(std::slice::from_ref(&one));
        assert!(full.contains("2 texts are written. 1 text is read. 1 request waits for its turn"), "{full}");
        let two = [one, work("minilm", 0, 4, 2)];
        assert_eq!(at_work(&two).as_deref(), Some("2 models: 2 written, 5 read, 3 wait"));
        assert_eq!(at_work_in_full(&two).split("\n\n").count(), 2);
        assert_eq!(at_work(&[]), None);
        assert_eq!(at_work(&[work("", 0, 0, 1)]).as_deref(), Some("a model: 1 waits"));
    }

    #[test]
    fn what_was_known_and_who_shared_steps_is_said_only_where_there_is_something() {
        assert_eq!(known(312, 340, 270).as_deref(), Some("312 of 340 tokens were known already: 270 ms saved"));
        assert_eq!(known(16, 40, 0).as_deref(), Some("16 of 40 tokens were known already"));
        assert_eq!(known(16, 40, 70).as_deref(), Some("16 of 40 tokens were known already: 70 ms saved"));
        assert_eq!(known(0, 40, 9), None);
        assert_eq!(shared(3).as_deref(), Some("shared its steps with 3 other requests"));
        assert_eq!(shared(1).map(|s| sentence(&s)).as_deref(), Some("Shared its steps with 1 other request."));
        assert_eq!(shared(0), None);
    }
}
