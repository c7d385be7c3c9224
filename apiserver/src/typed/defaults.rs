//! Values that the API server fills in where a built-in object leaves them out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::definition;
use crate::object::{self, Object, at, has, list, object_mut, text};
use crate::registry::{Kind, Role};
use crate::typed::workloads;

/// Label that every namespace carries with its own name.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Fills in the defaults of a kind. Doing so twice changes nothing.
pub(crate) fn apply(kind: &Kind, value: &mut Value) {
    match (kind.role, kind.kind.as_str()) {
        (Role::Custom | Role::Review, _) => {}
        (Role::Pod, _) => {
            pod_spec(object_mut(value, &["spec"]));
            set(object_mut(value, &["spec"]), "enableServiceLinks", json!(true));
            conditions(value, ["lastProbeTime", "lastTransitionTime"]);
        }
        (Role::Namespace, _) => {
            let name = object::name(value).to_owned();
            object_mut(value, &["metadata", "labels"]).insert(NAMESPACE_NAME_LABEL.to_owned(), name.into());
        }
        (Role::Secret, _) => secret(value),
        (Role::Definition, _) => definition::default(value),
        (Role::Node, _) => node(value),
        (_, "Service") => service(object_mut(value, &["spec"])),
        (_, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job") => {
            workloads::apply(kind, value);
        }
        (_, "Endpoints") => each(object_mut(value, &[]), "subsets", |subset| {
            each(subset, "ports", |port| set(port, "protocol", json!("TCP")));
        }),
        (_, "LimitRange") => each(object_mut(value, &["spec"]), "limits", limit),
        (_, "RoleBinding" | "ClusterRoleBinding") => role_binding(value),
        _ => {}
    }
}

/// Conditions are written with their times, known or not.
fn conditions(value: &mut Value, times: [&str; 2]) {
    if !has(value, &["status", "conditions"]) {
        return;
    }
    each(object_mut(value, &["status"]), "conditions", |condition| {
        for name in times {
            condition.entry(name).or_insert(Value::Null);
        }
    });
}

pub(super) fn set(members: &mut Object, name: &str, value: Value) {
    let entry = members.entry(name).or_insert(Value::Null);
    if entry.is_null() {
        *entry = value;
    }
}

fn each(members: &mut Object, name: &str, mut change: impl FnMut(&mut Object)) {
    let Some(Value::Array(items)) = members.get_mut(name) else {
        return;
    };
    items
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .for_each(&mut change);
}

pub(super) fn pod_spec(spec: &mut Object) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    let account = spec.get("serviceAccountName").cloned();
    if let Some(account) = account.filter(|account| account.as_str().is_some_and(|name| !name.is_empty())) {
        set(spec, "serviceAccount", account);
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, containers, |container| {
            self::container(container, host_network);
        });
    }
    each(spec, "volumes", volume);
}

fn container(container: &mut Object, host_network: bool) {
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    let image = container
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    set(container, "imagePullPolicy", json!(pull_policy(&image)));
    each(container, "ports", |port| {
        set(port, "protocol", json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            set(port, "hostPort", number);
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            let values = [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ];
            for (name, value) in values {
                set(probe, name, json!(value));
            }
            if let Some(Value::Object(get)) = probe.get_mut("httpGet") {
                set(get, "path", json!("/"));
                set(get, "scheme", json!("HTTP"));
            }
        }
    }
    if let Some(Value::Object(resources)) = container.get_mut("resources")
        && let Some(Value::Object(limits)) = resources.get("limits").cloned()
    {
        let requests = resources.entry("requests").or_insert_with(|| json!({}));
        if let Value::Object(requests) = requests {
            limits
                .into_iter()
                .for_each(|(name, limit)| set(requests, &name, limit));
        }
    }
    each(container, "env", |variable| {
        let Some(Value::Object(from)) = variable.get_mut("valueFrom") else {
            return;
        };
        if let Some(Value::Object(field)) = from.get_mut("fieldRef") {
            set(field, "apiVersion", json!("v1"));
        }
    });
}

/// Images without a tag, or with the tag `latest`, are pulled always.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !name.contains('@') && name.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn volume(volume: &mut Object) {
    for (source, mode) in [
        ("secret", "defaultMode"),
        ("configMap", "defaultMode"),
        ("projected", "defaultMode"),
        ("downwardAPI", "defaultMode"),
    ] {
        if let Some(Value::Object(source)) = volume.get_mut(source) {
            set(source, mode, json!(420));
        }
    }
    if let Some(Value::Object(path)) = volume.get_mut("hostPath") {
        set(path, "type", json!(""));
    }
    if volume.len() == 1 {
        set(volume, "emptyDir", json!({}));
    }
}

