//! A text as the rules read it: a character or a few around one place, never a stretch of unknown length.

use super::marks;
use std::ops::Range;

/// Characters that a word may have to be looked up at all.
const WORD: usize = 24;
/// Characters that are skipped to find what the next sentence begins with.
const SKIPPED: usize = 16;

/// A text, read by characters.
pub(super) struct Text<'a> {
    text: &'a str,
    /// Characters looked at so far: what a test holds against the text's length.
    #[cfg(test)]
    pub(super) looked: std::cell::Cell<usize>,
}

/// What stands after white space.
#[derive(Clone, Copy)]
pub(super) struct Next {
    /// Byte of the first letter or digit.
    pub(super) at: usize,
    /// That letter or digit.
    pub(super) letter: char,
    /// The mark right before it, if any: a quote, a bracket, a dash.
    pub(super) opener: Option<char>,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            #[cfg(test)]
            looked: std::cell::Cell::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    fn look_once(&self) {
        #[cfg(test)]
        self.looked.set(self.looked.get() + 1);
    }

    /// The character that begins at byte `at`.
    pub(super) fn at(&self, at: usize) -> Option<char> {
        self.look_once();
        self.text.get(at..)?.chars().next()
    }

    /// The character that ends before byte `at`.
    pub(super) fn before(&self, at: usize) -> Option<char> {
        self.look_once();
        self.text.get(..at)?.chars().next_back()
    }

    /// The bytes of `range`, which lies between characters.
    pub(super) fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or("")
    }

    /// Whether any letter is a capital.
    pub(super) fn has_capitals(&self) -> bool {
        self.text.chars().any(char::is_uppercase)
    }

    /// Whether what begins at `at` is a letter or a digit.
    pub(super) fn alphanumeric_at(&self, at: usize) -> bool {
        self.at(at).is_some_and(char::is_alphanumeric)
    }

    /// Where the white space that begins at `at` ends, and how many line breaks are in it (a paragraph
    /// separator is two, as an empty line is).
    pub(super) fn white(&self, at: usize) -> (usize, usize) {
        let (mut end, mut breaks, mut last) = (at, 0, ' ');
        while let Some(c) = self.at(end).filter(|c| c.is_whitespace()) {
            breaks += match c {
                '\n' if last == '\r' => 0,
                '\n' | '\r' | '\u{85}' | '\u{2028}' => 1,
                '\u{2029}' => 2,
                _ => 0,
            };
            last = c;
            end += c.len_utf8();
        }
        (end, breaks)
    }

    /// The end of the word that begins at `at`: letters only.
    pub(super) fn word_end(&self, at: usize) -> usize {
        let mut end = at;
        for _ in 0..WORD {
            let Some(c) = self.at(end).filter(|c| c.is_alphabetic()) else { break };
            end += c.len_utf8();
        }
        end
    }

    /// The word that begins at `at`: letters only.
    pub(super) fn word(&self, at: usize) -> &'a str {
        self.slice(at..self.word_end(at))
    }

    /// The word that ends at `end`, with dots and hyphens that are inside of it (`U.S`, `c.-à-d`), without
    /// an article before an apostrophe (`l'art`). Empty if it is longer than any that is looked up. Nothing
    /// before `floor` belongs to it, where the sentence begins.
    pub(super) fn word_before(&self, floor: usize, end: usize) -> Range<usize> {
        let mut start = end;
        for i in 0.. {
            let part = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '-' | '°');
            let Some(c) = self.before(start).filter(|c| start > floor && part(c)) else { break };
            if i >= WORD {
                return end..end;
            }
            start -= c.len_utf8();
        }
        let word = self.slice(start..end);
        end - word.trim_start_matches(['.', '-']).len()..end
    }

    /// The word before the white space that ends at `at`, in the sentence that begins at `floor`.
    pub(super) fn previous_word(&self, floor: usize, at: usize) -> &'a str {
        let mut end = at;
        for _ in 0..2 {
            end -= self.before(end).filter(|c| c.is_whitespace()).map_or(0, char::len_utf8);
        }
        if end == at || end < floor { "" } else { self.slice(self.word_before(floor, end)) }
    }

    /// What the line goes on with at `at`, over quotes, brackets and dashes. None: nothing near by.
    pub(super) fn next(&self, at: usize) -> Option<Next> {
        let (mut at, mut opener) = (at, None);
        for _ in 0..SKIPPED {
            let letter = self.at(at)?;
            if letter.is_alphanumeric() {
                return Some(Next { at, letter, opener });
            }
            if marks::breaks_line(letter) {
                return None;
            }
            if !letter.is_whitespace() {
                opener = Some(letter);
            }
            at += letter.len_utf8();
        }
        None
    }

    /// Where `groups`, an abbreviation of several parts such as `z.B`, begins if it ends at `end`. White
    /// space may stand after each of its dots; its first letter may be a capital if `any_case`.
    pub(super) fn ends_with(&self, end: usize, groups: &str, any_case: bool) -> Option<usize> {
        let mut at = end;
        let mut wanted = groups.chars().rev().peekable();
        while let Some(w) = wanted.next() {
            if w == '.' {
                for _ in 0..2 {
                    at -= self.before(at).filter(|c| c.is_whitespace()).map_or(0, char::len_utf8);
                }
            }
            let c = self.before(at)?;
            let first = wanted.peek().is_none() && any_case;
            if c != w && !(first && c.to_lowercase().eq(w.to_lowercase())) {
                return None;
            }
            at -= c.len_utf8();
        }
        let inside = self.before(at).is_some_and(|c| c.is_alphanumeric() || c == '.');
        (!inside).then_some(at)
    }
}
