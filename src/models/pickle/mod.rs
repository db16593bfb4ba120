//! PyTorch's .bin files, opened as what they hold: named tensors, mapped, nothing copied and nothing run.
//!
//! Two forms: a zip archive with an index (`data.pkl`) and a file per storage, not compressed (since PyTorch
//! 1.6), and before that a row of pickles followed by the storages. Sizes are held against the file's before
//! anything is allocated.

mod machine;

use super::ModelError;
use super::mapped::{check_whole, map};
use super::refusal::{Refusal, something_else};
use crate::nn::source::{Bytes, Dtype, RawTensor};
use machine::{Machine, Node, Ref, Storage, Tensor};
use std::collections::HashMap;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Longest index that is read; the largest real ones have some megabytes.
const MOST_INDEX: u64 = 64 << 20;
/// Most files in an archive.
const MOST_FILES: usize = 100_000;
/// Dictionaries in dictionaries that tensors are looked for in (`state_dict`, `model`).
const MOST_DEPTH: u32 = 3;

/// What to do about a file that holds more than numbers: PyTorch would run it.
const INSTEAD: &str = "Take the same model as safetensors, or a file with nothing but its weights (a state_dict). PyTorch would run what is in this one.";

/// A file's tensors, and the names of those of types that no model computes with.
#[derive(Default)]
pub struct Read {
    pub tensors: HashMap<String, RawTensor>,
    pub others: HashMap<String, String>,
}

/// Reads the tensors of a .bin file.
///
/// # Errors
/// A missing, damaged or forged file, or one that wants more than weights.
pub fn read(path: &Path) -> Result<Read, ModelError> {
    if !path.is_file() {
        return Err(ModelError::Missing(path.to_owned()));
    }
    let data = map(path)?;
    let is_zip = (*data).as_ref().starts_with(b"PK");
    let result = if is_zip { read_zip(&data) } else { read_legacy(&data) };
    check_whole(path, &data)?;
    result.map_err(|refusal| refusal.at(path))
}

fn read_zip(data: &Bytes) -> Result<Read, Refusal> {
    let bytes = (**data).as_ref();
    let wrong = |e: zip::result::ZipError| format!("it is no PyTorch archive ({e})");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(wrong)?;
    if archive.len() > MOST_FILES {
        return Err(format!("it claims {} files", archive.len()).into());
    }
    let (mut index, mut places, mut big_endian) = (None, HashMap::new(), false);
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).map_err(wrong)?;
        let name = file.name().map_err(wrong)?.into_owned();
        // Files lie in a folder that is called as the archive was.
        let Some((_, inner)) = name.split_once('/') else { continue };
        if inner == "data.pkl" {
            let mut text = Vec::new();
            file.by_ref().take(MOST_INDEX + 1).read_to_end(&mut text).map_err(|e| format!("its index: {e}"))?;
            if text.len() as u64 > MOST_INDEX {
                return Err("its index is larger than any checkpoint's".into());
            }
            index = Some(text);
        } else if inner == "byteorder" {
            let mut word = String::new();
            let _ = file.by_ref().take(16).read_to_string(&mut word);
            big_endian = word.trim() == "big";
        } else if let Some(key) = inner.strip_prefix("data/") {
            if file.compression() != zip::CompressionMethod::Stored {
                let why = format!("was packed again: its file '{name}' is compressed, which PyTorch never does");
                return Err(Refusal::unfit(why, "Save it again with torch.save, or take the model as safetensors."));
            }
            let from = file.data_start().and_then(|s| usize::try_from(s).ok());
            let size = usize::try_from(file.size()).ok();
            let range = from.zip(size).and_then(|(f, s)| Some(f..f.checked_add(s)?)).filter(|r| r.end <= bytes.len());
            let range = range.ok_or_else(|| format!("its file '{name}' ends behind the end (truncated)"))?;
            places.insert(key.to_owned(), range);
        }
    }
    if big_endian {
        let next = "Save it again on a machine of the usual order, or take the model as safetensors.";
        return Err(Refusal::unfit("was written on a big-endian machine", next));
    }
    let index = index.ok_or("it holds no index (data.pkl)")?;
    let (machine, top, _) = Machine::read(&index, 0)?;
    collect(&machine, top, data, &places)
}

/// Magic number, protocol, system, tensors, keys: five pickles; then each storage's count and numbers.
fn read_legacy(data: &Bytes) -> Result<Read, Refusal> {
    let bytes = (**data).as_ref();
    if bytes.first() != Some(&0x80) {
        let no_torch = "it is neither a PyTorch archive nor an old PyTorch file";
        return Err(something_else(bytes).unwrap_or_else(|| no_torch.into()));
    }
    let mut at = 0;
    for _ in 0..3 {
        at = Machine::read(bytes, at)?.2;
    }
    let (machine, top, end) = Machine::read(bytes, at)?;
    let (keys, list, end) = Machine::read(bytes, end)?;
    let Node::List(list) = keys.node(list) else { return Err("it has no list of storages".into()) };
    let mut kinds = HashMap::new();
    let mut left = budget(bytes.len());
    walk(&machine, (top, "", 0), &mut left, &mut |_, tensor| {
        kinds.insert(tensor.storage.key.clone(), tensor.storage.clone());
        Ok(())
    })?;
    let (mut places, mut at) = (HashMap::new(), end);
    for key in list {
        let key = keys.text(*key).ok_or("a storage's key is no text")?;
        let count = bytes.get(at..at + 8).and_then(|b| b.first_chunk::<8>());
        let count = i64::from_le_bytes(*count.ok_or("it ends between two storages (truncated)")?);
        let width = match kinds.get(key) {
            Some(storage) => width(&storage.kind),
            None => return Err(format!("its storage '{key}' belongs to no tensor").into()),
        };
        let size = usize::try_from(count).ok().and_then(|c| c.checked_mul(width));
        let end = size.and_then(|s| (at + 8).checked_add(s)).filter(|e| *e <= bytes.len());
        let end = end.ok_or_else(|| format!("its storage '{key}' ends behind the end (truncated)"))?;
        places.insert(key.to_owned(), at + 8..end);
        at = end;
    }
    collect(&machine, top, data, &places)
}

