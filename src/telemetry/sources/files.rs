//! Text files that are read again and again without allocating; below `/`, or below a recorded tree.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a file that are looked at.
pub const LIMIT: usize = 32 * 1024;
/// Between the pictures of a file that changes over time in a recorded tree.
const CUT: &str = "%%\n";
/// Seconds that one picture of a recorded file lasts.
const STEP: f64 = 1.0;

thread_local! {
    /// Files that are there and could not be read, since they were last asked for: to tell apart what is missing and
    /// what is closed.
    static CLOSED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}
/// Files that are remembered so.
const MOST_CLOSED: usize = 8;

/// Notes a failure that is not that there is nothing.
fn note_closed(path: &Path, error: &std::io::Error) {
    // A device that has gone says ENODEV or ENXIO: it is not there.
    let is_gone = matches!(error.raw_os_error(), Some(6 | 19)) || error.kind() == std::io::ErrorKind::NotFound;
    CLOSED.with_borrow_mut(|closed| {
        if !is_gone && closed.len() < MOST_CLOSED {
            closed.push(format!("'{}' cannot be read: {error}", path.display()));
        }
    });
}

/// What could not be read on this thread since the last call.
pub fn take_closed() -> Vec<String> {
    CLOSED.take()
}

/// The folder that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// `/`, or a recorded tree.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether this is the machine itself.
    pub fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// `path` below the root.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// A small file's text without the white space around it, once.
    pub fn text(&self, path: &str) -> Option<String> {
        text_of(&self.at(path))
    }

    /// Entries of a folder whose names begin with `prefix`, in numeric order.
    pub fn entries(&self, folder: &str, prefix: &str) -> Vec<PathBuf> {
        let folder = self.at(folder);
        let listed = std::fs::read_dir(&folder).inspect_err(|e| note_closed(&folder, e));
        let listed = listed.into_iter().flatten().flatten();
        let fits = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().starts_with(prefix);
        let mut all: Vec<PathBuf> = listed.filter(fits).map(|e| e.path()).collect();
        all.sort_by_key(|p| (number_in(p), p.clone()));
        all
    }

    /// How a file is called, seen from the root.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).map_or_else(|_| path.display().to_string(), |p| format!("/{}", p.display()))
    }
}

/// The number in a path's last name, such as 3 of `thermal_zone3`; 0 without one.
pub fn number_in(path: &Path) -> u64 {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// A small file's text without zeros and white space around it.
pub fn text_of(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT as u64).read_to_end(&mut bytes));
    read.inspect_err(|e| note_closed(path, e)).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()).filter(|t| !t.is_empty())
}

/// A file that is read again and again. It stays open: the kernel writes `/proc` and `/sys` afresh
/// at every read from the beginning.
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    /// Pictures of the file over time, of a recorded tree that has `NAME.frames` beside it.
    frames: Vec<String>,
    /// Seconds before which a file that could not be opened is not tried again.
    closed_until: f64,
}

impl Reader {
    /// Opens `path` as far as it is there.
    pub fn new(path: PathBuf) -> Self {
        let mut name = path.clone().into_os_string();
        name.push(".frames");
        let frames = match std::fs::read_to_string(name) {
            Ok(all) => all.split(CUT).map(str::to_owned).collect(),
            Err(_) => Vec::new(),
        };
        let file = File::open(&path).inspect_err(|e| note_closed(&path, e)).ok();
        Self { path, file, frames, closed_until: 0.0 }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text at `now` seconds, in `buffer`; `None` where it cannot be read.
    pub fn read<'a>(&'a mut self, now: f64, buffer: &'a mut [u8]) -> Option<&'a str> {
        if !self.frames.is_empty() {
            let index = (now / STEP).max(0.0) as usize % self.frames.len();
            return Some(self.frames[index].as_str());
        }
        if self.file.is_none() && now >= self.closed_until {
            self.file = File::open(&self.path).ok();
            self.closed_until = now + STEP;
        }
        let length = match self.file.as_ref()?.read_at(buffer, 0) {
            Ok(length) => length,
            Err(error) => {
                note_closed(&self.path, &error);
                self.file = None;
                self.closed_until = now + STEP;
                return None;
            }
        };
        // A cut in the middle of a character costs that character.
        match std::str::from_utf8(&buffer[..length]) {
            Ok(text) => Some(text),
            Err(error) => std::str::from_utf8(&buffer[..error.valid_up_to()]).ok(),
        }
    }

    /// The file's one number.
    pub fn number(&mut self, now: f64) -> Option<f64> {
        let mut buffer = [0u8; 64];
        let text = self.read(now, &mut buffer)?;
        text.split_ascii_whitespace().next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_file_changes_with_time_and_a_plain_one_when_it_is_written() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("load");
        std::fs::write(&path, "7\n").expect("file");
        let mut plain = Reader::new(path.clone());
        assert_eq!(plain.number(0.0), Some(7.0));
        std::fs::write(&path, "8\n").expect("file");
        assert_eq!(plain.number(0.1), Some(8.0));
        std::fs::write(folder.path().join("load.frames"), "1\n%%\n2\n%%\nno\n").expect("file");
        let mut recorded = Reader::new(path);
        let seen: Vec<_> = [0.0, 0.9, 1.0, 2.5, 3.2].iter().map(|t| recorded.number(*t)).collect();
        assert_eq!(seen, [Some(1.0), Some(1.0), Some(2.0), None, Some(1.0)]);
    }

    #[test]
    fn a_file_that_comes_later_is_found_later() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("temp");
        let mut reader = Reader::new(path.clone());
        assert_eq!(reader.number(0.0), None);
        std::fs::write(&path, "45500").expect("file");
        assert_eq!(reader.number(0.5), None);
        assert_eq!(reader.number(1.5), Some(45_500.0));
    }
}
