//! Models in parts: GGUF files as gguf-split cuts them, and checkpoints with an index. They are one model wherever one is
//! found, listed, added, got, kept as blocks or removed; what is missing or of another model is named.

use crate::catalogue::first_answer;
use crate::fake::{files_below, fixture};
use crate::hub_server::FakeHub;
use candle_core::quantized::gguf_file::{Content, Value, write};
use glossa::error::UserMessage;
use glossa::models::card::Card;
use glossa::models::gguf::Gguf;
use glossa::models::hub::{Hub, HubError, Wanted};
use glossa::models::library::{Library, ModelEntry};
use glossa::models::weights::Weights;
use glossa::models::{ModelError, add, blocks, quantized, removal};
use glossa::nn::precision::Precision;
use glossa::nn::source::TensorSource as _;
use std::path::{Path, PathBuf};

fn part(number: usize) -> String {
    format!("model-{number:05}-of-00003.gguf")
}

fn copy(name: &str, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for file in std::fs::read_dir(fixture(name)).expect("fixture").flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("copy");
    }
}

fn folder_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    copy(name, folder.path());
    folder
}

fn bytes_of(files: &[PathBuf]) -> u64 {
    files.iter().map(|f| std::fs::metadata(f).expect("file").len()).sum()
}

/// Cuts a fixture as gguf-split does: the first part has all metadata; with `all` the others have it too.
fn split(family: &str, folder: &Path, count: usize, all: bool) -> Vec<PathBuf> {
    let mut file = std::fs::File::open(fixture(&format!("decoder-{family}")).join("model.gguf")).expect("file");
    let content = Content::read(&mut file).expect("content");
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    let mut files = Vec::new();
    for (i, own) in names.chunks(names.len().div_ceil(count)).enumerate() {
        let device = candle_core::Device::Cpu;
        let tensors: Vec<_> =
            own.iter().map(|n| (n.as_str(), content.tensor(&mut file, n, &device).expect("tensor"))).collect();
        let tensors: Vec<_> = tensors.iter().map(|(n, t)| (*n, t)).collect();
        let says = [
            ("split.no", Value::U16(i as u16)),
            ("split.count", Value::U16(count as u16)),
            ("split.tensors.count", Value::I32(names.len() as i32)),
        ];
        let own = content.metadata.iter().filter(|_| all || i == 0).map(|(k, v)| (k.as_str(), v));
        let metadata: Vec<(&str, &Value)> = own.chain(says.iter().map(|(k, v)| (*k, v))).collect();
        let path = folder.join(format!("model-{:05}-of-{count:05}.gguf", i + 1));
        write(&mut std::fs::File::create(&path).expect("file"), &metadata, &tensors).expect("written");
        files.push(path);
    }
    assert_eq!(files.len(), count);
    files
}

/// Puts another number into a part's metadata.
fn say(path: &Path, key: &str, number: u16) {
    let mut bytes = std::fs::read(path).expect("part");
    let at = bytes.windows(key.len()).position(|w| w == key.as_bytes()).expect("key") + key.len() + 4;
    bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
    std::fs::write(path, bytes).expect("part");
}

#[test]
fn any_part_opens_the_whole_model() {
    let whole = Gguf::open(&fixture("decoder-llama").join("model.gguf")).expect("whole");
    let folder = tempfile::tempdir().expect("folder");
    let two = split("llama", folder.path(), 2, false);
    let three = (1..=3).map(|i| fixture("decoder-llama-parts").join(part(i))).collect();
    for files in [two, three] {
        for file in &files {
            let found = Gguf::open(file).expect("parts");
            assert_eq!((found.names(), found.path()), (whole.names(), files[0].as_path()));
            assert_eq!(found.vocabulary(), whole.vocabulary());
            for name in whole.names() {
                let (a, b) = (whole.tensor(&name).expect("tensor"), found.tensor(&name).expect("tensor"));
                assert!(a.bytes() == b.bytes() && a.shape() == b.shape() && a.dtype() == b.dtype(), "{name}");
            }
            first_answer(&Library::default(), &file.display().to_string()).expect("answer");
        }
    }
}

