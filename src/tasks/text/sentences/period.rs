//! Whether a full stop ends a sentence: what it stands after, and what stands after it.

use super::lists::{self, Class};
use super::openers;
use super::text::{Next, Text};
use super::{Scanner, Stop};

/// What a full stop stands after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A word that abbreviates nothing, or no word.
    Plain,
    /// Digits.
    Number,
    /// One letter.
    Letter(char),
    /// An abbreviation.
    Known(Class),
}

/// Bytes of a sentence that may only tell a time.
const INTRODUCTION: usize = 48;

/// What the full stop at `dot` stands after, in the sentence that begins at `floor`.
pub(super) fn word_at(text: &Text<'_>, floor: usize, dot: usize) -> Word {
    let range = text.word_before(floor, dot);
    let word = text.slice(range.clone());
    let mut letters = word.chars();
    let Some(first) = letters.next() else { return Word::Plain };
    if word.chars().all(|c| c.is_ascii_digit()) {
        return Word::Number;
    }
    if let Some(class) = lists::compound(text, dot).filter(|_| word.len() <= 8) {
        return Word::Known(class);
    }
    if letters.next().is_none() && first.is_alphabetic() {
        // R&D is a word.
        let inside = text.before(range.start).is_some_and(|c| matches!(c, '&' | '/' | '+' | '@' | '_'));
        return if inside { Word::Plain } else { Word::Letter(first) };
    }
    if word.contains('.') {
        // U.S.A., Ph.D., J.-P.; not example.com.
        let short = |part: &str| {
            let mut letters = part.chars();
            let first = letters.next();
            first.is_none_or(char::is_alphabetic)
                && letters.next().is_none_or(|c| first.is_some_and(char::is_uppercase) && c.is_lowercase())
                && letters.next().is_none()
        };
        if word.split(['.', '-']).all(short) {
            return Word::Known(Class::After);
        }
    }
    let before = text.previous_word(floor, range.start);
    let dated = !before.is_empty() && (before.chars().all(|c| c.is_ascii_digit()) || matches!(before, "de" | "en"));
    let last = word.rsplit('-').next().unwrap_or(word);
    let answer = word.eq_ignore_ascii_case("no") && openers::before_no(before);
    // Dr. med. Huber
    let degree = matches!(before, "Dr." | "Prof." | "Drs." | "Mag.") && word.len() < 7 && first.is_lowercase();
    if degree {
        return Word::Known(Class::Before);
    }
    let known = lists::class(word, dated).or_else(|| lists::class(last, dated)).filter(|_| !answer);
    known.or_else(|| lists::looks_shortened(word).then_some(Class::After)).map_or(Word::Plain, Word::Known)
}

