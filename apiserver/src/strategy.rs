//! What the API server does to an object before it is validated: who owns which part, and what counts as a change.

use serde_json::{Value, json};

use crate::definition;
use crate::meta;
use crate::object::{self, at, has, list};
use crate::registry::{Kind, Role, StatusRule};
use crate::typed::{defaults, workloads};

/// Prepares a new object that has its defaults: system fields are set by the caller, the rest here.
pub(crate) fn prepare_create(kind: &Kind, value: &mut Value) {
    if kind.generation {
        object::set_meta(value, "generation", 1);
    }
    if kind.role == Role::Pod {
        defaults::admit_pod(value);
    }
    if kind.status != StatusRule::None && kind.role != Role::Node {
        object::put(value, "status", initial_status(kind, value));
    }
    match kind.role {
        Role::Namespace => {
            object::object_mut(value, &["spec"])
                .entry("finalizers")
                .or_insert_with(|| json!(["kubernetes"]));
        }
        Role::Node => add_not_ready_taint(value),
        Role::Plain if kind.kind == "DaemonSet" => workloads::set_template_generation(value, 1),
        Role::Plain if kind.kind == "Lease" => drop_coordination(value),
        Role::Plain if kind.kind.ends_with("Role") => write_rules(value),
        Role::Plain if kind.kind == "Service" => give_no_addresses(value),
        Role::Plain if kind.kind == "Job" => workloads::select_own_pods(value),
        _ => {}
    }
    meta::drop_empty(value);
}

/// The rules of a role are always written, be there none.
fn write_rules(role: &mut Value) {
    object::object_mut(role, &[])
        .entry("rules")
        .or_insert(Value::Null);
}

/// Coordinated leader election is switched off: what Leases say of it is not kept.
fn drop_coordination(lease: &mut Value) {
    let spec = object::object_mut(lease, &["spec"]);
    for name in ["strategy", "preferredHolder"] {
        spec.remove(name);
    }
}

/// A Service that asks for no address of its own says so in both fields. Nobody gives addresses to the others.
fn give_no_addresses(value: &mut Value) {
    if object::text(value, &["spec", "clusterIP"]) != "None" {
        return;
    }
    let spec = object::object_mut(value, &["spec"]);
    spec.insert("clusterIPs".to_owned(), json!(["None"]));
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| json!("SingleStack"));
}

/// New nodes take no Pods until somebody has seen them ready.
fn add_not_ready_taint(value: &mut Value) {
    let taints = object::object_mut(value, &["spec"])
        .entry("taints")
        .or_insert_with(|| json!([]));
    let key = "node.kubernetes.io/not-ready";
    if let Value::Array(taints) = taints
        && !taints.iter().any(|taint| object::text(taint, &["key"]) == key)
    {
        taints.push(json!({"key": key, "effect": "NoSchedule"}));
    }
}

fn initial_status(kind: &Kind, value: &Value) -> Option<Value> {
    match (kind.role, kind.kind.as_str()) {
        (Role::Custom, _) => None,
        (Role::Pod, _) => Some(json!({"phase": "Pending", "qosClass": defaults::qos_class(value)})),
        (Role::Namespace, _) => Some(json!({"phase": "Active"})),
        (Role::Definition, _) => Some(definition::initial_status(value)),
        (_, "PodDisruptionBudget") => Some(
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
        ),
        (_, "Service") => Some(json!({"loadBalancer": {}})),
        (_, "ReplicaSet") => Some(json!({"replicas": 0})),
        (_, "StatefulSet") => Some(json!({"replicas": 0, "availableReplicas": 0})),
        (_, "DaemonSet") => Some(json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        })),
        _ => Some(json!({})),
    }
}

