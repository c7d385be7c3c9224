//! A process that is killed at any moment loses no write that it acknowledged, and invents none.
//!
//! The test runs itself as the process to kill: it writes to the directory under test without a pause and prints the
//! version of each write once the store has acknowledged it. What a write does follows from its version alone, so the
//! parent knows what must be there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use embedded_apiserver::storage;
use embedded_apiserver::store::{Collection, Key, Store};
use serde_json::{Value, json};

const KILLS: u64 = 100;
const KEYS: u64 = 40;
const DIRECTORY: &str = "EMBEDDED_APISERVER_KILLED_DIRECTORY";

/// What the objects' names and numbers are.
type Model = BTreeMap<u64, u64>;

/// A number that looks random and is the same for the same version.
fn mixed(version: u64) -> u64 {
    let mut x = version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Key of the object that the write with this version is about.
fn key_of(version: u64) -> u64 {
    mixed(version) % KEYS
}

/// Whether the write with this version deletes, if there is something to delete.
fn deletes(version: u64) -> bool {
    mixed(version).is_multiple_of(7)
}

fn expect(model: &mut Model, version: u64) {
    let key = key_of(version);
    if deletes(version) && model.contains_key(&key) {
        model.remove(&key);
    } else {
        model.insert(key, version);
    }
}

fn collection() -> Collection {
    Collection::new("test.io", "things")
}

fn name(key: u64) -> Key {
    Key::new("default", &format!("k{key}"))
}

fn object(version: u64) -> Value {
    // Some larger than a page, as Pods are.
    let padding = "x".repeat(usize::try_from(mixed(version) % 9000).unwrap());
    json!({"metadata": {"name": format!("k{}", key_of(version))}, "number": version, "padding": padding})
}

/// What the store holds, each object checked to be whole.
fn content(store: &Store) -> Model {
    let objects = store.snapshot(&collection()).objects;
    objects
        .iter()
        .map(|(key, stored)| {
            let value = stored.value();
            let version = value["number"].as_u64().unwrap();
            let mut expected = object(version);
            expected["metadata"]["resourceVersion"] = json!(version.to_string());
            assert_eq!(*value, expected, "{}", key.as_str());
            (key.name()[1..].parse().unwrap(), version)
        })
        .collect()
}

#[test]
#[ignore = "the process that the other test kills"]
fn writes_until_killed() {
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let mut store = storage::open(&directory, 10).unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let version = store.version() + 1;
        let key = name(key_of(version));
        let deleted = deletes(version) && store.delete(&collection(), &key).unwrap().is_some();
        if !deleted {
            store.write(&collection(), key, object(version)).unwrap();
        }
        // Nobody listens any more when the test is over.
        if writeln!(out, "acknowledged {version}")
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Runs the writer, kills it after `after` acknowledgements, and returns the last version it acknowledged.
fn run_and_kill(directory: &Path, after: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_killed", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = 0;
    let mut last = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Some(version) = line
            .unwrap()
            .strip_prefix("acknowledged ")
            .and_then(|text| text.parse().ok())
        else {
            continue;
        };
        last = version;
        seen += 1;
        if seen == after {
            // SIGKILL. What it still acknowledged before that is read on.
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(
        seen >= after && !status.success(),
        "the writer ended by itself: {status}, {seen} writes"
    );
    last
}

#[test]
fn a_hundred_kills_lose_no_acknowledged_write() {
    let directory = std::env::temp_dir().join(format!("embedded-apiserver-kill-{}", std::process::id()));
    let mut model = Model::new();
    let mut version = 1;
    for kill in 0..KILLS {
        let acknowledged = run_and_kill(&directory, 1 + mixed(kill) % 30);
        let store = storage::open(&directory, 10).unwrap();
        // At most the write that was under way is there without having been acknowledged.
        let found = store.version();
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "{found} after {acknowledged}"
        );
        while version < found {
            version += 1;
            expect(&mut model, version);
        }
        assert_eq!(content(&store), model, "after kill {kill}");
    }
    assert!(version > KILLS, "{version} writes");
    std::fs::remove_dir_all(&directory).unwrap();
}
