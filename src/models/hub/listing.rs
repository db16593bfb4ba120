//! What the hub says of a repository: its files, their sizes and hashes. Nothing of it is trusted.

use super::names::{is_gguf, is_hex, is_safe, part};
use super::request::{Ask, ask};
use super::{Hub, HubError, MOST_TEXT, Progress, Wanted, Watch};
use crate::models::companions::COMPANIONS;
use crate::models::index::{self, Index};
use crate::models::parts::{self, Part};
use serde::Deserialize;
use std::path::Path;

/// What a file's content must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Of large files.
    Sha256(String),
    /// Git's own, of small ones: SHA-1 of `blob SIZE\0` and the content.
    Git(String),
}

impl Hash {
    /// Hexadecimal; also the blob's name in the cache.
    pub fn name(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

/// A file on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub path: String,
    pub size: u64,
    pub hash: Hash,
}

/// A repository on the hub.
#[derive(Clone, Debug)]
pub struct Listing {
    pub repo: String,
    /// The commit that the revision is at.
    pub commit: String,
    pub files: Vec<RemoteFile>,
    pub licence: Option<String>,
    /// Such as `text-classification`.
    pub pipeline: Option<String>,
}

/// A repository that a search has found.
#[derive(Clone, Debug, Deserialize, serde::Serialize, PartialEq)]
pub struct Found {
    pub id: String,
    #[serde(default)]
    pub downloads: u64,
    #[serde(default)]
    pub likes: u64,
    #[serde(default, rename(deserialize = "pipeline_tag"))]
    pub pipeline: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Option<serde_json::Value>,
    #[serde(default, rename = "pipeline_tag")]
    pipeline: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: String,
    size: u64,
}

impl Hub {
    /// What the hub says of a repository at a revision.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn listing(&self, wanted: &Wanted, watch: Watch<'_>) -> Result<Listing, HubError> {
        let (repo, revision) = (&wanted.repo, part(wanted.revision()));
        let url = format!("{}/api/models/{repo}/revision/{revision}?blobs=true", self.endpoint);
        let what = if wanted.revision.is_some() { format!("{repo} at {}", wanted.revision()) } else { repo.clone() };
        let text = self.text(&what, &url, watch)?;
        read(repo, &text)
    }

    /// Repositories that match `words`, most downloaded first.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn search(&self, words: &str, watch: Watch<'_>) -> Result<Vec<Found>, HubError> {
        if self.offline {
            return Err(HubError::Offline(words.to_owned()));
        }
        let encoded = part(words);
        let url = format!("{}/api/models?search={encoded}&sort=downloads&direction=-1&limit=20", self.endpoint);
        let text = self.text(words, &url, watch)?;
        serde_json::from_str(&text).map_err(|e| HubError::Answer(e.to_string()))
    }

    fn text(&self, what: &str, url: &str, watch: Watch<'_>) -> Result<String, HubError> {
        let mut stop = |waiting| watch(Progress { waiting, ..Progress::default() });
        let mut response = ask(self, &Ask { what, url, from: 0 }, &mut stop)?;
        let body = response.body_mut().with_config().limit(MOST_TEXT).read_to_string();
        body.map_err(|e| HubError::Answer(e.to_string()))
    }
}

fn read(repo: &str, text: &str) -> Result<Listing, HubError> {
    let info: Info = serde_json::from_str(text).map_err(|e| HubError::Answer(e.to_string()))?;
    if !is_hex(&info.sha) {
        return Err(HubError::Answer("its commit is no hash".into()));
    }
    let mut files = Vec::new();
    for s in info.siblings {
        if !is_safe(&s.rfilename) {
            return Err(HubError::Answer(format!("a file is called '{}'", s.rfilename.escape_debug())));
        }
        let (hash, size) = match (s.lfs, s.blob_id, s.size) {
            (Some(lfs), _, _) => (Hash::Sha256(lfs.sha256.to_lowercase()), lfs.size),
            (None, Some(id), Some(size)) => (Hash::Git(id.to_lowercase()), size),
            _ => continue,
        };
        let length = if matches!(hash, Hash::Sha256(_)) { 64 } else { 40 };
        if !is_hex(hash.name()) || hash.name().len() != length {
            return Err(HubError::Answer(format!("'{}' has no hash", s.rfilename)));
        }
        files.push(RemoteFile { path: s.rfilename, size, hash });
    }
    let licence = info.card.as_ref().and_then(|c| c.get("license")).and_then(|l| l.as_str()).map(str::to_owned);
    Ok(Listing { repo: repo.to_owned(), commit: info.sha.to_lowercase(), files, licence, pipeline: info.pipeline })
}

