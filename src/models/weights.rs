//! Opens weight files as named tensors: safetensors and PyTorch's .bin (parsed, not run), both mapped.

use super::ModelError;
use super::index::Index;
use super::mapped::{check_whole, map};
use super::refusal::{short, something_else};
use crate::nn::NnError;
use crate::nn::source::{Dtype, RawTensor, TensorSource};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest header that is read; the largest models have some hundred kilobytes.
const MAX_HEADER: usize = 25_000_000;

/// What to do about element types that are not read here.
const FLOATS: &str = "Choose a copy of the model in F32, F16 or BF16, or update Glossa.";

/// The tensors of one or several files. Of two with one name the earlier file's counts.
#[derive(Default)]
pub struct Weights {
    tensors: HashMap<String, RawTensor>,
    /// Tensors of types that no model computes with, such as position ids.
    others: HashMap<String, String>,
}

impl Weights {
    /// Opens all of `paths`. Where an index of them lies beside them, each tensor must be where it says, and nowhere else.
    ///
    /// # Errors
    /// A file that is missing, cut short or damaged, or one that is not what the index says.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ModelError> {
        let index = Index::of(paths)?;
        index.as_ref().map_or(Ok(()), Index::present)?;
        let (mut all, mut found) = (Self::default(), Vec::new());
        for path in paths {
            let one = Self::one(path)?;
            if index.is_some() {
                found.push((path.clone(), one.tensors.keys().chain(one.others.keys()).cloned().collect()));
            }
            for (name, tensor) in one.tensors {
                all.tensors.entry(name).or_insert(tensor);
            }
            for (name, dtype) in one.others {
                all.others.entry(name).or_insert(dtype);
            }
        }
        index.map_or(Ok(()), |index| index.check(&found))?;
        Ok(all)
    }

    fn one(path: &Path) -> Result<Self, ModelError> {
        if path.extension().is_some_and(|e| e == "bin") {
            let super::pickle::Read { tensors, others } = super::pickle::read(path)?;
            return Ok(Self { tensors, others });
        }
        let mut one = Self::default();
        one.add_safetensors(path)?;
        Ok(one)
    }

    /// Tensors that are in memory already.
    pub fn of(tensors: HashMap<String, RawTensor>) -> Self {
        Self { tensors, others: HashMap::new() }
    }

    fn add_safetensors(&mut self, path: &Path) -> Result<(), ModelError> {
        let data = map(path)?;
        let bytes = (*data).as_ref();
        check_length(path, bytes)?;
        let parsed = SafeTensors::deserialize(bytes);
        check_whole(path, &data)?;
        let parsed = parsed.map_err(|e| ModelError::damaged(path, e))?;
        for (name, view) in parsed.iter() {
            let from = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
            let range = from..from + view.data().len();
            if let Some((name, dtype, shape)) = in_blocks(name, &view) {
                let tensor = RawTensor::new(dtype, shape, Arc::clone(&data), range)
                    .map_err(|e| ModelError::damaged(path, format!("{name}: {e}")))?;
                self.tensors.entry(name.to_owned()).or_insert(tensor);
                continue;
            }
            let dtype = match view.dtype() {
                safetensors::Dtype::F32 => Dtype::F32,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::BF16 => Dtype::Bf16,
                other => {
                    self.others.entry(name.to_owned()).or_insert_with(|| format!("{other:?}"));
                    continue;
                }
            };
            let tensor = RawTensor::new(dtype, view.shape().to_vec(), Arc::clone(&data), range)
                .map_err(|e| ModelError::damaged(path, format!("{name}: {e}")))?;
            self.tensors.entry(name.to_owned()).or_insert(tensor);
        }
        Ok(())
    }
}

/// A matrix in ggml's blocks, as our small models keep them: `NAME.q5_1`, bytes `[rows, bytes of a row]`.
/// Its name, type and shape.
fn in_blocks<'a>(name: &'a str, view: &safetensors::tensor::TensorView<'_>) -> Option<(&'a str, Dtype, Vec<usize>)> {
    let (name, suffix) = name.rsplit_once('.')?;
    let mut known = Dtype::ALL.into_iter().filter(|d| d.form().is_some());
    let dtype = known.find(|d| d.name().eq_ignore_ascii_case(suffix))?;
    let (safetensors::Dtype::U8, &[rows, width]) = (view.dtype(), view.shape()) else { return None };
    let (elements, bytes) = dtype.block();
    Some((name, dtype, vec![rows, width / bytes * elements]))
}

/// All that is looked at of a tensor's description: nothing else of it is kept.
#[derive(serde::Deserialize)]
struct Extent {
    #[serde(default)]
    data_offsets: Option<[u64; 2]>,
    #[serde(default)]
    dtype: Option<String>,
}

/// Whether `safetensors` has a name for an element type; newer files may have others.
fn is_known(dtype: &str) -> bool {
    serde_json::from_value::<safetensors::Dtype>(dtype.into()).is_ok()
}

/// Says in words what `safetensors` would call an incomplete buffer, or an invalid header.
fn check_length(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let other = |why: String| something_else(bytes).map_or_else(|| ModelError::damaged(path, why), |r| r.at(path));
    let Some(first) = bytes.first_chunk::<8>() else {
        return Err(other(format!("only {} bytes long", bytes.len())));
    };
    let header = usize::try_from(u64::from_le_bytes(*first)).unwrap_or(usize::MAX);
    if header > MAX_HEADER {
        return Err(other("its header is no safetensors header".into()));
    }
    if header + 8 > bytes.len() {
        return Err(ModelError::damaged(path, "it ends inside its header (truncated)"));
    }
    let json: HashMap<String, Extent> = serde_json::from_slice(&bytes[8..8 + header])
        .map_err(|e| ModelError::damaged(path, format!("its header is no JSON with tensors: {e}")))?;
    let tensors = json.iter().filter(|(name, _)| *name != "__metadata__");
    let mut dtypes = tensors.filter_map(|(name, e)| Some((name, e.dtype.as_deref()?)));
    if let Some((name, dtype)) = dtypes.find(|(_, dtype)| !is_known(dtype)) {
        let (name, dtype) = (short(name), short(dtype));
        let why = format!("keeps the tensor '{name}' as {dtype}, which Glossa does not know");
        return Err(ModelError::unfit(path, why, FLOATS));
    }
    let end = json.values().filter_map(|e| e.data_offsets).map(|o| o[1]).max().unwrap_or(0);
    let have = (bytes.len() - 8 - header) as u64;
    if end > have {
        let why = format!("it is truncated: {have} bytes of tensor data instead of {end}");
        return Err(ModelError::damaged(path, why));
    }
    Ok(())
}

impl TensorSource for Weights {
    fn tensor(&self, name: &str) -> Result<RawTensor, NnError> {
        if let Some(tensor) = self.tensors.get(name) {
            return Ok(tensor.clone());
        }
        Err(match self.others.get(name) {
            Some(dtype) => NnError::Dtype { name: name.to_owned(), dtype: dtype.clone() },
            None => NnError::MissingTensor(name.to_owned()),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.others.contains_key(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.keys().cloned().collect();
        names.sort();
        names
    }
}
