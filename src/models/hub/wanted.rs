//! What to get from the hub, as people write it.

use super::HubError;
use super::names::{is_gguf, is_repo_id, is_safe, part};
use crate::models::parts::{Part, first_name};
use percent_encoding::percent_decode_str;

/// What to get: a repository, at which revision, and of one with GGUF files which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub repo: String,
    /// A branch, a tag, a commit or a pull request's `refs/pr/N`; `None`: `main`.
    pub revision: Option<String>,
    /// By its path in the repository.
    pub file: Option<String>,
}

/// Whether a text can name a revision.
fn is_revision(text: &str) -> bool {
    is_safe(text) && !text.starts_with('-') && !text.contains("..") && text.len() <= 200
}

impl Wanted {
    /// A repository as it is at `main`.
    pub fn of(repo: &str) -> Self {
        Self { repo: repo.to_owned(), ..Self::default() }
    }

    /// The revision's name.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// Of one that names a GGUF file the paths of all files of that model.
    pub fn files(&self) -> Option<Vec<String>> {
        let file = self.file.as_ref()?;
        Some(Part::parse(file).map_or_else(|| vec![file.clone()], |part| part.all().collect()))
    }

    /// What [`Self::parse`] reads as this.
    pub fn id(&self) -> String {
        let revision = self.revision.as_ref().map(|r| format!("@{}", part(r))).unwrap_or_default();
        let file = self.file.as_ref().map(|f| format!("/{f}")).unwrap_or_default();
        format!("{}{revision}{file}", self.repo)
    }

    /// Reads `owner/name`, `name`, `owner/name/file.gguf`, each with `@revision` after the name, or a page's address.
    ///
    /// # Errors
    /// [`HubError::Id`].
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let text = text.trim().trim_end_matches('/');
        let wrong = || HubError::Id(text.to_owned());
        let is_address = text.contains("://");
        let bare = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or(text, |(_, path)| path);
        let bare = if is_address { bare.split(['?', '#']).next().unwrap_or(bare) } else { bare };
        // Only an address is written with percents; a file may be called so.
        let decode = |part: &str| match is_address {
            true => percent_decode_str(part).decode_utf8().ok().map(String::from),
            false => Some(part.to_owned()),
        };
        let parts: Option<Vec<String>> = bare.split('/').map(decode).collect();
        let parts = parts.ok_or_else(wrong)?;
        // What lies under an owner or not: `t5-small/tree/main` is the page of a repository without one.
        let is_place = |word: &String| ["resolve", "blob", "tree", "raw"].contains(&word.as_str());
        let named = if is_address && parts.get(1).is_some_and(is_place) { 1 } else { parts.len().min(2) };
        let (mut repo, mut rest) = (parts[..named].join("/"), &parts[named..]);
        let mut revision = None;
        if let Some((name, after)) = repo.clone().split_once('@') {
            revision = Some(percent_decode_str(after).decode_utf8().map_err(|_| wrong())?.into_owned());
            repo = name.to_owned();
        } else if rest.first().is_some_and(is_place) {
            // `refs/pr/1` and `refs/convert/parquet` have three parts.
            let length = if rest.get(1).is_some_and(|r| r == "refs") { 3 } else { 1 };
            let end = (1 + length).min(rest.len());
            revision = Some(rest[1..end].join("/")).filter(|r| !r.is_empty());
            let is_file = rest[0] != "tree";
            rest = &rest[end..];
            if !is_file && !rest.last().is_some_and(|name| is_gguf(name)) {
                // A folder's page means the repository.
                rest = &[];
            }
        }
        let revision = revision.filter(|r| r != "main");
        // Any part of a model means all of it.
        let file = (!rest.is_empty()).then(|| rest.join("/")).map(|f| first_name(&f).unwrap_or(f));
        let is_fine =
            is_repo_id(&repo) && file.as_deref().is_none_or(is_safe) && revision.as_deref().is_none_or(is_revision);
        if is_fine { Ok(Self { repo, revision, file }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_files_and_addresses_are_understood() {
        let parse = |text: &str| Wanted::parse(text).map(|w| (w.repo, w.revision, w.file)).expect(text);
        let of = |repo: &str, revision: Option<&str>, file: Option<&str>| {
            (repo.to_owned(), revision.map(str::to_owned), file.map(str::to_owned))
        };
        let page = "https://huggingface.co";
        assert_eq!(parse("t5-small"), of("t5-small", None, None));
        assert_eq!(parse("o/n"), of("o/n", None, None));
        assert_eq!(parse("o/n/q.gguf"), of("o/n", None, Some("q.gguf")));
        assert_eq!(parse("o/n/in ner/100%.gguf"), of("o/n", None, Some("in ner/100%.gguf")));
        assert_eq!(parse("o/n/q-00002-of-00002.gguf"), of("o/n", None, Some("q-00001-of-00002.gguf")));
        assert_eq!(parse("o/n@v1.0/q.gguf"), of("o/n", Some("v1.0"), Some("q.gguf")));
        assert_eq!(parse(&format!("{page}/o/n")), of("o/n", None, None));
        let file = format!("{page}/o/n/resolve/main/q.gguf?download=true");
        assert_eq!(parse(&file), of("o/n", None, Some("q.gguf")));
        let file = format!("{page}/o/n/blob/v1.0/in%20ner/a%2Bb.gguf");
        assert_eq!(parse(&file), of("o/n", Some("v1.0"), Some("in ner/a+b.gguf")));
        assert_eq!(parse(&format!("{page}/o/n/tree/refs/pr/1/")), of("o/n", Some("refs/pr/1"), None));
        assert_eq!(parse(&format!("{page}/o/n/tree/refs%2Fpr%2F1")), of("o/n", Some("refs/pr/1"), None));
        assert_eq!(parse(&format!("{page}/o/n/tree/main/onnx")), of("o/n", None, None));
        assert_eq!(parse(&format!("{page}/t5-small/tree/main")), of("t5-small", None, None));
        for bad in ["not an id", "o/n/../../x", "o/n@../x", "o/n@-x", "https://huggingface.co/o/n/blob/main/%2e%2e/x"] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
        for id in ["o/n", "o/n@refs%2Fpr%2F1", "o/n@v1.0/in ner/q.gguf"] {
            assert_eq!(Wanted::parse(id).expect(id).id(), id);
        }
    }
}
