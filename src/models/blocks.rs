//! Weights in ggml's blocks, made of a model's floats once and kept on disk beside the source's hash.

use super::ModelError;
use super::library::ModelEntry;
use super::verify::Verifier;
use super::weights::Weights;
use crate::disk;
use crate::nn::NnError;
use crate::nn::precision::Precision;
use crate::nn::quantize::{Step, plan, quantize, turned};
use crate::nn::source::{RawTensor, TensorSource};
use safetensors::tensor::TensorView;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Counts up when the mixture or the layout changes: older files are made again.
const VERSION: u32 = 1;

/// Where quantized weights are kept: the user's cache folder, if there is one.
pub fn folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "glossa").map(|d| d.cache_dir().join("quantized"))
}

/// A model's tensors, with matrices in blocks in place of some.
pub struct Layered<'a> {
    pub blocks: Option<Weights>,
    pub below: &'a dyn TensorSource,
}

impl TensorSource for Layered<'_> {
    fn tensor(&self, name: &str) -> Result<RawTensor, NnError> {
        match &self.blocks {
            Some(blocks) if blocks.has(name) => blocks.tensor(name),
            _ => self.below.tensor(name),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.blocks.as_ref().is_some_and(|b| b.has(name)) || self.below.has(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.below.names();
        if let Some(blocks) = &self.blocks {
            names.retain(|n| !blocks.has(n) && !blocks.has(&turned(n)));
            names.extend(blocks.names());
            names.sort();
        }
        names
    }
}

/// Blocks of `entry`'s matrices, whose tensors are `source`: from the disk if they were made before, else
/// made now and kept. `None` for a precision without blocks. `progress` gets the share done and says
/// whether to stop. Where nothing can be kept, they are made for this time.
///
/// # Errors
/// Files that cannot be read, or [`ModelError::Stopped`].
pub fn prepare(
    entry: &ModelEntry,
    source: &dyn TensorSource,
    precision: Precision,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Option<Weights>, ModelError> {
    prepare_in(entry, source, precision, folder().as_deref(), progress)
}

/// The same with another folder to keep them in.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_in(
    entry: &ModelEntry,
    source: &dyn TensorSource,
    precision: Precision,
    folder: Option<&Path>,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Option<Weights>, ModelError> {
    let steps = plan(source, precision);
    if steps.is_empty() {
        return Ok(None);
    }
    let file = match folder {
        Some(folder) => Some(place(entry, precision, folder, progress)?),
        None => None,
    };
    if let Some(path) = file.as_deref().filter(|p| p.is_file()) {
        match Weights::open(&[path.to_owned()]) {
            Ok(weights) if steps.iter().all(|s| weights.has(&name_of(s))) => return Ok(Some(weights)),
            _ => tracing::warn!(path = ?path, "kept blocks are damaged and made again"),
        }
    }
    let made = make(entry, source, &steps, progress)?;
    // Zeros in place of what was cut must not be kept under the whole file's hash.
    whole(entry, source)?;
    if let Some(path) = &file {
        match keep(&made, path) {
            Ok(()) => return Weights::open(std::slice::from_ref(path)).map(Some),
            Err(why) => tracing::warn!(path = ?path, why, "quantized weights are not kept"),
        }
    }
    Ok(Some(Weights::of(made)))
}

/// An error if a part of what was read was gone.
///
/// # Errors
/// [`ModelError::Cut`].
pub(super) fn whole(entry: &ModelEntry, source: &dyn TensorSource) -> Result<(), ModelError> {
    let path = entry.weights.first().unwrap_or(&entry.dir);
    source.check_whole().map_err(|_| ModelError::Cut(path.clone()))
}

/// Deletes what was kept of `entry`, in all precisions. Before its files go: their hash names it.
pub fn discard(entry: &ModelEntry, folder: &Path) {
    let kept = || std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
    let is_blocks = |p: &PathBuf| p.extension().is_some_and(|e| e == "safetensors");
    if !kept().any(|p| is_blocks(&p)) {
        return;
    }
    let Ok(any) = place(entry, Precision::Q8_0, folder, &mut |_| false) else { return };
    let name = |p: &Path| p.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
    let hash = name(&any).split('-').next().unwrap_or("").to_owned();
    for path in kept().filter(|p| is_blocks(p) && name(p).starts_with(&format!("{hash}-"))) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = ?path, "blocks stay");
        }
    }
}

