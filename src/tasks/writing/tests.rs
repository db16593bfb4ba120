//! A step with a fault in it: who is struck, and who goes on.

use super::language::LanguageModel;
use crate::models::library::ModelEntry;
use crate::nn::runtime::{DeviceChoice, Runtime};
use crate::tasks::contract::{Asked, Input, Model, Options, Output, Work};
use std::path::Path;

fn model() -> LanguageModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decoder-llama");
    let entry = ModelEntry::open(&path).expect("model");
    let runtime = Runtime::new(DeviceChoice::Cpu, Some(2), None).expect("runtime").with_context(Some(256));
    LanguageModel::load(&entry, &runtime, &mut |_| false).expect("loaded")
}

fn prepared(model: &LanguageModel, ids: Vec<u32>) -> Box<dyn Work> {
    let mut options = Options::default();
    (options.writing.max_tokens, options.writing.sampling.seed) = (12, Some(5));
    let input = Input::Forced { text: "a".into(), ids };
    model.prepare(&Asked { task: "generate", input: &input, options: &options }, &|| false).expect("prepared")
}

/// Runs all together; the tokens of each, or what it failed with.
fn run(model: &mut LanguageModel, mut works: Vec<Box<dyn Work>>) -> Vec<Result<Vec<u32>, String>> {
    let mut failed: Vec<Option<String>> = works.iter().map(|_| None).collect();
    for _ in 0..200 {
        let mut open: Vec<&mut dyn Work> = Vec::new();
        for (work, failed) in works.iter_mut().zip(&failed) {
            if failed.is_none() && work.remaining() > 0 {
                open.push(&mut **work);
            }
        }
        if open.is_empty() {
            break;
        }
        model.step(&mut open, 40).expect("never everybody's fault");
        for (work, failed) in works.iter_mut().zip(&mut failed) {
            *failed = failed.take().or_else(|| work.failure().map(|e| e.to_string()));
        }
    }
    let input = Input::Text(String::new());
    let each = works.into_iter().zip(failed).map(|(work, failed)| match failed {
        Some(why) => Err(why),
        None => match model.finish(&input, work) {
            Ok(Output::Text(text)) => Ok(text.token_ids),
            _ => Err("no text".into()),
        },
    });
    each.collect()
}

fn prompts(last: &[u32]) -> Vec<Vec<u32>> {
    last.iter().map(|id| (10..30 + id % 7).chain([*id]).collect()).collect()
}

#[test]
fn a_panic_with_eight_texts_open_strikes_one_alone() {
    let mut model = model();
    let works = |model: &LanguageModel, all: &[Vec<u32>]| all.iter().map(|ids| prepared(model, ids.clone())).collect();
    let all = prompts(&[31, 32, 33, 34, 35, 36, 37, 38]);
    let mut alone = Vec::new();
    for ids in &all {
        let work = prepared(&model, ids.clone());
        alone.extend(run(&mut model, vec![work]));
    }
    let used: Vec<u32> = alone.iter().flatten().flatten().copied().chain(10..40).collect();
    let trip = (40..60).find(|id| !used.contains(id)).expect("a token that nobody uses");

    let mut struck = all;
    struck[3].push(trip);
    let before = model.decoder().usage();
    model.decoder.trip_over(trip);
    let work = works(&model, &struck);
    let together = run(&mut model, work);
    for (at, (got, want)) in together.iter().zip(&alone).enumerate() {
        match at {
            3 => assert!(got.as_ref().is_err_and(|why| why.contains("the kernel trips")), "{got:?}"),
            _ => assert_eq!(got, want, "text {at}"),
        }
    }
    let after = model.decoder().usage();
    assert_eq!((after.texts, after.held, after.promised), (before.texts, 0, 0), "{after:?}");
}
