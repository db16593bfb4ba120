//! What belongs to the end of a sentence: its marks, quotes and brackets that close behind them, notes.

use super::Scanner;
use super::marks::{self, Kind};
use super::period::{self, Word};
use super::text::Text;

/// Bytes within which a bracket must close to keep its sentences together.
const TOGETHER: usize = 200;
/// The same for a quote: a speech of many sentences is no single one.
const QUOTED: usize = 80;

impl Scanner<'_> {
    /// The end of the marks at `at` and what they are together.
    pub(super) fn marks(&self, at: usize, first: Kind) -> (usize, Kind) {
        let (mut end, mut kind, mut dots) = (at, first, 0);
        let mut apart = self.text.before(at).is_some_and(char::is_whitespace);
        while let Some(c) = self.text.at(end) {
            let Some(one) = (if end == at { Some(first) } else { marks::of(c, None) }) else {
                // The dots of an ellipsis may stand apart.
                let next = end + c.len_utf8();
                let dot = c.is_whitespace() && self.text.at(next) == Some('.') && self.text.before(end) == Some('.');
                if !dot || self.text.alphanumeric_at(next + 1) {
                    break;
                }
                apart = true;
                end = next;
                continue;
            };
            if c == '.' && end > at && self.text.before(end) != Some('.') && self.text.alphanumeric_at(end + 1) {
                break;
            }
            match one {
                Kind::Dot => dots += 1,
                Kind::Dots { count, .. } => dots += count,
                // The strongest of them counts.
                _ if matches!(kind, Kind::Dot | Kind::Dots { .. }) => kind = one,
                _ => {}
            }
            end += c.len_utf8();
        }
        if dots > 1 && matches!(kind, Kind::Dot | Kind::Dots { .. }) {
            kind = Kind::Dots { count: dots, apart };
        }
        (end, kind)
    }

    /// The end of what closes at `at`, right behind marks; whether a quote and whether a bracket did.
    pub(super) fn closers(&mut self, at: usize) -> (usize, bool, bool) {
        let (mut end, mut quote, mut bracket) = (at, false, false);
        while let Some(c) = self.text.at(end) {
            let next = end + c.len_utf8();
            let word = self.text.alphanumeric_at(next);
            if marks::closes_bracket(c) || marks::closes_quote(c) && !(c == '“' && word) {
                self.close(c);
                bracket |= marks::closes_bracket(c);
                quote |= marks::closes_quote(c);
            } else if matches!(c, '\'' | '’') && !word {
                quote = true;
            } else if !(matches!(c, '*' | '_') && !word || marks::pictures(c) || "¹²³⁴⁵⁶⁷⁸⁹⁰".contains(c))
            {
                // [1]: a note.
                let note = if c == '[' { self.note_end(next) } else { None };
                match note.or_else(|| self.closer_apart(end)) {
                    Some(after) => {
                        quote |= note.is_none();
                        end = after;
                        continue;
                    }
                    None => break,
                }
            }
            end = next;
        }
        (end, quote, bracket)
    }

    /// The byte behind the number of a note that follows the full stop at `mark` as if it were raised:
    /// `… was found.12 Others …`
    pub(super) fn note_behind(&self, mark: usize, at: usize) -> usize {
        let mut end = at;
        while end - at < 3 && self.text.at(end).is_some_and(|c| c.is_ascii_digit()) {
            end += 1;
        }
        let white = self.text.at(end).is_some_and(|c| c.is_whitespace() && !marks::breaks_line(c));
        let word = self.text.slice(self.text.word_before(self.start, mark));
        let plain = word.len() > 3 && word.chars().all(char::is_lowercase);
        let closed = self.text.before(mark).is_some_and(|c| marks::closes_bracket(c) || marks::closes_quote(c));
        let note = (1..3).contains(&(end - at)) && white && (plain || closed);
        if note && period::word_at(self.text, self.start, mark) == Word::Plain { end } else { at }
    }

    /// The byte behind a note's number at `at`.
    fn note_end(&self, at: usize) -> Option<usize> {
        let mut end = at;
        while end - at < 3 && self.text.at(end).is_some_and(|c| c.is_ascii_digit()) {
            end += 1;
        }
        (end > at && self.text.at(end) == Some(']')).then_some(end + 1)
    }

    /// The byte behind a quote that closes after a space, as in French.
    fn closer_apart(&mut self, at: usize) -> Option<usize> {
        let white = self.text.at(at).filter(|c| c.is_whitespace() && !marks::breaks_line(*c))?;
        let at = at + white.len_utf8();
        let c = self.text.at(at).filter(|c| matches!(c, '»' | '”' | '"'))?;
        let next = at + c.len_utf8();
        let free =
            self.text.at(next).is_none_or(|a| a.is_whitespace() || marks::of(a, None).is_some() || marks::goes_on(a));
        free.then(|| {
            self.close(c);
            next
        })
    }

    /// Whether what is open closes near by and is to stay in one sentence: it began within the sentence,
    /// or the sentence goes on after it.
    pub(super) fn together(&mut self, at: usize) -> bool {
        let text = self.text;
        let Some(open) = &mut self.open else { return false };
        if open.end.is_none_or(|end| end < at) {
            open.end = close_near(text, at, open.close);
        }
        let Some(end) = open.end else { return false };
        open.inner || {
            let comma = text.at(end) == Some(',');
            let next = text.next(end + usize::from(comma));
            next.is_some_and(|n| marks::small(n.letter))
        }
    }
}

/// The byte behind the first of `close` within [`TOGETHER`] or [`QUOTED`] bytes from `at` and before an
/// empty line.
fn close_near(text: &Text<'_>, at: usize, close: [char; 2]) -> Option<usize> {
    let (mut end, mut last) = (at, ' ');
    let limit = if marks::closes_bracket(close[0]) { TOGETHER } else { QUOTED };
    while end - at < limit {
        let c = text.at(end)?;
        end += c.len_utf8();
        // A straight quote after a space opens another one.
        if close.contains(&c) && !(c == '"' && last.is_whitespace()) {
            return Some(end);
        }
        if marks::breaks_line(c) && last == '\n' {
            return None;
        }
        last = c;
    }
    None
}
