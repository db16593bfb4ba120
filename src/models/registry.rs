//! What a person has decided about models, kept in one small file: which folders were added, which model is
//! the default for a task, in which precision one is loaded, which stay in memory.

use super::ModelError;
use crate::disk::{Found, read_json, update_json};
use crate::nn::precision::Precision;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A folder or file that was added where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    pub path: PathBuf,
    /// Task id whose models it belongs to.
    pub task: String,
    pub name: String,
    /// The folder of ours that it was unpacked into, from an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<PathBuf>,
}

impl Added {
    /// Whether nothing lies there any more.
    pub fn is_missing(&self) -> bool {
        matches!(self.path.try_exists(), Ok(false))
    }
}

/// Decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    pub added: Vec<Added>,
    /// Model by task.
    pub defaults: BTreeMap<String, String>,
    /// By model.
    pub precisions: BTreeMap<String, Precision>,
    pub pinned: BTreeSet<String>,
}

impl Registry {
    /// Reads `path`; nothing decided if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or understood: then it counts as empty, and says so.
    pub fn read(path: &Path) -> (Self, Option<ModelError>) {
        match read_json(path) {
            Found::Read(registry) => (registry, None),
            Found::Nothing => (Self::default(), None),
            Found::Damaged(why) => {
                let why = format!(
                    "{why}; models that were added are not listed, a copy of it is kept when it is next written"
                );
                (Self::default(), Some(ModelError::damaged(path, why)))
            }
            Found::Unreadable(why) => (Self::default(), Some(ModelError::Read { path: path.to_owned(), why })),
        }
    }

    /// Changes what is in `path`, while nobody else does.
    ///
    /// # Errors
    /// What the file system says, or who holds the file.
    pub fn update(path: &Path, change: impl FnOnce(&mut Self)) -> Result<(), ModelError> {
        let updated = update_json(path, change);
        updated.map(drop).map_err(|why| ModelError::Write { path: path.to_owned(), why })
    }

    /// Forgets everything about a model.
    pub fn forget(&mut self, id: &str) {
        self.added.retain(|a| a.path != Path::new(id));
        self.defaults.retain(|_, model| model != id);
        self.precisions.remove(id);
        self.pinned.remove(id);
    }
}
