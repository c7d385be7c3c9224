//! The metadata that every object has, ObjectMeta: which fields it knows and of what type they are.

use serde_json::Value;

/// What a field of the metadata is.
enum Shape {
    Text,
    Whole,
    Flag,
    Time,
    /// A map of strings.
    Texts,
    /// Any JSON object.
    Fields,
    /// A struct of this name with these fields.
    Struct(&'static str, &'static [(&'static str, Shape)]),
    List(&'static Shape),
}

use Shape::{Fields, Flag, List, Struct, Text, Texts, Time, Whole};

const OWNER: Shape = Struct(
    "OwnerReference",
    &[
        ("apiVersion", Text),
        ("kind", Text),
        ("name", Text),
        ("uid", Text),
        ("controller", Flag),
        ("blockOwnerDeletion", Flag),
    ],
);

const MANAGER: Shape = Struct(
    "ManagedFieldsEntry",
    &[
        ("manager", Text),
        ("operation", Text),
        ("apiVersion", Text),
        ("time", Time),
        ("fieldsType", Text),
        ("fieldsV1", Fields),
        ("subresource", Text),
    ],
);

const META: Shape = Struct(
    "ObjectMeta",
    &[
        ("name", Text),
        ("generateName", Text),
        ("namespace", Text),
        ("selfLink", Text),
        ("uid", Text),
        ("resourceVersion", Text),
        ("generation", Whole),
        ("creationTimestamp", Time),
        ("deletionTimestamp", Time),
        ("deletionGracePeriodSeconds", Whole),
        ("labels", Texts),
        ("annotations", Texts),
        ("ownerReferences", List(&OWNER)),
        ("finalizers", List(&Text)),
        ("managedFields", List(&MANAGER)),
    ],
);

/// Takes out what ObjectMeta does not know, and values that say nothing: nulls, and at the top empty ones. Returns
/// the paths of the unknown fields, below `at`.
pub(super) fn prune(meta: &mut Value, at: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_shape(meta, &META, at, &mut unknown);
    if let Value::Object(map) = meta {
        map.retain(|_, value| !is_empty(value));
    }
    unknown
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn prune_shape(value: &mut Value, shape: &Shape, at: &str, unknown: &mut Vec<String>) {
    match (value, shape) {
        (Value::Object(map), Struct(_, fields)) => map.retain(|name, value| {
            let Some((_, shape)) = fields.iter().find(|(known, _)| known == name) else {
                unknown.push(format!("{at}.{name}"));
                return false;
            };
            prune_shape(value, shape, &format!("{at}.{name}"), unknown);
            !value.is_null()
        }),
        (Value::Array(items), List(shape)) => {
            for (i, item) in items.iter_mut().enumerate() {
                prune_shape(item, shape, &format!("{at}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

/// The first value of the metadata that is of another type than ObjectMeta's, as Go's decoder reports it.
pub(super) fn misfit(meta: &Value) -> Option<String> {
    misfit_in(meta, &META, "ObjectMeta", "")
}

fn misfit_in(value: &Value, shape: &Shape, owner: &str, at: &str) -> Option<String> {
    let wanted = match (value, shape) {
        (Value::Null, _) | (Value::String(_), Text) | (Value::Bool(_), Flag) | (_, Fields) => return None,
        (Value::Number(n), Whole) if n.as_i64().is_some() => return None,
        (Value::String(text), Time) => {
            let good = text.parse::<jiff::Timestamp>().is_ok();
            return (!good).then(|| {
                format!(
                    "parsing time {} as \"2006-01-02T15:04:05Z07:00\"",
                    super::go::quote(text)
                )
            });
        }
        (Value::Object(map), Texts) => {
            let other = map
                .values()
                .find(|value| !matches!(value, Value::String(_) | Value::Null))?;
            return Some(wrong_type(other, owner, at, "string"));
        }
        (Value::Object(map), Struct(name, fields)) => {
            return fields.iter().find_map(|(field, shape)| {
                let at = if at.is_empty() {
                    (*field).to_owned()
                } else {
                    format!("{at}.{field}")
                };
                misfit_in(map.get(*field)?, shape, name, &at)
            });
        }
        (Value::Array(items), List(shape)) => {
            return items.iter().find_map(|item| misfit_in(item, shape, owner, at));
        }
        (Value::Number(n), Whole) => return Some(wrong_number(&n.to_string(), owner, at)),
        (_, Text) => "string".to_owned(),
        (_, Whole) => "int64".to_owned(),
        (_, Flag) => "bool".to_owned(),
        (_, Time) => return Some("json: cannot unmarshal into Go value of type string".to_owned()),
        (_, Texts) => "map[string]string".to_owned(),
        (_, Struct(name, _)) => format!("v1.{name}"),
        (_, List(Struct(name, _))) => format!("[]v1.{name}"),
        (_, List(_)) => "[]string".to_owned(),
    };
    Some(wrong_type(value, owner, at, &wanted))
}

fn wrong_type(value: &Value, owner: &str, at: &str, wanted: &str) -> String {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if at.is_empty() {
        return format!("json: cannot unmarshal {given} into Go value of type {wanted}");
    }
    format!("json: cannot unmarshal {given} into Go struct field {owner}.{at} of type {wanted}")
}

fn wrong_number(text: &str, owner: &str, at: &str) -> String {
    format!("json: cannot unmarshal number {text} into Go struct field {owner}.{at} of type int64")
}
