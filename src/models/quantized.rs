//! Writes a quantized copy of a model as a folder of its own, or as a GGUF file.

use super::ModelError;
use super::blocks::{Layered, prepare, whole, write_tensors};
use super::companions::COMPANIONS;
use super::gguf::{Gguf, is_of_parts};
use super::library::ModelEntry;
use super::weights::Weights;
use crate::disk;
use crate::nn::precision::Precision;
use crate::nn::quantize::ggml;
use crate::nn::source::{RawTensor, TensorSource};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{QStorage, QTensor};
use candle_core::{Device, Tensor};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writes `entry` in `precision` into `folder`, which is made: a GGUF file of one that came as GGUF, else
/// configuration, tokenizer and one safetensors file. Returns what to open.
///
/// # Errors
/// What is wrong with the files, [`ModelError::Stopped`], or what the system says.
pub fn write(
    entry: &ModelEntry,
    precision: Precision,
    folder: &Path,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<PathBuf, ModelError> {
    let failed = |why: std::io::Error| ModelError::Write { path: folder.to_owned(), why };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let out = outputs(entry, precision, folder);
    refuse_inputs(&inputs(entry), &out)?;
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path)?;
        let source = Layered { blocks: prepare(entry, &file, precision, progress)?, below: &file };
        let to = gguf_name(path, precision, folder);
        write_gguf(path, &source, &to).map_err(|e| failed(std::io::Error::other(e)))?;
        return Ok(to);
    }
    let weights = Weights::open(&entry.weights)?;
    let source = Layered { blocks: prepare(entry, &weights, precision, progress)?, below: &weights };
    let each = source.names().into_iter().map(|n| source.tensor(&n).map(|t| (n, t)));
    let here: Vec<(String, RawTensor)> =
        each.collect::<Result<_, _>>().map_err(|e| ModelError::damaged(&entry.dir, e))?;
    let bytes = here.iter().map(|(_, t)| t.bytes().len() as u64).sum();
    let to = folder.join("model.safetensors");
    let check = || whole(entry, &source).map_err(|e| e.to_string());
    write_tensors(here.iter().map(|(n, t)| (n.clone(), t)), &to, bytes, &check)
        .map_err(|e| failed(std::io::Error::other(e)))?;
    for name in companions(entry) {
        let file = name.file_name().unwrap_or_default();
        let bytes = super::read_bounded(&name, super::MOST_VOCABULARY)?;
        disk::write_whole(&folder.join(file), &bytes).map_err(failed)?;
    }
    Ok(folder.to_owned())
}

fn gguf_name(path: &Path, precision: Precision, folder: &Path) -> PathBuf {
    let whole = path.file_name().and_then(|n| n.to_str()).and_then(super::parts::stem);
    let stem = whole.or_else(|| path.file_stem().and_then(|n| n.to_str())).unwrap_or("model");
    folder.join(format!("{stem}-{}.gguf", precision.name()))
}

/// Everything that is read.
fn inputs(entry: &ModelEntry) -> Vec<PathBuf> {
    let mut all = entry.weights.clone();
    if entry.gguf().is_none() {
        all.extend(companions(entry));
    }
    all
}

/// Everything that will be written.
fn outputs(entry: &ModelEntry, precision: Precision, folder: &Path) -> Vec<PathBuf> {
    if let Some(path) = entry.gguf() {
        return vec![gguf_name(path, precision, folder)];
    }
    let names = companions(entry);
    let mut all: Vec<PathBuf> = names.iter().filter_map(|n| n.file_name()).map(|n| folder.join(n)).collect();
    all.push(folder.join("model.safetensors"));
    all
}

/// Refuses to write what is read, by whatever name or link.
///
/// # Errors
/// [`ModelError::Itself`].
fn refuse_inputs(inputs: &[PathBuf], outputs: &[PathBuf]) -> Result<(), ModelError> {
    match disk::same_file(inputs, outputs) {
        Some(path) => Err(ModelError::Itself(path)),
        None => Ok(()),
    }
}

/// Configuration, and everything that a tokenizer may need.
pub(super) fn companions(entry: &ModelEntry) -> Vec<PathBuf> {
    let beside = |path: &Path| {
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        COMPANIONS.into_iter().map(move |n| dir.join(n)).filter(|p| p.is_file())
    };
    let mut all: Vec<PathBuf> = beside(&entry.config).chain(beside(&entry.tokenizer)).collect();
    all.sort();
    all.dedup_by(|a, b| a.file_name() == b.file_name());
    all
}

/// The metadata of `from`, with other tensors.
fn write_gguf(from: &Path, source: &Layered<'_>, to: &Path) -> Result<(), String> {
    let words = |e: &dyn std::fmt::Display| e.to_string();
    let mut reader = BufReader::new(File::open(from).map_err(|e| words(&e))?);
    let content = gguf_file::Content::read(&mut reader).map_err(|e| words(&e))?;
    // The type of a file is a hint for people; this one is a mixture, whole, and aligned as all are by themselves.
    let metadata: Vec<(&str, &Value)> = content
        .metadata
        .iter()
        .filter(|(key, _)| !["general.file_type", "general.alignment"].contains(&key.as_str()) && !is_of_parts(key))
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let mut tensors = Vec::new();
    for name in source.names() {
        let raw = source.tensor(&name).map_err(|e| words(&e))?;
        let shape = raw.shape().to_vec();
        let tensor = match ggml(raw.dtype()) {
            Some(kind) => {
                QStorage::from_data(raw.bytes().into(), &Device::Cpu, kind).and_then(|s| QTensor::new(s, shape))
            }
            None => Tensor::from_vec(raw.to_f32(), shape, &Device::Cpu)
                .and_then(|t| QTensor::quantize(&t, candle_core::quantized::GgmlDType::F32)),
        };
        tensors.push((name, tensor.map_err(|e| words(&e))?));
    }
    let listed: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let write = |file: &mut File, _: &Path| {
        let mut out = BufWriter::new(file);
        gguf_file::write(&mut out, &metadata, &listed).map_err(std::io::Error::other)?;
        source.check_whole().map_err(std::io::Error::other)?;
        out.flush()
    };
    disk::replace(to, write).map_err(|e| words(&e))
}
