//! Objects and their one history.
//!
//! Every write takes the next number of one counter, which becomes the object's `resourceVersion`. The maps are
//! persistent: a snapshot is a clone that copies nothing, and the past is found by undoing what the log says. The log
//! of each collection is bounded; who asks for what it no longer holds is told so.

mod journal;
mod key;
mod marks;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use imbl::OrdMap;
use serde_json::Value;
use tokio::sync::watch;

pub use journal::{Journal, JournalError, NoJournal, Record};
pub use key::{Collection, Key};
pub use marks::Marks;
pub use stored::{Packer, Stored};

use crate::object;

/// Most bytes of text in the history of a collection, but for its last [`HISTORY_MIN`] changes.
const HISTORY_BYTES_MAX: usize = 64 << 20;
/// So many changes are kept whatever their size.
const HISTORY_MIN: usize = 500;

/// One write as a watcher may see it.
#[derive(Debug, Clone)]
pub struct Change {
    /// The number of the write.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// The object before the write, if there was one.
    pub before: Option<Arc<Stored>>,
    /// The object after it; of a deletion the last state, with the deletion's version.
    pub object: Arc<Stored>,
    /// Whether the object is gone by it.
    pub deleted: bool,
}

/// The objects of one collection at one version.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The version of the whole store that this shows.
    pub version: u64,
    /// The objects, in the order of their keys.
    pub objects: OrdMap<Key, Arc<Stored>>,
}

/// What was asked for lies before the history that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The version asked for.
    pub asked: u64,
    /// The oldest version that can be told from.
    pub oldest: u64,
}

struct Objects {
    live: OrdMap<Key, Arc<Stored>>,
    log: VecDeque<Arc<Change>>,
    /// Bytes of text that the log's objects have.
    logged: usize,
    /// Changes up to and with this version are no longer in the log.
    compacted: u64,
    /// Version of the newest change that the log has forgotten.
    forgotten: u64,
    news: watch::Sender<u64>,
}

impl Objects {
    fn new() -> Self {
        Self {
            live: OrdMap::new(),
            log: VecDeque::new(),
            logged: 0,
            compacted: 0,
            forgotten: 0,
            news: watch::Sender::new(0),
        }
    }

    fn after(&self, version: u64, limit: usize) -> Vec<Arc<Change>> {
        let start = self.log.partition_point(|change| change.version <= version);
        self.log.range(start..).take(limit).cloned().collect()
    }

    fn at_least(&self, asked: u64) -> Result<(), Compacted> {
        if asked < self.compacted {
            Err(Compacted {
                asked,
                oldest: self.compacted,
            })
        } else {
            Ok(())
        }
    }
}

/// All objects of a server.
pub struct Store {
    version: u64,
    collections: HashMap<Collection, Objects>,
    /// How many changes of a collection the log keeps.
    history: usize,
    journal: Box<dyn Journal>,
    packer: Packer,
}

impl Store {
    /// An empty store that remembers `history` changes of each collection.
    pub fn new(history: usize, journal: Box<dyn Journal>) -> Self {
        Self {
            version: 1,
            collections: HashMap::new(),
            history,
            journal,
            packer: Packer::default(),
        }
    }