/// Prepares a replacement: what the subresource does not own stays as it was, and the generation counts.
pub(crate) fn prepare_update(kind: &Kind, subresource: &str, old: &Value, new: &mut Value) {
    meta::keep_server_fields(old, new);
    if kind.role == Role::Pod {
        defaults::keep_priority(old, new);
        defaults::admit_pod(new);
    }
    match subresource {
        "status" => keep_all_but_status(kind, old, new),
        "finalize" => {
            let finalizers = at(new, &["spec", "finalizers"]).cloned();
            *new = restored(old, new);
            let spec = object::object_mut(new, &["spec"]);
            match finalizers {
                Some(finalizers) => drop(spec.insert("finalizers".to_owned(), finalizers)),
                None => drop(spec.remove("finalizers")),
            }
        }
        _ => {
            if kind.status != StatusRule::None {
                object::put(new, "status", old.get("status").cloned());
            }
            if kind.role == Role::Namespace {
                let finalizers = at(old, &["spec", "finalizers"]).cloned().unwrap_or(Value::Null);
                object::object_mut(new, &["spec"]).insert("finalizers".to_owned(), finalizers);
            }
        }
    }
    match kind.kind.as_str() {
        "DaemonSet" if kind.role == Role::Plain => workloads::count_template(old, new),
        "Lease" if kind.role == Role::Plain => drop_coordination(new),
        "Role" | "ClusterRole" if kind.role == Role::Plain => write_rules(new),
        _ => {}
    }
    meta::drop_empty(new);
    if kind.generation && is_other_wish(kind, old, new) {
        let generation = object::number(old, &["metadata", "generation"]).unwrap_or(0);
        object::set_meta(new, "generation", generation.saturating_add(1));
    }
}

/// The old object, with the managed fields and the resourceVersion of the new one.
fn restored(old: &Value, new: &mut Value) -> Value {
    let mut restored = old.clone();
    for field in ["managedFields", "resourceVersion"] {
        match object::take_meta(new, field) {
            Some(value) => object::set_meta(&mut restored, field, value),
            None => drop(object::take_meta(&mut restored, field)),
        }
    }
    for field in ["apiVersion", "kind"] {
        object::put(&mut restored, field, new.get(field).cloned());
    }
    restored
}

fn keep_all_but_status(kind: &Kind, old: &Value, new: &mut Value) {
    match kind.status {
        StatusRule::WithMetadata => {
            for (name, kept) in old.as_object().into_iter().flatten() {
                if !["metadata", "status"].contains(&name.as_str()) {
                    object::put(new, name, Some(kept.clone()));
                }
            }
            let unknown: Vec<String> = new
                .as_object()
                .into_iter()
                .flat_map(|members| members.keys())
                .filter(|name| !["metadata", "status", "apiVersion", "kind"].contains(&name.as_str()))
                .filter(|name| old.get(name.as_str()).is_none())
                .cloned()
                .collect();
            for name in &unknown {
                object::put(new, name, None);
            }
        }
        StatusRule::StatusOnly | StatusRule::None => {
            let status = new.get("status").cloned();
            *new = restored(old, new);
            object::put(new, "status", status);
        }
    }
}

/// Whether something other than metadata and status differs: for most kinds the spec.
fn is_other_wish(kind: &Kind, old: &Value, new: &Value) -> bool {
    let counts = |name: &str| match name {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => kind.status == StatusRule::None,
        _ => true,
    };
    let members = |value: &Value| {
        value
            .as_object()
            .map_or(0, |members| members.keys().filter(|name| counts(name)).count())
    };
    members(old) != members(new)
        || old
            .as_object()
            .into_iter()
            .flatten()
            .any(|(name, value)| counts(name) && new.get(name) != Some(value))
}

/// Whether nothing is left that holds an object whose deletion has begun.
pub(crate) fn may_go(kind: &Kind, value: &Value) -> bool {
    let graceful = kind.role == Role::Pod
        && object::number(value, &["metadata", "deletionGracePeriodSeconds"])
            .is_some_and(|seconds| seconds > 0);
    let held = kind.role == Role::Namespace && !list(value, &["spec", "finalizers"]).is_empty();
    has(value, &["metadata", "deletionTimestamp"])
        && !graceful
        && !held
        && object::finalizers(value).next().is_none()
}
