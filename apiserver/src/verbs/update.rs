//! Replace, and what replace and patch have in common.

use std::sync::Arc;

use serde_json::Value;

use super::create::{self, Writing};
use super::{Answer, body, find};
use crate::definition;
use crate::managed;
use crate::meta;
use crate::object::{self, text};
use crate::registry::{Kind, Role};
use crate::request::{Call, Target, WriteOptions};
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::{strategy, typed};

/// Why a write met a newer object.
pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

pub(super) fn replace(
    state: &mut State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let options = WriteOptions::parse(call, "UpdateOptions")?;
    let mut value = body::decode(call, &target.kind, options.validation, warnings)?;
    check_name(target, &value)?;
    let kind = &target.kind;
    let old = match find(state, target) {
        Err(_) if kind.create_on_update && target.subresource.is_empty() => {
            object::take_meta(&mut value, "resourceVersion");
            let created = create::insert(state, target, value, &options, Writing::Update)?;
            return Ok(Answer::created(kind, created));
        }
        found => found?,
    };
    create::place_existing(target, &mut value)?;
    let uid = object::uid(&value);
    if !uid.is_empty() && uid != object::uid(&old) {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {}",
            registry_key(target),
            object::uid(&old)
        );
        return Err(Refusal::conflict(kind, &target.name, &why));
    }
    warnings.extend(meta::warnings(kind, Some(&old), &value));
    let written = store(state, target, &old, value, &options, Writing::Update)?;
    Ok(Answer::ok(kind, written))
}

/// Where etcd would have the object.
fn registry_key(target: &Target) -> String {
    let group = if target.kind.is_custom() {
        format!("{}/", target.kind.group)
    } else {
        String::new()
    };
    let namespace = if target.namespace.is_empty() {
        String::new()
    } else {
        format!("{}/", target.namespace)
    };
    format!(
        "/registry/{group}{}/{namespace}{}",
        target.kind.plural, target.name
    )
}

/// The body of an update names the object of the path.
pub(super) fn check_name(target: &Target, value: &Value) -> Result<(), Refusal> {
    let (given, wanted) = (object::name(value), target.name.as_str());
    if given.is_empty() {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        )));
    }
    if given != wanted {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({wanted})"
        )));
    }
    Ok(())
}

/// Stores `new` in place of `old`, if it may be and if it differs.
pub(crate) fn store(
    state: &mut State,
    target: &Target,
    old: &Arc<Value>,
    mut new: Value,
    options: &WriteOptions,
    written_by: Writing,
) -> Result<Arc<Value>, Refusal> {
    let kind = &*target.kind;
    check_version(kind, old, &new)?;
    typed::defaults::apply(kind, &mut new);
    if written_by == Writing::Update {
        managed::track(
            kind,
            Some(old),
            &mut new,
            options,
            &target.subresource,
            state.sources.now(),
        );
    }
    strategy::prepare_update(kind, &target.subresource, old, &mut new);
    create::check(kind, &new, Some(old), &target.subresource)?;
    if kind.custom.is_some() {
        crate::schema::settle(&mut new);
    }
    create::check_size(&new)?;
    object::set_meta(
        &mut new,
        "resourceVersion",
        text(old, &["metadata", "resourceVersion"]),
    );
    if same(old, &new) {
        return Ok(old.clone());
    }
    if options.dry_run {
        return Ok(Arc::new(new));
    }
    if strategy::may_go(kind, &new) {
        return state.remove(kind, new);
    }
    let written = state.write(kind, new)?;
    if kind.role == Role::Definition && target.subresource.is_empty() {
        definition::establish(state, kind, &written)?;
    }
    Ok(written)
}

/// A version named by the update must be that of the object; some kinds require one.
fn check_version(kind: &Kind, old: &Value, new: &Value) -> Result<(), Refusal> {
    let given = object::meta_text(new, "resourceVersion");
    let name = object::name(old);
    if given.is_empty() || given == "0" {
        if kind.unconditional_update {
            return Ok(());
        }
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be specified for an update".to_owned(),
            field: "metadata.resourceVersion".to_owned(),
        };
        return Err(Refusal::invalid_resource(kind, name, vec![cause]));
    }
    if given.parse::<u64>().is_err() {
        return Err(Refusal::plain_error(format!(
            "strconv.ParseUint: parsing \"{given}\": invalid syntax"
        )));
    }
    if given != object::meta_text(old, "resourceVersion") {
        return Err(Refusal::conflict(kind, name, MODIFIED));
    }
    Ok(())
}

/// Whether two objects are the same but for their apiVersion and kind.
fn same(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    let content = |members: &object::Object| {
        members
            .keys()
            .filter(|name| !["apiVersion", "kind"].contains(&name.as_str()))
            .count()
    };
    content(old) == content(new)
        && old.iter().all(|(name, value)| {
            ["apiVersion", "kind"].contains(&name.as_str()) || new.get(name) == Some(value)
        })
}
