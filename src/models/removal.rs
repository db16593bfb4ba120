//! Removing a model: exactly its own files, told before, with what others use spared.

use super::ModelError;
use super::blocks;
use super::library::{Library, ModelEntry, Origin};
use serde::Serialize;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What removing a model will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removal {
    pub id: String,
    /// Files and links that go.
    pub files: Vec<PathBuf>,
    /// Bytes that this frees.
    pub bytes: u64,
    /// Files that stay, since another model uses them.
    pub shared: Vec<PathBuf>,
    /// Whether it is only taken off the list: its files were never ours.
    pub only_forgotten: bool,
    /// Folders that go when they are empty then, innermost first.
    #[serde(skip)]
    folders: Vec<PathBuf>,
}

/// A file by what it is, not by its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// Every file that a model is read from.
fn used(entry: &ModelEntry) -> Vec<PathBuf> {
    let mut all = vec![entry.config.clone(), entry.tokenizer.clone()];
    all.extend(entry.weights.iter().cloned());
    if entry.gguf().is_none() {
        all.extend(super::quantized::companions(entry));
        let more = super::index::NAMES.into_iter().chain(["modules.json"]);
        all.extend(more.map(|name| entry.dir.join(name)).filter(|p| p.is_file()));
    }
    all.sort();
    all.dedup();
    all
}

/// All files and links below a folder, and the folders, innermost first.
fn below(folder: &Path, files: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path()) {
        // A link to a folder is a link: what it points to is not ours.
        if path.is_dir() && !path.is_symlink() {
            below(&path, files, folders);
        } else {
            files.push(path);
        }
    }
    folders.push(folder.to_owned());
}

/// What removing `entry` will do. Changes nothing.
///
/// # Errors
/// [`ModelError::Kept`] for a model that came with the program.
pub fn plan(library: &Library, entry: &ModelEntry) -> Result<Removal, ModelError> {
    let mut removal = Removal { id: entry.id.clone(), ..Removal::default() };
    match (&entry.origin, library.hub()) {
        (Origin::Hub(wanted), Some(hub)) => removal.files = hub.files_of(wanted),
        (Origin::Added, _) => of_added(library, entry, &mut removal),
        (Origin::Path, _) => {
            let why = "it is not on the list of models, and its files are not Glossa's".to_owned();
            return Err(ModelError::Kept { id: entry.id.clone(), why });
        }
        _ => {
            let why = "it came with the program".to_owned();
            return Err(ModelError::Kept { id: entry.id.clone(), why });
        }
    }
    spare_shared(library, entry, &mut removal);
    let mut counted = BTreeSet::new();
    for path in &removal.files {
        // A link and its blob are one.
        let Ok(meta) = std::fs::symlink_metadata(path) else { continue };
        if meta.is_file() && counted.insert((meta.dev(), meta.ino())) {
            removal.bytes += meta.len();
        }
    }
    Ok(removal)
}

fn of_added(library: &Library, entry: &ModelEntry, removal: &mut Removal) {
    let own = library.own_folder().and_then(|d| std::fs::canonicalize(d).ok());
    let lies = std::fs::canonicalize(entry.gguf().unwrap_or(&entry.dir)).unwrap_or_else(|_| entry.dir.clone());
    let Some(own) = own.filter(|own| lies.starts_with(own)) else {
        removal.only_forgotten = true;
        return;
    };
    let registry = library.registry();
    let is_own = |path: &Path| path == entry.dir || Some(path) == entry.gguf();
    // What we unpacked is the model's as a whole, unless another was added from it.
    let unpacked = registry.added.iter().find(|a| is_own(&a.path)).and_then(|a| a.unpacked.clone());
    let is_whole = |folder: &PathBuf| {
        let others = registry.added.iter().filter(|a| !is_own(&a.path));
        let in_own = folder.parent().is_some_and(|p| std::fs::canonicalize(p).is_ok_and(|p| p == own));
        in_own && others.map(|a| &a.path).all(|p| !p.starts_with(folder))
    };
    if let Some(folder) = unpacked.filter(is_whole) {
        below(&folder, &mut removal.files, &mut removal.folders);
        return;
    }
    removal.files = used(entry);
    let mut folder = entry.dir.clone();
    while folder.starts_with(&own) && folder != own {
        removal.folders.push(folder.clone());
        if !folder.pop() {
            break;
        }
    }
}

