//! The tasks that look into a text: bad input, odd characters, long documents, and what the command
//! line promises of them.

use crate::cli::{glossa, stderr, stdout};
use glossa::engine::message::{ClientId, Event, EventSink, Priority, Request};
use glossa::engine::{Engine, EngineConfig, wait_for_end};
use glossa::error::UserMessage;
use glossa::labs::measure::Query;
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{ClassifyOptions, Input, Length, Options, Output, SummaryOptions};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::path::Path;

fn engine() -> Engine {
    let mut config = EngineConfig::new(Library::find(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))));
    config.device = DeviceChoice::Cpu;
    Engine::start(config).expect("engine")
}

fn ask(engine: &Engine, task: &'static str, input: Input, options: &Options) -> Result<Output, UserMessage> {
    Query { task, model: None, options }.ask(engine, input).map(|a| a.0)
}

fn question(question: &str, context: &str) -> Input {
    Input::Question { question: question.into(), context: context.into() }
}

/// Texts as people paste them: words of several scripts, emoji sequences, marks, joiners, all line ends.
fn odd_text() -> impl Strategy<Value = String> {
    let bits = [
        "Paris",
        "NATO",
        "McDonald",
        "e\u{301}",
        "naïve",
        "👩‍👩‍👧",
        "🇫🇷",
        "\u{200d}",
        "\u{200b}",
        "\u{feff}",
        "\r\n",
        "\n",
        "\r",
        "\u{2028}",
        "\t",
        " ",
        " ",
        " ",
        "東京",
        "שלום",
        "مرحبا",
        "\u{0}",
        ".",
        ",",
        "(",
        "-",
        "'s",
        "İstanbul",
        "ﬁne",
        "ß",
        "42",
        "U.S.",
        "\u{300}\u{301}",
        "a",
        "𝒳",
        "न्यूयॉर्क",
        "\u{202e}",
    ];
    let words = prop::collection::vec(prop::sample::select(bits.to_vec()), 1..60).prop_map(|v| v.concat());
    prop_oneof![3 => words, 1 => any::<String>()]
}

#[test]
fn offsets_are_whole_letters_of_any_text() {
    let engine = engine();
    let options: Options = SummaryOptions { length: Length::Percent(40.0) }.into();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let nothing = ["There is nothing to analyse", "The model cannot read this"];
    let run = runner.run(&odd_text(), |text| {
        let inputs = [
            ("entities", Input::from(text.as_str())),
            ("qa", question("Where is it?", &text)),
            ("summarize", Input::from(text.as_str())),
            ("embed", Input::from(text.as_str())),
        ];
        for (task, input) in inputs {
            let output = match ask(&engine, task, input, &options) {
                Ok(output) => output,
                Err(message) => {
                    prop_assert!(nothing.contains(&message.what.as_str()), "{task}: {message}");
                    continue;
                }
            };
            let ranges: Vec<(usize, usize, String)> = match &output {
                Output::Entities(e) => e.entities.iter().map(|e| (e.start, e.end, e.text.clone())).collect(),
                Output::Answers(a) => a.places.iter().map(|p| (p.start, p.end, p.text.clone())).collect(),
                Output::Summary(s) => s.chosen.iter().map(|c| (c.start, c.end, c.text.clone())).collect(),
                Output::Vector(v) => {
                    let length = v.vector.iter().map(|x| x * x).sum::<f32>();
                    prop_assert!((length - 1.0).abs() < 1e-3, "{length}");
                    Vec::new()
                }
                other => panic!("{other:?}"),
            };
            let mut cursor = unicode_segmentation::GraphemeCursor::new(0, text.len(), true);
            for (start, end, shown) in ranges {
                prop_assert!(start < end, "{task} {start}..{end}");
                prop_assert_eq!(text.get(start..end), Some(shown.as_str()));
                for at in [start, end] {
                    cursor.set_cursor(at);
                    // A sentence may end between what a person sees as one letter and its line end.
                    let whole = matches!(cursor.is_boundary(&text, 0), Ok(true)) || task == "summarize";
                    prop_assert!(whole, "{task} cuts a letter at {at} of {text:?}");
                }
            }
            for piece in &output.reading().expect("reading").pieces {
                prop_assert!(task == "embed" || text.get(piece.start..piece.end).is_some(), "{task} {piece:?}");
            }
        }
        Ok(())
    });
    run.expect("every text");
}

