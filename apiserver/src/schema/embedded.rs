//! Embedded resources: objects inside of an object that have a kind, a version and metadata of their own.

use serde_json::{Map, Value};

use super::error::{FieldError, Path};
use super::metadata;
use super::node::Node;

/// What is wrong with the resources that the object holds.
pub(super) fn check(node: &Node, value: &Value, at: &Path<'_>, errors: &mut Vec<FieldError>) {
    if !node.has_embedded {
        return;
    }
    match value {
        Value::Object(map) => {
            if node.embedded {
                resource(map, at, errors);
            }
            for (name, value) in map {
                if let Some(sub) = node.properties.get(name) {
                    check(sub, value, &Path::Field(at, name), errors);
                } else if let Some(sub) = node.additional() {
                    check(sub, value, &Path::Key(at, name), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(sub) = node.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check(sub, item, &Path::Index(at, i), errors);
                }
            }
        }
        _ => {}
    }
}

/// The first value of an embedded resource that cannot be decoded at all.
pub(super) fn misfit(node: &Node, value: &Value, at: &Path<'_>) -> Option<FieldError> {
    if !node.has_embedded {
        return None;
    }
    match value {
        Value::Object(map) => map.iter().find_map(|(name, value)| {
            if node.embedded
                && let Some(fault) = resource_misfit(name, value, at)
            {
                return Some(fault);
            }
            match node.properties.get(name) {
                Some(sub) => misfit(sub, value, &Path::Field(at, name)),
                None => misfit(node.additional()?, value, &Path::Key(at, name)),
            }
        }),
        Value::Array(items) => {
            let sub = node.items.as_deref()?;
            items
                .iter()
                .enumerate()
                .find_map(|(i, item)| misfit(sub, item, &Path::Index(at, i)))
        }
        _ => None,
    }
}

fn resource_misfit(name: &str, value: &Value, at: &Path<'_>) -> Option<FieldError> {
    let why = match name {
        "apiVersion" | "kind" if !value.is_string() => "must be a string".to_owned(),
        "metadata" => metadata::misfit(value)?,
        _ => return None,
    };
    Some(FieldError::invalid(at.field(name), value.clone(), why))
}

fn resource(map: &Map<String, Value>, at: &Path<'_>, errors: &mut Vec<FieldError>) {
    for name in ["apiVersion", "kind"] {
        let place = at.field(name);
        let detail = match map.get(name) {
            None => {
                errors.push(FieldError::required(place, ""));
                continue;
            }
            Some(Value::String(text)) if text.is_empty() => "must not be empty".to_owned(),
            Some(Value::String(text)) if name == "kind" => match kind_fault(text) {
                Some(detail) => detail,
                None => continue,
            },
            Some(Value::String(text)) if text.matches('/').count() > 1 => {
                format!("unexpected GroupVersion string: {text}")
            }
            Some(Value::String(_)) => continue,
            Some(_) => "must be a string".to_owned(),
        };
        errors.push(FieldError::invalid(
            place,
            map.get(name).cloned().unwrap_or_default(),
            detail,
        ));
    }
    if let Some(meta) = map.get("metadata")
        && let Some(why) = metadata::misfit(meta)
    {
        errors.push(FieldError::invalid(at.field("metadata"), meta.clone(), why));
    }
}

/// A kind is a DNS label of RFC 1035 but for its case.
fn kind_fault(kind: &str) -> Option<String> {
    let label = kind.to_lowercase();
    let mut faults = Vec::new();
    if label.len() > 63 {
        faults.push("must be no more than 63 bytes".to_owned());
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = label.starts_with(|c: char| c.is_ascii_lowercase())
        && !label.ends_with('-')
        && label.chars().all(inner);
    if !good {
        faults.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    let faults = faults.join(",");
    (!faults.is_empty()).then(|| format!("may have mixed case, but should otherwise match: {faults}"))
}
