//! API objects to domain types: the only place where this is done.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use super::store::{key_of, version_of};
use super::wishes::{protected_until, run_once};
use crate::api::{self, TaskDefinitionState};
use crate::build::{self, task_conditions};
use crate::domain::expr::{Expression, ParseError};
use crate::domain::records::{
    DesiredStatus, InstanceStatus, LEDGER_VERSION, LastStatus, PlacementConstraint, PlacementConstraintType,
    PlacementStrategy, PlacementStrategyType,
};
use crate::plan::world::{Cluster, Definition, HeldUp, Instance, Optimistic, Strategy, Task};

pub(super) fn created_at<K: kube::Resource>(object: &K) -> Timestamp {
    object
        .meta()
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}

pub(super) fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|t| t.parse().ok())
}

/// Whether a label selector selects these labels; one that cannot be read selects nothing.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &std::collections::BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|s| s.matches(labels))
}

/// An EcsCluster with the namespaces its selectors select now.
#[must_use]
pub fn cluster(object: &api::EcsCluster, namespaces: &[std::sync::Arc<Namespace>]) -> Cluster {
    let selected = |selector: &Option<LabelSelector>| {
        selector.as_ref().map(|selector| {
            let chosen = namespaces.iter().filter(|ns| selects(selector, ns.labels()));
            chosen.map(|ns| ns.name_any()).collect::<BTreeSet<_>>()
        })
    };
    Cluster {
        name: object.name_any(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        healthy_after_seconds: object.spec.healthy_after_seconds,
        disconnected_task_timeout_seconds: object.spec.disconnected_task_timeout_seconds,
        replicas_wait_for_daemons: object.spec.replicas_wait_for_daemons,
        optimistic: match object.spec.optimistic_placement {
            api::OptimisticPlacement::Off => Optimistic::Off,
            api::OptimisticPlacement::On => Optimistic::On,
            api::OptimisticPlacement::Smart => Optimistic::Smart(SignedDuration::from_secs(
                object.spec.optimistic_placement_max_wait_seconds,
            )),
        },
        allowed_namespaces: selected(&object.spec.allowed_namespaces),
        daemon_namespaces: selected(&object.spec.daemon_namespaces),
    }
}

/// A ContainerInstance; the user's wish counts at once, the recorded status for the rest.
#[must_use]
pub fn instance(object: &api::ContainerInstance) -> Instance {
    let status = object.status.clone().unwrap_or_default();
    let wish = object.spec.status;
    let effective = match status.status {
        InstanceStatus::Active if object.metadata.deletion_timestamp.is_some() => InstanceStatus::Inactive,
        InstanceStatus::Active if wish == api::InstanceDesiredStatus::Draining => InstanceStatus::Draining,
        other => other,
    };
    let attributes = object.spec.attributes.iter().chain(&status.attributes);
    Instance {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        version: version_of(object),
        cluster: object.spec.cluster.clone(),
        status: effective,
        connected: status.agent_connected,
        disconnected_since: time(status.disconnected_since.as_ref()),
        schedulable: status.schedulable,
        agent_version: status.agent_version,
        ec2_instance_id: status.ec2_instance_id.unwrap_or_else(|| object.name_any()),
        registered_at: time(status.registered_at.as_ref()),
        attributes: attributes.map(|a| (a.name.clone(), a.value.clone())).collect(),
        registered: status.registered_resources,
        foreign: status.foreign,
        reservations: status.reservations,
        queue: status.queue,
        overcommitted: status.restoring,
        newer_ledger: Some(status.ledger_version).filter(|version| *version > LEDGER_VERSION),
    }
}

pub(super) fn expressions(rules: &[PlacementConstraint]) -> Result<Vec<Expression>, ParseError> {
    let numbered = rules.iter().enumerate();
    numbered
        .filter(|(_, rule)| rule.type_ == PlacementConstraintType::MemberOf)
        .map(|(index, rule)| {
            let expression = Expression::parse(rule.expression.as_deref().unwrap_or_default());
            expression.map_err(|error| error.in_constraint(index))
        })
        .collect()
}

/// A TaskDefinition as a task runs it that overrides members of it. (RUN-5)
#[must_use]
pub fn overridden(object: &api::TaskDefinition, overrides: &api::TaskOverride) -> Definition {
    match build::overridden(&object.spec, Some(overrides)) {
        Ok(spec) => definition(&api::TaskDefinition {
            metadata: object.metadata.clone(),
            spec: spec.into_owned(),
            status: None,
        }),
        Err(problems) => Definition {
            demand: Err(problems),
            ..definition(object)
        },
    }
}

/// A TaskDefinition.
#[must_use]
pub fn definition(object: &api::TaskDefinition) -> Definition {
    let spec = &object.spec;
    let refusals = build::unsupported(spec);
    let demand = if refusals.refused.is_empty() {
        build::demand(spec)
    } else {
        Err(refusals.refused)
    };
    let mut required_attributes: Vec<_> = spec
        .requires_attributes
        .iter()
        .filter(|a| {
            !a.name.starts_with("com.amazonaws.ecs.capability.") && !a.name.starts_with("ecs.capability.")
        })
        .cloned()
        .collect();
    if let Some(platform) = &spec.runtime_platform {
        let mut require = |name: &str, value: &Option<String>| {
            let value = value.as_ref().map(|v| v.to_lowercase());
            if let Some(value) = value {
                required_attributes.push(api::Attribute {
                    name: name.to_owned(),
                    value: Some(value),
                });
            }
        };
        require("ecs.cpu-architecture", &platform.cpu_architecture);
        let family = platform.operating_system_family.as_deref();
        let os = family.map(|f| {
            if f.starts_with("WINDOWS") {
                "windows"
            } else {
                "linux"
            }
            .to_owned()
        });
        require("ecs.os-type", &os);
    }
    Definition {
        key: key_of(object),
        uid: object.uid().unwrap_or_default(),
        family: spec.family.clone(),
        revision: spec.revision,
        active: spec.status == TaskDefinitionState::Active,
        deleting: object.metadata.deletion_timestamp.is_some(),
        demand,
        constraints: expressions(&spec.placement_constraints),
        required_attributes,
        health_checked: spec
            .container_definitions
            .iter()
            .any(|c| c.essential && c.health_check.is_some()),
        stop_seconds: build::grace_seconds(spec),
    }
}

pub(super) fn strategy(wanted: &PlacementStrategy) -> Option<Strategy> {
    let field = wanted.field.as_deref().unwrap_or_default();
    Some(match wanted.type_ {
        PlacementStrategyType::Random => Strategy::Random,
        PlacementStrategyType::Spread if field == "instanceId" || field == "host" => Strategy::SpreadInstance,
        PlacementStrategyType::Spread => {
            Strategy::SpreadAttribute(field.strip_prefix("attribute:").unwrap_or(field).to_owned())
        }
        PlacementStrategyType::Binpack if field.eq_ignore_ascii_case("cpu") => Strategy::BinpackCpu,
        PlacementStrategyType::Binpack if field.eq_ignore_ascii_case("memory") => Strategy::BinpackMemory,
        PlacementStrategyType::Binpack => return None,
    })
}

/// Since when the health checks of a task pass, as its condition says.
fn healthy_since(status: &api::TaskStatus) -> Option<Timestamp> {
    let mut conditions = status.conditions.iter();
    let healthy = conditions.find(|c| c.type_ == task_conditions::HEALTHY && c.status == "True")?;
    Some(healthy.last_transition_time.0)
}

/// The revision a Task runs: as its spec names it, or what its bare family was resolved to. (TD-4)
#[must_use]
pub fn revision_of(object: &api::Task) -> &str {
    let named = object.spec.task_definition.as_str();
    let resolved = object
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get(api::labels::TASK_DEFINITION));
    match resolved {
        Some(revision) if family_of(revision) == named => revision,
        _ => named,
    }
}

