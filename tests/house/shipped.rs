//! The models that are shipped: whole, within bounds, and right on plain sentences.

use glossa::engine::{Engine, EngineConfig};
use glossa::labs::evaluate::ask;
use glossa::models::library::Library;
use glossa::models::manifest::Manifest;
use glossa::models::verify::Verifier;
use std::path::Path;

fn library() -> Library {
    Library::find(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models")))
}

#[test]
fn every_manifest_tells_the_truth_about_its_files() {
    let (models, errors) = library().list();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(models.iter().any(|m| m.id == "sentiment-minilm"));
    for model in models {
        let Some(manifest) = &model.manifest else { panic!("{}", model.id) };
        Verifier::new(None).check(&model.dir, manifest, &|| false).expect(&model.id);
        assert_eq!(model.dir.file_name().and_then(|n| n.to_str()), Some(&*model.id));
        assert!(!manifest.origin.is_empty() && manifest.origin.iter().all(|o| !o.licence.is_empty()));
        assert!(manifest.accuracy.iter().all(|a| a.n > 0 && a.ci95[0] < a.value && a.value < a.ci95[1]));
        // What a chat model gets right has no single number; docs/BENCHMARKS.md compares it.
        assert!(!manifest.accuracy.is_empty() || manifest.task == "chat", "measured by Glossa itself");
        for file in &manifest.files {
            assert!(file.size <= 98_500_000 && Manifest::locate(&model.dir, &file.path).is_ok());
        }
    }
}

#[test]
fn plain_sentences_are_classified_as_anybody_would() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    for (text, label) in [
        ("I love this place, the staff are wonderful!", "positive"),
        ("What a terrible waste of money.", "negative"),
        ("The plot is dull and the jokes fall flat.", "negative"),
        ("It won't disappoint you; a joy from start to finish.", "positive"),
        ("A slow start, but the acting is superb and the ending moved me.", "positive"),
        ("The coffee was cold and the waiter ignored us.", "negative"),
    ] {
        let answer = ask(&engine, "sentiment", None, text).expect(text);
        let scores = answer.output.scores().expect("scores");
        assert_eq!(scores.top().0, label, "{text}");
    }
}
