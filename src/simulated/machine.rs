//! Machines: what one is made of, and the annotations of its Node by which it exists and breaks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::amounts::{self, Amounts};

/// On a Node: there is a simulated machine behind it, with these resources, as in `cpu=2 memory=8Gi pods=110`.
pub const MACHINE: &str = "simulated.ecs-operator.dev/machine";
/// On a Node: what is broken about its machine, a [`Fault`]. Without the annotation nothing is.
pub const BROKEN: &str = "simulated.ecs-operator.dev/broken";

/// Pods that a machine takes when nothing else is said, as a kubelet does.
const PODS: i64 = 110;
/// Bytes of its disk when nothing else is said.
const DISK: i64 = 100 << 30;

/// What can be broken about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kubelet-dead`: nothing is said or done any more, the containers go on. A node that is cut off looks the same.
    KubeletDead,
    /// `power-off`: the containers are gone as well.
    PowerOff,
    /// `not-ready`: the kubelet says that its container runtime does not answer, and leaves Pods alone.
    NotReady,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::KubeletDead, Self::PowerOff, Self::NotReady];

    /// The annotation's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KubeletDead => "kubelet-dead",
            Self::PowerOff => "power-off",
            Self::NotReady => "not-ready",
        }
    }

    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.as_str() == text.trim());
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("{BROKEN}: {text:?} is not known; write one of {known}, or remove the annotation to mend the machine")
        })
    }
}

/// A machine to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Name of its Node.
    pub name: String,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// Label `node.kubernetes.io/instance-type`.
    pub instance_type: Option<String>,
    /// Kubernetes quantity, such as `2` or `1500m`.
    pub cpu: String,
    /// Kubernetes quantity, such as `8Gi`.
    pub memory: String,
    /// Pods it takes; 110 when zero.
    pub pods: u32,
    /// `nvidia.com/gpu`.
    pub gpus: u32,
    /// Labels beside those that a kubelet sets.
    pub labels: BTreeMap<String, String>,
    /// Taints: key, value, effect.
    pub taints: Vec<(String, String, String)>,
}

impl Machine {
    /// The annotation that says what it is made of.
    #[must_use]
    pub fn describe(&self) -> String {
        let pods = if self.pods == 0 {
            PODS
        } else {
            i64::from(self.pods)
        };
        let mut text = format!("cpu={} memory={} pods={pods}", self.cpu, self.memory);
        if self.gpus > 0 {
            // writing to a String does not fail
            let _ = write!(text, " nvidia.com/gpu={}", self.gpus);
        }
        text
    }

    /// Its Node, as it is registered. Fails when the amounts cannot be read.
    pub fn node(&self) -> Result<Value, String> {
        let description = self.describe();
        capacity(&description)?;
        let mut labels = BTreeMap::from([
            ("kubernetes.io/hostname".to_owned(), self.name.clone()),
            ("kubernetes.io/os".to_owned(), "linux".to_owned()),
            ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
        ]);
        if let Some(zone) = &self.zone {
            let region = zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
            let region = if region.ends_with(|c: char| c.is_ascii_digit()) {
                region
            } else {
                zone
            };
            labels.insert("topology.kubernetes.io/zone".to_owned(), zone.clone());
            labels.insert("topology.kubernetes.io/region".to_owned(), region.to_owned());
        }
        if let Some(instance_type) = &self.instance_type {
            labels.insert(
                "node.kubernetes.io/instance-type".to_owned(),
                instance_type.clone(),
            );
        }
        labels.extend(self.labels.clone());
        let taints: Vec<Value> = self
            .taints
            .iter()
            .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
            .collect();
        let zone = self.zone.as_deref().unwrap_or("nowhere");
        Ok(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": labels, "annotations": {MACHINE: description}},
            "spec": {"providerID": format!("simulated:///{zone}/{}", self.name), "taints": taints},
        }))
    }
}

/// What a machine has, by its annotation: amounts by resource, cpu in thousandths. What is not named is not there, but for
/// Pods and disk.
pub(crate) fn capacity(description: &str) -> Result<Amounts, String> {
    let mut found = Amounts::from([("pods".to_owned(), PODS), ("ephemeral-storage".to_owned(), DISK)]);
    for part in description.split([' ', ',']).filter(|part| !part.is_empty()) {
        let amount = part
            .split_once('=')
            .and_then(|(name, text)| Some((name, amounts::parse(name, text)?)));
        let Some((name, amount)) = amount else {
            return Err(format!(
                "{MACHINE}: cannot read {part:?}; write RESOURCE=QUANTITY, as in \"cpu=2 memory=8Gi pods=110\""
            ));
        };
        found.insert(name.to_owned(), amount);
    }
    for name in ["cpu", "memory"] {
        if !found.contains_key(name) {
            return Err(format!(
                "{MACHINE}: {name} is missing; write \"cpu=2 memory=8Gi\" or the like"
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_its_node_what_a_kubelet_would() {
        let machine = Machine {
            name: "i-1".to_owned(),
            zone: Some("eu-west-1b".to_owned()),
            instance_type: Some("m5.large".to_owned()),
            cpu: "2".to_owned(),
            memory: "8Gi".to_owned(),
            gpus: 1,
            taints: vec![("a".to_owned(), "b".to_owned(), "NoSchedule".to_owned())],
            ..Machine::default()
        };
        let node = machine.node().unwrap();
        let labels = &node["metadata"]["labels"];
        assert_eq!(labels["topology.kubernetes.io/region"], "eu-west-1");
        assert_eq!(labels["node.kubernetes.io/instance-type"], "m5.large");
        assert_eq!(labels["kubernetes.io/hostname"], "i-1");
        assert_eq!(node["spec"]["taints"][0]["effect"], "NoSchedule");
        let said = node["metadata"]["annotations"][MACHINE].as_str().unwrap();
        let expected = [
            ("cpu", 2_000),
            ("memory", 8 << 30),
            ("nvidia.com/gpu", 1),
            ("pods", 110),
            ("ephemeral-storage", DISK),
        ];
        let expected: Amounts = expected.map(|(name, n)| (name.to_owned(), n)).into();
        assert_eq!(capacity(said).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        let error = capacity("cpu=2 memory=lots").unwrap_err();
        assert!(
            error.contains("\"memory=lots\"") && error.contains("RESOURCE=QUANTITY"),
            "{error}"
        );
        assert!(capacity("memory=1Gi").unwrap_err().contains("cpu is missing"));
        let error = Fault::parse("fire").unwrap_err();
        assert!(error.contains("kubelet-dead, power-off, not-ready"), "{error}");
        assert_eq!(
            Fault::ALL.map(|fault| Fault::parse(fault.as_str()).unwrap()),
            Fault::ALL
        );
    }
}
