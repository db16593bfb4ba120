//! Where sentences begin and end, in English, French, German and Spanish, and by their full stops in other
//! scripts.
//!
//! The text is read once, from left to right. At each mark that may end a sentence, what stands before it
//! and after it decides ([`period`] for full stops); nothing is looked at further than a few words, or the
//! end of a quote near by, so that time grows with the text's length alone. The cases are those of the
//! "golden rules" of sentence segmentation (pragmatic segmenter), with words and rules of our own.
//!
//! A line break alone ends a sentence unless the next line goes on with a small letter or a digit and
//! nothing ended before; an empty line always ends one.

mod closing;
mod ends;
mod items;
mod lines;
mod lists;
mod marks;
mod openers;
mod period;
#[cfg(test)]
mod tests;
mod text;

use items::Items;
use lines::Block;
use marks::Kind;
use std::ops::Range;
use text::Text;

/// The byte ranges of the sentences of `text`, in order, white space at their ends left out. Nothing but
/// white space is between them.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    read(&Text::new(text))
}

fn read(text: &Text<'_>) -> Vec<Range<usize>> {
    let mut scanner = Scanner {
        text,
        out: Vec::new(),
        start: 0,
        content: false,
        open: None,
        items: Items::default(),
        stop: None,
        small: !text.has_capitals(),
        block: Block::default(),
    };
    scanner.run();
    scanner.out
}

/// A mark that may have ended the sentence.
#[derive(Clone, Copy)]
struct Stop {
    kind: Kind,
    /// Byte of the first mark.
    mark: usize,
    /// Byte behind marks, quotes and brackets.
    end: usize,
    /// Whether a quote closed behind it.
    quote: bool,
    /// Whether a bracket closed behind it that was opened within the sentence.
    inner: bool,
}

/// A quote or bracket that is open.
struct Open {
    opener: char,
    close: [char; 2],
    depth: usize,
    /// Whether the sentence had begun before it.
    inner: bool,
    /// The byte behind where it closes, if that is near: looked for once.
    end: Option<usize>,
}

/// Reads a text from left to right.
struct Scanner<'a> {
    text: &'a Text<'a>,
    out: Vec<Range<usize>>,
    /// Where the sentence began that is being read.
    start: usize,
    /// Whether it has a letter or a digit.
    content: bool,
    open: Option<Open>,
    items: Items,
    stop: Option<Stop>,
    /// Whether the whole text is in small letters, so that they say nothing.
    small: bool,
    block: Block,
}

impl Scanner<'_> {
    fn run(&mut self) {
        let mut at = self.text.white(0).0;
        at = self.begin(at);
        while let Some(c) = self.text.at(at) {
            at = if c.is_whitespace() {
                self.gap(at)
            } else if let Some(kind) = marks::of(c, if c == ';' { self.text.before(at) } else { None }) {
                self.mark(at, kind)
            } else {
                self.pass(at, c)
            };
        }
        self.push(self.text.len());
    }

    /// Begins a sentence at `at`: where to read on.
    fn begin(&mut self, at: usize) -> usize {
        self.start = at;
        self.content = false;
        self.open = None;
        self.stop = None;
        self.items.begin(self.text, at)
    }

    fn push(&mut self, end: usize) {
        let end = self.start + self.text.slice(self.start..end).trim_end().len();
        if end > self.start {
            self.out.push(self.start..end);
        }
    }

    fn cut(&mut self, end: usize, next: usize) -> usize {
        self.push(end);
        self.begin(next)
    }

    /// Reads one character that ends nothing.
    fn pass(&mut self, at: usize, c: char) -> usize {
        let next = at + c.len_utf8();
        if c.is_alphanumeric() {
            self.content = true;
            return next;
        }
        if !self.close(c) {
            let same = self.open.as_ref().is_some_and(|o| o.opener == c && o.close[0] != c);
            if let Some(open) = self.open.as_mut().filter(|_| same) {
                open.depth += 1;
            } else if self.open.is_none()
                && let Some(close) = marks::closing(self.text.before(at), c, self.text.at(next))
            {
                // After "Well," said he, the speech goes on: it is not a quote within a sentence.
                let speech = marks::opens_quote(c) && self.text.at(self.start).is_some_and(marks::opens_quote);
                self.open = Some(Open { opener: c, close, depth: 1, inner: self.content && !speech, end: None });
            }
        }
        next
    }

    /// Whether `c` closes what is open.
    fn close(&mut self, c: char) -> bool {
        let Some(open) = self.open.as_mut().filter(|o| o.close.contains(&c)) else { return false };
        open.depth -= 1;
        if open.depth == 0 {
            self.open = None;
        }
        true
    }

    /// Reads the white space at `at`.
    fn gap(&mut self, at: usize) -> usize {
        let (next, breaks) = self.text.white(at);
        if next == self.text.len() {
            return next;
        }
        let cut = match breaks {
            0 => self.items.go_on(self.text, self.start, next),
            1 => !self.line_goes_on(at, next),
            _ => {
                self.block = Block::at(next);
                self.items = Items::default();
                true
            }
        };
        if cut { self.cut(at, next) } else { next }
    }

    /// Reads the marks at `at`, the first of `kind`, and what closes behind them.
    fn mark(&mut self, at: usize, kind: Kind) -> usize {
        let (end, kind) = self.marks(at, kind);
        let inner = self.open.as_ref().is_some_and(|o| o.inner);
        let end = if kind == Kind::Dot { self.note_behind(at, end) } else { end };
        let (end, quote, bracket) = self.closers(end);
        let inner = inner && bracket && self.open.is_none();
        let stop = Stop { kind, mark: at, end, quote, inner };
        self.stop = Some(stop);
        let (next, breaks) = self.text.white(end);
        if breaks > 0 || next == self.text.len() || !self.ends(&stop, next) || self.together(end) {
            return end;
        }
        self.cut(end, next)
    }
}
