//! The corpus: histories as files, made by the builders here, each with what it is expected to show.

#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

mod bad;
mod bounds;
mod gaps;
mod good;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{History, Invariant, Kind, Options, audit, check};

/// A history and what it is expected to show.
struct Case {
    name: String,
    expect: Option<Invariant>,
    options: Options,
    history: History,
}

fn case(name: &str, expect: Option<Invariant>, history: History) -> Case {
    Case {
        name: name.to_owned(),
        expect,
        options: Options::default(),
        history,
    }
}

fn cases() -> Vec<Case> {
    [
        bad::room(),
        bad::daemons(),
        bad::inactive(),
        bad::order(),
        bad::pods(),
        bounds::all(),
        bad::protection(),
        bad::rest(),
        gaps::all(),
        good::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit/corpus")
}

impl Case {
    fn file(&self) -> PathBuf {
        let folder = folder().join(if self.expect.is_some() { "bad" } else { "good" });
        folder.join(format!("{}.jsonl", self.name))
    }

    /// The file as it should be. Lines stay in the order they came: that order is part of some cases.
    fn text(&self) -> String {
        let expect = self.expect.map_or("none".to_owned(), |i| i.to_string());
        let (quiet, wipe) = (self.options.quiet, self.options.expect_wipe);
        let mut lines = vec![json!({ "expect": expect, "quiet": quiet, "expectWipe": wipe }).to_string()];
        let records = self.history.records().iter().map(serde_json::to_string);
        lines.extend(records.map(Result::unwrap));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Run with `AUDIT_CORPUS=write` to write the files anew.
#[test]
fn the_files_are_what_the_builders_make() {
    for case in cases() {
        let file = case.file();
        if std::env::var("AUDIT_CORPUS").is_ok_and(|v| v == "write") {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, case.text()).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == case.text(),
            "{} is not what the builder makes",
            case.name
        );
    }
}

fn files(of: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder().join(of)).unwrap().map(Result::unwrap);
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(path).unwrap());
    entries.map(|entry| read(entry.path())).collect()
}

/// What the first line of a file says.
fn told(text: &str) -> (String, Options) {
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let flag = |name: &str| first[name].as_bool().unwrap_or(false);
    let options = Options {
        quiet: flag("quiet"),
        expect_wipe: flag("expectWipe"),
    };
    (first["expect"].as_str().unwrap().to_owned(), options)
}

#[test]
fn each_broken_history_shows_exactly_what_was_broken() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (file, text) in files("bad") {
        let (expect, options) = told(&text);
        let found = check(&History::read(&text).unwrap(), &options);
        let invariants: BTreeSet<String> = found.iter().map(|v| v.invariant.to_string()).collect();
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(invariants, [expect.clone()].into(), "{file}: {texts:#?}");
        *counts.entry(expect).or_default() += 1;
    }
    for invariant in ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "Gap"] {
        assert!(
            counts.get(invariant).is_some_and(|n| *n >= 3),
            "{invariant}: {counts:?}"
        );
    }
}

#[test]
fn nothing_is_found_in_good_histories() {
    for (file, text) in files("good") {
        let (_, options) = told(&text);
        let found = check(&History::read(&text).unwrap(), &options);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(texts.is_empty(), "{file}: {texts:#?}");
    }
}

#[test]
fn a_history_tells_what_it_is_complete_over_and_reads_back_as_it_was_written() {
    let case = cases()
        .into_iter()
        .find(|c| c.name == "rolling-update-of-replicas")
        .unwrap();
    let mut written = Vec::new();
    case.history.write(&mut written).unwrap();
    let read = History::read(&String::from_utf8(written).unwrap()).unwrap();
    let spans = read.spans();
    assert_eq!(spans.len(), Kind::ALL.len());
    assert!(spans.values().all(|s| s.from == 100 && s.to > 120), "{spans:?}");
    assert!(read.gaps().is_empty());
    let figures = audit(&read, &Options::default()).figures;
    assert_eq!(figures, audit(&case.history, &Options::default()).figures);
    assert_eq!(
        (
            figures.reservations,
            figures.pods,
            figures.stops,
            figures.planning
        ),
        (4, 4, 2, 2)
    );
    assert_eq!(figures.planning_unjudged, 0);
}

#[test]
fn a_line_that_is_no_record_is_named() {
    let error = History::read("{\"expect\":\"I1\"}\n\n{\"version\":1}").unwrap_err();
    assert_eq!(error.to_string(), "line 3 of the history can't be read");
}
