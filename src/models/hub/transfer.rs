//! One file from the hub: in parts if need be, bounded, compared with its hash, put in place whole.

use super::listing::RemoteFile;
use super::request::{Ask, TRIES, ask, sleep};
use super::{Hub, HubError, Progress, Watch};
use crate::models::verify::hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use ureq::Body;
use ureq::http::Response;

/// Where a blob's bytes are until it is whole; Python's library has the same name for it.
pub(super) fn partial(blob: &Path) -> PathBuf {
    let mut name = blob.file_name().unwrap_or_default().to_owned();
    name.push(".incomplete");
    blob.with_file_name(name)
}

impl Hub {
    /// Gets one file into `blob`.
    pub(super) fn fetch(
        &self,
        repo: &str,
        commit: &str,
        file: &RemoteFile,
        blob: &Path,
        watch: Watch<'_>,
    ) -> Result<(), HubError> {
        let part = partial(blob);
        let write = |why| HubError::Write { path: part.clone(), why };
        if let Some(folder) = blob.parent() {
            std::fs::create_dir_all(folder).map_err(write)?;
        }
        let _lock = self.lock(repo, file)?;
        let mut to =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&part).map_err(write)?;
        let mut have = to.seek(SeekFrom::End(0)).map_err(write)?;
        if have > file.size {
            have = restart(&mut to).map_err(write)?;
        }
        let url = format!("{}/{repo}/resolve/{commit}/{}", self.endpoint, super::names::path(&file.path));
        let mut failures = 0;
        while have < file.size {
            let before = have;
            match self.stream(&url, file, &mut to, &mut have, watch) {
                Ok(()) => {}
                Err(error @ (HubError::Network(_) | HubError::Stalled(_))) => {
                    failures = if have > before { 1 } else { failures + 1 };
                    if failures >= TRIES {
                        return Err(error);
                    }
                    let mut stop =
                        |waiting| watch(Progress { done: have, total: file.size, waiting, is_checking: false });
                    sleep(self.pause * failures, &mut stop)?;
                }
                Err(error) => {
                    if matches!(error, HubError::TooLong { .. }) {
                        let _ = std::fs::remove_file(&part);
                    }
                    return Err(error);
                }
            }
        }
        to.sync_all().map_err(write)?;
        let watch = std::cell::RefCell::new(watch);
        let checking = Progress { done: file.size, total: file.size, is_checking: true, waiting: None };
        if !is_whole(&part, file.hash.name(), &|| (watch.borrow_mut())(checking))? {
            let _ = std::fs::remove_file(&part);
            return Err(HubError::Hash { file: file.path.clone() });
        }
        std::fs::rename(&part, blob).map_err(write)?;
        if let Some(folder) = blob.parent() {
            crate::disk::sync_folder(folder);
        }
        Ok(())
    }

    /// One connection's bytes, appended.
    fn stream(
        &self,
        url: &str,
        file: &RemoteFile,
        to: &mut File,
        have: &mut u64,
        watch: Watch<'_>,
    ) -> Result<(), HubError> {
        let write = |why| HubError::Write { path: PathBuf::from(&file.path), why };
        let at = *have;
        let mut stop = |waiting| watch(Progress { done: at, total: file.size, waiting, is_checking: false });
        let response = ask(self, &Ask { what: &file.path, url, from: at }, &mut stop)?;
        if at > 0 && !continues(&response, at) {
            // The server begins at the beginning.
            *have = restart(to).map_err(write)?;
        }
        let mut body = response.into_body().into_reader();
        let mut block = vec![0u8; 256 * 1024];
        while *have < file.size {
            if watch(Progress { done: *have, total: file.size, ..Progress::default() }) {
                return Err(HubError::Stopped);
            }
            let count = body.read(&mut block).map_err(|e| match e.kind() {
                std::io::ErrorKind::TimedOut => HubError::Stalled(self.patience.as_secs()),
                _ => HubError::Network(e.to_string()),
            })?;
            if count == 0 {
                return Err(HubError::Network("it ended too early".into()));
            }
            if *have + count as u64 > file.size {
                return Err(HubError::TooLong { file: file.path.clone() });
            }
            to.write_all(&block[..count]).map_err(write)?;
            *have += count as u64;
        }
        // One byte more than promised is a lie; a connection that just stays open is not.
        match body.read(&mut block[..1]) {
            Ok(1..) => Err(HubError::TooLong { file: file.path.clone() }),
            _ => Ok(()),
        }
    }

    /// One download of a file at a time, in this program and in Python's.
    fn lock(&self, repo: &str, file: &RemoteFile) -> Result<File, HubError> {
        let folder = self.folder(repo);
        let dir = self.cache.join(".locks").join(folder.file_name().unwrap_or_default());
        let path = dir.join(format!("{}.lock", file.hash.name()));
        let fail = |why| HubError::Write { path: path.clone(), why };
        std::fs::create_dir_all(&dir).map_err(fail)?;
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(std::fs::TryLockError::WouldBlock) => Err(HubError::Locked(file.path.clone())),
            Err(std::fs::TryLockError::Error(why)) => Err(fail(why)),
        }
    }
}

/// Whether an answer goes on from byte `at`.
fn continues(response: &Response<Body>, at: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|v| v.to_str().ok()).unwrap_or("");
    response.status().as_u16() == 206 && range.trim_start_matches("bytes").trim().starts_with(&format!("{at}-"))
}

fn restart(to: &mut File) -> std::io::Result<u64> {
    to.set_len(0)?;
    to.seek(SeekFrom::Start(0))
}

/// Whether a file's content is what `hash` says: a SHA-256, or git's own, by its length.
pub(super) fn is_whole(path: &Path, hash: &str, stop: &dyn Fn() -> bool) -> Result<bool, HubError> {
    let fail = |why| HubError::Write { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if hash.len() == 64 {
        Ok(digest(Sha256::new(), path, stop)? == hash)
    } else {
        let start = Sha1::new().chain_update(format!("blob {size}\0"));
        Ok(digest(start, path, stop)? == hash)
    }
}

fn digest(mut hash: impl Digest, path: &Path, stop: &dyn Fn() -> bool) -> Result<String, HubError> {
    let fail = |why| HubError::Write { path: path.to_owned(), why };
    let mut from = File::open(path).map_err(fail)?;
    let mut block = vec![0u8; 1 << 20];
    loop {
        if stop() {
            return Err(HubError::Stopped);
        }
        match from.read(&mut block).map_err(fail)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&block[..count]),
        }
    }
}
