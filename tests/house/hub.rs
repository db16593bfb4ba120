//! Downloads, against a server that plays the hub and misbehaves.

use crate::fake::files_below;
use crate::hub_server::{COMMIT, FakeHub, Fault, name_of};
use glossa::models::hub::{Hub, HubError, Progress, Wanted};
use glossa::models::library::{Library, Origin};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CONFIG: &[u8] = br#"{"model_type":"bert","architectures":["BertForSequenceClassification"]}"#;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// A repository with a configuration and two megabytes of weights, and a hub that looks at it.
fn setting() -> (FakeHub, Hub, tempfile::TempDir) {
    let server = FakeHub::start(&[
        ("config.json", CONFIG.to_vec()),
        ("vocab.txt", b"a\nb\n".to_vec()),
        ("model.safetensors", bytes(2_000_000)),
        ("README.md", b"not wanted".to_vec()),
    ]);
    let folder = tempfile::tempdir().expect("folder");
    let mut hub = Hub::new(&server.endpoint, folder.path().join("hub"));
    hub.patience = Duration::from_millis(400);
    hub.pause = Duration::from_millis(5);
    (server, hub, folder)
}

fn wanted() -> Wanted {
    Wanted::of("o/n")
}

fn get(hub: &Hub) -> Result<PathBuf, HubError> {
    hub.get(&wanted(), &mut |_| false)
}

fn assert_whole(hub: &Hub, snapshot: &Path) {
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).expect("weights"), bytes(2_000_000));
    let left = files_below(hub.cache());
    assert!(!left.iter().any(|f| f.extension().is_some_and(|e| e == "incomplete")), "{left:?}");
}

#[test]
fn a_model_lies_as_pythons_library_would_have_put_it() {
    let (server, hub, _folder) = setting();
    let mut seen = Vec::new();
    let snapshot = hub
        .get(&wanted(), &mut |p| {
            seen.push(p);
            false
        })
        .expect("model");
    let root = hub.cache().join("models--o--n");
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).expect("ref"), COMMIT);
    for (name, content) in [("config.json", CONFIG.to_vec()), ("model.safetensors", bytes(2_000_000))] {
        let link = std::fs::read_link(snapshot.join(name)).expect("link");
        assert_eq!(link, Path::new("../../blobs").join(name_of(&content)), "{name}");
        assert_eq!(std::fs::read(snapshot.join(name)).expect("file"), content);
    }
    assert!(!snapshot.join("README.md").exists());
    let last: &Progress = seen.last().expect("progress");
    let all = 2_000_004 + CONFIG.len() as u64;
    assert_eq!((last.done, last.total), (all, all));
    assert!(seen.windows(2).all(|p| p[0].done <= p[1].done || p[0].total == 0), "progress goes back");
    // What is here is not asked for again, and without a network it is still here.
    let before = server.downloads().len();
    get(&hub).expect("again");
    assert_eq!(server.downloads().len(), before);
    drop(server);
    assert_eq!(hub.clone().offline(true).get(&wanted(), &mut |_| false).expect("offline"), snapshot);
    assert!(matches!(get(&hub), Err(HubError::Network(_))));
    assert_eq!(hub.verify(&wanted(), &|| false).expect("hashes"), Vec::<String>::new());
    let mut damaged = bytes(2_000_000);
    damaged[5] ^= 1;
    std::fs::write(snapshot.join("model.safetensors"), damaged).expect("damage");
    assert_eq!(hub.verify(&wanted(), &|| false).expect("hashes"), ["model.safetensors"]);
    let files = hub.files_of(&wanted());
    assert!(files.iter().filter_map(|f| std::fs::symlink_metadata(f).ok()).map(|m| m.len()).sum::<u64>() >= 2_000_006);
    files.iter().for_each(|f| std::fs::remove_file(f).expect("removed"));
    hub.tidy(&wanted().repo);
    assert!(!root.exists());
    assert!(matches!(hub.offline(true).get(&wanted(), &mut |_| false), Err(HubError::Offline(_))));
}

#[test]
fn a_broken_connection_goes_on_where_it_broke() {
    let (server, hub, _folder) = setting();
    server.fault("safetensors", Fault::Cut(700_000));
    server.fault("safetensors", Fault::Cut(300_000));
    let snapshot = get(&hub).expect("model");
    assert_whole(&hub, &snapshot);
    let ranges: Vec<String> = server.downloads().into_iter().filter(|l| l.contains("safetensors")).collect();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert!(ranges[1].contains(" 700000 ") && ranges[2].contains(" 1000000 "), "{ranges:?}");
}

#[test]
fn a_server_that_knows_no_parts_begins_again() {
    let (server, hub, _folder) = setting();
    server.fault("safetensors", Fault::Cut(700_000));
    server.fault("safetensors", Fault::NoRange);
    assert_whole(&hub, &get(&hub).expect("model"));
}