    /// A store as a journal left it: its last version and the objects that were live then. No history is known.
    pub fn restore(
        history: usize,
        journal: Box<dyn Journal>,
        version: u64,
        objects: impl IntoIterator<Item = (Collection, Key, Value)>,
    ) -> Self {
        let mut store = Self::new(history, journal);
        store.version = version.max(1);
        for (collection, key, value) in objects {
            let stored = Arc::new(Stored::new(Arc::new(value)));
            store.packer.keep(stored.clone(), &collection);
            let objects = store.collections.entry(collection).or_insert_with(Objects::new);
            objects.live.insert(key, stored);
            store.packer.work();
            objects.compacted = store.version;
            objects.forgotten = store.version;
        }
        store
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One object.
    pub fn get(&self, collection: &Collection, key: &Key) -> Option<Arc<Value>> {
        let stored = self.collections.get(collection)?.live.get(key)?;
        Some(self.packer.look(stored, collection))
    }

    /// One object as it is stored.
    pub fn stored(&self, collection: &Collection, key: &Key) -> Option<Arc<Stored>> {
        self.collections.get(collection)?.live.get(key).cloned()
    }

    /// Whether there is such an object.
    pub fn has(&self, collection: &Collection, key: &Key) -> bool {
        self.collections
            .get(collection)
            .is_some_and(|objects| objects.live.contains_key(key))
    }

    /// What packs the versions that are not used. It has to be told to work, now and then.
    pub fn packer(&self) -> Packer {
        self.packer.clone()
    }

    /// How many objects a collection has.
    pub fn len(&self, collection: &Collection) -> usize {
        self.collections
            .get(collection)
            .map_or(0, |objects| objects.live.len())
    }

    /// Whether a collection has no objects.
    pub fn is_empty(&self, collection: &Collection) -> bool {
        self.len(collection) == 0
    }

    /// All collections that have been written to, in order.
    pub fn collections(&self) -> Vec<Collection> {
        let mut all: Vec<Collection> = self.collections.keys().cloned().collect();
        all.sort();
        all
    }

    /// A collection as it is now.
    pub fn snapshot(&self, collection: &Collection) -> Snapshot {
        let objects = self
            .collections
            .get(collection)
            .map(|objects| objects.live.clone());
        Snapshot {
            version: self.version,
            objects: objects.unwrap_or_default(),
        }
    }

    /// A collection as it was at `version`.
    pub fn snapshot_at(&self, collection: &Collection, version: u64) -> Result<Snapshot, Compacted> {
        let Some(objects) = self.collections.get(collection) else {
            return Ok(Snapshot {
                version,
                objects: OrdMap::new(),
            });
        };
        objects.at_least(version)?;
        let mut past = objects.live.clone();
        for change in objects
            .log
            .iter()
            .rev()
            .take_while(|change| change.version > version)
        {
            match &change.before {
                Some(before) => drop(past.insert(change.key.clone(), before.clone())),
                None => drop(past.remove(&change.key)),
            }
        }
        Ok(Snapshot {
            version,
            objects: past,
        })
    }

    /// The changes of a collection after `version`, oldest first, at most `limit`.
    pub fn changes_after(
        &self,
        collection: &Collection,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, Compacted> {
        let Some(objects) = self.collections.get(collection) else {
            return Ok(Vec::new());
        };
        objects.at_least(version)?;
        Ok(objects.after(version, limit))
    }

    /// The same for who has had all changes up to `version`: what was compacted since is no loss unless something had
    /// changed, as for the open watches of an API server.
    pub fn changes_missed(
        &self,
        collection: &Collection,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, Compacted> {
        let Some(objects) = self.collections.get(collection) else {
            return Ok(Vec::new());
        };
        if version < objects.forgotten {
            objects.at_least(version)?;
        }
        Ok(objects.after(version, limit))
    }

    /// Wakes whenever the collection has changed; the value is the version of the last change.
    pub fn subscribe(&mut self, collection: &Collection) -> watch::Receiver<u64> {
        self.collections
            .entry(collection.clone())
            .or_insert_with(Objects::new)
            .news
            .subscribe()
    }

    /// Creates or replaces an object; it is given the next version.
    pub fn write(
        &mut self,
        collection: &Collection,
        key: Key,
        mut value: Value,
    ) -> Result<Arc<Value>, JournalError> {
        let version = self.version.saturating_add(1);
        object::set_meta(&mut value, "resourceVersion", version.to_string());
        let value = Arc::new(value);
        let stored = Arc::new(Stored::new(value.clone()));
        self.journal.record(&Record {
            version,
            collection,
            key: &key,
            object: Some(&stored),
        })?;
        self.commit(collection, version, key, stored, false);
        Ok(value)
    }

    /// Has an object read otherwise from now on, without a write that anybody sees: its version stays.
    pub fn amend(&mut self, collection: &Collection, key: &Key, value: Value) -> Result<(), JournalError> {
        let Some(objects) = self.collections.get_mut(collection) else {
            return Ok(());
        };
        let stored = Arc::new(Stored::new(Arc::new(value)));
        self.journal.record(&Record {
            version: self.version,
            collection,
            key,
            object: Some(&stored),
        })?;
        self.packer.keep(stored.clone(), collection);
        objects.live.insert(key.clone(), stored);
        Ok(())
    }

    /// Deletes an object and returns its last state, with the version of the deletion; none if there was no such object.
    pub fn delete(&mut self, collection: &Collection, key: &Key) -> Result<Option<Arc<Value>>, JournalError> {
        let Some(last) = self.get(collection, key) else {
            return Ok(None);
        };
        self.delete_as(collection, key, Value::clone(&last)).map(Some)
    }

    /// Deletes an object whose last state is `last`: what watchers are shown.
    pub fn delete_as(
        &mut self,
        collection: &Collection,
        key: &Key,
        mut last: Value,
    ) -> Result<Arc<Value>, JournalError> {
        let version = self.version.saturating_add(1);
        object::set_meta(&mut last, "resourceVersion", version.to_string());
        let last = Arc::new(last);
        self.journal.record(&Record {
            version,
            collection,
            key,
            object: None,
        })?;
        let stored = Arc::new(Stored::new(last.clone()));
        self.commit(collection, version, key.clone(), stored, true);
        Ok(last)
    }

    fn commit(
        &mut self,
        collection: &Collection,
        version: u64,
        key: Key,
        object: Arc<Stored>,
        deleted: bool,
    ) {
        self.version = version;
        self.packer.keep(object.clone(), collection);
        let objects = self
            .collections
            .entry(collection.clone())
            .or_insert_with(Objects::new);
        let before = if deleted {
            objects.live.remove(&key)
        } else {
            objects.live.insert(key.clone(), object.clone())
        };
        objects.logged = objects.logged.saturating_add(object.len());
        objects.log.push_back(Arc::new(Change {
            version,
            key,
            before,
            object,
            deleted,
        }));
        while objects.log.len() > self.history
            || (objects.logged > HISTORY_BYTES_MAX && objects.log.len() > HISTORY_MIN)
        {
            if let Some(forgotten) = objects.log.pop_front() {
                objects.logged = objects.logged.saturating_sub(forgotten.object.len());
                objects.compacted = forgotten.version;
                objects.forgotten = forgotten.version;
            }
        }
        objects.news.send_replace(version);
    }

    /// Forgets the changes up to and with `version`: who watches from before it must list again.
    pub fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        for objects in self.collections.values_mut() {
            let kept = objects.log.partition_point(|change| change.version <= version);
            for forgotten in objects.log.drain(..kept) {
                objects.forgotten = forgotten.version;
                objects.logged = objects.logged.saturating_sub(forgotten.object.len());
            }
            objects.compacted = objects.compacted.max(version);
            objects.news.send_modify(|_| ());
        }
    }
}