impl Scanner<'_> {
    /// Whether the full stop of `stop` ends a sentence before `next`, which is no small letter.
    pub(super) fn full_stop_ends(&self, stop: &Stop, next: Next) -> bool {
        let word = word_at(self.text, self.start, stop.mark);
        let opens = openers::opens(self.text, next.at);
        if stop.inner && matches!(word, Word::Letter(_) | Word::Known(_)) {
            return opens; // (Acme Inc.) Berlin
        }
        if lists::within_compound(self.text, stop.mark, next.at) {
            return false;
        }
        match word {
            Word::Plain => true,
            Word::Number => !self.ordinal(stop.mark, next, opens),
            Word::Letter(letter) => self.letter_ends(stop.mark, letter, next, opens),
            Word::Known(class) => self.abbreviation_ends(class, stop.mark, next, opens),
        }
    }

    fn abbreviation_ends(&self, class: Class, dot: usize, next: Next, opens: bool) -> bool {
        let digit = next.letter.is_numeric();
        if digit && matches!(next.opener, Some('(' | '[')) {
            return false; // et al. (2010)
        }
        let titled = openers::person(self.text.word(next.at)) && self.text.at(self.text.word_end(next.at)) == Some('.');
        let range = self.text.word_before(self.start, dot);
        let (word, before) = (self.text.slice(range.clone()), self.text.previous_word(self.start, range.start));
        match class {
            // Oak Dr. She lives there.
            Class::Never if word == "Dr" => opens && before.starts_with(char::is_uppercase) && !before.ends_with('.'),
            Class::Never => false,
            Class::Before if titled && matches!(word, "St" | "Ave" | "Rd" | "Blvd") => true,
            Class::After if titled => true,
            // art. 3, al. 2; but: Holm et al. 20 others …
            Class::Ends if word == "al" && digit => before == "et",
            Class::Before => opens && !openers::named(self.text, next.at),
            Class::After if digit => !self.only_introduces(dot),
            Class::After => opens,
            Class::Ends => true,
            Class::Time => {
                let belongs = openers::belongs_to_time(self.text.word(next.at));
                !belongs && (opens || !self.only_introduces(dot))
            }
            Class::Number if digit => false,
            Class::Number => opens || !self.numbers(next),
        }
    }

    /// Whether what begins at `next` counts as a number: a Roman one, a letter, another abbreviation of
    /// numbers (`Art. Nr. 5`).
    fn numbers(&self, next: Next) -> bool {
        let word = self.text.word(next.at);
        let dotted = self.text.at(next.at + word.len()) == Some('.');
        let roman = word.chars().all(|c| "IVXLC".contains(c));
        roman || word.chars().nth(1).is_none() || dotted && lists::class(word, true) == Some(Class::Number)
    }

    /// Whether the number before the full stop at `dot` is an ordinal, or a part of a date.
    fn ordinal(&self, dot: usize, next: Next, opens: bool) -> bool {
        let range = self.text.word_before(self.start, dot);
        if range.len() > 3 || range.start > 0 && self.text.before(range.start).is_some_and(|c| ",.:'’$€£".contains(c))
        {
            return false;
        }
        if range.start == self.start {
            return true; // the number of an item, or a date
        }
        if next.letter.is_numeric() {
            return range.len() <= 2 && self.date_goes_on(range.start, next.at);
        }
        let before = self.text.previous_word(self.start, range.start);
        let counted = openers::after_ordinal(self.text.word(next.at));
        // "I am 12." is no date.
        let english = before == "am" && {
            let at = range.start - (range.start.min(before.len() + 1));
            self.text.previous_word(self.start, at) == "I"
        };
        counted || !opens && !english && openers::before_ordinal(before)
    }

    /// Whether 3. 10. 1990 goes on at `next`, its day or month being at `number`.
    fn date_goes_on(&self, number: usize, next: usize) -> bool {
        let mut end = next;
        while end - next < 5 && self.text.at(end).is_some_and(|c| c.is_ascii_digit()) {
            end += 1;
        }
        let month = self.text.previous_word(self.start, number);
        let day =
            month.len() <= 3 && month.trim_end_matches('.').chars().all(|c| c.is_ascii_digit()) && !month.is_empty();
        end - next <= 2 && self.text.at(end) == Some('.') || end - next == 4 && day
    }

    fn letter_ends(&self, dot: usize, letter: char, next: Next, opens: bool) -> bool {
        let start = dot - letter.len_utf8();
        if start == self.start {
            return false; // Q. Who was it?
        }
        let before = self.text.previous_word(self.start, start);
        let measured = before.ends_with(|c: char| c.is_ascii_digit());
        let word = self.text.word(next.at);
        let initial = word.chars().nth(1).is_none() && self.text.at(next.at + word.len()) == Some('.');
        if next.letter.is_numeric() {
            // S. 12, art. L. 123
            let article = lists::class(before.trim_end_matches('.'), false) == Some(Class::Number);
            return letter.is_uppercase() && !"SPNTFV".contains(letter) && !article;
        }
        if initial && !word.is_empty() {
            return false; // J. R.
        }
        if opens {
            return !openers::named(self.text, next.at);
        }
        if letter.is_uppercase() {
            return measured || openers::labelled(before);
        }
        let roman = word.len() > 1 && word.chars().all(|c| "IVXLC".contains(c));
        !roman && (measured || letter.is_ascii() && !"abcdimnopsuvz".contains(letter))
    }

    /// Whether the sentence so far, which ends with the full stop at `dot`, only tells a time or a place.
    fn only_introduces(&self, dot: usize) -> bool {
        let so_far = self.text.slice(self.start..dot);
        so_far.len() <= INTRODUCTION
            && so_far.split_whitespace().count() <= 6
            && so_far.split_whitespace().next().is_some_and(openers::introduces)
    }
}
