//! Whether a kubelet takes a Pod that is bound to its node: reasons and messages are a kubelet's own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Toleration};

use super::amounts::{Amounts, HostPort};
use super::wire::{Node, PodSpec, Taint};

/// What a Pod needs of its node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Needs {
    pub(crate) amounts: Amounts,
    pub(crate) ports: Vec<HostPort>,
}

/// What is taken on a node already.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    pub(crate) pods: i64,
    pub(crate) amounts: Amounts,
    pub(crate) ports: Vec<HostPort>,
}

impl Taken {
    /// Counts one more Pod.
    pub(crate) fn add(&mut self, needs: &Needs) {
        self.pods = self.pods.saturating_add(1);
        for (name, amount) in &needs.amounts {
            let sum = self.amounts.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
        self.ports.extend(needs.ports.iter().cloned());
    }
}

/// A refusal: reason and message of the Pod's status.
pub(crate) type Refusal = (String, String);

/// Takes a Pod or says why not.
pub(crate) fn admit(
    node: &Node,
    capacity: &Amounts,
    taken: &Taken,
    spec: &PodSpec,
    needs: &Needs,
) -> Result<(), Refusal> {
    enough(capacity, taken, needs)?;
    if !is_selected(node, spec) {
        return Err(predicate(
            "NodeAffinity",
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    if needs
        .ports
        .iter()
        .any(|port| taken.ports.iter().any(|other| collide(port, other)))
    {
        return Err(predicate(
            "NodePorts",
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    let mut taints = node
        .spec
        .taints
        .iter()
        .filter(|taint| taint.effect == "NoExecute");
    if taints.any(|taint| {
        !spec
            .tolerations
            .iter()
            .any(|toleration| tolerates(toleration, taint))
    }) {
        return Err(predicate(
            "TaintToleration",
            "node(s) had taints that the pod didn't tolerate",
        ));
    }
    Ok(())
}

fn predicate(name: &str, why: &str) -> Refusal {
    (
        name.to_owned(),
        format!("Pod was rejected: Predicate {name} failed: {why}"),
    )
}

fn enough(capacity: &Amounts, taken: &Taken, needs: &Needs) -> Result<(), Refusal> {
    let of = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or(0);
    let pods = of(capacity, "pods");
    if taken.pods >= pods {
        return Err(insufficient("pods", 1, taken.pods, pods));
    }
    let first = ["cpu", "memory", "ephemeral-storage"];
    let others = needs
        .amounts
        .keys()
        .map(String::as_str)
        .filter(|name| !first.contains(name));
    for name in first.into_iter().chain(others) {
        let (wanted, used, has) = (
            of(&needs.amounts, name),
            of(&taken.amounts, name),
            of(capacity, name),
        );
        // an extended resource that the node does not know is somebody else's affair
        let unknown = name.contains('/') && !capacity.contains_key(name);
        if wanted > has.saturating_sub(used) && wanted > 0 && !unknown {
            return Err(insufficient(name, wanted, used, has));
        }
    }
    Ok(())
}

fn insufficient(name: &str, wanted: i64, used: i64, has: i64) -> Refusal {
    let what = format!("{name}, requested: {wanted}, used: {used}, capacity: {has}");
    (
        format!("OutOf{name}"),
        format!("Pod was rejected: Node didn't have enough resource: {what}"),
    )
}

fn collide(one: &HostPort, other: &HostPort) -> bool {
    let every = |port: &HostPort| port.2 == "0.0.0.0";
    one.0 == other.0 && one.1 == other.1 && (one.2 == other.2 || every(one) || every(other))
}

/// Whether a toleration tolerates a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists || toleration.value.as_deref().unwrap_or_default() == taint.value)
}

fn is_selected(node: &Node, spec: &PodSpec) -> bool {
    let labels = &node.metadata.labels;
    let selector = spec
        .node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.node_affinity.as_ref();
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let fields = BTreeMap::from([("metadata.name".to_owned(), node.metadata.name.clone())]);
    let fits = |term: &NodeSelectorTerm| {
        let all = |rules: &Option<Vec<NodeSelectorRequirement>>, of: &BTreeMap<String, String>| {
            rules.iter().flatten().all(|rule| holds(rule, of))
        };
        let says_something = term.match_expressions.is_some() || term.match_fields.is_some();
        says_something && all(&term.match_expressions, labels) && all(&term.match_fields, &fields)
    };
    selector && required.is_none_or(|required| required.node_selector_terms.iter().any(fits))
}

fn holds(rule: &NodeSelectorRequirement, of: &BTreeMap<String, String>) -> bool {
    let values = rule.values.as_deref().unwrap_or_default();
    let value = of.get(&rule.key);
    let compare = |order: std::cmp::Ordering| {
        let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
        let (has, than) = (number(value), number(values.first()));
        has.zip(than).is_some_and(|(has, than)| has.cmp(&than) == order)
    };
    match rule.operator.as_str() {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => value.is_none_or(|value| !values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::simulated::amounts::{demand, host_ports};
    use crate::simulated::machine::capacity;

    fn judge(node: &Value, before: &[Value], pod: &Value) -> Result<(), Refusal> {
        let node: Node = serde_json::from_value(node.clone()).unwrap();
        let has = capacity("cpu=2 memory=1Gi pods=3 nvidia.com/gpu=1").unwrap();
        let read = |value: &Value| -> (PodSpec, Needs) {
            let spec: PodSpec = serde_json::from_value(value.clone()).unwrap();
            let needs = Needs {
                amounts: demand(&spec),
                ports: host_ports(&spec),
            };
            (spec, needs)
        };
        let mut taken = Taken::default();
        for pod in before {
            taken.add(&read(pod).1);
        }
        let (spec, needs) = read(pod);
        admit(&node, &has, &taken, &spec, &needs)
    }

    fn asks(resource: &str, amount: &str) -> Value {
        json!({"containers": [{"name": "app", "resources": {"requests": {resource: amount}}}]})
    }

    fn on_port(port: &Value) -> Value {
        json!({"containers": [{"name": "app", "ports": [port]}]})
    }

    #[test]
    fn what_does_not_fit_is_refused_in_the_kubelets_words() {
        let one = asks("cpu", "1500m");
        let refusal = judge(&json!({}), std::slice::from_ref(&one), &one).unwrap_err();
        let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1500, capacity: 2000";
        assert_eq!(refusal, ("OutOfcpu".to_owned(), message.to_owned()));
        let reason = |before: &[Value], pod: Value| judge(&json!({}), before, &pod).unwrap_err().0;
        assert_eq!(reason(&[], asks("memory", "2Gi")), "OutOfmemory");
        let none = json!({"containers": [{"name": "app"}]});
        assert_eq!(
            reason(&[none.clone(), none.clone(), none.clone()], none),
            "OutOfpods"
        );
        let gpu = asks("nvidia.com/gpu", "1");
        assert_eq!(
            reason(std::slice::from_ref(&gpu), gpu.clone()),
            "OutOfnvidia.com/gpu"
        );
        assert_eq!(judge(&json!({}), &[], &gpu), Ok(()));
        assert_eq!(judge(&json!({}), &[], &asks("other.example/thing", "9")), Ok(()));
        assert_eq!(judge(&json!({}), &[asks("cpu", "500m")], &one), Ok(()));
    }

    #[test]
    fn host_ports_collide_by_number_protocol_and_address() {
        let taken = [on_port(&json!({"hostPort": 80, "hostIP": "127.0.0.1"}))];
        let refusal = judge(&json!({}), &taken, &on_port(&json!({"hostPort": 80}))).unwrap_err();
        assert_eq!(refusal.0, "NodePorts");
        let message = "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        assert_eq!(refusal.1, message);
        for free in [
            json!({"hostPort": 80, "protocol": "UDP"}),
            json!({"hostPort": 80, "hostIP": "10.0.0.1"}),
            json!({"hostPort": 81}),
        ] {
            assert_eq!(judge(&json!({}), &taken, &on_port(&free)), Ok(()));
        }
    }

    #[test]
    fn labels_and_taints_of_the_node_count() {
        let node = json!({
            "metadata": {"name": "n1", "labels": {"disk": "ssd", "cores": "8"}},
            "spec": {"taints": [{"key": "gone", "effect": "NoExecute"}, {"key": "new", "effect": "NoSchedule"}]},
        });
        let with = |more: Value| {
            let mut pod = json!({
                "containers": [{"name": "app"}],
                "tolerations": [{"key": "gone", "operator": "Exists", "effect": "NoExecute"}],
            });
            pod.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            judge(&node, &[], &pod)
        };
        let term = |rule: Value| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [rule]}}}})
        };
        let rule = |key: &str, operator: &str, values: Value| {
            term(json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
        };
        assert_eq!(with(json!({})), Ok(()));
        assert_eq!(with(json!({"nodeSelector": {"disk": "ssd"}})), Ok(()));
        assert_eq!(
            with(json!({"nodeSelector": {"disk": "hdd"}})).unwrap_err().0,
            "NodeAffinity"
        );
        assert_eq!(with(rule("cores", "Gt", json!(["4"]))), Ok(()));
        assert_eq!(
            with(rule("cores", "Lt", json!(["4"]))).unwrap_err().0,
            "NodeAffinity"
        );
        assert_eq!(
            with(rule("disk", "NotIn", json!(["ssd"]))).unwrap_err().0,
            "NodeAffinity"
        );
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["n1"]});
        assert_eq!(with(term(json!({"matchFields": [field]}))), Ok(()));
        assert_eq!(with(json!({"tolerations": []})).unwrap_err().0, "TaintToleration");
    }
}