/// Leaves out what another model is read from: by its name, by a link, or as a blob that two names share.
fn spare_shared(library: &Library, entry: &ModelEntry, removal: &mut Removal) {
    let mut theirs = BTreeSet::new();
    let mut names = BTreeSet::new();
    for other in library.list().0.iter().filter(|o| o.id != entry.id) {
        for path in used(other) {
            theirs.extend(identity(&path));
            names.insert(path);
        }
    }
    if let (Origin::Hub(wanted), Some(hub)) = (&entry.origin, library.hub()) {
        let own: BTreeSet<&PathBuf> = removal.files.iter().collect();
        let other_links = hub.links(&wanted.repo).into_iter().filter(|link| !own.contains(link));
        theirs.extend(other_links.filter_map(|link| identity(&link)));
    }
    let (mut go, mut stay) = (Vec::new(), Vec::new());
    for path in std::mem::take(&mut removal.files) {
        let is_link = path.is_symlink();
        // A link of ours goes even where the file behind it stays.
        let is_shared = names.contains(&path) || !is_link && identity(&path).is_some_and(|own| theirs.contains(&own));
        if is_shared { stay.push(path) } else { go.push(path) }
    }
    (removal.files, removal.shared) = (go, stay);
}

/// Does it, and forgets what was decided about the model. Quantized copies of it go too.
///
/// # Errors
/// Files that cannot be deleted: then the model stays on the list.
pub fn carry_out(library: &Library, entry: &ModelEntry, removal: &Removal) -> Result<(), ModelError> {
    // By the weights' hash: before they go, and only if no other model has the same.
    if let (true, Some(folder)) = (removal.shared.is_empty(), blocks::folder()) {
        blocks::discard(entry, &folder);
    }
    for path in &removal.files {
        match std::fs::remove_file(path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                return Err(ModelError::Write { path: path.clone(), why });
            }
            _ => {}
        }
    }
    // Only what is empty.
    for folder in &removal.folders {
        let _ = std::fs::remove_dir(folder);
    }
    if let (Origin::Hub(wanted), Some(hub)) = (&entry.origin, library.hub()) {
        hub.tidy(&wanted.repo);
    }
    forget(library, &entry.id, &[entry.dir.clone(), entry.gguf().unwrap_or(&entry.dir).to_owned()])
}

/// Takes a model off the list whose files are gone. Whether there was one.
///
/// # Errors
/// What the file system says.
pub fn forget_missing(library: &Library, id: &str) -> Result<bool, ModelError> {
    let path = Path::new(id);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(gone) = library.missing().into_iter().find(|a| a.path == path || a.path == absolute || a.name == id)
    else {
        return Ok(false);
    };
    forget(library, &gone.path.display().to_string(), &[gone.path])?;
    Ok(true)
}

fn forget(library: &Library, id: &str, paths: &[PathBuf]) -> Result<(), ModelError> {
    let forgotten = library.decide(|r| {
        r.forget(id);
        r.added.retain(|a| !paths.contains(&a.path));
    });
    // Where nothing is noted there is nothing to forget.
    if matches!(forgotten, Err(ModelError::Undecided)) { Ok(()) } else { forgotten }
}

impl Removal {
    /// What will happen, in lines for people.
    pub fn words(&self) -> Vec<String> {
        if self.only_forgotten {
            return vec!["it is taken off the list; its files were never Glossa's and stay".into()];
        }
        let mut lines: Vec<String> = self.files.iter().map(|p| format!("delete {}", shown(p))).collect();
        lines.extend(self.shared.iter().map(|p| format!("keep   {} (another model uses it)", shown(p))));
        lines
    }
}

fn shown(path: &Path) -> String {
    format!("'{}'", path.display().to_string().escape_debug())
}
