//! Field management: who owns which fields of an object, and server-side apply. It follows
//! `sigs.k8s.io/structured-merge-diff` and the API server's use of it.
//!
//! Every create, update and patch goes through [`track_update`], every apply through [`apply`]. Both take the object as
//! it is stored and give the one to store. They are pure: the time is an argument.
//!
//! Entries of managedFields that were written in another version of a custom kind are read with the same type; those of a
//! built-in kind are forgotten.

mod compare;
mod conflict;
mod items;
mod last_applied;
mod managed;
mod merge;
mod order;
mod path;
mod remove;
mod reset;
mod set;
mod update;
mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use conflict::{Conflict, Conflicts};
pub use path::{BadElement, Element, Path};
pub use reset::ResetFields;
pub use set::FieldSet;
pub use validate::ShapeErrors;

use managed::{Entry, Managed, Manager, Operation};
use update::{Updater, never_owned};

use crate::topology::TypeInfo;

/// How many bytes the name of a manager may have.
const MAX_MANAGER_BYTES: usize = 128;
/// The owner of all fields of an object whose ownership was not tracked when it is first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// A write, as ownership sees it.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// The manager's name: see [`manager_name`].
    pub manager: &'a str,
    /// The version of the request, such as `apps/v1`.
    pub api_version: &'a str,
    /// The subresource that is written, empty for the resource itself.
    pub subresource: &'a str,
    /// The fields that this write cannot change.
    pub reset: &'a ResetFields,
    /// The time of the write.
    pub now: Timestamp,
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 409 Conflict: others own fields, and `force` is not set.
    #[error("{0}")]
    Conflict(Conflicts),
    /// 400 BadRequest.
    #[error("{0}")]
    BadRequest(String),
    /// 500 without a reason: the configuration or the object does not have the shape of its type.
    #[error("{0}")]
    Internal(String),
}

impl ApplyError {
    /// The HTTP status code of the answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::Conflict(_) => 409,
            Self::BadRequest(_) => 400,
            Self::Internal(_) => 500,
        }
    }

    /// The `reason` of the answer's Status, empty if it has none.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "Conflict",
            Self::BadRequest(_) => "BadRequest",
            Self::Internal(_) => "",
        }
    }
}

/// The name of a manager: the request's `fieldManager`, or else what the user agent begins with.
pub fn manager_name(field_manager: Option<&str>, user_agent: &str) -> String {
    if let Some(name) = field_manager.filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let mut name = String::new();
    for letter in user_agent.split('/').next().unwrap_or_default().chars() {
        if letter.is_control() {
            continue;
        }
        if name.len().saturating_add(letter.len_utf8()) > MAX_MANAGER_BYTES {
            break;
        }
        name.push(letter);
    }
    name
}

/// Sets the managedFields of `new`, which is about to replace `live`, or to be created.
///
/// `new` may hold managedFields from the request: they replace those of `live`, unless they are unreadable or a
/// subresource is written. An empty list, or one with an empty entry, forgets all ownership.
pub fn track_update(live: Option<&Value>, new: &mut Value, write: &Write<'_>, info: &TypeInfo) {
    let nothing = json!({});
    let old = live.unwrap_or(&nothing);
    let mut owners = requested(old, new, write.subresource);
    managed::strip(new);
    if owners.0.is_empty() && live.is_some() {
        // What was not tracked so far isn't tracked before it is applied.
        return;
    }
    // built-in types do not change: what was stored was found right when it was written
    let old_is_right = info.is_builtin() || validate::validate(info, old, true).is_ok();
    if !old_is_right || validate::validate(info, new, true).is_err() {
        return;
    }
    drop_other_versions(&mut owners, write, info);
    let writer = write.manager(Operation::Update);
    update(old, new, &mut owners, writer, write, info);
    owners.encode(new);
    if let Some(live) = live {
        managed::keep_times(live, new, info);
    }
}

/// Built-in kinds have one version each. What was written in another, such as that of the other group of Events, cannot be
/// read in this one: the API server forgets who owns it.
fn drop_other_versions(owners: &mut Managed, write: &Write<'_>, info: &TypeInfo) {
    if info.is_builtin() {
        owners.0.retain(|_, entry| entry.api_version == write.api_version);
    }
}

/// The entries that a request begins with.
fn requested(old: &Value, new: &Value, subresource: &str) -> Managed {
    let of_old = || Managed::decode(old).unwrap_or_default();
    if !subresource.is_empty() {
        return of_old();
    }
    if managed::is_reset(new) {
        return Managed::default();
    }
    match Managed::decode(new) {
        Ok(managed) if !managed.0.is_empty() => managed,
        _ => of_old(),
    }
}

/// Whether anybody owns the field at a path of member names.
pub fn is_owned(object: &Value, path: &[String]) -> bool {
    let path = member_path(path);
    let owners = Managed::decode(object).unwrap_or_default();
    owners.0.values().any(|entry| entry.set.has(&path.0))
}

