//! Tags of four schemes as entities, and their scores, against seqeval. `make_iob.py` beside this file made
//! the numbers.

use super::fixture;
use glossa::labs::eval_entities::{Counts, compare};
use glossa::labs::tags::{Scheme, Span, Tag, broken, marked, scheme, spans};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    scheme: String,
    truth: Vec<Sequence>,
    said: Vec<Sequence>,
    /// Precision, recall and F1.
    default: [f64; 3],
}

#[derive(Deserialize)]
struct Sequence {
    tags: Vec<String>,
    spans: Vec<Span>,
    strict: Vec<Span>,
}

impl Sequence {
    fn read(&self) -> Vec<Tag<'_>> {
        self.tags.iter().map(|t| marked(t).unwrap_or_else(|| panic!("'{t}' is no tag"))).collect()
    }
}

fn sets() -> Vec<Set> {
    let text = std::fs::read_to_string(fixture("iob.json")).expect("iob.json");
    let sets = serde_json::from_str::<Expected>(&text).expect("sets").sets;
    assert!(sets.len() == 4 && sets.iter().all(|s| s.truth.len() >= 40 && s.said.len() == s.truth.len()));
    sets
}

#[test]
fn sequences_of_every_scheme_mean_what_seqeval_finds_in_them() {
    for set in sets() {
        for (i, sequence) in set.truth.iter().chain(&set.said).enumerate() {
            let tags = sequence.read();
            assert_eq!(spans(&tags), sequence.spans, "{}: {:?}", set.scheme, sequence.tags);
            // What keeps the rules means the same to the strict; what means something else breaks them.
            if i < set.truth.len() {
                assert_eq!(sequence.spans, sequence.strict, "{}: {:?}", set.scheme, sequence.tags);
            }
        }
    }
}

#[test]
fn schemes_are_recognised_and_their_rules_known() {
    for set in sets() {
        let all: Vec<Vec<Tag<'_>>> = set.truth.iter().map(Sequence::read).collect();
        let letters = set.truth.iter().flat_map(|s| &s.tags).filter_map(|t| t.chars().next()).collect();
        let known = scheme(&all, &letters);
        assert_eq!(known.name(), set.scheme);
        assert_ne!(known, Scheme::None);
        for tags in &all {
            assert_eq!(broken(tags, known), [0usize; 0], "{}: {tags:?}", set.scheme);
        }
        for sequence in set.said.iter().filter(|s| s.spans != s.strict) {
            assert!(!broken(&sequence.read(), known).is_empty(), "{}: {:?}", set.scheme, sequence.tags);
        }
    }
}

#[test]
fn scores_are_those_of_seqevals_default_mode() {
    for set in sets() {
        let mut sum = Counts::default();
        for (said, truth) in set.said.iter().zip(&set.truth) {
            for counts in compare(&spans(&said.read()), &spans(&truth.read())).into_values() {
                sum.right += counts.right;
                sum.found += counts.found;
                sum.true_ones += counts.true_ones;
            }
        }
        let score = sum.score();
        for (own, theirs) in [score.precision, score.recall, score.f1].into_iter().zip(set.default) {
            assert!((own - theirs).abs() < 1e-12, "{}: {score:?} {:?}", set.scheme, set.default);
        }
    }
}
