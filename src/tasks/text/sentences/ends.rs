//! Whether a mark ends the sentence, by what stands after it.

use super::lists::{self, Class};
use super::marks::{self, Kind};
use super::period::{self, Word};
use super::text::Next;
use super::{Scanner, Stop, openers};

impl Scanner<'_> {
    /// Whether `stop` ends the sentence, and `next` begins another.
    pub(super) fn ends(&self, stop: &Stop, next: usize) -> bool {
        if next == stop.end {
            return self.content && self.ends_glued(stop);
        }
        let Some(raw) = self.text.at(next) else { return false };
        // A picture alone is no part of what is said.
        let Some(n) = self.text.next(next) else { return self.content && marks::pictures(raw) };
        let dotted = raw == '.' && self.text.alphanumeric_at(next + 1);
        if !self.content || marks::goes_on(raw) || marks::of(raw, None).is_some() && !dotted {
            return false;
        }
        if self.items.go_on(self.text, self.start, next) {
            return stop.kind != Kind::Dot
                || period::word_at(self.text, self.start, stop.mark) != Word::Known(Class::Number);
        }
        if matches!(stop.kind, Kind::Wide | Kind::Script) || matches!(n.opener, Some('¿' | '¡')) {
            return true;
        }
        if marks::small(n.letter) {
            return self.ends_before_small(stop, n);
        }
        match stop.kind {
            Kind::Dot => self.full_stop_ends(stop, n),
            Kind::Dots { count, apart } => self.dots_end(stop, count, apart, n),
            _ => self.strong_ends(stop, n),
        }
    }

    /// Small letters go on, but for names such as iPhone, bullets, and texts without any capital.
    fn ends_before_small(&self, stop: &Stop, n: Next) -> bool {
        let named = self.text.word(n.at).chars().any(char::is_uppercase);
        if named || n.opener.is_some_and(marks::bullet) {
            return stop.kind != Kind::Dot || self.full_stop_ends(stop, n);
        }
        if !self.small || stop.quote || stop.inner || n.opener.is_some() {
            return false;
        }
        match stop.kind {
            Kind::Strong => self.strong_ends(stop, n),
            Kind::Dot => {
                let word = self.text.slice(self.text.word_before(self.start, stop.mark));
                (word.len() > 2 || openers::opening_word(word))
                    && period::word_at(self.text, self.start, stop.mark) == Word::Plain
            }
            _ => false,
        }
    }

    fn dots_end(&self, stop: &Stop, count: usize, apart: bool, n: Next) -> bool {
        let opens = openers::opens(self.text, n.at);
        let bracketed = self.text.before(stop.mark).is_some_and(|c| matches!(c, '[' | '('));
        if bracketed || apart && count == 3 {
            return opens && self.text.word(n.at) != "I";
        }
        !n.letter.is_numeric() || count > 3
    }

    fn strong_ends(&self, stop: &Stop, n: Next) -> bool {
        let word = self.text.slice(self.text.word_before(self.start, stop.mark));
        if openers::exclaimed(word) {
            return openers::opens(self.text, n.at) && !stop.quote;
        }
        !(stop.quote && self.text.at(self.start).is_some_and(marks::opens_quote) && self.told(n.at))
    }

    /// Whether a name and a word for speaking stand at `at`: "Is it yours?" Anna asked.
    fn told(&self, at: usize) -> bool {
        let mut at = at;
        if openers::opens(self.text, at) {
            return false;
        }
        for _ in 0..4 {
            let end = self.text.word_end(at);
            let word = self.text.slice(at..end);
            if !word.starts_with(char::is_uppercase) {
                return openers::speech(word);
            }
            let dot = usize::from(self.text.at(end) == Some('.'));
            let (next, breaks) = self.text.white(end + dot);
            if breaks > 0 || next == end + dot {
                return false;
            }
            at = next;
        }
        false
    }

    /// Whether `stop` ends a sentence though nothing stands between it and the next word.
    fn ends_glued(&self, stop: &Stop) -> bool {
        let Some(after) = self.text.at(stop.end) else { return false };
        if matches!(after, '¿' | '¡') {
            return stop.kind != Kind::Dot;
        }
        let word = after.is_alphanumeric();
        match stop.kind {
            Kind::Wide => {
                let particle = stop.quote && matches!(after, '\u{3041}'..='\u{309f}');
                let digits = after.is_numeric() && self.text.before(stop.mark).is_some_and(char::is_numeric);
                let opens = marks::closing(None, after, Some('a')).is_some();
                (word || opens) && !particle && !digits
            }
            Kind::Script => word,
            Kind::Dots { count, .. } => {
                openers::opens(self.text, stop.end) && (count > 3 || self.text.word(stop.end) != "I")
            }
            // 你好!我是
            Kind::Dot | Kind::Strong if marks::unspaced(after) => {
                self.text.before(stop.mark).is_some_and(marks::unspaced)
            }
            Kind::Dot | Kind::Strong => word && self.glued_words(stop),
        }
    }

    /// Whether the words around the mark of `stop` are words of two sentences: `closed.The owner`.
    fn glued_words(&self, stop: &Stop) -> bool {
        let range = self.text.word_before(self.start, stop.mark);
        let (before, start) = (self.text.slice(range.clone()), range.start);
        let (end, after) = (self.text.word_end(stop.end), self.text.word(stop.end));
        let left = self.text.before(start);
        let free = left.is_none_or(|c| c.is_whitespace() || "(\"“«„'’,$€£".contains(c));
        let single = self.text.at(end).is_none_or(|c| c.is_whitespace() || matches!(c, ',' | '\'' | '’' | '.' | '!'));
        let capital = after.starts_with(char::is_uppercase);
        let opens = openers::opens(self.text, stop.end);
        if !single || !capital || openers::ending(after) || before.contains('.') {
            return false;
        }
        if before.is_empty() {
            return opens && left.is_some_and(|c| marks::closes_quote(c) || marks::closes_bracket(c));
        }
        if !free || before.chars().nth(1).is_none() {
            return false;
        }
        if stop.kind == Kind::Strong {
            return !openers::exclaimed(before) && (opens || after.len() > 1);
        }
        let known = period::word_at(self.text, self.start, stop.mark) != Word::Plain;
        let number = before.chars().all(|c| c.is_ascii_digit());
        let small = before.chars().all(|c| c.is_lowercase() || c.is_ascii_digit());
        let title = self.text.at(end) == Some('.') && lists::class(after, false) == Some(Class::Never);
        let word = after.chars().skip(1).all(char::is_lowercase) && after.len() > 1;
        (!known || number) && (opens || title || small && word)
    }
}
