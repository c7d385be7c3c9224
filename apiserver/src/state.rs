//! Everything that one server is, behind one lock, and the writes that keep it consistent.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::object::{self, at, list, text};
use crate::registry::{Kind, Registry, Role, custom};
use crate::schema::Nulls;
use crate::source::Sources;
use crate::status::Refusal;
use crate::store::{Collection, JournalError, Key, Store};
use crate::typed;

/// Events go an hour after they were last written.
const EVENTS_LIVE: SignedDuration = SignedDuration::from_hours(1);

/// Something that the controllers of the server itself should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Objects that name this uid as an owner.
    OwnerGone(String),
    /// An object whose owners, or whose own deletion, may ask for something.
    Object(Collection, Key),
    /// A namespace that is going away.
    Namespace(String),
    /// A definition that is going away.
    Definition(String),
}

/// The whole state of a server.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) sources: Sources,
    /// Objects by the uid of an owner they name.
    dependents: HashMap<String, BTreeSet<(Collection, Key)>>,
    /// What is to be looked at, each thing once, in the order it came up.
    queue: VecDeque<Work>,
    queued: BTreeSet<Work>,
    /// Events by the time at which they go, unless they were written again since: key and version.
    expiring: VecDeque<(Timestamp, Key, u64)>,
}

impl State {
    /// A server with what the store holds.
    pub(crate) fn new(store: Store, sources: Sources) -> Self {
        let mut state = Self {
            store,
            registry: Registry::new(),
            sources,
            dependents: HashMap::new(),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            expiring: VecDeque::new(),
        };
        state.adopt_stored();
        state
    }

    /// Serves the definitions that are stored, and takes up what was left unfinished.
    fn adopt_stored(&mut self) {
        for collection in self.store.collections() {
            for (key, stored) in &self.store.snapshot(&collection).objects {
                let value = stored.value();
                self.index(&collection, key, None, Some(&value));
                if Self::is_definition(&collection) {
                    self.serve(&value);
                }
                self.note(&collection, key, None, &value);
                if Self::is_events(&collection) {
                    self.expire_later(key.clone(), &value);
                }
            }
        }
    }

    fn is_events(collection: &Collection) -> bool {
        collection.group.is_empty() && &*collection.plural == "events"
    }

    fn expire_later(&mut self, key: Key, event: &Value) {
        let now = self.sources.now();
        let at = now.checked_add(EVENTS_LIVE).unwrap_or(Timestamp::MAX);
        self.expiring.push_back((at, key, object::version(event)));
    }

    /// The next Event whose time is over.
    pub(crate) fn next_expired(&mut self) -> Option<Arc<Value>> {
        let now = self.sources.now();
        while self.expiring.front().is_some_and(|(at, _, _)| *at <= now) {
            let (_, key, version) = self.expiring.pop_front()?;
            let found = self.store.get(&Collection::new("", "events"), &key);
            if let Some(event) = found.filter(|event| object::version(event) == version) {
                return Some(event);
            }
        }
        None
    }

    fn is_definition(collection: &Collection) -> bool {
        &*collection.group == "apiextensions.k8s.io" && &*collection.plural == "customresourcedefinitions"
    }

    /// Creates or replaces an object. Its apiVersion and kind are not stored: they are those it is served in.
    pub(crate) fn write(&mut self, kind: &Kind, mut value: Value) -> Result<Arc<Value>, Refusal> {
        object::put(&mut value, "apiVersion", None);
        object::put(&mut value, "kind", None);
        let key = Key::new(object::namespace(&value), object::name(&value));
        let old = self.store.get(&kind.collection, &key);
        let written = self
            .store
            .write(&kind.collection, key.clone(), value)
            .map_err(|error| failed(&error))?;
        self.index(&kind.collection, &key, old.as_deref(), Some(&written));
        if kind.role == Role::Definition {
            self.serve(&written);
            self.reshape(old.as_deref(), &written)?;
        }
        self.note(&kind.collection, &key, old.as_deref(), &written);
        if kind.role == Role::Event {
            self.expire_later(key, &written);
        }
        Ok(written)
    }

    /// Takes an object out of the store; `last` is the state that watchers are shown.
    pub(crate) fn remove(&mut self, kind: &Kind, mut last: Value) -> Result<Arc<Value>, Refusal> {
        object::put(&mut last, "apiVersion", None);
        object::put(&mut last, "kind", None);
        let key = Key::new(object::namespace(&last), object::name(&last));
        let removed = self
            .store
            .delete_as(&kind.collection, &key, last)
            .map_err(|error| failed(&error))?;
        self.index(&kind.collection, &key, Some(&removed), None);
        if kind.role == Role::Definition {
            let (group, plural) = (
                text(&removed, &["spec", "group"]),
                text(&removed, &["spec", "names", "plural"]),
            );
            self.registry.remove(group, plural);
        }
        self.enqueue(Work::OwnerGone(object::uid(&removed).to_owned()));
        for owner in object::owners(&removed) {
            self.enqueue_owner(&key, owner);
        }
        if !key.namespace().is_empty() {
            self.enqueue_namespace(key.namespace());
        }
        if let Some(custom) = &kind.custom {
            self.enqueue_definition(&custom.definition);
        }
        Ok(removed)
    }

