//! Data in CoNLL's format: a word and its tag a line, with any columns between them, blank lines
//! between sentences.

use super::columns;
use super::doubts::{Doubts, listed, quoted};
use super::lines;
use super::tags::{Mark, Scheme, Span, Tag, broken, marked, scheme, spans};
use crate::error::UserMessage;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Types of a file without marks that can be.
const MOST_TYPES: usize = 100;

/// A sentence: its words joined by spaces, and its entities by bytes of that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub text: String,
    pub entities: Vec<Span>,
}

/// A file as it was read.
#[derive(Clone, Debug, Default)]
pub struct Tagged {
    pub sentences: Vec<Sentence>,
    pub scheme: Scheme,
    /// Types of the entities.
    pub kinds: BTreeSet<String>,
    /// Columns that hold tags too, counted from 1, with their types.
    pub others: Vec<(usize, BTreeSet<String>)>,
    /// What was noticed about the file.
    pub doubts: Doubts,
}

/// A line with a word: its number and its columns.
struct Line<'a> {
    number: usize,
    columns: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn new(number: usize, line: &'a str) -> Self {
        let columns: Vec<&str> = if line.contains('\t') {
            line.trim_end().split('\t').map(str::trim).collect()
        } else {
            line.split_whitespace().collect()
        };
        Self { number, columns }
    }

    fn first(&self) -> &'a str {
        self.columns.first().copied().unwrap_or("")
    }

    /// The last column, if it is not the word's.
    fn last(&self) -> &'a str {
        self.columns.last().copied().filter(|_| self.columns.len() > 1).unwrap_or("")
    }

    fn tag(&self, is_bare: bool) -> Tag<'a> {
        let last = self.last();
        if is_bare { (last != "O").then_some((Mark::Inside, last)) } else { marked(last).flatten() }
    }

    /// Some files have remarks on lines of their own, such as `# id 17`.
    fn is_remark(&self) -> bool {
        self.first().starts_with('#') && marked(self.last()).is_none()
    }
}

/// Reads `word<TAB or space>…<TAB or space>tag` lines in any scheme of [`super::tags`], blank lines between
/// sentences. Documents' beginnings, remarks and a first line of headings are left out.
///
/// # Errors
/// An unreadable file, a line without a tag, by its number, or columns in another order.
pub fn read(path: &Path) -> Result<Tagged, UserMessage> {
    let text = lines::text(path)?;
    let mut out = Tagged::default();
    let sentences = split(&text, &mut out.doubts);
    let is_bare = are_bare(&sentences);
    check(&sentences, is_bare, path)?;
    let tags: Vec<Vec<Tag<'_>>> = sentences.iter().map(|s| s.iter().map(|l| l.tag(is_bare)).collect()).collect();
    let letters = sentences.iter().flatten().filter_map(|l| l.last().chars().next()).collect();
    out.scheme =
        if is_bare && !tags.iter().flatten().all(Option::is_none) { Scheme::Bare } else { scheme(&tags, &letters) };
    tell_broken(&sentences, &tags, out.scheme, &mut out.doubts);
    out.others = others(&sentences);
    for (lines, tags) in sentences.iter().zip(&tags) {
        let words: Vec<&str> = lines.iter().map(Line::first).collect();
        out.sentences.push(sentence(&words, &spans(tags)));
    }
    out.kinds = out.sentences.iter().flat_map(|s| &s.entities).map(|e| e.2.clone()).collect();
    if out.kinds.is_empty() {
        out.doubts.doubt("no word of the data is tagged as an entity: F1 says nothing");
    }
    Ok(out)
}

