//! Types from OpenAPI v3 schemas: the published extensions `x-kubernetes-list-type` and its relatives.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map as Object, Value, json};

use super::{Atom, Field, List, ListKind, Map, PatchMeta, Scalar, TypeInfo, TypeRef, Types, builtin};

/// Values of this type are replaced whole.
const UNTYPED: &str = "__untyped_atomic_";
/// The shape of the value says how it is merged: objects by key, everything else whole.
const DEDUCED: &str = "__untyped_deduced_";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl Types {
    /// The types of `definitions`, by name.
    pub(super) fn from_definitions(definitions: &Object<String, Value>) -> Self {
        let mut types: HashMap<String, Atom> = definitions
            .iter()
            .map(|(name, schema)| (name.clone(), named(name, schema)))
            .collect();
        types.insert(UNTYPED.to_owned(), untyped());
        types.insert(DEDUCED.to_owned(), deduced());
        Self(types)
    }
}

impl TypeInfo {
    /// The type of a custom resource with `schema`, the `openAPIV3Schema` of one of its versions. Without a schema
    /// everything is deduced.
    pub fn custom(schema: Option<&Value>) -> Self {
        let types = builtin::types();
        let Some(schema) = schema else {
            return Self {
                types,
                root: named_ref(DEDUCED),
                is_builtin: false,
            };
        };
        let root = Converter {
            preserve_unknown: false,
        }
        .inline(&with_object_fields(schema));
        Self {
            types,
            root: TypeRef::Inline(root),
            is_builtin: false,
        }
    }

    /// A type that is wholly deduced from the values.
    pub fn deduced() -> Self {
        Self::custom(None)
    }
}

/// The schema with the fields that every object has.
fn with_object_fields(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
            properties.insert("metadata".to_owned(), json!({"$ref": OBJECT_META}));
        }
    }
    schema
}

fn named_ref(name: &str) -> TypeRef {
    TypeRef::Named {
        name: name.to_owned(),
        atomic: None,
    }
}

fn named(name: &str, schema: &Value) -> Atom {
    match name {
        QUANTITY => Atom {
            scalar: Some(Scalar::Untyped),
            ..Atom::default()
        },
        RAW_EXTENSION => untyped(),
        _ => Converter {
            preserve_unknown: false,
        }
        .inline(schema),
    }
}

fn untyped() -> Atom {
    whatever(UNTYPED, true)
}

fn deduced() -> Atom {
    whatever(DEDUCED, false)
}

/// Any value: lists are atomic, members of maps are `members`.
fn whatever(members: &str, atomic: bool) -> Atom {
    Atom {
        scalar: Some(Scalar::Untyped),
        list: Some(Arc::new(List {
            element: named_ref(UNTYPED),
            kind: ListKind::Atomic,
        })),
        map: Some(Arc::new(Map {
            fields: BTreeMap::new(),
            element: Some(named_ref(members)),
            atomic,
        })),
    }
}

/// Walks down a schema. `x-kubernetes-preserve-unknown-fields` holds for everything below.
#[derive(Clone, Copy)]
struct Converter {
    preserve_unknown: bool,
}

impl Converter {
    fn inline(self, schema: &Value) -> Atom {
        if schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
            let mut schema = with_object_fields(schema);
            if let Some(object) = schema.as_object_mut() {
                object.remove("x-kubernetes-embedded-resource");
            }
            return self.inline(&schema);
        }
        let preserve_unknown = self.preserve_unknown
            || schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let below = Self { preserve_unknown };
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => Atom {
                map: Some(below.map(schema)),
                ..Atom::default()
            },
            Some("array") => Atom {
                list: Some(below.list(schema)),
                ..Atom::default()
            },
            Some(primitive) => Atom {
                scalar: Some(scalar(primitive, schema)),
                ..Atom::default()
            },
            None => Atom {
                scalar: Some(Scalar::Untyped),
                list: Some(below.list(schema)),
                map: Some(below.map(schema)),
            },
        }
    }

    fn reference(self, schema: &Value) -> TypeRef {
        match reference_name(schema) {
            Some(name) => TypeRef::Named {
                name: name.to_owned(),
                atomic: schema.get("x-kubernetes-map-type").map(|kind| kind == "atomic"),
            },
            None => TypeRef::Inline(self.inline(schema)),
        }
    }

    fn map(self, schema: &Value) -> Arc<Map> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
        let fields: BTreeMap<String, Field> = properties
            .into_iter()
            .flatten()
            .map(|(name, member)| {
                let field = Field {
                    of: self.reference(member),
                    default: member
                        .get("default")
                        .filter(|default| !default.is_null())
                        .cloned(),
                    required: is_required(name),
                    patch: patch_meta(member),
                };
                (name.clone(), field)
            })
            .collect();
        let element = match schema.get("additionalProperties") {
            None | Some(Value::Null) => {
                (self.preserve_unknown || fields.is_empty()).then(|| named_ref(DEDUCED))
            }
            Some(Value::Bool(allowed)) => allowed.then(|| named_ref(DEDUCED)),
            Some(of) => Some(self.reference(of)),
        };
        let atomic = schema
            .get("x-kubernetes-map-type")
            .is_some_and(|kind| kind == "atomic");
        Arc::new(Map {
            fields,
            element,
            atomic,
        })
    }

    fn list(self, schema: &Value) -> Arc<List> {
        let element = schema
            .get("items")
            .map_or_else(|| named_ref(UNTYPED), |items| self.reference(items));
        Arc::new(List {
            element,
            kind: list_kind(schema),
        })
    }
}

/// The definition that a schema refers to, directly or as the only part of an `allOf`.
fn reference_name(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref");
    let all = || match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => only.get("$ref"),
        _ => None,
    };
    direct
        .or_else(all)
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next())
}

fn scalar(primitive: &str, schema: &Value) -> Scalar {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match primitive {
        "integer" | "number" => Scalar::Numeric,
        "boolean" => Scalar::Boolean,
        "string" if matches!(format, "" | "byte") => Scalar::String,
        _ => Scalar::Untyped,
    }
}

fn list_kind(schema: &Value) -> ListKind {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListKind::Map(
                keys.into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            )
        }
        // Lists without a type of their own follow the older annotation.
        None if patch_meta(schema).merge => patch_meta(schema)
            .key
            .map_or(ListKind::Set, |key| ListKind::Map(vec![key])),
        Some(_) | None => ListKind::Atomic,
    }
}

fn patch_meta(schema: &Value) -> PatchMeta {
    let strategies = schema
        .get("x-kubernetes-patch-strategy")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let has = |wanted| strategies.split(',').any(|strategy| strategy == wanted);
    PatchMeta {
        merge: has("merge"),
        replace: has("replace"),
        key: schema
            .get("x-kubernetes-patch-merge-key")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}
