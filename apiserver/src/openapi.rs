//! OpenAPI v3: one document for each version of a group, with the schemas and just enough of paths for clients to find
//! their way: what belongs to which kind, and which query parameters a write knows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::object;
use crate::registry::{Kind, Registry, Role, StatusRule};
use crate::typed::definitions;

fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// `/openapi/v3`.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let root = root(&group, &version);
            let mut hasher = DefaultHasher::new();
            for kind in registry
                .version(&group, &version)
                .into_iter()
                .flat_map(BTreeMap::values)
            {
                kind.plural.hash(&mut hasher);
                kind.custom
                    .as_ref()
                    .map(|custom| custom.open_api.to_string())
                    .hash(&mut hasher);
            }
            let url = format!("/openapi/v3/{root}?hash={:016X}", hasher.finish());
            paths.insert(root, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let kinds = registry.version(group, version)?;
    let mut paths = Map::new();
    let mut schemas = Schemas::default();
    for kind in kinds.values() {
        let name = schemas.add_kind(kind);
        add_paths(&mut paths, kind, &name);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas.all},
    }))
}

#[derive(Default)]
struct Schemas {
    all: Map<String, Value>,
    seen: BTreeSet<String>,
}

impl Schemas {
    /// Adds the schema of a kind and what it refers to; its name.
    fn add_kind(&mut self, kind: &Kind) -> String {
        let gvk = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        let (name, mut schema) = if let Some(custom) = &kind.custom {
            self.add_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
            (custom_name(kind), custom_schema(&custom.open_api))
        } else {
            let name = definitions::name_of(&kind.api_version(), &kind.kind).unwrap_or_default();
            self.add_named(name);
            (
                name.to_owned(),
                definitions::by_name(name)
                    .cloned()
                    .unwrap_or_else(|| json!({"type": "object"})),
            )
        };
        object::put(&mut schema, "x-kubernetes-group-version-kind", Some(gvk));
        self.all.insert(name.clone(), schema);
        name
    }

    fn add_named(&mut self, name: &str) {
        if !self.seen.insert(name.to_owned()) {
            return;
        }
        if let Some(schema) = definitions::by_name(name) {
            self.all.insert(name.to_owned(), schema.clone());
            self.add_references(schema);
        }
    }

    fn add_references(&mut self, schema: &Value) {
        if let Some(name) = definitions::reference(schema) {
            self.add_named(name);
        }
        match schema {
            Value::Object(members) => members.values().for_each(|member| self.add_references(member)),
            Value::Array(items) => items.iter().for_each(|item| self.add_references(item)),
            _ => {}
        }
    }
}

/// The name of a custom kind's schema: its group backwards, version and kind.
fn custom_name(kind: &Kind) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').rev().collect();
    parts.extend([kind.version.as_str(), kind.kind.as_str()]);
    parts.join(".")
}

/// A definition's schema with the members that every object has.
fn custom_schema(schema: &Value) -> Value {
    let mut schema = if schema.is_object() {
        schema.clone()
    } else {
        json!({"type": "object"})
    };
    let properties = object::object_mut(&mut schema, &["properties"]);
    properties
        .entry("apiVersion")
        .or_insert_with(|| json!({"type": "string"}));
    properties
        .entry("kind")
        .or_insert_with(|| json!({"type": "string"}));
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    properties.insert(
        "metadata".to_owned(),
        json!({"allOf": [{"$ref": meta}], "description": "Standard object's metadata.", "default": {}}),
    );
    schema
}

fn add_paths(paths: &mut Map<String, Value>, kind: &Kind, schema: &str) {
    let root = root(&kind.group, &kind.version);
    let scope = if kind.namespaced {
        "namespaces/{namespace}/"
    } else {
        ""
    };
    let collection = format!("/{root}/{scope}{}", kind.plural);
    let mut on_collection = Map::new();
    on_collection.insert(
        "post".to_owned(),
        operation(
            kind,
            schema,
            "post",
            &["dryRun", "fieldManager", "fieldValidation"],
        ),
    );
    if kind.role != Role::Review {
        let listing = [
            "labelSelector",
            "fieldSelector",
            "limit",
            "continue",
            "resourceVersion",
            "watch",
        ];
        on_collection.insert("get".to_owned(), operation(kind, schema, "list", &listing));
        let one = json!({
            "get": operation(kind, schema, "get", &[]),
            "put": operation(kind, schema, "put", &["dryRun", "fieldManager", "fieldValidation"]),
            "patch": operation(kind, schema, "patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation(kind, schema, "delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
        });
        if kind.status != StatusRule::None {
            paths.insert(format!("{collection}/{{name}}/status"), one.clone());
        }
        paths.insert(format!("{collection}/{{name}}"), one);
    }
    paths.insert(collection, Value::Object(on_collection));
}

fn operation(kind: &Kind, schema: &str, action: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
        .collect();
    let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let mut operation = json!({
        "operationId": format!("{action}{}{}{}", kind.group, kind.version, kind.kind),
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content.clone()}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    });
    match action {
        "post" | "put" => object::put(
            &mut operation,
            "requestBody",
            Some(json!({"required": true, "content": content})),
        ),
        "patch" => {
            let patch = json!({"schema": {"type": "object"}});
            let content = json!({
                "application/json-patch+json": patch, "application/merge-patch+json": patch,
                "application/apply-patch+yaml": patch,
            });
            object::put(
                &mut operation,
                "requestBody",
                Some(json!({"required": true, "content": content})),
            );
        }
        _ => {}
    }
    operation
}
