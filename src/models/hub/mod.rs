//! Gets models from the Hugging Face hub, or a mirror, into the hub's own cache, which Python's libraries
//! share.
//!
//! hf-hub knows the cache's layout and the addresses. The transfer is ours, because hf-hub's cannot be
//! stopped, does not check what came, and asks for no room on the disk. Protocol: the hub's API (`/api/models`,
//! `/resolve`); layout: huggingface.co/docs/hub/local-cache.

mod environment;
mod listing;
mod names;
mod place;
mod request;
mod transfer;
mod wanted;

pub use listing::{Found, Listing, RemoteFile};
pub use names::is_repo_id;
pub use wanted::Wanted;

use super::{index, kind, parts};
use crate::disk;
use crate::error::UserMessage;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes of an answer that is no file.
const MOST_TEXT: u64 = 16 << 20;
/// Bytes that stay free on the disk whatever is downloaded.
const SPARE: u64 = 256 << 20;

/// Why a model could not be got.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("'{0}' is no model id: expected 'owner/name' or 'name'")]
    Id(String),
    #[error("offline mode is on, and '{0}' is not complete here")]
    Offline(String),
    #[error("the hub has no '{0}', or it is private")]
    NotFound(String),
    #[error("'{0}' needs an account: {1}")]
    Denied(String, &'static str),
    #[error("the hub asks to wait: too many requests from this address")]
    Busy,
    #[error("HF_ENDPOINT is '{0}', which is no address: it begins with neither https:// nor http://")]
    Endpoint(String),
    #[error("the proxy {proxy} (from {variable}) cannot be reached: {why}")]
    Proxy { proxy: String, variable: &'static str, why: String },
    #[error("the connection failed: {0}")]
    Network(String),
    #[error("the connection stalled: nothing came for {0} seconds")]
    Stalled(u64),
    #[error("the hub answered with status {0}")]
    Status(u16),
    #[error("the hub's answer makes no sense: {0}")]
    Answer(String),
    #[error("'{0}' holds nothing that runs here: no config.json with tokenizer and weights, and no GGUF file")]
    Nothing(String),
    #[error("'{0}' is a model of the type '{1}', which does not run here")]
    Unfit(String, String),
    #[error("'{0}' holds several GGUF files: {1}")]
    Choose(String, String),
    #[error("'{0}' is not whole on the hub: its part '{1}' is not there")]
    Parts(String, String),
    #[error("'{file}' came with other content than the hub promised")]
    Hash { file: String },
    #[error("'{file}' came with more bytes than the hub promised")]
    TooLong { file: String },
    #[error("{needed} are needed, the disk has {free} left")]
    Room { needed: String, free: String },
    #[error("another program is downloading '{0}'")]
    Locked(String),
    #[error("'{path}' cannot be written: {why}", path = .path.display())]
    Write { path: PathBuf, why: std::io::Error },
    #[error("stopped")]
    Stopped,
}

impl From<HubError> for UserMessage {
    fn from(error: HubError) -> Self {
        let next = match &error {
            HubError::Id(_) => "Write it as on huggingface.co, such as dslim/bert-base-NER.",
            HubError::Offline(_) => "Unset HF_HUB_OFFLINE, or copy the model's folder and add it.",
            HubError::NotFound(_) => "Check the spelling; for a private model set HF_TOKEN.",
            HubError::Denied(..) => {
                "Accept the licence on the model's page, then set HF_TOKEN to a token of your account (or run 'hf auth login')."
            }
            HubError::Busy => "Wait some minutes, then go on: what has come is kept. HF_TOKEN raises the limit.",
            HubError::Network(_) | HubError::Stalled(_) => {
                "Check the network, or set HF_ENDPOINT to a mirror, then go on: what has come is kept."
            }
            HubError::Endpoint(_) => "Write it whole, such as https://hf-mirror.com, or unset HF_ENDPOINT.",
            HubError::Proxy { .. } => {
                "Correct or unset that variable, or start the proxy; then go on: what has come is kept."
            }
            HubError::Status(_) | HubError::Answer(_) => "Try again later; HF_ENDPOINT must be the address of a hub.",
            HubError::Nothing(_) | HubError::Unfit(..) => {
                "Choose a model that the list or 'glossa models search' shows."
            }
            HubError::Choose(..) => "Name one of them, as owner/name/file.gguf.",
            HubError::Parts(..) => "Choose another file of it, or another repository.",
            HubError::Hash { .. } | HubError::TooLong { .. } => "It was thrown away. Try again, or use another mirror.",
            HubError::Room { .. } => "Remove a model, or set HF_HOME to a folder on a larger disk.",
            HubError::Locked(_) => "Wait until it has ended.",
            HubError::Write { .. } => "Check the permissions of the folder, or set HF_HOME to another.",
            HubError::Stopped => "",
        };
        Self::new("The model was not downloaded", error.to_string(), next)
    }
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are here.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Whether contents are being compared with their hashes.
    pub is_checking: bool,
    /// Seconds to wait before the hub is asked again.
    pub waiting: Option<u64>,
}

/// Called often; answers whether to stop. What has come stays for the next time.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// A hub and a cache.
#[derive(Clone, Debug)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
    /// Longest silence on a connection.
    pub patience: Duration,
    /// Shortest pause before a second try.
    pub pause: Duration,
}

