//! The Models tab: load, unload, get, pause, add, drop, choose a precision.

#[path = "../house/hub_server.rs"]
#[expect(dead_code, reason = "the house's tests use all of it")]
mod hub_server;

use super::{Window, models, window_for};
use egui::vec2;
use egui_kittest::kittest::Queryable as _;
use glossa::models::hub::Hub;
use glossa::models::library::Library;
use hub_server::{FakeHub, Fault};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The window on `tab` with the shipped models, and a hub that has the tiny BERT as `o/n`.
fn on(tab: &str) -> (Window, FakeHub) {
    let hub = FakeHub::of_folder(&fixture("bert-tiny"));
    let folder = tempfile::tempdir().expect("folder");
    let library = Library::find(Some(&models()))
        .with_hub(Hub::new(&hub.endpoint, folder.path().join("hub")))
        .with_registry(folder.path().join("data/library.json"));
    let settings = format!("{{\"tab\": \"{tab}\"}}");
    let mut w = window_for(library, folder, vec2(1280.0, 1600.0), &settings);
    w.harness.run_steps(2);
    (w, hub)
}

impl Window {
    fn press(&mut self, part: &str) {
        self.harness.query_all_by_label_contains(part).next().expect(part).click();
        self.harness.run_steps(3);
    }
}

#[test]
fn a_model_is_loaded_looked_into_and_unloaded() {
    let (mut w, _hub) = on("models");
    w.until_label("Sentiment, English, Sentiment, 35 MB, here");
    w.click("Load Sentiment, English");
    w.until_label("Sentiment, English, Sentiment, 35 MB, loaded");
    w.press("Sentiment, English, Sentiment, 35 MB, loaded");
    w.until_label("In memory as f32: 56 MB; loading it took the program from");
    w.until_label("fits, ");
    assert!(w.has("BertForSequenceClassification, 6 layers, 384 wide, 12 heads"));
    assert!(w.has("30,522 tokens"));
    w.click("Unload");
    w.until_label("Unloaded: the program went from");
    w.until_label("Sentiment, English, Sentiment, 35 MB, here");
}

#[test]
fn a_precision_is_chosen_used_and_measured() {
    let (mut w, _hub) = on("models");
    w.until_label("Sentiment, English, Sentiment, 35 MB, here");
    w.press("Sentiment, English, Sentiment, 35 MB, here");
    w.until_label("usual (f32)");
    w.click("q8_0");
    w.until_label("Sentiment, English · q8_0");
    w.click("Load Sentiment, English");
    w.until_label("In memory as q8_0");
    w.click("usual (f32)");
    w.until_label("Sentiment, English · F16");
    // What was loaded otherwise goes.
    w.until_label("Sentiment, English, Sentiment, 35 MB, here");
    w.click("Load Sentiment, English");
    w.until_label("In memory as f32");
    w.click("Measure speed");
    w.until_label("Measuring");
    w.until_label("× f32");
    w.click("Stop");
    w.until("the end of the measuring", |h| h.query_by_label("Measure speed").is_some());
}

#[test]
fn an_id_of_the_hub_is_got_paused_resumed_and_deleted() {
    let (mut w, hub) = on("models");
    w.until_label("Sentiment, English, Sentiment");
    hub.fault("model.safetensors", Fault::Slow);
    hub.fault("model.safetensors", Fault::Slow);
    w.click("Add file or id…");
    w.write("Path or id of a model", "o/n");
    w.click("Get");
    w.until_label("Pause o/n");
    w.click("Pause o/n");
    w.until_label("Resume o/n");
    w.click("Resume o/n");
    w.until_label("is here.");
    w.until_label("Load n");
    w.click("Load n");
    w.until_label("n, Sentiment, 0 MB, loaded");
    w.press("n, Sentiment, 0 MB, loaded");
    w.click("Use for Sentiment");
    w.until("another default", |h| h.query_by_label("Use for Sentiment").is_none());
    w.click("Delete…");
    w.until_label(" go: ");
    assert!(w.has("config.json") && w.has("model.safetensors"));
    w.click("Delete");
    w.until_label("was deleted");
    w.until("the row to go", |h| h.query_by_label("Load n").is_none() && h.query_by_label("Delete…").is_none());
}

#[test]
fn what_the_hub_refuses_is_said() {
    let (mut w, hub) = on("models");
    w.until_label("DistilBERT SST-2, Sentiment, 268 MB, can be had");
    hub.fault("/api/", Fault::Status(403, None));
    w.click("Get DistilBERT SST-2");
    w.until_label("DistilBERT SST-2, Sentiment, 268 MB, can be had");
    w.press("DistilBERT SST-2, Sentiment, 268 MB, can be had");
    w.until_label("its licence has not been accepted");
    assert!(w.has("HF_TOKEN") && w.has("Retry"));
    w.click("Add file or id…");
    w.write("Path or id of a model", "/nowhere/at/all");
    w.click("Check");
    w.until_label("neither a model's folder nor a GGUF file");
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}

#[test]
fn a_folder_dropped_on_any_tab_is_checked_and_added() {
    let (mut w, _hub) = on("sentiment");
    w.harness.input_mut().dropped_files.push(Arc::new(Dropped(fixture("decoder-gpt2"))));
    w.harness.run_steps(1);
    w.until_label("GPT2LMHeadModel for chat");
    w.click("Add it");
    w.until_label("was added");
    w.until_label("Load decoder-gpt2");
    w.press("decoder-gpt2, Chat");
    w.click("Take off the list…");
    w.until_label("its files stay where they are");
    w.click("Take off the list");
    w.until_label("its files are still there");
}

#[test]
fn a_search_and_a_task_narrow_the_list() {
    let (mut w, _hub) = on("models");
    w.until_label("DistilBERT SST-2, Sentiment");
    assert!(w.has("T5 small"));
    w.write("Find a model", "qwen 1.5");
    assert!(w.has("Qwen2.5 1.5B") && !w.has("T5 small") && !w.has("DistilBERT SST-2, "));
    w.press("Qwen2.5 1.5B");
    w.until_label("KV cache");
    w.until_label("fits, ");
}

#[test]
fn words_are_looked_for_on_the_hub() {
    let (mut w, hub) = on("models");
    w.until_label("Sentiment, English, Sentiment");
    w.write("Find a model", "tiny film");
    w.click("Search the hub");
    w.until_label("o/n, text-classification · 7 downloads");
    w.click("Get o/n");
    w.until_label("is here.");
    hub.fault("search=", Fault::Status(404, None));
    w.click("Search the hub");
    w.until_label("The hub was not searched");
}