#[test]
fn a_pause_keeps_what_has_come_and_the_next_time_goes_on() {
    let (server, hub, _folder) = setting();
    server.fault("safetensors", Fault::Slow);
    let stopped = hub.get(&wanted(), &mut |p| p.done > 400_000);
    assert!(matches!(stopped, Err(HubError::Stopped)), "{stopped:?}");
    let partial = hub.partial("o/n");
    assert!((400_000..2_000_000).contains(&partial), "{partial}");
    assert!(hub.snapshot("o/n").is_none(), "half a model is no model");
    let mut first = None;
    let snapshot = hub.get(&wanted(), &mut |p| {
        if p.total > 0 && first.is_none() {
            first = Some(p.done)
        }
        false
    });
    assert_whole(&hub, &snapshot.expect("model"));
    assert!(first.is_some_and(|f| f >= partial), "{first:?}");
    assert!(server.downloads().last().is_some_and(|l| l.contains(&format!(" {partial} "))), "{:?}", server.downloads());
}

#[test]
fn content_with_another_hash_is_thrown_away() {
    let (server, hub, _folder) = setting();
    for name in ["vocab.txt", "safetensors"] {
        server.fault(name, Fault::Wrong);
        let error = get(&hub).expect_err("wrong content");
        assert!(matches!(&error, HubError::Hash { file } if file.contains(name)), "{error:?}");
        assert!(hub.snapshot("o/n").is_none());
        assert_eq!(hub.partial("o/n"), 0);
    }
    assert_whole(&hub, &get(&hub).expect("the next time it is right"));
}

#[test]
fn a_body_without_end_is_cut_off() {
    let (server, hub, _folder) = setting();
    server.fault("safetensors", Fault::Endless);
    let begun = Instant::now();
    assert!(matches!(get(&hub), Err(HubError::TooLong { .. })));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(hub.partial("o/n"), 0);
    server.fault("/api/", Fault::Endless);
    assert!(matches!(get(&hub), Err(HubError::Answer(_))), "a listing without end");
    assert_whole(&hub, &get(&hub).expect("model"));
}

#[test]
fn silence_is_noticed_and_what_has_come_is_kept() {
    let (server, hub, _folder) = setting();
    for _ in 0..6 {
        server.fault("safetensors", Fault::Stall(0));
    }
    server.fault("safetensors", Fault::Stall(500_000));
    // One silence costs nothing but time; a server that stays silent is given up.
    let error = get(&hub).expect_err("silence");
    assert!(matches!(error, HubError::Stalled(_) | HubError::Network(_)), "{error:?}");
    assert_whole(&hub, &get(&hub).expect("model"));
}

#[test]
fn refusals_are_told_apart() {
    let (server, hub, _folder) = setting();
    for (status, is_right) in [
        (401, (|e| matches!(e, HubError::Denied(..))) as fn(&HubError) -> bool),
        (403, |e| matches!(e, HubError::Denied(..))),
        (404, |e| matches!(e, HubError::NotFound(_))),
        (418, |e| matches!(e, HubError::Status(418))),
    ] {
        for part in ["/api/", "safetensors"] {
            server.fault(part, Fault::Status(status, None));
            let error = get(&hub).expect_err("refusal");
            assert!(is_right(&error), "{status} {part}: {error:?}");
            let message = glossa::error::UserMessage::from(error);
            assert!(!message.why.is_empty() && !message.next.is_empty());
        }
    }
    let nobody = Wanted::of("o/gone");
    assert!(matches!(hub.get(&nobody, &mut |_| false), Err(HubError::NotFound(_))));
    assert_whole(&hub, &get(&hub).expect("model"));
}

