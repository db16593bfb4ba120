//! The marks that end sentences, open and close quotes and brackets.

/// What a sentence ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One full stop, which may be an abbreviation's.
    Dot,
    /// Several dots, or one character that shows them.
    Dots {
        /// How many.
        count: usize,
        /// Whether white space is between them, or before them.
        apart: bool,
    },
    /// A question or exclamation mark.
    Strong,
    /// Full width: no white space follows.
    Wide,
    /// A full stop of another script, which stands for nothing else.
    Script,
}

/// Marks of other scripts that end a sentence: Unicode's Sentence_Terminal, without those of the marks
/// that [`of`] knows by name. First and last of each range.
const SCRIPTS: [(u32, u32); 68] = [
    (0x37e, 0x37e),
    (0x589, 0x589),
    (0x61d, 0x61f),
    (0x6d4, 0x6d4),
    (0x700, 0x702),
    (0x7f9, 0x7f9),
    (0x837, 0x837),
    (0x839, 0x839),
    (0x83d, 0x83e),
    (0x964, 0x965),
    (0x104a, 0x104b),
    (0x1362, 0x1362),
    (0x1367, 0x1368),
    (0x166e, 0x166e),
    (0x1735, 0x1736),
    (0x17d4, 0x17d5),
    (0x1803, 0x1803),
    (0x1809, 0x1809),
    (0x1944, 0x1945),
    (0x1aa8, 0x1aab),
    (0x1b5a, 0x1b5b),
    (0x1b5e, 0x1b5f),
    (0x1b7d, 0x1b7e),
    (0x1c3b, 0x1c3c),
    (0x1c7e, 0x1c7f),
    (0x2e2e, 0x2e2e),
    (0x2e3c, 0x2e3c),
    (0x2e53, 0x2e54),
    (0xa4ff, 0xa4ff),
    (0xa60e, 0xa60f),
    (0xa6f3, 0xa6f3),
    (0xa6f7, 0xa6f7),
    (0xa876, 0xa877),
    (0xa8ce, 0xa8cf),
    (0xa92f, 0xa92f),
    (0xa9c8, 0xa9c9),
    (0xaa5d, 0xaa5f),
    (0xaaf0, 0xaaf1),
    (0xabeb, 0xabeb),
    (0x10a56, 0x10a57),
    (0x10f55, 0x10f59),
    (0x10f86, 0x10f89),
    (0x11047, 0x11048),
    (0x110be, 0x110c1),
    (0x11141, 0x11143),
    (0x111c5, 0x111c6),
    (0x111cd, 0x111cd),
    (0x111de, 0x111df),
    (0x11238, 0x11239),
    (0x1123b, 0x1123c),
    (0x112a9, 0x112a9),
    (0x1144b, 0x1144c),
    (0x115c2, 0x115c3),
    (0x115c9, 0x115d7),
    (0x11641, 0x11642),
    (0x1173c, 0x1173e),
    (0x11944, 0x11944),
    (0x11946, 0x11946),
    (0x11a42, 0x11a43),
    (0x11a9b, 0x11a9c),
    (0x11c41, 0x11c42),
    (0x16a6e, 0x16a6f),
    (0x16af5, 0x16af5),
    (0x16b37, 0x16b38),
    (0x16b44, 0x16b44),
    (0x16e98, 0x16e98),
    (0x1bc9f, 0x1bc9f),
    (0x1da88, 0x1da88),
];

/// The kind of a mark that may end a sentence after the character `before`.
pub(super) fn of(c: char, before: Option<char>) -> Option<Kind> {
    match c {
        '.' => Some(Kind::Dot),
        '!' | '?' | '‼' | '‽' | '⁇'..='⁉' => Some(Kind::Strong),
        '…' | '‥' => Some(Kind::Dots { count: 3, apart: false }),
        '。' | '｡' | '．' | '！' | '？' | '︒' | '﹒' | '﹖' | '﹗' => Some(Kind::Wide),
        // What looks like a semicolon asks a question in Greek.
        ';' => {
            before.is_some_and(|b| matches!(b, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')).then_some(Kind::Script)
        }
        c if c.is_ascii() => None,
        c => {
            let code = u32::from(c);
            let after = SCRIPTS.partition_point(|(first, _)| *first <= code);
            let inside = after > 0 && SCRIPTS.get(after - 1).is_some_and(|(_, last)| code <= *last);
            (inside && !c.is_alphanumeric()).then_some(Kind::Script)
        }
    }
}

/// What closes the quote or bracket that `c` opens between its neighbours, if it opens one.
pub(super) fn closing(before: Option<char>, c: char, after: Option<char>) -> Option<[char; 2]> {
    let outside = before.is_none_or(|b| b.is_whitespace() || "([{—–-¿¡:'’\"“„«»".contains(b));
    let inside = after.is_some_and(|a| !a.is_whitespace());
    match c {
        '(' => Some([')'; 2]),
        '[' => Some([']'; 2]),
        '{' => Some(['}'; 2]),
        '（' => Some(['）'; 2]),
        '「' => Some(['」'; 2]),
        '『' => Some(['』'; 2]),
        '《' => Some(['》'; 2]),
        '„' => Some(['“', '”']),
        '“' if outside && inside => Some(['”'; 2]),
        '"' if outside && inside => Some(['"'; 2]),
        '«' if outside => Some(['»'; 2]),
        // Quotes that point inwards, as German books have them.
        '»' if outside && inside => Some(['«'; 2]),
        _ => None,
    }
}

/// Whether `c` closes a bracket.
pub(super) fn closes_bracket(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '）' | '］' | '】' | '〉' | '》')
}

/// Whether `c` closes a quote, wherever it stands.
pub(super) fn closes_quote(c: char) -> bool {
    matches!(c, '"' | '”' | '“' | '»' | '«' | '›' | '‹' | '」' | '』' | '＂')
}

/// Whether `c` opens a quote where a sentence begins.
pub(super) fn opens_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '„' | '«' | '»' | '‘' | '\'')
}

/// Whether `c` is small beside capitals: Georgian's letters are small, but begin sentences.
pub(super) fn small(c: char) -> bool {
    c.is_lowercase() && !matches!(c, '\u{10d0}'..='\u{10ff}')
}

/// Whether `c` is a character of a script without spaces: Chinese, Japanese.
pub(super) fn unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether `c` ends a line.
pub(super) fn breaks_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether `c` is a picture, or a part of one.
pub(super) fn pictures(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{fe0f}' | '\u{200d}')
}

/// Whether `c` says that the sentence goes on.
pub(super) fn goes_on(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '،' | '؛' | '、' | '，' | '；' | '：') || closes_bracket(c)
}

/// Whether `c` marks an item of a list.
pub(super) fn bullet(c: char) -> bool {
    matches!(c, '•' | '‣' | '⁃' | '▪' | '●' | '◦')
}
