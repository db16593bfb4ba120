//! Models as files through the engine: downloads, decisions, loading and unloading.

use crate::hub_server::{FakeHub, Fault};
use glossa::engine::message::{ClientId, Event, EventSink, Events, Happening, Outlook, Priority, Request, Status};
use glossa::engine::news::{Errand, News, Phase};
use glossa::engine::shelf::{Shelf, Volume};
use glossa::engine::{Engine, EngineConfig, wait_for_end};
use glossa::models::hub::Hub;
use glossa::models::library::Library;
use glossa::nn::precision::Precision;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{Input, Options};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An engine with a hub, a registry and its status.
struct House {
    engine: Engine,
    status: Events,
    library: Library,
    folder: tempfile::TempDir,
    _hub: FakeHub,
}

fn house(hub: FakeHub) -> House {
    house_with(hub, usize::MAX)
}

/// With room for `budget` bytes of weights.
fn house_with(hub: FakeHub, budget: usize) -> House {
    let folder = tempfile::tempdir().expect("folder");
    let library = Library::default()
        .with_hub(Hub::new(&hub.endpoint, folder.path().join("hub")))
        .with_registry(folder.path().join("data/library.json"));
    let (sink, status) = EventSink::channel(None);
    let mut config = EngineConfig::new(library.clone());
    config.device = DeviceChoice::Cpu;
    config.budget = budget;
    config.cache = Some(folder.path().join("cache"));
    config.status = Some(sink);
    House { engine: Engine::start(config).expect("engine"), status, library, folder, _hub: hub }
}

impl House {
    /// The first event for which `pick` has something.
    fn until<T>(&self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(60), "waited for {what}");
            if let Ok(event) = self.status.recv_timeout(Duration::from_millis(100))
                && let Some(found) = pick(&event)
            {
                return found;
            }
        }
    }

    fn ask(&self, errand: Errand) {
        self.engine.ask(errand).expect("librarian");
    }

    fn shelf(&self) -> Arc<Shelf> {
        self.ask(Errand::List);
        self.until("the list", |e| match e {
            Event::Library(News::Shelf(shelf)) => Some(Arc::clone(shelf)),
            _ => None,
        })
    }

    fn volume(&self, id: &str) -> Option<Volume> {
        self.shelf().volumes.iter().find(|v| v.id == id).cloned()
    }

    /// Asks until a model is on the shelf as it should be: older lists may be on their way.
    fn until_volume(&self, id: &str, wanted: impl Fn(&Volume) -> bool) {
        let begun = Instant::now();
        while !self.volume(id).is_some_and(|v| wanted(&v)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "waited for {id}");
        }
    }

    fn phase(&self, wanted: impl Fn(&Phase) -> bool) -> Phase {
        self.until("the download", |e| match e {
            Event::Library(News::Download(d)) if wanted(&d.state) => Some(d.state.clone()),
            _ => None,
        })
    }

    fn status_after(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        self.until(what, |e| match e {
            Event::Status(status) if wanted(status) => Some(status.clone()),
            _ => None,
        })
    }

    /// A request; its last event.
    fn run(&self, task: &'static str, model: Option<&str>, inputs: &[&str]) -> Event {
        let inputs = inputs.iter().map(|t| Input::Text((*t).to_owned())).collect();
        let (sink, events) = EventSink::channel(None);
        let (model, options) = (model.map(str::to_owned), Options::default());
        let request =
            Request { task, model, inputs, options, priority: Priority::Interactive, client: ClientId::default() };
        self.engine.submit(request, sink).expect("submitted");
        wait_for_end(&events, |_| ()).expect("end")
    }
}

fn tiny() -> House {
    house(FakeHub::of_folder(&crate::fake::fixture("bert-tiny")))
}

