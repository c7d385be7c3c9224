//! ECS's texts, without the prefix `(service NAME) `. (EVT-3, EVT-4, DEP-5, TASK-13)
//!
//! A plan repeats a text as long as its cause lasts; the shell suppresses repetitions (EVT-2). `has started N tasks`
//! and `has stopped N running tasks` (EVT-10, EVT-11) are the ledger's to say: it draws the ids and knows what was
//! committed.

use jiff::Timestamp;

use super::ServicePlan;
use super::world::{Rejection, World};

/// End of some texts. (EVT-5)
const TAIL: &str =
    " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";

/// EVT-15.
pub(super) const STEADY: &str = "has reached a steady state.";

/// EVT-30.
pub(super) const IMPAIRED: &str = "is unable to consistently start tasks successfully. For more information, see the \
     Troubleshooting section of the Amazon ECS Developer Guide.";

/// EVT-32.
pub(super) const DEADLOCK: &str = "was unable to stop or start tasks during a deployment because of the service \
     deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";

/// Says that the percentages let nothing start or stop: the user has to change them. (EVT-32, PCT-8)
pub(super) fn deadlock(plan: &mut ServicePlan) {
    plan.events.push(DEADLOCK.to_owned());
    plan.stalled
        .get_or_insert_with(|| format!("The service {DEADLOCK}"));
}

/// Why a task stopped whose container health checks failed. (HEALTH-10)
pub(super) const UNHEALTHY: &str = "Task failed container health checks";

/// DEP-6.
pub(super) const TOO_MANY_DEPLOYMENTS: &str = "5 active deployments exist, unable to create new deployment.";

/// SVC-5, the name is in use.
pub(super) const NOT_IDEMPOTENT: &str = "Creation of service was not idempotent.";

/// SVC-5, the name is in use by a service that is being deleted.
pub(super) const STILL_DRAINING: &str = "Unable to Start a service that is still Draining.";

/// TD-20.
pub(super) const NO_DEFINITION: &str = "Unable to describe task definition.";

/// Why a reference leads to no definition, and what to do: `or` is what the user may do instead. (TD-20)
pub(super) fn no_definition(world: &World, namespace: &str, wanted: &str, or: &str) -> String {
    match world.namesake(namespace, wanted) {
        Some(other) => format!(
            "{NO_DEFINITION} TaskDefinition {} is of family {}: name {} instead of {wanted}.",
            other.key.name,
            other.family,
            other.id()
        ),
        None => {
            format!("{NO_DEFINITION} Create a TaskDefinition for {wanted} in namespace {namespace}, {or}.")
        }
    }
}

/// Why a task stopped that its service wants no more. (TASK-13)
pub(super) fn scaling(deployment: &str) -> String {
    format!("Scaling activity initiated by (deployment {deployment})")
}

/// EVT-16.
pub(super) fn deployment_completed(id: &str) -> String {
    format!("(deployment {id}) deployment completed.")
}

/// `rolloutStateReason` of a new deployment. (DEP-5)
pub(super) fn rollout_in_progress(id: &str) -> String {
    format!("ECS deployment {id} in progress.")
}

/// `rolloutStateReason` of a finished deployment. (DEP-5)
pub(super) fn rollout_completed(id: &str) -> String {
    format!("ECS deployment {id} completed.")
}

/// What a deployment waits for that has all it needs. (ROLL-9)
pub(super) fn baking(until: Timestamp) -> String {
    format!("enough tasks are healthy; the bake time of the deployment ends at {until:.0}")
}

/// Why a deployment failed. (EVT-17)
pub(super) const FAILED: &str = "tasks failed to start";

/// `rolloutStateReason` of a deployment that the circuit breaker gave up. (DEP-5)
pub(super) const ROLLOUT_FAILED: &str = "ECS deployment circuit breaker: tasks failed to start.";

/// `rolloutStateReason` of the deployment that a service goes back to. (DEP-5)
pub(super) fn rolling_back(id: &str) -> String {
    format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.")
}

/// `statusReason` of a deployment in the history that was not completed before the next. (DEP-8)
pub(super) fn superseded(by: &str) -> String {
    format!("Deployment {by} took its place.")
}

/// EVT-17.
pub(super) fn deployment_failed(id: &str) -> String {
    format!("(deployment {id}) deployment failed: {FAILED}.")
}

/// EVT-18.
pub(super) fn rolling_back_to(id: &str) -> String {
    format!("rolling back to deployment {id}.")
}

/// How the texts begin that say that a task finds no place. (EVT-20, EVT-21)
pub const UNPLACED: &str = "was unable to place a task";

/// EVT-20.
pub(super) fn no_instances() -> String {
    format!(
        "was unable to place a task because no container instance met all of its requirements. Reason: No Container \
         Instances were found in your cluster.{TAIL}"
    )
}

/// EVT-21.
pub(super) fn closest(rejection: &Rejection) -> String {
    format!(
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         (container-instance {}) {}.{TAIL}",
        rejection.failure.container_instance,
        rejection.detail.trim_end_matches('.')
    )
}

/// A service's zones differ, and tasks are moved. (EVT-8)
pub(super) fn not_balanced(service: &str, zones: &str) -> String {
    format!("service ({service}) is not AZ balanced with {zones}. AZ Rebalancing in progress.")
}

/// A service's zones are balanced again. (EVT-8)
pub(super) fn balanced(service: &str, zones: &str) -> String {
    format!("service ({service}) is AZ balanced with {zones}.")
}

/// A zone that should get a task has no room. (EVT-8, AZ-5)
pub(super) fn zone_full(service: &str, zone: &str) -> String {
    format!(
        "service ({service}) is unable to place a task in {zone} because no container instance met all of its \
         requirements."
    )
}

/// EVT-33.
pub(super) fn protected(deployment: &str) -> String {
    format!(
        "was unable to reach steady state because task set ({deployment}) was unable to scale in. Reason: The number \
         of protected tasks are more than the desired count of tasks."
    )
}

/// EVT-35.
pub(super) fn failed_health(task: &str) -> String {
    format!("(task {task}) failed container health checks.")
}

/// What ECS sends to the event stream as `SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED`, in words. (DAEMON-3, EB-5)
pub(super) fn daemon_violation(task: &str, instance: &str) -> String {
    format!(
        "stopped (task {task}) because (container-instance {instance}) no longer satisfies the placement constraints \
         of the daemon (SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED)."
    )
}
