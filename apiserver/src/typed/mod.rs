//! Built-in kinds have types: which members there are, and of which form. Kinds of definitions have their schema.

pub(crate) mod defaults;
pub(crate) mod definitions;
mod pods;

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::object::Object;
use crate::registry::{Kind, Role};
use crate::status::Cause;
use crate::verbs::body::{add_type, json_kind};

/// Drops unknown members and returns their paths; refuses what is of another form than the type says.
pub(crate) fn conform(kind: &Kind, value: &mut Value) -> Result<Vec<String>, String> {
    if let Some(custom) = &kind.custom {
        let mut unknown = Vec::new();
        if let Some(schema) = &custom.schema {
            if let Some(why) = schema.decode_error(value) {
                return Err(why);
            }
            schema.default(value);
            unknown = schema.prune(value);
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

/// All data of a ConfigMap or Secret together: 1 MiB.
const DATA_MAX_BYTES: usize = 1024 * 1024;

fn check_data(kind: &Kind, value: &Value) -> Option<Cause> {
    let length = |member: &str, of: fn(&str) -> usize| {
        let members = value.get(member).and_then(Value::as_object).into_iter().flatten();
        members
            .map(|(_, content)| of(content.as_str().unwrap_or_default()))
            .fold(0, usize::saturating_add)
    };
    // Base64 has four letters for three bytes.
    let decoded = |text: &str| text.len().saturating_mul(3).checked_div(4).unwrap_or(0);
    let (bytes, field) = match kind.role {
        Role::Secret => (length("data", decoded), "data"),
        _ => (
            length("data", str::len).saturating_add(length("binaryData", decoded)),
            "[]",
        ),
    };
    (bytes > DATA_MAX_BYTES).then(|| Cause {
        reason: "FieldValueTooLong",
        message: format!("Too long: may not be more than {DATA_MAX_BYTES} bytes"),
        field: field.to_owned(),
    })
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
fn conform_metadata(value: &mut Value) -> Result<Vec<String>, String> {
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
    if kind.group.is_empty() && ["ConfigMap", "Secret"].contains(&kind.kind.as_str()) {
        return check_data(kind, value).into_iter().collect();
    }
    if kind.role == Role::Event && old.is_none() {
        return pods::check_event(value).into_iter().collect();
    }
    if kind.role == Role::Pod {
        return if subresource.is_empty() {
            pods::check(value, old)
        } else {
            Vec::new()
        };
    }
    let Some(schema) = kind.custom.as_ref().and_then(|custom| custom.schema.as_ref()) else {
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

/// Quantities are numbers with an optional suffix.
fn check_quantity(value: &Value) -> Result<(), String> {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$").ok());
    let is_one = match value {
        Value::String(text) => FORM.as_ref().is_none_or(|form| form.is_match(text)),
        other => other.is_number() || other.is_null(),
    };
    let wrong = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    if is_one { Ok(()) } else { Err(wrong.to_owned()) }
}

struct Walk<'a> {
    unknown: Vec<String>,
    /// The type, as Go names it in errors.
    of: &'a str,
}

impl Walk<'_> {
    fn value(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), String> {
        if definitions::reference(schema).is_some_and(is_free) {
            return Ok(());
        }
        if definitions::reference(schema).is_some_and(|name| name.ends_with(".Quantity")) {
            return check_quantity(value);
        }
        let schema = definitions::resolve(schema);
        if value.is_null() || schema.get("x-kubernetes-int-or-string").is_some() {
            return Ok(());
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(schema, value, path),
            Some("array") => self.array(schema, value, path),
            Some("string") if !value.is_string() => Err(self.wrong(value, path, "string")),
            Some("boolean") if !value.is_boolean() => Err(self.wrong(value, path, "bool")),
            Some("integer") if !(value.is_i64() || value.is_u64()) => {
                let format = schema.get("format").and_then(Value::as_str).unwrap_or("int64");
                Err(self.wrong(value, path, format))
            }
            Some("number") if !value.is_number() => Err(self.wrong(value, path, "float64")),
            _ => Ok(()),
        }
    }

    fn object(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), String> {
        let Value::Object(members) = value else {
            let of = if schema.get("additionalProperties").is_some() {
                "map[string]string"
            } else {
                "struct"
            };
            return Err(self.wrong(value, path, of));
        };
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            return self.members(properties, members, path);
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
        properties: &'static Object,
        members: &mut Object,
        path: &str,
    ) -> Result<(), String> {
        let mut unknown = Vec::new();
        for (name, member) in members.iter_mut() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match properties.get(name) {
                Some(schema) => self.value(schema, member, &path)?,
                None => unknown.push((name.clone(), path)),
            }
        }
        for (name, path) in unknown {
            members.remove(&name);
            self.unknown.push(path);
        }
        Ok(())
    }

    fn array(&mut self, schema: &'static Value, value: &mut Value, path: &str) -> Result<(), String> {
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

    /// In the words of Go's JSON reader.
    fn wrong(&self, value: &Value, path: &str, wanted: &str) -> String {
        let found = json_kind(value);
        let plain: String = path
            .split('.')
            .map(|part| part.split('[').next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(".");
        format!(
            "json: cannot unmarshal {found} into Go struct field {}.{plain} of type {wanted}",
            self.of
        )
    }
}
