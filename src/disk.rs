//! The one way to write a file: whole or not at all, where it was asked for, and by one program at a time.

mod lock;
mod replace;

pub use lock::{Held, Lock, holder};
pub use replace::{replace, sync_folder, target_of, write_whole};

use std::io;
use std::path::{Path, PathBuf};

/// Bytes that can still be written where `path` is, or its nearest folder that exists. `None` if the system
/// does not tell.
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The first of `outputs` that is one of `inputs`, by whatever name or link.
pub fn same_file(inputs: &[PathBuf], outputs: &[PathBuf]) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let file = |p: &PathBuf| std::fs::metadata(p).ok().filter(|m| m.is_file()).map(|m| (m.dev(), m.ino()));
    let read: Vec<(u64, u64)> = inputs.iter().filter_map(file).collect();
    outputs.iter().find(|out| file(out).is_some_and(|id| read.contains(&id))).cloned()
}

/// What was found where a file should be.
#[derive(Debug)]
pub enum Found<T> {
    Nothing,
    Read(T),
    /// It is there and cannot be understood: why.
    Damaged(String),
    /// It is there and cannot be read now.
    Unreadable(io::Error),
}

/// Reads a JSON file and tells apart what must never be confused: nothing there, and nothing understood.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Found<T> {
    match read_bounded(path, MOST) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_or_else(|e| Found::Damaged(e.to_string()), Found::Read),
        // Below a file there is nothing either.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Found::Nothing,
        Err(e) => Found::Unreadable(e),
    }
}

/// Most bytes of a JSON file of our own.
const MOST: u64 = 128 << 20;

/// A file's bytes: never those of a pipe, which would be waited for, and never more than `most`.
///
/// # Errors
/// What the file system says, or in our own words that it is no file, or too large.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it is larger than any such file ({} MB)", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Keeps a copy of a file that cannot be understood beside it, under a name that nothing has: `NAME.damaged`, or with a
/// number.
///
/// # Errors
/// What the file system says: then the file must not be replaced.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = read_bounded(path, MOST)?;
    for number in 0..1_000 {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let copy = path.with_file_name(format!("{name}.damaged{suffix}"));
        match read_bounded(&copy, MOST) {
            Ok(same) if same == bytes => return Ok(copy),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                write_whole(&copy, &bytes)?;
                return Ok(copy);
            }
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("there are a thousand damaged copies already"))
}

/// Reads a JSON file, changes what is in it and writes it, while nobody else does. What cannot be understood is set
/// aside first, what cannot be read is left alone.
///
/// # Errors
/// What the file system says, or who holds the file.
pub fn update_json<T>(path: &Path, change: impl FnOnce(&mut T)) -> io::Result<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Default,
{
    try_update_json(path, |value| {
        change(value);
        Ok(())
    })
}

/// The same with a change that may fail: then nothing is written.
///
/// # Errors
/// As there, or what `change` says.
pub fn try_update_json<T>(path: &Path, change: impl FnOnce(&mut T) -> io::Result<()>) -> io::Result<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Default,
{
    let _lock = Lock::take(path)?;
    let before = match read_json::<T>(path) {
        Found::Read(value) => Some(value),
        Found::Nothing => None,
        Found::Damaged(why) => {
            let copy = set_aside(path)?;
            tracing::error!(why, path = ?path, copy = ?copy, "a file cannot be understood; a copy of it is kept");
            None
        }
        Found::Unreadable(e) => return Err(e),
    };
    let bytes = serde_json::to_vec(&before.as_ref()).map_err(io::Error::other)?;
    let mut value = before.unwrap_or_default();
    change(&mut value)?;
    if serde_json::to_vec(&value).map_err(io::Error::other)? != bytes {
        write_whole(path, &serde_json::to_vec_pretty(&value).map_err(io::Error::other)?)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_kept_and_what_cannot_be_read_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("list.json");
        std::fs::write(&path, "[1, 2").expect("file");
        let add = |n: u32| move |all: &mut Vec<u32>| all.push(n);
        assert_eq!(update_json(&path, add(5)).expect("written"), [5]);
        let copy = folder.path().join("list.json.damaged");
        assert_eq!(std::fs::read_to_string(&copy).expect("copy"), "[1, 2");
        std::fs::write(&path, "other").expect("file");
        assert_eq!(update_json(&path, add(6)).expect("written"), [6]);
        assert_eq!(std::fs::read_to_string(&copy).expect("copy"), "[1, 2", "the first copy stays");
        assert_eq!(std::fs::read_to_string(folder.path().join("list.json.damaged-1")).expect("copy"), "other");
        // A folder in its place: there is something, and it cannot be read.
        std::fs::remove_file(&path).expect("gone");
        std::fs::create_dir(&path).expect("folder");
        assert!(update_json(&path, add(7)).is_err());
        assert!(path.is_dir());
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("list.json");
        std::thread::scope(|s| {
            for n in 0..16u32 {
                let path = &path;
                s.spawn(move || update_json(path, |all: &mut Vec<u32>| all.push(n)).expect("written"));
            }
        });
        let Found::Read(mut all) = read_json::<Vec<u32>>(&path) else { panic!("readable") };
        all.sort_unstable();
        assert_eq!(all, (0..16).collect::<Vec<_>>());
    }
}
