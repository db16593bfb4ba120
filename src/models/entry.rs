//! A model whose files lie on disk.

use super::catalogue::{self, Known};
use super::hub::Wanted;
use super::index::{self, Index};
use super::manifest::{Manifest, Origin as Source};
use super::{ModelError, kind, parts};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How a model came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a models folder, with a manifest.
    Shipped,
    /// From the hub, in its cache.
    Hub(Wanted),
    /// Added where it lies.
    Added,
    /// Named by its path for this time.
    Path,
}

impl Origin {
    /// In a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Hub(_) => "hub",
            Self::Added => "added",
            Self::Path => "path",
        }
    }
}

/// A model whose files lie on disk.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// The manifest's id, the catalogue's, the hub's, or the path.
    pub id: String,
    pub dir: PathBuf,
    pub manifest: Option<Manifest>,
    pub config: PathBuf,
    /// Looked up in this order; together they hold all tensors.
    pub weights: Vec<PathBuf>,
    /// tokenizer.json, vocab.txt, source.spm, spiece.model, or vocab.json of a byte-level BPE.
    pub tokenizer: PathBuf,
    pub origin: Origin,
}

impl ModelEntry {
    /// A folder with a manifest, or any Hugging Face checkpoint folder.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        if dir.join("manifest.json").is_file() { Self::from_manifest(dir) } else { Self::from_checkpoint(dir) }
    }

    /// A GGUF file: configuration, tokenizer and weights in one. Any part of one in parts stands for all.
    pub(super) fn from_gguf(path: &Path) -> Self {
        let weights = parts::of(path);
        let path = weights.first().map_or(path, PathBuf::as_path).to_owned();
        // A name alone lies in the current folder, which has a name of its own in messages.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let (id, config, origin) = (path.display().to_string(), path.clone(), Origin::Path);
        Self { id, dir, manifest: None, config, weights, tokenizer: path, origin }
    }

    /// Where it lies, for people: its GGUF file, or its folder.
    pub fn place(&self) -> &Path {
        self.gguf().unwrap_or(&self.dir)
    }

    /// The GGUF file that holds all of this model, or its first part, if it is one.
    pub fn gguf(&self) -> Option<&Path> {
        let is_gguf = |p: &&PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        self.weights.iter().find(is_gguf).map(PathBuf::as_path)
    }

    pub(super) fn from_manifest(dir: &Path) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        let mut entry = Self {
            id: manifest.id.clone(),
            dir: dir.to_owned(),
            config: dir.join("config.json"),
            weights: Vec::new(),
            tokenizer: dir.join("tokenizer.json"),
            manifest: None,
            origin: Origin::Shipped,
        };
        for file in &manifest.files {
            let path = Manifest::locate(dir, &file.path)?;
            match path.file_name().and_then(|n| n.to_str()) {
                Some("tokenizer.json" | "vocab.txt" | "source.spm" | "spiece.model") => entry.tokenizer = path,
                Some(name) if name.ends_with(".gguf") => entry.weights.push(path),
                Some(name) if name.ends_with(".safetensors") || name.ends_with(".bin") => entry.weights.push(path),
                _ => {}
            }
        }
        if entry.gguf().is_some() {
            // The first part has what the others lack.
            entry.weights.sort();
            entry.config.clone_from(&entry.weights[0]);
            entry.tokenizer.clone_from(&entry.weights[0]);
        }
        entry.manifest = Some(manifest);
        Ok(entry)
    }

    pub(super) fn from_checkpoint(dir: &Path) -> Result<Self, ModelError> {
        let root = dir;
        let own = super::sentence::encoder_folder(dir);
        let dir = own.as_path();
        let first = |names: &[&str]| names.iter().map(|n| dir.join(n)).find(|p| p.is_file());
        let need = |names: &[&str]| first(names).ok_or_else(|| ModelError::Missing(dir.join(names[0])));
        if first(&["config.json"]).is_none() {
            match parts::models(ggufs(dir)).as_slice() {
                // Parts without the first.
                [] => ggufs(dir).first().map_or(Ok(()), |any| parts::check(&parts::of(any)))?,
                [path] => return Ok(Self::from_gguf(path)),
                several => return Err(several_ggufs(dir, several)),
            }
        }
        let config = need(&["config.json"])?;
        let weights = weights_in(dir)?;
        // Marian's folders also have a vocab.json, which is no tokenizer by itself.
        let tokenizer = match first(&["source.spm"]) {
            Some(path) => path,
            None => need(&["tokenizer.json", "vocab.txt", "spiece.model", "vocab.json"])?,
        };
        let id = root.display().to_string();
        Ok(Self { id, dir: root.to_owned(), manifest: None, config, weights, tokenizer, origin: Origin::Path })
    }

    /// A model of the hub's cache: a snapshot, or one GGUF file of it. `None` for what does not run here.
    pub(super) fn from_hub(wanted: Wanted, snapshot: &Path) -> Option<Self> {
        let mut entry = match &wanted.file {
            Some(file) => Self::from_gguf(&snapshot.join(file)),
            None => Self::from_checkpoint(snapshot).ok()?,
        };
        // Half a model is no model.
        parts::check(&entry.weights).ok()?;
        let id = wanted.id();
        let known = catalogue::find(&id);
        let found = match (known, entry.gguf()) {
            (Some(known), _) => (known.task.clone(), known.architecture.clone()),
            (None, Some(_)) => ("chat".to_owned(), "GGUF".to_owned()),
            (None, None) => {
                let found = kind::of_folder(snapshot)?;
                (found.task.to_owned(), found.architecture)
            }
        };
        entry.id = known.map_or(id, |k| k.id.clone());
        let name = known.map_or_else(|| short_name(&entry.id), |k| k.name.clone());
        entry.describe(name, found, known);
        entry.origin = Origin::Hub(wanted);
        Some(entry)
    }

    /// A folder or file that was added where it lies.
    pub(super) fn from_added(added: &super::registry::Added) -> Result<Self, ModelError> {
        let is_gguf = added.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        let mut entry = match is_gguf {
            // Later parts may have gone: it stays on the list, and says so when it is opened.
            true if added.path.is_file() => Self::from_gguf(&added.path),
            true => return Err(ModelError::Missing(added.path.clone())),
            false => Self::from_checkpoint(&added.path)?,
        };
        let architecture = kind::of_folder(&added.path).map_or_else(|| "GGUF".to_owned(), |f| f.architecture);
        entry.describe(added.name.clone(), (added.task.clone(), architecture), None);
        entry.origin = Origin::Added;
        Ok(entry)
    }

    /// Gives it the card that shipped models bring along.
    fn describe(&mut self, name: String, (task, architecture): (String, String), known: Option<&Known>) {
        self.manifest = Some(Manifest {
            id: self.id.clone(),
            name,
            task,
            architecture,
            labels: Vec::new(),
            languages: known.map_or_else(|| languages_of(&self.id), |k| k.languages.clone()),
            description: known.map(|k| k.note.clone()).unwrap_or_default(),
            origin: known
                .map(|k| Source { what: format!("huggingface.co/{}", k.repo), licence: k.licence.clone() })
                .into_iter()
                .collect(),
            accuracy: Vec::new(),
            files: Vec::new(),
        });
    }

    /// As shown to people.
    pub fn name(&self) -> String {
        self.manifest.as_ref().map_or_else(|| short_name(&self.id), |m| m.name.clone())
    }

    /// Task id whose models it belongs to, if that is known.
    pub fn task(&self) -> Option<&str> {
        self.manifest.as_ref().map(|m| m.task.as_str())
    }

    /// Bytes of all weight files.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.iter().filter_map(|p| std::fs::metadata(p).ok()).map(|m| m.len()).sum()
    }

    /// config.json, parsed.
    /// What generation_config.json beside it says of writing is put into it.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn read_config(&self) -> Result<Value, ModelError> {
        if let Some(path) = self.gguf() {
            return Err(ModelError::Language(path.to_owned()));
        }
        let mut config: Value = super::read_json(&self.config, super::MOST_CONFIG)?;
        let beside = self.config.with_file_name("generation_config.json");
        if beside.is_file()
            && let (Some(config), Value::Object(generation)) =
                (config.as_object_mut(), super::read_json(&beside, super::MOST_CONFIG)?)
        {
            for (key, to) in GENERATION {
                if let Some(value) = generation.get(key).filter(|v| !v.is_null()) {
                    config.insert(to.to_owned(), value.clone());
                }
            }
        }
        Ok(config)
    }
}