/// Takes a field from all who own it.
pub fn release(object: &mut Value, path: &[String]) {
    let Ok(mut owners) = Managed::decode(object) else {
        return;
    };
    let path = FieldSet::of(&[member_path(path)]);
    for entry in owners.0.values_mut() {
        entry.set = entry.set.difference(&path);
    }
    owners.0.retain(|_, entry| !entry.set.is_empty());
    owners.encode(object);
}

fn member_path(names: &[String]) -> Path {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Path::of_fields(&names)
}

fn update(
    old: &Value,
    new: &Value,
    owners: &mut Managed,
    manager: Manager,
    write: &Write<'_>,
    info: &TypeInfo,
) {
    let mut set = Updater {
        info,
        reset: write.reset,
    }
    .update(old, new, owners);
    set.subtract(never_owned());
    if !set.is_empty() {
        let mut owned = owners
            .0
            .remove(&manager)
            .map(|entry| entry.set)
            .unwrap_or_default();
        owned.merge(set);
        let entry = Entry {
            set: owned,
            api_version: write.api_version.to_owned(),
            time: Some(write.now),
        };
        owners.0.insert(manager, entry);
    }
    owners.cap();
}

/// Server-side apply: `config` merged into `live`, or into nothing, and the ownership that comes of it.
///
/// The result still has to be defaulted, validated and given its metadata. It equals `live` if the apply changed
/// nothing.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    write: &Write<'_>,
    force: bool,
    info: &TypeInfo,
) -> Result<Value, ApplyError> {
    let applied = apply_once(live, config, write, force, info);
    let mut new = match applied {
        Err(ApplyError::Conflict(conflicts)) => {
            // An object from client-side apply is taken over by the server-side apply of the same client.
            match last_applied::unresolved(live, write, info, conflicts) {
                Some(conflicts) => return Err(ApplyError::Conflict(conflicts)),
                None => apply_once(live, config, write, true, info)?,
            }
        }
        other => other?,
    };
    last_applied::sync(&mut new, config, write.manager);
    if let Some(live) = live {
        managed::keep_times(live, &mut new, info);
    }
    Ok(new)
}

fn apply_once(
    live: Option<&Value>,
    config: &Value,
    write: &Write<'_>,
    force: bool,
    info: &TypeInfo,
) -> Result<Value, ApplyError> {
    if config
        .pointer("/metadata/managedFields")
        .is_some_and(|entries| !entries.is_null())
    {
        return Err(ApplyError::BadRequest(
            "metadata.managedFields must be nil".to_owned(),
        ));
    }
    let kept = |member: &str| config.get(member).cloned().unwrap_or_default();
    let nothing = json!({"apiVersion": kept("apiVersion"), "kind": kept("kind")});
    let old = live.unwrap_or(&nothing);
    let mut owners = Managed::decode(old)
        .map_err(|error| ApplyError::Internal(format!("failed to decode managed fields: {error}")))?;
    let mut old = old.clone();
    managed::strip(&mut old);

    let shape = |what: &str, object: &Value, errors: &ShapeErrors| {
        ApplyError::Internal(format!(
            "failed to create typed {what} object ({}): {errors}",
            describe(object)
        ))
    };
    validate::validate(info, config, false).map_err(|errors| shape("patch", config, &errors))?;
    validate::validate(info, &old, true).map_err(|errors| shape("live", &old, &errors))?;

    if owners.0.is_empty() && live.is_some() {
        let before = Manager {
            name: BEFORE_FIRST_APPLY.to_owned(),
            ..write.manager(Operation::Update)
        };
        update(&json!({}), &old, &mut owners, before, write, info);
    }
    drop_other_versions(&mut owners, write, info);
    let applier = write.manager(Operation::Apply);
    let mut new = Updater {
        info,
        reset: write.reset,
    }
    .apply(&old, config, &mut owners, &applier, write.api_version, force)
    .map_err(|contested| ApplyError::Conflict(Conflicts::of(&contested)))?;
    let changed = order::compare(&new, &old).is_ne();
    if !changed {
        // Numbers that are worth the same stay as they are written.
        new = old;
    }
    if let Some(entry) = owners.0.get_mut(&applier) {
        entry.set.subtract(never_owned());
        if changed {
            entry.time = Some(write.now);
        }
    }
    owners.0.retain(|_, entry| !entry.set.is_empty());
    owners.encode(&mut new);
    Ok(new)
}

/// An object in a message: namespace, name, version and kind.
fn describe(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let api_version = text("/apiVersion");
    let slash = if api_version.contains('/') { "" } else { "/" };
    let (namespace, name, kind) = (text("/metadata/namespace"), text("/metadata/name"), text("/kind"));
    format!("{namespace}/{name}; {slash}{api_version}, Kind={kind}")
}

impl Write<'_> {
    fn manager(&self, operation: Operation) -> Manager {
        Manager {
            name: if self.manager.is_empty() {
                "unknown"
            } else {
                self.manager
            }
            .to_owned(),
            operation,
            api_version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => self.api_version.to_owned(),
            },
            subresource: self.subresource.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
