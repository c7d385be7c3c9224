//! What tells the items of a list apart.

use serde_json::Value;

use super::path::Element;
use crate::topology::{List, ListKind, TypeInfo};

/// The path element of an item of a set or map list, or why it has none.
pub(super) fn element(info: &TypeInfo, list: &List, item: &Value) -> Result<Element, String> {
    match &list.kind {
        ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListKind::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(Element::Value(scalar.clone())),
        },
        ListKind::Map(keys) => by_keys(info, list, keys, item),
    }
}

fn by_keys(info: &TypeInfo, list: &List, keys: &[String], item: &Value) -> Result<Element, String> {
    let members = match item {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let fields = info.resolve(&list.element).map;
    let default = |key: &str| fields.as_ref()?.fields.get(key)?.default.clone();
    let mut found: Vec<(String, Value)> = keys
        .iter()
        .filter_map(|key| Some((key.clone(), members.get(key).cloned().or_else(|| default(key))?)))
        .collect();
    if found.is_empty() {
        let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            names.join(" ")
        ));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Element::Key(found))
}