/// What is said of the parts that `change` leaves, when the file that it returns is opened.
fn refusal(change: impl FnOnce(&Path) -> PathBuf) -> UserMessage {
    let folder = folder_of("decoder-llama-parts");
    let path = change(folder.path());
    let Err(error) = Gguf::open(&path) else { panic!("{} was opened", path.display()) };
    let message = UserMessage::from(error);
    assert!(message.why.contains(".gguf'") && !message.why.contains("damaged"), "{message}");
    assert!(!message.next.is_empty() && !message.next.contains("from where it came"), "{message}");
    message
}

#[test]
fn parts_that_are_missing_or_of_another_model_are_named() {
    let one = |dir: &Path| dir.join(part(1));
    let said = |change: &dyn Fn(&Path) -> PathBuf, words: &[&str]| {
        let message = refusal(change);
        for word in words {
            assert!(message.why.contains(word), "{word:?} is not in {message}");
        }
    };
    let gone = |dir: &Path, number: usize| std::fs::remove_file(dir.join(part(number))).expect("gone");
    let rename = |dir: &Path, from: &str, to: &str| std::fs::rename(dir.join(from), dir.join(to)).expect("renamed");
    let missing = |dir: &Path| {
        gone(dir, 2);
        one(dir)
    };
    said(&missing, &["model-00002-of-00003.gguf' is missing", "lies in 3 parts"]);
    let first = |dir: &Path| {
        gone(dir, 1);
        gone(dir, 3);
        dir.join(part(2))
    };
    said(&first, &["model-00001-of-00003.gguf', '", "model-00003-of-00003.gguf' are missing"]);
    let count = |dir: &Path| {
        say(&dir.join(part(2)), "split.count", 4);
        one(dir)
    };
    said(&count, &["model-00002-of-00003.gguf' is part of a model in 4 parts, its name says 3"]);
    let swapped = |dir: &Path| {
        rename(dir, &part(2), "x");
        rename(dir, &part(3), &part(2));
        rename(dir, "x", &part(3));
        one(dir)
    };
    said(&swapped, &["model-00002-of-00003.gguf' is part 3 of 3, its name says 2"]);
    let renamed = |dir: &Path| {
        rename(dir, &part(2), "mine.gguf");
        dir.join("mine.gguf")
    };
    said(&renamed, &["mine.gguf' is part 2 of 3, and its name does not say so"]);
    let whole = |dir: &Path| {
        std::fs::copy(fixture("decoder-llama").join("model.gguf"), dir.join(part(2))).expect("copy");
        one(dir)
    };
    said(&whole, &["model-00002-of-00003.gguf' is called part 2 of 3, and is none"]);
    let total = |dir: &Path| {
        (1..=3).for_each(|i| say(&dir.join(part(i)), "split.tensors.count", 99));
        one(dir)
    };
    said(&total, &["says that the model has 99 tensors, its 3 parts have 22"]);
    let foreign = |all: bool, tensors: Option<u16>| {
        move |dir: &Path| {
            let other = tempfile::tempdir().expect("folder");
            let files = split("qwen2", other.path(), 3, all);
            std::fs::copy(&files[1], dir.join(part(2))).expect("copy");
            tensors.into_iter().for_each(|n| say(&dir.join(part(2)), "split.tensors.count", n));
            one(dir)
        }
    };
    said(
        &foreign(false, None),
        &["00002-of-00003.gguf' belongs to another model than 'model-00001", "split.tensors.count"],
    );
    said(&foreign(true, Some(22)), &["general.architecture is 'qwen2', not 'llama'"]);
    said(&foreign(false, Some(22)), &["has a tensor 'blk.", "that an earlier part has too"]);
}

