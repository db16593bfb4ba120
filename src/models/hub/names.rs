//! Names on the hub: which are allowed, and how they stand in an address.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Whether `id` can name a repository: one or two parts of letters, digits, `-`, `_` and `.`.
pub fn is_repo_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    let fine = |part: &&str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
            && !part.contains("--")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    (1..=2).contains(&parts.len()) && parts.iter().all(fine)
}

/// Whether a file's path stays inside its folder.
pub fn is_safe(path: &str) -> bool {
    let fine = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']);
    !path.starts_with('/') && path.len() <= 512 && path.split('/').all(fine)
}

/// Whether a name is a GGUF file's.
pub fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.is_char_boundary(name.len() - 5) && name[name.len() - 5..].eq_ignore_ascii_case(".gguf")
}

/// Whether a text can name a blob or a commit.
pub fn is_hex(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What may not stand as it is in a part of an address.
const PART: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'&')
    .add(b'+')
    .add(b'@');

/// A part of an address, such as a revision: slashes are no borders in it.
pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// A path in an address.
pub(super) fn path(text: &str) -> String {
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_outside_are_refused() {
        for bad in ["../x", "/etc/passwd", "a/../../x", "a//b", "c:\\x", ""] {
            assert!(!is_safe(bad), "{bad}");
        }
        assert!(is_safe("onnx/model.onnx"));
        for bad in ["", "a/b/c", "../x", "a b", ".hidden", "a/--b"] {
            assert!(!is_repo_id(bad), "{bad}");
        }
        assert!(is_repo_id("distilbert/distilbert-base-uncased") && is_repo_id("t5-small"));
        assert_eq!(path("in ner/a+b#1.gguf"), "in%20ner/a%2Bb%231.gguf");
    }
}