#[test]
fn a_hub_that_asks_for_patience_gets_it() {
    let (server, hub, _folder) = setting();
    server.fault("/api/", Fault::Status(429, Some(1)));
    server.fault("safetensors", Fault::Status(503, None));
    let (begun, mut waits) = (Instant::now(), 0);
    let snapshot = hub
        .get(&wanted(), &mut |p| {
            waits += u32::from(p.waiting.is_some());
            false
        })
        .expect("model");
    assert_whole(&hub, &snapshot);
    assert!(begun.elapsed() >= Duration::from_secs(1) && waits > 1);
    let (server, hub, _folder) = setting();
    for _ in 0..5 {
        server.fault("/api/", Fault::Status(429, Some(0)));
    }
    assert!(matches!(get(&hub), Err(HubError::Busy)));
    // A wait can be ended.
    server.fault("/api/", Fault::Status(429, Some(60)));
    let begun = Instant::now();
    assert!(matches!(hub.get(&wanted(), &mut |p| p.waiting.is_some()), Err(HubError::Stopped)));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn names_and_sizes_that_the_hub_makes_up_do_no_harm() {
    let (server, hub, folder) = setting();
    let list = |name: &str, size: u64, id: &str| {
        let siblings = serde_json::json!([{ "rfilename": "config.json", "size": 2, "blobId": "a".repeat(40) }, { "rfilename": "vocab.txt", "size": 2, "blobId": "d".repeat(40) }, { "rfilename": name, "size": size, "blobId": id }]);
        Fault::Text(serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string())
    };
    for (name, id) in [("../../../evil", "b"), ("/tmp/evil", "b"), ("model.safetensors", "../../../evil")] {
        let id = if id == "b" { "b".repeat(40) } else { id.to_owned() };
        server.fault("/api/", list(name, 5, &id));
        let error = get(&hub).expect_err("refused");
        assert!(matches!(error, HubError::Answer(_) | HubError::Nothing(_)), "{name}: {error:?}");
    }
    for text in ["", "[]", "{", "null", r#"{"sha":"../x","siblings":[]}"#, "<html>"] {
        server.fault("/api/", Fault::Text(text.to_owned()));
        assert!(matches!(get(&hub), Err(HubError::Answer(_))), "{text}");
    }
    server.fault("/api/", list("model.safetensors", 1 << 60, &"b".repeat(40)));
    assert!(matches!(get(&hub), Err(HubError::Room { .. })), "an exabyte has no room");
    assert!(files_below(folder.path()).is_empty(), "{:?}", files_below(folder.path()));
    for id in ["../x", "a/b/../../c", "a b/c"] {
        assert!(Wanted::parse(id).is_err(), "{id}");
    }
}

#[test]
fn a_token_goes_to_the_hub_alone() {
    let (server, hub, _folder) = setting();
    let elsewhere = FakeHub::start(&[("model.safetensors", bytes(2_000_000))]);
    let address =
        format!("{}/o/n/resolve/{COMMIT}/model.safetensors", elsewhere.endpoint.replace("127.0.0.1", "localhost"));
    server.fault("safetensors", Fault::Elsewhere(address));
    let hub = hub.with_token(Some("hf_secret".into()));
    assert_whole(&hub, &get(&hub).expect("model"));
    assert!(server.log().iter().all(|l| l.contains("Bearer hf_secret")), "{:?}", server.log());
    assert_eq!(elsewhere.log().len(), 1);
    assert!(!elsewhere.log()[0].contains("hf_secret"), "{:?}", elsewhere.log());
}

#[test]
fn what_does_not_run_here_is_told_before_its_weights_come() {
    let config = br#"{"model_type":"whisper","architectures":["WhisperForConditionalGeneration"]}"#;
    let server = FakeHub::start(&[
        ("config.json", config.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors", bytes(2_000_000)),
    ]);
    let folder = tempfile::tempdir().expect("folder");
    let hub = Hub::new(&server.endpoint, folder.path().join("hub"));
    let error = get(&hub).expect_err("speech");
    assert!(matches!(&error, HubError::Unfit(_, family) if family == "WhisperForConditionalGeneration"), "{error:?}");
    assert!(!server.downloads().iter().any(|l| l.contains("safetensors")), "{:?}", server.downloads());
}

#[test]
fn two_programs_do_not_write_one_file() {
    let (_server, hub, _folder) = setting();
    let dir = hub.cache().join(".locks/models--o--n");
    std::fs::create_dir_all(&dir).expect("folder");
    let held = std::fs::File::create(dir.join(format!("{}.lock", name_of(&bytes(2_000_000))))).expect("lock");
    held.lock().expect("lock");
    assert!(matches!(get(&hub), Err(HubError::Locked(_))));
    drop(held);
    assert_whole(&hub, &get(&hub).expect("model"));
}

#[test]
fn search_asks_the_hub() {
    let (server, hub, _folder) = setting();
    let found = hub.search("fine film", &mut |_| false).expect("found");
    assert_eq!((found.len(), found[0].id.as_str(), found[0].downloads), (1, "o/n", 7));
    assert!(server.log()[0].contains("search=fine%20film"), "{:?}", server.log());
    assert!(hub.offline(true).search("x", &mut |_| false).is_err());
}

#[test]
fn a_downloaded_model_is_in_the_library_and_opens() {
    let server = FakeHub::of_folder(&crate::fake::fixture("bert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let hub = Hub::new(&server.endpoint, folder.path().join("hub"));
    get(&hub).expect("model");
    let library = Library::default().with_hub(hub).with_registry(folder.path().join("library.json"));
    let (entries, errors) = library.list();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id, "o/n");
    assert!(matches!(entries[0].origin, Origin::Hub(_)));
    assert_eq!(library.resolve(Some("o/n"), "").expect("entry").dir, entries[0].dir);
    glossa::models::card::Card::of(&entries[0]).expect("card");
}
