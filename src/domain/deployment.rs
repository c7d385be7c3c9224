//! Deployments of a service as its status records them, and the arithmetic of the circuit breaker. (DEP, CB)

#![allow(
    clippy::doc_markdown,
    reason = "field docs are plain text in `kubectl explain`, and RUNNING or CamelCase there is no code"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::records::{ThresholdConfiguration, ThresholdType};

/// Percent of the desired count at which a deployment fails, if nothing else is said. (CB-2)
const PERCENT: u32 = 50;
/// Least and most failures that BOUNDED_PERCENT comes to. (CB-2)
const BOUNDS: (u32, u32) = (3, 200);

/// One revision of a service being or having been rolled out. (DEP-1)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// `ecs-svc/` and 19 digits.
    pub id: String,
    /// PRIMARY or ACTIVE. (DEP-2)
    pub status: DeploymentStatus,
    /// `family:revision`. (TD-4)
    pub task_definition: String,
    /// Name of the TaskDefinition object.
    pub task_definition_name: String,
    /// Uid of the TaskDefinition object.
    pub task_definition_uid: String,
    /// What `spec.taskDefinition` said when the deployment was made, or, after a rollback, when the one that failed was.
    pub requested: String,
    /// What `spec.forceNewDeployment` said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
    /// Tasks wanted of this deployment.
    pub desired_count: i64,
    /// Tasks of it in RUNNING.
    pub running_count: i64,
    /// Tasks of it in PENDING.
    pub pending_count: i64,
    /// Consecutive failures while it was in progress: tasks that never reached RUNNING, and tasks stopped because their
    /// health checks failed. 0 again when a task becomes healthy. (DEP-4)
    #[serde(default)]
    pub failed_tasks: i64,
    /// IN_PROGRESS, COMPLETED or FAILED. (DEP-3)
    pub rollout_state: RolloutState,
    /// Why. (DEP-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_state_reason: Option<String>,
    /// How the circuit breaker watches it. (DEP-8)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_circuit_breaker: Option<CircuitBreakerState>,
    /// What failed, if the service came back to this deployment because of it. (CB-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// When the first of its tasks was RUNNING (RFC 3339): from then on the circuit breaker counts failed health checks
    /// only. (CB-4, CB-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_running_at: Option<String>,
    /// When the last failure that is counted happened (RFC 3339): a task that becomes healthy later clears the count.
    /// (CB-6)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<String>,
    /// Failed tasks that are counted already and still exist as objects; empty unless it is in progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted_tasks: Vec<String>,
    /// Since when it has met what makes it COMPLETED, while its bake time runs (RFC 3339). (ROLL-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baking_since: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it last changed state (RFC 3339).
    pub updated_at: String,
    /// When it first was COMPLETED (RFC 3339): a later deployment can be rolled back to it. (CB-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

impl Deployment {
    /// Whether it has ever been COMPLETED. (CB-10)
    #[must_use]
    pub fn was_completed(&self) -> bool {
        self.completed_at.is_some() || self.rollout_state == RolloutState::Completed
    }

    /// Whether the circuit breaker has given it up. (CB-9)
    #[must_use]
    pub fn failed(&self) -> bool {
        self.rollout_state == RolloutState::Failed
    }
}

/// Whether a deployment is the newest. (DEP-2)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DeploymentStatus {
    /// The newest, or the one that the service was rolled back to.
    #[default]
    Primary,
    /// An older one with tasks still running, or one that the service can be rolled back to.
    Active,
}

/// How far a deployment is. (DEP-3)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RolloutState {
    /// Tasks are being started or stopped for it.
    #[default]
    InProgress,
    /// It reached its steady state.
    Completed,
    /// It was given up.
    Failed,
}

/// Why a service came back to an older deployment. (CB-10)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// The deployment that failed.
    pub from: String,
    /// Its `family:revision`.
    pub task_definition: String,
    /// The newest of its tasks that failed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// When it failed (RFC 3339).
    pub at: String,
}

/// What the circuit breaker knows of a deployment. (DEP-8)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreakerState {
    /// DISABLED, MONITORING, MONITORING_COMPLETE or TRIGGERED. (CB-13)
    pub status: CircuitBreakerStatus,
    /// Failures counted: since a task last became healthy, or all with `resetOnHealthyTask: false`. (CB-4 to CB-6)
    pub failure_count: i64,
    /// Failures at which the deployment fails, of the desired count as it is now. (CB-2, CB-3)
    pub threshold: i64,
}

/// What a circuit breaker does about a deployment. (DEP-8)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CircuitBreakerStatus {
    /// It counts, and nothing follows from it: not enabled, or the deployment is a rollback. (CB-12)
    #[default]
    Disabled,
    /// It counts, and gives the deployment up at the threshold.
    Monitoring,
    /// The deployment is completed, or a newer one took its place. (CB-13)
    MonitoringComplete,
    /// It gave the deployment up. (CB-9)
    Triggered,
}

