//! Who uses whom: the `crate::`, `super::` and `self::` paths of sources, as modules of the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module by its path in the crate: `nn::bert` for `src/nn/bert/mod.rs`; the crate's root is empty.
pub type Module = Vec<String>;

/// Sources by their modules.
pub struct House(BTreeMap<Module, String>);

/// `nn::bert` as a module.
pub fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// Whether a path lies in `room`, or is it.
pub fn is_in(path: &[String], room: &str) -> bool {
    path.starts_with(&module(room))
}

impl House {
    /// All of `src`.
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        super::sources(src, &mut files);
        let texts = files.iter().map(|file| {
            let name = file.strip_prefix(src).expect("below").to_str().expect("name").replace('\\', "/");
            (name, std::fs::read_to_string(file).expect("source"))
        });
        Self::of(texts)
    }

    /// These files, named from `src` on.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let module = |name: &str| {
            let name = name.trim_end_matches(".rs");
            let parts: Vec<&str> = name.split('/').filter(|p| !["mod", "lib", "main"].contains(p)).collect();
            parts.into_iter().map(str::to_owned).collect()
        };
        Self(files.into_iter().map(|(name, text)| (module(&name), text)).collect())
    }

    /// Every module.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.0.keys()
    }

    /// What `module` names, its tests included where they are asked for: whole paths, from the crate's root.
    pub fn paths(&self, module: &Module, tests: bool) -> BTreeSet<Vec<String>> {
        let Some(text) = self.0.get(module) else { return BTreeSet::new() };
        let text: String = text.lines().map(|l| l.split("//").next().unwrap_or("").to_owned() + "\n").collect();
        // The tests stand at the end, in a module of their own.
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let mut out = named(&text[..end], module);
        if tests {
            let inner: Module = module.iter().cloned().chain(["tests".to_owned()]).collect();
            out.extend(named(&text[end..], &inner));
        }
        out
    }

    /// The file that a path leads into.
    fn file(&self, path: &[String]) -> Module {
        let known = (0..=path.len()).rev().find(|n| self.0.contains_key(&path[..*n]));
        path[..known.unwrap_or(0)].to_vec()
    }

    /// Which files use which others. A file and the heads of the rooms that it lies in are one; tests do not count.
    pub fn graph(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let own = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
        let is_test = |m: &Module| m.last().is_some_and(|name| name == "tests");
        let of = |m: &Module| {
            let used = self.paths(m, false).into_iter().map(|path| self.file(&path));
            used.filter(|other| !own(m, other)).collect()
        };
        self.modules().filter(|m| !is_test(m)).map(|m| (m.clone(), of(m))).collect()
    }
}

/// Loops in which files use each other, each told once, by its shortest way round.
pub fn loops(graph: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<String>> {
    let mut told: BTreeSet<&Module> = BTreeSet::new();
    let mut out = Vec::new();
    for start in graph.keys() {
        if told.contains(start) {
            continue;
        }
        // The shortest ways from here, by where each comes from.
        let mut from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([start]);
        while let Some(here) = open.pop_front() {
            for next in graph.get(here).into_iter().flatten() {
                if !from.contains_key(next) {
                    from.insert(next, here);
                    open.push_back(next);
                }
            }
        }
        let Some(mut at) = from.get(start).copied() else { continue };
        let mut way = vec![start];
        while at != start {
            way.push(at);
            at = from[at];
        }
        way[1..].reverse();
        told.extend(&way);
        out.push(way.into_iter().map(|m| m.join("::")).collect());
    }
    out
}

/// Paths in `text`, a part of `module`.
fn named(text: &str, module: &Module) -> BTreeSet<Vec<String>> {
    let mut out = BTreeSet::new();
    let starts = ["crate", "super", "self"];
    for (at, word) in starts.iter().flat_map(|word| text.match_indices(word)) {
        let before = text[..at].chars().next_back();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
        let Some(rest) = text[at + word.len()..].trim_start().strip_prefix("::") else { continue };
        if !begins {
            continue;
        }
        let base: Module = match word {
            "crate" => Vec::new(),
            "self" => module.clone(),
            _ => module[..module.len().saturating_sub(1)].to_vec(),
        };
        tree(&base, rest, &mut out);
    }
    out
}

/// Reads `a::b`, `{a, b::{c, d as e}}` or `*` below `base`; what stands after it.
fn tree<'a>(base: &[String], text: &'a str, out: &mut BTreeSet<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(base, rest, out);
            // What stands here after a tree is another name for it.
            let Some(end) = rest.find([',', '}']) else { return "" };
            let ends = rest[end..].starts_with('}') || rest[end + 1..].trim_start().starts_with('}');
            if ends {
                return rest[end..].split_once('}').map_or("", |(_, after)| after);
            }
            rest = &rest[end + 1..];
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = match name {
        "" | "self" => base.to_vec(),
        "super" => base[..base.len().saturating_sub(1)].to_vec(),
        name => base.iter().cloned().chain([name.to_owned()]).collect(),
    };
    match rest.trim_start().strip_prefix("::") {
        Some(below) if !name.is_empty() => tree(&path, below, out),
        _ => {
            out.insert(path);
            rest
        }
    }
}