/// The lines with words, by sentence.
fn split<'a>(text: &'a str, doubts: &mut Doubts) -> Vec<Vec<Line<'a>>> {
    let mut sentences: Vec<Vec<Line<'a>>> = Vec::new();
    let (mut is_first, mut is_new) = (true, true);
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("-DOCSTART-") {
            is_new = true;
            continue;
        }
        let line = Line::new(i + 1, line);
        if line.is_remark() {
            continue;
        }
        if std::mem::take(&mut is_first) && columns::are_headings(&line.columns, columns::Table::Words) {
            doubts.doubt(columns::heading_left_out(&line.columns));
            continue;
        }
        match sentences.last_mut().filter(|_| !is_new) {
            Some(last) => last.push(line),
            None => sentences.push(vec![line]),
        }
        is_new = false;
    }
    sentences
}

/// Whether the last column holds types without marks: `O` most often, and few others.
fn are_bare(sentences: &[Vec<Line<'_>>]) -> bool {
    let all = || sentences.iter().flatten().map(Line::last);
    let (count, outside) = (all().count(), all().filter(|t| *t == "O").count());
    let others: BTreeSet<&str> = all().filter(|t| *t != "O").collect();
    let can_be = |tag: &&str| marked(tag).is_none() && tag.starts_with(char::is_alphabetic);
    outside * 3 >= count && !others.is_empty() && others.len() <= MOST_TYPES && others.iter().all(can_be)
}

/// # Errors
/// What keeps the lines from being words with tags.
fn check(sentences: &[Vec<Line<'_>>], is_bare: bool, path: &Path) -> Result<(), UserMessage> {
    let fail = |why: String, next: String| {
        let why = format!("'{}': {why}", path.display());
        Err(UserMessage::new("The data could not be read", why, next))
    };
    let all = || sentences.iter().flatten();
    let has_tag =
        |l: &Line<'_>| !l.first().is_empty() && (marked(l.last()).is_some() || (is_bare && l.columns.len() > 1));
    let wanted = "Each line must be: word, tab, tag (such as B-PER); a blank line between sentences.";
    let Some(bad) = all().find(|l| !has_tag(l)) else {
        let counts = |s: &Vec<Line<'_>>| s.iter().enumerate().all(|(i, l)| l.first() == (i + 1).to_string());
        let long = all().next().is_some_and(|l| l.columns.len() > 2) && sentences.iter().any(|s| s.len() > 1);
        if long && sentences.iter().all(counts) {
            return fail("the first column counts the words".into(), format!("Remove it. {wanted}"));
        }
        return Ok(());
    };
    if all().all(|l| l.columns.len() > 1 && marked(l.first()).is_some()) {
        return fail(
            "the tags stand in the first column".into(),
            format!("Put the word first and the tag last. {wanted}"),
        );
    }
    let lacking = if bad.first().is_empty() { "word" } else { "tag" };
    let why = format!("line {} has no {lacking}", bad.number);
    match bad.columns[..] {
        [only] if only.rsplit([',', ';']).next().is_some_and(|t| t != only && marked(t).is_some()) => {
            fail(why, columns::separator_hint(only, wanted))
        }
        _ => fail(why, wanted.into()),
    }
}

fn tell_broken(sentences: &[Vec<Line<'_>>], tags: &[Vec<Tag<'_>>], scheme: Scheme, doubts: &mut Doubts) {
    let places = sentences
        .iter()
        .zip(tags)
        .flat_map(|(lines, tags)| broken(tags, scheme).into_iter().filter_map(|at| lines.get(at)).map(|l| l.number));
    let places: Vec<usize> = places.collect();
    let tagged = tags.iter().flatten().flatten().count();
    if let Some(first) = places.first() {
        let text = format!(
            "{} not as {} has it (the first on line {first}): entities are counted as conlleval and seqeval's default mode do",
            if places.len() == 1 { "1 tag is".to_owned() } else { format!("{} tags are", places.len()) },
            scheme.name()
        );
        doubts.some(places.len(), tagged, text);
    }
}

/// Columns between the word's and the last that hold tags, where every line has as many.
fn others(sentences: &[Vec<Line<'_>>]) -> Vec<(usize, BTreeSet<String>)> {
    let all = || sentences.iter().flatten();
    let width = all().next().map_or(0, |l| l.columns.len());
    if all().any(|l| l.columns.len() != width) {
        return Vec::new();
    }
    let kinds = |at: usize| {
        let each: Option<Vec<Tag<'_>>> = all().map(|l| marked(l.columns[at])).collect();
        let kinds: BTreeSet<String> = each?.into_iter().flatten().map(|t| t.1.to_owned()).collect();
        (!kinds.is_empty()).then_some((at + 1, kinds))
    };
    (1..width.saturating_sub(1)).filter_map(kinds).collect()
}

/// Words joined by spaces, with `spans` in bytes of them.
fn sentence(words: &[&str], spans: &[Span]) -> Sentence {
    let mut text = String::new();
    let mut ranges: Vec<(usize, usize)> = Vec::with_capacity(words.len());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        ranges.push((text.len(), text.len() + word.len()));
        text.push_str(word);
    }
    let entities = spans.iter().map(|(a, b, kind)| (ranges[*a].0, ranges[*b - 1].1, kind.clone())).collect();
    Sentence { text, entities }
}

/// Types of a file in a model's names.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// What each type of the file is to the model.
    known: BTreeMap<String, String>,
    pub unknown: Vec<String>,
}

impl Kinds {
    /// Types by their names, by these in other capitals, or by the usual short and long ones.
    pub fn read(given: &BTreeSet<String>, own: &[String]) -> Self {
        let mut out = Self::default();
        for kind in given {
            let only = |fits: &dyn Fn(&str) -> bool| {
                let mut found = own.iter().filter(|o| fits(o));
                found.next().filter(|_| found.next().is_none())
            };
            let found = only(&|o| o == kind).or_else(|| only(&|o| long_name(o) == long_name(kind)));
            match found {
                Some(own) => drop(out.known.insert(kind.clone(), own.clone())),
                None => out.unknown.push(kind.clone()),
            }
        }
        out
    }

    /// Whether the model has any of them.
    pub fn are_any_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// The model's name of a type; of one that it lacks the file's.
    pub fn of<'a>(&'a self, kind: &'a str) -> &'a str {
        self.known.get(kind).map_or(kind, String::as_str)
    }

    /// Says what was not read word for word.
    pub fn tell(&self, own: &[String], doubts: &mut Doubts) {
        let (mut spelt, mut meant) = (Vec::new(), Vec::new());
        for (given, own) in self.known.iter().filter(|(given, own)| given != own) {
            let list = if given.eq_ignore_ascii_case(own) { &mut spelt } else { &mut meant };
            list.push(format!("{} as {}", quoted(given), quoted(own)));
        }
        if !spelt.is_empty() {
            doubts.note(format!("types are spelt otherwise than the model's: {}", spelt.join(", ")));
        }
        if !meant.is_empty() {
            let meant = meant.join(", ");
            doubts.doubt(format!(
                "types were read by their meaning: {meant}; write the model's own to have the result kept"
            ));
        }
        if !self.unknown.is_empty() {
            doubts.doubt(format!(
                "the model does not know the {} {}: their entities count as missed. It knows {}",
                if self.unknown.len() == 1 { "type" } else { "types" },
                listed(&self.unknown),
                listed(own)
            ));
        }
    }
}

/// A type's name, small and whole.
fn long_name(kind: &str) -> String {
    let small = kind.to_lowercase();
    let long = match small.as_str() {
        "per" | "pers" => "person",
        "loc" => "location",
        "org" | "organisation" => "organization",
        "misc" => "miscellaneous",
        other => other,
    };
    long.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Tagged, UserMessage> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("n.txt");
        std::fs::write(&path, text).expect("file");
        read(&path)
    }

    fn named(text: &str) -> Vec<(String, String)> {
        let tagged = file(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let of =
            |s: &Sentence| s.entities.iter().map(|e| (s.text[e.0..e.1].to_owned(), e.2.clone())).collect::<Vec<_>>();
        tagged.sentences.iter().flat_map(of).collect()
    }

    #[test]
    fn entities_are_byte_ranges_of_the_joined_words() {
        let s = sentence(&["Zoë", "Kravitz", "in", "Rome"], &[(0, 2, "PER".into()), (3, 4, "LOC".into())]);
        let own: Vec<&str> = s.entities.iter().map(|e| &s.text[e.0..e.1]).collect();
        assert_eq!(own, ["Zoë Kravitz", "Rome"]);
    }

    #[test]
    fn every_layout_with_the_word_first_and_the_tag_last_is_read() {
        let expected = [("New York".to_owned(), "LOC".to_owned()), ("Rome".into(), "LOC".into())];
        for text in [
            "New\tB-LOC\nYork\tI-LOC\n\nRome\tB-LOC\n",
            "-DOCSTART- -X- O O\n\nNew NNP I-NP I-LOC\nYork NNP I-NP I-LOC\n\nRome NNP I-NP I-LOC\n",
            "# id 1\nNew _ _ B-LOC\r\nYork _ _ E-LOC\r\nRome _ _ S-LOC\r\n",
            "# text = New York, Rome\nNew York\tU-LOC\n,\tO\nRome\tU-LOC\n",
            "New\tB_LOC\nYork\tL_LOC\n\n\nRome\tU_LOC",
            "New LOC\nYork LOC\n, O\nRome LOC\n. O\n",
        ] {
            assert_eq!(named(text), expected, "{text}");
            assert!(!file(text).expect("file").doubts.forbid_keeping(), "{text}");
        }
        assert_eq!(named("#\tO\nRome\tB-LOC\n")[0].0, "Rome");
        assert_eq!(file("#\tO\nRome\tB-LOC\n").expect("file").sentences[0].text, "# Rome");
    }

    #[test]
    fn columns_in_another_order_are_named() {
        for (text, said) in [
            ("B-LOC\tRome\nO\t.\n", "tags stand in the first column"),
            ("O\te-mail\nO\tin\n", "tags stand in the first column"),
            ("Rome,B-LOC\n.,O\n", "commas"),
            ("1\tRome\tB-LOC\tO\n2\t.\tO\tO\n", "counts the words"),
            ("Rome\tB-LOC\nParis\n", "line 2 has no tag"),
            ("Rome\tB-LOC\n\tO\n", "line 2"),
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("n.txt"), "{text}: {error}");
        }
    }

    #[test]
    fn headings_broken_tags_and_files_without_entities_are_doubted() {
        for (text, said) in [
            ("word\ttag\nRome\tB-LOC\n", "first line"),
            ("Rome\tI-LOC\nis\tO\nBonn\tB-LOC\n", "1 tag is not as IOB2 has it (the first on line 1)"),
            ("Rome\tB-LOC\n\nA\tO\nB\tE-LOC\n", "2 tags are not as IOBES has it (the first on line 1)"),
            ("nothing\tO\nhere\tO\n", "no word"),
        ] {
            let doubts = file(text).expect("file").doubts;
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{text}: {doubts:?}");
        }
    }

    #[test]
    fn types_are_found_by_name_capitals_and_usual_length() {
        let own = ["PER", "ORG", "LOC", "MISC"].map(str::to_owned);
        let read = |given: &[&str]| {
            let kinds = Kinds::read(&given.iter().map(|g| (*g).to_owned()).collect(), &own);
            let mut doubts = Doubts::default();
            kinds.tell(&own, &mut doubts);
            (kinds, doubts)
        };
        assert_eq!(read(&["LOC", "MISC"]).1, Doubts::default());
        let (kinds, doubts) = read(&["per"]);
        assert!(kinds.of("per") == "PER" && !doubts.forbid_keeping() && doubts.iter().count() == 1);
        let (kinds, doubts) = read(&["corporation", "person", "location"]);
        assert_eq!(["person", "location", "corporation"].map(|k| kinds.of(k)), ["PER", "LOC", "corporation"]);
        assert_eq!(kinds.unknown, ["corporation"]);
        assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains("'corporation'") && d.contains("'MISC'")));
        assert!(!read(&["NP", "VP"]).0.are_any_known());
    }
}
