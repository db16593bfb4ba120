//! Unpacks a zip archive with a model into a folder of ours, and nothing anywhere else.

use super::ModelError;
use super::refusal::short;
use crate::disk;
use std::io::Read as _;
use std::path::{Component, Path};

/// Most files of an archive.
const MOST_FILES: usize = 1_000;

/// Unpacks `archive` into `folder`, which must not exist yet. Everything is looked at before the first byte is
/// written; after a failure nothing remains.
///
/// # Errors
/// A file whose path leads outside, a link, a damaged archive, or too little room.
pub fn unpack(archive: &Path, folder: &Path) -> Result<(), ModelError> {
    let damaged = |why: String| ModelError::damaged(archive, why);
    let file = std::fs::File::open(archive).map_err(|e| ModelError::read(archive, e))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| damaged(format!("it is no zip archive ({e})")))?;
    if zip.len() > MOST_FILES {
        let why = format!("has {} files, a model has fewer", zip.len());
        return Err(ModelError::unfit(archive, why, "Unpack it, and add the model's folder."));
    }
    let mut total = 0u64;
    for i in 0..zip.len() {
        let entry = zip.by_index(i).map_err(|e| damaged(e.to_string()))?;
        let is_plain = |p: &Path| p.components().all(|c| matches!(c, Component::Normal(_)));
        let name = entry.name().map_err(|e| damaged(e.to_string()))?.into_owned();
        if !is_plain(Path::new(&name)) || name.contains(['\\', '\0']) || entry.is_symlink() {
            let why = format!("holds '{}', which leads outside of its folder: nothing was unpacked", short(&name));
            return Err(ModelError::unfit(
                archive,
                why,
                "Take the model from elsewhere: no archive of a model needs that.",
            ));
        }
        total = total.saturating_add(entry.size());
    }
    if disk::free(folder).is_some_and(|free| total.saturating_add(64 << 20) > free) {
        let why = format!("unpacks to {} MB, which the disk has no room for", total / 1_000_000);
        return Err(ModelError::unfit(
            archive,
            why,
            "Remove a model, or unpack it on another disk and add the folder.",
        ));
    }
    if folder.exists() {
        let why = format!("was unpacked before: '{}' is there already", folder.display());
        return Err(ModelError::unfit(archive, why, "Add that folder, or give the archive another name."));
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    let place = tempfile::Builder::new().prefix(".unpacking").tempdir_in(parent);
    let place = place.map_err(|why| ModelError::Write { path: parent.to_owned(), why })?;
    let fresh = place.path().join("model");
    std::fs::create_dir(&fresh).map_err(|why| ModelError::Write { path: fresh.clone(), why })?;
    (0..zip.len()).try_for_each(|i| write(&mut zip, i, &fresh)).map_err(damaged)?;
    std::fs::rename(&fresh, folder).map_err(|why| ModelError::Write { path: folder.to_owned(), why })?;
    disk::sync_folder(parent);
    Ok(())
}

fn write(zip: &mut zip::ZipArchive<std::fs::File>, index: usize, folder: &Path) -> Result<(), String> {
    let mut entry = zip.by_index(index).map_err(|e| e.to_string())?;
    let name = entry.name().map_err(|e| e.to_string())?.into_owned();
    let path = folder.join(&name);
    if entry.is_dir() {
        return std::fs::create_dir_all(&path).map_err(|e| e.to_string());
    }
    std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(|e| e.to_string())?;
    let mut file = std::fs::File::create(&path).map_err(|e| e.to_string())?;
    let promised = entry.size();
    // What an entry says of its size was added up before; it gets no more than that.
    let count =
        std::io::copy(&mut entry.by_ref().take(promised.saturating_add(1)), &mut file).map_err(|e| e.to_string())?;
    file.sync_all().map_err(|e| e.to_string())?;
    if count == promised { Ok(()) } else { Err(format!("'{name}' has another size than it says")) }
}
