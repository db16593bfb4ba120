//! The index of a checkpoint in parts: `model.safetensors.index.json` and `pytorch_model.bin.index.json` say which tensor
//! lies in which file beside them (`weight_map`). What it says is held against the files.

use super::refusal::short;
use super::{ModelError, parts};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// What an index is called, beside the weights' own name.
pub const NAMES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
/// Most bytes: models of a thousand experts have some megabytes.
const MOST: u64 = 64 << 20;

/// An index that was read.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    /// Names of files by tensor.
    places: BTreeMap<String, String>,
}

/// A map's pairs in their order: one that names a tensor twice must not pass.
#[derive(Default)]
struct Pairs(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file's name for each tensor")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Each)
    }
}

#[derive(Deserialize)]
struct File {
    weight_map: Option<Pairs>,
}

/// Whether a name is a file's beside the index, and nothing else.
fn is_beside(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name.len() <= 255 && !name.contains(['/', '\\', '\0', ':'])
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// A missing or damaged file, a name that leads elsewhere, a tensor in two places.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let damaged = |why: String| ModelError::damaged(path, why);
        let file: File = super::read_json(path, MOST)?;
        let Pairs(pairs) = file.weight_map.unwrap_or_default();
        let mut places = BTreeMap::new();
        for (tensor, file) in pairs {
            let tensor_shown = short(&tensor);
            let serde_json::Value::String(file) = file else {
                return Err(damaged(format!("it names no file for the tensor '{tensor_shown}'")));
            };
            if !is_beside(&file) || !(file.ends_with(".safetensors") || file.ends_with(".bin")) {
                let why = format!(
                    "it says that '{tensor_shown}' lies in '{}', which is no file of weights beside it",
                    short(&file)
                );
                return Err(damaged(why));
            }
            if let Some(other) = places.insert(tensor, file.clone()).filter(|other| *other != file) {
                let why =
                    format!("it says that '{tensor_shown}' lies in '{}' and in '{}'", short(&other), short(&file));
                return Err(damaged(why));
            }
        }
        if places.is_empty() {
            return Err(damaged("it names no tensors (weight_map)".into()));
        }
        Ok(Self { path: path.to_owned(), places })
    }

    /// The files that it names, in the order of their names.
    pub fn files(&self) -> Vec<PathBuf> {
        let names: BTreeSet<&String> = self.places.values().collect();
        names.into_iter().map(|name| self.path.with_file_name(name)).collect()
    }

    /// The index whose files these are, if one lies beside them.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of(files: &[PathBuf]) -> Result<Option<Self>, ModelError> {
        let Some(first) = files.first() else { return Ok(None) };
        let wanted: BTreeSet<&PathBuf> = files.iter().collect();
        for path in NAMES.map(|name| first.with_file_name(name)) {
            // A whole file may lie beside an index of others: that is not looked at.
            let whole = path.with_extension("").with_extension("");
            if wanted.contains(&whole) || !path.is_file() {
                continue;
            }
            let index = Self::read(&path)?;
            if index.files().iter().collect::<BTreeSet<_>>() == wanted {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Whether all files that it names are there.
    ///
    /// # Errors
    /// [`ModelError::Parts`].
    pub fn present(&self) -> Result<(), ModelError> {
        match parts::check(&self.files()) {
            // A single file that is named by an index is a part all the same.
            Err(ModelError::Missing(path)) => Err(ModelError::Parts { missing: vec![path], count: 1 }),
            other => other,
        }
    }

    /// Holds it against the files: `found` has for each the tensors that are in it.
    ///
    /// # Errors
    /// A tensor that is not where the index says, or in two files.
    pub fn check(&self, found: &[(PathBuf, Vec<String>)]) -> Result<(), ModelError> {
        let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let mut here: HashMap<&str, &Path> = HashMap::new();
        for (path, tensors) in found {
            for tensor in tensors {
                if let Some(other) = here.insert(tensor, path) {
                    let why = format!("its tensor '{}' lies in '{}' too", short(tensor), name(other));
                    return Err(ModelError::damaged(path, why));
                }
            }
        }
        let lost =
            self.places.iter().find(|(tensor, file)| here.get(tensor.as_str()).is_none_or(|path| name(path) != **file));
        let Some((tensor, file)) = lost else { return Ok(()) };
        let index = name(&self.path);
        let why = format!("it has no tensor '{}', which lies in it by '{index}'", short(tensor));
        Err(ModelError::damaged(&self.path.with_file_name(file), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Index, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(NAMES[1]);
        std::fs::write(&path, text).expect("index");
        Index::read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn files_are_read_once_and_in_order() {
        let text = r#"{"metadata": {"total_size": 5}, "weight_map": {"a": "m-2.bin", "b": "m-1.bin", "c": "m-2.bin", "c": "m-2.bin"}}"#;
        let names: Vec<String> = read(text)
            .expect("index")
            .files()
            .iter()
            .map(|f| f.file_name().expect("name").display().to_string())
            .collect();
        assert_eq!(names, ["m-1.bin", "m-2.bin"]);
    }

    #[test]
    fn names_that_lead_elsewhere_and_tensors_in_two_places_are_refused() {
        for bad in
            ["../x.bin", "/etc/passwd", "/x.bin", "a/x.bin", "..", "", "a\\\\x.bin", "c:x.bin", "x.txt", "x\\u0000.bin"]
        {
            let why = read(&format!(r#"{{"weight_map": {{"w": "{bad}"}}}}"#)).expect_err(bad);
            assert!(
                why.contains(NAMES[1]) && why.contains("'w'") && why.contains("no file of weights"),
                "{bad}: {why}"
            );
        }
        let why = read(r#"{"weight_map": {"w": "a.bin", "w": "b.bin"}}"#).expect_err("twice");
        assert!(why.contains("'a.bin' and in 'b.bin'"), "{why}");
        for (text, part) in [
            ("{}", "weight_map"),
            ("[]", "index.json"),
            (r#"{"weight_map": []}"#, "a file's name for each tensor"),
            (r#"{"weight_map": {}}"#, "no tensors"),
            (r#"{"weight_map": {"w": 5}}"#, "no file for the tensor 'w'"),
        ] {
            let why = read(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn what_an_index_says_is_held_against_the_files() {
        let text = r#"{"weight_map": {"a": "m-1.bin", "b": "m-2.bin"}}"#;
        let index = read(text).expect("index");
        let found = |one: &[&str], two: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            let files = index.files();
            index.check(&[(files[0].clone(), own(one)), (files[1].clone(), own(two))]).map_err(|e| e.to_string())
        };
        assert_eq!(found(&["a", "more"], &["b"]), Ok(()));
        let why = found(&["a"], &["c"]).expect_err("lost");
        assert!(why.contains("m-2.bin' is damaged: it has no tensor 'b'") && why.contains(NAMES[1]), "{why}");
        let why = found(&["a"], &["a", "b"]).expect_err("twice");
        assert!(why.contains("m-2.bin' is damaged: its tensor 'a' lies in 'm-1.bin' too"), "{why}");
        assert!(found(&["b"], &["a"]).is_err(), "each in the other's");
        let present = index.present().expect_err("missing");
        assert!(present.to_string().contains("m-1.bin") && present.to_string().contains("are missing"), "{present}");
    }
}
