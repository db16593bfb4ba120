//! Files and processes: several programs at once, outputs that are inputs, files that are cut, streams and names.

use crate::cli::{glossa_in, stderr, stdout};
use crate::fake::fixture;
use glossa::engine::{Engine, EngineConfig};
use glossa::labs::measure::Query;
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::Options;
use std::path::Path;
use std::process::{Command, Stdio};

/// A home folder of its own, in which the program finds nothing of this machine's user.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("home")
}

fn in_home(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glossa"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("GLOSSA_MODELS");
    for (name, folder) in
        [("HOME", ""), ("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
    {
        command.env(name, home.join(folder));
    }
    command.env("HF_HUB_OFFLINE", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn copy(name: &str, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for file in std::fs::read_dir(fixture(name)).expect("fixture").flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("copy");
    }
}

#[test]
fn eight_programs_that_add_at_once_lose_no_model() {
    let home = home();
    let names: Vec<_> = (0..8).map(|i| home.path().join(format!("m{i}.gguf"))).collect();
    for name in &names {
        std::fs::copy(fixture("decoder-llama").join("model.gguf"), name).expect("copy");
    }
    let add = |name| in_home(home.path()).args(["models", "add"]).arg(name).spawn().expect("start");
    let running: Vec<_> = names.iter().map(add).collect();
    for child in running {
        let output = child.wait_with_output().expect("end");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path().join("data/glossa/library.json")).expect("list"))
            .expect("JSON");
    assert_eq!(json["added"].as_array().map(Vec::len), Some(8));
}

#[test]
fn a_list_that_cannot_be_understood_is_kept() {
    let home = home();
    let list = home.path().join("data/glossa/library.json");
    std::fs::create_dir_all(list.parent().expect("parent")).expect("folder");
    std::fs::write(&list, "{\"added\": [oops").expect("list");
    let said = in_home(home.path()).args(["models", "list"]).output().expect("run");
    assert!(said.status.success() && stderr(&said).contains("library.json"), "{}", stderr(&said));
    let model = fixture("decoder-llama").join("model.gguf");
    let added = in_home(home.path()).args(["models", "add"]).arg(model).output().expect("run");
    assert!(added.status.success(), "{}", stderr(&added));
    let copy = std::fs::read_to_string(list.with_file_name("library.json.damaged")).expect("copy");
    assert_eq!(copy, "{\"added\": [oops");
}

/// A path that is no text cannot be noted: nothing that is noted is lost for it.
#[test]
fn a_path_that_is_no_text_costs_no_model() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = home();
    let good = fixture("decoder-llama").join("model.gguf");
    let odd = home.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.gguf"));
    std::fs::copy(&good, &odd).expect("copy");
    for (path, code) in [(&good, 0), (&odd, 1)] {
        let output = in_home(home.path()).args(["models", "add"]).arg(path).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
    let list = std::fs::read_to_string(home.path().join("data/glossa/library.json")).expect("list");
    assert!(list.contains("decoder-llama"), "{list}");
    let removed = in_home(home.path()).args(["models", "remove"]).arg(&good).output().expect("run");
    assert!(removed.status.success(), "{}", stderr(&removed));
    let again = in_home(home.path()).args(["models", "remove"]).arg(&good).output().expect("run");
    assert!(again.status.code() == Some(1) && stderr(&again).contains("not on the list"), "{}", stderr(&again));
}

#[test]
fn no_output_is_an_input() {
    let home = home();
    let model = home.path().join("model");
    copy("bert-tiny", &model);
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&model, &link).expect("link");
    let before = std::fs::read(model.join("config.json")).expect("config");
    for out in [&model, &link] {
        let quantize = ["models", "quantize", model.to_str().expect("path"), "--precision", "q8_0", "--out"];
        let said = in_home(home.path()).args(quantize).arg(out).output().expect("run");
        assert_eq!(said.status.code(), Some(1));
        assert!(stderr(&said).contains("--out"), "{}", stderr(&said));
        assert_eq!(std::fs::read(model.join("config.json")).expect("config"), before);
    }
    let rows = home.path().join("rows.tsv");
    std::fs::write(&rows, "a\tone text\nb\tanother\na\tone more\nb\tand one\n").expect("rows");
    let path = rows.to_str().expect("path");
    let said = in_home(home.path())
        .args(["run", "classify", "--teach", path, "--save-head", path, "a text"])
        .output()
        .expect("run");
    assert_eq!(said.status.code(), Some(1), "{}", stdout(&said));
    assert!(std::fs::read_to_string(&rows).expect("rows").starts_with("a\tone text"));
}

/// A stick is pulled: what was loaded says so, and the engine answers from another model.
#[test]
fn a_model_file_that_is_cut_is_an_error_and_not_the_end() {
    let home = home();
    copy("bert-tiny", home.path());
    let config = EngineConfig { device: DeviceChoice::Cpu, cache: None, ..EngineConfig::new(Library::default()) };
    let engine = Engine::start(config).expect("engine");
    let (options, good) = (Options::default(), fixture("distilbert-tiny").display().to_string());
    let model = home.path().display().to_string();
    let ask = |model: &str| {
        Query { task: "sentiment", model: Some(model), options: &options }.ask(&engine, "a good film".into())
    };
    ask(&model).expect("whole");
    let file = std::fs::File::options().write(true).open(home.path().join("model.safetensors")).expect("file");
    file.set_len(100).expect("cut");
    let error = ask(&model).expect_err("cut");
    assert!(error.to_string().contains("became shorter"), "{error}");
    ask(&good).expect("another model");
}

#[test]
fn standard_input_has_the_same_rules_as_a_file() {
    let home = home();
    let run = |args: &[&str], input: &[u8]| glossa_in(home.path(), &[("HF_HUB_OFFLINE", "1")], args, Some(input));
    let text = "\u{feff}Marie Curie was born in Warsaw.\r\n";
    let output = run(&["run", "extract", "--json", "--input", "-"], text.as_bytes());
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(json["output"]["fields"][0]["start"], 0, "{json}");
    assert_eq!(json["input"], &text[3..]);
    let output = run(&["run", "sentiment", "--input", "-"], &vec![b'a'; (64 << 20) + 1]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("larger than 64 MiB"), "{}", stderr(&output));
}

#[test]
fn help_that_does_not_arrive_is_a_failure_and_logs_in_files_have_no_colours() {
    let home = home();
    for word in ["--help", "--version"] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("device");
        let status = in_home(home.path()).arg(word).stdout(full).status().expect("run");
        assert_eq!(status.code(), Some(1), "{word}");
        let output = in_home(home.path()).arg(word).output().expect("run");
        assert!(output.status.success() && !output.stdout.is_empty());
    }
    // Something to log: a list that cannot be understood is put aside.
    let list = home.path().join("data/glossa/library.json");
    std::fs::create_dir_all(list.parent().expect("parent")).expect("folder");
    std::fs::write(&list, "{").expect("list");
    let model = fixture("decoder-llama").join("model.gguf");
    let output = in_home(home.path()).args(["-vv", "models", "add"]).arg(model).output().expect("run");
    let said = stderr(&output);
    assert!(output.status.success() && said.contains("ERROR") && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn names_of_files_cannot_steer_a_terminal() {
    let home = home();
    let path = home.path().join("e\u{1b}[31m\nvil.gguf");
    std::fs::copy(fixture("decoder-llama").join("model.gguf"), &path).expect("copy");
    let missing = home.path().join("no\u{1b}[31m\nsuch.gguf");
    let mut said = String::new();
    for path in [&path, &missing] {
        for args in [["models", "add"], ["models", "info"], ["models", "fit"]] {
            let output = in_home(home.path()).args(args).arg(path).output().expect("run");
            said += &(stdout(&output) + &stderr(&output));
        }
        let run = ["run", "generate", "hi", "--max-tokens", "1", "--model"];
        said += &stderr(&in_home(home.path()).args(run).arg(path).output().expect("run"));
    }
    for args in [["models", "list"], ["models", "verify"]] {
        let output = in_home(home.path()).args(args).output().expect("run");
        said += &(stdout(&output) + &stderr(&output));
    }
    assert!(said.contains("\\u{1b}[31m\\nvil.gguf") && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn a_file_beside_an_export_is_nobody_elses() {
    let home = home();
    for foreign in ["data.new", "data.part", "data.csv.new"] {
        std::fs::write(home.path().join(foreign), "foreign").expect("file");
    }
    let csv = home.path().join("data.csv");
    std::fs::write(home.path().join("real.csv"), "").expect("file");
    std::os::unix::fs::symlink("real.csv", &csv).expect("link");
    let output = in_home(home.path()).args(["monitor", "--seconds", "1", "--csv"]).arg(&csv).output().expect("run");
    assert!(output.status.success(), "{}", stderr(&output));
    for foreign in ["data.new", "data.part", "data.csv.new"] {
        assert_eq!(std::fs::read_to_string(home.path().join(foreign)).expect("file"), "foreign");
    }
    assert!(csv.is_symlink() && std::fs::metadata(&csv).is_ok_and(|m| m.len() > 50));
    let twice = ["monitor", "--seconds", "1", "--csv", "a.out", "--png", "./a.out"];
    let output = in_home(home.path()).current_dir(home.path()).args(twice).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("named twice") && !home.path().join("a.out").exists());
}

/// What is cut while it is made into blocks is neither kept nor written as a copy.
#[test]
fn zeros_of_a_file_that_was_cut_are_not_kept() {
    use glossa::models::library::ModelEntry;
    use glossa::models::weights::Weights;
    use glossa::models::{blocks, quantized};
    use glossa::nn::precision::Precision;
    let home = home();
    let model = home.path().join("model");
    copy("bert-tiny", &model);
    let entry = ModelEntry::open(&model).expect("entry");
    let weights = Weights::open(&entry.weights).expect("weights");
    let cache = home.path().join("cache");
    let file = std::fs::File::options().write(true).open(model.join("model.safetensors")).expect("file");
    let mut cut = |_| {
        file.set_len(4096).expect("cut");
        false
    };
    // The hash is taken of the whole file, then it is cut.
    blocks::place(&entry, Precision::Q8_0, &cache, &mut |_| false).expect("hash");
    let made = blocks::prepare_in(&entry, &weights, Precision::Q8_0, Some(&cache), &mut cut);
    assert!(made.is_err());
    let kept = std::fs::read_dir(&cache)
        .expect("cache")
        .flatten()
        .filter(|f| f.path().extension().is_some_and(|e| e == "safetensors"));
    assert_eq!(kept.count(), 0);
    let out = home.path().join("out");
    assert!(quantized::write(&entry, Precision::Q8_0, &out, &mut |_| false).is_err());
    assert!(!out.join("model.safetensors").exists());
}

/// One that was got at the same time, or is not whole yet, is nobody's to remove.
#[test]
fn removing_a_model_leaves_what_is_still_coming() {
    use glossa::models::hub::Hub;
    let home = home();
    let hub = Hub::new("http://127.0.0.1:9", home.path().join("hub"));
    let folder = hub.folder("o/n");
    std::fs::create_dir_all(folder.join("blobs")).expect("folder");
    std::fs::create_dir_all(folder.join("refs")).expect("folder");
    std::fs::write(folder.join("refs/main"), "0".repeat(40)).expect("ref");
    std::fs::write(folder.join("blobs/abc.incomplete"), "half").expect("part");
    hub.tidy("o/n");
    assert!(folder.join("blobs/abc.incomplete").is_file());
    std::fs::remove_file(folder.join("blobs/abc.incomplete")).expect("gone");
    hub.tidy("o/n");
    assert!(!folder.exists());
}
