//! The server's own controllers: garbage collection by owner references, the end of namespaces, definitions and Events.
//!
//! They run when they are told to, look only at what a write brought up, and stop when nothing is left to look at.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::definition::{self, CLEANUP_FINALIZER};
use crate::lifecycle::PERMANENT;
use crate::object::{self, at, text};
use crate::registry::{Kind, Role};
use crate::state::{State, Work};
use crate::status::Refusal;
use crate::store::{Collection, Key};
use crate::verbs::delete::{DeleteOptions, Propagation, remove};
use crate::{strategy, typed};

/// Creates the namespaces that are always there.
pub(crate) fn bootstrap(state: &mut State) {
    let Some(kind) = state.registry.get("", "v1", "namespaces") else {
        return;
    };
    for name in PERMANENT {
        if state.store.get(&kind.collection, &Key::new("", name)).is_some() {
            continue;
        }
        let mut namespace = json!({"metadata": {"name": name}, "spec": {}});
        object::set_meta(&mut namespace, "uid", state.sources.uid());
        object::set_meta(&mut namespace, "creationTimestamp", state.sources.now_text());
        typed::defaults::apply(&kind, &mut namespace);
        strategy::prepare_create(&kind, &mut namespace);
        if let Err(refusal) = state.write(&kind, namespace) {
            tracing::error!(%refusal, name, "a namespace could not be created");
        }
    }
}

/// Looks at all that is queued, and at what comes up thereby. Returns how many things were looked at.
pub(crate) fn settle(state: &mut State) -> usize {
    let mut looked_at = 0_usize;
    expire_events(state);
    while let Some(work) = state.next_work() {
        looked_at = looked_at.saturating_add(1);
        if let Err(refusal) = look_at(state, &work) {
            tracing::warn!(%refusal, ?work, "housekeeping failed");
        }
    }
    looked_at
}

fn expire_events(state: &mut State) {
    let Some(kind) = state.registry.get("", "v1", "events") else {
        return;
    };
    while let Some(event) = state.next_expired() {
        if let Err(refusal) = state.remove(&kind, Value::clone(&event)) {
            tracing::warn!(%refusal, "an Event could not be removed");
            return;
        }
    }
}

fn look_at(state: &mut State, work: &Work) -> Result<(), Refusal> {
    match work {
        Work::OwnerGone(uid) => {
            for (collection, key) in state.dependents(uid) {
                state.enqueue(Work::Object(collection, key));
            }
            Ok(())
        }
        Work::Object(collection, key) => object(state, collection, key),
        Work::Namespace(name) => namespace(state, name),
        Work::Definition(name) => end_definition(state, name),
    }
}

/// An object that has owners, or that is going away and asked for something to happen to its dependents.
fn object(state: &mut State, collection: &Collection, key: &Key) -> Result<(), Refusal> {
    let Some(kind) = state.registry.of_collection(collection) else {
        return Ok(());
    };
    let Some(value) = state.store.get(collection, key) else {
        return Ok(());
    };
    if object::is_deleting(&value) {
        if object::finalizers(&value).any(|finalizer| finalizer == "orphan") {
            return orphan_dependents(state, &kind, &value);
        }
        if object::finalizers(&value).any(|finalizer| finalizer == "foregroundDeletion") {
            return delete_dependents(state, &kind, &value);
        }
        return Ok(());
    }
    by_owners(state, &kind, &value)
}

/// How an owner stands to its dependent.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Owner {
    /// It is there, or it cannot be known.
    Solid,
    /// It does not exist, or another object has its name.
    Absent,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

fn owner_of(state: &State, dependent: &Value, owner: &Value) -> Owner {
    let found = state
        .registry
        .by_kind(text(owner, &["apiVersion"]), text(owner, &["kind"]));
    let Some(kind) = found else { return Owner::Solid };
    let namespace = if kind.namespaced {
        object::namespace(dependent)
    } else {
        ""
    };
    let key = Key::new(namespace, text(owner, &["name"]));
    match state.store.get(&kind.collection, &key) {
        Some(found) if object::uid(&found) == text(owner, &["uid"]) => {
            let waits = object::finalizers(&found).any(|finalizer| finalizer == "foregroundDeletion");
            if object::is_deleting(&found) && waits {
                Owner::Waiting
            } else {
                Owner::Solid
            }
        }
        _ => Owner::Absent,
    }
}