fn family_of(reference: &str) -> &str {
    reference.split(':').next().unwrap_or_default()
}

/// A Task. A deletionTimestamp counts as STOPPED; a tombstone is STOPPED from its creation. (TASK-4, F1)
#[must_use]
pub fn task(object: &api::Task) -> Task {
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    let family = family_of(&spec.task_definition);
    let deleted = object.metadata.deletion_timestamp.is_some();
    Task {
        key: key_of(object),
        uid: object.uid().unwrap_or_default(),
        version: version_of(object),
        created_at: created_at(object),
        cluster: spec.cluster.clone(),
        instance: spec.container_instance.clone(),
        group: spec.group.clone().unwrap_or_else(|| format!("family:{family}")),
        service: spec.service.clone(),
        started_by: spec.started_by.clone().unwrap_or_default(),
        definition: revision_of(object).to_owned(),
        desired: if deleted {
            DesiredStatus::Stopped
        } else {
            spec.desired_status
        },
        last: if spec.tombstone {
            LastStatus::Stopped
        } else {
            status.last_status
        },
        health: status.health_status,
        healthy_since: healthy_since(&status),
        started_at: time(status.started_at.as_ref()),
        stopping_at: time(status.stopping_at.as_ref()),
        stopped_at: time(status.stopped_at.as_ref()),
        stop_code: status.stop_code.or(spec.stop_code),
        held_up: task_conditions::held_up(&status)
            .filter(|_| status.last_status < LastStatus::Running)
            .map(|(container, reason)| HeldUp {
                container: container.to_owned(),
                reason: reason.to_owned(),
            }),
        stopped_reason: status.stopped_reason.or_else(|| spec.stopped_reason.clone()),
        tombstone: spec.tombstone,
        protected_until: protected_until(object),
        told: status.quiesce.map(|told| told.reason),
        run_once: run_once(spec).map(std::sync::Arc::new),
    }
}

