use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::api::{LastStatus, TaskStatus};
use crate::build::{EssentialExit, Observed, PodObservation, observe};

const STARTED: &str = "2026-01-01T00:00:00Z";

pub(super) fn at(seconds: i64) -> Timestamp {
    STARTED.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

/// Reads a Pod made of `spec` with this status, some seconds after the start.
pub(super) fn seen(
    spec: &TaskDefinitionSpec,
    status: &Value,
    seconds: i64,
    recorded: Option<TaskStatus>,
) -> PodObservation {
    let mut pod = build(spec.clone(), &json!({}), false).unwrap();
    pod.metadata.uid = Some("pod-uid".to_owned());
    pod.status = Some(serde_json::from_value(status.clone()).unwrap());
    let mut task = task();
    task.status = recorded;
    observe(&Observed {
        task: &task,
        definition: spec,
        pod: &pod.into(),
        now: at(seconds),
    })
}

pub(super) fn running(name: &str) -> Value {
    status(name, &json!({"running": {"startedAt": STARTED}}))
}

fn terminated(name: &str, code: i32, reason: &str, second: i64) -> Value {
    let end = json!({"terminated": {"exitCode": code, "reason": reason, "message": "text", "startedAt": STARTED,
                     "finishedAt": at(second).to_string()}});
    status(name, &end)
}

fn waiting(name: &str, reason: &str) -> Value {
    status(
        name,
        &json!({"waiting": {"reason": reason, "message": "no such image"}}),
    )
}

fn status(name: &str, state: &Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "docker.io/x@sha256:abc", "containerID": "containerd://id-1",
           "ready": false, "restartCount": 0, "state": state})
}

pub(super) fn two() -> TaskDefinitionSpec {
    several(&[json!({}), json!({"essential": false})])
}

#[test]
fn task_7_pending_until_every_container_runs() {
    let pending = seen(
        &two(),
        &json!({"phase": "Pending", "containerStatuses": [running("a"), waiting("b", "ContainerCreating")]}),
        1,
        None,
    );
    assert_eq!(
        (pending.last_status, pending.started_at, pending.ended),
        (LastStatus::Pending, None, false)
    );
    assert_eq!(pending.containers[1].reason, None);
    let both = seen(
        &two(),
        &json!({"phase": "Running", "containerStatuses": [running("a"), running("b")]}),
        1,
        None,
    );
    assert_eq!(
        (both.last_status, both.started_at),
        (LastStatus::Running, Some(at(0)))
    );
    assert_eq!(both.essential_exited, None);
    let a = &both.containers[0];
    assert_eq!(
        (a.runtime_id.as_deref(), a.image_digest.as_deref()),
        (Some("id-1"), Some("sha256:abc"))
    );
    let fresh = seen(&two(), &json!({}), 1, None);
    assert_eq!((fresh.last_status, fresh.ended), (LastStatus::Pending, false));
}

#[test]
fn task_6_a_pod_is_read_as_pending_running_or_stopped_and_nothing_between() {
    let spec = container(json!({}));
    let read = |status: Value, deleted: bool| {
        let mut pod = build(spec.clone(), &json!({}), false).unwrap();
        pod.status = Some(serde_json::from_value(status).unwrap());
        pod.metadata.deletion_timestamp = deleted.then(|| serde_json::from_value(json!(STARTED)).unwrap());
        let (task, definition) = (&task(), &spec);
        let now = at(9);
        observe(&Observed {
            task,
            definition,
            pod: &pod.into(),
            now,
        })
        .last_status
    };
    let of = |phase: &str, container: Value| json!({"phase": phase, "containerStatuses": [container]});
    for deleted in [false, true] {
        let found = [
            read(of("Pending", waiting("app", "ContainerCreating")), deleted),
            read(of("Running", running("app")), deleted),
            read(of("Failed", terminated("app", 1, "Error", 5)), deleted),
        ];
        assert_eq!(
            found,
            [LastStatus::Pending, LastStatus::Running, LastStatus::Stopped]
        );
    }
}

