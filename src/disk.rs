//! Writing files so that a crash leaves the old content or the new, never a half.

use std::io;
use std::path::Path;

/// Writes `bytes` beside `path` and renames; makes the folder if it is missing.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(&fresh, path)
}
