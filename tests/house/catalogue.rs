//! Every model that can be had, from the hub's listing to its first answer; and what the hub's names may look like.

use crate::fake::{files_below, fixture};
use crate::hub_server::{COMMIT, FakeHub, Fault};
use glossa::models::hub::{Hub, Wanted};
use glossa::models::library::Library;
use glossa::models::{add, catalogue, removal};
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::{self, Asked, Input, WritingOptions};
use std::path::Path;
use std::time::Duration;

fn hub(server: &FakeHub, folder: &Path) -> Hub {
    let mut hub = Hub::new(&server.endpoint, folder.join("hub"));
    (hub.patience, hub.pause) = (Duration::from_millis(800), Duration::from_millis(5));
    hub
}

fn library(hub: &Hub, folder: &Path) -> Library {
    Library::default().with_hub(hub.clone()).with_registry(folder.join("data/library.json"))
}

/// The first answer of a model that is here.
pub fn first_answer(library: &Library, id: &str) -> Result<(), String> {
    let entry = library.resolve(Some(id), "").map_err(|e| e.to_string())?;
    // One that is named by its path is not on a list that says what it is for; those here are language models.
    let task = entry.task().unwrap_or("chat");
    let task = tasks::find(if task == "chat" { "generate" } else { task }).ok_or("no such task")?;
    let runtime = Runtime::new(DeviceChoice::Cpu, Some(2), None).map_err(|e| e.to_string())?;
    let mut model = task.load(&entry, &runtime, &mut |_| false).map_err(|e| e.to_string())?;
    let input = match task.id() {
        "qa" => Input::Question { question: "Who paid?".into(), context: "Zoë paid.".into() },
        _ => Input::Text("Zoë paid 5 euros".into()),
    };
    let options: tasks::Options = WritingOptions { max_tokens: 2, ..WritingOptions::default() }.into();
    let asked = Asked { task: task.id(), input: &input, options: &options };
    let mut work = model.prepare(&asked, &|| false).map_err(|e| e.to_string())?;
    while work.remaining() > 0 {
        model.step(&mut [work.as_mut()], 1024).map_err(|e| e.to_string())?;
    }
    model.finish(&input, work).map(drop).map_err(|e| e.to_string())
}

/// A small model of the same architecture.
fn stand_in(known: &catalogue::Known) -> &'static str {
    let has = |word: &str| known.repo.to_lowercase().contains(word);
    match known.task.as_str() {
        "sentiment" => "distilbert-tiny",
        "entities" => "heads-bert-tokens",
        "qa" => "heads-distil-spans",
        "translate" => "seq2seq-marian",
        "abstractive" if has("flan") => "seq2seq-t5-gated",
        "abstractive" => "seq2seq-t5",
        _ if has("dialogpt") => "decoder-gpt2",
        _ if has("qwen2") => "decoder-qwen2",
        _ if has("qwen3") => "decoder-qwen3",
        _ if has("gemma") => "decoder-gemma3",
        _ if has("phi") => "decoder-phi3",
        _ => "decoder-llama",
    }
}

#[test]
fn every_row_of_the_catalogue_comes_and_answers() {
    for known in catalogue::all() {
        let dir = fixture(stand_in(known));
        let server = match &known.file {
            Some(file) => {
                let bytes = std::fs::read(dir.join("model.gguf")).expect("gguf");
                FakeHub::start(&[(file, bytes), ("README.md", b"text".to_vec())])
            }
            None => FakeHub::of_folder(&dir),
        };
        let folder = tempfile::tempdir().expect("folder");
        let hub = hub(&server, folder.path());
        let library = library(&hub, folder.path());
        let path = hub.get(&known.wanted(), &mut |_| false).unwrap_or_else(|e| panic!("{}: {e}", known.id));
        add::check(&path).unwrap_or_else(|e| panic!("{}: {e}", known.id));
        let (here, errors) = library.list();
        assert!(errors.is_empty(), "{}: {errors:?}", known.id);
        assert_eq!(here.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), [known.id.as_str()]);
        assert_eq!(here[0].task(), Some(known.task.as_str()), "{}", known.id);
        first_answer(&library, &known.id).unwrap_or_else(|e| panic!("{}: {e}", known.id));
    }
}

