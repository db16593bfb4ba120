//! BLEU and chrF against sacrebleu, ROUGE against rouge-score. `make_scores.py` beside this file made
//! the numbers.

use super::fixture;
use glossa::labs::overlap::{Bleu, Chrf, Mteval, Rouge};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    sets: Vec<Set>,
    words: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Set {
    pairs: Vec<(String, String)>,
    bleu: f64,
    chrf: f64,
    rouge: Vec<[f64; 3]>,
}

fn expected() -> Expected {
    let text = std::fs::read_to_string(fixture("scores.json")).expect("scores.json");
    serde_json::from_str(&text).expect("sets")
}

#[test]
fn words_are_cut_as_sacrebleu_cuts_them() {
    let cut = Mteval::default();
    for (text, words) in expected().words {
        assert_eq!(cut.words(&text).join(" "), words, "{text:?}");
    }
}

#[test]
fn scores_equal_those_of_the_original_libraries() {
    let cut = Mteval::default();
    for set in expected().sets {
        let (mut bleu, mut chrf) = (Bleu::default(), Chrf::default());
        for ((said, reference), rouge) in set.pairs.iter().zip(&set.rouge) {
            bleu.add(&Bleu::of(said, reference, &cut));
            chrf.add(&Chrf::of(said, reference));
            let got = Rouge::of(said, reference);
            for (a, b) in [got.rouge1, got.rouge2, got.rouge_l].iter().zip(rouge) {
                assert!((a - b).abs() < 1e-9, "{said:?} {reference:?}: {got:?} {rouge:?}");
            }
        }
        assert!((bleu.score() - set.bleu).abs() < 1e-6, "BLEU {} {} {:?}", bleu.score(), set.bleu, set.pairs);
        assert!((chrf.score() - set.chrf).abs() < 1e-6, "chrF {} {} {:?}", chrf.score(), set.chrf, set.pairs);
    }
}
