//! Finds, checks and opens model files. Knows no task and no screen.

pub mod add;
pub mod archive;
pub mod blocks;
pub mod card;
pub mod careful;
pub mod catalogue;
pub mod codec;
mod companions;
mod detokenize;
pub mod entry;
pub mod gguf;
pub mod hub;
mod index;
pub mod kind;
pub mod library;
pub mod manifest;
mod mapped;
mod marks;
pub mod measured;
pub mod parts;
pub mod pickle;
pub mod quantized;
mod refusal;
pub mod registry;
pub mod removal;
pub mod sentence;
pub mod sentencepiece;
pub mod sizes;
pub mod template;
pub mod tokenizer;
pub mod verify;
pub mod weights;

use crate::error::UserMessage;
use std::path::{Path, PathBuf};

/// Why a model cannot be opened. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("no model '{wanted}' in {}", list(.searched))]
    NotFound { wanted: String, searched: Vec<PathBuf> },
    #[error("the name of the model is empty")]
    Unnamed,
    #[error("'{}' is missing", .0.display())]
    Missing(PathBuf),
    #[error("'{}' cannot be read: {why}", .path.display())]
    Read { path: PathBuf, why: std::io::Error },
    #[error("'{}' has {found} bytes, its manifest says {expected}", .path.display())]
    Size { path: PathBuf, expected: u64, found: u64 },
    #[error("the content of '{}' does not match the hash in its manifest", .0.display())]
    Hash(PathBuf),
    #[error("'{}' is damaged: {why}", .path.display())]
    Damaged { path: PathBuf, why: String },
    /// Whole, and not for us; with what to do about it.
    #[error("'{}' {why}", .path.display())]
    Unfit { path: PathBuf, why: String, next: String },
    #[error("{} missing: the model lies in {count} parts", lost(.missing))]
    Parts { missing: Vec<PathBuf>, count: usize },
    #[error("'{}' is a GGUF file, which holds a language model; this task needs a checkpoint folder", .0.display())]
    Language(PathBuf),
    #[error("'{}' points outside of the models folder", .0.display())]
    Outside(PathBuf),
    #[error("{name} ('{id}') is not on this machine yet")]
    NotHere { id: String, name: String },
    #[error("'{id}' cannot be removed: {why}")]
    Kept { id: String, why: String },
    #[error("'{path}' cannot be written: {why}", path = .path.display())]
    Write { path: PathBuf, why: std::io::Error },
    #[error("with --models or GLOSSA_MODELS only that folder counts, and nothing is noted about models")]
    Undecided,
    #[error("'{}' is what it would be made from", .0.display())]
    Itself(PathBuf),
    #[error("'{}' became shorter, or vanished, while it was read", .0.display())]
    Cut(PathBuf),
    #[error("'{}': {why}", .path.display())]
    Unknown { path: PathBuf, why: String },
    #[error("checking was stopped")]
    Stopped,
}

fn quoted(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|p| format!("'{}'", p.display())).collect()
}

/// The first few of the parts that are not there, with the verb that suits their number.
fn lost(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 4;
    let mut names = quoted(&paths[..paths.len().min(SHOWN)]).join(", ");
    if let Some(more) = paths.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        names += &format!(" and {more} more");
    }
    format!("{names} {}", if paths.len() == 1 { "is" } else { "are" })
}

fn list(paths: &[PathBuf]) -> String {
    let names = quoted(paths);
    if names.is_empty() { "any models folder (none was found)".into() } else { names.join(", ") }
}

/// Most bytes of a configuration.
const MOST_CONFIG: u64 = 8 << 20;
/// Most bytes of a tokenizer or a vocabulary.
const MOST_VOCABULARY: u64 = 256 << 20;

/// Reads a file that must not be larger than `most`: what is made of it is larger still. What only stands in for a file
/// is told apart from one that is damaged.
fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, ModelError> {
    let bytes = crate::disk::read_bounded(path, most).map_err(|e| match e.get_ref() {
        // Our own words, not the system's.
        Some(why) => ModelError::damaged(path, why),
        None => ModelError::read(path, e),
    })?;
    refusal::stand_in(&bytes).map_or(Ok(bytes), |refusal| Err(refusal.at(path)))
}

/// The same, as text.
fn read_text(path: &Path, most: u64) -> Result<String, ModelError> {
    String::from_utf8(read_bounded(path, most)?).map_err(|e| ModelError::damaged(path, e))
}

/// The same, as what its JSON says.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path, most: u64) -> Result<T, ModelError> {
    serde_json::from_str(&read_text(path, most)?).map_err(|e| ModelError::damaged(path, e))
}

impl ModelError {
    fn read(path: &Path, why: std::io::Error) -> Self {
        if why.kind() == std::io::ErrorKind::NotFound {
            Self::Missing(path.to_owned())
        } else {
            Self::Read { path: path.to_owned(), why }
        }
    }

    fn damaged(path: &Path, why: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.to_string() }
    }

    fn unfit(path: &Path, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Unfit { path: path.to_owned(), why: why.into(), next: next.into() }
    }
}

impl From<ModelError> for UserMessage {
    fn from(error: ModelError) -> Self {
        let next = match &error {
            ModelError::NotFound { .. } | ModelError::Unnamed => {
                "Name a model that 'glossa models list' shows, a folder with config.json, tokenizer and weights, or set --models DIR."
            }
            ModelError::Missing(_) => {
                "Check how its path is spelled, put the file back (of the models that came along: 'git checkout -- models'), or take the model off the list ('glossa models remove')."
            }
            ModelError::Read { why, .. } if why.kind() == std::io::ErrorKind::OutOfMemory => {
                "Close other programs, or give this one more memory (a container's limit, ulimit -v)."
            }
            ModelError::Read { .. } => "Check the permissions of the file and of its folder.",
            ModelError::Size { .. } | ModelError::Hash(_) => {
                "The copy is incomplete or was changed: fetch it again ('git checkout -- models')."
            }
            ModelError::Damaged { .. } => "Fetch the file again from where it came.",
            ModelError::Unfit { next, .. } => next,
            ModelError::Parts { .. } => {
                "Put all parts into one folder, under the names that they came with; 'glossa models get' gets all of them."
            }
            ModelError::Language(_) => {
                "Use it with chat or generate, or name a folder with config.json, tokenizer and weights."
            }
            ModelError::Outside(_) => "Correct the path in manifest.json; files must lie beside the model.",
            ModelError::NotHere { .. } => "Get it in the Models tab, or with 'glossa models get'.",
            ModelError::Write { .. } => "Check the permissions of the folder and the room on the disk.",
            ModelError::Kept { .. } => "It stays as it is.",
            ModelError::Cut(_) => "Put the stick back in, or wait until the file has come whole; then try again.",
            ModelError::Undecided => "Leave --models and GLOSSA_MODELS away, or put the model into that folder.",
            ModelError::Itself(_) => "Name another folder with --out.",
            ModelError::Unknown { .. } => "Choose another model of this kind: this one would give wrong answers here.",
            ModelError::Stopped => "",
        };
        let what = match &error {
            ModelError::Write { .. } | ModelError::Itself(_) => "A file was not written",
            ModelError::Kept { .. } => "The model was not removed",
            ModelError::Undecided => "Nothing was noted",
            _ => "The model could not be opened",
        };
        Self::new(what, error.to_string(), next)
    }
}
