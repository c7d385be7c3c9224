use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;

/// A directory of its own, gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("embedded-apiserver-{}-{number}", std::process::id())))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pods() -> Collection {
    Collection::new("", "pods")
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

#[test]
fn what_was_written_is_there_again() {
    let directory = Scratch::new();
    let mut store = open(directory.path(), 10).unwrap();
    store
        .write(&pods(), key("a"), json!({"metadata": {"name": "a"}, "n": 1}))
        .unwrap();
    store
        .write(&pods(), key("b"), json!({"metadata": {"name": "b"}}))
        .unwrap();
    store
        .write(&pods(), key("a"), json!({"metadata": {"name": "a"}, "n": 2}))
        .unwrap();
    store.delete(&pods(), &key("b")).unwrap();
    store
        .write(
            &Collection::new("apps", "deployments"),
            Key::new("", "c"),
            json!({"metadata": {}}),
        )
        .unwrap();
    let (version, snapshot) = (store.version(), store.snapshot(&pods()));
    drop(store);

    let store = open(directory.path(), 10).unwrap();
    assert_eq!(store.version(), version);
    assert_eq!(store.snapshot(&pods()).objects, snapshot.objects);
    assert_eq!(store.get(&pods(), &key("a")).unwrap()["n"], 2);
    assert!(store.get(&pods(), &key("b")).is_none());
    assert_eq!(store.len(&Collection::new("apps", "deployments")), 1);
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = Scratch::new();
    let _open = open(directory.path(), 10).unwrap();
    assert!(matches!(open(directory.path(), 10), Err(StorageError::InUse(_))));
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_left_alone() {
    let directory = Scratch::new();
    let path = directory.path().join(FILE);
    fs::create_dir_all(directory.path()).unwrap();
    let write = |format: u64| {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(NUMBERS)
            .unwrap()
            .insert(FORMAT_NAME, format)
            .unwrap();
        transaction.commit().unwrap();
    };
    write(FORMAT + 1);
    for _ in 0..2 {
        let error = open(directory.path(), 10).err().unwrap();
        assert!(
            matches!(error, StorageError::Newer { found, .. } if found == FORMAT + 1),
            "{error}"
        );
    }
    write(FORMAT);
    assert_eq!(open(directory.path(), 10).unwrap().version(), 1);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = Scratch::new();
    fs::create_dir_all(directory.path()).unwrap();
    fs::write(directory.path().join(FILE), b"something else").unwrap();
    assert!(matches!(
        open(directory.path(), 10),
        Err(StorageError::File { .. })
    ));
    assert_eq!(fs::read(directory.path().join(FILE)).unwrap(), b"something else");
}

#[test]
fn a_file_that_was_cut_short_is_refused_and_left_alone() {
    let directory = Scratch::new();
    drop(open(directory.path(), 10).unwrap());
    let file = directory.path().join(FILE);
    let whole = fs::metadata(&file).unwrap().len();
    for left in [100, 4096, whole / 2] {
        let open_file = fs::OpenOptions::new().write(true).open(&file).unwrap();
        open_file.set_len(left).unwrap();
        let refused = open(directory.path(), 10).err().unwrap();
        assert!(!refused.to_string().is_empty(), "{left}");
        assert_eq!(fs::metadata(&file).unwrap().len(), left, "{refused}");
    }
}
