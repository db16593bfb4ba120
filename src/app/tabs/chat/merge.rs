//! Two windows write one conversation: what the other has said stays.

use super::conversation::{Answer, Conversation, Turn};

/// Whether two turns are one: the same question, and answers of which one is the other's beginning.
fn is_same(a: &Turn, b: &Turn) -> bool {
    let begins = |x: &Turn, y: &Turn| {
        let pairs = x.answers.iter().zip(&y.answers);
        pairs.clone().count() == x.answers.len() && pairs.into_iter().all(|(x, y)| y.text.starts_with(&x.text))
    };
    a.question == b.question && (begins(a, b) || begins(b, a))
}

/// Letters of all answers.
fn length(turn: &Turn) -> usize {
    turn.answers.iter().map(|a| a.text.len() + 1).sum()
}

/// Turns of `theirs` that neither we had before nor have now.
pub fn foreign(theirs: &Conversation, before: Option<&Conversation>, ours: &Conversation) -> Vec<Turn> {
    let known =
        |turn: &Turn| before.is_some_and(|b| b.turns.iter().any(|t| is_same(t, turn) && length(t) >= length(turn)));
    let is_new = |turn: &&Turn| !turn.question.is_empty() && !known(turn) && !has(ours, turn);
    theirs.turns.iter().filter(is_new).cloned().collect()
}

/// Whether a conversation has a turn, or more of it.
pub fn has(conversation: &Conversation, turn: &Turn) -> bool {
    conversation.turns.iter().any(|t| is_same(t, turn) && length(t) >= length(turn))
}

/// Adds turns at the end, or in place of their own beginnings. Whether anything was added.
pub fn add(conversation: &mut Conversation, turns: &[Turn]) -> bool {
    let mut added = false;
    for turn in turns.iter().filter(|t| !t.question.is_empty()) {
        if has(conversation, turn) {
            continue;
        }
        match conversation.turns.iter_mut().find(|t| is_same(t, turn)) {
            Some(shorter) => *shorter = turn.clone(),
            None => conversation.turns.push(turn.clone()),
        }
        added = true;
    }
    added
}

/// A conversation as it is written: without what is only shown.
pub fn to_write(conversation: &Conversation) -> Conversation {
    let Conversation { id, title, created, changed, system, turns, private } = conversation;
    let answer = |a: &Answer| Answer {
        text: a.text.clone(),
        model: a.model.clone(),
        warnings: a.warnings.clone(),
        steps: Vec::new(),
        ..*a
    };
    let turn = |t: &Turn| Turn {
        question: t.question.clone(),
        answers: t.answers.iter().map(answer).collect(),
        shown: t.shown,
    };
    Conversation {
        id: id.clone(),
        title: title.clone(),
        created: *created,
        changed: *changed,
        system: system.clone(),
        turns: turns.iter().map(turn).collect(),
        private: *private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(turns: &[(&str, &str)]) -> Conversation {
        let turn = |(question, text): &(&str, &str)| Turn {
            question: (*question).into(),
            answers: vec![Answer { text: (*text).into(), ..Answer::default() }],
            shown: 0,
        };
        Conversation { id: "c".into(), turns: turns.iter().map(turn).collect(), ..Conversation::default() }
    }

    #[test]
    fn what_another_window_said_is_found_and_added_once() {
        let before = said(&[("a", "1")]);
        let mut ours = said(&[("a", "1"), ("ours", "2")]);
        let theirs = said(&[("a", "1"), ("theirs", "3")]);
        let new = foreign(&theirs, Some(&before), &ours);
        assert_eq!(new.iter().map(|t| t.question.as_str()).collect::<Vec<_>>(), ["theirs"]);
        assert!(add(&mut ours, &new) && !add(&mut ours, &new));
        assert_eq!(ours.turns.len(), 3);
        // An answer that has grown takes the place of its beginning.
        let longer = said(&[("theirs", "3 and more")]);
        assert!(add(&mut ours, &longer.turns));
        assert_eq!((ours.turns.len(), ours.turns[2].answers[0].text.as_str()), (3, "3 and more"));
        // What we have deleted does not come back.
        assert!(foreign(&theirs, Some(&theirs), &said(&[])).is_empty());
    }
}
