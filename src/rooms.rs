//! Who may import whom: the rooms of docs/ARCHITECTURE.md, held by a test that reads the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A room, the rooms it may import, and, where that is limited, the crates.
type Room = (
    &'static str,
    &'static [&'static str],
    Option<&'static [&'static str]>,
);

/// Binaries and `lib.rs` may import all.
const ROOMS: &[Room] = &[
    (
        "domain",
        &[],
        Some(&["jiff", "kube", "regex", "schemars", "serde", "thiserror"]),
    ),
    ("plan", &["domain"], Some(&["imbl", "jiff"])),
    ("api", &["domain"], None),
    (
        "build",
        &["api", "domain"],
        Some(&["jiff", "k8s_openapi", "kube", "serde", "serde_json"]),
    ),
    ("cli", &[], None),
    ("runtime", &["cache", "cli"], None),
    ("cache", &["api", "build", "domain", "plan", "runtime"], None),
    (
        "ledger",
        &["api", "build", "cache", "domain", "plan", "runtime"],
        None,
    ),
    ("report", &["api", "build", "cache", "ledger", "plan"], None),
    (
        "controllers",
        &[
            "api", "build", "cache", "domain", "ledger", "plan", "report", "runtime",
        ],
        None,
    ),
    (
        "agent",
        &["api", "build", "cache", "ledger", "plan", "runtime"],
        None,
    ),
    ("audit", &["api", "domain", "plan", "runtime"], None),
    (
        "operator",
        &[
            "agent",
            "api",
            "cache",
            "cli",
            "controllers",
            "ledger",
            "report",
            "runtime",
        ],
        None,
    ),
    (
        "explain",
        &["domain", "plan"],
        Some(&["imbl", "jiff", "serde", "serde_json"]),
    ),
    (
        "inspect",
        &[
            "api", "build", "cache", "cli", "domain", "explain", "local", "plan", "runtime",
        ],
        None,
    ),
    ("simulated", &["runtime"], None),
    ("uninstall", &["api", "cli", "report", "runtime"], None),
    (
        "local",
        &["agent", "api", "cli", "operator", "runtime", "simulated"],
        None,
    ),
];

/// The core: the same snapshot gives the same plan, so nothing there may read what is in none.
const CORE: [&str; 4] = ["domain", "plan", "build", "explain"];
/// Clocks, randomness, the machine, and collections without an order.
const IMPURE: [&str; 8] = [
    "::now()",
    "SystemTime",
    "time::Instant",
    "HashMap",
    "HashSet",
    "std::env",
    "std::fs",
    "std::process",
];

/// What a file of the source imports.
#[derive(Debug, Default, PartialEq, Eq)]
struct Imports {
    rooms: BTreeSet<String>,
    crates: BTreeSet<String>,
    impure: BTreeSet<&'static str>,
}

/// The code of a file: no comments, no unit tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let bare = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(bare).collect::<Vec<_>>().join("\n")
}

fn imports(text: &str, crates: &BTreeSet<String>) -> Imports {
    let code = code(text);
    let mut found = Imports::default();
    // what stands before each `::`, with what follows it
    let path: Vec<&str> = code.split("::").collect();
    let mut words: Vec<&str> = Vec::new();
    for pair in path.windows(2) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = pair[0].rsplit(|c| !is_word(c)).next().unwrap_or_default();
        words.push(word);
        if word == "crate" {
            let imported = pair[1].split(|c| !is_word(c)).next().unwrap_or_default();
            assert!(!imported.is_empty(), "write one `use crate::room` per room");
            found.rooms.insert(imported.to_owned());
        }
    }
    found.crates = words
        .iter()
        .filter(|w| crates.contains(**w))
        .map(|w| (*w).to_owned())
        .collect();
    found.impure = IMPURE.into_iter().filter(|word| code.contains(word)).collect();
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["tests", "testing", "bin"].contains(&name) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs")
            && !["tests.rs", "lib.rs", "main.rs", "rooms.rs"].contains(&name)
        {
            found.push(path);
        }
    }
}

/// The dependencies of Cargo.toml, as they are named in code.
fn dependencies(root: &Path) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let name = |line: &str| line.split_once(" = ").map(|(name, _)| name.replace('-', "_"));
    section.lines().filter_map(name).collect()
}

#[test]
fn every_room_imports_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (src, crates) = (root.join("src"), dependencies(root));
    assert!(crates.contains("k8s_openapi"));
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for path in &files {
        let place = path.strip_prefix(&src).unwrap();
        let home = place
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        let Some((_, rooms, allowed)) = ROOMS.iter().find(|(name, ..)| *name == home) else {
            wrong.push(format!("{}: room {home} is not in the table", place.display()));
            continue;
        };
        let seen = imports(&std::fs::read_to_string(path).unwrap(), &crates);
        let rooms = seen
            .rooms
            .iter()
            .filter(|r| *r != home && !rooms.contains(&r.as_str()));
        wrong.extend(rooms.map(|other| format!("{}: imports {other}", place.display())));
        let foreign = seen
            .crates
            .iter()
            .filter(|c| allowed.is_some_and(|a| !a.contains(&c.as_str())));
        wrong.extend(foreign.map(|other| format!("{}: uses {other}", place.display())));
        let in_records = place.ends_with("domain/records.rs");
        if home == "domain" && !in_records && seen.crates.contains("kube") {
            wrong.push(format!(
                "{}: kube is for the derive in records.rs",
                place.display()
            ));
        }
        if CORE.contains(&home) {
            wrong.extend(
                seen.impure
                    .iter()
                    .map(|word| format!("{}: {word}", place.display())),
            );
        }
    }
    assert!(files.len() > 100 && wrong.is_empty(), "{wrong:#?}");
}

/// So that a simulation has time and chance under its rule.
#[test]
fn one_file_reads_the_clock_and_draws() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let reads = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = code(&text);
        let draws = !imports(&text, &BTreeSet::from(["rand".to_owned()]))
            .crates
            .is_empty();
        draws || code.contains("Timestamp::now()") || code.contains("SystemTime")
    };
    let readers: Vec<_> = files.iter().filter(|path| reads(path)).collect();
    assert_eq!(readers, [&src.join("runtime/source.rs")]);
}

#[test]
fn rooms_import_each_other_in_one_direction() {
    for (room, rooms, _) in ROOMS {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut todo: Vec<&str> = rooms.to_vec();
        while let Some(next) = todo.pop() {
            if reached.insert(next) {
                todo.extend(
                    ROOMS
                        .iter()
                        .filter(|(name, ..)| *name == next)
                        .flat_map(|(_, r, _)| r.iter()),
                );
            }
        }
        let exempt = ["cache", "runtime"].contains(room);
        assert!(
            exempt || !reached.contains(room),
            "{room} reaches itself by {reached:?}"
        );
    }
}

#[test]
fn imports_are_found_wherever_they_stand_and_tests_do_not_count() {
    let crates = BTreeSet::from(["kube".to_owned(), "tokio".to_owned()]);
    let text = "use kube::Api; // crate::report::x\nfn f() { crate::ledger::go(Timestamp::now()) }\n\
                #[cfg(test)]\nmod tests {\n use tokio::x; use crate::audit::y;\n}";
    let found = imports(text, &crates);
    assert_eq!(found.rooms, BTreeSet::from(["ledger".to_owned()]));
    assert_eq!(found.crates, BTreeSet::from(["kube".to_owned()]));
    assert_eq!(found.impure, BTreeSet::from(["::now()"]));
}
