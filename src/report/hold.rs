//! The PodDisruptionBudget of a namespace's held Pods: none of them is evicted, the operator stops them in their turn.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::labels;

/// Name of the PodDisruptionBudget that holds Pods until the operator stops them in their turn.
pub const HOLD_BUDGET: &str = "ecs-operator-hold";

/// The budget that holds the Pods of a namespace. Pods that are not ready are held too.
#[must_use]
pub fn hold(namespace: &str) -> PodDisruptionBudget {
    let ours = ("app.kubernetes.io/managed-by", "ecs-operator");
    PodDisruptionBudget {
        metadata: ObjectMeta {
            name: Some(HOLD_BUDGET.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(ours.0.to_owned(), ours.1.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(i32::MAX)),
            selector: Some(LabelSelector {
                match_labels: Some([(labels::HOLD.to_owned(), "true".to_owned())].into()),
                match_expressions: None,
            }),
            // what Kubernetes does without it, said so that somebody else's value is seen to differ
            unhealthy_pod_eviction_policy: Some("IfHealthyBudget".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// Whether the budget of that name holds what it should.
#[must_use]
pub fn same_hold(known: &PodDisruptionBudget) -> bool {
    known.spec == hold("").spec
}