#[test]
fn task_2_a_container_says_how_it_ended_and_what_it_ran() {
    let status = json!({"phase": "Running", "containerStatuses": [
        terminated("a", 137, "OOMKilled", 5), running("b")]});
    let found = seen(&two(), &status, 9, None);
    let expected = crate::api::ContainerState {
        name: "a".to_owned(),
        last_status: LastStatus::Stopped,
        exit_code: Some(137),
        reason: Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
        health_status: crate::api::HealthStatus::Unknown,
        runtime_id: Some("id-1".to_owned()),
        image_digest: Some("sha256:abc".to_owned()),
    };
    assert_eq!(found.containers[0], expected);
    assert_eq!(
        (found.containers[1].last_status, found.containers[1].exit_code),
        (LastStatus::Running, None)
    );
}

#[test]
fn task_8_a_non_essential_container_may_end_freely() {
    let status =
        json!({"phase": "Running", "containerStatuses": [running("a"), terminated("b", 3, "Error", 5)]});
    let found = seen(&two(), &status, 9, None);
    assert_eq!(
        (found.last_status, found.essential_exited, found.ended),
        (LastStatus::Running, None, false)
    );
    assert_eq!(
        (found.containers[1].last_status, found.containers[1].exit_code),
        (LastStatus::Stopped, Some(3))
    );
}

#[test]
fn task_8_an_essential_exit_is_seen_while_others_run() {
    let status =
        json!({"phase": "Running", "containerStatuses": [terminated("a", 7, "Error", 5), running("b")]});
    let found = seen(&two(), &status, 9, None);
    assert_eq!(
        found.essential_exited,
        Some(EssentialExit {
            container: "a".to_owned(),
            exit_code: Some(7)
        })
    );
    assert_eq!((found.ended, found.finished_at), (false, None));
}

#[test]
fn task_8_the_essential_container_that_ended_first_counts() {
    let spec = several(&[json!({}), json!({})]);
    let status = json!({"phase": "Failed", "containerStatuses": [terminated("a", 143, "Error", 9), terminated("b", 1, "Error", 5)]});
    let found = seen(&spec, &status, 9, None);
    assert_eq!(found.essential_exited.unwrap().container, "b");
    assert_eq!(
        (found.last_status, found.finished_at),
        (LastStatus::Stopped, Some(at(9)))
    );
}

#[test]
fn task_7_all_terminated_is_the_end_before_the_phase_says_so() {
    let some = json!({"phase": "Running", "containerStatuses": [terminated("a", 0, "Completed", 5)]});
    assert!(!seen(&two(), &some, 9, None).ended);
    let all = json!({"phase": "Running", "containerStatuses": [terminated("a", 0, "Completed", 5), terminated("b", 0, "Completed", 6)]});
    let found = seen(&two(), &all, 9, None);
    assert_eq!((found.ended, found.last_status), (true, LastStatus::Stopped));
    assert_eq!(found.containers[0].reason, None);
}

#[test]
fn task_14_reasons_are_ecs_texts() {
    for (state, reason) in [
        (
            terminated("app", 137, "OOMKilled", 5),
            "OutOfMemoryError: Container killed due to memory usage",
        ),
        (
            terminated("app", 128, "StartError", 5),
            "CannotStartContainerError: text",
        ),
        (
            terminated("app", 137, "ContainerStatusUnknown", 5),
            "ContainerStatusUnknown: text",
        ),
        (
            waiting("app", "ErrImagePull"),
            "CannotPullContainerError: no such image",
        ),
        (
            waiting("app", "ImagePullBackOff"),
            "CannotPullContainerError: no such image",
        ),
        (
            waiting("app", "CreateContainerConfigError"),
            "ResourceInitializationError: no such image",
        ),
        (
            waiting("app", "CreateContainerError"),
            "CannotCreateContainerError: no such image",
        ),
    ] {
        let found = seen(
            &container(json!({})),
            &json!({"phase": "Pending", "containerStatuses": [state]}),
            9,
            None,
        );
        assert_eq!(found.containers[0].reason.as_deref(), Some(reason));
    }
}

