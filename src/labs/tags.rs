//! Tags of words (IOB1, IOB2, IOBES, BILOU and their kin) as the entities that they mean: which
//! scheme a file has is said by all its tags together. Held to seqeval in `tests/parity/iob.rs`.

use std::collections::BTreeSet;

/// An entity: its first word, the one behind its last, and its type.
pub type Span = (usize, usize, String);

/// What a tag says of its word's place in an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Begin,
    Inside,
    /// `E`, of BILOU `L`.
    End,
    /// `S`, of BILOU `U`, of BMEWO `W`.
    Single,
}

/// A way to write entities as tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Nothing but `O`.
    #[default]
    None,
    /// Types alone, without marks: neighbours of one type cannot be told apart.
    Bare,
    /// `B-` only where an entity follows one of its own type (Ramshaw & Marcus 1995).
    Iob1,
    /// `B-` begins every entity.
    Iob2,
    /// `E-` ends and `S-` is alone (BMEWO: `M-` inside, `W-` alone).
    Iobes,
    /// The same with `L-` and `U-`.
    Bilou,
}

impl Scheme {
    /// Its name, as people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bare => "types without marks",
            Self::Iob1 => "IOB1",
            Self::Iob2 => "IOB2",
            Self::Iobes => "IOBES",
            Self::Bilou => "BILOU",
        }
    }
}

/// A tag: mark and type. None for `O`.
pub type Tag<'a> = Option<(Mark, &'a str)>;

/// A tag with a mark, such as `B-PER` or `S_LOC`, or `O`; anything else is none.
pub fn marked(tag: &str) -> Option<Tag<'_>> {
    if tag == "O" {
        return Some(None);
    }
    let mark = match tag.as_bytes().first()? {
        b'B' => Mark::Begin,
        b'I' | b'M' => Mark::Inside,
        b'E' | b'L' => Mark::End,
        b'S' | b'U' | b'W' => Mark::Single,
        _ => return None,
    };
    let kind = tag[1..].strip_prefix(['-', '_'])?;
    (!kind.is_empty()).then_some(Some((mark, kind)))
}

