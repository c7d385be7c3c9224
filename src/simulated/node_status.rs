//! What a kubelet says about its node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::amounts::Amounts;
use super::machine::Fault;
use super::status::{digest, time};
use super::wire::{Condition, Node};

/// The condition that a kubelet in this state reports: status, reason, message.
pub(crate) fn ready(fault: Option<Fault>) -> [&'static str; 3] {
    match fault {
        None => ["True", "KubeletReady", "kubelet is posting ready status"],
        Some(_) => ["False", "KubeletNotReady", "container runtime is down"],
    }
}

/// A patch of the Node's status.
pub(crate) fn status(
    node: &Node,
    capacity: &Amounts,
    address: Ipv4Addr,
    fault: Option<Fault>,
    version: &str,
    now: Timestamp,
) -> Value {
    let meta = &node.metadata;
    let [ready, reason, message] = ready(fault);
    let no = |what: &str| format!("kubelet has {what}");
    let conditions = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            no("sufficient memory available"),
        ),
        (
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            no("no disk pressure"),
        ),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            no("sufficient PID available"),
        ),
        ("Ready", ready, reason, message.to_owned()),
    ];
    let conditions = conditions.map(|(type_, status, reason, message)| {
        let since = since(&node.status.conditions, type_, status).unwrap_or(now);
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": time(now), "lastTransitionTime": time(since),
        })
    });
    let amounts: BTreeMap<String, String> = capacity
        .iter()
        .map(|(name, amount)| (name.clone(), quantity(name, *amount)))
        .collect();
    let id = digest(&[&meta.uid]);
    let id = id.get(..32).unwrap_or_default();
    let label = |name: &str, default: &str| meta.labels.get(name).map_or(default, String::as_str).to_owned();
    json!({
        "metadata": {"uid": meta.uid},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "addresses": [
                {"type": "InternalIP", "address": address.to_string()},
                {"type": "Hostname", "address": meta.name},
            ],
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": id, "systemUUID": meta.uid, "bootID": id,
                "kernelVersion": "simulated", "osImage": "simulated instance",
                "containerRuntimeVersion": "simulated://1", "kubeletVersion": version, "kubeProxyVersion": "",
                "operatingSystem": label("kubernetes.io/os", "linux"),
                "architecture": label("kubernetes.io/arch", "amd64"),
            },
        },
    })
}

/// Since when a condition has its status.
fn since(conditions: &[Condition], type_: &str, status: &str) -> Option<Timestamp> {
    let same = conditions.iter().find(|c| c.type_ == type_ && c.status == status);
    same.and_then(|condition| condition.last_transition_time)
}

/// An amount as a kubelet writes it.
fn quantity(name: &str, amount: i64) -> String {
    let divided = |by: i64| {
        (amount.checked_rem(by) == Some(0))
            .then(|| amount.checked_div(by))
            .flatten()
    };
    match name {
        "cpu" => divided(1_000).map_or_else(|| format!("{amount}m"), |cores| cores.to_string()),
        "memory" => divided(1_024).map_or_else(|| amount.to_string(), |kib| format!("{kib}Ki")),
        _ => amount.to_string(),
    }
}
