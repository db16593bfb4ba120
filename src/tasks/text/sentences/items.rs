//! The items of lists: their numbers, letters and bullets end nothing, and begin sentences.

use super::text::Text;
use super::{lists, marks, openers};

/// How an item's number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `1.`
    Dot,
    /// `1)`
    Bracket,
    /// `1.)`
    DotBracket,
    /// `(1)`
    Brackets,
}

/// An item's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    style: Style,
    /// Whether letters count, and whether they are capitals.
    letter: Option<bool>,
    number: u32,
}

impl Item {
    fn follows(&self, before: &Self) -> bool {
        self.style == before.style && self.letter == before.letter && self.number == before.number + 1
    }
}

/// The items of a text, so far.
#[derive(Default)]
pub(super) struct Items {
    last: Option<Item>,
    bullet: Option<char>,
}

impl Items {
    /// Takes note of the marker of an item at `at`, where a sentence begins: the byte behind it, or `at`.
    pub(super) fn begin(&mut self, text: &Text<'_>, at: usize) -> usize {
        let Some(first) = text.at(at) else { return at };
        let mut from = at;
        if marks::bullet(first) {
            self.bullet = Some(first);
            from = within_line(text, at + first.len_utf8());
        }
        let Some((item, end)) = marker(text, from) else { return roman(text, from).unwrap_or(from) };
        let next = within_line(text, end);
        if item.style == Style::Dot && item.letter.is_some() {
            let counts = item.number == 1 || self.last.is_some_and(|l| item.follows(&l));
            if !counts || item.letter == Some(true) || !text.at(next).is_some_and(char::is_uppercase) {
                return from;
            }
        }
        // "3. Mai" at the beginning is a date.
        if item.style != Style::Dot || !openers::after_ordinal(text.word(next)) {
            self.last = Some(item);
        }
        end
    }

    /// Whether the next item of a list begins at `at`, within a line and a sentence from `start`.
    pub(super) fn go_on(&self, text: &Text<'_>, start: usize, at: usize) -> bool {
        if text.at(at).is_some_and(|c| self.bullet == Some(c)) {
            return true;
        }
        let Some((item, end)) = self.last.and_then(|l| marker(text, at).filter(|(i, _)| i.follows(&l))) else {
            return false;
        };
        let before = text.previous_word(start, at);
        let counted = openers::labelled(before) || openers::before_ordinal(before) || {
            lists::class(before, false) == Some(lists::Class::Number)
        };
        let joined = matches!(before, "and" | "or" | "et" | "ou" | "y" | "o");
        let begins = |c: char| c.is_uppercase() || item.style != Style::Dot && c.is_alphanumeric();
        !before.is_empty() && !counted && !joined && text.at(within_line(text, end)).is_some_and(begins)
            || self.after_mark(text, at)
    }

    /// Whether a mark that ends sentences stands before the white space before `at`.
    fn after_mark(&self, text: &Text<'_>, at: usize) -> bool {
        let Some(white) = text.before(at).filter(|c| c.is_whitespace()) else { return false };
        let end = at - white.len_utf8();
        text.before(end).is_some_and(|c| marks::of(c, None).is_some() || marks::closes_quote(c))
    }

    /// Whether an item of a list begins at `at`, where a line begins.
    pub(super) fn on_line(&self, text: &Text<'_>, at: usize) -> bool {
        let Some(first) = text.at(at) else { return false };
        if marks::bullet(first) {
            return true;
        }
        let Some((item, end)) = marker(text, at) else { return false };
        let date = item.style == Style::Dot && openers::after_ordinal(text.word(within_line(text, end)));
        !date && (item.number == 1 || self.last.is_some_and(|l| item.follows(&l)))
    }
}

/// `at` after white space that holds no line break.
fn within_line(text: &Text<'_>, at: usize) -> usize {
    let (next, breaks) = text.white(at);
    if breaks == 0 { next } else { at }
}

/// An item's number at `at`, which white space and something else stand after, and the byte behind it.
fn marker(text: &Text<'_>, at: usize) -> Option<(Item, usize)> {
    let opened = text.at(at) == Some('(');
    let mut end = at + usize::from(opened);
    let (mut number, mut letter) = (0, None);
    match text.at(end)? {
        c if c.is_ascii_digit() => {
            let first = end;
            while let Some(digit) = text.at(end).and_then(|c| c.to_digit(10)).filter(|_| end - first < 3) {
                number = number * 10 + digit;
                end += 1;
            }
        }
        c if c.is_ascii_alphabetic() => {
            letter = Some(c.is_ascii_uppercase());
            number = c.to_ascii_lowercase().to_digit(36)? - 9;
            end += 1;
        }
        _ => return None,
    }
    let style = match (opened, text.at(end)?, text.at(end + 1)) {
        (true, ')', _) => Style::Brackets,
        (false, ')', _) => Style::Bracket,
        (false, '.', Some(')')) => Style::DotBracket,
        (false, '.', _) => Style::Dot,
        _ => return None,
    };
    end += if style == Style::DotBracket { 2 } else { 1 };
    let next = within_line(text, end);
    (next > end && text.at(next).is_some_and(|c| !marks::breaks_line(c)))
        .then_some((Item { style, letter, number }, end))
}

/// The byte behind a heading's Roman number: `IV. The road`.
fn roman(text: &Text<'_>, at: usize) -> Option<usize> {
    let word = text.word(at);
    let end = at + word.len();
    let number = !word.is_empty() && word.len() <= 5 && word.chars().all(|c| "IVX".contains(c));
    let next = within_line(text, end + 1);
    (number && text.at(end) == Some('.') && next > end + 1 && text.at(next).is_some_and(char::is_uppercase))
        .then_some(end + 1)
}
