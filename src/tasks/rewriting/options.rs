//! What a text is rewritten into.

use crate::tasks::text::structure::Structure;

/// Of `translate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslateOptions {
    /// Languages by code; empty: the model's own.
    pub from: String,
    pub to: String,
    /// How the text is written.
    pub structure: Structure,
    /// Whether to say which words belong together.
    pub align: bool,
}
