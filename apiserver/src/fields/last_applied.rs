//! The way from client-side apply, which keeps its configuration in an annotation, to server-side apply.

use serde_json::Value;

use super::compare::{compare, field_set};
use super::set::FieldSet;
use super::{Conflicts, Write, managed, validate};
use crate::topology::TypeInfo;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The one manager for whom the annotation counts.
const KUBECTL: &str = "kubectl";

fn annotation(object: &Value) -> Option<&str> {
    let value = object
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()?;
    (!value.is_empty()).then_some(value)
}

/// The conflicts that remain when fields which the client applied before, and which still have that value, are taken
/// over. `None` if all of them are such.
pub(super) fn unresolved(
    live: Option<&Value>,
    write: &Write<'_>,
    info: &TypeInfo,
    conflicts: Conflicts,
) -> Option<Conflicts> {
    if write.manager != KUBECTL {
        return Some(conflicts);
    }
    let Some(taken) = live.and_then(|live| applied_fields(live, write, info)) else {
        return Some(conflicts);
    };
    let rest: Vec<_> = conflicts
        .0
        .into_iter()
        .filter(|conflict| !taken.has(&conflict.field.0))
        .collect();
    (!rest.is_empty()).then_some(Conflicts(rest))
}

/// The fields of the last applied configuration that are still as they were applied.
fn applied_fields(live: &Value, write: &Write<'_>, info: &TypeInfo) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion")?.as_str()? != write.api_version {
        return None;
    }
    validate::validate(info, &last, false).ok()?;
    let mut live = live.clone();
    managed::strip(&mut live);
    let compared = compare(info, &last, &info.with_zero_structs(&live));
    let changed = compared.modified.union(&compared.added).union(&compared.removed);
    Some(field_set(info, &last).difference(&changed))
}

/// Keeps the annotation of an object that has one in step with what kubectl applies now.
pub(super) fn sync(object: &mut Value, config: &Value, manager: &str) {
    if manager != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    config.sort_all_objects();
    let mut text = super::path::json(&config);
    text.push('\n');
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.insert(ANNOTATION.to_owned(), Value::String(text));
    }
}
