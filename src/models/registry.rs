//! What a person has decided about models, kept in one small file: which folders were added, which model is
//! the default for a task, in which precision one is loaded, which stay in memory.

use super::ModelError;
use crate::disk::write_whole;
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
    /// Reads `path`; nothing decided if it is not there or damaged.
    pub fn read(path: &Path) -> Self {
        let read = std::fs::read(path).ok();
        let parsed = read.and_then(|bytes| {
            serde_json::from_slice(&bytes)
                .inspect_err(|error| {
                    tracing::warn!(%error, path = %path.display(), "decisions cannot be read and are put aside");
                    let _ = std::fs::rename(path, path.with_extension("damaged"));
                })
                .ok()
        });
        parsed.unwrap_or_default()
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<(), ModelError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| ModelError::damaged(path, e))?;
        write_whole(path, &json).map_err(|e| ModelError::Write { path: path.to_owned(), why: e })
    }

    /// Forgets everything about a model.
    pub fn forget(&mut self, id: &str) {
        self.added.retain(|a| a.path != Path::new(id));
        self.defaults.retain(|_, model| model != id);
        self.precisions.remove(id);
        self.pinned.remove(id);
    }
}