/// What says how a model writes: newer checkpoints keep it in generation_config.json, which counts where both have it.
/// What ends a text that is written is kept apart from what a source ends with.
const GENERATION: [(&str, &str); 6] = [
    ("eos_token_id", crate::nn::keys::ENDS),
    ("decoder_start_token_id", "decoder_start_token_id"),
    ("forced_eos_token_id", "forced_eos_token_id"),
    ("forced_bos_token_id", "forced_bos_token_id"),
    ("bad_words_ids", "bad_words_ids"),
    ("num_beams", "num_beams"),
];

/// The last part of a path or an id, without the ending of a file, and without which part of one it is.
pub(super) fn short_name(id: &str) -> String {
    let last = id.trim_end_matches('/').rsplit('/').next().unwrap_or(id);
    parts::stem(last).or_else(|| last.strip_suffix(".gguf")).unwrap_or(last).to_owned()
}

/// The languages in the name of an OPUS-MT model.
pub fn languages_of(id: &str) -> Vec<String> {
    let name = short_name(id);
    let Some(pair) = name.strip_prefix("opus-mt-") else { return Vec::new() };
    let parts: Vec<&str> = pair.trim_start_matches("tc-big-").split('-').collect();
    match parts[..] {
        [from, to] => vec![from.to_owned(), to.to_owned()],
        _ => Vec::new(),
    }
}