/// The cluster that a node joins: the oldest that selects it, of equal age the one with the lowest name.
#[must_use]
pub fn cluster_of<'a>(
    node: &Node,
    clusters: impl Iterator<Item = &'a api::EcsCluster>,
) -> (Option<&'a api::EcsCluster>, Vec<&'a api::EcsCluster>) {
    let mut claiming: Vec<_> = clusters
        .filter(|c| c.metadata.deletion_timestamp.is_none() && selects(&c.spec.node_selector, node.labels()))
        .collect();
    claiming.sort_by_key(|c| (created_at(*c), c.name_any()));
    (claiming.first().copied(), claiming)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::service::service;
    use super::*;

    #[test]
    fn since_when_a_task_is_healthy_stands_in_its_condition_cb_6() {
        let since = |status: &str| {
            let object = serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
                "spec": { "taskDefinition": "web:1" },
                "status": { "lastStatus": "RUNNING", "healthStatus": "HEALTHY", "conditions": [
                    { "type": "Healthy", "status": status, "reason": "R", "message": "",
                        "lastTransitionTime": "1970-01-01T00:01:00Z" } ] },
            }));
            task(&object.unwrap()).healthy_since.map(Timestamp::as_second)
        };
        assert_eq!((since("True"), since("False")), (Some(60), None));
    }

    #[test]
    fn what_holds_a_task_up_is_read_while_it_does_not_run() {
        let held = |last: &str| {
            let object = serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
                "spec": { "taskDefinition": "web:1" },
                "status": { "lastStatus": last, "containers": [
                    { "name": "side", "lastStatus": "RUNNING", "reason": "it said something" },
                    { "name": "web", "lastStatus": "PENDING", "reason": "CannotPullContainerError: no image" },
                ] },
            }));
            task(&object.unwrap()).held_up
        };
        let expected = HeldUp {
            container: "web".to_owned(),
            reason: "CannotPullContainerError: no image".to_owned(),
        };
        assert_eq!((held("PENDING"), held("STOPPING")), (Some(expected), None));
    }

    #[test]
    fn a_task_runs_what_its_family_was_resolved_to_and_another_familys_word_counts_for_nothing_td_4() {
        let of = |named: &str, resolved: Option<&str>| {
            let spec = json!({ "cluster": "default", "taskDefinition": named });
            let mut object = api::Task::new("t", serde_json::from_value(spec).unwrap());
            object.metadata.annotations =
                resolved.map(|r| [(api::labels::TASK_DEFINITION.to_owned(), r.to_owned())].into());
            revision_of(&object).to_owned()
        };
        assert_eq!(of("duo", None), "duo");
        assert_eq!(of("duo", Some("duo:1")), "duo:1");
        assert_eq!(of("duo:2", Some("duo:1")), "duo:2", "the spec names a revision");
        assert_eq!(of("duo", Some("web:1")), "duo");
    }

    #[test]
    fn why_a_task_is_told_to_stop_is_known_before_it_is_stopped_task_13() {
        let spec = json!({ "cluster": "default", "taskDefinition": "web:1", "desiredStatus": "STOPPED",
            "stopCode": "TaskFailedToStart", "stoppedReason": "OutOfcpu" });
        let told = task(&api::Task::new("t", serde_json::from_value(spec).unwrap()));
        assert_eq!(told.stop_code, Some(api::StopCode::TaskFailedToStart));
        assert_eq!(told.stopped_reason.as_deref(), Some("OutOfcpu"));
        assert!(told.alive() && told.stopped_at.is_none());
    }

    #[test]
    fn an_invalid_expression_says_which_constraint_it_is_cons_9() {
        let object = api::EcsService::new(
            "web",
            serde_json::from_value(
                json!({ "taskDefinition": "web", "desiredCount": 1, "placementConstraints": [
                { "type": "distinctInstance" }, { "type": "memberOf", "expression": "attribute:a ==" }] }),
            )
            .unwrap(),
        );
        let error = service(&object).constraints.unwrap_err().to_string();
        assert!(
            error.starts_with("Invalid expression in placementConstraints[1]: "),
            "{error}"
        );
    }
}
