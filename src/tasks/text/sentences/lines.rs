//! Line breaks: lines wrapped by hand go on, headings and lists do not.

use super::lists::Class;
use super::marks::{self, Kind};
use super::period::{self, Word};
use super::text::Text;
use super::{Scanner, Stop, openers};

/// Characters of a line of a list that is written without marks.
const SHORT_LINE: usize = 40;

/// Lines without an empty one between them.
#[derive(Default)]
pub(super) struct Block {
    start: usize,
    /// Whether each line is an item by itself, once that was asked.
    list: Option<bool>,
}

impl Block {
    /// Lines from `start` on.
    pub(super) fn at(start: usize) -> Self {
        Self { start, list: None }
    }
}

impl Scanner<'_> {
    /// Whether the sentence goes on in the line at `next`, which a line break after `end` separates.
    pub(super) fn line_goes_on(&mut self, end: usize, next: usize) -> bool {
        if self.items.on_line(self.text, next) {
            return false;
        }
        let first = self.text.at(next).unwrap_or(' ');
        let small = first.is_lowercase() || first.is_numeric();
        if let Some(stop) = self.stop.filter(|s| s.end == end) {
            return self.line_goes_on_after(&stop, next);
        }
        let mut at = end;
        while let Some(c) =
            self.text.before(at).filter(|c| marks::closes_quote(*c) || matches!(c, ')' | ']' | '\'' | '’'))
        {
            at -= c.len_utf8();
        }
        let ended = matches!(self.text.before(at), Some(':' | ';'));
        small && !ended && !self.listed()
    }

    fn line_goes_on_after(&self, stop: &Stop, next: usize) -> bool {
        let Some(n) = self.text.next(next).filter(|n| n.at == next) else { return false };
        match stop.kind {
            // "Was it late?" / she asked.
            Kind::Strong => stop.quote && n.letter.is_lowercase(),
            Kind::Dot if !stop.quote => {
                let word = period::word_at(self.text, self.start, stop.mark);
                let name = matches!(word, Word::Letter(c) if c.is_uppercase())
                    || matches!(word, Word::Known(Class::Never | Class::Before));
                match word {
                    Word::Plain => false,
                    // am 3. / Mai
                    Word::Number => openers::after_ordinal(self.text.word(n.at)) && !self.full_stop_ends(stop, n),
                    _ if n.letter.is_lowercase() => true,
                    Word::Known(Class::Number) => n.letter.is_numeric(),
                    _ => name && !self.full_stop_ends(stop, n),
                }
            }
            _ => false,
        }
    }

    /// Whether the block of lines is a list: at least three short lines without any mark.
    fn listed(&mut self) -> bool {
        *self.block.list.get_or_insert_with(|| is_list(self.text, self.block.start))
    }
}

/// Whether the lines from `start` to the next empty one are at least three, all short, and none ends with
/// a mark, a comma or a word that something must follow.
fn is_list(text: &Text<'_>, start: usize) -> bool {
    let (mut at, mut line, mut lines, mut length) = (start, start, 0, 0);
    let ends = |line: usize, end: usize| {
        let last = text.before(end);
        let word = text.slice(text.word_before(line, end));
        line < end
            && last.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | '"' | '”' | '»'))
            && !openers::links(word)
    };
    loop {
        let c = text.at(at);
        if c.is_none_or(char::is_whitespace) {
            let (next, breaks) = text.white(at);
            if breaks > 0 || c.is_none() || next == text.len() {
                lines += 1;
                if !ends(line, at) {
                    return false;
                }
                if breaks != 1 || next == text.len() {
                    return lines > 2;
                }
                (line, length) = (next, 0);
            }
            length += 1;
            at = next;
            continue;
        }
        length += 1;
        if length > SHORT_LINE {
            return false;
        }
        at += c.map_or(1, char::len_utf8);
    }
}