#[test]
fn parts_are_added_listed_and_removed_as_one_model() {
    let folder = tempfile::tempdir().expect("folder");
    let root = std::fs::canonicalize(folder.path()).expect("folder");
    let library = Library::default().with_registry(root.join("library.json"));
    let own = root.join("models");
    std::fs::create_dir_all(&own).expect("folder");
    let files: Vec<PathBuf> = (1..=3).map(|i| own.join(part(i))).collect();
    for file in &files {
        std::fs::copy(fixture("decoder-llama-parts").join(file.file_name().expect("name")), file).expect("copy");
    }
    std::fs::copy(fixture("decoder-llama").join("model.gguf"), own.join("model.gguf")).expect("copy");
    std::fs::write(own.join("model-00001-of-00003.txt"), "mine").expect("notes");
    // Any part may be dropped, and again.
    for file in [&files[1], &files[2]] {
        let card = add::add(&library, file).expect("added");
        assert_eq!((card.path.as_path(), card.bytes, card.files.len()), (&*files[0], bytes_of(&files), 3));
    }
    add::add(&library, &own.join("model.gguf")).expect("the whole one");
    let (entries, errors) = library.list();
    assert!(errors.is_empty() && entries.len() == 2, "{errors:?} {entries:?}");
    let entry = entries.iter().find(|e| e.weights.len() == 3).expect("in parts");
    assert_eq!((entry.name().as_str(), entry.weight_bytes()), ("model", bytes_of(&files)));
    assert_eq!(entry.weights, files);
    for file in &files {
        assert_eq!(library.resolve(file.to_str(), "").expect("entry").id, entry.id);
    }
    first_answer(&library, &entry.id).expect("answer");
    let plan = removal::plan(&library, entry).expect("plan");
    assert_eq!((plan.files.clone(), plan.bytes), (files.clone(), bytes_of(&files)));
    removal::carry_out(&library, entry, &plan).expect("removed");
    assert_eq!(files_below(&own), [own.join("model-00001-of-00003.txt"), own.join("model.gguf")]);
    assert_eq!(library.list().0.len(), 1);
    // A part that goes later is told of.
    for file in &files {
        std::fs::copy(fixture("decoder-llama-parts").join(file.file_name().expect("name")), file).expect("copy");
    }
    add::add(&library, &files[2]).expect("added");
    std::fs::remove_file(&files[1]).expect("gone");
    // It stays on the list, from where it can be taken.
    let entry = library.resolve(files[2].to_str(), "").expect("entry");
    let Err(ModelError::Parts { missing, count: 3 }) = Card::of(&entry) else { panic!("a part is missing") };
    assert_eq!(missing, files[1..2]);
    let plan = removal::plan(&library, &entry).expect("plan");
    removal::carry_out(&library, &entry, &plan).expect("removed");
    assert!(library.list().0.len() == 1 && !files.iter().any(|f| f.exists()));
}

#[test]
fn blocks_and_copies_are_made_of_all_parts() {
    let folder = folder_of("decoder-llama-parts");
    let entry = ModelEntry::open(folder.path()).expect("one model in the folder");
    assert_eq!(entry.gguf(), Some(&*folder.path().join(part(1))));
    let cache = tempfile::tempdir().expect("cache");
    let place = || blocks::place(&entry, Precision::Q8_0, cache.path(), &mut |_| false).expect("place");
    let before = place();
    let out = cache.path().join("out");
    let made = quantized::write(&entry, Precision::Q8_0, &out, &mut |_| false).expect("copy");
    assert_eq!(made, out.join("model-q8_0.gguf"));
    let (copy, whole) =
        (Gguf::open(&made).expect("whole"), Gguf::open(&fixture("decoder-llama").join("model.gguf")).expect("whole"));
    assert_eq!(copy.names(), whole.names());
    assert!(copy.value("split.count").is_none() && copy.value("general.architecture").is_some());
    first_answer(&Library::default(), &made.display().to_string()).expect("answer");
    // Another last part is another model.
    let path = folder.path().join(part(3));
    let mut bytes = std::fs::read(&path).expect("part");
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("part");
    assert_ne!(place(), before);
}

fn house(server: &FakeHub) -> (Hub, Library, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let hub = Hub::new(&server.endpoint, folder.path().join("hub"));
    let library = Library::default().with_hub(hub.clone()).with_registry(folder.path().join("data/library.json"));
    (hub, library, folder)
}

