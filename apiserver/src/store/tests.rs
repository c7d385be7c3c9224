//! The store against a plain model of it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn things() -> Collection {
    Collection::new("", "things")
}

fn thing(name: &str, content: u8) -> Value {
    json!({"metadata": {"name": name}, "content": content})
}

fn contents(snapshot: &Snapshot) -> BTreeMap<String, u64> {
    let read = |value: &Value| value["content"].as_u64().unwrap();
    snapshot
        .objects
        .iter()
        .map(|(key, stored)| (key.as_str().to_owned(), read(&stored.value())))
        .collect()
}

#[test]
fn one_counter_numbers_all_writes() {
    let mut store = Store::new(10, Box::new(NoJournal));
    let other = Collection::new("g", "others");
    let first = store.write(&things(), Key::new("", "a"), thing("a", 1)).unwrap();
    let second = store.write(&other, Key::new("n", "b"), thing("b", 2)).unwrap();
    assert_eq!((object::version(&first), object::version(&second)), (2, 3));
    let gone = store.delete(&things(), &Key::new("", "a")).unwrap().unwrap();
    assert_eq!((object::version(&gone), store.version()), (4, 4));
    assert_eq!(store.delete(&things(), &Key::new("", "a")).unwrap(), None);
    assert_eq!(store.version(), 4);
}

#[test]
fn keys_are_ordered_as_by_etcd() {
    let mut keys = [
        Key::new("a", "z"),
        Key::new("a-b", "a"),
        Key::new("a", "a"),
        Key::new("", "c"),
    ];
    keys.sort();
    assert_eq!(
        keys.iter().map(Key::as_str).collect::<Vec<_>>(),
        ["a-b/a", "a/a", "a/z", "c"]
    );
    assert_eq!(
        (
            keys[0].namespace(),
            keys[0].name(),
            keys[3].namespace(),
            keys[3].name()
        ),
        ("a-b", "a", "", "c")
    );
}

#[test]
fn a_journal_that_fails_leaves_everything_as_it_was() {
    struct Broken;
    impl Journal for Broken {
        fn record(&mut self, _: &Record<'_>) -> Result<(), JournalError> {
            Err(JournalError("disk full".to_owned()))
        }
    }
    let mut store = Store::new(10, Box::new(Broken));
    assert!(store.write(&things(), Key::new("", "a"), thing("a", 1)).is_err());
    assert_eq!((store.version(), store.len(&things())), (1, 0));
    assert_eq!(store.changes_after(&things(), 1, 10).unwrap().len(), 0);
}

#[test]
fn compaction_takes_from_a_reader_only_what_had_changed() {
    let mut store = Store::new(10, Box::new(NoJournal));
    store.write(&things(), Key::new("", "a"), thing("a", 1)).unwrap();
    let had = store.version();
    let other = Collection::new("", "others");
    store.write(&other, Key::new("", "b"), thing("b", 1)).unwrap();
    store.compact(store.version());
    assert!(store.changes_after(&things(), had, 10).is_err());
    assert_eq!(store.changes_missed(&things(), had, 10).unwrap().len(), 0);
    store.write(&things(), Key::new("", "a"), thing("a", 2)).unwrap();
    assert_eq!(store.changes_missed(&things(), had, 10).unwrap().len(), 1);
    store.compact(store.version());
    assert!(store.changes_missed(&things(), had, 10).is_err());
}

#[test]
fn large_objects_have_a_shorter_history() {
    let mut store = Store::new(usize::MAX, Box::new(NoJournal));
    let text = "x".repeat(HISTORY_BYTES_MAX / HISTORY_MIN);
    for _ in 0..HISTORY_MIN + 2 {
        let large = json!({"metadata": {"name": "a"}, "text": text});
        store.write(&things(), Key::new("", "a"), large).unwrap();
        store.packer().work();
    }
    let kept = store.version() - u64::try_from(HISTORY_MIN).unwrap();
    let after = |version| store.changes_after(&things(), version, usize::MAX);
    assert_eq!(after(kept).unwrap().len(), HISTORY_MIN);
    assert!(after(kept - 1).is_err());
}

#[test]
fn a_restored_store_has_its_objects_but_no_history() {
    let object = (things(), Key::new("", "a"), thing("a", 1));
    let store = Store::restore(10, Box::new(NoJournal), 7, [object]);
    assert_eq!((store.version(), store.len(&things())), (7, 1));
    assert_eq!(
        store.changes_after(&things(), 6, 10).unwrap_err(),
        Compacted { asked: 6, oldest: 7 }
    );
    assert_eq!(store.changes_after(&things(), 7, 10).unwrap().len(), 0);
}

#[test]
fn news_wakes_those_who_wait() {
    let mut store = Store::new(10, Box::new(NoJournal));
    let mut news = store.subscribe(&things());
    let mut quiet = store.subscribe(&Collection::new("", "others"));
    news.mark_unchanged();
    quiet.mark_unchanged();
    store.write(&things(), Key::new("", "a"), thing("a", 1)).unwrap();
    assert!(news.has_changed().unwrap() && !quiet.has_changed().unwrap());
}

#[derive(Debug, Clone)]
enum Step {
    Write(u8, u8),
    Delete(u8),
    Compact(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, any::<u8>()).prop_map(|(name, content)| Step::Write(name, content)),
        3 => (0..6_u8).prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Compact),
    ]
}

proptest! {
    /// Whatever is written: each version that is not forgotten can be seen again as it was, and the changes after it
    /// lead to the present.
    #[test]
    fn the_past_can_be_seen_and_followed(steps in prop::collection::vec(step(), 1..60), history in 1..40_usize) {
        let mut store = Store::new(history, Box::new(NoJournal));
        let mut past: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::from([(1, BTreeMap::new())]);
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(name, content) => {
                    let name = name.to_string();
                    store.write(&things(), Key::new("", &name), thing(&name, content)).unwrap();
                    model.insert(name, u64::from(content));
                }
                Step::Delete(name) => {
                    let name = name.to_string();
                    let deleted = store.delete(&things(), &Key::new("", &name)).unwrap();
                    prop_assert_eq!(deleted.is_some(), model.remove(&name).is_some());
                }
                Step::Compact(version) => store.compact(u64::from(version)),
            }
            past.insert(store.version(), model.clone());
        }
        prop_assert_eq!(contents(&store.snapshot(&things())), model.clone());
        for (version, expected) in past {
            let Ok(snapshot) = store.snapshot_at(&things(), version) else {
                prop_assert!(store.changes_after(&things(), version, 100).is_err());
                continue;
            };
            prop_assert_eq!(contents(&snapshot), expected.clone());
            let mut followed = expected;
            let changes = store.changes_after(&things(), version, 100).unwrap();
            let mut last = version;
            for change in changes {
                prop_assert!(change.version > last);
                last = change.version;
                prop_assert_eq!(change.before.is_some(), followed.contains_key(change.key.as_str()));
                if change.deleted {
                    followed.remove(change.key.as_str());
                } else {
                    followed.insert(change.key.as_str().to_owned(), change.object.value()["content"].as_u64().unwrap());
                }
            }
            prop_assert_eq!(followed, model.clone());
        }
    }
}
