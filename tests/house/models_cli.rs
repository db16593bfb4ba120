//! `glossa models` as a person or a script meets it.

use crate::cli::{glossa, glossa_in, stderr, stdout};
use crate::fake::fixture;
use crate::hub_server::{FakeHub, Fault};
use serde_json::Value;
use std::path::Path;

fn json(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

/// Runs `glossa models` with everything of its own in `folder`, against `hub`.
fn models(folder: &Path, hub: &FakeHub, args: &[&str]) -> std::process::Output {
    let vars = [("HF_ENDPOINT", hub.endpoint.as_str()), ("XDG_CACHE_HOME", folder.to_str().expect("path"))];
    glossa_in(folder, &vars, &[&["models"], args].concat(), None)
}

#[test]
fn a_model_is_got_checked_used_made_default_and_removed() {
    let hub = FakeHub::of_folder(&fixture("bert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let run = |args: &[&str]| models(folder.path(), &hub, args);
    let got = json(&run(&["get", "o/n", "--json"]));
    assert_eq!(got[0]["id"], "o/n", "{got}");
    let all = json(&run(&["list", "--all", "--json"]));
    let row = |all: &Value, id: &str| all.as_array().expect("rows").iter().find(|r| r["id"] == id).cloned();
    let mine = row(&all, "o/n").expect("downloaded");
    assert_eq!((&mine["here"], &mine["origin"], &mine["default"]), (&true.into(), &"hub".into(), &false.into()));
    let known = row(&all, "distilbert-sst2").expect("catalogue");
    assert_eq!((&known["here"], &known["origin"]), (&false.into(), &"catalogue".into()));
    assert!(row(&json(&run(&["list", "--json"])), "distilbert-sst2").is_none());
    assert_eq!(json(&run(&["verify", "o/n", "--json"]))[0]["state"], "ok");
    let info = json(&run(&["info", "o/n", "--json"]));
    assert!(info["parameters"].as_u64().is_some_and(|n| n > 1000) && info["shape"]["layers"].is_u64(), "{info}");
    let fit = json(&run(&["fit", "o/n", "--json"]));
    let rows = fit["forecasts"].as_array().expect("forecasts");
    assert!(rows.len() > 5 && rows.iter().all(|r| r["fits"] == true && r["total"].as_u64() > Some(0)), "{fit}");
    let place = json(&run(&["path", "o/n", "--json"]))["path"].as_str().expect("path").to_owned();
    assert!(Path::new(&place).join("config.json").is_file());
    let task = mine["task"].as_str().expect("task");
    json(&run(&["default", "o/n", "--json"]));
    let vars = [("HF_ENDPOINT", hub.endpoint.as_str())];
    let asked = glossa_in(folder.path(), &vars, &["run", task, "--json", "A fine film."], None);
    assert_eq!(json(&asked)["model"], "o/n");
    // A byte of it goes bad.
    let weights = std::fs::canonicalize(Path::new(&place).join("model.safetensors")).expect("blob");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).expect("damage");
    let broken = run(&["verify", "o/n", "--json"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stdout(&broken).contains("damaged"), "{}", stdout(&broken));
    assert!(json(&run(&["remove", "o/n", "--json"]))["freed"].as_u64() > Some(1000));
    assert!(row(&json(&run(&["list", "--json"])), "o/n").is_none());
    assert_eq!(json(&run(&["default", "--json"])), serde_json::json!({}));
}

#[test]
fn what_goes_wrong_is_said_in_words() {
    let hub = FakeHub::of_folder(&fixture("bert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let run = |args: &[&str]| models(folder.path(), &hub, args);
    let said = |args: &[&str], parts: &[&str]| {
        let output = run(args);
        assert!(!output.status.success(), "{args:?}");
        for part in parts {
            assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
        }
    };
    hub.fault("/api/", Fault::Status(403, None));
    said(&["get", "o/n"], &["licence has not been accepted", "HF_TOKEN"]);
    said(&["get", "o/gone"], &["no 'o/gone'", "spelling"]);
    said(&["get", "../../etc"], &["no model id"]);
    said(&["info", "distilbert-sst3"], &["no model 'distilbert-sst3'"]);
    said(&["remove", "sentiment-minilm"], &["came with the program"]);
    said(&["quantize", "sentiment-minilm"], &["--precision"]);
    let offline = glossa_in(folder.path(), &[("HF_HUB_OFFLINE", "1")], &["models", "get", "t5-small"], None);
    assert!(stderr(&offline).contains("offline"), "{}", stderr(&offline));
    let asked = glossa_in(folder.path(), &[], &["run", "sentiment", "--model", "distilbert-sst2", "x"], None);
    assert!(stderr(&asked).contains("not on this machine yet") && stderr(&asked).contains("glossa models get"));
}

#[test]
fn a_folder_is_added_where_it_lies_and_forgotten_again() {
    let hub = FakeHub::start(&[]);
    let folder = tempfile::tempdir().expect("folder");
    let run = |args: &[&str]| models(folder.path(), &hub, args);
    let place = fixture("decoder-gpt2").display().to_string();
    let added = json(&run(&["add", &place, "--json"]));
    let id = added["id"].as_str().expect("id").to_owned();
    assert_eq!((&added["task"], &added["origin"]), (&"chat".into(), &"added".into()));
    assert!(stdout(&run(&["list"])).contains(&id));
    assert_eq!(json(&run(&["remove", &id, "--json"]))["freed"], 0);
    assert!(!stdout(&run(&["list"])).contains(&id));
    assert!(Path::new(&place).join("config.json").is_file(), "its files are not ours");
}

#[test]
fn a_quantized_copy_opens_and_answers_like_the_original() {
    let hub = FakeHub::start(&[]);
    let folder = tempfile::tempdir().expect("folder");
    let out = folder.path().join("small");
    let run = |args: &[&str]| models(folder.path(), &hub, args);
    let made = json(&run(&[
        "quantize",
        "sentiment-minilm",
        "--precision",
        "q8_0",
        "--out",
        out.to_str().expect("path"),
        "--json",
    ]));
    assert!(made["bytes_after"].as_u64() < made["bytes_before"].as_u64(), "{made}");
    let label = |model: &str| {
        let answer = json(&glossa(&["run", "sentiment", "--model", model, "--json", "A fine film."], None));
        (answer["output"]["label"].clone(), answer["output"]["scores"]["positive"].as_f64().expect("score"))
    };
    let (own, small) = (label("sentiment-minilm"), label(out.to_str().expect("path")));
    assert_eq!(own.0, small.0);
    assert!((own.1 - small.1).abs() < 0.02, "{own:?} {small:?}");
}

/// Forecast against the most that a process of its own really held.
#[test]
fn the_forecast_is_within_15_percent_for_each_architecture() {
    for (model, precision, context) in [
        ("sentiment-minilm", "f32", "4096"),
        ("entities-minilm", "int8", "4096"),
        ("embed-minilm", "q4_0", "4096"),
        ("translate-en-fr", "f32", "4096"),
        ("translate-en-fr", "q8_0", "4096"),
        ("smollm2-135m", "f32", "512"),
        ("smollm2-135m", "int8", "512"),
        ("smollm2-135m", "q4_0", "2048"),
    ] {
        let args = [
            "models",
            "fit",
            model,
            "--measure",
            "--precision",
            precision,
            "--context",
            context,
            "--device",
            "cpu",
            "--json",
        ];
        let measured = json(&glossa(&args, None));
        let ratio = measured["footprint"]["ratio"].as_f64().expect("ratio");
        assert!((0.85..=1.15).contains(&ratio), "{model} {precision}: {measured}");
    }
    // A file with blocks as it is.
    let measured = json(&glossa(&["models", "fit", "smollm2-135m", "--measure", "--context", "1024", "--json"], None));
    assert!((0.85..=1.15).contains(&measured["footprint"]["ratio"].as_f64().expect("ratio")), "{measured}");
}