#[test]
fn task_13_what_ecs_would_give_up_is_named() {
    let with = |state: Value| {
        seen(
            &container(json!({})),
            &json!({"phase": "Pending", "containerStatuses": [state]}),
            9,
            None,
        )
        .cannot_start
    };
    assert_eq!(with(waiting("app", "ErrImagePull")), None);
    assert_eq!(
        with(waiting("app", "ImagePullBackOff")).as_deref(),
        Some("CannotPullContainerError: no such image")
    );
    assert_eq!(
        with(terminated("app", 128, "StartError", 1)).as_deref(),
        Some("CannotStartContainerError: text")
    );
    assert_eq!(with(terminated("app", 1, "Error", 1)), None);
}

#[test]
fn kubelet_refusals_keep_their_text() {
    let status = json!({"phase": "Failed", "reason": "OutOfcpu",
        "message": "Pod was rejected: Node didn't have enough resource: cpu, requested: 1, used: 2, capacity: 2"});
    let found = seen(&two(), &status, 9, None);
    assert_eq!(
        found.failed_to_start.as_deref(),
        Some(
            "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: 1, used: 2, capacity: 2"
        )
    );
    assert_eq!(
        (found.ended, found.last_status, found.essential_exited),
        (true, LastStatus::Stopped, None)
    );
    assert!(
        found
            .containers
            .iter()
            .all(|c| c.last_status == LastStatus::Stopped && c.exit_code.is_none())
    );
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "disk",
        "containerStatuses": [terminated("a", 137, "Error", 5), terminated("b", 137, "Error", 5)]});
    let found = seen(&two(), &evicted, 9, None);
    assert_eq!(
        (found.failed_to_start, found.pod_reason.as_deref()),
        (None, Some("Evicted: disk"))
    );
}

#[test]
fn a_missing_secret_is_named_with_what_to_change() {
    let spec = container(json!({"secrets": [{"name": "A", "valueFrom": "secret/db/password"}]}));
    let why = |spec: &TaskDefinitionSpec, message: &str| {
        let mut state = waiting("app", "CreateContainerConfigError");
        state["state"]["waiting"]["message"] = json!(message);
        let found = seen(
            spec,
            &json!({"phase": "Pending", "containerStatuses": [state]}),
            9,
            None,
        );
        assert_eq!(found.containers[0].reason, found.cannot_start);
        found.cannot_start.unwrap()
    };
    let change = "; create it in the namespace of the task, or name another in 'secrets' of container 'app' in a new revision";
    for message in [
        "secret \"db\" not found",
        "couldn't find key password in Secret shop/db",
    ] {
        assert_eq!(
            why(&spec, message),
            format!("ResourceInitializationError: {message}{change}")
        );
    }
    let other = "failed to prepare subPath";
    let text = format!("ResourceInitializationError: {other}");
    assert_eq!(why(&spec, other), text);
    assert_eq!(
        why(&container(json!({})), "secret \"db\" not found"),
        "ResourceInitializationError: secret \"db\" not found"
    );
}

#[test]
fn a_node_that_does_not_prepare_a_pod_is_named_after_a_minute_task_18() {
    let not_ready = |since: i64| {
        json!({"phase": "Pending", "startTime": at(since).to_string(),
            "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}],
            "containerStatuses": [waiting("a", "ContainerCreating"), waiting("b", "ContainerCreating")]})
    };
    let found = seen(&two(), &not_ready(0), 59, None);
    assert_eq!((found.unprepared, found.recheck_at), (None, Some(at(60))));
    let found = seen(&two(), &not_ready(0), 60, None);
    let text = found.unprepared.unwrap();
    assert!(
        text.contains("volumes") && text.contains("kubectl describe pod 0123456789abcdef"),
        "{text}"
    );
    assert_eq!(found.containers[0].reason.as_deref(), Some(text.as_str()));
    assert_eq!(
        (found.cannot_start, found.recheck_at),
        (None, None),
        "it may still come"
    );
    let mut prepared = not_ready(0);
    prepared["conditions"][0]["status"] = json!("True");
    let found = seen(&two(), &prepared, 90, None);
    assert_eq!(
        (found.unprepared, found.recheck_at),
        (None, None),
        "an image is pulled"
    );
}

