//! The arithmetic of ownership: what a write takes from whom, and what an apply removes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::compare::{Comparison, compare, field_set};
use super::managed::{Entry, Managed, Manager};
use super::merge::merge;
use super::path::Path;
use super::remove::remove;
use super::reset::ResetFields;
use super::set::FieldSet;
use crate::topology::TypeInfo;

/// Fields that somebody else owns, by owner.
pub(super) type Contested = BTreeMap<Manager, FieldSet>;

/// What both kinds of write need to know.
#[derive(Clone, Copy)]
pub(super) struct Updater<'a> {
    pub(super) info: &'a TypeInfo,
    pub(super) reset: &'a ResetFields,
}

impl Updater<'_> {
    fn compare(&self, old: &Value, new: &Value) -> Comparison {
        let [old, new] = [(old, new), (new, old)].map(|(one, other)| {
            let differs = without_same(one, other);
            if self.info.is_builtin() {
                self.info.with_zero_structs(&differs)
            } else {
                differs
            }
        });
        compare(self.info, &old, &new).map(|set| self.reset.filter(set))
    }

    /// The fields that a write from `old` to `new` makes the writer's, after it took them from everybody.
    pub(super) fn update(&self, old: &Value, new: &Value, managed: &mut Managed) -> FieldSet {
        let Comparison {
            removed,
            mut modified,
            added,
        } = self.compare(old, new);
        modified.merge(added);
        take_all(&modified, &removed, managed, None);
        self.reset.filter(&modified)
    }

    /// Merges `config` into `live` as `applier`, whose previous fields it no longer names are removed unless others
    /// have them too. The applier's entry is in `managed` afterwards, with the time it had.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        managed: &mut Managed,
        applier: &Manager,
        api_version: &str,
        force: bool,
    ) -> Result<Value, Contested> {
        let merged = merge(self.info, live, config);
        let last = managed.0.get(applier).cloned();
        let set = self.reset.filter(&field_set(self.info, config));
        let time = last.as_ref().and_then(|entry| entry.time);
        managed.0.insert(
            applier.clone(),
            Entry {
                set,
                api_version: api_version.to_owned(),
                time,
            },
        );
        let new = match last {
            Some(last) if !last.set.is_empty() => self.prune(&merged, managed, &last.set),
            _ => merged,
        };
        take(&self.compare(live, &new), managed, Some(applier), force)?;
        managed.0.retain(|_, entry| !entry.set.is_empty());
        Ok(new)
    }

    /// Removes from `merged` what was in `last` and is owned by nobody now.
    fn prune(&self, merged: &Value, managed: &Managed, last: &FieldSet) -> Value {
        let declared = |set: &FieldSet| set.with_declared_fields(self.info, self.info.root());
        let of_value = |value: &Value| declared(&field_set(self.info, value));
        let last = declared(last);
        let all = of_value(merged);

        // Removing an item removes all that is in it, also what others own: that comes back …
        let pruned = remove(self.info, merged, &last);
        let owned = managed
            .0
            .values()
            .fold(FieldSet::default(), |owned, entry| owned.union(&entry.set));
        let kept = of_value(&pruned).union(&declared(&owned));
        let pruned = remove(self.info, merged, &all.difference(&kept));
        // … and so does what was never the applier's.
        let gone = all.difference(&of_value(&pruned)).intersection(&last);
        remove(self.info, merged, &gone)
    }
}

/// Takes from all but `writer` what was changed. Without `force` nothing may be contested.
fn take(
    compared: &Comparison,
    managed: &mut Managed,
    writer: Option<&Manager>,
    force: bool,
) -> Result<(), Contested> {
    let changed = compared.modified.union(&compared.added);
    let contested: Contested = managed
        .0
        .iter()
        .filter(|(manager, _)| !force && Some(*manager) != writer)
        .map(|(manager, entry)| (manager.clone(), entry.set.intersection(&changed)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !contested.is_empty() {
        return Err(contested);
    }
    take_all(&changed, &compared.removed, managed, writer);
    Ok(())
}

/// Takes from all but `writer` what was changed, contested or not.
fn take_all(changed: &FieldSet, removed: &FieldSet, managed: &mut Managed, writer: Option<&Manager>) {
    let others = managed
        .0
        .iter_mut()
        .filter(|(manager, _)| Some(*manager) != writer);
    for (_, entry) in others {
        entry.set.subtract(changed);
        entry.set.subtract(removed);
    }
    managed.0.retain(|_, entry| !entry.set.is_empty());
}

/// An object without the members that another has too, and without managedFields, which nobody owns.
fn without_same(one: &Value, other: &Value) -> Value {
    let Value::Object(members) = one else {
        return one.clone();
    };
    let differing = members
        .iter()
        .filter(|(name, member)| other.get(name.as_str()) != Some(*member));
    let kept = differing.map(|(name, member)| {
        let member = match member {
            Value::Object(metadata) if name == "metadata" => {
                let kept = metadata.iter().filter(|(name, _)| *name != "managedFields");
                kept.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            other => other.clone(),
        };
        (name.clone(), member)
    });
    kept.collect()
}

/// Fields that no entry names: they identify the object or are the server's.
pub(super) fn never_owned() -> &'static FieldSet {
    static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(make_never_owned);
    &NEVER_OWNED
}

fn make_never_owned() -> FieldSet {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let mut paths: Vec<Path> = [&["apiVersion"], &["kind"], &["metadata"]]
        .iter()
        .map(|path| Path::of_fields(*path))
        .collect();
    paths.extend(metadata.iter().map(|name| Path::of_fields(&["metadata", name])));
    FieldSet::of(&paths)
}
