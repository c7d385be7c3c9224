//! `healthCheck`: a readiness probe, never a liveness probe. Only a service replaces an unhealthy task. (TASK-16, TD-16)

use k8s_openapi::api::core::v1::{ExecAction, Probe};

use crate::api::{ContainerDefinition, HealthCheck};

use super::env::literal;
use super::unsupported::Refusals;

const INTERVAL_SECONDS: i64 = 30;
const TIMEOUT_SECONDS: i64 = 5;
const RETRIES: i64 = 3;

/// The probe that tells a container's health. It runs from the start: a success counts at once, as in ECS; that failures
/// do not count within startPeriod is seen to where the Pod is read back ([`unhealthy_after_seconds`]).
pub(super) fn readiness(check: &HealthCheck) -> Option<Probe> {
    Some(Probe {
        exec: Some(exec(check)?),
        period_seconds: Some(small(check.interval.unwrap_or(INTERVAL_SECONDS))),
        timeout_seconds: Some(small(check.timeout.unwrap_or(TIMEOUT_SECONDS))),
        failure_threshold: Some(small(check.retries.unwrap_or(RETRIES))),
        success_threshold: Some(1),
        ..Probe::default()
    })
}

/// The probe that holds up those who wait for HEALTHY. It gives up after startTimeout, without one never: then the kubelet
/// kills the container, which counts as its exit. (TD-18)
pub(super) fn startup(check: &HealthCheck, start_timeout: Option<i64>) -> Option<Probe> {
    let interval = check.interval.unwrap_or(INTERVAL_SECONDS).max(1);
    let tries = start_timeout.filter(|s| *s > 0).map_or(i64::MAX, |seconds| {
        seconds
            .saturating_add(interval)
            .saturating_sub(1)
            .checked_div(interval)
            .unwrap_or(1)
            .max(1)
    });
    Some(Probe {
        failure_threshold: Some(small(tries)),
        ..readiness(check)?
    })
}

/// Seconds after its start from which a container that is not ready counts as UNHEALTHY: startPeriod and all retries.
pub(super) fn unhealthy_after_seconds(check: &HealthCheck) -> i64 {
    let interval = check.interval.unwrap_or(INTERVAL_SECONDS);
    let timeout = check.timeout.unwrap_or(TIMEOUT_SECONDS);
    let retries = check.retries.unwrap_or(RETRIES);
    check
        .start_period
        .unwrap_or(0)
        .saturating_add(interval.saturating_add(timeout).saturating_mul(retries))
}

/// Seconds a container must have been not ready to be UNHEALTHY: a kubelet that restarts shows it so until its first probe.
pub(super) fn not_ready_grace_seconds(check: &HealthCheck) -> i64 {
    check
        .interval
        .unwrap_or(INTERVAL_SECONDS)
        .saturating_add(check.timeout.unwrap_or(TIMEOUT_SECONDS))
}

/// Whether a check declares anything: `NONE` switches off what the image brings, which Kubernetes ignores anyway.
pub(super) fn declared(container: &ContainerDefinition) -> Option<&HealthCheck> {
    container
        .health_check
        .as_ref()
        .filter(|check| check.command.first().is_none_or(|word| word != "NONE"))
}

pub(super) fn check(container: &ContainerDefinition, refusals: &mut Refusals) {
    if declared(container).is_some_and(|check| exec(check).is_none()) {
        refusals.refuse(
            &container.name,
            "healthCheck",
            "the command must begin with CMD and a program, or with CMD-SHELL and a shell line.",
        );
    }
}

fn exec(check: &HealthCheck) -> Option<ExecAction> {
    let (first, rest) = check.command.split_first()?;
    let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
    let words: Vec<String> = match first.as_str() {
        "CMD" => rest.iter().map(|word| literal(word)).collect(),
        "CMD-SHELL" => shell
            .into_iter()
            .chain(rest.iter().map(|word| literal(word)))
            .collect(),
        _ => return None,
    };
    (!rest.is_empty()).then_some(ExecAction { command: Some(words) })
}

fn small(seconds: i64) -> i32 {
    i32::try_from(seconds.max(1)).unwrap_or(i32::MAX)
}