/// A Pod that is replaced has the priority that it had.
pub(crate) fn keep_priority(old: &Value, new: &mut Value) {
    for name in ["priority", "preemptionPolicy"] {
        if let Some(kept) = at(old, &["spec", name]) {
            set(object_mut(new, &["spec"]), name, kept.clone());
        }
    }
}

/// What admission adds to every Pod.
pub(crate) fn admit_pod(pod: &mut Value) {
    let spec = object_mut(pod, &["spec"]);
    set(spec, "priority", json!(0));
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Value::Array(tolerations) = tolerations else {
        return;
    };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|toleration| {
            let (of, effect) = (text(toleration, &["key"]), text(toleration, &["effect"]));
            (of == key || of.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by the requests and limits of cpu and memory.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let containers = list(pod, &["spec", "containers"])
        .iter()
        .chain(list(pod, &["spec", "initContainers"]));
    let (mut any, mut all) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let request = at(container, &["resources", "requests", resource]);
            let limit = at(container, &["resources", "limits", resource]);
            any |= request.is_some() || limit.is_some();
            all &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn secret(value: &mut Value) {
    if let Some(Value::Object(plain)) = value.get("stringData").cloned() {
        let data = object_mut(value, &["data"]);
        for (name, text) in plain {
            data.insert(name, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
        }
        object::put(value, "stringData", None);
    }
    set(object_mut(value, &[]), "type", json!("Opaque"));
}

fn node(value: &mut Value) {
    conditions(value, ["lastHeartbeatTime", "lastTransitionTime"]);
    let status = object_mut(value, &["status"]);
    set(status, "daemonEndpoints", json!({"kubeletEndpoint": {"Port": 0}}));
    let info = object_mut(value, &["status", "nodeInfo"]);
    for name in [
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ] {
        set(info, name, json!(""));
    }
    let capacity = at(value, &["status", "capacity"]).cloned();
    if let Some(capacity) = capacity.filter(|_| !has(value, &["status", "allocatable"])) {
        object_mut(value, &["status"]).insert("allocatable".to_owned(), capacity);
    }
}

fn service(spec: &mut Object) {
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "internalTrafficPolicy", json!("Cluster"));
    each(spec, "ports", |port| {
        set(port, "protocol", json!("TCP"));
        if let Some(number) = port.get("port").cloned() {
            set(port, "targetPort", number);
        }
    });
}

/// Of a container the default limit is the greatest, and the default request the default limit or else the least.
fn limit(item: &mut Object) {
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    for (into, from) in [
        ("default", "max"),
        ("defaultRequest", "default"),
        ("defaultRequest", "min"),
    ] {
        let Some(Value::Object(from)) = item.get(from).cloned() else {
            continue;
        };
        if let Value::Object(into) = item.entry(into).or_insert_with(|| json!({})) {
            from.into_iter()
                .for_each(|(name, quantity)| set(into, &name, quantity));
        }
    }
}

fn role_binding(value: &mut Value) {
    let members = object_mut(value, &[]);
    if let Value::Object(role) = members.entry("roleRef").or_insert_with(|| json!({})) {
        for (name, default) in [
            ("apiGroup", "rbac.authorization.k8s.io"),
            ("kind", ""),
            ("name", ""),
        ] {
            set(role, name, json!(default));
        }
    }
    each(members, "subjects", |subject| {
        if ["User", "Group"].contains(&subject.get("kind").and_then(Value::as_str).unwrap_or_default()) {
            set(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_containers_follow_from_each_other() {
        let mut item =
            json!({"type": "Container", "default": {"cpu": "1"}, "min": {"cpu": "0", "memory": "1Mi"}});
        limit(item.as_object_mut().unwrap());
        assert_eq!(item["defaultRequest"], json!({"cpu": "1", "memory": "1Mi"}));
        let mut item = json!({"type": "Pod", "max": {"cpu": "1"}});
        limit(item.as_object_mut().unwrap());
        assert_eq!(item, json!({"type": "Pod", "max": {"cpu": "1"}}));
    }
}
