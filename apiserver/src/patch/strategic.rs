//! Strategic merge patch, for kinds whose fields say how they merge.
//!
//! Directives: `$patch: replace|delete` in objects and items, `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and
//! `$setElementOrder/FIELD`.

use serde_json::{Map, Value};

use super::PatchError;
use super::strategic_lists::{self as lists, Directive, PATCH};
use crate::topology::{PatchMeta, TypeInfo, TypeRef};

const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

type Object = Map<String, Value>;

/// `target`, an object of type `info`, changed by `patch`.
pub fn apply(target: &Value, patch: &Value, info: &TypeInfo) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::BadRequest(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            super::go_json_kind(patch)
        )));
    };
    let target = target.as_object().cloned().unwrap_or_default();
    let merged = Merge { info }.object(target, patch.clone(), info.root())?;
    Ok(Value::Object(merged))
}

/// Merges by the patch metadata of one root type.
#[derive(Clone, Copy)]
pub(super) struct Merge<'a> {
    info: &'a TypeInfo,
}

impl Merge<'_> {
    /// `original` with `patch` merged into it; both are of type `of`.
    pub(super) fn object(
        self,
        mut original: Object,
        mut patch: Object,
        of: &TypeRef,
    ) -> Result<Object, PatchError> {
        if let Some(directive) = patch.remove(PATCH) {
            return match lists::directive(&directive) {
                Some(Directive::Replace) => Ok(patch),
                Some(Directive::Delete) => Ok(Object::new()),
                Some(Directive::Merge) | None => Err(lists::unknown_directive(&directive, &patch)),
            };
        }
        retain_keys(&mut original, &mut patch)?;
        self.ordered_lists(&mut original, &mut patch, of)?;
        for (key, change) in patch {
            match key.strip_prefix(DELETE_FROM_LIST) {
                Some(field) => {
                    let field = field.strip_prefix('/').ok_or_else(bad_primitive_list)?;
                    delete_items(&mut original, field, &change);
                }
                None => self.member(&mut original, &key, change, of)?,
            }
        }
        Ok(original)
    }

    fn member(self, original: &mut Object, key: &str, change: Value, of: &TypeRef) -> Result<(), PatchError> {
        let merged = match (original.remove(key), change) {
            (_, Value::Null) => None,
            (Some(Value::Object(current)), Value::Object(change)) => {
                let (of, meta) = self.field(of, key)?;
                let merged = if meta.replace {
                    change
                } else {
                    self.object(current, change, &of)?
                };
                Some(Value::Object(merged))
            }
            (Some(Value::Array(current)), Value::Array(change)) => {
                let (of, meta) = self.field(of, key)?;
                Some(Value::Array(self.list(current, change, &of, &meta)?))
            }
            (_, change) => lists::without_directives(lists::without_nulls(change)),
        };
        if let Some(merged) = merged {
            original.insert(key.to_owned(), merged);
        }
        Ok(())
    }

    fn list(
        self,
        original: Vec<Value>,
        patch: Vec<Value>,
        of: &TypeRef,
        meta: &PatchMeta,
    ) -> Result<Vec<Value>, PatchError> {
        if !meta.merge {
            return Ok(patch);
        }
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        if !lists::of_objects(&original, &patch)? {
            let merged = lists::union(&original, &patch);
            return Ok(lists::order(merged, &patch, &original, None));
        }
        let key = meta.key.as_deref().ok_or_else(|| {
            PatchError::Internal("cannot merge lists without merge key for struct".to_owned())
        })?;
        let (original, patch) = lists::run_directives(original, patch, key)?;
        let merged = self.items(original.clone(), &patch, of, key)?;
        Ok(lists::order(merged, &patch, &original, Some(key)))
    }

    /// Merges each item of `patch` into the one with the same key, or appends it.
    fn items(
        self,
        mut merged: Vec<Value>,
        patch: &[Value],
        of: &TypeRef,
        key: &str,
    ) -> Result<Vec<Value>, PatchError> {
        let element = self.info.resolve(of).list.map(|list| list.element.clone());
        let element = element.ok_or_else(|| not_a_struct("slice"))?;
        for item in patch {
            let id = lists::id(item, key)?;
            let place = merged.iter_mut().find(|other| other.get(key) == Some(id));
            match (place, item) {
                (Some(Value::Object(current)), Value::Object(change)) => {
                    *current = self.object(std::mem::take(current), change.clone(), &element)?;
                }
                _ => merged.push(item.clone()),
            }
        }
        Ok(merged)
    }

    /// Takes the lists with a `$setElementOrder` out of `patch`, merges them, and puts their items in that order.
    fn ordered_lists(
        self,
        original: &mut Object,
        patch: &mut Object,
        of: &TypeRef,
    ) -> Result<(), PatchError> {
        let directives: Vec<String> = patch
            .keys()
            .filter(|key| key.starts_with(SET_ORDER))
            .cloned()
            .collect();
        for directive in directives {
            let order = take_list(patch, &directive)?.unwrap_or_default();
            let field = directive
                .strip_prefix(SET_ORDER)
                .and_then(|rest| rest.strip_prefix('/'));
            let field = field.ok_or_else(bad_order)?;
            let (field_type, meta) = self.field(of, field)?;
            let key = meta.key.as_deref();
            let live = take_list(original, field)?;
            let change = take_list(patch, field)?;
            lists::check_order(change.as_deref().unwrap_or_default(), &order, key)?;
            let merged = match (live.clone(), change) {
                (Some(live), Some(change)) => self.list(live, change, &field_type, &meta)?,
                (Some(live), None) => live,
                (None, Some(change)) => change.into_iter().filter_map(lists::without_directives).collect(),
                (None, None) => continue,
            };
            let ordered = lists::order(merged, &order, live.as_deref().unwrap_or_default(), key);
            original.insert(field.to_owned(), Value::Array(ordered));
        }
        Ok(())
    }

    /// Type and patch metadata of the field `key` of an object of type `of`.
    fn field(self, of: &TypeRef, key: &str) -> Result<(TypeRef, PatchMeta), PatchError> {
        let map = self
            .info
            .resolve(of)
            .map
            .filter(|map| map.is_struct())
            .ok_or_else(|| not_a_struct("map"))?;
        let folded = || {
            map.fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, f)| f)
        };
        let field = map.fields.get(key).or_else(folded).ok_or_else(|| {
            let name = of.short_name().unwrap_or_default();
            PatchError::Internal(format!(
                "unable to find api field in struct {name} for the json field {key:?}"
            ))
        })?;
        Ok((field.of.clone(), field.patch.clone()))
    }
}