#[test]
fn a_gguf_model_in_parts_comes_from_the_hub_as_one() {
    let read = |i| std::fs::read(fixture("decoder-llama-parts").join(part(i))).expect("part");
    let names: Vec<String> = (1..=3).map(|i| format!("q4/{}", part(i))).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().zip(1..).map(|(n, i)| (n.as_str(), read(i))).collect();
    let whole = std::fs::read(fixture("decoder-qwen2").join("model.gguf")).expect("whole");
    let server = FakeHub::start(&[&files[..], &[("other.gguf", whole)]].concat());
    let (hub, library, _folder) = house(&server);
    let Err(HubError::Choose(_, choice)) = hub.get(&Wanted::of("o/n"), &mut |_| false) else { panic!("a choice") };
    assert_eq!(choice, format!("other.gguf, {}", names[0]));
    let wanted = Wanted::parse(&format!("o/n/{}", names[1])).expect("id");
    let path = hub.get(&wanted, &mut |_| false).expect("model");
    assert!(path.ends_with(&names[0]), "{}", path.display());
    hub.get(&Wanted::parse("o/n/other.gguf").expect("id"), &mut |_| false).expect("the other");
    let ids: Vec<String> = library.list().0.into_iter().map(|e| e.id).collect();
    let id = format!("o/n/{}", names[0]);
    assert_eq!(ids, ["o/n/other.gguf".to_owned(), id.clone()]);
    for name in &names {
        let entry = library.resolve(Some(&format!("o/n/{name}")), "").expect("entry");
        assert_eq!((entry.id.as_str(), entry.name().as_str(), entry.weights.len()), (&*id, "model", 3));
    }
    first_answer(&library, &id).expect("answer");
    assert_eq!(hub.clone().offline(true).get(&wanted, &mut |_| false).expect("here"), path);
    assert_eq!(hub.verify(&wanted, &|| false).expect("hashes"), Vec::<String>::new());
    let last = path.with_file_name(part(3));
    std::fs::write(std::fs::canonicalize(&last).expect("blob"), "damage").expect("damage");
    assert_eq!(hub.verify(&wanted, &|| false).expect("hashes"), [names[2].clone()]);
    hub.get(&wanted, &mut |_| false).expect("mended");
    let entry = library.resolve(Some(&id), "").expect("entry");
    let plan = removal::plan(&library, &entry).expect("plan");
    assert_eq!(plan.bytes, (1..=3).map(|i| read(i).len() as u64).sum::<u64>());
    removal::carry_out(&library, &entry, &plan).expect("removed");
    let left = files_below(&hub.folder("o/n"));
    assert!(left.iter().all(|f| !f.to_string_lossy().contains("of-00003")) && left.len() == 3, "{left:?}");
    first_answer(&library, "o/n/other.gguf").expect("the other stays");
    // Half of it is no model, and not here.
    hub.get(&wanted, &mut |_| false).expect("again");
    std::fs::remove_file(&last).expect("gone");
    assert_eq!(library.list().0.len(), 1);
    assert!(matches!(hub.offline(true).get(&wanted, &mut |_| false), Err(HubError::Offline(_))));
}

