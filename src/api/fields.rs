//! Leaf types shared by several kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key with a value, as ECS tags. (VAL-8)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tag {
    /// 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
    /// 0 to 256 characters.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub value: String,
}

/// A name and a value, as in a container's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyValuePair {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub value: String,
}

/// A condition of an object, as in `meta/v1`, with bounded texts.
pub type Condition = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
