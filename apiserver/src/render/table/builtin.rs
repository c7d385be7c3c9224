//! The columns of the built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::texts::{self, shown};
use super::workload::{containers, count, or_none, pairs, selector};
use super::{Column, age_of, pod, since, workload};
use crate::object::{self, at, has, list, text};
use crate::registry::Kind;

/// Name and type of each column; those after the bar are shown by `-o wide` only.
fn layout(kind: &Kind) -> &'static str {
    match kind.kind.as_str() {
        "Pod" => "Name Ready Status Restarts Age | IP Node Nominated_Node Readiness_Gates",
        "Node" => {
            "Name Status Roles Age Version | Internal-IP External-IP OS-Image Kernel-Version Container-Runtime"
        }
        "Namespace" => "Name Status Age",
        "Event" => "Last_Seen Type Reason Object | Subobject Source / Message | First_Seen Count Name",
        "Service" => "Name Type Cluster-IP External-IP Port(s) Age | Selector",
        "ConfigMap" => "Name Data Age",
        "Secret" => "Name Type Data Age",
        "Lease" => "Name Holder Age",
        "PodDisruptionBudget" => "Name Min_Available Max_Unavailable Allowed_Disruptions:integer Age",
        "Deployment" => "Name Ready Up-to-date Available Age | Containers Images Selector",
        "StatefulSet" => "Name Ready Age | Containers Images",
        "ReplicaSet" => "Name Desired:integer Current:integer Ready:integer Age | Containers Images Selector",
        "DaemonSet" => {
            "Name Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer Node_Selector Age | \
             Containers Images Selector"
        }
        "ControllerRevision" => "Name Controller Revision Age",
        "PriorityClass" => "Name Value:integer Global-Default:boolean Age PreemptionPolicy",
        "RoleBinding" | "ClusterRoleBinding" => "Name Role Age | Users Groups ServiceAccounts",
        "ServiceAccount" => "Name Age",
        "Job" => "Name Status Completions Duration Age | Containers Images Selector",
        "ResourceQuota" => "Name Request Limit Age",
        "Endpoints" => "Name Endpoints Age",
        "NetworkPolicy" => "Name Pod-Selector Age",
        _ => "Name Created_At:date",
    }
}

pub(super) fn columns(kind: &Kind) -> Vec<Column> {
    let mut priority = 0;
    let mut columns = Vec::new();
    for word in layout(kind).split_whitespace() {
        match word {
            "|" => priority = 1,
            "/" => priority = 0,
            _ => {
                let (name, of) = word.split_once(':').unwrap_or((word, "string"));
                columns.push(Column::new(&name.replace('_', " "), of, priority));
            }
        }
    }
    columns
}

