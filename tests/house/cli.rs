//! The command line as a person or a script meets it: output, streams, exit codes.

use crate::fake::fixture;
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs glossa with the shipped models and no display. What the user of this machine has decided or
/// downloaded is left alone.
pub fn glossa(args: &[&str], input: Option<&[u8]>) -> Output {
    let own = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    glossa_in(own, &[("HF_HUB_OFFLINE", "1")], args, input)
}

/// The same with its data and the hub's cache below `folder`, and with these variables.
pub fn glossa_in(folder: &std::path::Path, vars: &[(&str, &str)], args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glossa"));
    command
        .args(args)
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("HF_HOME", folder.join("hf"))
        .env_remove("HF_ENDPOINT")
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .envs(vars.iter().copied())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("GLOSSA_MODELS")
        .env_remove("GLOSSA_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("glossa");
    let mut stdin = child.stdin.take().expect("stdin");
    // A program that ends early closes its end: that is its right.
    let _ = stdin.write_all(input.unwrap_or_default());
    drop(stdin);
    child.wait_with_output().expect("output")
}

/// Runs those tests of this binary whose names contain `part` with each instruction set but the one in use.
pub fn once_per_instruction_set(part: &str) {
    use glossa::nn::kernels::Isa;
    if std::env::var_os("GLOSSA_ISA").is_some() {
        return;
    }
    let own = Isa::detect();
    for isa in Isa::available().into_iter().filter(|isa| *isa != own) {
        let mut run = Command::new(std::env::current_exe().expect("test binary"));
        run.env("GLOSSA_ISA", isa.name()).args([part, "--skip", "with_every_instruction_set"]);
        let output = run.output().expect("run");
        assert!(output.status.success(), "{}:\n{}{}", isa.name(), stdout(&output), stderr(&output));
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("utf-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn json_has_the_promised_fields_and_stdout_nothing_else() {
    let output = glossa(&["run", "sentiment", "--json", "A fine film.", "Awful."], None);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output).lines().map(|l| serde_json::from_str(l).expect("json")).collect();
    assert_eq!(lines.len(), 2);
    for (i, (line, label)) in lines.iter().zip(["positive", "negative"]).enumerate() {
        assert_eq!(line["id"], i);
        assert_eq!((&line["task"], &line["device"]), (&"sentiment".into(), &"cpu".into()));
        assert_eq!(line["model"], "sentiment-minilm");
        assert_eq!(line["output"]["label"], label);
        let sum: f64 = line["output"]["scores"].as_object().expect("scores").values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        for stage in ["queue", "tokenize", "forward", "postprocess", "total"] {
            assert!(line["timing_ms"][stage].is_f64(), "{stage}");
        }
        assert!(line["tokens"]["input"].as_u64().is_some_and(|n| n >= 3));
        assert!(line["warnings"].is_array());
    }
    assert_eq!(lines[0]["input"], "A fine film.");
}

#[test]
fn many_lines_come_back_in_their_order() {
    let texts: Vec<String> =
        (0..300).map(|i| format!("line {i} is {}", if i % 2 == 0 { "great" } else { "bad" })).collect();
    let output = glossa(&["run", "sentiment", "--json", "--input", "-"], Some(texts.join("\n").as_bytes()));
    assert!(output.status.success(), "{}", stderr(&output));
    let inputs: Vec<String> = stdout(&output)
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("json")["input"].as_str().expect("input").to_owned())
        .collect();
    assert_eq!(inputs, texts);
}

#[test]
fn a_file_of_lines_and_another_checkpoint() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("lines.txt");
    std::fs::write(&file, "a good film\n\nbad\n").expect("file");
    let model = fixture("distilbert-tiny").display().to_string();
    let output = glossa(&["run", "sentiment", "--input", &file.display().to_string(), "--model", &model], None);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(stdout(&output).starts_with("LABEL_"));
}

#[test]
fn usage_errors_exit_2_and_failures_1() {
    for args in [
        &["run"][..],
        &["run", "poetry", "x"],
        &["run", "sentiment"],
        &["--device", "abacus"],
        &["run", "sentiment", "x", "--threads", "0"],
    ] {
        let output = glossa(args, None);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    let output = glossa(&["run", "sentiment", "x", "--model", "no-such-model"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && stderr(&output).contains("no-such-model"));
}

#[test]
fn without_a_display_the_window_says_so_and_points_to_the_command_line() {
    for args in [&[][..], &["gui"]] {
        let output = glossa(args, None);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains("no display") && said.contains("glossa run"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn eval_reports_accuracy_with_its_interval() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("data.tsv");
    std::fs::write(&file, "1\tA wonderful film.\n0\tAn awful bore.\nnegative\tI hated it.\npositive\tLovely.\n")
        .expect("file");
    let output = glossa(&["eval", "sentiment", "--data", &file.display().to_string(), "--json"], None);
    assert!(output.status.success(), "{}", stderr(&output));
    let e: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!((e["n"].as_u64(), e["correct"].as_u64(), e["failed"].as_u64()), (Some(4), Some(4), Some(0)));
    assert_eq!(e["accuracy"], 1.0);
    assert!(e["accuracy_ci95"][0].as_f64().is_some_and(|low| low > 0.4 && low < 0.6));
    for p in ["p50", "p95", "p99"] {
        assert!(e["latency_ms"][p].as_f64().is_some_and(|v| v > 0.0));
    }
    std::fs::write(&file, "no tab here\n").expect("file");
    let output = glossa(&["eval", "sentiment", "--data", &file.display().to_string()], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("data.tsv") && stderr(&output).contains("no tab"));
}

#[test]
fn bench_and_doctor_speak_json() {
    let output =
        glossa(&["bench", "sentiment", "--lengths", "16", "--batches", "1,2", "--seconds", "0.05", "--json"], None);
    assert!(output.status.success(), "{}", stderr(&output));
    let b: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!(b["cells"].as_array().map(Vec::len), Some(2));
    assert!(b["cells"][1]["sequences_per_second"].as_f64().is_some_and(|v| v > 0.0));
    let output = glossa(&["doctor", "--json"], None);
    let findings: Value = serde_json::from_str(&stdout(&output)).expect("json");
    let of =
        |what: &str| findings.as_array().expect("list").iter().find(|f| f["what"] == what).cloned().unwrap_or_default();
    assert_eq!(of("model")["state"], "ok");
    assert_eq!(of("display")["state"], "missing");
    assert!(of("cpu")["found"].as_str().is_some_and(|s| s.contains("thread")));
}

#[test]
fn cuda_that_is_not_there_is_an_error_not_a_silent_fallback() {
    if cfg!(feature = "cuda") {
        return;
    }
    let output = glossa(&["run", "sentiment", "x", "--device", "cuda"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--features cuda"), "{}", stderr(&output));
}