/// A deployment in the service's history. (DEP-8)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDeployment {
    /// Id of the deployment (`ecs-svc/…`).
    pub id: String,
    /// `family:revision`.
    pub task_definition: String,
    /// What `spec.taskDefinition` said.
    pub requested: String,
    /// How far it came.
    pub status: ServiceDeploymentStatus,
    /// Why. (DEP-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What the circuit breaker counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_circuit_breaker: Option<CircuitBreakerState>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// How far a deployment in the history came. (DEP-8)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceDeploymentStatus {
    /// Tasks are being started or stopped for it.
    #[default]
    InProgress,
    /// It was completed.
    Successful,
    /// It failed and stays as it is, or a newer one took its place before it was completed.
    Stopped,
    /// It failed, and the service is going back to the last completed one.
    RollbackInProgress,
    /// It failed, and the service is back at the last completed one.
    RollbackSuccessful,
    /// It failed, and the service could not go back, or something else was asked for before it was back.
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    /// Whether nothing more is to come.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::InProgress | Self::RollbackInProgress)
    }
}

/// What makes a deployment COMPLETED. (ROLL-8, ROLL-9)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuccessCriteria {
    /// What is enough; `None`: that everything has arrived.
    pub early: Option<EarlySuccess>,
    /// How long it must stay so, in minutes.
    pub bake_minutes: u16,
}

/// Less than everything, and enough. (ROLL-9)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlySuccess {
    /// Healthy tasks of the deployment, in percent of the desired count.
    pub healthy_percent: u32,
    /// Older tasks must have been told to stop.
    pub blocking: bool,
}

impl EarlySuccess {
    /// Healthy tasks that are enough: rounded up, and at least one of any that are desired. (ROLL-9)
    #[must_use]
    pub fn enough(&self, desired: u32) -> u32 {
        let share = u64::from(desired).saturating_mul(u64::from(self.healthy_percent));
        let enough = u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX);
        enough.max(desired.min(1))
    }
}

/// A service's circuit breaker. (CB-1)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Failing deployments are given up.
    pub enable: bool,
    /// The last completed deployment is restored then.
    pub rollback: bool,
    /// A task that becomes healthy clears the count. (CB-6)
    pub reset_on_healthy_task: bool,
    /// How many failures are too many.
    pub threshold: ThresholdConfiguration,
}

impl Default for CircuitBreaker {
    /// As ECS has it for a service that says nothing of it.
    fn default() -> Self {
        Self {
            enable: false,
            rollback: false,
            reset_on_healthy_task: true,
            threshold: ThresholdConfiguration::default(),
        }
    }
}

impl CircuitBreaker {
    /// Failures at which a deployment of `desired` tasks fails: rounded up, never 0. (CB-2, CB-3)
    #[must_use]
    pub fn threshold(&self, desired: u32) -> u32 {
        let value = self.threshold.value.map(|v| u32::try_from(v).unwrap_or(0));
        let percent = || {
            let share = u64::from(desired).saturating_mul(u64::from(value.unwrap_or(PERCENT)));
            u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX)
        };
        let failures = match self.threshold.type_ {
            ThresholdType::BoundedPercent => percent().clamp(BOUNDS.0, BOUNDS.1),
            ThresholdType::UnboundedPercent => percent(),
            ThresholdType::Count => value.unwrap_or(BOUNDS.0),
        };
        failures.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(type_: ThresholdType, value: Option<i64>) -> CircuitBreaker {
        CircuitBreaker {
            threshold: ThresholdConfiguration { type_, value },
            ..CircuitBreaker::default()
        }
    }

    #[test]
    fn thresholds_are_as_in_the_table_cb_2_cb_3() {
        // desired, BOUNDED 50, UNBOUNDED 50
        let table = [
            (1, 3, 1),
            (2, 3, 1),
            (6, 3, 3),
            (7, 4, 4),
            (10, 5, 5),
            (25, 13, 13),
            (100, 50, 50),
            (400, 200, 200),
            (401, 200, 201),
            (800, 200, 400),
        ];
        for (desired, bounded, unbounded) in table {
            assert_eq!(CircuitBreaker::default().threshold(desired), bounded, "{desired}");
            let of = |type_, value| breaker(type_, value).threshold(desired);
            assert_eq!(of(ThresholdType::BoundedPercent, Some(50)), bounded);
            assert_eq!(of(ThresholdType::UnboundedPercent, None), unbounded, "{desired}");
            assert_eq!(of(ThresholdType::Count, Some(7)), 7);
        }
    }

    #[test]
    fn enough_tasks_are_as_in_ecs_table_roll_9() {
        for (desired, percent, enough) in [
            (2, 50, 1),
            (3, 50, 2),
            (10, 80, 8),
            (100, 90, 90),
            (10, 100, 10),
            (10, 0, 1),
            (0, 100, 0),
        ] {
            let early = EarlySuccess {
                healthy_percent: percent,
                blocking: true,
            };
            assert_eq!(early.enough(desired), enough, "{percent} % of {desired}");
        }
    }

    #[test]
    fn a_deployment_never_fails_without_a_failure_cb_3() {
        assert_eq!(breaker(ThresholdType::UnboundedPercent, Some(1)).threshold(0), 1);
        assert_eq!(
            breaker(ThresholdType::UnboundedPercent, Some(1)).threshold(101),
            2
        );
        assert_eq!(breaker(ThresholdType::BoundedPercent, None).threshold(0), 3);
        let huge = breaker(ThresholdType::UnboundedPercent, Some(100));
        assert_eq!(huge.threshold(u32::MAX), u32::MAX);
    }
}