#[test]
fn a_download_is_paused_goes_on_and_is_on_the_shelf() {
    let house = tiny();
    for _ in 0..2 {
        house._hub.fault("model.safetensors", Fault::Slow);
    }
    house.ask(Errand::Get("o/n".into()));
    house.phase(|p| *p == Phase::Running);
    house.ask(Errand::Pause("o/n".into()));
    let phase = house.phase(|p| matches!(p, Phase::Paused | Phase::Done | Phase::Failed(_)));
    assert_eq!(phase, Phase::Paused);
    assert!(house.volume("o/n").is_none());
    house.ask(Errand::Get("o/n".into()));
    assert_eq!(house.phase(|p| matches!(p, Phase::Paused | Phase::Done | Phase::Failed(_))), Phase::Done);
    house.until_volume("o/n", |v| v.is_here && v.problem.is_none() && v.card.is_some());
    // It serves its task from now on, without a name.
    let Event::Done { report, .. } = house.run("sentiment", None, &["A fine film."]) else { panic!("no answer") };
    assert_eq!(report.model, "o/n");
}

#[test]
fn a_download_that_fails_says_why_and_can_be_tried_again() {
    let house = tiny();
    house._hub.fault("/api/", Fault::Status(401, None));
    house.ask(Errand::Get("o/n".into()));
    let phase = house.phase(|p| !matches!(p, Phase::Waiting | Phase::Running));
    let Phase::Failed(message) = phase else { panic!("{phase:?}") };
    assert!(message.why.contains("needs an account") && message.next.contains("HF_TOKEN"), "{message}");
    house.ask(Errand::Get("o/n".into()));
    assert_eq!(house.phase(|p| !matches!(p, Phase::Waiting | Phase::Running)), Phase::Done);
}

#[test]
fn load_keep_pin_and_unload() {
    let house = tiny();
    house.ask(Errand::Get("o/n".into()));
    house.phase(|p| *p == Phase::Done);
    // A request without inputs ends when the model is in memory.
    let end = house.run("sentiment", Some("o/n"), &[]);
    assert!(matches!(end, Event::Done { .. }), "{end:?}");
    let status = house.status_after("loaded", |s| !s.loaded.is_empty());
    let loaded = &status.loaded[0];
    assert_eq!((loaded.id.as_str(), loaded.precision), ("o/n", "f32"));
    assert!(loaded.memory.is_some_and(|(before, after)| before > 0 && after > 0), "measured before and after");
    // Another precision: what is loaded goes, what comes is kept so.
    house.ask(Errand::Keep { model: "o/n".into(), precision: Some(Precision::Q8_0) });
    house.status_after("dropped", |s| s.loaded.is_empty());
    house.until_volume("o/n", |v| v.kept == Some(Precision::Q8_0));
    house.run("sentiment", Some("o/n"), &[]);
    let status = house.status_after("loaded again", |s| !s.loaded.is_empty());
    assert_eq!(status.loaded[0].precision, "q8_0");
    house.ask(Errand::Pin { model: "o/n".into(), pinned: true });
    house.until_volume("o/n", |v| v.is_pinned);
    house.engine.unload_model("o/n").expect("worker");
    let change = house.until("unloaded", |e| match e {
        Event::Model(change) if change.happening == Happening::Dropped => Some(change.clone()),
        _ => None,
    });
    assert!(change.id == "o/n" && change.memory.is_some());
    house.status_after("empty", |s| s.loaded.is_empty());
    // All that was decided outlives the engine.
    let registry = house.library.registry();
    assert_eq!(registry.precisions.get("o/n"), Some(&Precision::Q8_0));
    house.ask(Errand::Remove("o/n".into()));
    house.until("removed", |e| match e {
        Event::Library(News::Done(words)) => words.contains("deleted").then_some(()),
        Event::Library(News::Failed(message)) => panic!("{message}"),
        _ => None,
    });
    let begun = Instant::now();
    while house.volume("o/n").is_some_and(|v| v.is_here) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it stays");
    }
    assert_eq!(house.library.registry(), glossa::models::registry::Registry::default());
}

