//! Members that are accepted and have no effect yet: what a user sets without effect is said, never silent.

use crate::api::{AvailabilityZoneRebalancing, EcsClusterSpec, EcsServiceSpec, OptimisticPlacement};

/// Members of an EcsCluster without effect, each a sentence that says what happens instead.
#[must_use]
pub fn of_cluster(spec: &EcsClusterSpec) -> Vec<String> {
    let mode = match spec.optimistic_placement {
        OptimisticPlacement::Off => return Vec::new(),
        OptimisticPlacement::On => "on",
        OptimisticPlacement::Smart => "smart",
    };
    vec![format!(
        "optimisticPlacement: '{mode}' is not supported yet and behaves as 'off': the share of a stopping task is free \
         when the task is STOPPED."
    )]
}

/// Members of an EcsService without effect, each a sentence that says what happens instead. (AZ-1)
#[must_use]
pub fn of_service(spec: &EcsServiceSpec) -> Vec<String> {
    if spec.availability_zone_rebalancing != Some(AvailabilityZoneRebalancing::Enabled) {
        return Vec::new();
    }
    vec![
        "availabilityZoneRebalancing is not supported yet: running tasks are not moved between zones; new ones go \
         where placementStrategy says."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(members: serde_json::Value) -> EcsServiceSpec {
        let mut spec = json!({ "taskDefinition": "web", "desiredCount": 1 });
        if let (Some(spec), serde_json::Value::Object(members)) = (spec.as_object_mut(), members) {
            spec.extend(members);
        }
        serde_json::from_value(spec).unwrap()
    }

    fn members(sentences: &[String]) -> Vec<&str> {
        sentences
            .iter()
            .map(|s| s.split([' ', ':']).next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn what_a_service_sets_without_effect_is_named_az_1() {
        let set = service(json!({
            "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
            "availabilityZoneRebalancing": "ENABLED",
            "healthCheckGracePeriodSeconds": 30,
        }));
        assert_eq!(members(&of_service(&set)), ["availabilityZoneRebalancing"]);
        assert!(
            of_service(&set)
                .iter()
                .all(|text| text.contains("not supported yet: "))
        );
    }

    #[test]
    fn what_says_no_more_than_the_default_is_not_complained_about() {
        let unset = service(json!({
            "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": false, "rollback": false } },
            "availabilityZoneRebalancing": "DISABLED",
            "healthCheckGracePeriodSeconds": 0,
        }));
        assert_eq!(of_service(&unset), Vec::<String>::new());
    }

    #[test]
    fn optimistic_placement_other_than_off_is_named_opt_5() {
        let cluster = |mode: &str| serde_json::from_value(json!({ "optimisticPlacement": mode })).unwrap();
        assert_eq!(of_cluster(&cluster("off")), Vec::<String>::new());
        for mode in ["on", "smart"] {
            let said = of_cluster(&cluster(mode));
            assert_eq!(members(&said), ["optimisticPlacement"]);
            assert!(
                said.concat()
                    .contains(&format!("'{mode}' is not supported yet and behaves as 'off'"))
            );
        }
    }
}
