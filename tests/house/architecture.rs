//! The one way through the house: no upward call, no files in a loop, no file too long for one room.

#[path = "architecture/uses.rs"]
mod uses;

use std::path::{Path, PathBuf};
use uses::{House, Module, is_in, loops, module};

/// Rooms, and what each may use of the others beside itself.
type Rules<'a> = &'a [(&'a str, &'a [&'a str])];

/// What each room may use of the others (beside itself and the leaves, [`LEAVES`]).
const MAY_USE: Rules<'_> = &[
    ("app", &["engine", "labs", "telemetry", "tasks", "nn::runtime", "nn::precision"]),
    ("cli", &["app", "engine", "labs", "models", "nn", "tasks", "telemetry"]),
    ("labs", &["engine", "models", "nn", "tasks", "telemetry::stats"]),
    ("engine", &["tasks", "models", "nn"]),
    ("tasks", &["nn", "models"]),
    ("models", &["nn"]),
    ("nn", &[]),
    ("telemetry", &[]),
    ("disk", &[]),
    ("memory", &[]),
    ("error", &[]),
];

/// Everybody's.
const LEAVES: [&str; 3] = ["error", "disk", "memory"];

/// Below `tasks`: what each wing may use of the others. Nobody uses the list in `tasks/mod.rs`, nor what it shows of
/// others: a name that comes through it could be any wing's.
const WINGS: Rules<'_> = &[
    // `Options` is put together from the parts that stand beside the tasks; these are leaves.
    ("tasks::contract", &["tasks::reading::options", "tasks::rewriting::options", "tasks::writing::options"]),
    ("tasks::text", &[]),
    ("tasks::reading", &["tasks::contract", "tasks::text"]),
    ("tasks::writing", &["tasks::contract", "tasks::text"]),
    ("tasks::rewriting", &["tasks::contract", "tasks::text"]),
    ("tasks::forecast", &["tasks::contract"]),
];

/// The parts of `Options`: a taught head is one's answer and another's option.
const PARTS: Rules<'_> = &[
    ("tasks::reading::options", &["tasks::contract::taught"]),
    ("tasks::rewriting::options", &["tasks::text"]),
    ("tasks::writing::options", &[]),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// What is used of `around` (the whole crate: "") against `rules`.
fn forbidden(house: &House, around: &str, rules: Rules<'_>, everybodys: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (room, allowed) in rules {
        let mut files = house.modules().filter(|m| is_in(m, room)).peekable();
        assert!(files.peek().is_some(), "{room} is empty");
        for file in files {
            // A room's own head is not another's.
            let fits = |path: &[String]| {
                path.is_empty() || is_in(path, room) || allowed.iter().chain(everybodys).any(|a| is_in(path, a))
            };
            let inside = |path: &[String]| around.is_empty() || is_in(path, around);
            let bad = house.paths(file, true).into_iter().filter(|p| inside(p) && !fits(p));
            wrong.extend(bad.map(|p| format!("{} uses {}", file.join("::"), p.join("::"))));
        }
    }
    wrong
}

#[test]
fn nothing_calls_upward() {
    let wrong = forbidden(&House::read(&src()), "", MAY_USE, &LEAVES);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_rule() {
    let house = House::read(&src());
    let rules = |rules: Rules<'_>| rules.iter().map(|r| module(r.0)).collect::<Vec<Module>>();
    let (rooms, wings) = (rules(MAY_USE), rules(WINGS));
    for file in house.modules().filter(|m| !m.is_empty()) {
        assert!(rooms.iter().any(|r| file.starts_with(r)), "{file:?}");
        let in_wing = file[0] != "tasks" || file.len() == 1 || wings.iter().any(|w| file.starts_with(w));
        assert!(in_wing, "{file:?}");
    }
}

#[test]
fn wings_of_tasks_stand_on_the_contract_alone() {
    let house = House::read(&src());
    let mut wrong = forbidden(&house, "tasks", WINGS, &[]);
    wrong.extend(forbidden(&house, "tasks", PARTS, &[]));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_use_each_other_in_a_loop() {
    let graph = House::read(&src()).graph();
    let found = loops(&graph);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_fit_one_room() {
    let mut files = Vec::new();
    for dir in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    let long: Vec<_> = files
        .into_iter()
        .map(|f| (std::fs::read_to_string(&f).expect("source").lines().count(), f))
        .filter(|(lines, _)| *lines > 420)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// A made-up house.
fn house(files: &[(&str, &str)]) -> House {
    House::of(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

#[test]
fn loops_of_two_and_of_three_are_found() {
    let two = house(&[
        ("a/mod.rs", "mod x;\nmod y;\npub use x::X;\n"),
        ("a/x.rs", "use super::{\n    W,\n    y::{Y, self as other},\n};\n"),
        ("a/y.rs", "fn f() -> crate::a::x::X {}\n"),
        ("b.rs", "use crate::a::x::X;\n"),
    ]);
    assert_eq!(loops(&two.graph()), [["a::x", "a::y"]]);
    let three = house(&[
        ("a.rs", "use {std::fmt, crate::{b::{c::{D}, E}, z}};\n"),
        ("b/mod.rs", "mod c;\n"),
        ("b/c.rs", "pub(super) use super::super::d as e;\n"),
        ("d.rs", "fn f() { self::g(); crate::a::f::<u8>() }\n"),
        ("z.rs", "// crate::a is no use of it\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n"),
    ]);
    assert_eq!(loops(&three.graph()), [["a", "b::c", "d"]]);
}

#[test]
fn a_room_and_its_own_files_are_no_loop() {
    let one = house(&[
        ("a/mod.rs", "use self::x::X;\nuse crate::a::y::Y;\n"),
        ("a/x.rs", "use super::Z;\n"),
        ("a/y.rs", "use super::x::X;\nuse crate::a::Z;\n"),
    ]);
    assert!(loops(&one.graph()).is_empty());
}

#[test]
fn calls_upward_are_found_by_whatever_path() {
    let rules: Rules<'_> = &[("low", &["leaf::good"]), ("high", &["low"])];
    let fine = [("high.rs", "use crate::low::X;"), ("low/mod.rs", "use crate::leaf::good::G;")];
    assert!(forbidden(&house(&fine), "", rules, &[]).is_empty());
    for (text, used) in [
        ("use crate::{low::a, high::H};", "high::H"),
        ("use super::super::high;", "high"),
        ("fn f() { crate::high::g() }", "high::g"),
        ("use crate::leaf::{good::G, goods};", "leaf::goods"),
        ("#[cfg(test)]\nmod tests {\n    use super::*;\n    use super::super::super::high::H;\n}", "high::H"),
    ] {
        let all = [fine[0], fine[1], ("low/b.rs", text)];
        assert_eq!(forbidden(&house(&all), "", rules, &[]), [format!("low::b uses {used}")], "{text}");
    }
}
