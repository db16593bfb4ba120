//! A model's card: what it is, in numbers that its own files give.

use super::ModelError;
use super::catalogue;
use super::gguf::{Gguf, Value};
use super::kind::{self, Recognized};
use super::library::ModelEntry;
use super::manifest::Accuracy;
use super::sizes::shape_of;
use super::weights::Weights;
use crate::nn::shape::Shape;
use crate::nn::source::TensorSource;
use serde::Serialize;
use std::path::PathBuf;

/// Everything that can be said of a model on disk without running it.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    pub id: String,
    pub name: String,
    /// Task id whose models it belongs to.
    pub task: String,
    pub architecture: String,
    /// `shipped`, `hub`, `added` or `path`
    pub origin: &'static str,
    pub path: PathBuf,
    /// Names and bytes.
    pub files: Vec<(String, u64)>,
    /// Of all files.
    pub bytes: u64,
    pub parameters: u64,
    pub shape: Shape,
    /// The type that most weights have in the file.
    pub precision: String,
    pub licence: String,
    pub languages: Vec<String>,
    pub description: String,
    /// Measured when it was made.
    pub accuracy: Vec<Accuracy>,
}

impl Card {
    /// Opens the files of `entry` far enough to describe and check them: headers against sizes, configuration
    /// against what runs here.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn of(entry: &ModelEntry) -> Result<Self, ModelError> {
        let shape = shape_of(entry)?;
        let (found, parameters, precision, licence) = match entry.gguf() {
            Some(path) => {
                let file = Gguf::open(path)?;
                let licence = match file.value("general.license") {
                    Some(Value::Text(text)) => text.clone(),
                    _ => String::new(),
                };
                let precision = file.precision().unwrap_or("F32").to_owned();
                (kind::of_gguf(path)?, parameters(&file), precision, licence)
            }
            None => {
                let found = kind::recognize(&entry.read_config()?);
                let found = found.unwrap_or(Recognized { task: "", architecture: String::new() });
                let weights = Weights::open(&entry.weights)?;
                let precision = weights.precision().unwrap_or("F32").to_owned();
                (found, parameters(&weights), precision, String::new())
            }
        };
        let manifest = entry.manifest.as_ref();
        let own = manifest.map(|m| m.origin.iter().map(|o| o.licence.clone()).collect::<Vec<_>>()).unwrap_or_default();
        let mut licences = own;
        licences.dedup();
        let files = files(entry);
        Ok(Self {
            id: entry.id.clone(),
            name: entry.name(),
            task: entry.task().unwrap_or(found.task).to_owned(),
            architecture: manifest
                .map(|m| m.architecture.clone())
                .filter(|a| a != "GGUF")
                .unwrap_or(found.architecture),
            origin: entry.origin.name(),
            path: entry.place().to_owned(),
            bytes: files.iter().map(|f| f.1).sum(),
            files,
            parameters,
            shape,
            precision,
            licence: if licences.is_empty() { licence } else { licences.join("; ") },
            languages: manifest.map(|m| m.languages.clone()).unwrap_or_default(),
            description: manifest.map(|m| m.description.clone()).unwrap_or_default(),
            accuracy: manifest.map(|m| m.accuracy.clone()).unwrap_or_default(),
        })
    }

    /// The catalogue's entry of the same model.
    pub fn known(&self) -> Option<&'static catalogue::Known> {
        catalogue::find(&self.id)
    }
}

fn parameters(source: &dyn TensorSource) -> u64 {
    let count = |name: &String| source.tensor(name).ok().map(|t| t.shape().iter().product::<usize>() as u64);
    source.names().iter().filter_map(count).sum()
}

/// The files that the model is read from, with their sizes.
pub fn files(entry: &ModelEntry) -> Vec<(String, u64)> {
    let mut paths = vec![&entry.config, &entry.tokenizer];
    paths.extend(&entry.weights);
    let mut all: Vec<(String, u64)> = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("?").to_owned();
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        if size > 0 && all.iter().all(|f| f.0 != name) {
            all.push((name, size));
        }
    }
    all
}
