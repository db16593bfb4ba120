//! Checks files against their manifest: sizes always, hashes once per file version.

use super::ModelError;
use super::manifest::Manifest;
use crate::disk::update_json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Remembers which file versions (path, size, time of change) had the right hash.
///
/// Where the memory cannot be written (a read-only home), files are simply hashed again.
pub struct Verifier {
    memory: Option<PathBuf>,
    known: BTreeMap<String, String>,
}

impl Verifier {
    /// With its memory in `folder`, if there is one.
    pub fn new(folder: Option<&Path>) -> Self {
        let memory = folder.map(|f| f.join("verified.json"));
        let known = memory
            .as_deref()
            .and_then(|p| std::fs::read(p).ok())
            .and_then(|b| serde_json::from_slice(&b).ok())
            .unwrap_or_default();
        Self { memory, known }
    }

    /// Checks every file of `manifest`, whose folder is `dir`. `stop` is asked between blocks.
    ///
    /// # Errors
    /// The first file that is missing, has another size or another hash.
    pub fn check(&mut self, dir: &Path, manifest: &Manifest, stop: &dyn Fn() -> bool) -> Result<(), ModelError> {
        let mut learned = false;
        for entry in &manifest.files {
            let path = Manifest::locate(dir, &entry.path)?;
            let meta = std::fs::metadata(&path).map_err(|e| ModelError::read(&path, e))?;
            if meta.len() != entry.size {
                let (expected, found) = (entry.size, meta.len());
                return Err(ModelError::Size { path, expected, found });
            }
            let key = version(&path, &meta);
            if self.known.get(&key) == Some(&entry.sha256) {
                continue;
            }
            if sha256(&path, stop)? != entry.sha256 {
                return Err(ModelError::Hash(path));
            }
            self.known.insert(key, entry.sha256.clone());
            learned = true;
        }
        if learned {
            self.remember();
        }
        Ok(())
    }

    /// The SHA-256 of a file, computed once per file version.
    ///
    /// # Errors
    /// A file that cannot be read, or [`ModelError::Stopped`].
    pub fn hash_of(&mut self, path: &Path, stop: &dyn Fn() -> bool) -> Result<String, ModelError> {
        let meta = std::fs::metadata(path).map_err(|e| ModelError::read(path, e))?;
        let key = version(path, &meta);
        if let Some(hash) = self.known.get(&key) {
            return Ok(hash.clone());
        }
        let hash = sha256(path, stop)?;
        self.known.insert(key, hash.clone());
        self.remember();
        Ok(hash)
    }

    fn remember(&mut self) {
        let Some(path) = &self.memory else { return };
        // What others have learned meanwhile stays.
        let fresh = self.known.clone();
        match update_json(path, |all: &mut BTreeMap<String, String>| all.extend(fresh)) {
            Ok(all) => self.known = all,
            Err(error) => tracing::debug!(%error, path = ?path, "hashes are not remembered"),
        }
    }
}

/// A file as it is now: path, size, time of change.
fn version(path: &Path, meta: &std::fs::Metadata) -> String {
    let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    format!("{}|{}|{}", absolute.display(), meta.len(), changed.map_or(0, |d| d.as_nanos()))
}

/// Hexadecimal SHA-256 of a file.
///
/// # Errors
/// A file that cannot be read, or [`ModelError::Stopped`].
pub fn sha256(path: &Path, stop: &dyn Fn() -> bool) -> Result<String, ModelError> {
    let fail = |e| ModelError::read(path, e);
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut block = vec![0u8; 1 << 20];
    loop {
        if stop() {
            return Err(ModelError::Stopped);
        }
        let count = file.read(&mut block).map_err(fail)?;
        if count == 0 {
            break;
        }
        hash.update(&block[..count]);
    }
    Ok(hex(&hash.finalize()))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
