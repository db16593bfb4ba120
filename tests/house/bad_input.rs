//! Bad input: each a clear message that names the file and the remedy, and the engine goes on.

use crate::cli::{glossa, stderr, stdout};
use crate::fake::fixture;
use glossa::engine::{Engine, EngineConfig};
use glossa::error::UserMessage;
use glossa::labs::measure::Query;
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::tasks::{Input, Options, Output};
use std::path::{Path, PathBuf};

fn engine(models: &Path) -> Engine {
    let mut config = EngineConfig::new(Library::find(Some(models)));
    config.device = DeviceChoice::Cpu;
    config.cache = None;
    Engine::start(config).expect("engine")
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// An answer, and what the reader should know beside it.
type Answered = Result<(Output, Vec<String>), UserMessage>;

fn ask(engine: &Engine, task: &'static str, model: Option<&str>, input: impl Into<Input>) -> Answered {
    let options = Options::default();
    let (output, report) = Query { task, model, options: &options }.ask(engine, input.into())?;
    Ok((output, report.warnings))
}

fn sentiment(engine: &Engine, text: &str) -> Answered {
    ask(engine, "sentiment", None, text)
}

/// A copy of a fixture in a folder of its own, to be damaged.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in std::fs::read_dir(fixture(name)).expect("fixture").flatten() {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copy");
    }
    folder
}

/// The message with which a damaged checkpoint is refused; the same engine then answers a good one.
fn refused(dir: &Path) -> String {
    let engine = engine(&fixture(""));
    let error = ask(&engine, "sentiment", Some(&dir.display().to_string()), "a good film").expect_err("refused");
    let good = fixture("bert-tiny").display().to_string();
    assert!(ask(&engine, "sentiment", Some(&good), "a good film").is_ok(), "the engine goes on");
    assert!(!error.next.is_empty(), "a remedy: {error}");
    error.to_string()
}

#[test]
fn empty_and_blank_text() {
    let engine = engine(&shipped());
    for text in ["", "   \n\t ", "\u{0}", "\u{200b}"] {
        let error = sentiment(&engine, text).expect_err("nothing to analyse");
        assert_eq!(error.what, "There is nothing to analyse", "{text:?}");
    }
    assert!(sentiment(&engine, "Good.").is_ok());
}

#[test]
fn a_megabyte_is_analysed_in_windows_and_says_so() {
    let engine = engine(&shipped());
    let text = "This was a truly wonderful evening. ".repeat(1_000_000 / 36);
    let (output, warnings) = sentiment(&engine, &text).expect("an answer");
    let scores = output.scores().expect("scores");
    assert!(scores.reading.windows > 300 && scores.top().0 == "positive", "{}", scores.reading.windows);
    assert!(warnings.iter().any(|w| w.contains("windows")), "{warnings:?}");
}

#[test]
fn emoji_right_to_left_and_nul_bytes() {
    let engine = engine(&shipped());
    for text in ["🙂🙂🙂 what a day", "סרט נהדר", "فيلم رائع", "good\0film", "e\u{301}te\u{301}", "\u{202e}evil"]
    {
        let (output, _) = sentiment(&engine, text).expect(text);
        let scores = output.scores().expect("scores");
        for piece in &scores.reading.pieces {
            assert!(text.is_char_boundary(piece.start) && text.is_char_boundary(piece.end), "{text:?} {piece:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_utf8() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("menu.txt");
    std::fs::write(&file, b"caf\xe9\n").expect("file");
    let output = glossa(&["run", "sentiment", "--input", &file.display().to_string()], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty());
    let said = stderr(&output);
    assert!(said.contains("menu.txt") && said.contains("UTF-8"), "{said}");
    let output = glossa(&["run", "sentiment", "--input", "no/such/file.txt"], None);
    assert!(stderr(&output).contains("no/such/file.txt"));
}

#[test]
fn missing_and_truncated_weights() {
    let folder = copy("bert-tiny");
    let weights = folder.path().join("model.safetensors");
    let whole = std::fs::read(&weights).expect("weights");
    for keep in [whole.len() - 100, 5000, 9, 3, 0] {
        std::fs::write(&weights, &whole[..keep]).expect("cut");
        let said = refused(folder.path());
        assert!(
            said.contains("model.safetensors")
                && (said.contains("truncated")
                    || said.contains("bytes long")
                    || said.contains("damaged")
                    || said.contains("is empty")
                    || said.contains("read")),
            "{keep}: {said}"
        );
    }
    std::fs::remove_file(&weights).expect("removed");
    let said = refused(folder.path());
    assert!(said.contains("model.safetensors") && said.contains("missing"), "{said}");
}

#[test]
fn damaged_headers_and_pickles() {
    let folder = copy("bert-tiny");
    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    bytes.extend(vec![b'{'; 100]);
    std::fs::write(folder.path().join("model.safetensors"), bytes).expect("file");
    assert!(refused(folder.path()).contains("model.safetensors"));
    let folder = copy("bert-bin");
    let weights = folder.path().join("pytorch_model.bin");
    let whole = std::fs::read(&weights).expect("weights");
    for bytes in [&whole[..whole.len() / 2], b"PK\x03\x04 nothing", b""] {
        std::fs::write(&weights, bytes).expect("file");
        let said = refused(folder.path());
        assert!(said.contains("pytorch_model.bin"), "{said}");
    }
}

#[test]
fn a_config_of_another_architecture_or_of_other_sizes() {
    let folder = copy("bert-tiny");
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).expect("config");
    std::fs::write(&config, text.replace("\"bert\"", "\"gpt2\"")).expect("file");
    let said = refused(folder.path());
    assert!(said.contains("'gpt2'") && said.contains(&folder.path().display().to_string()), "{said}");
    std::fs::write(&config, text.replace("\"hidden_size\": 32", "\"hidden_size\": 64")).expect("file");
    assert!(refused(folder.path()).contains("has shape"), "sizes that do not fit the weights");
    std::fs::write(&config, "{").expect("file");
    assert!(refused(folder.path()).contains("config.json"));
    std::fs::write(folder.path().join("config.json"), text).expect("file");
    std::fs::write(folder.path().join("tokenizer.json"), "[]").expect("file");
    assert!(refused(folder.path()).contains("tokenizer.json"));
}

#[test]
fn a_hash_that_does_not_match() {
    let root = tempfile::tempdir().expect("folder");
    let dir = root.path().join("tiny");
    std::fs::create_dir(&dir).expect("folder");
    for file in std::fs::read_dir(fixture("bert-tiny")).expect("fixture").flatten() {
        std::fs::copy(file.path(), dir.join(file.file_name())).expect("copy");
    }
    let entry = |name: &str| {
        let path = dir.join(name);
        let size = std::fs::metadata(&path).expect("file").len();
        let sha256 = glossa::models::verify::sha256(&path, &|| false).expect("hash");
        serde_json::json!({"path": name, "size": size, "sha256": sha256})
    };
    let manifest = serde_json::json!({
        "id": "tiny", "name": "Tiny", "task": "sentiment", "architecture": "BertForSequenceClassification",
        "files": [entry("config.json"), entry("model.safetensors"), entry("tokenizer.json")],
    });
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).expect("manifest");
    assert!(sentiment(&engine(root.path()), "a good film").is_ok());
    let weights = dir.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).expect("changed");
    let error = sentiment(&engine(root.path()), "a good film").expect_err("refused").to_string();
    assert!(error.contains("model.safetensors") && error.contains("hash") && error.contains("again"), "{error}");
}