/// Any of these tells how a text becomes numbers.
const TOKENIZERS: [&str; 5] = ["tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "source.spm"];

impl Listing {
    /// The GGUF files in it; of a model in parts the first.
    pub fn ggufs(&self) -> Vec<&RemoteFile> {
        self.files.iter().filter(|f| is_gguf(&f.path) && parts::first_name(&f.path).is_none()).collect()
    }

    /// The file of this path.
    fn file(&self, path: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|f| f.path == path)
    }

    /// A GGUF file with all others of the same model, in order.
    fn with_parts(&self, file: &RemoteFile) -> Result<Vec<RemoteFile>, HubError> {
        let Some(part) = Part::parse(&file.path) else { return Ok(vec![file.clone()]) };
        let lacks = |name: String| HubError::Parts(self.repo.clone(), name);
        part.all().map(|name| self.file(&name).cloned().ok_or_else(|| lacks(name))).collect()
    }

    /// The files that an index names, which has come and lies at `path`.
    ///
    /// # Errors
    /// [`HubError::Answer`] for one that makes no sense, [`HubError::Parts`] if one of them is not here.
    pub(super) fn named_by(&self, path: &Path) -> Result<Vec<RemoteFile>, HubError> {
        let index = Index::read(path).map_err(|e| HubError::Answer(e.to_string()))?;
        let name = |file: &Path| file.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let names = index.files().into_iter().map(|file| name(&file));
        names.map(|n| self.file(&n).cloned().ok_or_else(|| HubError::Parts(self.repo.clone(), n))).collect()
    }

    /// The weights of a checkpoint: safetensors before .bin, a whole file before one in parts. An index comes before its
    /// parts, and has the last word about which those are.
    fn weights(&self) -> Vec<RemoteFile> {
        for (whole, index) in ["model.safetensors", "pytorch_model.bin"].into_iter().zip(index::NAMES) {
            if let Some(file) = self.file(whole) {
                return vec![file.clone()];
            }
            let Some(file) = self.file(index) else { continue };
            let (stem, ending) = whole.rsplit_once('.').unwrap_or((whole, ""));
            let is_part = |p: &str| p.starts_with(&format!("{stem}-")) && p.ends_with(ending) && !p.contains('/');
            let parts = self.files.iter().filter(|f| is_part(&f.path));
            return std::iter::once(file).chain(parts).cloned().collect();
        }
        Vec::new()
    }

    /// The files that are needed, and no others: a checkpoint's configuration, tokenizer and one form of its
    /// weights (safetensors before .bin), or one GGUF model.
    ///
    /// # Errors
    /// [`HubError::NotFound`], [`HubError::Choose`], [`HubError::Parts`] or [`HubError::Nothing`].
    pub fn pick(&self, wanted: &Wanted) -> Result<Vec<RemoteFile>, HubError> {
        if let Some(file) = &wanted.file {
            // By its path, whatever its case; else by its name alone, if only one is called so.
            let exact = self.files.iter().find(|f| f.path == *file);
            let by_path = exact.or_else(|| self.files.iter().find(|f| f.path.eq_ignore_ascii_case(file)));
            let name = |f: &&RemoteFile| f.path.rsplit('/').next().is_some_and(|n| n.eq_ignore_ascii_case(file));
            let mut by_name = self.files.iter().filter(name);
            let found = by_path.or_else(|| by_name.next().filter(|_| by_name.next().is_none()));
            let found = found.ok_or_else(|| HubError::NotFound(format!("{}/{file}", self.repo)))?;
            return self.with_parts(found);
        }
        let has = |name: &str| self.file(name).is_some();
        if has("config.json") && TOKENIZERS.iter().any(|t| has(t)) {
            let weights = self.weights();
            if !weights.is_empty() {
                let small = self.files.iter().filter(|f| COMPANIONS.contains(&f.path.as_str())).cloned();
                return Ok(small.chain(weights).collect());
            }
        }
        match self.ggufs()[..] {
            [] => Err(HubError::Nothing(self.repo.clone())),
            [only] => self.with_parts(only),
            ref several => {
                let names: Vec<&str> = several.iter().take(12).map(|f| f.path.as_str()).collect();
                Err(HubError::Choose(self.repo.clone(), names.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[&str]) -> Listing {
        let siblings: Vec<String> =
            files.iter().map(|f| format!(r#"{{"rfilename":"{f}","size":3,"blobId":"{}"}}"#, "a".repeat(40))).collect();
        let text = format!(r#"{{"sha":"{}","siblings":[{}]}}"#, "b".repeat(40), siblings.join(","));
        read("o/n", &text).expect("listing")
    }

    fn picked(files: &[&str], file: Option<&str>) -> Result<Vec<String>, HubError> {
        let wanted = Wanted { file: file.map(str::to_owned), ..Wanted::of("o/n") };
        listing(files).pick(&wanted).map(|all| all.into_iter().map(|f| f.path).collect())
    }

    #[test]
    fn one_form_of_the_weights_is_taken() {
        let all =
            ["README.md", "config.json", "model.safetensors", "onnx/model.onnx", "pytorch_model.bin", "vocab.txt"];
        assert_eq!(picked(&all, None).expect("files"), ["config.json", "vocab.txt", "model.safetensors"]);
        assert_eq!(picked(&["config.json", "vocab.txt", "pytorch_model.bin"], None).expect("files").len(), 3);
        assert!(matches!(picked(&["config.json", "pytorch_model.bin"], None), Err(HubError::Nothing(_))));
        let shards = [
            "config.json",
            "spiece.model",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ];
        assert_eq!(picked(&shards, None).expect("files").len(), 5);
        // The index comes before its parts, and a whole file before one in parts.
        let bins = ["config.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json", "vocab.txt"];
        let names = ["config.json", "vocab.txt", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"];
        assert_eq!(picked(&bins, None).expect("files"), names);
        let both = [&bins[..], &["pytorch_model.bin", "model-notes.bin"]].concat();
        assert_eq!(picked(&both, None).expect("files"), ["config.json", "vocab.txt", "pytorch_model.bin"]);
        let both = [&bins[..], &shards[1..]].concat();
        assert!(picked(&both, None).expect("files").iter().all(|f| !f.ends_with(".bin")), "safetensors first");
        assert_eq!(picked(&["a.gguf", "config.json"], None).expect("files"), ["a.gguf"]);
        assert!(matches!(picked(&["a.gguf", "b.gguf"], None), Err(HubError::Choose(..))));
        assert_eq!(picked(&["a.gguf", "b.gguf"], Some("B.gguf")).expect("files"), ["b.gguf"]);
        assert!(matches!(picked(&["README.md"], None), Err(HubError::Nothing(_))));
        assert!(matches!(picked(&["a.gguf"], Some("c.gguf")), Err(HubError::NotFound(_))));
    }

    #[test]
    fn a_model_in_parts_is_one_choice_and_comes_whole() {
        let parts = ["q4/m-00001-of-00003.gguf", "q4/m-00002-of-00003.gguf", "q4/m-00003-of-00003.gguf"];
        assert_eq!(picked(&parts, None).expect("files"), parts);
        for one in parts.iter().chain(&["m-00002-of-00003.GGUF"]) {
            assert_eq!(picked(&parts, Some(one)).expect("files"), parts, "{one}");
        }
        let two = [&parts[..], &["m.gguf"]].concat();
        let Err(HubError::Choose(_, names)) = picked(&two, None) else { panic!("a choice") };
        assert_eq!(names, "q4/m-00001-of-00003.gguf, m.gguf");
        let Err(HubError::Parts(_, name)) = picked(&parts[..2], None) else { panic!("a part that is not there") };
        assert_eq!(name, parts[2]);
    }

    #[test]
    fn a_listing_that_leads_outside_is_refused() {
        for bad in ["../x", "/etc/passwd", "a/../../x", "a//b", "c:\\x", ""] {
            let text = serde_json::json!({"sha": "b".repeat(40), "siblings": [{"rfilename": bad, "size": 1, "blobId": "a".repeat(40)}]});
            assert!(matches!(read("o/n", &text.to_string()), Err(HubError::Answer(_))), "{bad}");
        }
    }
}
