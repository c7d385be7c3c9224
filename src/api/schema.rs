//! What the derived schemas still lack: bounds on the types that Kubernetes defines, and a few corrections that hold
//! for every kind.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Serialize;

/// Selects objects by their labels.
#[derive(Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundedSelector {
    /// Labels that an object must have, with these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 50))]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Further requirements, joined by and.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50))]
    pub match_expressions: Option<Vec<BoundedRequirement>>,
}

/// A requirement on one label.
#[derive(Serialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)"
).message("values must be given for the operators In and NotIn, and only for them"))]
pub struct BoundedRequirement {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: SelectorOperator,
    /// Values for In and NotIn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 63)))]
    pub values: Option<Vec<String>>,
}

/// How a label is compared.
#[derive(Serialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// The name of an object.
#[derive(JsonSchema)]
pub struct ObjectName(
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    )]
    pub String,
);

/// Corrects what the derive cannot know: a null member is an absent member (the API server drops nulls of members
/// that are not nullable), integer formats are those that the API server knows, descriptions are not broken into the
/// lines of the source, and conditions are bounded.
pub(super) fn polish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(root) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            polish_schema(root);
        }
    }
    crd
}

fn polish_schema(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(text) = &mut schema.description {
        // Line breaks of the source are not those of a terminal; empty lines part paragraphs.
        *text = text
            .split("\n\n")
            .map(|part| part.replace('\n', " "))
            .collect::<Vec<_>>()
            .join("\n\n");
    }
    if matches!(schema.format.as_deref(), Some("uint8" | "uint16" | "uint32")) {
        schema.format = Some("int32".to_owned());
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        polish_schema(property);
        if name == "conditions" {
            bound_condition(property);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        polish_schema(items);
    }
}

/// The lengths that Kubernetes' own API types give a condition. (design.md §3: status is bounded)
fn bound_condition(list: &mut JSONSchemaProps) {
    list.max_items = Some(20);
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut list.items else {
        return;
    };
    for (name, property) in item.properties.iter_mut().flatten() {
        property.max_length = match name.as_str() {
            "message" => Some(32_768),
            "reason" => Some(1024),
            "type" => Some(316),
            _ => None,
        };
    }
}
