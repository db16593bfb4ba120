//! Locks between programs, and between threads of one: advisory, beside the file, with the holder's name in it. The
//! system lets go of them when a program ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a lock is waited for: whoever holds one writes a small file.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(15);

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Somebody else's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held(pub String);

/// The file whose lock stands for `path`: hidden, beside it.
fn beside(path: &Path) -> PathBuf {
    // Two names of one file have one lock.
    let path = super::target_of(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.lock"))
}

impl Lock {
    /// Waits until nobody else has `path`. Its folder is made if it is missing.
    ///
    /// # Errors
    /// What the file system says, or who holds it for so long.
    pub fn take(path: &Path) -> io::Result<Self> {
        Self::take_within(path, PATIENCE)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// As there.
    pub fn take_within(path: &Path, patience: Duration) -> io::Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::try_take(path)? {
                Ok(lock) => return Ok(lock),
                Err(Held(who)) if begun.elapsed() > patience => {
                    let why = format!("{who} has been writing there for {} s", begun.elapsed().as_secs());
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Takes it if nobody has it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn try_take(path: &Path) -> io::Result<Result<Self, Held>> {
        let at = beside(path);
        if let Some(folder) = at.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&at)?;
        match file.try_lock() {
            Ok(()) => {
                // For people; the lock holds without it.
                let _ = file.set_len(0).and_then(|()| file.write_all(me().as_bytes()));
                Ok(Ok(Self(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(Held(named(&mut file)))),
            // A file system without locks: one program at a time is then up to its user.
            Err(TryLockError::Error(e)) => {
                tracing::debug!(error = ?e, path = ?at, "no locks here");
                Ok(Ok(Self(file)))
            }
        }
    }
}

/// Who holds `path`, if anybody does.
pub fn holder(path: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).write(true).open(beside(path)).ok()?;
    matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then(|| named(&mut file))
}

fn me() -> String {
    let words: Vec<String> = std::env::args().skip(1).take(2).collect();
    let words = words.join(" ").escape_debug().to_string();
    format!("process {} (glossa {words})", std::process::id()).replace(" )", ")")
}

fn named(file: &mut File) -> String {
    let mut who = String::new();
    let _ = file.rewind();
    let read = file.take(200).read_to_string(&mut who);
    if read.is_err() || who.trim().is_empty() { "another program".into() } else { who.escape_debug().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_named_and_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("inner/library.json");
        let lock = Lock::take(&path).expect("lock");
        let error = Lock::take_within(&path, Duration::from_millis(40)).expect_err("held");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(holder(&path).is_some());
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || Lock::take(&path).is_ok())
        };
        std::thread::sleep(Duration::from_millis(60));
        drop(lock);
        assert!(waiting.join().expect("thread"));
        assert!(holder(&path).is_none());
    }
}