#[test]
fn a_folder_is_checked_then_added_and_becomes_the_default() {
    let house = tiny();
    let path = crate::fake::fixture("bert-odd");
    house.ask(Errand::Check(path.clone()));
    house.until("the check", |e| match e {
        Event::Library(News::Checked { result: Ok(card), .. }) => Some(card.parameters > 0).filter(|right| *right),
        Event::Library(News::Checked { result: Err(message), .. }) => panic!("{message}"),
        _ => None,
    });
    assert!(house.library.registry().added.is_empty(), "a check changes nothing");
    let bad = house.folder.path().join("empty");
    std::fs::create_dir(&bad).expect("folder");
    house.ask(Errand::Check(bad));
    house.until("the refusal", |e| match e {
        Event::Library(News::Checked { result: Err(message), .. }) => {
            Some(!message.why.is_empty()).filter(|right| *right)
        }
        _ => None,
    });
    house.ask(Errand::Add(path.clone()));
    house.until("added", |e| matches!(e, Event::Library(News::Done(_))).then_some(()));
    let id = house.shelf().volumes.iter().find(|v| v.origin == "added").map(|v| v.id.clone()).expect("added");
    house.ask(Errand::Get("o/n".into()));
    house.phase(|p| *p == Phase::Done);
    house.ask(Errand::Default { task: "sentiment".into(), model: "o/n".into() });
    house.until_volume("o/n", |v| v.is_default);
    house.until_volume(&id, |v| !v.is_default);
    let Event::Done { report, .. } = house.run("sentiment", None, &["x"]) else { panic!("no answer") };
    assert_eq!(report.model, "o/n");
}

fn forecast(house: &House, model: &str) -> Arc<Outlook> {
    house.engine.forecast(model, 2048).expect("worker");
    house.until("the forecast", |e| match e {
        Event::Forecast(outlook) => Some(Arc::clone(outlook)),
        _ => None,
    })
}

#[test]
fn what_can_be_got_is_forecast_too_and_grows_with_the_context() {
    let house = tiny();
    let outlook = forecast(&house, "qwen2.5-1.5b-q4");
    let own = &outlook.prospects[0];
    assert_eq!((own.precision, own.name.as_str()), (Precision::Own, "Q4_K_M"));
    assert!((900_000_000..1_400_000_000).contains(&own.forecast.weights), "{own:?}");
    let total = outlook.total.expect("total");
    assert!(own.forecast.available.is_some_and(|free| free > 0 && free <= total));
    house.engine.forecast("qwen2.5-1.5b-q4", 4096).expect("worker");
    let more = house.until("the forecast", |e| match e {
        Event::Forecast(outlook) if outlook.context == 4096 => Some(outlook.prospects[0].forecast.cache),
        _ => None,
    });
    assert_eq!(more, 2 * own.forecast.cache);
}

/// A checkpoint whose weights claim `gigabytes`, in a file with a hole.
fn huge(dir: &Path, gigabytes: u64) -> bool {
    let source = crate::fake::fixture("bert-tiny");
    std::fs::create_dir_all(dir).expect("folder");
    for name in ["config.json", "tokenizer.json", "vocab.txt"] {
        std::fs::copy(source.join(name), dir.join(name)).expect("copy");
    }
    let rows = gigabytes * 1_000_000_000 / 4 / 1024;
    let header = serde_json::json!({ "bert.encoder.layer.0.intermediate.dense.weight": { "dtype": "F32", "shape": [rows, 1024], "data_offsets": [0, rows * 4096] } });
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    let path = dir.join("model.safetensors");
    std::fs::write(&path, &bytes).expect("header");
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("file");
    file.set_len(bytes.len() as u64 + rows * 4096).is_ok()
}

#[test]
fn an_encoder_that_will_not_fit_is_refused_before_it_is_read() {
    let house = tiny();
    let dir = house.folder.path().join("huge");
    if !huge(&dir, 2_000) {
        return; // a file system without holes
    }
    let end = house.run("sentiment", Some(&dir.display().to_string()), &["x"]);
    let Event::Failed { message, .. } = end else { panic!("{end:?}") };
    assert!(message.what.contains("too large for the memory") && message.why.contains("free are"), "{message}");
}

