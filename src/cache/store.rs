//! What is known of one kind: the newest version of every object, from watches and from answers to our own writes.
//!
//! Merging by resourceVersion gives read-your-writes: the answer to a write is in the store before the next plan is
//! made, and an older watch event that comes after it changes nothing. (Versions of one kind are comparable since
//! Kubernetes 1.35.)

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use kube::{Resource, ResourceExt};
use tokio::sync::Notify;

use crate::plan::world::Key;

/// Deleted objects that are remembered, by uid and the version of their end, so that a late answer does not bring one back.
/// One that only left what is watched has later versions, and comes back with them.
const GONE_MAX: usize = 10_000;

/// Groups objects, such as Pods by node.
type Index<K> = fn(&K) -> Option<String>;

/// A change of the store.
#[derive(Debug)]
pub enum Change<K> {
    /// An object is new or newer; with what was known before.
    Put(Option<Arc<K>>, Arc<K>),
    /// An object is gone.
    Removed(Arc<K>),
}

impl<K> Change<K> {
    /// The object the change is about.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Put(_, object) | Self::Removed(object) => object,
        }
    }
}

#[derive(Debug)]
struct Inner<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// What listeners last heard of objects that an answer has changed since.
    untold: BTreeMap<Key, Option<Arc<K>>>,
    grouped: BTreeMap<String, BTreeSet<Key>>,
    gone: HashMap<String, u64>,
    gone_order: VecDeque<String>,
    version: u64,
    synced: bool,
}

/// The newest known version of every object of a kind.
#[derive(Debug)]
pub struct Store<K> {
    inner: RwLock<Inner<K>>,
    index: Index<K>,
    /// Wakes in the order of waiting, so that a run can be repeated; `watch` draws.
    progress: Notify,
}

