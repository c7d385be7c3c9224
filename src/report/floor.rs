//! The PodDisruptionBudget of a replica service: evictions must leave it what `minimumHealthyPercent` asks for.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use crate::api::{EcsService, labels};

/// What the name of a service's own PodDisruptionBudget begins with.
const FLOOR_PREFIX: &str = "ecs-operator-service-";

/// Name of a service's own PodDisruptionBudget.
#[must_use]
pub fn floor_name(service: &str) -> String {
    format!("{FLOOR_PREFIX}{service}")
}

/// The service whose own PodDisruptionBudget has this name.
#[must_use]
pub fn floor_of(budget: &str) -> Option<&str> {
    budget.strip_prefix(FLOOR_PREFIX)
}

/// The PodDisruptionBudget of a service whose tasks must not fall below `lower`. It selects the Pods that are not held.
/// Pods that are not ready count for nothing in a service, so they may go.
#[must_use]
pub fn floor(object: &EcsService, lower: u32) -> Option<PodDisruptionBudget> {
    if lower == 0 || object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = object.name_any();
    let owner = OwnerReference {
        controller: None,
        block_owner_deletion: None,
        ..object.controller_owner_ref(&())?
    };
    let unheld = LabelSelectorRequirement {
        key: labels::HOLD.to_owned(),
        operator: "DoesNotExist".to_owned(),
        values: None,
    };
    Some(PodDisruptionBudget {
        metadata: ObjectMeta {
            name: Some(floor_name(&name)),
            namespace: object.namespace(),
            labels: Some(
                [(
                    "app.kubernetes.io/managed-by".to_owned(),
                    "ecs-operator".to_owned(),
                )]
                .into(),
            ),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(i32::try_from(lower).unwrap_or(i32::MAX))),
            selector: Some(LabelSelector {
                match_labels: Some([(labels::SERVICE.to_owned(), name)].into()),
                match_expressions: Some(vec![unheld]),
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

/// Whether a budget says what it should: what others added to it is theirs.
#[must_use]
pub fn same_floor(known: &PodDisruptionBudget, wanted: &PodDisruptionBudget) -> bool {
    let owners = |b: &PodDisruptionBudget| -> Vec<String> {
        b.owner_references().iter().map(|o| o.uid.clone()).collect()
    };
    known.spec == wanted.spec && owners(known) == owners(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> EcsService {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsService",
            "metadata": { "name": "web", "namespace": "ns", "uid": "u1" },
            "spec": { "taskDefinition": "web" },
        }))
        .unwrap()
    }

    #[test]
    fn a_services_budget_selects_what_is_not_held_and_is_written_only_when_it_differs() {
        let budget = floor(&service(), 2).unwrap();
        let written = serde_json::to_value(&budget).unwrap();
        assert_eq!(
            (&written["metadata"]["name"], &written["spec"]["minAvailable"]),
            (&json!("ecs-operator-service-web"), &json!(2))
        );
        assert_eq!(floor_of(&budget.name_any()), Some("web"));
        assert_eq!(
            written["spec"]["selector"],
            json!({
                "matchLabels": { "ecs-operator.dev/service": "web" },
                "matchExpressions": [{ "key": "ecs-operator.dev/hold", "operator": "DoesNotExist" }],
            })
        );
        assert!(same_floor(&budget, &floor(&service(), 2).unwrap()));
        assert!(!same_floor(&budget, &floor(&service(), 3).unwrap()));
        let mut successor = service();
        successor.metadata.uid = Some("u2".to_owned());
        assert!(!same_floor(&budget, &floor(&successor, 2).unwrap()));
    }

    #[test]
    fn a_service_that_may_lose_all_its_tasks_or_goes_has_no_budget() {
        assert!(floor(&service(), 0).is_none());
        let mut going = service();
        going.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert!(floor(&going, 2).is_none());
    }
}
