//! Why a file's bytes are refused: they are damaged, or they are whole and not for us. What a person can do differs.

use super::ModelError;
use crate::nn::source::Dtype;
use std::path::Path;

/// Why bytes are refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Bytes that no writer of the format writes: cut short, changed or forged. Read after "is damaged:".
    Damaged(String),
    /// Whole, and of a kind that is not read here. `why` is read after the file's name; `next` is what to do.
    Unfit { why: String, next: String },
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::Damaged(why.to_owned())
    }
}

impl Refusal {
    /// Of a kind that is not read here.
    pub fn unfit(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Unfit { why: why.into(), next: next.into() }
    }

    /// As the error of the file at `path`.
    pub fn at(self, path: &Path) -> ModelError {
        match self {
            Self::Damaged(why) => ModelError::damaged(path, why),
            Self::Unfit { why, next } => ModelError::unfit(path, why, next),
        }
    }
}

const AGAIN: &str = "Fetch the file again from where it came.";

/// What bytes are that are no weights whatever their name says: the name of a file on its way here, a page that says
/// why there is none, a file of another kind.
pub fn something_else(bytes: &[u8]) -> Option<Refusal> {
    if bytes.is_empty() {
        return Some(Refusal::unfit("is empty", AGAIN));
    }
    if let Some(refusal) = stand_in(bytes) {
        return Some(refusal);
    }
    let of = |kind: &str| Some(Refusal::unfit(format!("is {kind}, not what its name says"), "Give it its right name."));
    match bytes {
        [b'G', b'G', b'U', b'F', ..] => of("a GGUF file"),
        [b'P', b'K', 3, 4, ..] => of("a zip archive (as PyTorch writes it, or of files)"),
        [0x80, 2..=5, ..] => of("a pickle (an old PyTorch file)"),
        [0x89, b'H', b'D', b'F', ..] => Some(Refusal::unfit(
            "is an HDF5 file (of Keras or TensorFlow), which Glossa does not read",
            "Take the model as safetensors or as PyTorch's .bin.",
        )),
        [0x1f, 0x8b, ..] => Some(Refusal::unfit("is packed with gzip", "Unpack it.")),
        // GGUF's forerunners: a number as four letters, backwards.
        [b'l', b'm', b'g', b'g', ..]
        | [b't' | b'f' | b'a', b'j' | b'm' | b'l', b'g', b'g', ..]
        | [b'G', b'G', b'M', b'L', ..] => Some(Refusal::unfit(
            "is a model in ggml's old format, which GGUF has replaced",
            "Take a GGUF file of the same model, or convert the model again.",
        )),
        _ => None,
    }
}

/// A pointer of Git's large file storage, or a page of the web, where a file should be. Cheap: any file may be asked.
pub fn stand_in(bytes: &[u8]) -> Option<Refusal> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(Refusal::unfit(
            "is only a pointer of Git LFS: the file itself was not fetched",
            "Run 'git lfs pull' where it was cloned, or get the model with 'glossa models get'.",
        ));
    }
    let start: Vec<u8> = bytes.trim_ascii_start().iter().take(9).map(u8::to_ascii_lowercase).collect();
    let is_page = start.starts_with(b"<!doctype") || start.starts_with(b"<html");
    is_page.then(|| {
        Refusal::unfit(
            "is a page of the web, not a model: what was fetched is a message",
            "Open it in a browser to read why. A model may ask for an account; 'glossa models get' says so.",
        )
    })
}

/// ggml's names by number, of types that are not read here. Source: `enum ggml_type` in ggml.h; 4, 5, 31 to 33 and 36 to
/// 38 were taken back.
const OTHER_TYPES: [(u32, &str); 29] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// What ggml calls the type with this number, if it is one that is not read here.
pub fn other_type(number: u32) -> Option<&'static str> {
    OTHER_TYPES.iter().find(|t| t.0 == number).map(|t| t.1)
}

/// A name from a file, short enough to show; names of tensors have up to 70 letters.
pub fn short(name: &str) -> String {
    name.chars().take(120).collect::<String>().escape_debug().to_string()
}

/// What to do about weights in a type that is not read here.
pub fn another_type() -> String {
    let read: Vec<&str> = Dtype::ALL.iter().map(|d| d.name()).collect();
    format!("Choose another file of the same model, such as Q4_K_M or Q8_0. Glossa reads {}.", read.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(bytes: &[u8]) -> String {
        match something_else(bytes) {
            Some(Refusal::Unfit { why, next }) if !next.is_empty() => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_weights_is_called_what_it_is() {
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", "a".repeat(64));
        assert!(why(pointer.as_bytes()).contains("Git LFS"));
        for page in ["\r\n <!DOCTYPE html><html>", "<HTML><body>", "<!doctype html>"] {
            assert!(why(page.as_bytes()).contains("page of the web"), "{page}");
        }
        assert!(why(b"").contains("empty") && why(b"GGUF\x03").contains("GGUF") && why(b"PK\x03\x04x").contains("zip"));
        for old in [&b"lmgg"[..], b"tjgg\x03", b"fmgg", b"algg", b"GGML"] {
            assert!(why(old).contains("old format"), "{old:?}");
        }
        assert_eq!(something_else(&[8, 0, 0, 0, 0, 0, 0, 0, b'{']), None);
        assert_eq!(stand_in(b"{\"model_type\": \"bert\"}"), None);
    }

    #[test]
    fn no_type_that_is_read_is_called_another() {
        for dtype in Dtype::ALL {
            assert!(OTHER_TYPES.iter().all(|t| t.1 != dtype.name()), "{}", dtype.name());
            assert!(another_type().contains(dtype.name()));
        }
    }
}