pub(super) fn cells(kind: &Kind, value: &Value, now: Timestamp) -> Vec<Value> {
    let name = Value::from(object::name(value));
    let age = age_of(value, now);
    let field = |path: &[&str]| Value::from(text(value, path));
    match kind.kind.as_str() {
        "Pod" => pod_cells(value, name, age, now),
        "Node" => node_cells(value, name, age),
        "Namespace" => vec![name, field(&["status", "phase"]), age],
        "Event" => event_cells(value, name, now),
        "Service" => service_cells(value, name, age),
        "ConfigMap" => vec![
            name,
            json!(members(value, "data").saturating_add(members(value, "binaryData"))),
            age,
        ],
        "Secret" => vec![name, field(&["type"]), json!(members(value, "data")), age],
        "Lease" => vec![name, field(&["spec", "holderIdentity"]), age],
        "PodDisruptionBudget" => {
            let bound = |field: &str| at(value, &["spec", field]).map_or_else(|| "N/A".to_owned(), shown);
            let (min, max) = (bound("minAvailable"), bound("maxUnavailable"));
            vec![
                name,
                json!(min),
                json!(max),
                json!(count(value, &["status", "disruptionsAllowed"])),
                age,
            ]
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" => workload_cells(kind, value, name, age),
        "ControllerRevision" => {
            let controller = object::owners(value)
                .iter()
                .find(|owner| at(owner, &["controller"]) == Some(&Value::Bool(true)));
            let controller = controller.map_or_else(String::new, |owner| {
                format!(
                    "{}/{}",
                    object_kind(text(owner, &["apiVersion"]), text(owner, &["kind"])),
                    text(owner, &["name"])
                )
            });
            vec![
                name,
                or_none(&controller),
                json!(count(value, &["revision"])),
                age,
            ]
        }
        "PriorityClass" => {
            let policy = text(value, &["preemptionPolicy"]);
            let policy = if policy.is_empty() {
                "PreemptLowerPriority"
            } else {
                policy
            };
            let default = at(value, &["globalDefault"]) == Some(&Value::Bool(true));
            vec![
                name,
                json!(count(value, &["value"])),
                json!(default),
                age,
                json!(policy),
            ]
        }
        "RoleBinding" | "ClusterRoleBinding" => binding_cells(value, name, age),
        "ServiceAccount" => vec![name, age],
        "Job" => workload::job_cells(value, name, age, now),
        "ResourceQuota" => {
            let [requests, limits] = texts::quota(value);
            vec![name, requests.into(), limits.into(), age]
        }
        "Endpoints" => vec![name, texts::endpoints(value).into(), age],
        "NetworkPolicy" => {
            let selector = at(value, &["spec", "podSelector"])
                .map(crate::selector::text)
                .unwrap_or_default();
            vec![name, or_none(&selector), age]
        }
        _ => vec![name, field(&["metadata", "creationTimestamp"])],
    }
}

fn members(value: &Value, name: &str) -> usize {
    value
        .get(name)
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
}

/// A kind with its group, in lower case.
fn object_kind(api_version: &str, kind: &str) -> String {
    let kind = kind.to_lowercase();
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind,
    }
}

fn pod_cells(value: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let summary = pod::summary(value, now);
    let ip = list(value, &["status", "podIPs"])
        .first()
        .map(|ip| text(ip, &["ip"]));
    let ip = ip
        .filter(|ip| !ip.is_empty())
        .unwrap_or_else(|| text(value, &["status", "podIP"]));
    let gates = list(value, &["spec", "readinessGates"]);
    let gates = if gates.is_empty() {
        "<none>".to_owned()
    } else {
        format!("{}/{}", open_gates(value), gates.len())
    };
    vec![
        name,
        summary.ready.into(),
        summary.status.into(),
        summary.restarts.into(),
        age,
        or_none(ip),
        or_none(text(value, &["spec", "nodeName"])),
        or_none(text(value, &["status", "nominatedNodeName"])),
        gates.into(),
    ]
}

fn open_gates(pod: &Value) -> usize {
    let holds = |kind: &str| {
        list(pod, &["status", "conditions"])
            .iter()
            .any(|condition| text(condition, &["type"]) == kind && text(condition, &["status"]) == "True")
    };
    list(pod, &["spec", "readinessGates"])
        .iter()
        .filter(|gate| holds(text(gate, &["conditionType"])))
        .count()
}

