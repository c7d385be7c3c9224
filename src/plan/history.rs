//! The service's last deployments and what became of them. (DEP-8)
//!
//! Derived from the list of deployments after each pass; an entry changes only with the state of its deployment.

use super::world::{Service, World};
use super::{ServicePlan, texts};
use crate::domain::deployment::{
    Deployment, DeploymentStatus, RolloutState, ServiceDeployment, ServiceDeploymentStatus as Status,
};

/// Most deployments that are remembered.
const KEPT_MAX: usize = 10;

/// The history after a pass, newest first.
pub(super) fn after(world: &World, service: &Service, plan: &ServicePlan) -> Vec<ServiceDeployment> {
    let mut history = service.history.clone();
    for deployment in plan.deployments.iter().rev() {
        if !history.iter().any(|entry| entry.id == deployment.id) {
            history.insert(0, begun(deployment));
        }
    }
    let now = world.now.to_string();
    for entry in &mut history {
        let found = plan.deployments.iter().find(|d| d.id == entry.id);
        let status = judge(service, plan, entry, found);
        if let Some(state) = found.and_then(|d| d.deployment_circuit_breaker.as_ref()) {
            entry.deployment_circuit_breaker = Some(state.clone());
        }
        if status != entry.status {
            entry.status = status;
            entry.status_reason = match (found, plan.deployments.first()) {
                (Some(d), Some(primary)) if status == Status::Stopped && d.id != primary.id => {
                    Some(texts::superseded(&primary.id))
                }
                (Some(d), _) => d.rollout_state_reason.clone(),
                (None, _) => entry.status_reason.take(),
            };
            entry.finished_at = status.is_final().then(|| now.clone());
        }
    }
    history.truncate(KEPT_MAX);
    history
}

fn begun(deployment: &Deployment) -> ServiceDeployment {
    ServiceDeployment {
        id: deployment.id.clone(),
        task_definition: deployment.task_definition.clone(),
        requested: deployment.requested.clone(),
        status: Status::InProgress,
        status_reason: deployment.rollout_state_reason.clone(),
        deployment_circuit_breaker: deployment.deployment_circuit_breaker.clone(),
        created_at: deployment.created_at.clone(),
        finished_at: None,
    }
}

/// What became of a deployment, which is no longer in the list if it was not `found`.
fn judge(
    service: &Service,
    plan: &ServicePlan,
    entry: &ServiceDeployment,
    found: Option<&Deployment>,
) -> Status {
    let primary = plan.deployments.first();
    let rolled_back = primary.filter(|p| p.rollback.as_ref().is_some_and(|r| r.from == entry.id));
    if let Some(target) = rolled_back {
        return match target.rollout_state {
            RolloutState::Completed => Status::RollbackSuccessful,
            RolloutState::InProgress | RolloutState::Failed => Status::RollbackInProgress,
        };
    }
    let own = found.filter(|d| d.status == DeploymentStatus::Primary && d.rollback.is_none());
    match (own.map(|d| d.rollout_state), entry.status) {
        (Some(RolloutState::InProgress), _) => Status::InProgress,
        (Some(RolloutState::Completed), _) => Status::Successful,
        (Some(RolloutState::Failed), _) if service.circuit_breaker.rollback => Status::RollbackFailed,
        (None, Status::InProgress) if found.is_some_and(Deployment::was_completed) => Status::Successful,
        (Some(RolloutState::Failed), _) | (None, Status::InProgress) => Status::Stopped,
        (None, Status::RollbackInProgress) => Status::RollbackFailed,
        (None, other) => other,
    }
}
