//! Where models are looked for, and which are there.

use super::ModelError;
use super::manifest::Manifest;
use std::path::{Path, PathBuf};

/// The folders that models are found in, in order of preference.
#[derive(Clone, Debug, Default)]
pub struct Library {
    roots: Vec<PathBuf>,
}

/// A model whose files lie on disk.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// The manifest's id, or the folder's path for a checkpoint without one.
    pub id: String,
    pub dir: PathBuf,
    pub manifest: Option<Manifest>,
    pub config: PathBuf,
    /// Looked up in this order; together they hold all tensors.
    pub weights: Vec<PathBuf>,
    /// tokenizer.json, vocab.txt, source.spm, spiece.model, or vocab.json of a byte-level BPE.
    pub tokenizer: PathBuf,
}

impl Library {
    /// `explicit` alone if given (`--models DIR`), else `GLOSSA_MODELS`, else: beside the
    /// executable and above it (a source tree's target folder), the source tree this binary was
    /// built from, the user's data folder.
    pub fn find(explicit: Option<&Path>) -> Self {
        if let Some(dir) = explicit {
            return Self { roots: vec![dir.to_owned()] };
        }
        if let Some(dir) = std::env::var_os("GLOSSA_MODELS").filter(|d| !d.is_empty()) {
            return Self { roots: vec![dir.into()] };
        }
        let mut candidates = Vec::new();
        if let Ok(exe) = std::env::current_exe() {
            candidates.extend(exe.ancestors().skip(1).take(4).map(|d| d.join("models")));
        }
        candidates.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
        candidates.push(PathBuf::from("models"));
        if let Some(dirs) = directories::ProjectDirs::from("", "", "glossa") {
            candidates.push(dirs.data_dir().join("models"));
        }
        let mut roots: Vec<PathBuf> = Vec::new();
        for dir in candidates.into_iter().filter(|d| d.is_dir()) {
            let dir = std::fs::canonicalize(&dir).unwrap_or(dir);
            if !roots.contains(&dir) {
                roots.push(dir);
            }
        }
        Self { roots }
    }

    /// The folders that exist and are searched.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// All models that have a manifest, sorted by id. Folders whose manifest is damaged come as
    /// errors, so that a person hears of them.
    pub fn list(&self) -> (Vec<ModelEntry>, Vec<ModelError>) {
        let (mut found, mut errors) = (Vec::<ModelEntry>::new(), Vec::new());
        for root in &self.roots {
            let Ok(folders) = std::fs::read_dir(root) else { continue };
            for dir in folders.flatten().map(|f| f.path()) {
                if !dir.join("manifest.json").is_file() {
                    continue;
                }
                match ModelEntry::from_manifest(&dir) {
                    Ok(entry) if found.iter().all(|e| e.id != entry.id) => found.push(entry),
                    Ok(_) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        (found, errors)
    }

    /// The model called `wanted` (an id, or a folder), or the first for `task` if nothing is named.
    ///
    /// # Errors
    /// [`ModelError::NotFound`], or what is wrong with the folder.
    pub fn resolve(&self, wanted: Option<&str>, task: &str) -> Result<ModelEntry, ModelError> {
        let (models, mut errors) = self.list();
        if let Some(wanted) = wanted {
            if let Some(entry) = models.iter().find(|m| m.id == wanted) {
                return Ok(entry.clone());
            }
            let path = Path::new(wanted);
            if path.is_dir() {
                return ModelEntry::open(path);
            }
            if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
                return if path.is_file() {
                    Ok(ModelEntry::from_gguf(path))
                } else {
                    Err(ModelError::Missing(path.to_owned()))
                };
            }
        } else if let Some(entry) = models.into_iter().find(|m| m.manifest.as_ref().is_some_and(|f| f.task == task)) {
            return Ok(entry);
        }
        if wanted.is_none() && !errors.is_empty() {
            return Err(errors.remove(0));
        }
        let wanted = wanted.map_or_else(|| format!("for {task}"), str::to_owned);
        Err(ModelError::NotFound { wanted, searched: self.roots.clone() })
    }
}

impl ModelEntry {
    /// A folder with a manifest, or any Hugging Face checkpoint folder.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        if dir.join("manifest.json").is_file() { Self::from_manifest(dir) } else { Self::from_checkpoint(dir) }
    }

    /// A GGUF file: configuration, tokenizer and weights in one.
    fn from_gguf(path: &Path) -> Self {
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        let (id, path) = (path.display().to_string(), path.to_owned());
        Self { id, dir, manifest: None, config: path.clone(), weights: vec![path.clone()], tokenizer: path }
    }

    /// The GGUF file that holds all of this model, if it is one.
    pub fn gguf(&self) -> Option<&Path> {
        let is_gguf = |p: &&PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        self.weights.iter().find(is_gguf).map(PathBuf::as_path)
    }

    fn from_manifest(dir: &Path) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        let mut entry = Self {
            id: manifest.id.clone(),
            dir: dir.to_owned(),
            config: dir.join("config.json"),
            weights: Vec::new(),
            tokenizer: dir.join("tokenizer.json"),
            manifest: None,
        };
        for file in &manifest.files {
            let path = Manifest::locate(dir, &file.path)?;
            match path.file_name().and_then(|n| n.to_str()) {
                Some("tokenizer.json" | "vocab.txt" | "source.spm" | "spiece.model") => entry.tokenizer = path,
                Some(name) if name.ends_with(".gguf") => {
                    entry.config = path.clone();
                    entry.tokenizer = path.clone();
                    entry.weights.push(path);
                }
                Some(name) if name.ends_with(".safetensors") || name.ends_with(".bin") => entry.weights.push(path),
                _ => {}
            }
        }
        entry.manifest = Some(manifest);
        Ok(entry)
    }

