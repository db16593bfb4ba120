//! GGUF files that are cut, forged or simply wrong: a clear message, bounded memory, no panic.

use crate::cli::{glossa, stderr};
use crate::fake::fixture;
use glossa::models::gguf::Gguf;
use glossa::nn::bert::Target;
use glossa::nn::decoder::Decoder;
use glossa::nn::decoder::config::Config;
use glossa::nn::kernels::Isa;
use glossa::nn::kernels::team::Team;
use glossa::nn::precision::Precision;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mutated files that the fuzzer reads.
const MUTATIONS: u32 = 10_000;

fn bytes(family: &str) -> Vec<u8> {
    std::fs::read(fixture(&format!("decoder-{family}")).join("model.gguf")).expect("fixture")
}

/// Everything that reads a file before and while a model is loaded; the first error in words.
fn read(bytes: Vec<u8>, load: bool) -> Result<(), String> {
    let file = Gguf::parse(Path::new("forged.gguf"), Arc::new(bytes)).map_err(|e| e.to_string())?;
    let config = Config::from_metadata(&file, file.vocabulary()).map_err(|e| e.to_string())?;
    let codec = file.codec().map_err(|e| e.to_string())?;
    codec.encode("some text", true)?;
    let team = Arc::new(Team::new(1).expect("thread"));
    let target = Target::Cpu { team, isa: Isa::detect(), precision: Precision::F32 };
    let forecast = glossa::nn::forecast::decoder(&config, &file, (&target, Precision::Own), Some(1 << 30));
    if load && !forecast.is_too_much() {
        Decoder::load(config, &file, target, &mut |_| Ok(())).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A generator of numbers, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

#[test]
fn ten_thousand_mutated_files_are_read_or_refused() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let originals: Vec<Vec<u8>> = ["llama", "qwen2", "phi3", "smollm3"].map(bytes).into();
    let mut refused = 0;
    for i in 0..MUTATIONS {
        let mut file = originals[i as usize % originals.len()].clone();
        // The header is what can lie; its strings and counts are in the first bytes.
        let header = 9_000.min(file.len());
        for _ in 0..=numbers.next(4) {
            let at = numbers.next(header.min(file.len()));
            match numbers.next(6) {
                0 => file[at] ^= 1 << numbers.next(8),
                1 => file[at] = numbers.next(256) as u8,
                2 => {
                    let value = [u64::MAX, 1 << 62, 1 << 32, 0, u64::from(u32::MAX), 1 << 20][numbers.next(6)];
                    let end = (at + 8).min(file.len());
                    file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                }
                3 => file.truncate(numbers.next(file.len())),
                4 => {
                    let from = numbers.next(header);
                    let part: Vec<u8> = file.iter().skip(from).take(numbers.next(64)).copied().collect();
                    let end = (at + part.len()).min(file.len());
                    if at < end {
                        file[at..end].copy_from_slice(&part[..end - at]);
                    }
                }
                _ => {
                    let end = (at + numbers.next(32)).min(file.len());
                    if at < end {
                        file.drain(at..end);
                    }
                }
            }
            if file.is_empty() {
                break;
            }
        }
        if read(file, i % 8 == 0).is_err() {
            refused += 1;
        }
    }
    // Most mutations hit text, which may say anything; a good part must have been caught.
    assert!(refused > MUTATIONS / 10, "{refused} of {MUTATIONS}");
}

/// Writes a GGUF file from its parts.
#[derive(Default)]
struct Forge {
    keys: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
}

fn text(value: &str) -> Vec<u8> {
    let mut out = (value.len() as u64).to_le_bytes().to_vec();
    out.extend(value.as_bytes());
    out
}

fn texts(values: &[&str]) -> Vec<u8> {
    let mut out = 8u32.to_le_bytes().to_vec();
    out.extend((values.len() as u64).to_le_bytes());
    values.iter().for_each(|v| out.extend(text(v)));
    out
}

impl Forge {
    fn model() -> Self {
        let forge = Self::default().say("general.architecture", "llama").say("tokenizer.ggml.model", "gpt2");
        let forge = forge.raw("tokenizer.ggml.tokens", 9, texts(&["a", "b", "ab"]));
        let forge = forge.raw("tokenizer.ggml.merges", 9, texts(&["a b"]));
        [
            ("embedding_length", 64),
            ("block_count", 1),
            ("feed_forward_length", 64),
            ("attention.head_count", 2),
            ("context_length", 64),
        ]
        .into_iter()
        .fold(forge, |f, (key, n)| f.number(&format!("llama.{key}"), n))
    }

    fn raw(mut self, key: &str, kind: u32, value: Vec<u8>) -> Self {
        self.keys.retain(|k| k.0 != key);
        self.keys.push((key.into(), kind, value));
        self
    }

    fn say(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, text(value))
    }

    fn number(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, value.to_le_bytes().to_vec())
    }

    fn tensor(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors.push((name.into(), dims.to_vec(), kind, offset));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.keys {
            out.extend(text(key));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        for (name, dims, kind, offset) in &self.tensors {
            out.extend(text(name));
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + 4096, 0);
        out
    }
}