/// resourceVersion of an object as a number; 0 if it has none.
pub fn version_of<K: Resource>(object: &K) -> u64 {
    object
        .meta()
        .resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

/// Namespace (empty for cluster scoped kinds) and name.
pub fn key_of<K: Resource>(object: &K) -> Key {
    Key::new(
        object.meta().namespace.clone().unwrap_or_default(),
        object.name_any(),
    )
}

impl<K: Resource> Store<K> {
    /// An empty store that groups its objects by `index`.
    pub fn new(index: Index<K>) -> Self {
        let inner = Inner {
            objects: BTreeMap::new(),
            untold: BTreeMap::new(),
            grouped: BTreeMap::new(),
            gone: HashMap::new(),
            gone_order: VecDeque::new(),
            version: 0,
            synced: false,
        };
        Self {
            inner: RwLock::new(inner),
            index,
            progress: Notify::new(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<K>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<K>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object by key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().objects.get(key).cloned()
    }

    /// A cluster scoped object by name.
    pub fn named(&self, name: &str) -> Option<Arc<K>> {
        self.get(&Key::new("", name))
    }

    /// All objects, sorted by key.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    /// The objects of one group.
    pub fn group(&self, of: &str) -> Vec<Arc<K>> {
        let inner = self.read();
        inner
            .grouped
            .get(of)
            .into_iter()
            .flatten()
            .filter_map(|key| inner.objects.get(key).cloned())
            .collect()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Version up to which the store is known to be complete: of the last list, event or bookmark.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// Whether a first list is in.
    pub fn synced(&self) -> bool {
        self.read().synced
    }

    /// Takes in an object that a request was answered with; `None` if it is older than what is known. Listeners hear of it
    /// when its event comes.
    pub fn put(&self, object: K) -> Option<Change<K>> {
        self.write().answered(Arc::new(object), self.index)
    }

    /// Takes in an object from a watch; `None` if it is older than what is known. The change is from what listeners last
    /// heard, whatever answers have taught meanwhile.
    pub fn heard(&self, object: K) -> Option<Change<K>> {
        self.write().heard(Arc::new(object), self.index)
    }

    /// Takes in a watch event's version; versions never go back but by [`Store::listed`].
    pub fn advance(&self, version: u64) {
        let mut inner = self.write();
        inner.version = inner.version.max(version);
        drop(inner);
        self.progress.notify_waiters();
    }

    /// Waits until the store is complete up to `version`; false if that takes longer than `limit`.
    pub async fn reached(&self, version: u64, limit: Duration) -> bool {
        let reached = async {
            loop {
                let progress = self.progress.notified();
                if self.version() >= version {
                    return;
                }
                progress.await;
            }
        };
        tokio::time::timeout(limit, reached).await.is_ok()
    }

    /// Takes out an object that a watch says is deleted.
    pub fn remove(&self, object: &K) -> Option<Change<K>> {
        let (uid, version) = (object.meta().uid.as_deref(), version_of(object));
        self.write().remove(&key_of(object), uid, version, self.index)
    }

    /// Takes in a consistent list at `version`: what is not in it and not newer than it is gone. A list older than
    /// what was known (a restored etcd) wins.
    pub fn listed(&self, objects: Vec<K>, version: u64) -> Vec<Change<K>> {
        let mut inner = self.write();
        let restored = version < inner.version;
        let mut changes = Vec::new();
        let present: BTreeSet<Key> = objects.iter().map(key_of).collect();
        let absent: Vec<Key> = inner
            .objects
            .iter()
            .filter(|(key, object)| {
                !present.contains(*key) && (restored || version_of(object.as_ref()) <= version)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in absent {
            changes.extend(inner.remove(&key, None, version, self.index));
        }
        if restored {
            inner.objects.clear();
            inner.untold.clear();
            inner.grouped.clear();
            inner.gone.clear();
            inner.gone_order.clear();
        }
        for object in objects {
            changes.extend(inner.heard(Arc::new(object), self.index));
        }
        inner.version = version;
        inner.synced = true;
        drop(inner);
        self.progress.notify_waiters();
        changes
    }
}

impl<K: Resource> Inner<K> {
    /// What is known of an object, and in which version.
    fn known(&self, key: &Key) -> Option<(Arc<K>, u64)> {
        let known = self.objects.get(key)?;
        Some((known.clone(), version_of(known.as_ref())))
    }

    fn is_gone(&self, object: &K) -> bool {
        let end = object.meta().uid.as_ref().and_then(|uid| self.gone.get(uid));
        end.is_some_and(|end| version_of(object) <= *end)
    }

    fn answered(&mut self, object: Arc<K>, index: Index<K>) -> Option<Change<K>> {
        if self.is_gone(&object) {
            return None;
        }
        let key = key_of(object.as_ref());
        let version = version_of(object.as_ref());
        let old = match self.known(&key) {
            Some((_, known)) if known > version => return None,
            // its event came first
            Some((old, known)) if known == version => return Some(Change::Put(None, old)),
            found => found.map(|(old, _)| old),
        };
        self.untold.entry(key.clone()).or_insert_with(|| old.clone());
        self.insert(key, object.clone(), index);
        Some(Change::Put(old, object))
    }

    fn heard(&mut self, object: Arc<K>, index: Index<K>) -> Option<Change<K>> {
        if self.is_gone(&object) {
            return None;
        }
        let key = key_of(object.as_ref());
        let version = version_of(object.as_ref());
        let known = self.known(&key);
        if known.as_ref().is_some_and(|(_, known)| *known > version) {
            return None;
        }
        let told = match (self.untold.remove(&key), known) {
            (Some(told), _) => told,
            // heard before: whoever lists anew looks at everything anew
            (None, Some((_, known))) if known == version => None,
            (None, known) => known.map(|(known, _)| known),
        };
        self.insert(key, object.clone(), index);
        Some(Change::Put(told, object))
    }

    fn insert(&mut self, key: Key, object: Arc<K>, index: Index<K>) {
        let group = index(&object);
        if self.objects.get(&key).map(|old| index(old)) != Some(group.clone()) {
            self.ungroup(&key, index);
            if let Some(group) = group {
                self.grouped.entry(group).or_default().insert(key.clone());
            }
        }
        self.objects.insert(key, object);
    }

    /// Takes out an object that ended at a version.
    fn remove(&mut self, key: &Key, uid: Option<&str>, end: u64, index: Index<K>) -> Option<Change<K>> {
        let known = self.objects.get(key)?;
        let known_uid = known.meta().uid.clone().unwrap_or_default();
        if uid.is_some_and(|uid| uid != known_uid) {
            return None;
        }
        self.ungroup(key, index);
        self.untold.remove(key);
        let object = self.objects.remove(key)?;
        let end = end.max(version_of(object.as_ref()));
        if self.gone.insert(known_uid.clone(), end).is_none() {
            self.gone_order.push_back(known_uid);
        }
        if self.gone_order.len() > GONE_MAX
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
        Some(Change::Removed(object))
    }

    fn ungroup(&mut self, key: &Key, index: Index<K>) {
        let Some(group) = self.objects.get(key).and_then(|object| index(object)) else {
            return;
        };
        if let Some(set) = self.grouped.get_mut(&group) {
            set.remove(key);
            if set.is_empty() {
                self.grouped.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                uid: Some(uid.to_owned()),
                resource_version: Some(version.to_string()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn store() -> Store<ConfigMap> {
        Store::new(|object| object.metadata.uid.clone())
    }

    fn version(store: &Store<ConfigMap>, name: &str) -> Option<u64> {
        store.named(name).map(|object| version_of(object.as_ref()))
    }

    #[test]
    fn an_older_event_after_a_newer_answer_changes_nothing() {
        let store = store();
        assert!(store.put(object("a", "1", 10)).is_some());
        assert!(store.put(object("a", "1", 9)).is_none());
        assert!(store.heard(object("a", "1", 9)).is_none());
        assert!(
            matches!(store.heard(object("a", "1", 10)), Some(Change::Put(None, _))),
            "told to who listens to events"
        );
        assert_eq!(version(&store, "a"), Some(10));
    }

    #[test]
    fn listeners_hear_what_changed_since_they_last_heard_whatever_answers_came_between() {
        let store = store();
        let from = |change: Option<Change<ConfigMap>>| match change {
            Some(Change::Put(old, new)) => {
                Some((old.map(|o| version_of(o.as_ref())), version_of(new.as_ref())))
            }
            Some(Change::Removed(_)) | None => None,
        };
        assert_eq!(from(store.heard(object("a", "1", 10))), Some((None, 10)));
        assert_eq!(from(store.put(object("a", "1", 11))), Some((Some(10), 11)));
        assert_eq!(from(store.put(object("a", "1", 12))), Some((Some(11), 12)));
        assert_eq!(from(store.heard(object("a", "1", 11))), None, "overtaken");
        assert_eq!(from(store.heard(object("a", "1", 12))), Some((Some(10), 12)));
        assert_eq!(
            from(store.put(object("a", "1", 12))),
            Some((None, 12)),
            "a late answer"
        );
        assert_eq!(from(store.heard(object("a", "1", 13))), Some((Some(12), 13)));
        assert_eq!(from(store.put(object("b", "2", 14))), Some((None, 14)));
        assert_eq!(
            from(store.heard(object("b", "2", 15))),
            Some((None, 15)),
            "new to them"
        );
        assert_eq!(
            from(store.heard(object("b", "2", 15))),
            Some((None, 15)),
            "listed anew"
        );
    }

    #[test]
    fn a_late_answer_does_not_bring_a_deleted_object_back() {
        let store = store();
        store.put(object("a", "1", 10));
        assert!(store.remove(&object("a", "1", 12)).is_some());
        assert!(store.put(object("a", "1", 11)).is_none());
        assert!(store.put(object("a", "2", 13)).is_some());
        assert!(
            store.remove(&object("a", "1", 12)).is_none(),
            "the delete of the predecessor"
        );
        assert_eq!(store.group("2").len(), 1);
        assert!(store.group("1").is_empty());
    }

    #[test]
    fn what_left_the_watch_by_its_labels_comes_back_with_them() {
        let store = store();
        store.put(object("a", "1", 10));
        assert!(store.remove(&object("a", "1", 12)).is_some());
        assert!(
            store.put(object("a", "1", 13)).is_some(),
            "later than its end: it had none"
        );
        assert_eq!(version(&store, "a"), Some(13));
    }

    #[test]
    fn a_list_removes_what_it_lacks_but_keeps_newer_answers() {
        let store = store();
        store.put(object("old", "1", 5));
        store.put(object("answer", "2", 21));
        let changes = store.listed(vec![object("listed", "3", 7)], 20);
        assert_eq!(changes.len(), 2);
        assert_eq!(
            (
                version(&store, "old"),
                version(&store, "answer"),
                version(&store, "listed")
            ),
            (None, Some(21), Some(7))
        );
        assert_eq!(store.version(), 20);
    }

    #[test]
    fn an_older_list_wins_when_etcd_was_restored() {
        let store = store();
        store.listed(vec![object("a", "1", 90), object("b", "2", 80)], 100);
        store.listed(vec![object("a", "1", 40)], 50);
        assert_eq!((version(&store, "a"), version(&store, "b")), (Some(40), None));
        assert_eq!(store.version(), 50);
    }
}