/// Bytes of an element.
fn width(kind: &str) -> usize {
    match kind {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        _ => 1,
    }
}

/// Bytes that may be made of a file of so many: a dictionary that is named a thousand times is read as often.
fn budget(bytes: usize) -> usize {
    bytes.saturating_mul(4).saturating_add(4 << 20)
}

/// Calls `each` for every tensor in a dictionary (with the prefix of its names, and how deep it lies), with its name.
/// What that makes is taken off `left`.
fn walk(
    machine: &Machine<'_>,
    (at, prefix, depth): (Ref, &str, u32),
    left: &mut usize,
    each: &mut dyn FnMut(&str, &Tensor) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Node::Dict(items) = machine.node(at) else { return Ok(()) };
    for (key, value) in items {
        let cost = 64 + prefix.len() + machine.text(*key).map_or(0, str::len);
        *left = left.checked_sub(cost).ok_or("its index names the same things again and again")?;
        let Some(key) = machine.text(*key) else { continue };
        match machine.node(*value) {
            Node::Tensor(tensor) => each(&format!("{prefix}{key}"), tensor)?,
            Node::Dict(_) if depth < MOST_DEPTH => {
                // What trainers wrap a checkpoint in is no part of its names.
                let is_wrap = ["state_dict", "model", "module"].contains(&key);
                let inner = if is_wrap { prefix.to_owned() } else { format!("{prefix}{key}.") };
                walk(machine, (*value, &inner, depth + 1), left, each)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn collect(
    machine: &Machine<'_>,
    top: Ref,
    data: &Bytes,
    places: &HashMap<String, Range<usize>>,
) -> Result<Read, Refusal> {
    let mut read = Read::default();
    let mut left = budget((**data).as_ref().len());
    // Copies of views that are not in order: a checkpoint has no more of them than numbers.
    let mut copied = budget((**data).as_ref().len());
    walk(machine, (top, "", 0), &mut left, &mut |name, tensor| {
        let dtype = match tensor.storage.kind.as_str() {
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::Bf16,
            other => {
                read.others.insert(name.to_owned(), other.trim_end_matches("Storage").to_owned());
                return Ok(());
            }
        };
        let made = view(tensor, dtype, (data, places), &mut copied).map_err(|why| format!("tensor '{name}': {why}"))?;
        read.tensors.insert(name.to_owned(), made);
        Ok(())
    })?;
    if read.tensors.is_empty() && read.others.is_empty() {
        let next = "Name the file with the model's weights (a state_dict), not an optimizer's or a trainer's.";
        return Err(Refusal::unfit("holds no tensors", next));
    }
    Ok(read)
}

fn view(
    t: &Tensor,
    dtype: Dtype,
    (data, places): (&Bytes, &HashMap<String, Range<usize>>),
    left: &mut usize,
) -> Result<RawTensor, String> {
    let Storage { key, elements, .. } = &t.storage;
    let place = places.get(key).ok_or("its numbers are missing")?;
    let width = dtype.block().1;
    let held = (place.len() / width) as i64;
    if *elements > held {
        return Err(format!("it claims {elements} numbers of {held} (truncated or forged)"));
    }
    let shape: Vec<usize> =
        t.shape.iter().map(|d| usize::try_from(*d)).collect::<Result<_, _>>().map_err(|_| "a negative size")?;
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n as i64 <= held);
    let count = count.ok_or("its shape has more numbers than its storage")?;
    let offset = usize::try_from(t.offset).map_err(|_| "a negative offset")?;
    let mut expected = 1i64;
    let in_order = shape.iter().zip(&t.strides).rev().all(|(size, stride)| {
        let fine = *size == 1 || *stride == expected;
        expected = expected.saturating_mul(*size as i64);
        fine
    });
    let inside = || "it reaches behind the end of its storage".to_owned();
    if in_order {
        let end = offset.checked_add(count).filter(|e| *e as i64 <= held).ok_or_else(inside)?;
        let range = place.start + offset * width..place.start + end * width;
        return RawTensor::new(dtype, shape, Arc::clone(data), range).map_err(|e| e.to_string());
    }
    // Turned or cut views are put in order once.
    let size = count.checked_mul(width).and_then(|size| left.checked_sub(size));
    *left = size.ok_or("its tensors are many views of the same numbers: more than any checkpoint's")?;
    let bytes = &(**data).as_ref()[place.clone()];
    let mut out = Vec::with_capacity(count * width);
    let mut at = vec![0usize; shape.len()];
    for _ in 0..count {
        let step: i64 = at.iter().zip(&t.strides).map(|(i, s)| (*i as i64).saturating_mul(*s)).sum();
        let from = usize::try_from(step).ok().and_then(|s| s.checked_add(offset)).and_then(|s| s.checked_mul(width));
        let value = from.and_then(|f| bytes.get(f..f.checked_add(width)?)).ok_or_else(inside)?;
        out.extend_from_slice(value);
        for (i, size) in at.iter_mut().zip(&shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    let range = 0..out.len();
    RawTensor::new(dtype, shape, Arc::new(out), range).map_err(|e| e.to_string())
}