fn node_cells(value: &Value, name: Value, age: Value) -> Vec<Value> {
    let ready = list(value, &["status", "conditions"])
        .iter()
        .find(|condition| text(condition, &["type"]) == "Ready");
    let mut status = match ready.map(|ready| text(ready, &["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if at(value, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = at(value, &["metadata", "labels"]).and_then(Value::as_object);
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(
            |(label, value)| match label.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role),
                None if label == "kubernetes.io/role" => value.as_str(),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    let address = |kind: &str| {
        let addresses = list(value, &["status", "addresses"]);
        or_none(
            addresses
                .iter()
                .find(|address| text(address, &["type"]) == kind)
                .map_or("", |address| text(address, &["address"])),
        )
    };
    let info = |name: &str| {
        let info = text(value, &["status", "nodeInfo", name]);
        Value::from(if info.is_empty() { "<unknown>" } else { info })
    };
    vec![
        name,
        status.into(),
        or_none(&roles.join(",")),
        age,
        text(value, &["status", "nodeInfo", "kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn event_cells(value: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let series = at(value, &["series"]).filter(|series| series.is_object());
    let first: &[&str] = if has(value, &["firstTimestamp"]) {
        &["firstTimestamp"]
    } else {
        &["eventTime"]
    };
    let last: &[&str] = match series {
        Some(_) => &["series", "lastObservedTime"],
        None if has(value, &["lastTimestamp"]) => &["lastTimestamp"],
        None => first,
    };
    let count = match series {
        Some(series) => count(series, &["count"]),
        None => count(value, &["count"]),
    };
    let about = |field: &str| text(value, &["involvedObject", field]);
    let kind = about("kind").to_lowercase();
    let object = if about("name").is_empty() {
        kind
    } else {
        format!("{kind}/{}", about("name"))
    };
    let component = text(value, &["source", "component"]);
    let component = if component.is_empty() {
        text(value, &["reportingComponent"])
    } else {
        component
    };
    let host = text(value, &["source", "host"]);
    let host = if host.is_empty() {
        text(value, &["reportingInstance"])
    } else {
        host
    };
    let source = if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    };
    vec![
        since(value, last, now),
        text(value, &["type"]).into(),
        text(value, &["reason"]).into(),
        object.into(),
        about("fieldPath").into(),
        source.into(),
        text(value, &["message"]).trim().into(),
        since(value, first, now),
        if count == 0 { json!(1) } else { json!(count) },
        name,
    ]
}

fn service_cells(value: &Value, name: Value, age: Value) -> Vec<Value> {
    let ports = list(value, &["spec", "ports"]).iter().map(|port| {
        let number = count(port, &["port"]);
        match count(port, &["nodePort"]) {
            0 => format!("{number}/{}", text(port, &["protocol"])),
            node => format!("{number}:{node}/{}", text(port, &["protocol"])),
        }
    });
    vec![
        name,
        text(value, &["spec", "type"]).into(),
        or_none(text(value, &["spec", "clusterIP"])),
        or_none(
            &list(value, &["spec", "externalIPs"])
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
        ),
        or_none(&ports.collect::<Vec<_>>().join(",")),
        age,
        pairs(value, &["spec", "selector"]),
    ]
}

fn workload_cells(kind: &Kind, value: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field: &str| count(value, &["status", field]);
    let wanted = count(value, &["spec", "replicas"]);
    let [names, images] = containers(value);
    match kind.kind.as_str() {
        "Deployment" => vec![
            name,
            format!("{}/{wanted}", status("readyReplicas")).into(),
            json!(status("updatedReplicas")),
            json!(status("availableReplicas")),
            age,
            names,
            images,
            selector(value),
        ],
        "StatefulSet" => vec![
            name,
            format!("{}/{wanted}", status("readyReplicas")).into(),
            age,
            names,
            images,
        ],
        "ReplicaSet" => {
            let (current, ready) = (json!(status("replicas")), json!(status("readyReplicas")));
            vec![
                name,
                json!(wanted),
                current,
                ready,
                age,
                names,
                images,
                selector(value),
            ]
        }
        _ => vec![
            name,
            json!(status("desiredNumberScheduled")),
            json!(status("currentNumberScheduled")),
            json!(status("numberReady")),
            json!(status("updatedNumberScheduled")),
            json!(status("numberAvailable")),
            pairs(value, &["spec", "template", "spec", "nodeSelector"]),
            age,
            names,
            images,
            selector(value),
        ],
    }
}

fn binding_cells(value: &Value, name: Value, age: Value) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        text(value, &["roleRef", "kind"]),
        text(value, &["roleRef", "name"])
    );
    let subjects = |kind: &str| {
        let of_kind = list(value, &["subjects"])
            .iter()
            .filter(|subject| text(subject, &["kind"]) == kind);
        let names = of_kind.map(|subject| match text(subject, &["namespace"]) {
            "" => text(subject, &["name"]).to_owned(),
            namespace => format!("{namespace}/{}", text(subject, &["name"])),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        name,
        role.into(),
        age,
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
