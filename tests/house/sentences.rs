//! Sentences as people read them: 200 short texts that were written before the rules, and the texts that
//! were once cut wrongly.

use crate::cli::{glossa, stderr, stdout};
use glossa::tasks::text::sentences::sentences;
use std::collections::BTreeMap;
use std::path::Path;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sentences").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn cut(text: &str) -> Vec<&str> {
    sentences(text).into_iter().map(|r| &text[r]).collect()
}

/// The sentences of a line of golden.tsv (its first lines say how it is written) and the text they make.
fn sentences_of(line: &str) -> (Vec<String>, String) {
    let (mut wanted, mut text) = (Vec::new(), String::new());
    let line = line.replace("\\n", "\n").replace("\\_", "\u{a0}");
    let mut rest = line.as_str();
    loop {
        let marks = [(" | ", " "), (" || ", ""), (" |n| ", "\n"), (" |nn| ", "\n\n")];
        let first = marks.iter().filter_map(|(mark, gap)| Some((rest.find(mark)?, mark.len(), gap))).min();
        let Some((at, length, gap)) = first else { break };
        wanted.push(rest[..at].to_owned());
        text += &rest[..at];
        text += gap;
        rest = &rest[at + length..];
    }
    wanted.push(rest.to_owned());
    text += rest;
    (wanted, text)
}

#[test]
fn short_texts_are_cut_as_people_read_them() {
    let mut tally: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in fixture("golden.tsv").lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (language, line) = line.split_once('\t').expect("a tab");
        let (wanted, text) = sentences_of(line);
        let got = cut(&text);
        let (right, all) = tally.entry(language.to_owned()).or_default();
        *all += 1;
        if got == wanted {
            *right += 1;
        } else {
            println!("{language}: {got:?}\n  people: {wanted:?}");
        }
    }
    println!("right, of all: {tally:?}");
    for (language, least) in [("en", 80), ("fr", 40), ("de", 40), ("es", 40), ("other", 8)] {
        let (right, all) = tally.get(language).copied().unwrap_or_default();
        assert!(all >= least, "{language}: {all} texts");
        assert!(right * 100 >= all * 95, "{language}: {right} of {all}");
    }
}

#[test]
fn texts_that_were_cut_wrongly_have_their_number_of_sentences() {
    let cases = fixture("split-wrongly.tsv");
    assert!(cases.lines().count() >= 9);
    for line in cases.lines() {
        let (number, text) = line.split_once('\t').expect("a tab");
        assert_eq!(Ok(cut(text).len()), number.parse(), "{:?}", cut(text));
    }
}

#[test]
fn a_summary_never_ends_in_an_abbreviation() {
    for wanted in ["1", "2"] {
        let text = "They climbed Mt. Everest twice. It was cold.";
        let run = glossa(&["run", "summarize", "--method", "extractive", "--sentences", wanted, text], None);
        assert!(run.status.success(), "{}", stderr(&run));
        let out = stdout(&run);
        assert!(!out.trim_end().ends_with("Mt.") && !out.contains("Mt.\n"), "{out}");
        assert!(out.contains("They climbed Mt. Everest twice.") || out.contains("It was cold."), "{out}");
        assert!(wanted == "1" || out.contains("Mt. Everest twice. It was cold."), "{out}");
    }
}
