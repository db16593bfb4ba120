//! T5's sentinels, in texts and in outputs, as `transformers` reads and writes them. `make_sentinels.py` beside this file
//! made tests/fixtures/sentinels.json.

use super::fixture;
use glossa::models::sentencepiece::PairTokenizer;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(serde::Deserialize)]
struct Cases {
    ids: Vec<(String, Vec<u32>)>,
    texts: Vec<(Vec<u32>, String)>,
}

fn check(name: &str, tokenizer: &PairTokenizer) {
    let text = std::fs::read_to_string(fixture("sentinels.json")).expect("sentinels.json");
    let mut all: BTreeMap<String, Cases> = serde_json::from_str(&text).expect("cases");
    let cases = all.remove(name).expect(name);
    assert!(cases.ids.len() > 10 && cases.texts.len() > 5);
    for (text, want) in cases.ids {
        let tokens = tokenizer.encode(&text).expect("tokens");
        let ids: Vec<u32> = tokens.iter().map(|t| t.id).collect();
        assert_eq!(ids, want[..want.len() - 1], "{name} {text:?}");
        assert!(
            tokens.iter().all(|t| text.is_char_boundary(t.start) && text.is_char_boundary(t.end)),
            "{name} {text:?}"
        );
    }
    for (ids, want) in cases.texts {
        assert_eq!(tokenizer.decode(&ids), want, "{name} {ids:?}");
    }
}

/// spiece.model alone, or with these settings beside it, of a model with `rows` ids beyond its 120 pieces.
fn from_pieces(settings: Option<&str>, rows: usize) -> PairTokenizer {
    let folder = tempfile::tempdir().expect("folder");
    let path: PathBuf = folder.path().join("spiece.model");
    std::fs::copy(fixture("seq2seq-t5").join("spiece.model"), &path).expect("copy");
    if let Some(settings) = settings {
        std::fs::write(folder.path().join("tokenizer_config.json"), settings).expect("settings");
    }
    PairTokenizer::open(&path, [120 + rows, 120 + rows]).expect("tokenizer")
}

#[test]
fn spiece_model_has_the_sentinels_that_transformers_appends() {
    check("legacy", &from_pieces(None, 10));
    check("legacy", &from_pieces(Some(r#"{"extra_ids": 10}"#), 128));
    check(
        "legacy",
        &from_pieces(
            Some(
                r#"{"additional_special_tokens": ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>", "<extra_id_3>", "<extra_id_4>", "<extra_id_5>", "<extra_id_6>", "<extra_id_7>", "<extra_id_8>", "<extra_id_9>"]}"#,
            ),
            128,
        ),
    );
    check("new", &from_pieces(Some(r#"{"extra_ids": 10, "legacy": false}"#), 10));
    // As t5-small has them: a hundred, and some rows that no token has.
    let tokenizer = from_pieces(None, 128);
    check("padded", &tokenizer);
    assert_eq!(
        (tokenizer.piece(219), tokenizer.piece(120), tokenizer.piece(220)),
        ("<extra_id_0>", "<extra_id_99>", "")
    );
    assert!(tokenizer.is_special(219) && tokenizer.is_special(220));
    // Where there are no rows for them, there are none.
    let tokenizer = from_pieces(None, 0);
    assert!(tokenizer.encode("the <extra_id_0> cat").expect("tokens").iter().all(|t| t.id < 120));
    let tokenizer = from_pieces(Some(r#"{"extra_ids": 0}"#), 128);
    assert!(tokenizer.encode("the <extra_id_0> cat").expect("tokens").iter().all(|t| t.id < 120));
}

#[test]
fn tokenizer_json_has_its_own() {
    let path = fixture("seq2seq-t5-gated").join("tokenizer.json");
    check("json", &PairTokenizer::open(&path, [130, 130]).expect("tokenizer"));
}
