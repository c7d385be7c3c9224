//! The kinds that are built in. `builtin.json` is written by `apiserver/hack/topology.sh` from what a real API server
//! publishes, reduced to the shape of its types.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map as Object, Value};

use super::{TypeInfo, TypeRef, Types};

/// The table: types, and the definition of each kind by apiVersion and kind.
struct Builtin {
    types: Arc<Types>,
    kinds: BTreeMap<(String, String), String>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    // A test reads the table through this path, so a broken one cannot be released.
    let definitions: Object<String, Value> =
        serde_json::from_str(include_str!("builtin.json")).unwrap_or_default();
    Builtin {
        types: Arc::new(Types::from_definitions(&definitions)),
        kinds: kinds(&definitions),
    }
});

fn kinds(definitions: &Object<String, Value>) -> BTreeMap<(String, String), String> {
    definitions
        .iter()
        .filter_map(|(name, schema)| {
            let kind = schema.pointer("/x-kubernetes-group-version-kind/0")?;
            let text = |member| kind.get(member).and_then(Value::as_str);
            let api_version = match text("group")? {
                "" => text("version")?.to_owned(),
                group => format!("{group}/{}", text("version")?),
            };
            Some(((api_version, text("kind")?.to_owned()), name.clone()))
        })
        .collect()
}

pub(super) fn types() -> Arc<Types> {
    Arc::clone(&BUILTIN.types)
}

/// The type of a built-in kind, such as `apps/v1` and `Deployment`; `None` if it isn't in the table.
pub fn builtin(api_version: &str, kind: &str) -> Option<TypeInfo> {
    let name = BUILTIN.kinds.get(&(api_version.to_owned(), kind.to_owned()))?;
    let root = TypeRef::Named {
        name: name.clone(),
        atomic: None,
    };
    Some(TypeInfo {
        types: types(),
        root,
        is_builtin: true,
    })
}

/// apiVersion and kind of all that is in the table.
pub fn builtin_kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILTIN
        .kinds
        .keys()
        .map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::ListKind;
    use super::*;

    #[test]
    fn the_table_knows_how_pods_merge() {
        let pod = builtin("v1", "Pod").unwrap();
        let root = pod.resolve(pod.root()).map.unwrap();
        let spec = pod.resolve(&root.fields["spec"].of).map.unwrap();
        let containers = &spec.fields["containers"];
        assert_eq!(containers.patch.key.as_deref(), Some("name"));
        assert!(containers.patch.merge);
        assert_eq!(
            pod.resolve(&containers.of).list.unwrap().kind,
            ListKind::Map(vec!["name".to_owned()])
        );
        assert!(pod.resolve(&spec.fields["nodeSelector"].of).map.unwrap().atomic);
    }

    #[test]
    fn every_reference_in_the_table_is_defined() {
        let definitions: Object<String, Value> = serde_json::from_str(include_str!("builtin.json")).unwrap();
        let mut open: Vec<&Value> = definitions.values().collect();
        while let Some(schema) = open.pop() {
            if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                assert!(BUILTIN.types.0.contains_key(name), "{name}");
            }
            open.extend(schema.get("items"));
            open.extend(schema.get("additionalProperties"));
            open.extend(
                schema
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flat_map(Object::values),
            );
        }
    }
}
