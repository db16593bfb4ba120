//! A model in several GGUF files, as llama.cpp's gguf-split cuts it: the first has all metadata, each says which it is
//! (`split.no`, from 0), of how many (`split.count`), and how many tensors they have together (`split.tensors.count`).
//! Nothing else says that files belong together, so all of it is held against what is there.

use super::{Gguf, ModelError, Value, parts};
use crate::models::refusal::short;
use crate::nn::decoder::config::Metadata as _;
use std::path::PathBuf;

const TOGETHER: &str = "Fetch all parts again, from one place and into one folder.";

/// Opens all of `files` as one: the parts of a model in their order, or a file that is alone.
pub(super) fn open(files: &[PathBuf]) -> Result<Gguf, ModelError> {
    if let [only] = files {
        let file = Gguf::one(only)?;
        return check(&file, 0, 1).map(|()| file);
    }
    parts::check(files)?;
    let Some((first, others)) = files.split_first() else {
        return Err(ModelError::Parts { missing: vec![], count: 0 });
    };
    let mut all = Gguf::one(first)?;
    check(&all, 0, files.len())?;
    for (file, number) in others.iter().zip(1..) {
        let part = Gguf::one(file)?;
        check(&part, number, files.len())?;
        same_model(&all, &part)?;
        for (name, tensor) in part.tensors {
            if all.tensors.contains_key(&name) {
                let why = format!(
                    "has a tensor '{}' that an earlier part has too: they belong to different models",
                    short(&name)
                );
                return Err(ModelError::unfit(file, why, TOGETHER));
            }
            all.tensors.insert(name, tensor);
        }
    }
    if let Some(expected) = all.number(TENSORS).filter(|n| *n != all.tensors.len() as f64) {
        let found = all.tensors.len();
        let why = format!(
            "says that the model has {expected} tensors, its {} parts have {found}: they belong to different models",
            files.len()
        );
        return Err(ModelError::unfit(first, why, TOGETHER));
    }
    Ok(all)
}

const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// A number that a part says; 0 if it says none.
fn said(part: &Gguf, key: &str) -> Result<f64, ModelError> {
    let number = part.number(key).filter(|n| n.fract() == 0.0 && *n >= 0.0);
    match (number, part.has_key(key)) {
        (Some(number), _) => Ok(number),
        (None, false) => Ok(0.0),
        (None, true) => Err(ModelError::damaged(part.path(), format!("'{key}' is no whole number"))),
    }
}

/// Whether a file is the part that its name says, `number` counting from 0.
fn check(part: &Gguf, number: usize, count: usize) -> Result<(), ModelError> {
    let refuse = |why: String, next: &str| Err(ModelError::unfit(part.path(), why, next));
    let (own_number, own_count) = (said(part, NUMBER)?, said(part, COUNT)?);
    if count == 1 && own_count <= 1.0 {
        return Ok(());
    }
    if count == 1 {
        let why = format!(
            "is part {} of {own_count}, and its name does not say so: the others cannot be found",
            own_number + 1.0
        );
        return refuse(
            why,
            "Give the parts the names that they came with (NAME-00001-of-00002.gguf and so on), in one folder.",
        );
    }
    if own_count <= 1.0 {
        let why = format!("is called part {} of {count}, and is none by what it says itself", number + 1);
        return refuse(why, "If it is whole, give it a name without these numbers; else fetch it again.");
    }
    if own_count != count as f64 {
        let why =
            format!("is part of a model in {own_count} parts, its name says {count}: it belongs to another model");
        return refuse(why, TOGETHER);
    }
    if own_number != number as f64 {
        let why = format!("is part {} of {count}, its name says {}", own_number + 1.0, number + 1);
        return refuse(why, "Give the parts the names that they came with.");
    }
    Ok(())
}

/// Whether a later part says the same of the model as the first, where it says anything.
fn same_model(first: &Gguf, part: &Gguf) -> Result<(), ModelError> {
    for key in [TENSORS, "general.architecture", "general.name"] {
        let (Some(own), Some(other)) = (part.value(key), first.value(key)) else { continue };
        if own != other {
            let name = first.path().file_name().unwrap_or_default().to_string_lossy();
            let why =
                format!("belongs to another model than '{name}': its {key} is {}, not {}", shown(own), shown(other));
            return Err(ModelError::unfit(part.path(), why, TOGETHER));
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", short(text)),
        Value::Number(number) => number.to_string(),
        _ => "something else".into(),
    }
}

/// What a part says beside the model's own metadata: a copy that is whole must not say it.
pub(in crate::models) fn is_of_parts(key: &str) -> bool {
    [NUMBER, COUNT, TENSORS].contains(&key)
}
