//! Built-in kinds are structs in the API server, and a struct that is a member of another is always there, if only with
//! zero values. Custom resources have no such thing. It shows in who is said to own what.

use serde_json::{Map as Object, Value};

use super::{Atom, Field, TypeInfo, TypeRef};

impl TypeInfo {
    /// `value` as the API server's structs hold it: with all members that are structs, and null for lists that would be
    /// written even if they are nil. Values of custom resources are what they are.
    pub fn with_zero_structs(&self, value: &Value) -> Value {
        if self.is_builtin {
            self.filled(value, &self.root)
        } else {
            value.clone()
        }
    }

    fn filled(&self, value: &Value, of: &TypeRef) -> Value {
        let atom = self.resolve(of);
        match (value, &atom.map, &atom.list) {
            (Value::Object(object), Some(map), _) => {
                let mut filled: Object<String, Value> = object
                    .iter()
                    .map(|(key, member)| {
                        let of = map.type_of(key);
                        (
                            key.clone(),
                            of.map_or_else(|| member.clone(), |of| self.filled(member, of)),
                        )
                    })
                    .collect();
                for (name, field) in &map.fields {
                    if !filled.contains_key(name)
                        && let Some(zero) = self.zero(field)
                    {
                        filled.insert(name.clone(), zero);
                    }
                }
                Value::Object(filled)
            }
            (Value::Array(items), _, Some(list)) => items
                .iter()
                .map(|item| self.filled(item, &list.element))
                .collect(),
            _ => value.clone(),
        }
    }

    /// What a field holds that was never set, if anything.
    fn zero(&self, field: &Field) -> Option<Value> {
        if field.default.is_none() && !field.required {
            return None;
        }
        let Atom { scalar, list, map } = self.resolve(&field.of);
        let is_struct = map.as_ref().is_some_and(|map| map.is_struct());
        if is_struct && field.default.as_ref().is_some_and(Value::is_object) {
            return Some(self.filled(&Value::Object(Object::new()), &field.of));
        }
        if let Some(written @ (Value::String(_) | Value::Bool(_) | Value::Number(_))) = &field.default
            && is_zero(written)
        {
            return Some(written.clone());
        }
        let is_collection = scalar.is_none() && !is_struct && (list.is_some() || map.is_some());
        (is_collection && field.required).then_some(Value::Null)
    }
}

/// Whether it is what Go has where nothing was set. Such a default says no more than that the field is always written.
fn is_zero(value: &Value) -> bool {
    *value == "" || *value == false || *value == 0
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use serde_json::json;

    #[test]
    fn a_pod_has_spec_status_and_a_nil_list_of_containers() {
        let pod = builtin("v1", "Pod").unwrap().with_zero_structs(&json!({}));
        assert_eq!(pod["spec"], json!({"containers": null}));
        assert!(pod["status"].is_object());
    }

    #[test]
    fn custom_resources_are_left_alone() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "default": {}}}});
        let custom = super::TypeInfo::custom(Some(&schema));
        assert_eq!(custom.with_zero_structs(&json!({})), json!({}));
    }
}