/// The entities of a sentence, as conlleval and seqeval's default mode count them, whatever the scheme and
/// even if it is broken: one begins with `B` or `S`, after `O`, `E` or `S`, and where the type changes; it
/// ends with `E` or `S`, or before whatever does not go on with it.
pub fn spans(tags: &[Tag<'_>]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    let mut open = false;
    for (at, tag) in tags.iter().enumerate() {
        let Some((mark, kind)) = *tag else {
            open = false;
            continue;
        };
        match out.last_mut() {
            Some(last) if open && matches!(mark, Mark::Inside | Mark::End) && last.2 == kind => last.1 = at + 1,
            _ => out.push((at, at + 1, kind.to_owned())),
        }
        open = matches!(mark, Mark::Begin | Mark::Inside);
    }
    out
}

/// The scheme that `sentences` are written in. `letters` are the first letters of their tags: they alone tell
/// IOBES and BILOU apart.
pub fn scheme(sentences: &[Vec<Tag<'_>>], letters: &BTreeSet<char>) -> Scheme {
    let has = |any: &str| letters.iter().any(|c| any.contains(*c));
    if sentences.iter().flatten().all(Option::is_none) {
        return Scheme::None;
    }
    if has("ESMW") {
        return Scheme::Iobes;
    }
    if has("LU") {
        return Scheme::Bilou;
    }
    // In IOB1 an entity begins with I, and B stands only between neighbours.
    let (mut between, mut other_begins, mut inside_begins) = (0usize, 0usize, 0usize);
    for sentence in sentences {
        let before = std::iter::once(&None).chain(sentence);
        for (before, tag) in before.zip(sentence) {
            let follows = matches!((before, tag), (Some((_, a)), Some((_, b))) if a == b);
            match tag {
                Some((Mark::Begin, _)) if follows => between += 1,
                Some((Mark::Begin, _)) => other_begins += 1,
                Some(_) if !follows => inside_begins += 1,
                _ => {}
            }
        }
    }
    // A few broken tags of IOB2 make no IOB1: there no B stands elsewhere. Without any B the two mean the same.
    if other_begins == 0 || (inside_begins > other_begins && between > other_begins) {
        Scheme::Iob1
    } else {
        Scheme::Iob2
    }
}

/// Places (of the word) where a sentence breaks its scheme's rules.
pub fn broken(tags: &[Tag<'_>], scheme: Scheme) -> Vec<usize> {
    let mut out = Vec::new();
    let mut before: Tag<'_> = None;
    for (at, tag) in tags.iter().copied().chain([None]).enumerate() {
        let same = matches!((before, tag), (Some((_, a)), Some((_, b))) if a == b);
        let goes_on = same && matches!(before, Some((Mark::Begin | Mark::Inside, _)));
        let is_right = match scheme {
            Scheme::None | Scheme::Bare => true,
            Scheme::Iob1 => same || !matches!(tag, Some((Mark::Begin, _))),
            Scheme::Iob2 => same || !matches!(tag, Some((Mark::Inside, _))),
            Scheme::Iobes | Scheme::Bilou => match tag {
                Some((Mark::Inside | Mark::End, _)) => goes_on,
                // What was begun must have ended.
                _ => !matches!(before, Some((Mark::Begin | Mark::Inside, _))),
            },
        };
        if !is_right {
            out.push(at.min(tags.len().saturating_sub(1)));
        }
        before = tag;
    }
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<Tag<'_>> {
        text.split(' ').map(|t| marked(t).unwrap_or_else(|| panic!("{t} is no tag"))).collect()
    }

    fn of(texts: &[&str]) -> Scheme {
        let letters = texts.iter().flat_map(|t| t.split(' ')).filter_map(|t| t.chars().next()).collect();
        scheme(&texts.iter().map(|t| tags(t)).collect::<Vec<_>>(), &letters)
    }

    #[test]
    fn neighbours_are_two_in_every_scheme() {
        let two = [(0, 1, "LOC".to_owned()), (1, 3, "LOC".to_owned())];
        for text in ["I-LOC B-LOC I-LOC O", "B-LOC B-LOC I-LOC O", "S-LOC B-LOC E-LOC O", "U-LOC B-LOC L-LOC O"] {
            assert_eq!(spans(&tags(text)), two, "{text}");
        }
        assert_eq!(spans(&tags("S_LOC B_LOC E_LOC O")), two);
        assert_eq!(spans(&tags("W-LOC B-LOC M-LOC M-LOC E-LOC"))[1], (1, 5, "LOC".to_owned()));
    }

    #[test]
    fn the_whole_file_says_which_scheme_it_is() {
        assert_eq!(of(&["O O"]), Scheme::None);
        assert_eq!(of(&["I-PER I-PER O", "I-LOC B-LOC"]), Scheme::Iob1);
        assert_eq!(of(&["I-PER I-PER O"]), Scheme::Iob1);
        assert_eq!(of(&["B-PER I-PER O", "B-LOC B-LOC"]), Scheme::Iob2);
        // One word without its beginning makes no other scheme.
        assert_eq!(of(&["B-PER I-PER O I-LOC", "B-LOC B-LOC"]), Scheme::Iob2);
        assert_eq!(of(&["B-PER E-PER O"]), Scheme::Iobes);
        assert_eq!(of(&["B-PER L-PER O U-LOC"]), Scheme::Bilou);
    }

    #[test]
    fn broken_places_are_found() {
        assert_eq!(broken(&tags("B-PER I-PER O B-LOC"), Scheme::Iob2), [0usize; 0]);
        assert_eq!(broken(&tags("I-PER B-LOC I-ORG"), Scheme::Iob2), [0, 2]);
        assert_eq!(broken(&tags("B-PER I-PER B-PER"), Scheme::Iob1), [0]);
        assert_eq!(broken(&tags("B-PER I-PER E-PER S-LOC O"), Scheme::Iobes), [0usize; 0]);
        assert_eq!(broken(&tags("B-PER O E-LOC B-LOC"), Scheme::Iobes), [1, 2, 3]);
        assert_eq!(broken(&tags("I-PER"), Scheme::Bilou), [0]);
    }

    #[test]
    fn words_are_no_tags() {
        for word in ["", "-", "B-", "e-mail", "X-ray", "o", "PER", "Ö-PER"] {
            assert_eq!(marked(word), None, "{word}");
        }
    }
}