fn with_sidecar() -> TaskDefinitionSpec {
    several(&[
        json!({"dependsOn": waits(&[("b", "HEALTHY")])}),
        json!({"healthCheck": {"command": ["CMD", "x"]}}),
    ])
}

fn restarted(name: &str, code: i32) -> Value {
    let mut status = running(name);
    let end = json!({"terminated": {"exitCode": code, "reason": "Error", "startedAt": STARTED, "finishedAt": at(4).to_string()}});
    status["restartCount"] = json!(1);
    status["lastState"] = end;
    status
}

#[test]
fn stop_7_the_first_end_of_a_sidecar_counts_though_it_runs_again() {
    let status = json!({"phase": "Running", "initContainerStatuses": [restarted("b", 5)], "containerStatuses": [running("a")]});
    let found = seen(&with_sidecar(), &status, 9, None);
    assert_eq!(
        found.essential_exited,
        Some(EssentialExit {
            container: "b".to_owned(),
            exit_code: Some(5)
        })
    );
    assert_eq!((found.last_status, found.ended), (LastStatus::Running, false));
    // A later end does not replace the first.
    let recorded = TaskStatus {
        containers: found.containers,
        last_status: LastStatus::Running,
        ..TaskStatus::default()
    };
    let again = json!({"phase": "Running", "initContainerStatuses": [restarted("b", 0)], "containerStatuses": [running("a")]});
    let found = seen(&with_sidecar(), &again, 20, Some(recorded));
    assert_eq!(
        (found.containers[1].exit_code, found.containers[1].last_status),
        (Some(5), LastStatus::Stopped)
    );
}

#[test]
fn td_17_pending_while_a_dependency_is_not_healthy_and_failed_if_it_ends_before() {
    let waits_for = |sidecar: Value| {
        json!({"phase": "Pending", "initContainerStatuses": [sidecar],
        "containerStatuses": [waiting("a", "PodInitializing")]})
    };
    let found = seen(&with_sidecar(), &waits_for(running("b")), 9, None);
    assert_eq!(
        (found.last_status, found.cannot_start),
        (LastStatus::Pending, None)
    );
    let found = seen(&with_sidecar(), &waits_for(restarted("b", 137)), 9, None);
    assert_eq!(
        found.cannot_start.as_deref(),
        Some("Container 'a' can't start: it waits for HEALTHY of 'b', which ended with exit code 137")
    );
}

#[test]
fn stop_6_what_never_started_for_a_dependency_gets_143() {
    let spec = several(&[
        json!({"dependsOn": waits(&[("b", "SUCCESS")])}),
        json!({"essential": false}),
    ]);
    let failed = json!({"phase": "Failed", "initContainerStatuses": [terminated("b", 2, "Error", 5)],
        "containerStatuses": [waiting("a", "PodInitializing")]});
    let found = seen(&spec, &failed, 9, None);
    assert_eq!(
        (found.containers[0].last_status, found.containers[0].exit_code),
        (LastStatus::Stopped, Some(143))
    );
    assert_eq!(
        found.cannot_start.as_deref(),
        Some("Container 'a' can't start: it waits for SUCCESS of 'b', which ended with exit code 2")
    );
    let fine = json!({"phase": "Running", "initContainerStatuses": [terminated("b", 0, "Completed", 5)], "containerStatuses": [running("a")]});
    let found = seen(&spec, &fine, 9, None);
    assert_eq!(
        (found.last_status, found.cannot_start),
        (LastStatus::Running, None)
    );
}

#[test]
fn task_3_a_task_never_goes_back() {
    let recorded = TaskStatus {
        last_status: LastStatus::Running,
        ..TaskStatus::default()
    };
    let status =
        json!({"phase": "Running", "containerStatuses": [running("a"), waiting("b", "ContainerCreating")]});
    assert_eq!(
        seen(&two(), &status, 1, Some(recorded)).last_status,
        LastStatus::Running
    );
}

#[test]
fn deletion_is_seen() {
    let spec = two();
    let mut pod = build(spec.clone(), &json!({}), false).unwrap();
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
    assert!(
        observe(&Observed {
            task: &task(),
            definition: &spec,
            pod: &pod.into(),
            now: at(1)
        })
        .deleting
    );
}
