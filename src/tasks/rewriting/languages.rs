//! Languages by code, and as people call them.

/// Languages by code, as people call them, and as T5 does.
pub const LANGUAGES: [(&str, &str); 14] = [
    ("en", "English"),
    ("fr", "French"),
    ("de", "German"),
    ("ro", "Romanian"),
    ("es", "Spanish"),
    ("it", "Italian"),
    ("nl", "Dutch"),
    ("pt", "Portuguese"),
    ("pl", "Polish"),
    ("ru", "Russian"),
    ("uk", "Ukrainian"),
    ("zh", "Chinese"),
    ("ja", "Japanese"),
    ("ar", "Arabic"),
];

/// What people call the language of `code`.
pub fn language_name(code: &str) -> &str {
    LANGUAGES.iter().find(|l| l.0 == code).map_or(code, |l| l.1)
}

/// A pair of languages as people call it.
pub fn pair_name(from: &str, to: &str) -> String {
    format!("{} → {}", language_name(from), language_name(to))
}

/// Source and target of a translation model, by its task and languages.
pub fn pair_of<'a>(task: &str, languages: &'a [String]) -> Option<(&'a str, &'a str)> {
    match languages {
        [from, to] if task == "translate" => Some((from, to)),
        _ => None,
    }
}
