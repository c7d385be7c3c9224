//! What users ask of a service, with ECS's defaults for what they do not say.

use kube::ResourceExt;

use super::convert::{created_at, expressions, strategy};
use super::store::{key_of, version_of};
use super::wishes::distinct;
use crate::api;
use crate::domain::deployment::{CircuitBreaker, EarlySuccess, SuccessCriteria};
use crate::domain::records::{PlacementStrategy, PlacementStrategyType, SchedulingStrategy};
use crate::plan::world::Service;

/// Largest number of tasks of a service. (QUOTA-4)
const DESIRED_COUNT_MAX: i64 = 5000;

/// Field of a spread over zones, and how constraints speak of them. (AZ-2, AZ-3)
const BY_ZONE: &str = "attribute:ecs.availability-zone";

/// An EcsService.
#[must_use]
pub fn service(object: &api::EcsService) -> Service {
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    let daemon = spec.scheduling_strategy == SchedulingStrategy::Daemon;
    let percent = spec.deployment_configuration.clone().unwrap_or_default();
    let at_least_zero = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    let (minimum, maximum) = if daemon { (0, 100) } else { (100, 200) };
    Service {
        key: key_of(object),
        uid: object.uid().unwrap_or_default(),
        version: version_of(object),
        created_at: created_at(object),
        ecs_name: spec.service_name.clone().unwrap_or_else(|| object.name_any()),
        cluster: spec.cluster.clone(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        strategy: spec.scheduling_strategy,
        desired_count: at_least_zero(spec.desired_count.unwrap_or(0).min(DESIRED_COUNT_MAX)),
        requested_definition: spec.task_definition.clone(),
        forced: spec.force_new_deployment.clone(),
        minimum_healthy_percent: at_least_zero(percent.minimum_healthy_percent.unwrap_or(minimum)),
        maximum_percent: at_least_zero(percent.maximum_percent.unwrap_or(maximum)),
        circuit_breaker: percent
            .deployment_circuit_breaker
            .as_ref()
            .map(circuit_breaker)
            .unwrap_or_default(),
        success: success(&percent),
        depends_on_daemons: spec.depends_on_daemons.clone(),
        health_check_grace_period_seconds: at_least_zero(spec.health_check_grace_period_seconds.unwrap_or(0)),
        constraints: expressions(&spec.placement_constraints),
        distinct_instance: spec.placement_constraints.iter().any(distinct),
        strategies: spec.placement_strategy.iter().filter_map(strategy).collect(),
        rebalancing: rebalancing(spec),
        deployments: status.deployments,
        history: status.service_deployments,
        allocations: status.allocations,
        stopping: status.stopping,
        observed_task_version: status
            .observed_task_version
            .and_then(|v| v.parse().ok())
            .unwrap_or(0),
    }
}

/// Whether running tasks are moved between zones: unless switched off, where the service allows it. (AZ-1 to AZ-3)
fn rebalancing(spec: &api::EcsServiceSpec) -> bool {
    let percent = spec
        .deployment_configuration
        .as_ref()
        .and_then(|c| c.maximum_percent);
    let by_zone = |wanted: &PlacementStrategy| {
        wanted.type_ == PlacementStrategyType::Spread && wanted.field.as_deref() == Some(BY_ZONE)
    };
    let about_zones =
        |c: &api::PlacementConstraint| c.expression.as_ref().is_some_and(|text| text.contains(BY_ZONE));
    spec.availability_zone_rebalancing != Some(api::AvailabilityZoneRebalancing::Disabled)
        && spec.scheduling_strategy == SchedulingStrategy::Replica
        && percent.is_none_or(|percent| percent > 100)
        && spec.placement_strategy.first().is_none_or(by_zone)
        && !spec.placement_constraints.iter().any(about_zones)
}

/// What makes its deployments COMPLETED. (ROLL-8, ROLL-9)
fn success(wanted: &api::DeploymentConfiguration) -> SuccessCriteria {
    let early = wanted
        .early_success_criteria
        .as_ref()
        .filter(|early| early.enable);
    SuccessCriteria {
        early: early.map(|early| EarlySuccess {
            healthy_percent: early
                .healthy_percent
                .map_or(100, |p| u32::try_from(p).unwrap_or(100)),
            blocking: early.source_service_revision_cleanup != Some(api::ServiceRevisionCleanup::Deferred),
        }),
        bake_minutes: wanted
            .bake_time_in_minutes
            .map_or(0, |minutes| u16::try_from(minutes.max(0)).unwrap_or(u16::MAX)),
    }
}

/// A circuit breaker with ECS's defaults for what it does not say. (CB-1, CB-3)
fn circuit_breaker(wanted: &api::DeploymentCircuitBreaker) -> CircuitBreaker {
    CircuitBreaker {
        enable: wanted.enable,
        rollback: wanted.rollback,
        reset_on_healthy_task: wanted.reset_on_healthy_task.unwrap_or(true),
        threshold: wanted.threshold_configuration.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentages_have_the_defaults_of_their_strategy_pct_2_daemon_30() {
        let percent = |spec: serde_json::Value| {
            let mut object = api::EcsService::new("web", serde_json::from_value(spec).unwrap());
            object.metadata.namespace = Some("shop".to_owned());
            let service = service(&object);
            (service.minimum_healthy_percent, service.maximum_percent)
        };
        assert_eq!(
            percent(json!({ "taskDefinition": "web", "desiredCount": 1 })),
            (100, 200)
        );
        let daemon = json!({ "taskDefinition": "web", "schedulingStrategy": "DAEMON" });
        assert_eq!(percent(daemon), (0, 100));
        let set = json!({ "taskDefinition": "web", "desiredCount": 1,
            "deploymentConfiguration": { "minimumHealthyPercent": 50 } });
        assert_eq!(percent(set), (50, 200), "each has its own default");
    }

    #[test]
    fn tasks_are_moved_between_zones_unless_switched_off_where_a_service_allows_it_az_1_az_2_az_3() {
        let moved = |members: serde_json::Value| {
            let mut spec = json!({ "taskDefinition": "web", "desiredCount": 1 });
            let (Some(spec), Some(members)) = (spec.as_object_mut(), members.as_object()) else {
                panic!("objects");
            };
            spec.extend(members.clone());
            let spec = serde_json::from_value(json!(spec)).unwrap();
            service(&api::EcsService::new("web", spec)).rebalancing
        };
        let by = |kind: &str, field: &str| json!({ "placementStrategy": [{ "type": kind, "field": field }] });
        let on = |text: &str| json!({ "placementConstraints": [{ "type": "memberOf", "expression": text }] });
        assert!(moved(json!({})));
        assert!(moved(json!({ "availabilityZoneRebalancing": "ENABLED" })));
        assert!(!moved(json!({ "availabilityZoneRebalancing": "DISABLED" })));
        assert!(!moved(json!({ "schedulingStrategy": "DAEMON" })));
        let most = |percent: i64| json!({ "deploymentConfiguration": { "maximumPercent": percent } });
        assert!(moved(most(101)) && !moved(most(100)));
        assert!(moved(by("spread", "attribute:ecs.availability-zone")));
        assert!(!moved(by("spread", "instanceId")) && !moved(by("binpack", "cpu")));
        assert!(moved(on("attribute:env == prod")));
        assert!(!moved(on("attribute:ecs.availability-zone == a")));
    }

    #[test]
    fn a_circuit_breaker_has_ecs_defaults_for_what_it_does_not_say_cb_1_cb_2_cb_6() {
        let breaker = |configuration: serde_json::Value| {
            let spec = json!({ "taskDefinition": "web", "desiredCount": 10, "deploymentConfiguration": configuration });
            let mut object = api::EcsService::new("web", serde_json::from_value(spec).unwrap());
            object.metadata.namespace = Some("shop".to_owned());
            let found = service(&object).circuit_breaker;
            let threshold = found.threshold(10);
            (
                found.enable,
                found.rollback,
                found.reset_on_healthy_task,
                threshold,
            )
        };
        assert_eq!(breaker(json!({})), (false, false, true, 5));
        let on = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
        assert_eq!(breaker(on), (true, true, true, 5));
        let count = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false,
            "resetOnHealthyTask": false, "thresholdConfiguration": { "type": "COUNT", "value": 1 } } });
        assert_eq!(breaker(count), (true, false, false, 1));
        let percent = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false,
            "thresholdConfiguration": { "value": 80 } } });
        assert_eq!(breaker(percent), (true, false, true, 8));
    }
}
