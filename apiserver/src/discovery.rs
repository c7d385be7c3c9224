//! Discovery: which groups, versions and resources are served.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use serde_json::{Value, json};

use crate::body::Body;
use crate::registry::{Kind, Registry, Role};
use crate::request::Call;
use crate::routes::json_answer;
use crate::server::respond_with;

/// The media type of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The Kubernetes version that the server claims to be.
const MINOR: &str = "37";

/// By this a version says whose it is.
const BUILD: &str = "+embedded";

/// Whether the `gitVersion` of an API server is that of this one.
#[must_use]
pub fn is_embedded(git_version: &str) -> bool {
    git_version.ends_with(BUILD)
}

/// The answer of `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "emulationMajor": "1", "emulationMinor": MINOR,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "36",
        "gitVersion": format!("v1.{MINOR}.0{BUILD}"), "gitCommit": "unknown", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, platform_arch()),
    })
}

fn platform_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn wants_aggregated(call: &Call) -> bool {
    call.accept.split(',').any(|range| {
        let parts: Vec<&str> = range.split(';').map(str::trim).collect();
        ["as=APIGroupDiscoveryList", "v=v2", "g=apidiscovery.k8s.io"]
            .iter()
            .all(|part| parts.contains(part))
    })
}

fn aggregated(groups: &[Value]) -> Response<Body> {
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups,
    });
    respond_with(200, AGGREGATED, list.to_string().into_bytes())
}

/// `/api`.
pub(crate) fn core(registry: &Registry, call: &Call) -> Response<Body> {
    if wants_aggregated(call) {
        return aggregated(&[aggregated_group(registry, "", &["v1".to_owned()])]);
    }
    json_answer(&json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
}

/// `/apis`.
pub(crate) fn groups(registry: &Registry, call: &Call) -> Response<Body> {
    let groups = registry.groups();
    let named = groups.iter().filter(|(group, _)| !group.is_empty());
    if wants_aggregated(call) {
        let groups: Vec<Value> = named
            .map(|(group, versions)| aggregated_group(registry, group, versions))
            .collect();
        return aggregated(&groups);
    }
    let groups: Vec<Value> = named
        .map(|(group, versions)| group_value(group, versions))
        .collect();
    json_answer(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis/GROUP`.
pub(crate) fn group(registry: &Registry, group: &str) -> Option<Value> {
    let groups = registry.groups();
    let mut value = group_value(group, groups.get(group).filter(|_| !group.is_empty())?);
    crate::object::put(&mut value, "kind", Some("APIGroup".into()));
    crate::object::put(&mut value, "apiVersion", Some("v1".into()));
    Some(value)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let kinds = registry.version(group, version)?;
    let resources: Vec<Value> = kinds.values().flat_map(|kind| resource(kind)).collect();
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

fn resource(kind: &Kind) -> Vec<Value> {
    let mut own = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": kind.verbs(),
    });
    add_names(&mut own, kind);
    if kind.role != Role::Review {
        crate::object::put(&mut own, "storageVersionHash", Some(storage_hash(kind).into()));
    }
    let mut all = vec![own];
    all.extend(kind.subresources().into_iter().map(|subresource| {
        let mut value = json!({
            "name": format!("{}/{}", kind.plural, subresource.name), "singularName": "",
            "namespaced": kind.namespaced, "kind": subresource.kind, "verbs": subresource.verbs,
        });
        if let Some((group, version)) = subresource.group_version {
            crate::object::put(&mut value, "group", Some(group.into()));
            crate::object::put(&mut value, "version", Some(version.into()));
        }
        value
    }));
    all
}

/// How many bytes of the hash are told.
const HASH_BYTES: usize = 8;

/// What stands for the group, version and kind in which objects are stored.
fn storage_hash(kind: &Kind) -> String {
    let version = match (&kind.custom, kind.role) {
        (Some(custom), _) => custom.storage_api_version.clone(),
        // Both groups of Events are stored as one.
        (None, Role::Event) => "v1".to_owned(),
        // The API server has never changed what it tells of definitions.
        (None, Role::Definition) => "apiextensions.k8s.io/v1beta1".to_owned(),
        (None, _) => kind.api_version(),
    };
    let slash = if version.contains('/') { "" } else { "/" };
    let text = format!("{slash}{version}/{}", kind.kind);
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    STANDARD.encode(hash.as_ref().get(..HASH_BYTES).unwrap_or_default())
}

fn add_names(value: &mut Value, kind: &Kind) {
    for (name, list) in [
        ("shortNames", &kind.short_names),
        ("categories", &kind.categories),
    ] {
        if !list.is_empty() {
            crate::object::put(value, name, Some(json!(list)));
        }
    }
}

fn aggregated_group(registry: &Registry, group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .filter_map(|version| {
            let kinds = registry.version(group, version)?;
            let resources: Vec<Value> = kinds.values().map(|kind| aggregated_resource(kind)).collect();
            Some(json!({"version": version, "resources": resources, "freshness": "Current"}))
        })
        .collect();
    let meta = if group.is_empty() {
        json!({})
    } else {
        json!({"name": group})
    };
    json!({"metadata": meta, "versions": versions})
}

fn aggregated_resource(kind: &Kind) -> Value {
    // Only kinds of definitions say group and version here; of the others they are those of the list.
    let response =
        |group: &str, version: &str, name: &str| json!({"group": group, "version": version, "kind": name});
    let mut value = json!({
        "resource": kind.plural,
        "responseKind": response(&kind.group, &kind.version, &kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs(),
    });
    add_names(&mut value, kind);
    let subresources: Vec<Value> = kind
        .subresources()
        .into_iter()
        .map(|subresource| {
            let (group, version) = subresource.group_version.unwrap_or((&kind.group, &kind.version));
            json!({
                "subresource": subresource.name,
                "responseKind": response(group, version, &subresource.kind),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        crate::object::put(&mut value, "subresources", Some(Value::Array(subresources)));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_storage_version_has_the_hash_that_clusters_tell() {
        let registry = Registry::new();
        let of = |group: &str, plural: &str| storage_hash(&registry.get(group, "v1", plural).unwrap());
        assert_eq!(of("", "pods"), "xPOwRZ+Yhw8=");
        assert_eq!(of("", "events"), of("events.k8s.io", "events"));
        assert_eq!(of("apps", "deployments"), "8aSe+NMegvE=");
        assert_eq!(
            of("apiextensions.k8s.io", "customresourcedefinitions"),
            "jfWCUB31mvA="
        );
    }
}