impl Hub {
    /// As the environment says: HF_ENDPOINT, HF_HUB_CACHE or HF_HOME, HF_TOKEN or the token file (HF_TOKEN_PATH),
    /// HF_HUB_OFFLINE.
    pub fn from_env() -> Self {
        environment::hub(&|name| std::env::var(name).ok())
    }

    /// A hub at `endpoint`, with its cache in `cache`.
    pub fn new(endpoint: &str, cache: PathBuf) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token: None,
            offline: false,
            patience: Duration::from_secs(30),
            pause: Duration::from_secs(1),
        }
    }

    /// With an account's token.
    #[must_use]
    pub fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// Without or with the network.
    #[must_use]
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// Where downloaded files lie.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where it is asked.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the network is left alone.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    fn repo(&self, id: &str) -> CacheRepo {
        Cache::new(self.cache.clone()).repo(Repo::new(id.to_owned(), RepoType::Model))
    }

    /// The folder of a repository in the cache.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.cache.join(Repo::new(id.to_owned(), RepoType::Model).folder_name())
    }

    /// Bytes of a repository's files that have begun to come and are not whole.
    pub fn partial(&self, id: &str) -> u64 {
        let blobs = std::fs::read_dir(self.folder(id).join("blobs")).into_iter().flatten().flatten();
        let partial = blobs.filter(|f| f.path().extension().is_some_and(|e| e == "incomplete"));
        partial.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
    }

    /// Gets what `wanted` names. What is here already is compared with its hash, and got again if it is damaged.
    /// Returns its snapshot folder, or its GGUF file.
    ///
    /// # Errors
    /// [`HubError`]; what has come is kept for the next time, but for files with a wrong hash.
    pub fn get(&self, wanted: &Wanted, watch: Watch<'_>) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.here(wanted).ok_or_else(|| HubError::Offline(wanted.id()));
        }
        let listing = self.listing(wanted, watch)?;
        let mut files = listing.pick(wanted)?;
        let repo = self.repo(&wanted.repo);
        let blob = |f: &RemoteFile| repo.blob_path(f.hash.name());
        let has_size = |f: &RemoteFile| std::fs::metadata(blob(f)).is_ok_and(|m| m.len() == f.size);
        let begun = |f: &RemoteFile| {
            if has_size(f) {
                f.size
            } else {
                std::fs::metadata(transfer::partial(&blob(f))).map_or(0, |m| m.len().min(f.size))
            }
        };
        let sums = |files: &[RemoteFile]| (files.iter().map(&begun).sum(), files.iter().map(|f| f.size).sum());
        let (mut done, mut total): (u64, u64) = sums(&files);
        self.check_room(total - done.min(total))?;
        let snapshot = repo.pointer_path(&listing.commit);
        let mut at = 0;
        while let Some(file) = files.get(at).cloned() {
            let file = &file;
            at += 1;
            let mut before = begun(file);
            if has_size(file) && !self.still_whole(file, &blob(file), (done, total), watch)? {
                // What `verify` calls damaged is mended here.
                std::fs::remove_file(blob(file)).map_err(|why| HubError::Write { path: blob(file), why })?;
                (done, before) = (done - before, 0);
            }
            if !has_size(file) {
                let mut each = |p: Progress| watch(Progress { done: done - before + p.done, total, ..p });
                self.fetch(&wanted.repo, &listing.commit, file, &blob(file), &mut each)?;
            }
            done += file.size - before;
            place::link(&blob(file), &snapshot, &file.path)?;
            // It comes before the weights: what does not run here is not downloaded.
            if file.path == "config.json" {
                fits(&wanted.repo, &snapshot)?;
            }
            if index::NAMES.contains(&file.path.as_str()) {
                // It says which files hold the weights, whatever they are called.
                files.truncate(at);
                files.extend(listing.named_by(&snapshot.join(&file.path))?);
                (done, total) = sums(&files);
                self.check_room(total - done.min(total))?;
            }
        }
        let reference = self.folder(&wanted.repo).join("refs").join(wanted.revision());
        let written = disk::write_whole(&reference, listing.commit.as_bytes());
        written.map_err(|why| HubError::Write { path: reference, why })?;
        watch(Progress { done: total, total, ..Progress::default() });
        let only = files.iter().find(|f| names::is_gguf(&f.path));
        Ok(only.map_or(snapshot.clone(), |f| snapshot.join(&f.path)))
    }

    fn still_whole(
        &self,
        file: &RemoteFile,
        blob: &Path,
        (done, total): (u64, u64),
        watch: Watch<'_>,
    ) -> Result<bool, HubError> {
        let checking = Progress { done, total, is_checking: true, waiting: None };
        let watch = std::cell::RefCell::new(watch);
        transfer::is_whole(blob, file.hash.name(), &|| (watch.borrow_mut())(checking))
    }

    /// What is here already.
    fn here(&self, wanted: &Wanted) -> Option<PathBuf> {
        let snapshot = self.snapshot_of(wanted)?;
        match &wanted.file {
            Some(file) => {
                let files = parts::of(&snapshot.join(file));
                parts::check(&files).is_ok().then(|| files.into_iter().next()).flatten()
            }
            None => Some(snapshot),
        }
    }

    fn check_room(&self, needed: u64) -> Result<(), HubError> {
        match disk::free(&self.cache) {
            Some(free) if needed > 0 && free < needed.saturating_add(SPARE) => {
                let words = |bytes: u64| format!("{} MB", bytes.div_ceil(1_000_000));
                Err(HubError::Room { needed: words(needed + SPARE), free: words(free) })
            }
            _ => Ok(()),
        }
    }

    /// Compares the files of a repository, or of one of its GGUF models, with the hashes that the cache names them
    /// by; the names of those that differ. Needs no network.
    ///
    /// # Errors
    /// [`HubError::Offline`] if nothing is here, files that cannot be read, [`HubError::Stopped`].
    pub fn verify(&self, wanted: &Wanted, stop: &dyn Fn() -> bool) -> Result<Vec<String>, HubError> {
        let snapshot = self.snapshot_of(wanted).ok_or_else(|| HubError::Offline(wanted.id()))?;
        let mut files = Vec::new();
        place::names_below(&snapshot, &mut files);
        files.sort();
        let own = wanted.files();
        let mut wrong = Vec::new();
        for path in files {
            let name = path.strip_prefix(&snapshot).unwrap_or(&path).to_string_lossy().into_owned();
            if own.as_ref().is_some_and(|own| !own.contains(&name)) {
                continue;
            }
            // A file that somebody put there instead of a link has no promise to keep.
            let Ok(blob) = std::fs::read_link(&path) else { continue };
            let hash = blob.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            // A link to nothing is a file that is missing.
            if !path.is_file() || !transfer::is_whole(&path, &hash, stop)? {
                wrong.push(name);
            }
        }
        Ok(wrong)
    }
}

/// Whether a configuration is one of those that run here.
fn fits(repo: &str, snapshot: &Path) -> Result<(), HubError> {
    if kind::of_folder(snapshot).is_some() {
        return Ok(());
    }
    let text = std::fs::read_to_string(snapshot.join("config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let family = config["architectures"][0].as_str().or(config["model_type"].as_str()).unwrap_or("unknown");
    Err(HubError::Unfit(repo.to_owned(), family.to_owned()))
}
