//! What a table says of Pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use crate::object::{self, at, has, list, number, text};

/// The columns' contents beside name and age: ready, status, restarts.
pub(super) struct Summary {
    pub(super) ready: String,
    pub(super) status: String,
    pub(super) restarts: String,
}

pub(super) fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, &["status", "phase"]))
}

/// Marks the row of a Pod that has ended, so that clients may leave it out.
pub(super) fn ended_condition(pod: &Value) -> Value {
    let phase = text(pod, &["status", "phase"]);
    json!([{
        "type": "Completed", "status": "True", "reason": phase,
        "message": if phase == "Succeeded" { "The pod has completed successfully." } else { "The pod failed." },
    }])
}

pub(super) fn summary(pod: &Value, now: Timestamp) -> Summary {
    let statuses = list(pod, &["status", "containerStatuses"]);
    let containers = list(pod, &["spec", "containers"]);
    let mut status = Some(text(pod, &["status", "reason"])).filter(|reason| !reason.is_empty());
    status = status.or(Some(text(pod, &["status", "phase"])));
    let mut shown = status.unwrap_or_default().to_owned();
    if text(pod, &["status", "phase"]) == "Pending"
        && condition_reason(pod, "PodScheduled") == Some("SchedulingGated")
    {
        "SchedulingGated".clone_into(&mut shown);
    }
    let initializing = initializing(pod);
    let mut ready = 0_usize;
    let (mut restarts, mut last) = restarts(list(pod, &["status", "initContainerStatuses"]));
    if let Some(initializing) = &initializing {
        shown.clone_from(initializing);
    } else {
        (restarts, last) = self::restarts(statuses);
        let mut has_running = false;
        for container in statuses.iter().rev() {
            let waiting = text(container, &["state", "waiting", "reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut shown);
            } else if has(container, &["state", "terminated"]) {
                shown = terminated(container, "");
            } else if at(container, &["ready"]) == Some(&Value::Bool(true))
                && has(container, &["state", "running"])
            {
                has_running = true;
                ready = ready.saturating_add(1);
            }
        }
        if shown == "Completed" && has_running {
            let is_ready = list(pod, &["status", "conditions"]).iter().any(|condition| {
                text(condition, &["type"]) == "Ready" && text(condition, &["status"]) == "True"
            });
            (if is_ready { "Running" } else { "NotReady" }).clone_into(&mut shown);
        }
    }
    if object::is_deleting(pod) {
        if text(pod, &["status", "reason"]) == "NodeLost" {
            "Unknown".clone_into(&mut shown);
        } else if !has_ended(pod) {
            "Terminating".clone_into(&mut shown);
        }
    }
    let restarts = match last.filter(|_| restarts > 0) {
        Some(last) => format!("{restarts} ({} ago)", age::since(last, now)),
        None => restarts.to_string(),
    };
    Summary {
        ready: format!("{ready}/{}", containers.len()),
        status: shown,
        restarts,
    }
}

fn condition_reason<'a>(pod: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = list(pod, &["status", "conditions"]);
    conditions
        .iter()
        .find(|condition| text(condition, &["type"]) == kind)
        .map(|condition| text(condition, &["reason"]))
}

/// The number of restarts, and when the last run that failed ended.
fn restarts(statuses: &[Value]) -> (i64, Option<&str>) {
    let count = |status: &Value| number(status, &["restartCount"]).unwrap_or(0);
    let total = statuses.iter().map(count).fold(0, i64::saturating_add);
    let ended = statuses
        .iter()
        .map(|status| text(status, &["lastState", "terminated", "finishedAt"]));
    (total, ended.filter(|ended| !ended.is_empty()).max())
}

fn terminated(container: &Value, prefix: &str) -> String {
    let state = |name: &str| number(container, &["state", "terminated", name]).unwrap_or(0);
    let reason = text(container, &["state", "terminated", "reason"]);
    if !reason.is_empty() {
        format!("{prefix}{reason}")
    } else if state("signal") != 0 {
        format!("{prefix}Signal:{}", state("signal"))
    } else {
        format!("{prefix}ExitCode:{}", state("exitCode"))
    }
}

/// How far the init containers are, while they are not through.
fn initializing(pod: &Value) -> Option<String> {
    let statuses = list(pod, &["status", "initContainerStatuses"]);
    let total = list(pod, &["spec", "initContainers"]).len();
    for (index, container) in statuses.iter().enumerate() {
        let ended = has(container, &["state", "terminated"]);
        if ended && number(container, &["state", "terminated", "exitCode"]) == Some(0) {
            continue;
        }
        if at(container, &["started"]) == Some(&Value::Bool(true)) {
            continue;
        }
        let waiting = text(container, &["state", "waiting", "reason"]);
        return Some(if ended {
            terminated(container, "Init:")
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{total}")
        });
    }
    None
}
