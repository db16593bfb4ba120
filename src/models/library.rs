//! Where models are looked for, and which are there.

use super::catalogue;
use super::entry::ggufs_below;
pub use super::entry::{ModelEntry, Origin};
use super::hub::{Hub, Wanted};
use super::registry::{Added, Registry};
use super::{ModelError, parts};
use std::path::{Path, PathBuf};

/// The folders that models are found in, in order of preference, the hub's cache, and what was decided about
/// models.
#[derive(Clone, Debug, Default)]
pub struct Library {
    roots: Vec<PathBuf>,
    hub: Option<Hub>,
    registry: Option<PathBuf>,
}

impl Library {
    /// `explicit` alone if given (`--models DIR`), else `GLOSSA_MODELS` alone, else: beside the
    /// executable and above it (a source tree's target folder), the source tree this binary was
    /// built from, the user's data folder; and with these the hub's cache and what was added.
    pub fn find(explicit: Option<&Path>) -> Self {
        if let Some(dir) = explicit {
            return Self { roots: vec![dir.to_owned()], ..Self::default() };
        }
        if let Some(dir) = std::env::var_os("GLOSSA_MODELS").filter(|d| !d.is_empty()) {
            return Self { roots: vec![dir.into()], ..Self::default() };
        }
        let mut candidates = Vec::new();
        if let Ok(exe) = std::env::current_exe() {
            candidates.extend(exe.ancestors().skip(1).take(4).map(|d| d.join("models")));
        }
        candidates.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
        candidates.push(PathBuf::from("models"));
        let dirs = directories::ProjectDirs::from("", "", "glossa");
        candidates.extend(dirs.as_ref().map(|d| d.data_dir().join("models")));
        let mut roots: Vec<PathBuf> = Vec::new();
        for dir in candidates.into_iter().filter(|d| d.is_dir()) {
            let dir = std::fs::canonicalize(&dir).unwrap_or(dir);
            if !roots.contains(&dir) {
                roots.push(dir);
            }
        }
        let registry = dirs.map(|d| d.data_dir().join("library.json"));
        Self { roots, hub: Some(Hub::from_env()), registry }
    }

    /// With a hub whose cache is looked through too.
    #[must_use]
    pub fn with_hub(self, hub: Hub) -> Self {
        Self { hub: Some(hub), ..self }
    }

    /// With a file for what is decided about models.
    #[must_use]
    pub fn with_registry(self, path: PathBuf) -> Self {
        Self { registry: Some(path), ..self }
    }

    /// The folders that exist and are searched.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The hub that models come from.
    pub fn hub(&self) -> Option<&Hub> {
        self.hub.as_ref()
    }

    /// The same; where the library looks at none, the environment's.
    pub fn hub_or_env(&self) -> Hub {
        self.hub.clone().unwrap_or_else(Hub::from_env)
    }

    /// What was decided about models.
    pub fn registry(&self) -> Registry {
        self.registry.as_deref().map(|path| Registry::read(path).0).unwrap_or_default()
    }

    /// Changes what was decided.
    ///
    /// # Errors
    /// What the file system says, or that there is no file for decisions.
    pub fn decide(&self, change: impl FnOnce(&mut Registry)) -> Result<(), ModelError> {
        let Some(path) = &self.registry else { return Err(ModelError::Undecided) };
        Registry::update(path, change)
    }

    /// Where measurements are noted: beside what was decided.
    pub fn measurements(&self) -> Option<PathBuf> {
        self.registry.as_deref().and_then(Path::parent).map(|d| d.join("measured.json"))
    }

    /// Where unpacked archives and quantized models go.
    pub fn own_folder(&self) -> Option<PathBuf> {
        self.registry.as_deref().and_then(Path::parent).map(|d| d.join("models"))
    }

    /// All models: shipped, added, and of the hub's cache, each sorted by id. What is damaged comes as
    /// errors, so that a person hears of it.
    pub fn list(&self) -> (Vec<ModelEntry>, Vec<ModelError>) {
        let (mut found, mut errors) = (Vec::<ModelEntry>::new(), Vec::new());
        let mut take = |entries: Vec<Result<ModelEntry, ModelError>>| {
            let mut fresh = Vec::new();
            for entry in entries {
                match entry {
                    Ok(entry) if found.iter().chain(&fresh).all(|e| e.id != entry.id) => fresh.push(entry),
                    Ok(_) => {}
                    Err(error) => errors.push(error),
                }
            }
            fresh.sort_by(|a, b| a.id.cmp(&b.id));
            found.extend(fresh);
        };
        take(self.shipped());
        let (registry, problem) = self.registry.as_deref().map(Registry::read).unwrap_or_default();
        let there = registry.added.iter().filter(|a| !a.is_missing());
        take(there.map(ModelEntry::from_added).collect());
        take(problem.into_iter().map(Err).collect());
        take(self.cached().into_iter().map(Ok).collect());
        (found, errors)
    }

    /// Models that were added and whose files are gone: on the list, and no reason to complain at every start.
    pub fn missing(&self) -> Vec<Added> {
        self.registry().added.into_iter().filter(Added::is_missing).collect()
    }

