//! Files as memory.

use super::ModelError;
use crate::nn::source::Bytes;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

struct Mapped(memmap2::Mmap);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a file into memory.
#[expect(unsafe_code, reason = "a mapped file must not be cut while it is used; model files are not")]
pub(super) fn map(path: &Path) -> Result<Bytes, ModelError> {
    let fail = |e| ModelError::read(path, e);
    let file = File::open(path).map_err(fail)?;
    // SAFETY: see above; the map is read-only and lives as long as any tensor that points into it.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
    Ok(Arc::new(Mapped(map)))
}
