//! Built-in kinds have types: which members there are, and of which form. Kinds of definitions have their schema.

pub(crate) mod defaults;
pub(crate) mod definitions;
mod forms;
mod misfit;
mod rules;
pub(crate) mod workloads;

use serde_json::Value;

use crate::object::Object;
use crate::registry::Kind;
use crate::schema::Nulls;
use crate::status::Cause;
use crate::verbs::body::{add_type, json_kind};
pub(crate) use misfit::Misfit;

/// Drops unknown members and returns their paths; refuses what is of another form than the type says.
pub(crate) fn conform(kind: &Kind, value: &mut Value, nulls: Nulls) -> Result<Vec<String>, Misfit> {
    if let Some(custom) = &kind.custom {
        let mut unknown = Vec::new();
        if let Some(schema) = &custom.schema {
            if let Some(why) = schema.decode_error(value) {
                return Err(Misfit::Other(why));
            }
            schema.default(value);
            unknown = schema.prune_with(value, nulls);
        }
        unknown.extend(conform_metadata(value)?);
        return Ok(unknown);
    }
    let mut walk = Walk {
        unknown: Vec::new(),
        of: &kind.kind,
    };
    if let Some(schema) = definitions::of_kind(kind) {
        walk.value(schema, value, "")?;
    }
    Ok(walk.unknown)
}

/// What the subresource `scale` reads must be a number that is not negative.
fn check_scale(path: &[String], value: &Value) -> Option<Cause> {
    let found = path.iter().try_fold(value, |value, name| value.get(name))?;
    let field = format!(".{}", path.join("."));
    match found.as_i64() {
        Some(number) if number < 0 => Some(Cause::invalid(field, found, "should be a non-negative integer")),
        Some(_) => None,
        None => {
            let shown = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            let detail = format!(
                "{field} accessor error: {shown} is of the type {}, expected int64",
                json_kind(found)
            );
            Some(Cause::invalid(field, &0.into(), &detail))
        }
    }
}

/// The metadata has a type whatever the object is.
fn conform_metadata(value: &mut Value) -> Result<Vec<String>, Misfit> {
    let schema = definitions::by_name("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let (Some(schema), Some(metadata)) = (schema, value.get_mut("metadata")) else {
        return Ok(Vec::new());
    };
    let mut walk = Walk {
        unknown: Vec::new(),
        of: "ObjectMeta",
    };
    walk.value(schema, metadata, "")?;
    Ok(walk
        .unknown
        .iter()
        .map(|path| format!("metadata.{path}"))
        .collect())
}

/// What is wrong with the content of an object that is created, or that replaces `old`.
pub(crate) fn check(kind: &Kind, value: &Value, old: Option<&Value>, subresource: &str) -> Vec<Cause> {
    let Some(custom) = &kind.custom else {
        return rules::check(kind, value, old, subresource);
    };
    let Some(schema) = &custom.schema else {
        return Vec::new();
    };
    // Rules may read apiVersion and kind, which are not stored.
    let old = old.map(|old| {
        let mut old = old.clone();
        add_type(kind, &mut old);
        old
    });
    let errors = match (&old, subresource) {
        (Some(old), "status") => schema.validate_status(value, old),
        (old, _) => schema.validate(value, old.as_ref()),
    };
    let mut causes: Vec<Cause> = errors.into_iter().map(Cause::from).collect();
    if let Some(paths) = &kind.scale {
        causes.extend(check_scale(&paths.spec_replicas, value));
        causes.extend(check_scale(&paths.status_replicas, value));
    }
    causes
}

/// Types that take any JSON, or more than one form of it.
fn is_free(name: &str) -> bool {
    let short = name.rsplit('.').next().unwrap_or_default();
    ["JSON", "RawExtension", "FieldsV1"].contains(&short) || short.starts_with("JSONSchemaPropsOr")
}

/// Lists and maps that are written even if they are empty, although they may be left out. Of others that are empty
/// nothing is kept, as the API server's types have it.
const ALWAYS_WRITTEN: [&str; 2] = ["rules", "sources"];

/// Whether a member means as much as none.
fn is_nothing(schema: &'static Value, member: &Value) -> bool {
    match member {
        Value::Null => true,
        _ if definitions::reference(schema).is_some_and(is_free) => false,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => {
            let is_struct = || definitions::resolve(schema).get("additionalProperties").is_none();
            members.is_empty() && !is_struct()
        }
        _ => false,
    }
}

struct Walk<'a> {
    unknown: Vec<String>,
    /// The innermost type, as Go names it in errors.
    of: &'a str,
}