    fn shipped(&self) -> Vec<Result<ModelEntry, ModelError>> {
        let folders = self.roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
        let folders = folders.map(|f| f.path()).filter(|dir| dir.join("manifest.json").is_file());
        folders.map(|dir| ModelEntry::from_manifest(&dir)).collect()
    }

    fn cached(&self) -> Vec<ModelEntry> {
        let Some(hub) = &self.hub else { return Vec::new() };
        let folders = std::fs::read_dir(hub.cache()).into_iter().flatten().flatten();
        let mut all = Vec::new();
        for folder in folders {
            let name = folder.file_name();
            let Some(repo) = name.to_str().and_then(|n| n.strip_prefix("models--")).map(|n| n.replace("--", "/"))
            else {
                continue;
            };
            let own = Wanted::of(&repo);
            let others = hub.other_revisions(&repo).into_iter();
            let others = others.map(|revision| Wanted { revision: Some(revision), ..own.clone() });
            // A cache without `main` lists its models by the revisions that it has, if they have names.
            let others: Vec<Wanted> = others.collect();
            let is_plain = others.is_empty() || hub.has_main(&repo);
            for wanted in is_plain.then(|| own.clone()).into_iter().chain(others) {
                let Some(snapshot) = hub.snapshot_of(&wanted) else { continue };
                if snapshot.join("config.json").is_file() {
                    all.extend(ModelEntry::from_hub(wanted, &snapshot));
                    continue;
                }
                for path in parts::models(ggufs_below(&snapshot, 4)) {
                    let Some(file) = path.strip_prefix(&snapshot).ok().and_then(|p| p.to_str()) else { continue };
                    let wanted = Wanted { file: Some(file.to_owned()), ..wanted.clone() };
                    all.extend(ModelEntry::from_hub(wanted, &snapshot));
                }
            }
        }
        all
    }

    /// The default for `task`, with `entries` as what is here: what was chosen, unless it has gone since, else
    /// the first.
    pub fn default_id(&self, entries: &[ModelEntry], registry: &Registry, task: &str) -> Option<String> {
        let is_here = |id: &String| entries.iter().any(|e| e.id == *id) || Path::new(id).exists();
        let chosen = registry.defaults.get(task).filter(|id| is_here(id)).cloned();
        chosen.or_else(|| entries.iter().find(|e| e.task() == Some(task)).map(|e| e.id.clone()))
    }

    /// The model called `wanted` (an id, a hub's id, a folder or a GGUF file), or if nothing is named the
    /// default for `task`, which is what was chosen, else the first that is there.
    ///
    /// # Errors
    /// [`ModelError::NotFound`], [`ModelError::NotHere`], or what is wrong with the folder.
    pub fn resolve(&self, wanted: Option<&str>, task: &str) -> Result<ModelEntry, ModelError> {
        let (models, mut errors) = self.list();
        let chosen = if wanted.is_none() { self.default_id(&models, &self.registry(), task) } else { None };
        // As a variable gives it that is not set.
        if wanted.is_some_and(|w| w.trim().is_empty()) {
            return Err(ModelError::Unnamed);
        }
        // Any part of a model stands for all of it.
        let whole = wanted.and_then(parts::first_name);
        let wanted = whole.as_deref().or(wanted);
        if let Some(wanted) = wanted.or(chosen.as_deref()) {
            let known = catalogue::find(wanted);
            let same = |m: &&ModelEntry| m.id == wanted || known.is_some_and(|k| k.id == m.id);
            if let Some(entry) = models.iter().find(same) {
                return Ok(entry.clone());
            }
            let path = Path::new(wanted);
            // The same by a relative path, or by what follows a link to its folder.
            let whole = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_default();
            if let Some(entry) = models.iter().find(|m| Path::new(&m.id) == whole) {
                return Ok(entry.clone());
            }
            if let Some(entry) = at_path(path) {
                return entry;
            }
            // Another revision, by the name that it was got by.
            let named = Wanted::parse(wanted).ok().filter(|w| w.revision.is_some());
            if let (Some(hub), Some(named)) = (&self.hub, named)
                && let Some(snapshot) = hub.snapshot_of(&named)
                && named.file.as_ref().is_none_or(|file| snapshot.join(file).is_file())
                && let Some(entry) = ModelEntry::from_hub(named, &snapshot)
            {
                return Ok(entry);
            }
            if let Some(known) = known {
                return Err(ModelError::NotHere { id: known.id.clone(), name: known.name.clone() });
            }
            if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
                return Err(ModelError::Missing(path.to_owned()));
            }
        }
        if wanted.is_none() && !errors.is_empty() {
            return Err(errors.remove(0));
        }
        let wanted = wanted.map_or_else(|| format!("for {task}"), str::to_owned);
        Err(ModelError::NotFound { wanted, searched: self.roots.clone() })
    }
}

/// The model at a path: a folder, or a GGUF file, or what is there of one in parts; `None` if there is nothing.
fn at_path(path: &Path) -> Option<Result<ModelEntry, ModelError>> {
    if path.is_dir() {
        return Some(ModelEntry::open(path));
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && path.is_file() {
        return Some(Ok(ModelEntry::from_gguf(path)));
    }
    // Of a part that is missing the others are told.
    let files = parts::of(path);
    let is_part = files.len() > 1 && files.iter().any(|f| f.is_file());
    is_part.then(|| parts::check(&files)).and_then(Result::err).map(Err)
}