/// Deletes an object whose owners are all gone or going; takes absent owners off one that has others.
fn by_owners(state: &mut State, kind: &Arc<Kind>, value: &Arc<Value>) -> Result<(), Refusal> {
    let owners: Vec<Owner> = object::owners(value)
        .iter()
        .map(|owner| owner_of(state, value, owner))
        .collect();
    if owners.is_empty() || owners.iter().all(|owner| *owner == Owner::Solid) {
        return Ok(());
    }
    if owners.contains(&Owner::Solid) {
        let mut states = owners.iter();
        return change(state, kind, value, |value| {
            if let Some(Value::Array(list)) = object::meta_mut(value).get_mut("ownerReferences") {
                list.retain(|_| states.next() == Some(&Owner::Solid));
            }
        });
    }
    let has_dependents = !state.dependents(object::uid(value)).is_empty();
    let foreground = owners.contains(&Owner::Waiting) && has_dependents;
    let propagation = if foreground {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let held = object::finalizers(value).find_map(|finalizer| match finalizer {
        "orphan" => Some(Propagation::Orphan),
        "foregroundDeletion" => Some(Propagation::Foreground),
        _ => None,
    });
    let options = DeleteOptions {
        uid: Some(object::uid(value).to_owned()),
        propagation: Some(held.unwrap_or(propagation)),
        ..DeleteOptions::default()
    };
    remove(state, kind, value, &options).map(drop)
}

/// Takes the owner off its dependents, then lets it go.
fn orphan_dependents(state: &mut State, kind: &Arc<Kind>, owner: &Arc<Value>) -> Result<(), Refusal> {
    let uid = object::uid(owner);
    for (collection, key) in state.dependents(uid) {
        let Some(dependent_kind) = state.registry.of_collection(&collection) else {
            continue;
        };
        let Some(dependent) = state.store.get(&collection, &key) else {
            continue;
        };
        change(state, &dependent_kind, &dependent, |value| {
            if let Some(Value::Array(list)) = object::meta_mut(value).get_mut("ownerReferences") {
                list.retain(|reference| text(reference, &["uid"]) != uid);
            }
        })?;
    }
    change(state, kind, owner, |value| {
        object::remove_finalizer(value, "orphan");
    })
}

/// Deletes what an owner still has; when nothing is left that blocks it, it may go itself.
fn delete_dependents(state: &mut State, kind: &Arc<Kind>, owner: &Arc<Value>) -> Result<(), Refusal> {
    let uid = object::uid(owner);
    for (collection, key) in state.dependents(uid) {
        object(state, &collection, &key)?;
    }
    let blocked = state.dependents(uid).iter().any(|(collection, key)| {
        let dependent = state.store.get(collection, key);
        dependent.is_some_and(|dependent| {
            object::owners(&dependent).iter().any(|reference| {
                text(reference, &["uid"]) == uid
                    && at(reference, &["blockOwnerDeletion"]) == Some(&Value::Bool(true))
            })
        })
    });
    if blocked {
        return Ok(());
    }
    change(state, kind, owner, |value| {
        object::remove_finalizer(value, "foregroundDeletion");
    })
}

/// Deletes all that is in a namespace; an empty one is let go.
fn namespace(state: &mut State, name: &str) -> Result<(), Refusal> {
    let Some(kind) = state.registry.get("", "v1", "namespaces") else {
        return Ok(());
    };
    let Some(value) = state.store.get(&kind.collection, &Key::new("", name)) else {
        return Ok(());
    };
    if !object::is_deleting(&value) {
        return Ok(());
    }
    let mut left = false;
    for collection in state.store.collections() {
        let Some(content) = state
            .registry
            .of_collection(&collection)
            .filter(|kind| kind.namespaced)
        else {
            continue;
        };
        left |= !empty(state, &content, |key| key.namespace() == name)?;
    }
    if left {
        return Ok(());
    }
    change(state, &kind, &value, |value| {
        let spec = object::object_mut(value, &["spec"]);
        if let Some(Value::Array(finalizers)) = spec.get_mut("finalizers") {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
    })
}

/// Begins to delete the objects of a kind that are meant; whether none is left.
fn empty(state: &mut State, kind: &Arc<Kind>, is_meant: impl Fn(&Key) -> bool) -> Result<bool, Refusal> {
    let snapshot = state.store.snapshot(&kind.collection);
    let options = DeleteOptions {
        propagation: Some(Propagation::Background),
        ..DeleteOptions::default()
    };
    let mut is_empty = true;
    for (key, stored) in snapshot.objects.iter().filter(|(key, _)| is_meant(key)) {
        let value = stored.value();
        if !object::is_deleting(&value) {
            remove(state, kind, &value, &options)?;
        }
        is_empty &= !state.store.has(&kind.collection, key);
    }
    Ok(is_empty)
}

/// Deletes the objects of a definition that is going away, says so, then lets it go.
fn end_definition(state: &mut State, name: &str) -> Result<(), Refusal> {
    let kind = state
        .registry
        .get("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let Some(kind) = kind else { return Ok(()) };
    let Some(value) = state.store.get(&kind.collection, &Key::new("", name)) else {
        return Ok(());
    };
    if !object::is_deleting(&value) {
        return Ok(());
    }
    let collection = Collection::new(
        text(&value, &["spec", "group"]),
        text(&value, &["spec", "names", "plural"]),
    );
    if let Some(defined) = state
        .registry
        .of_collection(&collection)
        .filter(|kind| kind.role == Role::Custom)
        && !empty(state, &defined, |_| true)?
    {
        return definition::tell_deletion(state, &kind, &value);
    }
    change(state, &kind, &value, |value| {
        object::remove_finalizer(value, CLEANUP_FINALIZER);
    })
}

/// Writes a changed object, or takes it out when nothing holds it any longer.
fn change(
    state: &mut State,
    kind: &Arc<Kind>,
    value: &Arc<Value>,
    change: impl FnOnce(&mut Value),
) -> Result<(), Refusal> {
    let mut next = Value::clone(value);
    change(&mut next);
    crate::meta::drop_empty(&mut next);
    if next == **value {
        return Ok(());
    }
    if strategy::may_go(kind, &next) {
        state.remove(kind, next).map(drop)
    } else {
        state.write(kind, next).map(drop)
    }
}