#[test]
fn a_bin_in_parts_comes_by_its_index_and_is_held_against_it() {
    let dir = fixture("bert-bin-parts");
    let read = |name: &str| std::fs::read(dir.join(name)).expect("file");
    let index = String::from_utf8(read("pytorch_model.bin.index.json")).expect("index");
    // Whatever the parts are called, and whatever else is called so.
    let index = index.replace("pytorch_model-00002-of-00002.bin", "second.bin");
    let mut files = vec![
        ("pytorch_model.bin.index.json", index.into_bytes()),
        ("second.bin", read("pytorch_model-00002-of-00002.bin")),
        ("pytorch_model-00002-of-00009.bin", b"of another time".to_vec()),
    ];
    for name in ["config.json", "vocab.txt", "tokenizer_config.json", "pytorch_model-00001-of-00002.bin"] {
        files.push((name, read(name)));
    }
    let server = FakeHub::start(&files);
    let (hub, library, _folder) = house(&server);
    let mut seen = Vec::new();
    let path = hub.get(&Wanted::of("o/n"), &mut |p| {
        seen.push((p.done, p.total));
        false
    });
    let path = path.expect("model");
    assert!(!path.join("pytorch_model-00002-of-00009.bin").exists() && path.join("second.bin").is_file());
    let last = seen.last().expect("progress");
    assert_eq!(last.0, last.1);
    first_answer(&library, "o/n").expect("answer");
    let entry = library.resolve(Some("o/n"), "").expect("entry");
    assert_eq!(entry.weights.len(), 2);
    let plan = removal::plan(&library, &entry).expect("plan");
    removal::carry_out(&library, &entry, &plan).expect("removed");
    assert!(!hub.folder("o/n").exists(), "{:?}", files_below(&hub.folder("o/n")));
    files.retain(|f| f.0 != "second.bin");
    let server = FakeHub::start(&files);
    let (hub, library, _folder) = house(&server);
    let error = hub.get(&Wanted::of("o/n"), &mut |_| false).expect_err("a part that the hub lacks");
    assert!(error.to_string().contains("its part 'second.bin' is not there"), "{error}");
    assert!(library.list().0.is_empty());
}

#[test]
fn a_checkpoint_in_parts_says_which_part_is_missing_or_wrong() {
    let folder = folder_of("bert-bin-parts");
    let dir = folder.path();
    let entry = ModelEntry::open(dir).expect("entry");
    assert_eq!(entry.weights.len(), 2);
    let whole = Weights::open(&ModelEntry::open(&fixture("bert-bin")).expect("whole").weights).expect("whole");
    assert_eq!(Weights::open(&entry.weights).expect("parts").names(), whole.names());
    assert_eq!(add::check(&dir.join("pytorch_model-00001-of-00002.bin")).expect("card").files.len(), 4);
    let index = dir.join("pytorch_model.bin.index.json");
    let text = std::fs::read_to_string(&index).expect("index");
    let says = |text: &str| {
        std::fs::write(&index, text).expect("index");
        let error = ModelEntry::open(dir).and_then(|e| Weights::open(&e.weights).map(drop));
        error.expect_err("refused").to_string()
    };
    let elsewhere = text.replace("pytorch_model-00002-of-00002.bin", "../x.bin");
    assert!(says(&elsewhere).contains("'../x.bin', which is no file of weights beside it"));
    let swapped = text.replace("00001-of", "x-of").replace("00002-of", "00001-of").replace("x-of", "00002-of");
    let why = says(&swapped);
    assert!(why.contains("of-00002.bin' is damaged: it has no tensor '") && why.contains("index.json"), "{why}");
    let more = text.replace("\"weight_map\": {", "\"weight_map\": {\"extra\": \"pytorch_model-00003-of-00003.bin\",");
    assert!(says(&more).contains("pytorch_model-00003-of-00003.bin' is missing: the model lies in 3 parts"));
    // A whole file counts before one in parts, whatever lies beside it.
    std::fs::copy(fixture("bert-bin").join("pytorch_model.bin"), dir.join("pytorch_model.bin")).expect("copy");
    assert_eq!(Weights::open(&ModelEntry::open(dir).expect("entry").weights).expect("whole").names(), whole.names());
    std::fs::remove_file(dir.join("pytorch_model.bin")).expect("gone");
    std::fs::write(&index, text).expect("index");
    std::fs::remove_file(dir.join("pytorch_model-00002-of-00002.bin")).expect("gone");
    let entry = ModelEntry::open(dir).expect("entry");
    for error in [Card::of(&entry).expect_err("refused"), Weights::open(&entry.weights).map(drop).expect_err("refused")]
    {
        let why = error.to_string();
        assert!(why.contains("pytorch_model-00002-of-00002.bin' is missing: the model lies in 2 parts"), "{why}");
    }
    std::fs::remove_file(&index).expect("gone");
    std::fs::write(dir.join("tf_model.h5"), "x").expect("file");
    let message = UserMessage::from(ModelEntry::open(dir).expect_err("no weights"));
    assert!(message.why.contains("'tf_model.h5' is TensorFlow's") && message.next.contains("safetensors"), "{message}");
}
