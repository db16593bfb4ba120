//! T5's sentinels: marks such as `<extra_id_0>` that stand for a gap. spiece.model does not have them; `transformers`
//! appends them to its pieces, the last one first, so that `<extra_id_0>` has the highest id (T5Tokenizer).

use super::proto::{Kind, Proto};
use std::path::Path;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, Tokenizer};

/// Sentinels where nothing else is said.
const USUAL: usize = 100;

/// What stands beside spiece.model about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentinels {
    pub count: usize,
    /// Whether the text behind a mark begins a word, as it did before `transformers` 4.31.
    pub legacy: bool,
}

impl Sentinels {
    /// Reads tokenizer_config.json beside `path`; `room` is how many ids the model has beyond the pieces.
    pub fn beside(path: &Path, room: usize) -> Self {
        let text = crate::models::read_text(&path.with_file_name("tokenizer_config.json"), crate::models::MOST_CONFIG);
        let json: serde_json::Value = text.ok().and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
        let said = json.get("extra_ids").and_then(serde_json::Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let listed = || {
            let all = json.get("additional_special_tokens")?.as_array()?;
            let count = all.iter().filter(|t| t.as_str().is_some_and(|t| t.starts_with("<extra_id_"))).count();
            Some(count).filter(|count| *count > 0)
        };
        let count = said.or_else(listed).unwrap_or(USUAL).min(room);
        let legacy = json.get("legacy").and_then(serde_json::Value::as_bool).unwrap_or(true);
        Self { count, legacy }
    }

    /// Their names in the order of their ids.
    pub fn names(self) -> impl Iterator<Item = String> {
        (0..self.count).rev().map(|i| format!("<extra_id_{i}>"))
    }

    /// Has `tokenizer`, which was made of `proto`, find them and the file's own marks in a text.
    ///
    /// # Errors
    /// The library's own words.
    pub fn add_to(self, tokenizer: &mut Tokenizer, proto: &Proto) -> Result<(), String> {
        let marks = proto.pieces.iter().filter(|p| matches!(p.kind, Kind::Control | Kind::Unknown));
        let marks = marks.map(|p| AddedToken::from(p.text.clone(), true).normalized(false));
        // Spaces around a gap belong to it.
        let gaps = self.names().map(|n| AddedToken::from(n, true).normalized(false).lstrip(true).rstrip(true));
        let all: Vec<AddedToken> = marks.chain(gaps).collect();
        tokenizer.add_special_tokens(all).map_err(|e| e.to_string())?;
        if proto.add_dummy_prefix && !self.legacy {
            tokenizer.with_pre_tokenizer(Some(Metaspace::new(super::SPACE, PrependScheme::First, true)));
        }
        Ok(())
    }
}
