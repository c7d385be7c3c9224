//! Entries by what they have in common.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::{Key, Task};

/// A task in a set that is sorted by keys.
#[derive(Clone, Debug)]
pub(super) struct ByKey(Arc<Task>);

impl ByKey {
    /// The entry of a task.
    pub(super) fn new(task: &Arc<Task>) -> Self {
        Self(Arc::clone(task))
    }

    /// The task.
    pub(super) const fn task(&self) -> &Arc<Task> {
        &self.0
    }
}

impl Borrow<Key> for ByKey {
    fn borrow(&self) -> &Key {
        &self.0.key
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

/// Puts an entry in.
pub(super) fn enter<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, OrdSet<V>>, under: K, what: V) {
    index.entry(under).or_default().insert(what);
}

/// Takes an entry out, and with the last one its set.
pub(super) fn leave<K, V, Q>(index: &mut OrdMap<K, OrdSet<V>>, under: &K, what: &Q)
where
    K: Ord + Clone,
    V: Ord + Clone + Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(set) = index.get_mut(under) {
        set.remove(what);
        if set.is_empty() {
            index.remove(under);
        }
    }
}
