//! Models that a person brings along: a folder, a GGUF file, or a zip archive of a folder.

use super::ModelError;
use super::archive::unpack;
use super::blocks;
use super::card::Card;
use super::entry::short_name;
use super::library::{Library, ModelEntry, Origin};
use super::registry::Added;
use std::path::{Path, PathBuf};

/// Looks at `path` without changing anything: what the model in it is, or why it cannot be used. An archive
/// is looked at when it is added.
///
/// # Errors
/// What is wrong with the files.
pub fn check(path: &Path) -> Result<Card, ModelError> {
    let path = of_interest(path);
    let is_gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    if is_gguf && path.is_file() {
        return Card::of(&ModelEntry::from_gguf(&path));
    }
    if !path.is_dir() {
        return Err(ModelError::damaged(&path, "it is neither a model's folder nor a GGUF file"));
    }
    Card::of(&ModelEntry::open(&path)?)
}

/// Whether `path` is an archive, which has to be unpacked before it can be looked at.
pub fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) && path.is_file()
}

/// A weight file or a configuration stands for its folder.
fn of_interest(path: &Path) -> PathBuf {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match absolute.parent() {
        Some(parent) if path.is_file() && ["safetensors", "bin", "json"].contains(&ending.as_str()) => {
            parent.to_owned()
        }
        _ => absolute,
    }
}

/// Checks `path` and adds it where it lies; an archive is unpacked into our own folder first.
///
/// # Errors
/// What is wrong with the files, or a decision that cannot be kept.
pub fn add(library: &Library, path: &Path) -> Result<Card, ModelError> {
    let mut source = of_interest(path);
    if is_archive(path) {
        let own =
            library.own_folder().ok_or_else(|| ModelError::damaged(path, "there is no folder to unpack it into"))?;
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("model").to_owned();
        let folder = own.join(name);
        std::fs::create_dir_all(&own).map_err(|why| ModelError::Write { path: own.clone(), why })?;
        unpack(path, &folder)?;
        source = inner(&folder);
        if let Err(error) = check(&source) {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(error);
        }
    }
    let card = check(&source)?;
    if source.join("manifest.json").is_file() && library.list().0.iter().any(|e| e.id == card.id) {
        return Ok(card);
    }
    let added =
        Added { path: source.clone(), task: card.task.clone(), name: short_name(&source.display().to_string()) };
    library.decide(|r| {
        r.added.retain(|a| a.path != added.path);
        r.added.push(added);
    })?;
    Ok(Card { id: source.display().to_string(), origin: "added", ..card })
}

/// Archives often hold one folder that holds the model.
fn inner(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
    match (entries.next(), entries.next()) {
        (Some(only), None) => only,
        _ => folder.to_owned(),
    }
}

/// What removing a model did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Deleted from the hub's cache, or from our own folder: bytes freed.
    Deleted(u64),
    /// Forgotten; its files were never ours and are left alone.
    Forgotten,
}

/// Removes a model, and what was decided about it. Quantized copies of it go too.
///
/// # Errors
/// A shipped model, or files that cannot be deleted.
pub fn remove(library: &Library, entry: &ModelEntry) -> Result<Removed, ModelError> {
    if let (Origin::Hub(_) | Origin::Added, Some(folder)) = (&entry.origin, blocks::folder()) {
        blocks::discard(entry, &folder);
    }
    let removed = match (&entry.origin, library.hub()) {
        (Origin::Hub(wanted), Some(hub)) => {
            let freed =
                hub.remove(wanted).map_err(|e| ModelError::Kept { id: entry.id.clone(), why: e.to_string() })?;
            Removed::Deleted(freed)
        }
        (Origin::Added, _) => {
            let own = library.own_folder().and_then(|d| std::fs::canonicalize(d).ok());
            match own.filter(|own| entry.dir.starts_with(own)) {
                Some(own) => {
                    // Ours: unpacked or made here. The folder directly below ours is the model's.
                    let first = entry.dir.strip_prefix(&own).ok().and_then(|p| p.components().next());
                    let folder = first.map_or_else(|| entry.dir.clone(), |c| own.join(c));
                    let bytes = super::card::files(entry).iter().map(|f| f.1).sum();
                    std::fs::remove_dir_all(&folder).map_err(|why| ModelError::Write { path: folder.clone(), why })?;
                    Removed::Deleted(bytes)
                }
                None => Removed::Forgotten,
            }
        }
        _ => {
            let why = "it came with the program".to_owned();
            return Err(ModelError::Kept { id: entry.id.clone(), why });
        }
    };
    library.decide(|r| {
        r.forget(&entry.id);
        r.added.retain(|a| a.path != entry.dir && Some(a.path.as_path()) != entry.gguf());
    })?;
    Ok(removed)
}