    fn from_checkpoint(dir: &Path) -> Result<Self, ModelError> {
        let first = |names: &[&str]| names.iter().map(|n| dir.join(n)).find(|p| p.is_file());
        let need = |names: &[&str]| first(names).ok_or_else(|| ModelError::Missing(dir.join(names[0])));
        if first(&["config.json"]).is_none()
            && let [path] = ggufs(dir).as_slice()
        {
            return Ok(Self::from_gguf(path));
        }
        let config = need(&["config.json"])?;
        let weights = match first(&["model.safetensors.index.json"]) {
            Some(index) if first(&["model.safetensors"]).is_none() => shards(dir, &index)?,
            _ => vec![need(&["model.safetensors", "pytorch_model.bin"])?],
        };
        // Marian's folders also have a vocab.json, which is no tokenizer by itself.
        let tokenizer = match first(&["source.spm"]) {
            Some(path) => path,
            None => need(&["tokenizer.json", "vocab.txt", "spiece.model", "vocab.json"])?,
        };
        let id = dir.display().to_string();
        Ok(Self { id, dir: dir.to_owned(), manifest: None, config, weights, tokenizer })
    }

    /// Bytes of all weight files.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.iter().filter_map(|p| std::fs::metadata(p).ok()).map(|m| m.len()).sum()
    }

    /// config.json, parsed.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn read_config(&self) -> Result<serde_json::Value, ModelError> {
        if let Some(path) = self.gguf() {
            return Err(ModelError::Language(path.to_owned()));
        }
        let text = std::fs::read_to_string(&self.config).map_err(|e| ModelError::read(&self.config, e))?;
        serde_json::from_str(&text).map_err(|e| ModelError::damaged(&self.config, e))
    }
}

/// The GGUF files of a folder.
fn ggufs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path());
    files.filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))).collect()
}

/// The files named in a sharded checkpoint's index.
fn shards(dir: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let text = std::fs::read_to_string(index).map_err(|e| ModelError::read(index, e))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| ModelError::damaged(index, e))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| ModelError::damaged(index, "no weight_map"))?;
    let mut names: Vec<&str> = map.values().filter_map(|v| v.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|n| Manifest::locate(dir, n)).collect()
}
