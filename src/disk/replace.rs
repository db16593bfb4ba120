//! Replacing a file so that a crash leaves the old content or the new, never a half.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Links that lead on to a file, at most.
const MOST_LINKS: usize = 40;

/// Where the link at a path points; `None` if there is none.
fn next_link(at: &Path) -> Option<PathBuf> {
    std::fs::read_link(at).ok().map(|to| at.parent().unwrap_or(Path::new("")).join(to))
}

/// Where a path leads by symbolic links, whether anything is there or not.
///
/// # Errors
/// Links in a circle.
pub fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        match next_link(&at) {
            Some(next) => at = next,
            None => return Ok(at),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// A stream to be written in place, if the path is one: a device, a pipe, or one of this program's own open files, which
/// goes on where it is.
fn stream(path: &Path) -> io::Result<Option<File>> {
    use std::os::fd::AsFd as _;
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        let own = at.strip_prefix("/proc/self/fd").or_else(|_| at.strip_prefix("/dev/fd")).ok().and_then(Path::to_str);
        match own {
            Some("1") => return Ok(Some(io::stdout().as_fd().try_clone_to_owned()?.into())),
            Some("2") => return Ok(Some(io::stderr().as_fd().try_clone_to_owned()?.into())),
            Some(number) if !number.is_empty() => return OpenOptions::new().append(true).open(&at).map(Some),
            _ => {}
        }
        match next_link(&at) {
            Some(next) => at = next,
            None => break,
        }
    }
    let is_special = std::fs::metadata(&at).is_ok_and(|m| !m.is_file() && !m.is_dir());
    if is_special { OpenOptions::new().write(true).open(&at).map(Some) } else { Ok(None) }
}

/// After so long nobody is still writing a part.
const OLD: std::time::Duration = std::time::Duration::from_secs(600);

/// Removes the parts of `name` that programs which were killed left behind.
fn sweep(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = name.starts_with(prefix) && name.ends_with(".part") && name.len() == prefix.len() + 11;
        let is_old =
            || entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|age| age > OLD));
        if is_part && is_old() && File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Has `write` fill a new file (which is at the path given) beside `path`, puts it on the disk and gives it the name.
/// Symbolic links are followed, an existing file's mode and owner stay, devices and pipes are written in place. Missing
/// folders are made.
///
/// # Errors
/// What the file system or `write` says; then what was there is there still.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut File, &Path) -> io::Result<T>) -> io::Result<T> {
    if let Some(mut file) = stream(path)? {
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
    sweep(&folder, &prefix);
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
    let _ = fresh.as_file().try_lock();
    // What a new file may be, by the user's mask: `write` may make another in its place.
    let usual = fresh.as_file().metadata()?.permissions();
    let done = write(fresh.as_file_mut(), &at)?;
    std::fs::set_permissions(&at, old.as_ref().map_or(usual, |old| Permissions::from_mode(old.mode() & 0o7777)))?;
    if let Some(old) = old {
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
        // Memory as a disk is no device.
        let shared = tempfile::tempdir_in("/dev/shm");
        if let Ok(shared) = shared {
            let path = shared.path().join("new.csv");
            write_whole(&path, b"a longer text").expect("new");
            write_whole(&path, b"short").expect("again");
            assert_eq!(text(&path), "short");
        }
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
