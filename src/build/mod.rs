//! Pure builders: a `TaskDefinition` and a `Task` become a Pod, and a Pod is read back in ECS's terms.
//!
//! Nothing here talks to the network, a clock or a random source. One way leads from a definition to a Pod
//! ([`template`]), and [`unsupported`], [`demand`] and [`pod`] all walk it: what [`unsupported`] calls refused is exactly
//! what [`pod`] would fail with, and the Pod never asks the kubelet for more than [`demand`] told the ledger.
//!
//! What ECS offers and Kubernetes has no counterpart for is refused or reported by name, never dropped.

mod agent;
mod containers;
mod demand;
mod depends_on;
mod effective;
mod env;
mod names;
mod network;
mod overrides;
mod owner;
mod pod;
mod probes;
mod protection;
mod reading;
mod security;
mod seen;
mod status;
pub mod task_conditions;
mod template;
mod tolerations;
mod unsupported;
mod volumes;

#[cfg(test)]
mod tests;

pub use agent::{AGENT_URI, AgentEndpoint, AgentId};
pub use demand::demand;
pub use effective::effective_request;
pub use names::container_names;
pub use overrides::{overridden, without_effect};
pub use owner::{Owner, named_for, orphaned, owner};
pub use pod::{POD_LABELS, PodInput, always_held, held, pod, pod_labels, pod_name};
pub use protection::{Marks, copied_marks, marks};
pub use seen::Pod;
pub use status::{EssentialExit, Observed, PodObservation, observe};
pub use template::grace_seconds;
pub use unsupported::{Refusals, unsupported};