/// The GGUF files of a folder.
pub(super) fn ggufs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path());
    files.filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))).collect()
}

/// Those of a folder and of the folders in it.
pub(super) fn ggufs_below(dir: &Path, depth: u32) -> Vec<PathBuf> {
    let mut all = ggufs(dir);
    all.retain(|p| p.is_file());
    if depth > 0 {
        let inner = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path());
        let mut inner: Vec<PathBuf> = inner.filter(|p| p.is_dir() && !p.is_symlink()).collect();
        inner.sort();
        all.extend(inner.iter().flat_map(|d| ggufs_below(d, depth - 1)));
    }
    all
}

/// The weights of a checkpoint's folder: safetensors before .bin, a whole file before one in parts, as `transformers`
/// chooses. Parts need not be there.
pub(super) fn weights_in(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    for (whole, index) in ["model.safetensors", "pytorch_model.bin"].into_iter().zip(index::NAMES) {
        if dir.join(whole).is_file() {
            return Ok(vec![dir.join(whole)]);
        }
        if dir.join(index).is_file() {
            return Ok(Index::read(&dir.join(index))?.files());
        }
    }
    Err(no_weights(dir))
}

/// What a folder has in place of weights that are read here.
fn no_weights(dir: &Path) -> ModelError {
    let others = [
        ("tf_model.h5", "TensorFlow's"),
        ("tf_model.h5.index.json", "TensorFlow's"),
        ("flax_model.msgpack", "Flax's"),
        ("flax_model.msgpack.index.json", "Flax's"),
        ("adapter_model.safetensors", "an adapter's, which is a part of a model"),
        ("adapter_model.bin", "an adapter's, which is a part of a model"),
        ("model.onnx", "ONNX'"),
        ("onnx", "ONNX'"),
    ];
    match others.into_iter().find(|(name, _)| dir.join(name).exists()) {
        Some((name, whose)) => {
            let why = format!("has no weights that Glossa reads: '{name}' is {whose}");
            ModelError::unfit(dir, why, "Get model.safetensors or pytorch_model.bin of the same model beside it.")
        }
        None => ModelError::Missing(dir.join("model.safetensors")),
    }
}

fn several_ggufs(dir: &Path, files: &[PathBuf]) -> ModelError {
    let names: Vec<String> =
        files.iter().take(6).filter_map(|f| f.file_name()).map(|n| format!("'{}'", n.display())).collect();
    let why = format!("holds {} GGUF models: {}", files.len(), names.join(", "));
    ModelError::unfit(dir, why, "Name one of the files.")
}