impl Walk<'_> {
    fn value(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), Misfit> {
        if definitions::reference(schema).is_some_and(is_free) {
            return Ok(());
        }
        if value.is_null() {
            return Ok(());
        }
        let type_name = definitions::reference(schema).and_then(|name| name.rsplit('.').next());
        match type_name {
            Some("Time" | "MicroTime") if !value.is_string() => return Err(self.wrong(value, path, "string")),
            Some("Quantity") => return forms::check_quantity(value).map_err(Misfit::Other),
            Some("Time") => return forms::read_time(value).map_err(Misfit::Other),
            Some("MicroTime") => return forms::read_micro_time(value).map_err(Misfit::Other),
            _ => {}
        }
        let schema = definitions::resolve(schema);
        if schema.get("x-kubernetes-int-or-string").is_some() {
            return Ok(());
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => {
                let outer = self.of;
                if let Some(name) = type_name.filter(|_| !path.is_empty()) {
                    self.of = name;
                }
                self.object(schema, value, path)?;
                self.of = outer;
                Ok(())
            }
            Some("array") => self.array(schema, value, path),
            Some("string") => {
                let Value::String(text) = &value else {
                    return Err(self.wrong(value, path, "string"));
                };
                match schema.get("format").and_then(Value::as_str) {
                    Some("byte") => forms::check_bytes(text).map_err(Misfit::Other),
                    _ => Ok(()),
                }
            }
            Some("boolean") if !value.is_boolean() => Err(self.wrong(value, path, "bool")),
            Some("integer") if !(value.is_i64() || value.is_u64()) => {
                let format = schema.get("format").and_then(Value::as_str).unwrap_or("int64");
                Err(self.wrong(value, path, format))
            }
            Some("number") if !value.is_number() => Err(self.wrong(value, path, "float64")),
            Some("number") => {
                crate::schema::settle(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn object(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), Misfit> {
        let Value::Object(members) = value else {
            let of = if schema.get("additionalProperties").is_some() {
                "map[string]string"
            } else {
                "struct"
            };
            return Err(self.wrong(value, path, of));
        };
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            return self.members(schema, properties, members, path);
        }
        if let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object()) {
            let of_strings = each.get("type").and_then(Value::as_str) == Some("string");
            for member in members.values_mut() {
                if member.is_null() && of_strings {
                    *member = Value::from("");
                }
                self.value(each, member, path)?;
            }
        }
        Ok(())
    }

    fn members(
        &mut self,
        schema: &'static Value,
        properties: &'static Object,
        members: &mut Object,
        path: &str,
    ) -> Result<(), Misfit> {
        let required = crate::object::list(schema, &["required"]);
        let is_written = |name: &String| {
            ALWAYS_WRITTEN.contains(&name.as_str()) || required.iter().any(|required| required == name)
        };
        let (mut unknown, mut empty) = (Vec::new(), Vec::new());
        for (name, member) in members.iter_mut() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match properties.get(name) {
                Some(schema) => {
                    self.value(schema, member, &path)?;
                    if is_nothing(schema, member) && !is_written(name) {
                        empty.push(name.clone());
                    }
                }
                None => unknown.push((name.clone(), path)),
            }
        }
        for name in empty {
            members.remove(&name);
        }
        for (name, path) in unknown {
            members.remove(&name);
            self.unknown.push(path);
        }
        Ok(())
    }

    fn array(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), Misfit> {
        let Value::Array(items) = value else {
            return Err(self.wrong(value, path, "[]"));
        };
        let Some(each) = schema.get("items") else {
            return Ok(());
        };
        for (index, item) in items.iter_mut().enumerate() {
            self.value(each, item, &format!("{path}[{index}]"))?;
        }
        Ok(())
    }

    fn wrong(&self, value: &Value, path: &str, wanted: &str) -> Misfit {
        let plain: Vec<&str> = path
            .split('.')
            .map(|part| part.split('[').next().unwrap_or_default())
            .collect();
        Misfit::Form {
            found: value.clone(),
            field: format!("{}.{}", self.of, plain.join(".")),
            wanted: wanted.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn conformed(group: &str, plural: &str, value: Value) -> Result<Value, String> {
        let kind = Registry::new().get(group, "v1", plural).unwrap();
        let mut value = value;
        conform(&kind, &mut value, Nulls::Dropped)
            .map(|_| value)
            .map_err(|misfit| misfit.decoded())
    }

    #[test]
    fn what_is_empty_is_left_out_unless_it_is_always_written() {
        let pod = json!({"metadata": {"labels": {}}, "spec": {
            "containers": [], "tolerations": [], "nodeSelector": {}, "hostname": null, "securityContext": {},
            "volumes": [{"name": "v", "emptyDir": {}}],
        }});
        assert_eq!(
            conformed("", "pods", pod).unwrap(),
            json!({"metadata": {}, "spec": {
                "containers": [], "securityContext": {}, "volumes": [{"name": "v", "emptyDir": {}}],
            }})
        );
        let role = json!({"rules": []});
        assert_eq!(
            conformed("rbac.authorization.k8s.io", "roles", role.clone()).unwrap(),
            role
        );
        assert_eq!(
            conformed("", "configmaps", json!({"data": {}})).unwrap(),
            json!({})
        );
    }

    #[test]
    fn bytes_and_moments_are_read() {
        let wrong = conformed("", "secrets", json!({"data": {"a": "?"}})).unwrap_err();
        assert_eq!(wrong, "illegal base64 data at input byte 0");
        let lease = |time: &str| {
            conformed(
                "coordination.k8s.io",
                "leases",
                json!({"spec": {"renewTime": time}}),
            )
        };
        assert!(
            lease("yesterday")
                .unwrap_err()
                .starts_with("parsing time \"yesterday\"")
        );
        assert!(lease("2026-01-01T00:00:05.000000Z").is_ok());
    }

    #[test]
    fn what_is_of_another_form_is_named_by_its_innermost_type() {
        let wrong = conformed("", "pods", json!({"spec": {"containers": [{"name": 1}]}})).unwrap_err();
        assert_eq!(
            wrong,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string"
        );
        let wrong = conformed("", "configmaps", json!({"data": {"a": 1}})).unwrap_err();
        assert_eq!(
            wrong,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
    }

    #[test]
    fn numbers_of_a_schema_are_whole_where_they_can_be() {
        let schema = |minimum: Value| {
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
                "type": "integer", "minimum": minimum, "default": 1.5,
            }}}]}})
        };
        let definition = conformed(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            schema(json!(0.0)),
        );
        assert_eq!(definition.unwrap(), schema(json!(0)));
    }
}
