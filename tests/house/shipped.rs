//! The models that are shipped: whole, within bounds, and right on plain sentences.

use glossa::engine::message::Priority;
use glossa::engine::{Engine, EngineConfig};
use glossa::labs::measure::Query;
use glossa::models::library::Library;
use glossa::models::manifest::Manifest;
use glossa::models::verify::Verifier;
use glossa::tasks::{ClassifyOptions, Input, Options, Output, WritingOptions};
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

fn ask(engine: &Engine, task: &'static str, input: Input, options: &Options) -> Output {
    Query { task, model: None, options }.ask(engine, input).expect(task).0
}

/// Bytes instead of floats: the same answers, and the report says what was used.
#[test]
fn bytes_answer_as_floats_do() {
    use glossa::nn::precision::Precision;
    let engine = |precision| {
        let config = EngineConfig { precision: Some(precision), ..EngineConfig::new(library()) };
        Engine::start(EngineConfig { device: glossa::nn::runtime::DeviceChoice::Cpu, ..config }).expect("engine")
    };
    let (floats, bytes) = (engine(Precision::F32), engine(Precision::Int8));
    let options = Options::default();
    let query = Query { task: "sentiment", model: None, options: &options };
    for text in
        ["I love this place!", "A slow start, but the acting is superb.", "The jokes fall flat.", "It is a film."]
    {
        let (exact, report) = query.ask(&floats, text.into()).expect("floats");
        assert_eq!(report.precision, "f32");
        let (rounded, report) = query.ask(&bytes, text.into()).expect("bytes");
        assert_eq!(report.precision, "int8");
        let (a, b) = (exact.scores().expect("scores").top(), rounded.scores().expect("scores").top());
        assert!(a.0 == b.0 && (a.1 - b.1).abs() < 0.1, "{text}: {a:?} {b:?}");
    }
}

/// One model of each architecture in every precision: it answers, sensibly, and the report says what was used.
#[test]
fn every_precision_answers() {
    use glossa::nn::precision::Precision;
    use glossa::nn::sampling::Sampling;
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let options: Options = WritingOptions { max_tokens: 12, sampling, ..WritingOptions::default() }.into();
    for precision in Precision::ALL {
        let config = EngineConfig { precision: Some(precision), ..EngineConfig::new(library()) };
        let config = EngineConfig { device: glossa::nn::runtime::DeviceChoice::Cpu, context: Some(512), ..config };
        let engine = Engine::start(config).expect("engine");
        let ask = |task, text: &str| {
            let (output, report) =
                Query { task, model: None, options: &options }.ask(&engine, text.into()).expect(task);
            let may_differ = matches!(precision, Precision::Bf16 | Precision::Int8);
            assert!(may_differ || report.precision == precision.name(), "{task} {precision:?}: {}", report.precision);
            output
        };
        let label = ask("sentiment", "I love this place, the staff are wonderful!");
        assert_eq!(label.scores().expect("scores").top().0, "positive", "{precision:?}");
        let french = ask("translate", "I am very happy.");
        let french = french.translation().expect("text").text.clone();
        assert!(french.contains("suis"), "{precision:?}: {french}");
        let words = ask("generate", "The capital of France is");
        let words = words.text().expect("text").text.clone();
        // At four bits so small a model has forgotten the capital, but not its English.
        let is_rough = matches!(precision, Precision::Q4_0 | Precision::Q4KM | Precision::Q5_0);
        assert!(is_rough || words.contains("Paris"), "{precision:?}: {words}");
        assert!(!words.trim().is_empty() && words.is_ascii(), "{precision:?}: {words}");
    }
}

/// There is nothing in them to translate: they come back as they are, alone, among others, and at once.
#[test]
fn texts_without_letters_are_translated_by_themselves() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    let options = Options::default();
    for text in ["42", "-", "...", "3.14 % — 7:30", "🙂", "1. 2. 3."] {
        let output = ask(&engine, "translate", text.into(), &options);
        let translated = output.translation().expect("a translation");
        assert_eq!((&*translated.text, translated.sentences.len()), (text, 0));
    }
    let lines = ["Good morning.", "42", "How are you?"].map(Input::from).to_vec();
    let query = Query { task: "translate", model: None, options: &options };
    let (said, report) = query.ask_all(&engine, lines, Priority::Batch, |_, _| ()).expect("all lines");
    assert!(report.done == 3 && said[1].as_ref().expect("numbers").translation().expect("text").text == "42");
    assert_eq!(said.len(), 3);
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
        let output = ask(&engine, "sentiment", text.into(), &Options::default());
        assert_eq!(output.scores().expect("scores").top().0, label, "{text}");
    }
    let labels = ["politics", "sport", "technology", "cooking"].map(str::to_owned).to_vec();
    let options: Options = ClassifyOptions { labels, taught: None }.into();
    for (text, label) in [
        ("The minister resigned after her party lost the vote in parliament.", "politics"),
        ("Let the onions soften in butter before you add the stock.", "cooking"),
        ("She saved two penalties in the final.", "sport"),
    ] {
        let output = ask(&engine, "classify", text.into(), &options);
        assert_eq!(output.scores().expect("scores").top().0, label, "{text}");
    }
}