#[test]
fn forged_headers_are_refused_with_what_is_wrong() {
    let model = Forge::model;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"GGUF".to_vec(), "truncated"),
        (b"not a model at all".to_vec(), "no GGUF file"),
        ([b"GGUF".as_slice(), &[0, 0, 0, 3], &[0; 16]].concat(), "big-endian"),
        ([b"GGUF".as_slice(), &[9, 0, 0, 0], &[0; 16]].concat(), "version 9"),
        ([b"GGUF".as_slice(), &[3, 0, 0, 0], &[255; 16]].concat(), "more than its bytes can hold"),
        (model().raw("x", 9, [8u32.to_le_bytes().to_vec(), u64::MAX.to_le_bytes().to_vec()].concat()).bytes(), "'x'"),
        (
            model()
                .raw("deep", 9, [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat().repeat(9))
                .bytes(),
            "nested",
        ),
        (model().number("general.alignment", 0).bytes(), "alignment"),
        (model().number("general.alignment", 33).bytes(), "alignment"),
        (model().tensor("w", &[64, 64], 0, 1 << 40).bytes(), "'w' ends behind"),
        (model().tensor("w", &[64, 64], 0, u64::MAX).bytes(), "'w' ends behind"),
        (model().tensor("w", &[u64::MAX, 2], 0, 0).bytes(), "'w'"),
        (model().tensor("w", &[33], 2, 0).bytes(), "shape that its type cannot have"),
        (model().tensor("w", &[32], 23, 0).bytes(), "IQ4_XS"),
        (model().tensor("w", &[32], 0, 0).tensor("w", &[32], 0, 0).bytes(), "two tensors"),
        (model().tensor("w", &[1; 9], 0, 0).bytes(), "9 dimensions"),
        (model().say("general.architecture", "mamba").bytes(), "'mamba' model"),
        (model().number("llama.attention.head_count", 0).bytes(), "head_count' is 0"),
        (model().number("llama.attention.head_count_kv", 3).bytes(), "cannot share"),
        (model().number("llama.block_count", u32::MAX).bytes(), "block_count"),
        (model().say("llama.rope.scaling.type", "spiral").bytes(), "'spiral' rope scaling"),
        (model().say("tokenizer.ggml.model", "bert").bytes(), "tokenizer 'bert'"),
        (model().say("tokenizer.ggml.pre", "chameleon").bytes(), "pre-tokenizer 'chameleon'"),
        (model().raw("tokenizer.ggml.merges", 9, texts(&["ab"])).bytes(), "no pair"),
        (model().raw("tokenizer.ggml.merges", 9, texts(&["a z"])).bytes(), "vocabulary"),
        (model().bytes(), "token_embd.weight"),
    ];
    for (file, part) in cases {
        let why = read(file, true).expect_err(part);
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
}