    /// Serves what a definition defines, if it is established, in place of what it defined before.
    fn serve(&mut self, definition: &Value) {
        let group = text(definition, &["spec", "group"]);
        let plural = text(definition, &["spec", "names", "plural"]);
        if !crate::definition::is_established(definition) {
            return;
        }
        self.registry.remove(group, plural);
        for kind in custom::kinds(definition) {
            self.registry.insert(kind);
        }
    }

    /// Objects of a definition are read by its schema as it is now: what that does not know is not there any more, and its
    /// defaults are. They are brought to that form when the schema changes.
    fn reshape(&mut self, before: Option<&Value>, definition: &Value) -> Result<(), Refusal> {
        let versions = |definition| at(definition, &["spec", "versions"]);
        if before.is_none_or(|before| versions(before) == versions(definition)) {
            return Ok(());
        }
        let storing = |version: &&Value| at(version, &["storage"]) == Some(&Value::Bool(true));
        let stored = list(definition, &["spec", "versions"]).iter().find(storing);
        let (group, plural) = (
            text(definition, &["spec", "group"]),
            text(definition, &["spec", "names", "plural"]),
        );
        let version = stored.map_or("", |version| text(version, &["name"]));
        let Some(kind) = self.registry.get(group, version, plural) else {
            return Ok(());
        };
        for (key, stored) in &self.store.snapshot(&kind.collection).objects {
            let (old, mut value) = (stored.value(), Value::clone(&stored.value()));
            let fits = typed::conform(&kind, &mut value, Nulls::Dropped).is_ok();
            if fits && value != *old {
                let amended = self.store.amend(&kind.collection, key, value);
                amended.map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    fn index(&mut self, collection: &Collection, key: &Key, old: Option<&Value>, new: Option<&Value>) {
        if old.map(object::owners) == new.map(object::owners) {
            return;
        }
        for owner in old.map_or(&[][..], object::owners) {
            let uid = text(owner, &["uid"]);
            if let Some(objects) = self.dependents.get_mut(uid) {
                objects.remove(&(collection.clone(), key.clone()));
                if objects.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        for owner in new.map_or(&[][..], object::owners) {
            let objects = self
                .dependents
                .entry(text(owner, &["uid"]).to_owned())
                .or_default();
            objects.insert((collection.clone(), key.clone()));
        }
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(Collection, Key)> {
        self.dependents
            .get(uid)
            .map(|objects| objects.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Queues what an object that was written over `old` may ask of the controllers. Its owners are looked for when it
    /// names them first: later the end of an owner brings it up.
    fn note(&mut self, collection: &Collection, key: &Key, old: Option<&Value>, value: &Value) {
        let deleting = object::is_deleting(value);
        if deleting && Self::is_definition(collection) {
            self.enqueue_definition(key.name());
        }
        if deleting && collection.group.is_empty() && &*collection.plural == "namespaces" {
            self.enqueue_namespace(key.name());
        }
        let own_deletion = deleting
            && object::finalizers(value).any(|name| ["orphan", "foregroundDeletion"].contains(&name));
        let owners = object::owners(value);
        let has_new = !owners.is_empty() && old.map(object::owners) != Some(owners);
        if own_deletion || has_new {
            self.enqueue(Work::Object(collection.clone(), key.clone()));
        }
    }

    fn enqueue_owner(&mut self, dependent: &Key, owner: &Value) {
        let found = self
            .registry
            .by_kind(text(owner, &["apiVersion"]), text(owner, &["kind"]));
        let Some(kind) = found else { return };
        let namespace = if kind.namespaced {
            dependent.namespace()
        } else {
            ""
        };
        let key = Key::new(namespace, text(owner, &["name"]));
        if self
            .store
            .get(&kind.collection, &key)
            .is_some_and(|owner| object::is_deleting(&owner))
        {
            self.enqueue(Work::Object(kind.collection.clone(), key));
        }
    }

    fn enqueue_namespace(&mut self, name: &str) {
        let namespace = self
            .store
            .get(&Collection::new("", "namespaces"), &Key::new("", name));
        if namespace.is_some_and(|namespace| object::is_deleting(&namespace)) {
            self.enqueue(Work::Namespace(name.to_owned()));
        }
    }

    fn enqueue_definition(&mut self, name: &str) {
        let definitions = Collection::new("apiextensions.k8s.io", "customresourcedefinitions");
        let definition = self.store.get(&definitions, &Key::new("", name));
        if definition.is_some_and(|definition| object::is_deleting(&definition)) {
            self.enqueue(Work::Definition(name.to_owned()));
        }
    }

    pub(crate) fn enqueue(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.queue.push_back(work);
        }
    }

    pub(crate) fn next_work(&mut self) -> Option<Work> {
        let work = self.queue.pop_front()?;
        self.queued.remove(&work);
        Some(work)
    }
}

fn failed(error: &JournalError) -> Refusal {
    Refusal::internal(&error.to_string())
}
