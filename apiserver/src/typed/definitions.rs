//! The schemas of the built-in kinds, as OpenAPI v3 has them.

use std::collections::HashMap;
use std::sync::LazyLock;

use k8s_openapi::Resource;
use k8s_openapi::api::{
    apps::v1 as apps, authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac, scheduling::v1 as scheduling,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::registry::Kind;

/// Where references point to.
const PREFIX: &str = "#/components/schemas/";

/// All schemas by name, and the names by apiVersion and kind.
struct Definitions {
    schemas: Map<String, Value>,
    names: HashMap<(String, String), String>,
}

static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = false);
    let mut builder = Builder {
        generator: settings.into_generator(),
        names: HashMap::new(),
    };
    builder.core();
    builder.workloads();
    builder.others();
    let schemas = builder.generator.take_definitions(true);
    Definitions {
        schemas,
        names: builder.names,
    }
});

struct Builder {
    generator: SchemaGenerator,
    names: HashMap<(String, String), String>,
}

impl Builder {
    fn add<T: Resource + JsonSchema>(&mut self) {
        self.generator.subschema_for::<T>();
        let name = T::schema_name().into_owned();
        self.names
            .insert((T::API_VERSION.to_owned(), T::KIND.to_owned()), name);
    }

    fn core(&mut self) {
        self.add::<core::Binding>();
        self.add::<core::ConfigMap>();
        self.add::<core::Endpoints>();
        self.add::<core::Event>();
        self.add::<core::LimitRange>();
        self.add::<core::Namespace>();
        self.add::<core::Node>();
        self.add::<core::Pod>();
        self.add::<core::ResourceQuota>();
        self.add::<core::Secret>();
        self.add::<core::Service>();
        self.add::<core::ServiceAccount>();
    }

    fn workloads(&mut self) {
        self.add::<apps::ControllerRevision>();
        self.add::<apps::DaemonSet>();
        self.add::<apps::Deployment>();
        self.add::<apps::ReplicaSet>();
        self.add::<apps::StatefulSet>();
        self.add::<batch::Job>();
        self.add::<autoscaling::Scale>();
        self.add::<policy::Eviction>();
        self.add::<policy::PodDisruptionBudget>();
    }

    fn others(&mut self) {
        self.add::<authentication::SelfSubjectReview>();
        self.add::<authentication::TokenReview>();
        self.add::<authorization::LocalSubjectAccessReview>();
        self.add::<authorization::SelfSubjectAccessReview>();
        self.add::<authorization::SelfSubjectRulesReview>();
        self.add::<authorization::SubjectAccessReview>();
        self.add::<coordination::Lease>();
        self.add::<discovery::EndpointSlice>();
        self.add::<events::Event>();
        self.add::<extensions::CustomResourceDefinition>();
        self.add::<networking::NetworkPolicy>();
        self.add::<rbac::ClusterRole>();
        self.add::<rbac::ClusterRoleBinding>();
        self.add::<rbac::Role>();
        self.add::<rbac::RoleBinding>();
        self.add::<scheduling::PriorityClass>();
    }
}

/// The schema of a built-in kind.
pub(crate) fn of_kind(kind: &Kind) -> Option<&'static Value> {
    DEFINITIONS.schemas.get(name_of(&kind.api_version(), &kind.kind)?)
}

/// The name under which a built-in kind's schema is known.
pub(crate) fn name_of(api_version: &str, kind: &str) -> Option<&'static str> {
    DEFINITIONS
        .names
        .get(&(api_version.to_owned(), kind.to_owned()))
        .map(String::as_str)
}

/// A schema by its name.
pub(crate) fn by_name(name: &str) -> Option<&'static Value> {
    DEFINITIONS.schemas.get(name)
}

/// The schema itself where there is only a reference to it.
pub(crate) fn resolve(schema: &'static Value) -> &'static Value {
    reference(schema).and_then(by_name).unwrap_or(schema)
}

/// The name of the schema that a reference points to, alone or as the only part of an `allOf`.
pub(crate) fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").or_else(|| {
        let parts = schema.get("allOf").and_then(Value::as_array)?;
        parts.iter().find_map(|part| part.get("$ref"))
    });
    direct
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn every_built_in_kind_has_a_schema_whose_references_lead_somewhere() {
        for kind in Registry::new().all() {
            assert!(of_kind(kind).is_some(), "{}", kind.qualified_kind());
        }
        let text = Value::Object(DEFINITIONS.schemas.clone()).to_string();
        let mut references = 0;
        for part in text.split("\"$ref\":\"").skip(1) {
            let path = part.split('"').next().unwrap();
            assert!(by_name(path.strip_prefix(PREFIX).unwrap()).is_some(), "{path}");
            references += 1;
        }
        assert!(references > 500, "{references}");
    }
}