/// What is whole and not for us is not called damaged, and nobody is told to fetch it again.
#[test]
fn what_is_not_read_here_is_called_what_it_is() {
    let model = Forge::model;
    let version = |n: u32| [b"GGUF".as_slice(), &n.to_le_bytes(), &[0; 16]].concat();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", "a".repeat(64));
    let tensors = |kinds: &[u32]| {
        let each = kinds.iter().enumerate();
        each.fold(model(), |f, (i, kind)| f.tensor(&format!("t{i}"), &[256], *kind, 0)).bytes()
    };
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (tensors(&[23]), "keeps its weights as IQ4_XS, which", "Q4_K_M or Q8_0"),
        (tensors(&[0, 20, 20, 16]), "keeps 3 of its 4 tensors as IQ4_NL (IQ4_NL, IQ2_XXS), which", "Q6_K"),
        (tensors(&[34]), "TQ1_0", "F16"),
        (tensors(&[39]), "MXFP4", "BF16"),
        (tensors(&[9]), "Q8_1", "Q8_0"),
        (tensors(&[0, 1234]), "its tensor 't1' as ggml's type 1234", "Update Glossa"),
        (version(1), "GGUF version 1, which is too old", "newer file"),
        (version(4), "GGUF version 4, which is newer", "Update Glossa"),
        (version(3u32.swap_bytes()), "big-endian", "little-endian"),
        (pointer.into_bytes(), "pointer of Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html>sign in</html>".to_vec(), "page of the web", "browser"),
        (b"tjgg\x03\0\0\0".to_vec(), "ggml's old format", "GGUF"),
        (b"PK\x03\x04".to_vec(), "zip archive", "right name"),
        (b"hello".to_vec(), "no GGUF file", "Name a GGUF file"),
    ];
    for (bytes, why, next) in cases {
        let Err(error) = Gguf::parse(Path::new("some/odd.gguf"), Arc::new(bytes)) else { panic!("{why}: it was read") };
        let message = glossa::error::UserMessage::from(error);
        assert!(message.why.contains("'some/odd.gguf' ") && message.why.contains(why), "{why:?}: {message}");
        assert!(message.next.contains(next), "{next:?}: {message}");
        assert!(!message.to_string().contains("damaged:") && !message.next.contains("from where it came"), "{message}");
    }
    // What is damaged is still called so.
    let Err(error) = Gguf::parse(Path::new("odd.gguf"), Arc::new(version(3)[..10].to_vec())) else { panic!("cut") };
    let message = glossa::error::UserMessage::from(error);
    assert!(
        message.why.contains("'odd.gguf' is damaged") && message.next.contains("Fetch the file again"),
        "{message}"
    );
}

/// A file that is named without a folder has a name in every message, and the advice is about what was asked.
#[test]
fn a_file_in_the_current_folder_is_named_and_no_other_task_advised() {
    let folder = tempfile::tempdir().expect("folder");
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("file");
    put("mamba.gguf", &Forge::model().say("general.architecture", "mamba").bytes());
    put("words.gguf", &Forge::model().bytes());
    put("odd.gguf", &Forge::model().tensor("w", &[32], 23, 0).bytes());
    put("cut.gguf", &bytes("llama")[..9_000]);
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_glossa"));
        command.current_dir(folder.path()).args(args).env("HF_HUB_OFFLINE", "1").env_remove("GLOSSA_MODELS");
        let output = command.env("XDG_DATA_HOME", folder.path().join("data")).output().expect("run");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        stderr(&output)
    };
    for name in ["mamba.gguf", "words.gguf", "odd.gguf", "cut.gguf"] {
        for args in [
            &["run", "chat", "--model", name, "hi"][..],
            &["run", "generate", "--model", name, "hi"],
            &["models", "fit", name],
            &["models", "info", name],
        ] {
            // Sizes are all there: what is missing shows when it is loaded.
            if name == "words.gguf" && args[0] == "models" {
                continue;
            }
            let said = run(args);
            assert!(said.contains(&format!("{name}'")) && !said.contains("''"), "{args:?}: {said}");
            for other in ["classification", "Marian", "question answering", "T5"] {
                assert!(!said.contains(other), "{args:?}: {said}");
            }
        }
    }
    for (task, own) in [
        ("sentiment", "sequence classification"),
        ("entities", "token classification"),
        ("qa", "question answering"),
        ("translate", "Marian"),
        ("abstractive", "T5"),
    ] {
        let model = fixture("decoder-gpt2").display().to_string();
        let more: &[&str] = if task == "qa" { &["--context", "a text"] } else { &[] };
        let task = if task == "abstractive" { vec!["summarize", "--method", "abstractive"] } else { vec![task] };
        let said = run(&[&["run"], &task[..], &["--model", &model, "a text"], more].concat());
        assert!(said.contains("decoder-gpt2'") && said.contains(own), "{task:?}: {said}");
        let others = ["sequence classification", "token classification", "question answering", "Marian", "GGUF"];
        let wrong: Vec<&&str> = others.iter().filter(|o| **o != own && said.contains(**o)).collect();
        assert!(wrong.is_empty(), "{task:?} {wrong:?}: {said}");
    }
    let said = run(&["run", "chat", "--model", "", "hi"]);
    assert!(!said.contains("''"), "{said}");
}

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("file");
    (folder, path)
}

