//! Opens GGUF files: metadata and named tensors, mapped, nothing copied.
//!
//! Format: ggml's docs/gguf.md, versions 2 and 3. Every count and length is held against the bytes
//! that are really there before anything is allocated for it. A file in parts is one file here (`split.rs`).

mod header;
mod split;
pub mod tokenizer;

use super::mapped::{check_whole, map};
use super::{ModelError, parts};
use crate::nn::NnError;
use crate::nn::decoder::config::Metadata;
use crate::nn::source::{Bytes, RawTensor, TensorSource};
pub use header::Value;
pub(super) use split::is_of_parts;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open GGUF file.
pub struct Gguf {
    path: PathBuf,
    metadata: BTreeMap<String, Value>,
    tensors: HashMap<String, RawTensor>,
}

impl Gguf {
    /// Maps `path` and reads its header; of a file in parts all of them, whichever is named.
    ///
    /// # Errors
    /// A missing, truncated or forged file, a part that is not there or not of this model, or a quantization that is
    /// not known here.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        split::open(&parts::of(path))
    }

    fn one(path: &Path) -> Result<Self, ModelError> {
        let data = map(path)?;
        let parsed = Self::parse(path, Arc::clone(&data));
        // What looks damaged may just be gone.
        check_whole(path, &data)?;
        parsed
    }

    /// Reads the header of one file's bytes; `path` is what to call it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(path: &Path, data: Bytes) -> Result<Self, ModelError> {
        let header = header::read((*data).as_ref()).map_err(|refusal| refusal.at(path))?;
        let mut tensors = HashMap::with_capacity(header.tensors.len());
        for t in header.tensors {
            let tensor = RawTensor::new(t.dtype, t.shape, Arc::clone(&data), t.range)
                .map_err(|e| ModelError::damaged(path, format!("{}: {e}", t.name)))?;
            if tensors.insert(t.name.clone(), tensor).is_some() {
                return Err(ModelError::damaged(path, format!("it has two tensors '{}'", t.name)));
            }
        }
        Ok(Self { path: path.to_owned(), metadata: header.metadata, tensors })
    }

    /// Only the metadata, for a look at the file.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Where it lies; in parts, the first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of tokens in its vocabulary.
    pub fn vocabulary(&self) -> usize {
        match self.value("tokenizer.ggml.tokens") {
            Some(Value::Strings(tokens)) => tokens.len(),
            _ => 0,
        }
    }
}

impl Metadata for Gguf {
    fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Number(n) => Some(*n),
            // Some files give one number per layer; the decoder has one for all.
            Value::Numbers(all) if all.windows(2).all(|w| w[0] == w[1]) => all.first().copied(),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn has_key(&self, key: &str) -> bool {
        self.metadata.contains_key(key)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.metadata.keys().map(|k| k.as_ref()).collect()
    }
}

impl TensorSource for Gguf {
    fn tensor(&self, name: &str) -> Result<RawTensor, NnError> {
        self.tensors.get(name).cloned().ok_or_else(|| NnError::MissingTensor(name.to_owned()))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.keys().cloned().collect();
        names.sort();
        names
    }
}
