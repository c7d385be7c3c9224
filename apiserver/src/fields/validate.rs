//! Whether a value has the shape of its type. Everything else in this room relies on it.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::items;
use super::path::Element;
use crate::topology::{List, ListKind, Map, Scalar, TypeInfo, TypeRef};

/// Where and how a value departs from its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeErrors(Vec<(String, String)>);

impl fmt::Display for ShapeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(path, message): &(String, String)| match path.as_str() {
            "" => message.clone(),
            path => format!("{path}: {message}"),
        };
        match self.0.as_slice() {
            [only] => f.write_str(&one(only)),
            all => {
                f.write_str("errors:")?;
                all.iter().try_for_each(|error| write!(f, "\n  {}", one(error)))
            }
        }
    }
}

/// Checks `value`. Objects that are stored may have an item twice, those that are applied may not.
pub(super) fn validate<'a>(
    info: &'a TypeInfo,
    value: &'a Value,
    duplicates: bool,
) -> Result<(), ShapeErrors> {
    let mut check = Check {
        info,
        duplicates,
        path: Vec::new(),
        errors: Vec::new(),
    };
    check.value(value, info.root());
    if check.errors.is_empty() {
        Ok(())
    } else {
        Err(ShapeErrors(check.errors))
    }
}

struct Check<'a> {
    info: &'a TypeInfo,
    duplicates: bool,
    path: Vec<Step<'a>>,
    errors: Vec<(String, String)>,
}

/// A step of a path that is written out only if something is wrong there.
enum Step<'a> {
    Field(&'a str),
    Item(Element),
}

impl<'a> Check<'a> {
    fn error(&mut self, message: impl Into<String>) {
        let step = |step: &Step<'_>| match step {
            Step::Field(name) => Element::Field((*name).to_owned()).to_string(),
            Step::Item(element) => element.to_string(),
        };
        let path = self.path.iter().map(step).collect();
        self.errors.push((path, message.into()));
    }

    fn value(&mut self, value: &'a Value, of: &TypeRef) {
        let atom = self.info.resolve(of).for_value(Some(value));
        if let Some(map) = &atom.map {
            self.map(map, value);
        } else if let Some(scalar) = atom.scalar {
            self.scalar(scalar, value);
        } else if let Some(list) = &atom.list {
            self.list(list, value);
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let (fits, expected) = match scalar {
            Scalar::Numeric => (value.is_number(), "numeric (int or float)"),
            Scalar::String => (value.is_string(), "string"),
            Scalar::Boolean => (value.is_boolean(), "boolean"),
            Scalar::Untyped => (!value.is_object() && !value.is_array(), "any scalar"),
        };
        if fits || value.is_null() {
            return;
        }
        let got = match (scalar, value) {
            (Scalar::Numeric, value) => go_type(value).to_owned(),
            (Scalar::String, value) => format!("&value.valueUnstructured{{Value:{}}}", go_syntax(value)),
            (_, value) => format!("&{{{}}}", go_plain(value)),
        };
        self.error(format!("expected {expected}, got {got}"));
    }

    fn map(&mut self, map: &Map, value: &'a Value) {
        let members = match value {
            Value::Object(members) => members,
            Value::Null => return,
            other => return self.error(format!("expected map, got &{{{}}}", go_plain(other))),
        };
        for (key, member) in members {
            self.path.push(Step::Field(key));
            let of = map.type_of(key);
            match of {
                Some(of) => self.value(member, of),
                None => self.error("field not declared in schema"),
            }
            self.path.pop();
            if of.is_none() {
                return;
            }
        }
    }

    fn list(&mut self, list: &List, value: &'a Value) {
        let found = match value {
            Value::Array(found) => found,
            Value::Null => return,
            other => return self.error(format!("expected list, got &{{{}}}", go_plain(other))),
        };
        let mut seen = BTreeSet::new();
        for (index, item) in found.iter().enumerate() {
            let element = if list.kind == ListKind::Atomic {
                Element::Index(i64::try_from(index).unwrap_or(i64::MAX))
            } else {
                match items::element(self.info, list, item) {
                    Ok(element) => element,
                    Err(message) => return self.error(format!("element {index}: {message}")),
                }
            };
            if !self.duplicates && !seen.insert(element.clone()) {
                self.error(format!("duplicate entries for key {element}"));
            }
            self.path.push(Step::Item(element));
            self.value(item, &list.element);
            self.path.pop();
        }
    }
}

/// The Go type of a decoded value, as `%T` prints it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The value in Go's syntax, as `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!(
                "[]interface {{}}{{{}}}",
                items.iter().map(go_syntax).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{key:?}:{}", go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// The value as `%v` prints it.
fn go_plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_plain).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_plain(value)))
                .collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}
