//! Amounts of what an instance offers and a task takes. (RES-1 to RES-12)

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most host ports that may be taken on one instance, the reserved ones included. (RES-7)
pub const HOST_PORTS_MAX: usize = 100;

/// An amount of every resource the scheduler counts. Used for what is registered, reserved, foreign and asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU in ECS units: 1024 are one vCPU. (RES-3)
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cpu: i64,
    /// Memory in MiB. (RES-4)
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub memory: i64,
    /// Pod slots of the node; each task takes one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub pods: i64,
    /// Number of GPUs (`nvidia.com/gpu`). (RES-2)
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub gpu: i64,
    /// TCP host ports that are taken. (RES-5)
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<u16>,
    /// UDP host ports that are taken. (RES-5)
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports_udp: BTreeSet<u16>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// The first resource of which there is not enough, in the order ECS reports them. (FAIL)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lack {
    /// Not enough CPU units.
    Cpu,
    /// Not enough memory.
    Memory,
    /// A host port is taken, or more than [`HOST_PORTS_MAX`] would be.
    Ports,
    /// Not enough GPUs.
    Gpu,
    /// No Pod slot is left on the node.
    Pods,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
            Self::Ports => "RESOURCE:PORTS",
            Self::Gpu => "RESOURCE:GPU",
            Self::Pods => "RESOURCE:PODS",
        })
    }
}

impl Resources {
    /// Adds `other`: amounts are summed (saturating), port sets joined.
    pub fn add(&mut self, other: &Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.pods = self.pods.saturating_add(other.pods);
        self.gpu = self.gpu.saturating_add(other.gpu);
        self.ports.extend(&other.ports);
        self.ports_udp.extend(&other.ports_udp);
    }

    /// The sum of all `parts`.
    #[must_use]
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for part in parts {
            total.add(part);
        }
        total
    }

    /// What of `self` is left when `used` is taken; amounts may come out negative, ports are those taken.
    #[must_use]
    pub fn remaining(&self, used: &Self) -> Self {
        let mut left = self.clone();
        left.cpu = left.cpu.saturating_sub(used.cpu);
        left.memory = left.memory.saturating_sub(used.memory);
        left.pods = left.pods.saturating_sub(used.pods);
        left.gpu = left.gpu.saturating_sub(used.gpu);
        left.ports.extend(&used.ports);
        left.ports_udp.extend(&used.ports_udp);
        left
    }

    /// How much bigger `self` is than `other`, per amount at least 0, and the ports only `self` has. (DAEMON-26)
    #[must_use]
    pub fn excess_over(&self, other: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu).max(0),
            memory: self.memory.saturating_sub(other.memory).max(0),
            pods: self.pods.saturating_sub(other.pods).max(0),
            gpu: self.gpu.saturating_sub(other.gpu).max(0),
            ports: self.ports.difference(&other.ports).copied().collect(),
            ports_udp: self.ports_udp.difference(&other.ports_udp).copied().collect(),
        }
    }

    /// Host ports that `demand` asks for and `self`, read as what remains, has taken: `8080/tcp`. (RES-5)
    #[must_use]
    pub fn taken_of(&self, demand: &Self) -> Vec<String> {
        let tcp = self.ports.intersection(&demand.ports).map(|p| format!("{p}/tcp"));
        let udp = self.ports_udp.intersection(&demand.ports_udp);
        tcp.chain(udp.map(|p| format!("{p}/udp"))).collect()
    }

    /// Whether `demand` fits into `self`, read as what remains: the first lack, or `None`. (PLACE-6, RES-5)
    #[must_use]
    pub fn lack_for(&self, demand: &Self) -> Option<Lack> {
        let ports_after = self.ports.len().saturating_add(self.ports_udp.len());
        let ports_asked = demand.ports.len().saturating_add(demand.ports_udp.len());
        if demand.cpu > self.cpu && demand.cpu > 0 {
            Some(Lack::Cpu)
        } else if demand.memory > self.memory && demand.memory > 0 {
            Some(Lack::Memory)
        } else if !self.ports.is_disjoint(&demand.ports)
            || !self.ports_udp.is_disjoint(&demand.ports_udp)
            || (ports_asked > 0 && ports_after.saturating_add(ports_asked) > HOST_PORTS_MAX)
        {
            Some(Lack::Ports)
        } else if demand.gpu > self.gpu && demand.gpu > 0 {
            Some(Lack::Gpu)
        } else if demand.pods > self.pods && demand.pods > 0 {
            Some(Lack::Pods)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(cpu: i64, memory: i64, ports: &[u16]) -> Resources {
        Resources {
            cpu,
            memory,
            pods: 1,
            ports: ports.iter().copied().collect(),
            ..Resources::default()
        }
    }

    #[test]
    fn lack_names_the_first_resource_that_is_short_res_8_hrm_4() {
        let registered = Resources {
            pods: 2,
            ..amounts(2048, 4096, &[22])
        };
        let left = registered.remaining(&amounts(1024, 1024, &[80]));
        assert_eq!(left.lack_for(&amounts(1024, 3072, &[81])), None);
        assert_eq!(left.lack_for(&amounts(1025, 9999, &[])), Some(Lack::Cpu));
        assert_eq!(left.lack_for(&amounts(1, 3073, &[80])), Some(Lack::Memory));
        assert_eq!(left.lack_for(&amounts(1, 1, &[80])), Some(Lack::Ports));
        assert_eq!(left.lack_for(&amounts(1, 1, &[22])), Some(Lack::Ports));
        let with_gpu = Resources {
            gpu: 1,
            ..amounts(1, 1, &[])
        };
        assert_eq!(left.lack_for(&with_gpu), Some(Lack::Gpu));
        let full = left.remaining(&amounts(0, 0, &[]));
        assert_eq!(full.lack_for(&amounts(0, 0, &[])), Some(Lack::Pods));
    }

    #[test]
    fn at_most_100_host_ports_are_taken_res_7() {
        let taken: Vec<u16> = (1..=99).collect();
        let left = amounts(10, 10, &taken);
        assert_eq!(left.lack_for(&amounts(1, 1, &[200])), None);
        assert_eq!(left.lack_for(&amounts(1, 1, &[200, 201])), Some(Lack::Ports));
        assert_eq!(left.lack_for(&amounts(1, 1, &[])), None);
    }

    #[test]
    fn overcommitted_amounts_do_not_hinder_a_task_that_asks_none_of_them() {
        let left = Resources {
            cpu: -5,
            memory: 10,
            pods: 1,
            ..Resources::default()
        };
        assert_eq!(left.lack_for(&amounts(0, 5, &[])), None);
        assert_eq!(left.lack_for(&amounts(1, 5, &[])), Some(Lack::Cpu));
    }

    #[test]
    fn excess_is_what_a_bigger_revision_needs_on_top_daemon_26() {
        let excess = amounts(512, 100, &[80, 81]).excess_over(&amounts(256, 300, &[80]));
        assert_eq!(
            excess,
            Resources {
                cpu: 256,
                ports: [81].into(),
                ..Resources::default()
            }
        );
    }
}