fn gguf() -> Vec<u8> {
    std::fs::read(fixture("decoder-llama").join("model.gguf")).expect("gguf")
}

#[test]
fn names_are_encoded_revisions_honoured_and_inner_folders_found() {
    let server = FakeHub::start(&[("in ner/a+b #1 100%.gguf", gguf()), ("other.gguf", gguf())]);
    let folder = tempfile::tempdir().expect("folder");
    let hub = hub(&server, folder.path());
    let address = "https://huggingface.co/o/n/blob/refs/pr/1/in%20ner/a%2Bb%20%231%20100%25.gguf";
    let wanted = Wanted::parse(address).expect("address");
    let path = hub.get(&wanted, &mut |_| false).expect("file");
    assert!(path.ends_with("in ner/a+b #1 100%.gguf") && path.is_file(), "{}", path.display());
    let log = server.log();
    assert!(log[0].starts_with("/api/models/o/n/revision/refs%2Fpr%2F1?"), "{log:?}");
    assert!(log[1].contains(&format!("/o/n/resolve/{COMMIT}/in%20ner/a%2Bb%20%231%20100%25.gguf")), "{log:?}");
    assert!(hub.folder("o/n").join("refs/refs/pr/1").is_file());
    // No `main` in this cache: it is found all the same.
    let library = library(&hub, folder.path());
    let ids: Vec<String> = library.list().0.into_iter().map(|e| e.id).collect();
    assert!(ids.iter().any(|id| id.ends_with("in ner/a+b #1 100%.gguf")), "{ids:?}");
    first_answer(&library, &ids[0]).expect("answer");
    // By the name that it was got by, too.
    first_answer(&library, &wanted.id()).expect("answer");
    let plain = wanted.id().replace("@refs%2Fpr%2F1", "@v1.0");
    hub.get(&Wanted::parse(&plain).expect("id"), &mut |_| false).expect("tag");
    first_answer(&library, &plain).expect("answer");
    assert_eq!(hub.verify(&wanted, &|| false).expect("hashes"), Vec::<String>::new());
}

