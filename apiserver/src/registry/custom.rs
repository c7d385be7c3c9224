//! Kinds that a CustomResourceDefinition defines.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Names, Role, ScalePaths, StatusRule};
use crate::object::{self, at, list, text};
use crate::schema::Schema;
use crate::store::Collection;
use crate::topology::TypeInfo;

/// A printer column of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// OpenAPI format.
    pub format: String,
    /// Text of the column.
    pub description: String,
    /// 0 for the columns that are always shown.
    pub priority: i64,
    /// Where the cell is found.
    pub json_path: String,
}

/// What a definition says of one version.
#[derive(Debug)]
pub struct Custom {
    /// The definition's name.
    pub definition: String,
    /// The definition's uid.
    pub definition_uid: String,
    /// The definition is to be deleted: its objects go, and no new ones come.
    pub terminating: bool,
    /// The apiVersion in which objects are stored.
    pub storage_api_version: String,
    /// `schema.openAPIV3Schema`, compiled; none where it could not be, which the server refuses to store.
    pub schema: Option<Schema>,
    /// What applies must know of its fields.
    pub types: TypeInfo,
    /// The same as written.
    pub open_api: Value,
    /// Printer columns; empty where the definition has none of its own.
    pub columns: Vec<Column>,
    /// Selectable fields as written, such as `.spec.color`.
    pub selectable_fields: Vec<String>,
    /// The warning for users of a deprecated version.
    pub deprecation: Option<String>,
}

/// The kinds of a definition that is established, one for each served version.
pub fn kinds(definition: &Value) -> Vec<Kind> {
    let versions = list(definition, &["spec", "versions"]);
    let storage = versions
        .iter()
        .find(|version| at(version, &["storage"]) == Some(&Value::Bool(true)));
    let storage = storage.map_or("", |version| text(version, &["name"]));
    versions
        .iter()
        .filter(|version| at(version, &["served"]) == Some(&Value::Bool(true)))
        .map(|version| kind(definition, version, storage))
        .collect()
}

fn kind(definition: &Value, version: &Value, storage: &str) -> Kind {
    let names = |name: &str| text(definition, &["spec", "names", name]).to_owned();
    let name_list = |name: &str| {
        let names = list(definition, &["spec", "names", name]);
        names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let or = |name: String, default: String| if name.is_empty() { default } else { name };
    let group = text(definition, &["spec", "group"]);
    let plural = names("plural");
    let has_status = at(version, &["subresources", "status"]).is_some();
    Kind {
        group: group.to_owned(),
        version: text(version, &["name"]).to_owned(),
        singular: or(names("singular"), names("kind").to_lowercase()),
        kind: names("kind"),
        list_kind: or(names("listKind"), format!("{}List", names("kind"))),
        short_names: name_list("shortNames"),
        categories: name_list("categories"),
        namespaced: text(definition, &["spec", "scope"]) == "Namespaced",
        collection: Collection::new(group, &plural),
        plural,
        names: Names::Subdomain,
        role: Role::Custom,
        status: if has_status {
            StatusRule::StatusOnly
        } else {
            StatusRule::None
        },
        scale: at(version, &["subresources", "scale"]).map(scale),
        generation: true,
        create_on_update: false,
        unconditional_update: false,
        custom: Some(Arc::new(custom(
            definition,
            version,
            &format!("{group}/{storage}"),
        ))),
    }
}

fn custom(definition: &Value, version: &Value, storage_api_version: &str) -> Custom {
    let columns = list(version, &["additionalPrinterColumns"])
        .iter()
        .map(|column| Column {
            name: text(column, &["name"]).to_owned(),
            kind: text(column, &["type"]).to_owned(),
            format: text(column, &["format"]).to_owned(),
            description: text(column, &["description"]).to_owned(),
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            json_path: text(column, &["jsonPath"]).to_owned(),
        });
    let open_api = at(version, &["schema", "openAPIV3Schema"])
        .cloned()
        .unwrap_or(Value::Null);
    let selectable = list(version, &["selectableFields"]);
    Custom {
        definition: text(definition, &["metadata", "name"]).to_owned(),
        definition_uid: text(definition, &["metadata", "uid"]).to_owned(),
        terminating: object::is_deleting(definition),
        storage_api_version: storage_api_version.to_owned(),
        schema: Schema::from_json(&open_api).ok(),
        types: TypeInfo::custom(Some(&open_api).filter(|schema| schema.is_object())),
        open_api,
        columns: columns.collect(),
        selectable_fields: selectable
            .iter()
            .map(|field| text(field, &["jsonPath"]).to_owned())
            .collect(),
        deprecation: deprecation(definition, version),
    }
}

fn deprecation(definition: &Value, version: &Value) -> Option<String> {
    if at(version, &["deprecated"]) != Some(&Value::Bool(true)) {
        return None;
    }
    let own = text(version, &["deprecationWarning"]);
    let group = text(definition, &["spec", "group"]);
    let kind = text(definition, &["spec", "names", "kind"]);
    let default = || format!("{group}/{} {kind} is deprecated", text(version, &["name"]));
    Some(if own.is_empty() { default() } else { own.to_owned() })
}

fn scale(scale: &Value) -> ScalePaths {
    let path = |name: &str| simple_path(text(scale, &[name]));
    let selector = path("labelSelectorPath");
    ScalePaths {
        spec_replicas: path("specReplicasPath"),
        status_replicas: path("statusReplicasPath"),
        selector: (!selector.is_empty()).then_some(selector),
    }
}

/// The members named by a path such as `.spec.replicas`.
pub fn simple_path(path: &str) -> Vec<String> {
    path.split('.')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The order in which versions are preferred: GA before beta before alpha, newer before older, then by name.
pub fn version_order(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Maturity (3 for GA), major and minor number of a version such as `v1beta2`.
fn parse(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, rest) = rest.split_at_checked(digits)?;
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((3, major, 0));
    }
    let (maturity, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (2, minor),
        (_, Some(minor)) => (1, minor),
        _ => return None,
    };
    Some((maturity, major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_the_order_of_the_api_conventions() {
        let mut versions = [
            "foo10",
            "v1alpha1",
            "v11beta2",
            "v10",
            "v2",
            "foo1",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "v10beta3",
            "v1",
        ];
        versions.sort_by(|a, b| version_order(a, b));
        // https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
        let expected = [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "v1alpha1",
            "foo1",
            "foo10",
        ];
        assert_eq!(versions, expected);
    }
}