/// The name under which a step's blocks are looked for.
fn name_of(step: &Step) -> String {
    if step.is_turned { turned(&step.name) } else { step.name.clone() }
}

/// The file that holds `entry` in `precision`, whether it is there or not.
///
/// # Errors
/// Weights that cannot be read, or [`ModelError::Stopped`].
pub fn place(
    entry: &ModelEntry,
    precision: Precision,
    folder: &Path,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<PathBuf, ModelError> {
    let mut verifier = Verifier::new(Some(folder));
    let mut all = Sha256::new();
    let stopped = std::cell::RefCell::new(progress);
    for path in &entry.weights {
        all.update(verifier.hash_of(path, &|| (stopped.borrow_mut())(0.0))?);
    }
    let hash: String = all.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect();
    Ok(folder.join(format!("{hash}-{}-v{VERSION}.safetensors", precision.name())))
}

fn make(
    entry: &ModelEntry,
    source: &dyn TensorSource,
    steps: &[Step],
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<HashMap<String, RawTensor>, ModelError> {
    let here = |error: NnError| match error {
        NnError::Stopped => ModelError::Stopped,
        error => ModelError::damaged(entry.weights.first().unwrap_or(&entry.dir), error),
    };
    let size = |step: &Step| source.tensor(&step.name).map_or(0, |t| t.shape().iter().product::<usize>());
    let total: usize = steps.iter().map(size).sum();
    let progress = std::cell::RefCell::new(progress);
    let (mut done, mut made) = (0, HashMap::new());
    for step in steps {
        let share = done as f32 / total.max(1) as f32;
        let raw = source.tensor(&step.name).map_err(here)?;
        let blocks = quantize(&raw, step, &|| (progress.borrow_mut())(share)).map_err(here)?;
        done += size(step);
        made.insert(name_of(step), blocks);
    }
    Ok(made)
}

/// Writes blocks whole, or not at all.
fn keep(made: &HashMap<String, RawTensor>, path: &Path) -> Result<(), String> {
    let bytes: u64 = made.values().map(|t| t.bytes().len() as u64).sum();
    write_tensors(made.iter().map(|(n, t)| (n.clone(), t)), path, bytes, &|| Ok(()))
}

/// Writes tensors as one safetensors file: floats as they are, blocks as `NAME.q5_1` with bytes
/// `[rows, bytes of a row]`.
///
/// `check` has the last word before the file gets its name.
///
/// # Errors
/// Too little room on the disk, or what the system or `check` says.
pub fn write_tensors<'a>(
    tensors: impl Iterator<Item = (String, &'a RawTensor)>,
    path: &Path,
    bytes: u64,
    check: &dyn Fn() -> Result<(), String>,
) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| e.to_string())?;
    if let Some(free) = disk::free(parent).filter(|free| *free < bytes + (64 << 20)) {
        return Err(format!("the disk has {free} bytes left, {bytes} are needed"));
    }
    let views: Vec<(String, TensorView<'_>)> = tensors.map(|(name, t)| view(&name, t)).collect::<Result<_, _>>()?;
    let write = |_: &mut std::fs::File, at: &Path| {
        safetensors::serialize_to_file(views, None, at).map_err(std::io::Error::other)?;
        check().map_err(std::io::Error::other)
    };
    disk::replace(path, write).map_err(|e| e.to_string())
}

fn view<'a>(name: &str, tensor: &'a RawTensor) -> Result<(String, TensorView<'a>), String> {
    use crate::nn::source::Dtype;
    let float = match tensor.dtype() {
        Dtype::F32 => Some(safetensors::Dtype::F32),
        Dtype::F16 => Some(safetensors::Dtype::F16),
        Dtype::Bf16 => Some(safetensors::Dtype::BF16),
        _ => None,
    };
    let (name, dtype, shape) = match (float, tensor.shape()) {
        (Some(dtype), shape) => (name.to_owned(), dtype, shape.to_vec()),
        (None, &[rows, width]) => {
            let row = tensor.dtype().bytes_of(&[width]).unwrap_or(0);
            let name = format!("{name}.{}", tensor.dtype().name().to_ascii_lowercase());
            (name, safetensors::Dtype::U8, vec![rows, row])
        }
        (None, shape) => return Err(format!("blocks of shape {shape:?} cannot be written")),
    };
    TensorView::new(dtype, shape, tensor.bytes()).map(|view| (name, view)).map_err(|e| e.to_string())
}