#[test]
fn empty_passages_and_questions_say_so() {
    let engine = engine();
    let options = Options::default();
    let long = "why ".repeat(400);
    for (input, part) in [
        (question("", "A text."), "question is empty"),
        (question("  \u{200b}", "A text."), "no visible characters"),
        (question("Who?", " \n"), "text is empty"),
        (question("Who?", "\u{200b}\u{200d}"), "no visible characters"),
        (question(&long, "A text."), "tokens"),
        (Input::from("A text."), "needs a text"),
    ] {
        let error = ask(&engine, "qa", input, &options).expect_err(part);
        assert!(error.to_string().contains(part) && !error.next.is_empty(), "{error}");
    }
    assert!(ask(&engine, "summarize", "🙂 \n !!".into(), &options).is_err());
}

#[test]
fn labels_given_twice_alone_or_by_the_thousand() {
    let engine = engine();
    let with = |labels: Vec<String>| Options::from(ClassifyOptions { labels, taught: None });
    let owned = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let output = ask(&engine, "classify", "A goal!".into(), &with(owned(&["sport", "Sport ", "tax"]))).expect("two");
    assert_eq!(output.scores().expect("scores").scores.len(), 2);
    let error = ask(&engine, "classify", "A goal!".into(), &with(owned(&["sport", "sport"]))).expect_err("one");
    assert!(error.to_string().contains("two labels"), "{error}");
    let error = ask(&engine, "classify", "x".into(), &with(owned(&["a", "\u{200b}"]))).expect_err("an empty label");
    assert!(error.to_string().contains("label"), "{error}");
    let mut many: Vec<String> = (0..3000).map(|i| format!("topic {i}")).collect();
    many.push("football match".into());
    let output = ask(&engine, "classify", "The striker scored twice.".into(), &with(many)).expect("thousands");
    let scores = output.scores().expect("scores");
    assert_eq!((scores.scores.len(), scores.top().0), (3001, "football match"));
}

#[test]
fn a_huge_document_tells_its_progress_and_stops_at_once() {
    let engine = engine();
    let text = "Anna Berg met Tom Reed in Oslo on Friday. ".repeat(5_000_000 / 42);
    for task in ["entities", "qa"] {
        let input = if task == "qa" { question("Who met Tom Reed?", &text) } else { Input::from(text.as_str()) };
        let request = Request {
            task,
            model: None,
            inputs: vec![input],
            options: Options::default(),
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        let (sink, events) = EventSink::channel(None);
        let ticket = engine.submit(request, sink).expect("submitted");
        let (mut shares, mut stopped) = (Vec::new(), None);
        let end = wait_for_end(&events, |event| {
            if let Event::Progress { share, .. } = event {
                shares.push(*share);
                if shares.len() == 3 {
                    ticket.cancel.cancel();
                    stopped = Some(std::time::Instant::now());
                }
            }
        });
        assert!(matches!(end, Some(Event::Cancelled { .. })), "{task} {end:?}");
        assert!(shares.windows(2).all(|s| s[0] < s[1]) && shares[0] > 0.0, "{shares:?}");
        assert!(stopped.is_some_and(|s| s.elapsed().as_secs() < 5), "{task}");
    }
}

fn json(args: &[&str]) -> Vec<Value> {
    let output = glossa(args, None);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|l| serde_json::from_str(l).expect("json")).collect()
}

/// The letters `start..end` of `text`, as most languages count them.
fn letters(text: &str, at: &Value) -> String {
    let place = |key: &str| at[key].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a place");
    text.chars().skip(place("start")).take(place("end") - place("start")).collect()
}

#[test]
fn each_task_prints_what_it_promises() {
    let text = "😀 Angela Merkel met Emmanuel Macron in Paris.";
    let found = &json(&["run", "entities", "--json", text])[0];
    let entities = found["output"].as_array().expect("a list");
    let types: Vec<&str> = entities.iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(types, ["PER", "PER", "LOC"]);
    for e in entities {
        assert_eq!(letters(text, e), e["text"].as_str().expect("text"));
        assert!(e["score"].as_f64().is_some_and(|s| s > 0.5));
    }
    let answers =
        json(&["run", "qa", "--json", "--context", text, "--question", "Who met Macron?", "--question", "Where?"]);
    assert_eq!(answers.len(), 2);
    let best = &answers[0]["output"];
    assert_eq!(best["answer"], "Angela Merkel");
    assert_eq!(letters(text, best), "Angela Merkel");
    assert!(best["no_answer_score"].is_f64() && best["alternatives"].is_array());
    let vector = &json(&["run", "embed", "--json", "hello"])[0]["output"]["vector"];
    assert_eq!(vector.as_array().map(Vec::len), Some(384));
    let scores = &json(&["run", "classify", "--json", "--labels", "sport,tax", "A goal!"])[0]["output"];
    assert_eq!((&scores["label"], scores["scores"].as_object().map(|m| m.len())), (&"sport".into(), Some(2)));
    let long = "The bridge is closed. The bridge was closed on Monday after cracks were found. Drivers must take the other road. Cats sleep.";
    let summary =
        &json(&["run", "summarize", "--method", "extractive", "--sentences", "2", "--json", long])[0]["output"];
    assert_eq!(summary["sentences"].as_array().map(Vec::len), Some(2));
    assert!(summary["summary"].as_str().is_some_and(|s| s.contains("cracks were found")));
}

