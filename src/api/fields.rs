//! Leaf types shared by several kinds.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key with a value, as ECS tags. (VAL-8)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!self.key.lowerAscii().startsWith('aws:')")
    .message("Tag keys must not begin with the reserved prefix aws:."))]
pub struct Tag {
    /// Key: 1 to 128 letters, digits, spaces and `+ - = . _ : / @`; the prefix `aws:` is reserved. (VAL-8)
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"))]
    pub key: String,
    /// Value: 0 to 256 characters of the same set. (VAL-8)
    #[serde(default)]
    #[schemars(length(max = 256), regex(pattern = r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"))]
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