#[test]
fn well_known_names_are_found_to_the_letter() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    for (text, want) in [
        (
            "Marie Curie was born in Warsaw and worked at the University of Paris.",
            vec![("Marie Curie", "PER"), ("Warsaw", "LOC"), ("University of Paris", "ORG")],
        ),
        (
            "Zoë Kravitz flew from São Paulo to New York (U.S.A.) for Reuters.",
            vec![
                ("Zoë Kravitz", "PER"),
                ("São Paulo", "LOC"),
                ("New York", "LOC"),
                ("U.S.A.", "LOC"),
                ("Reuters", "ORG"),
            ],
        ),
        ("it rained all day and nobody came.", vec![]),
    ] {
        let output = ask(&engine, "entities", text.into(), &Options::default());
        let found = &output.entities().expect("entities").entities;
        let pairs: Vec<(&str, &str)> = found.iter().map(|e| (e.text.as_str(), e.kind.as_str())).collect();
        assert_eq!(pairs, want);
        assert!(found.iter().all(|e| text[e.start..e.end] == e.text));
    }
}

#[test]
fn a_text_answers_what_it_says_and_nothing_else() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    let context = "The Eiffel Tower was completed in March 1889. It was designed by the company of Gustave Eiffel and is 330 \
                   metres tall. About seven million people visit it each year.";
    for (question, want) in [
        ("When was the Eiffel Tower completed?", Some("March 1889")),
        ("How tall is the Eiffel Tower?", Some("330 metres")),
        ("How many people visit it each year?", Some("seven million")),
        ("What is the capital of Peru?", None),
    ] {
        let input = Input::Question { question: question.into(), context: context.into() };
        let output = ask(&engine, "qa", input, &Options::default());
        let answers = output.answers().expect("answers");
        match (answers.answer(), want) {
            (Some(place), Some(want)) => assert!(place.text.contains(want), "{question}: {}", place.text),
            (None, None) => {}
            (other, _) => panic!("{question}: {other:?}, none {}", answers.no_answer),
        }
    }
}

#[test]
fn a_long_document_is_searched_to_its_end() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    let filler = "The meeting went on for a while and nobody said anything that was new. ".repeat(220);
    let context = format!("{filler}The new library will open on the third of May. {filler}");
    let input =
        Input::Question { question: "When will the new library open?".into(), context: context.as_str().into() };
    let output = ask(&engine, "qa", input, &Options::default());
    let answers = output.answers().expect("answers");
    assert!(answers.reading.windows > 10, "{}", answers.reading.windows);
    assert!(answers.answer().is_some_and(|p| p.text.contains("third of May")), "{:?}", answers.places);
}

#[test]
fn alike_texts_lie_near_each_other() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    let vector =
        |text: &str| ask(&engine, "embed", text.into(), &Options::default()).vector().expect("vector").to_vec();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let (a, b, c) =
        (vector("A man plays the guitar."), vector("Someone is playing music."), vector("Taxes will rise."));
    assert!((dot(&a, &a) - 1.0).abs() < 1e-4);
    assert!(dot(&a, &b) > dot(&a, &c) + 0.2, "{} {}", dot(&a, &b), dot(&a, &c));
}

#[test]
fn everyday_sentences_are_translated() {
    let engine = Engine::start(EngineConfig::new(library())).expect("engine");
    for (text, want) in [("I love you.", "aime"), ("Thank you very much!", "erci"), ("Good morning.", "onjour")] {
        let output = ask(&engine, "translate", text.into(), &Options::default());
        let said = &output.translation().expect("translation").text;
        assert!(said.contains(want), "{text}: {said}");
    }
}

/// This file's tests once more with every other instruction set that this processor has: a green run on one must not
/// hide a red one.
#[test]
fn all_of_it_with_every_instruction_set() {
    crate::cli::once_per_instruction_set("shipped::");
}

/// Bytes against floats on a text of some two thousand tokens, on whatever instruction set this run is about.
#[test]
fn bytes_cost_little_perplexity() {
    use glossa::labs::perplexity::perplexity;
    use glossa::nn::precision::Precision;
    use glossa::nn::runtime::{DeviceChoice, Runtime};
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose.txt");
    let measure = |precision| {
        let runtime = Runtime::new(DeviceChoice::Cpu, None, Some(precision)).expect("runtime");
        perplexity(&library(), &runtime, None, &data, 256, |_, _| {}).expect("perplexity").perplexity
    };
    let (floats, bytes) = (measure(Precision::F32), measure(Precision::Int8));
    assert!(bytes <= floats * 1.015, "{bytes} against {floats}: {:+.2} %", 100.0 * (bytes / floats - 1.0));
}