#[test]
fn fields_are_extracted_with_their_sources() {
    let text = "Invoice INV-2026-04 of 12 March 2026: Northwind Ltd bills £6,480.00. Write to a@b.example.";
    let found = &json(&["run", "extract", "--json", "--field", "total: What is billed?", text])[0];
    assert_eq!(found["task"], "extract");
    let fields = found["output"]["fields"].as_array().expect("fields");
    let of = |name: &str| fields.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("{name} in {fields:?}"));
    assert_eq!(of("total")["source"], "question");
    assert_eq!(
        (of("date")["value"].as_str(), of("email")["value"].as_str()),
        (Some("12 March 2026"), Some("a@b.example"))
    );
    for f in fields.iter().filter(|f| f["start"].is_u64()) {
        assert_eq!(letters(text, f), f["value"].as_str().expect("value"));
    }
}

#[test]
fn a_head_is_taught_saved_and_used_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rows = "cold\tIt is freezing outside\ncold\tsnow and ice\ncold\ta cold winter day\nhot\tthe hot sun burns\nhot\ta heat wave\nhot\ta hot summer day\n";
    std::fs::write(path("teach.tsv"), rows).expect("file");
    std::fs::write(path("test.tsv"), "cold\tMy fingers are frozen\nhot\tIt is boiling today\n").expect("file");
    let output = glossa(
        &[
            "run",
            "classify",
            "--teach",
            &path("teach.tsv"),
            "--save-head",
            &path("h.json"),
            "The summer heat is terrible",
        ],
        None,
    );
    assert!(stdout(&output).starts_with("hot\t"), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("left out one by one"), "{}", stderr(&output));
    let again = json(&["run", "classify", "--json", "--head", &path("h.json"), "The summer heat is terrible"]);
    assert_eq!(again[0]["output"]["label"], "hot");
    let output =
        glossa(&["eval", "classify", "--json", "--teach", &path("teach.tsv"), "--data", &path("test.tsv")], None);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!((&report["n"], &report["accuracy"]), (&2.into(), &1.0.into()), "{report}");
    std::fs::write(path("one.tsv"), "cold\tsnow\n").expect("file");
    let output = glossa(&["run", "classify", "--teach", &path("one.tsv"), "x"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("two labels or more"), "{}", stderr(&output));
}

#[test]
fn evaluations_count_as_the_official_scripts_do() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let conll = "Angela\tB-PER\nMerkel\tI-PER\nvisited\tO\nParis\tB-LOC\n.\tO\n\nnothing\tO\n\nReuters\tB-LOC\n";
    std::fs::write(path("n.txt"), conll).expect("file");
    let output = glossa(&["eval", "entities", "--json", "--data", &path("n.txt")], None);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("json");
    // Two of three are right; the third is an organisation to the model.
    assert_eq!((&report["n"], &report["support"]), (&3.into(), &3.into()), "{report}");
    // The weights' precision and the entities' stood under one name once: a reader saw only the second.
    assert!(report["precision"] == "f32" && report["entity_precision"].is_f64(), "{report}");
    assert!((report["f1"].as_f64().expect("f1") - 2.0 / 3.0).abs() < 1e-9, "{report}");
    let squad = r#"{"question": "Who visited Paris?", "context": "Angela Merkel visited Paris.", "answers": [{"text": "Merkel", "start": 7}, {"text": "Angela Merkel", "start": 0}]}"#;
    std::fs::write(path("q.jsonl"), squad).expect("file");
    let output = glossa(&["eval", "qa", "--json", "--data", &path("q.jsonl")], None);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!((&report["exact"], &report["f1"]), (&1.0.into(), &1.0.into()), "{report}");
    assert_eq!(json(&["run", "qa", "--json", "--input", &path("q.jsonl")])[0]["output"]["answer"], "Angela Merkel");
    let output = glossa(&["eval", "entities", "--data", &path("q.jsonl")], None);
    assert_eq!(output.status.code(), Some(1), "no entity in it is an error or a zero, never a crash");
}
