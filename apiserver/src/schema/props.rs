//! A schema as a CustomResourceDefinition carries it, member by member: apiextensions' JSONSchemaProps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One schema, not yet checked. Members that the server knows but that change nothing here (example, externalDocs)
/// are left out.
#[allow(
    clippy::struct_excessive_bools,
    reason = "the members of a schema are what they are"
)]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Props {
    #[serde(rename = "type")]
    pub ty: String,
    pub format: String,
    pub title: String,
    pub description: String,
    pub nullable: bool,
    pub default: Option<Value>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: String,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub unique_items: bool,
    pub multiple_of: Option<f64>,
    #[serde(rename = "enum")]
    pub one_of_values: Vec<Value>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<String>,
    pub items: Option<Items>,
    pub all_of: Vec<Props>,
    pub one_of: Vec<Props>,
    pub any_of: Vec<Props>,
    pub not: Option<Box<Props>>,
    pub properties: BTreeMap<String, Props>,
    pub additional_properties: Option<Additional>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub preserve_unknown: Option<bool>,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    pub embedded: bool,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub list_type: Option<String>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub map_type: Option<String>,
    #[serde(rename = "x-kubernetes-validations")]
    pub rules: Vec<RuleProps>,
    // What a structural schema must not have.
    pub id: String,
    #[serde(rename = "$schema")]
    pub schema: String,
    #[serde(rename = "$ref")]
    pub reference: Option<String>,
    pub pattern_properties: BTreeMap<String, Value>,
    pub dependencies: BTreeMap<String, Value>,
    pub additional_items: Option<Value>,
    pub definitions: BTreeMap<String, Value>,
}

impl Props {
    /// Whether unknown fields are kept.
    pub(crate) fn preserves(&self) -> bool {
        self.preserve_unknown == Some(true)
    }

    /// The schema of the items, when there is one for all.
    pub(crate) fn items(&self) -> Option<&Props> {
        match &self.items {
            Some(Items::All(items)) => Some(items),
            _ => None,
        }
    }

    /// The schema of the members that are not named.
    pub(crate) fn additional(&self) -> Option<&Props> {
        match &self.additional_properties {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }
}

/// The schema of a list's items.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Items {
    /// One for each place: never structural.
    #[allow(dead_code, reason = "that it is there is what counts")]
    Each(Vec<serde::de::IgnoredAny>),
    /// One for all.
    All(Box<Props>),
}

/// What an object's other members are.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Additional {
    /// Anything, or nothing.
    Allowed(bool),
    /// Values of this schema.
    Schema(Box<Props>),
}

/// One rule of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RuleProps {
    pub rule: String,
    pub message: String,
    pub message_expression: String,
    pub reason: Option<String>,
    pub field_path: String,
    pub optional_old_self: Option<bool>,
}
