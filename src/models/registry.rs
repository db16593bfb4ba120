//! What a person has decided about models, kept in one small file: which folders were added, which model is
//! the default for a task, in which precision one is loaded, which stay in memory.

use super::ModelError;
use crate::disk::{Found, read_json, try_update_json};
use crate::nn::precision::Precision;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

/// Takes the entries of a list that are a `T`; the others come back.
fn list<T: DeserializeOwned>(all: Vec<Value>, mut take: impl FnMut(T)) -> Option<Value> {
    let left: Vec<Value> = all.into_iter().filter(|v| T::deserialize(v).map(&mut take).is_err()).collect();
    (!left.is_empty()).then_some(Value::Array(left))
}

/// The same of a map.
fn map<T: DeserializeOwned>(all: Map<String, Value>, mut take: impl FnMut(String, T)) -> Option<Value> {
    let left: Map<String, Value> =
        all.into_iter().filter(|(k, v)| T::deserialize(v).map(|v| take(k.clone(), v)).is_err()).collect();
    (!left.is_empty()).then_some(Value::Object(left))
}

impl Registry {
    /// Reads `path`, each decision by itself; nothing decided if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or understood: then it counts as empty, and says so.
    pub fn read(path: &Path) -> (Self, Option<ModelError>) {
        match read_json::<Value>(path) {
            Found::Read(file) => (Self::understood(file).0, None),
            Found::Nothing => (Self::default(), None),
            Found::Damaged(why) => {
                let why = format!("is damaged: {why}; models that were added are not listed");
                let next = "Add them again: a copy of the file is kept when it is next written.";
                (Self::default(), Some(ModelError::unfit(path, why, next)))
            }
            Found::Unreadable(why) => (Self::default(), Some(ModelError::Read { path: path.to_owned(), why })),
        }
    }

    /// Changes what is in `path`, while nobody else does. What is in it and not understood stays.
    ///
    /// # Errors
    /// What the file system says, or who holds the file.
    pub fn update(path: &Path, change: impl FnOnce(&mut Self)) -> Result<(), ModelError> {
        let wrap = |value: &mut Value| {
            let (mut registry, rest) = Self::understood(std::mem::take(value));
            change(&mut registry);
            *value = registry.with(rest)?;
            Ok(())
        };
        let updated = try_update_json(path, wrap);
        updated.map(drop).map_err(|why| ModelError::Write { path: path.to_owned(), why })
    }

    /// The decisions in a file, and what is in it beside them: of a later version, or wrong.
    fn understood(file: Value) -> (Self, Map<String, Value>) {
        let (mut registry, mut rest) = (Self::default(), Map::new());
        let Value::Object(file) = file else { return (registry, rest) };
        for (key, value) in file {
            let left = match (key.as_str(), value) {
                ("added", Value::Array(all)) => list(all, |added| registry.added.push(added)),
                ("pinned", Value::Array(all)) => list(all, |id| _ = registry.pinned.insert(id)),
                ("defaults", Value::Object(all)) => map(all, |task, id| _ = registry.defaults.insert(task, id)),
                ("precisions", Value::Object(all)) => map(all, |id, p| _ = registry.precisions.insert(id, p)),
                (_, other) => Some(other),
            };
            rest.extend(left.map(|left| (key, left)));
        }
        (registry, rest)
    }

    /// As JSON, with what was not understood beside it.
    fn with(&self, rest: Map<String, Value>) -> std::io::Result<Value> {
        // A path that is no text cannot be written down: then nothing is.
        let mut file = serde_json::to_value(self).map_err(std::io::Error::other)?;
        for (key, left) in rest {
            match (file.get_mut(&key), left) {
                (Some(Value::Array(all)), Value::Array(left)) => all.extend(left),
                (Some(Value::Object(all)), Value::Object(left)) => {
                    left.into_iter().for_each(|(k, v)| _ = all.entry(k).or_insert(v));
                }
                (Some(_), _) => {}
                (None, left) => file[key] = left,
            }
        }
        Ok(file)
    }

    /// Forgets everything about a model.
    pub fn forget(&mut self, id: &str) {
        self.added.retain(|a| a.path != Path::new(id));
        self.defaults.retain(|_, model| model != id);
        self.precisions.remove(id);
        self.pinned.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unknown_value_costs_no_model() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("library.json");
        let text = r#"{"added":[{"path":"/a","task":"chat","name":"a"},{"odd":1}],"future":[1],
                       "precisions":{"m":"q9_9","n":"q8_0"},"defaults":{"chat":"m"}}"#;
        std::fs::write(&path, text).expect("file");
        Registry::update(&path, |r| _ = r.pinned.insert("p".into())).expect("written");
        let (registry, problem) = Registry::read(&path);
        assert!(problem.is_none() && registry.added.len() == 1 && registry.pinned.contains("p"));
        assert_eq!(registry.precisions.len(), 1);
        let file: Value = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        assert_eq!((&file["future"], &file["precisions"]["m"]), (&serde_json::json!([1]), &"q9_9".into()));
        assert_eq!(file["added"][1], serde_json::json!({"odd": 1}));
    }
}