fn take_list(object: &mut Object, field: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match object.remove(field) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(PatchError::Internal(format!(
            "expected a []interface {{}}, but received a {}",
            super::go_json_kind(&other)
        ))),
    }
}

/// `$retainKeys`: whatever is not named goes; the patch may set nothing else.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let bad = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let Some(retained) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let retained = retained.as_array().ok_or_else(bad)?;
    let is_retained = |key: &str| retained.iter().any(|name| name == key);
    let stray = patch.iter().any(|(key, value)| {
        let directive = key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ORDER);
        !value.is_null() && !directive && !is_retained(key)
    });
    if stray {
        return Err(bad());
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

fn delete_items(original: &mut Object, field: &str, deleted: &Value) {
    if let (Some(Value::Array(items)), Value::Array(deleted)) = (original.get_mut(field), deleted) {
        items.retain(|item| !deleted.contains(item));
    }
}

fn not_a_struct(kind: &str) -> PatchError {
    PatchError::Internal(format!(
        "merging an object in json but data type is not struct, instead is: {kind}"
    ))
}

fn bad_primitive_list() -> PatchError {
    PatchError::BadRequest("invalid patch format of primitive list".to_owned())
}

fn bad_order() -> PatchError {
    PatchError::BadRequest("invalid patch format of setElementOrder list".to_owned())
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
mod tests;
