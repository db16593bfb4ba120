//! The well-known models: what they are for, how large they are, where they come from.

use super::hub::{HubError, Wanted};
use crate::nn::shape::Shape;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A model that can be got with one click.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Short and unique.
    pub id: String,
    /// As shown to people.
    pub name: String,
    /// Task id whose models it belongs to.
    pub task: String,
    /// `transformers` class.
    pub architecture: String,
    /// On the hub.
    pub repo: String,
    /// Of a repository with several GGUF files, which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Of its weights, about; the hub says it exactly before anything is downloaded.
    pub bytes: u64,
    pub licence: String,
    pub languages: Vec<String>,
    pub parameters: u64,
    /// Of the file.
    pub precision: String,
    /// What it can and cannot do, in a sentence.
    pub note: String,
    pub shape: Shape,
}

impl Known {
    /// What to ask the hub for.
    pub fn wanted(&self) -> Wanted {
        Wanted { file: self.file.clone(), ..Wanted::of(&self.repo) }
    }

    /// Whether its weights are in blocks.
    pub fn is_quantized(&self) -> bool {
        self.precision.starts_with('Q')
    }
}

/// What to ask the hub for by a catalogue's id, or any of the hub's.
///
/// # Errors
/// [`HubError::Id`].
pub fn wanted(id: &str) -> Result<Wanted, HubError> {
    find(id).map_or_else(|| Wanted::parse(id), |known| Ok(known.wanted()))
}

static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    // Checked by a test: a damaged catalogue does not pass it.
    serde_json::from_str(include_str!("../../assets/catalogue.json")).unwrap_or_default()
});

/// All of them, by task.
pub fn all() -> &'static [Known] {
    &ALL
}

/// The one called `id`, or that lies in a repository (and file) on the hub.
pub fn find(id: &str) -> Option<&'static Known> {
    let same = |k: &&Known| {
        let wanted = k.file.as_ref().map_or_else(|| k.repo.clone(), |f| format!("{}/{f}", k.repo));
        k.id.eq_ignore_ascii_case(id) || wanted.eq_ignore_ascii_case(id)
    };
    all().iter().find(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::hub::is_repo_id;
    use crate::nn::forecast::TOKEN;
    use crate::nn::precision::Precision;
    use crate::nn::shape::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn every_model_is_complete_and_unique() {
        assert!(all().len() >= 25, "{}", all().len());
        let ids: BTreeSet<&str> = all().iter().map(|k| k.id.as_str()).collect();
        assert_eq!(ids.len(), all().len());
        for k in all() {
            assert!(is_repo_id(&k.repo) && !k.id.contains('/'), "{}", k.id);
            assert!(!k.licence.is_empty() && !k.languages.is_empty() && !k.note.is_empty(), "{}", k.id);
            assert_eq!(k.file.is_some(), k.is_quantized(), "{}", k.id);
            assert_eq!(find(&k.id).map(|f| &f.id), Some(&k.id));
        }
    }

    #[test]
    fn sizes_agree_with_parameters() {
        for k in all() {
            let s = &k.shape;
            let f32 = s.forecast((k.bytes, false), Precision::F32, 512, crate::nn::shape::Place::default());
            // An encoder's table of words stays in its file.
            let words = if s.kind == Kind::Encoder { s.vocabulary * s.hidden * 4 } else { 0 };
            let ratio = (f32.weights + words - s.vocabulary * TOKEN) as f64 / (k.parameters as f64 * 4.0);
            assert!((0.93..1.16).contains(&ratio), "{}: {ratio}", k.id);
            let bits = k.bytes as f64 * 8.0 / k.parameters as f64;
            let expected = match k.precision.as_str() {
                "f32" => 30.0..33.0,
                // A copy of its table counts twice in the file.
                "f16" => 15.0..24.0,
                "Q8_0" => 8.0..9.0,
                _ => 4.4..8.2,
            };
            assert!(expected.contains(&bits), "{}: {bits} bits", k.id);
        }
    }
}
