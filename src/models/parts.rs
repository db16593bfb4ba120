//! Models whose weights lie in several GGUF files, and what those are called.
//!
//! llama.cpp's gguf-split cuts a file into `PREFIX-00001-of-00003.gguf` and so on (`llama_split_path`). All of them are
//! one model, which is called by its first part.

use super::ModelError;
use std::path::{Path, PathBuf};

/// Most parts of a model: a name may claim any number, and each is looked for.
const MOST: u32 = 1_000;
/// Digits of a number in a name, at least.
const DIGITS: usize = 5;

/// A part, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    prefix: &'a str,
    /// Counts from 1.
    pub number: u32,
    pub count: u32,
    ending: &'a str,
}

impl<'a> Part<'a> {
    /// Reads a file's name, or the end of a path. `None` for a file that is whole by its name.
    pub fn parse(name: &'a str) -> Option<Self> {
        let at = name.len().checked_sub(5).filter(|at| name.is_char_boundary(*at))?;
        let (stem, ending) = name.split_at(at);
        let (rest, count) = stem.rsplit_once("-of-").filter(|_| ending.eq_ignore_ascii_case(".gguf"))?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let read = |digits: &str| {
            let fine = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| fine)
        };
        let (number, count) = (read(number)?, read(count)?);
        let is_part = !prefix.is_empty() && !prefix.ends_with('/') && (1..=MOST).contains(&count);
        (is_part && (1..=count).contains(&number)).then_some(Self { prefix, number, count, ending })
    }

    /// The name of part `number` of the same model.
    pub fn name(&self, number: u32) -> String {
        let Self { prefix, count, ending, .. } = self;
        format!("{prefix}-{number:05}-of-{count:05}{ending}")
    }

    /// The names of all parts, in order.
    pub fn all(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|number| self.name(number))
    }
}

/// The name without what says that it is a part, and without the ending: `PREFIX`.
pub fn stem(name: &str) -> Option<&str> {
    Part::parse(name).map(|part| part.prefix)
}

/// What a model is called by of which `name` (a path, or a hub's id) is a part; `None` if it is none, or the first.
pub fn first_name(name: &str) -> Option<String> {
    Part::parse(name).filter(|part| part.number > 1).map(|part| part.name(1))
}

/// All files of the model that the GGUF file at `path` belongs to, in order, whether they are there or not. One that is
/// whole by its name is alone; a link may have a name of its own, then what it leads to counts.
pub fn of(path: &Path) -> Vec<PathBuf> {
    let named = |path: &Path| {
        let part = Part::parse(path.file_name()?.to_str()?)?;
        Some(part.all().map(|name| path.with_file_name(name)).collect())
    };
    let behind = || std::fs::canonicalize(path).ok().filter(|_| path.is_symlink()).and_then(|p| named(&p));
    named(path).or_else(behind).unwrap_or_else(|| vec![path.to_owned()])
}

/// The first of them: what the model is called by.
pub fn first(path: &Path) -> PathBuf {
    of(path).swap_remove(0)
}

/// Of GGUF files those that a model is called by: whole ones, and the first part of each of the others, if it is there.
pub fn models(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort();
    let is_later = |path: &PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        Part::parse(name).is_some_and(|part| part.number > 1)
    };
    files.retain(|path| !is_later(path));
    files
}

/// Whether all of a model's files are there.
///
/// # Errors
/// [`ModelError::Parts`] names those that are not; [`ModelError::Missing`] a file that is alone.
pub fn check(files: &[PathBuf]) -> Result<(), ModelError> {
    let missing: Vec<PathBuf> = files.iter().filter(|f| !f.is_file()).cloned().collect();
    match (missing.first(), files) {
        (None, _) => Ok(()),
        (Some(only), [_]) => Err(ModelError::Missing(only.clone())),
        _ => Err(ModelError::Parts { missing, count: files.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_part_of_how_many_a_file_is() {
        let part = Part::parse("Q4_K_M/big-model-00002-of-00003.gguf").expect("part");
        assert_eq!((part.number, part.count, part.prefix), (2, 3, "Q4_K_M/big-model"));
        assert_eq!(part.all().last().as_deref(), Some("Q4_K_M/big-model-00003-of-00003.gguf"));
        assert_eq!(Part::parse("m-00001-of-00002.GGUF").map(|p| p.name(2)).as_deref(), Some("m-00002-of-00002.GGUF"));
        for whole in [
            "m.gguf",
            "m-1-of-2.gguf",
            "m-00003-of-00002.gguf",
            "m-00000-of-00002.gguf",
            "m-00001-of-00000.gguf",
            "m-00001-of-99999.gguf",
            "m-+0001-of-00002.gguf",
            "-00001-of-00002.gguf",
            "a/-00001-of-00002.gguf",
            "m-00001-of-00002.safetensors",
            "m-00001-of-00002é.ggu",
            ".gguf",
            "",
        ] {
            assert_eq!(Part::parse(whole), None, "{whole}");
        }
        assert_eq!(first_name("o/n/m-00002-of-00002.gguf").as_deref(), Some("o/n/m-00001-of-00002.gguf"));
        assert_eq!((first_name("o/n/m-00001-of-00002.gguf"), first_name("o/n")), (None, None));
        assert_eq!(stem("m-00002-of-00002.gguf"), Some("m"));
    }

    #[test]
    fn parts_are_one_model_by_whatever_name() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "other.gguf", "half-00002-of-00002.gguf"] {
            std::fs::write(at(name), "x").expect("file");
        }
        let all = [at("m-00001-of-00002.gguf"), at("m-00002-of-00002.gguf")];
        assert_eq!(of(&all[0]), all);
        assert_eq!(of(&all[1]), all);
        assert_eq!(first(&all[1]), all[0]);
        assert_eq!(of(&at("other.gguf")), [at("other.gguf")]);
        let link = at("link.gguf");
        std::os::unix::fs::symlink("m-00002-of-00002.gguf", &link).expect("link");
        assert!(of(&link)[0].ends_with("m-00001-of-00002.gguf"));
        let files = std::fs::read_dir(folder.path()).expect("folder").flatten().map(|f| f.path()).collect();
        assert_eq!(models(files), [link, all[0].clone(), at("other.gguf")]);
        check(&all).expect("all there");
        let missing = check(&of(&at("half-00002-of-00002.gguf"))).expect_err("half");
        assert!(
            missing.to_string().contains("half-00001-of-00002.gguf' is missing: the model lies in 2 parts"),
            "{missing}"
        );
        assert!(matches!(check(&[at("none.gguf")]), Err(ModelError::Missing(_))));
    }
}