#[test]
fn get_mends_what_verify_calls_damaged() {
    let server = FakeHub::of_folder(&fixture("distilbert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let hub = hub(&server, folder.path());
    let snapshot = hub.get(&Wanted::of("o/n"), &mut |_| false).expect("model");
    let weights = snapshot.join("model.safetensors");
    let good = std::fs::read(&weights).expect("weights");
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 4;
    std::fs::write(std::fs::canonicalize(&weights).expect("blob"), bad).expect("damage");
    assert_eq!(hub.verify(&Wanted::of("o/n"), &|| false).expect("hashes"), ["model.safetensors"]);
    hub.get(&Wanted::of("o/n"), &mut |_| false).expect("mended");
    assert_eq!(std::fs::read(&weights).expect("weights"), good);
    assert_eq!(hub.verify(&Wanted::of("o/n"), &|| false).expect("hashes"), Vec::<String>::new());
}

#[test]
fn an_endpoint_without_a_scheme_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let error = Hub::new("hf-mirror.com", folder.path().into()).get(&Wanted::of("o/n"), &mut |_| false).unwrap_err();
    assert!(error.to_string().contains("HF_ENDPOINT is 'hf-mirror.com'"), "{error}");
}

#[test]
fn removing_one_of_two_names_of_a_blob_spares_it() {
    let server = FakeHub::start(&[("a.gguf", gguf()), ("b.gguf", gguf())]);
    let folder = tempfile::tempdir().expect("folder");
    let hub = hub(&server, folder.path());
    let library = library(&hub, folder.path());
    for file in ["a.gguf", "b.gguf"] {
        hub.get(&Wanted { file: Some(file.into()), ..Wanted::of("o/n") }, &mut |_| false).expect(file);
    }
    let entry = library.resolve(Some("o/n/a.gguf"), "").expect("a");
    let plan = removal::plan(&library, &entry).expect("plan");
    assert_eq!((plan.files.len(), plan.shared.len(), plan.bytes), (1, 1, 0), "{plan:?}");
    removal::carry_out(&library, &entry, &plan).expect("removed");
    first_answer(&library, "o/n/b.gguf").expect("b still answers");
    assert!(library.resolve(Some("o/n/a.gguf"), "").is_err());
    let entry = library.resolve(Some("o/n/b.gguf"), "").expect("b");
    let plan = removal::plan(&library, &entry).expect("plan");
    assert_eq!(plan.bytes, gguf().len() as u64);
    removal::carry_out(&library, &entry, &plan).expect("removed");
    assert!(!hub.folder("o/n").exists(), "{:?}", files_below(&hub.folder("o/n")));
}

#[test]
fn removing_one_of_our_own_models_leaves_its_neighbours() {
    let folder = tempfile::tempdir().expect("folder");
    let root = std::fs::canonicalize(folder.path()).expect("folder");
    let library = Library::default().with_registry(root.join("library.json"));
    let own = root.join("models");
    std::fs::create_dir_all(own.join("pair")).expect("folder");
    std::fs::write(own.join("a.gguf"), gguf()).expect("a");
    std::fs::write(own.join("b.gguf"), gguf()).expect("b");
    std::fs::write(own.join("pair/c.gguf"), gguf()).expect("c");
    std::fs::write(own.join("pair/d.gguf"), gguf()).expect("d");
    std::fs::write(own.join("pair/notes.txt"), "mine").expect("notes");
    std::fs::hard_link(own.join("b.gguf"), own.join("same-as-b.gguf")).expect("link");
    for name in ["a.gguf", "b.gguf", "same-as-b.gguf", "pair/c.gguf", "pair/d.gguf"] {
        add::add(&library, &own.join(name)).expect(name);
    }
    let before = files_below(&own);
    let remove = |name: &str| {
        let entry = library.resolve(own.join(name).to_str(), "").expect(name);
        let plan = removal::plan(&library, &entry).expect("plan");
        removal::carry_out(&library, &entry, &plan).expect("removed");
        plan
    };
    assert_eq!(remove("a.gguf").files, [own.join("a.gguf")]);
    assert_eq!(files_below(&own).len(), before.len() - 1);
    // Two names of one file: it is another model's too, and stays.
    assert!(remove("b.gguf").files.is_empty());
    remove("pair/c.gguf");
    remove("pair/d.gguf");
    let left: Vec<String> =
        files_below(&own).iter().map(|p| p.strip_prefix(&own).expect("own").display().to_string()).collect();
    assert_eq!(left, ["b.gguf", "pair/notes.txt", "same-as-b.gguf"]);
    // One whose file has gone is forgotten without a complaint.
    std::fs::remove_file(own.join("same-as-b.gguf")).expect("gone");
    let (models, errors) = library.list();
    assert!(models.is_empty() && errors.is_empty(), "{errors:?}");
    assert_eq!(library.missing().len(), 1);
    assert!(removal::forget_missing(&library, own.join("same-as-b.gguf").to_str().expect("path")).expect("forgotten"));
    assert!(library.registry().added.is_empty());
}

#[test]
fn a_download_that_breaks_for_good_leaves_what_was_there() {
    let server = FakeHub::of_folder(&fixture("distilbert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let hub = hub(&server, folder.path());
    server.fault("/api/models", Fault::Status(404, None));
    assert!(hub.get(&Wanted::of("o/n"), &mut |_| false).is_err());
    assert!(hub.snapshot("o/n").is_none());
}