#[test]
fn blocks_are_made_once_and_made_again_when_damaged_or_of_another_source() {
    use glossa::models::blocks::prepare_in;
    use glossa::models::library::ModelEntry;
    use glossa::models::weights::Weights;
    let folder = tempfile::tempdir().expect("folder");
    let dir = folder.path().join("model");
    std::fs::create_dir(&dir).expect("folder");
    for name in ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors"] {
        std::fs::copy(crate::fake::fixture("bert-tiny").join(name), dir.join(name)).expect("copy");
    }
    let cache = folder.path().join("cache");
    let made = || {
        let entry = ModelEntry::open(&dir).expect("entry");
        let weights = Weights::open(&entry.weights).expect("weights");
        prepare_in(&entry, &weights, Precision::Q8_0, Some(&cache), &mut |_| false).expect("blocks");
        let files = std::fs::read_dir(&cache).expect("cache").flatten().map(|f| f.path());
        files.filter(|f| f.extension().is_some_and(|e| e == "safetensors")).collect::<Vec<_>>()
    };
    let first = made();
    assert_eq!(first.len(), 1);
    let (bytes, time) = (std::fs::read(&first[0]).expect("blocks"), modified(&first[0]));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((made(), modified(&first[0])), (first.clone(), time), "made once");
    // Cut off: a full disk, a power failure.
    std::fs::write(&first[0], &bytes[..bytes.len() / 2]).expect("damage");
    made();
    assert_eq!(std::fs::read(&first[0]).expect("blocks"), bytes, "made again");
    // Another model in the same place.
    let path = dir.join("model.safetensors");
    let mut other = std::fs::read(&path).expect("weights");
    let end = other.len() - 3;
    other[end] ^= 0x10;
    std::fs::write(&path, other).expect("weights");
    assert_eq!(made().len(), 2, "the source's hash names them");
    glossa::models::blocks::discard(&ModelEntry::open(&dir).expect("entry"), &cache);
    assert!(first[0].is_file(), "another source's");
    assert_eq!(made().len(), 2);
}

fn modified(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).and_then(|m| m.modified()).expect("time")
}

#[test]
fn a_precision_chosen_while_the_model_is_at_work_takes_effect_after_it() {
    let house = tiny();
    house.ask(Errand::Get("o/n".into()));
    house.phase(|p| *p == Phase::Done);
    let texts: Vec<Input> = (0..20_000).map(|i| Input::Text(format!("film number {i}"))).collect();
    let (sink, events) = EventSink::channel(None);
    let (model, options) = (Some("o/n".to_owned()), Options::default());
    let request = Request {
        task: "sentiment",
        model,
        inputs: texts,
        options,
        priority: Priority::Batch,
        client: ClientId::default(),
    };
    house.engine.submit(request, sink).expect("submitted");
    let mut chosen = false;
    let end = wait_for_end(&events, |event| {
        if matches!(event, Event::Items { .. }) && !chosen {
            chosen = true;
            house.ask(Errand::Keep { model: "o/n".into(), precision: Some(Precision::Q8_0) });
        }
    });
    let Some(Event::Done { report, .. }) = end else { panic!("{end:?}") };
    assert_eq!((report.done, report.precision), (20_000, "f32"), "it ends as it began");
    house.status_after("dropped", |s| s.loaded.is_empty() && s.queue == 0);
    let Event::Done { report, .. } = house.run("sentiment", Some("o/n"), &["x"]) else { panic!("no answer") };
    assert_eq!(report.precision, "q8_0");
}

#[test]
fn what_is_to_be_kept_in_memory_outlives_what_is_not() {
    let house = house_with(FakeHub::of_folder(&crate::fake::fixture("bert-tiny")), 1);
    house.ask(Errand::Get("o/n".into()));
    house.phase(|p| *p == Phase::Done);
    house.ask(Errand::Pin { model: "o/n".into(), pinned: true });
    house.until_volume("o/n", |v| v.is_pinned);
    let [odd, distil] = ["bert-odd", "distilbert-tiny"].map(|n| crate::fake::fixture(n).display().to_string());
    for model in ["o/n", &odd, &distil] {
        let end = house.run("sentiment", Some(model), &["x"]);
        assert!(matches!(end, Event::Done { .. }), "{end:?}");
    }
    let status = house.status_after("the last", |s| s.loaded.iter().any(|l| l.id == distil));
    let ids: Vec<&str> = status.loaded.iter().map(|l| l.id.as_str()).collect();
    assert!(ids.contains(&"o/n") && !ids.contains(&odd.as_str()), "{ids:?}");
}