#[test]
fn no_models_folder_at_all() {
    let folder = tempfile::tempdir().expect("folder");
    let error = sentiment(&engine(folder.path()), "x").expect_err("no model").to_string();
    assert!(error.contains(&folder.path().display().to_string()) && error.contains("--models"), "{error}");
}

/// Rewrites one tensor of a safetensors file in another element type.
fn retyped(path: &Path, name: &str, dtype: safetensors::Dtype, width: usize) {
    let bytes = std::fs::read(path).expect("weights");
    let all = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let count: usize = all.tensor(name).expect("tensor").shape().iter().product();
    let zeros = vec![0u8; count * width];
    let each = all.tensors().into_iter().map(|(n, view)| {
        let other = || safetensors::tensor::TensorView::new(dtype, view.shape().to_vec(), &zeros).expect("view");
        if n == name { (n, other()) } else { (n, view) }
    });
    let each: Vec<_> = each.collect();
    let made = safetensors::serialize(each, None).expect("written");
    std::fs::write(path, made).expect("weights");
}

#[test]
fn weights_in_a_type_that_is_not_read_are_named_with_it() {
    let name = "bert.encoder.layer.0.output.dense.weight";
    for (dtype, width, word) in [
        (safetensors::Dtype::F8_E4M3, 1, "F8_E4M3"),
        (safetensors::Dtype::I64, 8, "I64"),
        (safetensors::Dtype::U8, 1, "U8"),
    ] {
        let folder = copy("bert-tiny");
        retyped(&folder.path().join("model.safetensors"), name, dtype, width);
        let said = refused(folder.path());
        assert!(said.contains(name) && said.contains(word), "{said}");
        assert!(said.contains(&folder.path().display().to_string()) && said.contains("F32, F16 or BF16"), "{said}");
    }
    // A type that is not known at all, as a later version may have.
    let folder = copy("bert-tiny");
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let at = bytes.windows(11).position(|w| w == b"dtype\":\"F32").expect("dtype");
    let newer = [&bytes[..at + 8], b"F99", &bytes[at + 11..]].concat();
    std::fs::write(&path, newer).expect("weights");
    let said = refused(folder.path());
    assert!(said.contains("model.safetensors' keeps the tensor 'bert.") && said.contains("F99"), "{said}");
    assert!(said.contains("update Glossa") && !said.contains("damaged"), "{said}");
}

#[test]
fn what_git_or_a_browser_left_instead_of_a_file_is_called_so() {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", "a".repeat(64));
    for (fixture, files) in [
        ("bert-tiny", &["config.json", "model.safetensors", "tokenizer.json"][..]),
        ("bert-bin", &["pytorch_model.bin", "vocab.txt"]),
        ("bert-bin-parts", &["pytorch_model.bin.index.json", "pytorch_model-00002-of-00002.bin"]),
    ] {
        for file in files {
            for (content, words) in
                [(pointer.as_str(), "pointer of Git LFS"), ("<!doctype html>\n<p>sign in", "page of the web")]
            {
                let folder = copy(fixture);
                std::fs::write(folder.path().join(file), content).expect("file");
                let said = refused(folder.path());
                assert!(said.contains(&format!("{file}' is")) && said.contains(words), "{file}: {said}");
                assert!(!said.contains("damaged"), "{said}");
            }
        }
    }
}
