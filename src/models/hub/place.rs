//! Where things lie in the hub's cache: snapshots by commit, names of commits, links to blobs.

use super::names::is_hex;
use super::{Hub, HubError, Wanted};
use crate::models::entry::weights_in;
use crate::models::{index, parts};
use std::path::{Path, PathBuf};

impl Hub {
    /// The snapshot that is here of a repository as it is by itself: what `main` is at, else the newest.
    pub fn snapshot(&self, repo: &str) -> Option<PathBuf> {
        self.at(repo, "main").or_else(|| {
            // A cache that was filled by the name of a commit has no `main`.
            // What has only begun to come has none yet either, and is no model.
            let mut all: Vec<PathBuf> = subfolders(&self.folder(repo).join("snapshots"));
            all.retain(|dir| has_weights(dir));
            all.sort_by_key(|dir| std::fs::metadata(dir).and_then(|m| m.modified()).ok());
            all.pop()
        })
    }

    /// Whether it is known what `main` is at.
    pub fn has_main(&self, repo: &str) -> bool {
        self.at(repo, "main").is_some()
    }

    /// The snapshot that `wanted` means.
    pub fn snapshot_of(&self, wanted: &Wanted) -> Option<PathBuf> {
        match &wanted.revision {
            None => self.snapshot(&wanted.repo),
            Some(revision) => self.at(&wanted.repo, revision),
        }
    }

    /// The snapshot at a branch, a tag or a commit.
    fn at(&self, repo: &str, revision: &str) -> Option<PathBuf> {
        let folder = self.folder(repo);
        let named = std::fs::read_to_string(folder.join("refs").join(revision)).ok();
        let commit = named.as_deref().map_or(revision, str::trim);
        let dir = folder.join("snapshots").join(commit);
        (is_hex(commit) && dir.is_dir()).then_some(dir)
    }

    /// Revisions of a repository that are here beside the one that [`Self::snapshot`] gives.
    pub fn other_revisions(&self, repo: &str) -> Vec<String> {
        let refs = self.folder(repo).join("refs");
        let mut names = Vec::new();
        names_below(&refs, &mut names);
        // Without a `main` there is nothing else that they would be listed as.
        let own = self.at(repo, "main");
        let mut all: Vec<String> = names
            .iter()
            .filter_map(|path| path.strip_prefix(&refs).ok()?.to_str().map(str::to_owned))
            .filter(|name| name != "main" && self.at(repo, name).is_some_and(|dir| Some(&dir) != own.as_ref()))
            .collect();
        all.sort();
        all
    }

    /// Every name of a file in every snapshot of a repository.
    pub fn links(&self, repo: &str) -> Vec<PathBuf> {
        let mut all = Vec::new();
        names_below(&self.folder(repo).join("snapshots"), &mut all);
        all
    }

    /// What belongs to a repository, or to one of its GGUF models: names in all snapshots, and the blobs behind them.
    pub fn files_of(&self, wanted: &Wanted) -> Vec<PathBuf> {
        let folder = self.folder(&wanted.repo);
        let root = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        let Some(own) = wanted.files() else {
            let mut all = Vec::new();
            names_below(&folder, &mut all);
            return all;
        };
        let snapshots = folder.join("snapshots");
        let is_same = |link: &PathBuf| {
            let inner = link.strip_prefix(&snapshots).ok().map(|p| p.components().skip(1).collect::<PathBuf>());
            inner.is_some_and(|inner| own.iter().any(|file| inner == Path::new(file)))
        };
        let mut all: Vec<PathBuf> = self.links(&wanted.repo).into_iter().filter(is_same).collect();
        let blobs = all.iter().filter_map(|l| std::fs::canonicalize(l).ok()).filter(|b| b.starts_with(&root));
        let mut blobs: Vec<PathBuf> = blobs.collect();
        blobs.retain(|b| !all.contains(b));
        blobs.sort();
        blobs.dedup();
        all.extend(blobs);
        all
    }

    /// Removes what is empty of a repository after files went: snapshots without files, then all of it.
    pub fn tidy(&self, repo: &str) {
        let folder = self.folder(repo);
        empty_folders_go(&folder.join("snapshots"));
        if !self.links(repo).is_empty() {
            return;
        }
        // Names of commits without snapshots mean nothing. Blobs that have begun to come are somebody's.
        let _ = std::fs::remove_dir_all(folder.join("refs"));
        for name in ["snapshots", "blobs", ""] {
            let _ = std::fs::remove_dir(folder.join(name));
        }
    }
}

/// Whether a snapshot has weights that are all there.
fn has_weights(snapshot: &Path) -> bool {
    let mut names = Vec::new();
    names_below(snapshot, &mut names);
    let is_weights = |p: &&PathBuf| {
        p.extension().is_some_and(|e| e == "safetensors" || e == "bin" || e.eq_ignore_ascii_case("gguf"))
    };
    let mut weights = names.iter().filter(is_weights).peekable();
    let is_whole = |p: &PathBuf| p.is_file() && parts::check(&parts::of(p)).is_ok();
    let in_parts = index::NAMES.into_iter().any(|name| snapshot.join(name).is_file());
    weights.peek().is_some()
        && weights.all(is_whole)
        && (!in_parts || weights_in(snapshot).and_then(|files| parts::check(&files)).is_ok())
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
    all.filter(|p| p.is_dir()).collect()
}

/// Every file or link below a folder.
pub(super) fn names_below(folder: &Path, all: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path()) {
        if path.is_dir() && !path.is_symlink() { names_below(&path, all) } else { all.push(path) }
    }
}

fn empty_folders_go(folder: &Path) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path()) {
        if path.is_dir() && !path.is_symlink() {
            empty_folders_go(&path);
            let _ = std::fs::remove_dir(&path);
        }
    }
}

/// Puts `name` of a snapshot in place: a relative link to its blob, as Python's library does it.
pub(super) fn link(blob: &Path, snapshot: &Path, name: &str) -> Result<(), HubError> {
    let path = snapshot.join(name);
    let fail = |why| HubError::Write { path: path.clone(), why };
    let parent = path.parent().unwrap_or(snapshot);
    std::fs::create_dir_all(parent).map_err(fail)?;
    let up = "../".repeat(2 + name.matches('/').count());
    let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
    if std::fs::read_link(&path).is_ok_and(|old| old == target) {
        return Ok(());
    }
    // Under another name first: at no time is there none.
    let fresh = tempfile::Builder::new().prefix(".link").tempdir_in(parent).map_err(fail)?;
    let made = fresh.path().join("link");
    std::os::unix::fs::symlink(&target, &made).map_err(fail)?;
    std::fs::rename(&made, &path).map_err(fail)
}
