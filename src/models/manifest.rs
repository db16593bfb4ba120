//! manifest.json: what a shipped model is, where it comes from, and what its files must be.

use super::ModelError;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// A model's card, as it lies in its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Unique, and the folder's name.
    pub id: String,
    /// As shown to people.
    pub name: String,
    /// Task id, such as `sentiment`.
    pub task: String,
    /// `transformers` class.
    pub architecture: String,
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(default)]
    pub languages: Vec<String>,
    /// What it can and cannot do, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// Where weights and data came from, one line each.
    #[serde(default)]
    pub origin: Vec<Origin>,
    #[serde(default)]
    pub accuracy: Vec<Accuracy>,
    pub files: Vec<FileEntry>,
}

/// A source that the weights were made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    pub what: String,
    pub licence: String,
}

/// A measurement by Glossa itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    pub data: String,
    pub metric: String,
    /// 0 to 1
    pub value: f64,
    pub n: usize,
    /// 95 % confidence interval.
    pub ci95: [f64; 2],
}

/// One file, by its path from the model's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads `dir/manifest.json`.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        super::read_json(&dir.join("manifest.json"), super::MOST_CONFIG)
    }

    /// Where `entry` lies. A path may go one folder up (shared vocabularies), never further.
    ///
    /// # Errors
    /// [`ModelError::Outside`].
    pub fn locate(dir: &Path, entry: &str) -> Result<PathBuf, ModelError> {
        let relative = Path::new(entry);
        let mut depth = 1i32;
        for part in relative.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir => depth -= 1,
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => depth = i32::MIN / 2,
            }
            if depth < 0 {
                return Err(ModelError::Outside(dir.join(relative)));
            }
        }
        Ok(dir.join(relative))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_models_folder() {
        let dir = Path::new("/m/sentiment");
        assert!(Manifest::locate(dir, "model.safetensors").is_ok());
        assert!(Manifest::locate(dir, "../vocab/tokenizer.json").is_ok());
        for bad in ["../../etc/passwd", "/etc/passwd", "a/../../../x"] {
            assert!(Manifest::locate(dir, bad).is_err(), "{bad}");
        }
    }
}
