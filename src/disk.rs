//! Writing files so that a crash leaves the old content or the new, never a half.

use std::io::{self, Write as _};
use std::path::Path;

/// Bytes that can still be written where `path` is, or its nearest folder that exists. `None` if the system
/// does not tell.
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Writes `bytes` beside `path` and renames; makes the folder if it is missing.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(bytes)?;
        // On the disk before it takes the old one's name: a power cut leaves one of the two.
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