/// What the command line says about a file that cannot be used.
fn said(path: &Path, more: &[&str]) -> String {
    let model = path.display().to_string();
    let output = glossa(&[&["run", "chat", "--model", &model, "the thin man"], more].concat(), None);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

#[test]
fn a_truncated_file_is_named_with_what_is_wrong() {
    let file = bytes("llama");
    let (_folder, path) = write("short.gguf", &file[..file.len() - 4000]);
    let why = said(&path, &[]);
    assert!(why.contains("short.gguf") && why.contains("truncated"), "{why}");
    assert!(said(Path::new("/nowhere/x.gguf"), &[]).contains("'/nowhere/x.gguf' is missing"));
}

#[test]
fn another_tasks_command_says_what_the_file_is_for() {
    let model = fixture("decoder-llama").join("model.gguf").display().to_string();
    let output = glossa(&["run", "sentiment", "--model", &model, "A fine film."], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds a language model"), "{}", stderr(&output));
}

#[test]
fn weights_that_are_no_numbers_end_in_a_message() {
    let mut file = bytes("llama");
    // The last tensor written is a norm or a matrix of f32 or blocks: everything becomes NaN.
    let at = file.len() - 2_000;
    file[at..].fill(0xFF);
    let (_folder, path) = write("nan.gguf", &file);
    let why = said(&path, &[]);
    assert!(why.contains("no numbers (NaN)"), "{why}");
}

#[test]
fn a_template_that_refuses_or_never_ends_is_no_hang() {
    for (template, part) in [
        ("{{ raise_exception('only robots may speak') }}", "only robots may speak"),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}",
            "does not come to an end",
        ),
        ("{{ messages[99].content }}", "chat template"),
    ] {
        let original = bytes("llama");
        let old = b"{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";
        let at = original.windows(old.len()).position(|w| w == old).expect("template");
        // The same length, so that nothing else moves.
        let mut new = template.as_bytes().to_vec();
        assert!(new.len() <= old.len());
        new.resize(old.len(), b' ');
        let file = [&original[..at], &new, &original[at + old.len()..]].concat();
        let (_folder, path) = write("template.gguf", &file);
        let why = said(&path, &[]);
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_model_that_will_not_fit_is_refused_with_the_numbers_before_it_is_read() {
    // 200 GB of weights in a file with a hole.
    let forge = Forge::model().tensor("token_embd.weight", &[64, 3], 0, 0);
    let forge = forge.tensor("blk.0.ffn_up.weight", &[1 << 16, 3 << 20], 1, 4096);
    let (_folder, path) = write("huge.gguf", &forge.bytes());
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("file");
    if file.set_len(420_000_000_000).is_err() {
        return; // a file system without holes
    }
    let begun = std::time::Instant::now();
    let why = said(&path, &[]);
    assert!(
        why.contains("too large for the memory") && why.contains("weights 4123") && why.contains("free are"),
        "{why}"
    );
    assert!(begun.elapsed().as_secs() < 20);
}
