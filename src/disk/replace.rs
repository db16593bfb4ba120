//! Replacing a file so that a crash leaves the old content or the new, never a half.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Links that lead on to a file, at most.
const MOST_LINKS: usize = 40;

/// Where a path leads by symbolic links, whether anything is there or not.
///
/// # Errors
/// Links in a circle.
pub fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&at) {
            Ok(to) => at = at.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Whether a path is to be written in place: a device, a pipe, or what a program's own open files are called.
fn is_stream(path: &Path) -> bool {
    let is_special = std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir());
    is_special || path.starts_with("/dev") || path.starts_with("/proc")
}

/// Has `write` fill a new file (which is at the path given) beside `path`, puts it on the disk and gives it the name.
/// Symbolic links are followed, an existing file's mode and owner stay, devices and pipes are written in place. Missing
/// folders are made.
///
/// # Errors
/// What the file system or `write` says; then what was there is there still.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut File, &Path) -> io::Result<T>) -> io::Result<T> {
    if is_stream(path) {
        let mut file = OpenOptions::new().write(true).open(path)?;
        return write(&mut file, path).and_then(|done| file.flush().map(|()| done));
    }
    let target = target_of(path)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&folder)?;
    let old = match std::fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        Ok(meta) => Some(meta),
        Err(_) => None,
    };
    // A file that nobody may write is not to be replaced either.
    if old.is_some() {
        OpenOptions::new().write(true).open(&target)?;
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let prefix: String = name.chars().take(48).collect();
    let mut builder = tempfile::Builder::new();
    let (prefix, mode) = (format!(".{prefix}."), Permissions::from_mode(0o666));
    let made = builder.prefix(&prefix).suffix(".part").permissions(mode).tempfile_in(&folder);
    let mut fresh = match made {
        Ok(fresh) => fresh,
        // A folder that takes no new file, with a file in it that may be written.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && old.is_some() => {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&target)?;
            return write(&mut file, &target).and_then(|done| file.sync_all().map(|()| done));
        }
        Err(e) => return Err(e),
    };
    let at = fresh.path().to_owned();
    let done = write(fresh.as_file_mut(), &at)?;
    if let Some(old) = old {
        std::fs::set_permissions(&at, Permissions::from_mode(old.mode() & 0o7777))?;
        // Another owner's file stays theirs, where the system lets us.
        let _ = std::os::unix::fs::chown(&at, Some(old.uid()), Some(old.gid()));
    }
    // On the disk before it takes the old one's name: a power cut leaves one of the two. By its path, since `write`
    // may have opened it anew.
    File::open(&at)?.sync_all()?;
    fresh.persist(&target).map_err(|e| e.error)?;
    sync_folder(&folder);
    Ok(done)
}

/// Puts a folder's names on the disk. Some file systems cannot; they keep order by themselves.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Writes `bytes` as [`replace`] does.
///
/// # Errors
/// As there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file, _| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).expect("text")
    }

    #[test]
    fn neighbours_links_and_modes_stay() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        for foreign in ["data.new", "data.part", ".data.csv.part", "data.csv.tmp"] {
            std::fs::write(at(foreign), "foreign").expect("file");
        }
        std::fs::write(at("real.csv"), "old").expect("file");
        std::fs::set_permissions(at("real.csv"), Permissions::from_mode(0o600)).expect("mode");
        std::os::unix::fs::symlink("real.csv", at("data.csv")).expect("link");
        write_whole(&at("data.csv"), b"new").expect("written");
        assert_eq!(text(&at("real.csv")), "new");
        assert!(std::fs::symlink_metadata(at("data.csv")).expect("link").is_symlink());
        assert_eq!(std::fs::metadata(at("real.csv")).expect("file").mode() & 0o777, 0o600);
        for foreign in ["data.new", "data.part", ".data.csv.part", "data.csv.tmp"] {
            assert_eq!(text(&at(foreign)), "foreign");
        }
        // A link to nothing makes what it points to.
        std::os::unix::fs::symlink("later.csv", at("dangling")).expect("link");
        write_whole(&at("dangling"), b"here").expect("written");
        assert_eq!(text(&at("later.csv")), "here");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 8, "nothing else is left");
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.json");
        std::fs::write(&path, "old").expect("file");
        let failed = replace::<()>(&path, |file, _| {
            file.write_all(b"half")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(text(&path), "old");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1);
        assert!(write_whole(folder.path(), b"x").is_err(), "a folder is no file");
        std::os::unix::fs::symlink("b", folder.path().join("a")).expect("link");
        std::os::unix::fs::symlink("a", folder.path().join("b")).expect("link");
        assert!(write_whole(&folder.path().join("a"), b"x").is_err(), "a circle");
    }

    #[test]
    fn devices_and_pipes_are_written_in_place() {
        write_whole(Path::new("/dev/null"), b"gone").expect("written");
        assert!(!std::fs::metadata("/dev/null").expect("device").is_file());
        let folder = tempfile::tempdir().expect("folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                File::open(pipe).expect("pipe").read_to_string(&mut text).expect("text");
                text
            })
        };
        write_whole(&pipe, b"through").expect("written");
        assert_eq!(reader.join().expect("reader"), "through");
        assert!(!std::fs::metadata(&pipe).expect("pipe").is_file());
    }
}
