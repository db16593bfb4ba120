//! Models that a person brings along: a folder, a GGUF file, or a zip archive of a folder.

use super::archive::unpack;
use super::card::Card;
use super::entry::short_name;
use super::library::{Library, ModelEntry};
use super::registry::Added;
use super::{ModelError, parts};
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
        let next = "Name a folder with config.json, tokenizer and weights, a GGUF file, or a zip archive of a folder.";
        let there = if path.exists() { "" } else { "is not there: it " };
        let why = format!("{there}is neither a model's folder nor a GGUF file");
        return Err(ModelError::unfit(&path, why, next));
    }
    Card::of(&ModelEntry::open(&path)?)
}

/// Whether `path` is an archive, which has to be unpacked before it can be looked at.
pub fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) && path.is_file()
}

/// A weight file or a configuration stands for its folder, a part of a GGUF model for the model.
fn of_interest(path: &Path) -> PathBuf {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    // Names count, not what links lead to: the hub's cache calls its files by their hashes.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let absolute = match std::fs::canonicalize(absolute.parent().unwrap_or(&absolute)) {
        Ok(folder) => absolute.file_name().map_or(folder.clone(), |name| folder.join(name)),
        Err(_) => absolute,
    };
    match absolute.parent() {
        Some(parent) if path.is_file() && ["safetensors", "bin", "json"].contains(&ending.as_str()) => {
            parent.to_owned()
        }
        // Any part stands for all.
        _ => parts::first(&absolute),
    }
}

/// Checks `path` and adds it where it lies; an archive is unpacked into our own folder first.
///
/// # Errors
/// What is wrong with the files, or a decision that cannot be kept.
pub fn add(library: &Library, path: &Path) -> Result<Card, ModelError> {
    let (mut source, mut unpacked) = (of_interest(path), None);
    if is_archive(path) {
        let own = library.own_folder().ok_or(ModelError::Undecided)?;
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("model").to_owned();
        let folder = own.join(name);
        std::fs::create_dir_all(&own).map_err(|why| ModelError::Write { path: own.clone(), why })?;
        unpack(path, &folder)?;
        let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
        source = inner(&folder);
        unpacked = Some(folder.clone());
        if let Err(error) = check(&source) {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(nothing_in(path, &folder, error));
        }
    }
    let card = check(&source)?;
    if source.join("manifest.json").is_file() && library.list().0.iter().any(|e| e.id == card.id) {
        return Ok(card);
    }
    if source.to_str().is_none() {
        let why = "has a path that is no text in UTF-8, and cannot be noted";
        return Err(ModelError::unfit(&source, why, "Rename it, or its folder."));
    }
    let name = short_name(&source.display().to_string());
    let added = Added { path: source.clone(), task: card.task.clone(), name, unpacked: unpacked.clone() };
    let noted = library.decide(|r| {
        let before = r.added.iter().position(|a| a.path == added.path).map(|i| r.added.remove(i));
        // Added once more where it lies: it is still what was unpacked.
        let unpacked = added.unpacked.clone().or(before.and_then(|b| b.unpacked));
        r.added.push(Added { unpacked, ..added });
    });
    if let (Err(_), Some(folder)) = (&noted, &unpacked) {
        let _ = std::fs::remove_dir_all(folder);
    }
    noted?;
    Ok(Card { id: source.display().to_string(), origin: "added", ..card })
}

/// What was wrong with an archive's content, said of the archive: what was unpacked of it is gone.
fn nothing_in(archive: &Path, folder: &Path, error: ModelError) -> ModelError {
    match error {
        ModelError::Missing(path) => {
            let inner = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let next = "Pack a folder with config.json, tokenizer and weights, or a GGUF file.";
            ModelError::unfit(archive, format!("holds no whole model: '{inner}' is missing"), next)
        }
        error => {
            let why = format!("holds no model that can be used: {error}");
            ModelError::unfit(archive, why, crate::error::UserMessage::from(error).next)
        }
    }
}

/// Archives often hold one folder that holds the model.
fn inner(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
    match (entries.next(), entries.next()) {
        (Some(only), None) => only,
        _ => folder.to_owned(),
    }
}
