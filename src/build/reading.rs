//! One container of a Pod, read in ECS's terms.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;

use crate::api::{ContainerDefinition, ContainerState, LastStatus};

use super::seen::{ContainerStatus, Pod};

/// Longest reason, in characters. (TASK-14)
const REASON_MAX: usize = 1024;

/// What the kubelet says of one container.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Name as in the definition.
    pub(super) name: String,
    pub(super) essential: bool,
    pub(super) last_status: LastStatus,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
    pub(super) runtime_id: Option<String>,
    pub(super) image_digest: Option<String>,
    pub(super) ready: bool,
    /// Whether its process was ever there.
    pub(super) ran: bool,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    /// Why it will not start without a change: ECS would have given the task up.
    pub(super) cannot_start: Option<String>,
}

/// Reads one container. `previous` is what was recorded of it: a container that was STOPPED stays so with the code and
/// reason of its first end, also if the kubelet has started the sidecar again.
pub(super) fn read(
    pod: &Pod,
    definition: &ContainerDefinition,
    pod_name: &str,
    previous: Option<&ContainerState>,
) -> Reading {
    let mut reading = Reading {
        name: definition.name.clone(),
        essential: definition.essential,
        ..Reading::default()
    };
    let Some(status) = status_of(pod, pod_name) else {
        return keep_end(reading, previous);
    };
    reading.ready = status.ready;
    reading.runtime_id = status.container_id.as_deref().map(runtime_id);
    reading.image_digest = digest(&status.image_id);
    let sidecar = pod
        .spec
        .iter()
        .flat_map(|s| &s.containers)
        .any(|c| c.name == pod_name && c.sidecar);
    let state = status.state.as_deref();
    let last = status.last.as_deref();
    let ended = last
        .filter(|_| sidecar)
        .or_else(|| state.and_then(|s| s.terminated.as_ref()));
    if let Some(ended) = ended {
        stopped(&mut reading, ended);
    } else if sidecar && status.restart_count > 0 {
        reading.last_status = LastStatus::Stopped;
        reading.ran = true;
    } else if let Some(running) = state.and_then(|s| s.running.as_ref()) {
        reading.last_status = LastStatus::Running;
        reading.ran = true;
        reading.started = running.started_at.as_ref().map(|t| t.0);
    } else if let Some(waiting) = state.and_then(|s| s.waiting.as_ref()) {
        let why = waiting.reason.as_deref().unwrap_or_default();
        if let Some((class, given_up)) = waiting_error(why) {
            let message = waiting.message.as_deref().unwrap_or(why);
            let text = cut(&format!("{class}: {message}{}", remedy(definition, why, message)));
            reading.cannot_start = given_up.then(|| text.clone());
            reading.reason = Some(text);
        }
    }
    keep_end(reading, previous)
}

/// The status of a container of the Pod.
pub(super) fn status_of<'a>(pod: &'a Pod, pod_name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    status.containers.iter().find(|s| s.name == pod_name)
}

/// Cuts a reason to what ECS shows. (TASK-14)
pub(super) fn cut(text: &str) -> String {
    text.chars().take(REASON_MAX).collect()
}

fn stopped(reading: &mut Reading, ended: &ContainerStateTerminated) {
    reading.last_status = LastStatus::Stopped;
    reading.ran = true;
    reading.exit_code = Some(ended.exit_code);
    reading.started = ended.started_at.as_ref().map(|t| t.0);
    reading.finished = ended.finished_at.as_ref().map(|t| t.0);
    let message = ended.message.as_deref().unwrap_or_default();
    match ended.reason.as_deref() {
        Some("OOMKilled") => {
            reading.reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        }
        Some("StartError" | "ContainerCannotRun") => {
            let text = cut(&format!("CannotStartContainerError: {message}"));
            reading.ran = false;
            reading.cannot_start = Some(text.clone());
            reading.reason = Some(text);
        }
        None | Some("Completed" | "Error") => {}
        Some(other) => {
            let text = if message.is_empty() {
                other.to_owned()
            } else {
                format!("{other}: {message}")
            };
            reading.reason = Some(cut(&text));
        }
    }
}

/// ECS's error class of a kubelet's waiting reason, and whether ECS would give the task up: the kubelet tries for ever.
fn waiting_error(reason: &str) -> Option<(&'static str, bool)> {
    match reason {
        "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError" => {
            Some(("CannotPullContainerError", false))
        }
        "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" | "SignatureValidationFailed" => {
            Some(("CannotPullContainerError", true))
        }
        "CreateContainerConfigError" => Some(("ResourceInitializationError", true)),
        "CreateContainerError" => Some(("CannotCreateContainerError", true)),
        "RunContainerError" | "PostStartHookError" => Some(("CannotStartContainerError", true)),
        _ => None,
    }
}

/// Where a Secret or ConfigMap is asked for that the kubelet does not find: it says only what is missing.
fn remedy(definition: &ContainerDefinition, reason: &str, message: &str) -> String {
    let message = message.to_ascii_lowercase();
    let missing = ["secret", "configmap"].iter().any(|kind| message.contains(kind));
    if reason == "CreateContainerConfigError" && missing && !definition.secrets.is_empty() {
        format!(
            "; create it in the namespace of the task, or name another in 'secrets' of container '{}' in a new revision",
            definition.name
        )
    } else {
        String::new()
    }
}

fn keep_end(mut reading: Reading, previous: Option<&ContainerState>) -> Reading {
    let Some(previous) = previous else { return reading };
    if previous.last_status == LastStatus::Stopped {
        reading.last_status = LastStatus::Stopped;
        reading.exit_code = previous.exit_code.or(reading.exit_code);
        reading.reason = previous.reason.clone().or(reading.reason);
        reading.ready = false;
    } else if previous.last_status == LastStatus::Running {
        reading.last_status = reading.last_status.max(LastStatus::Running);
        reading.ran = true;
    }
    reading.runtime_id = reading.runtime_id.or_else(|| previous.runtime_id.clone());
    reading.image_digest = reading.image_digest.or_else(|| previous.image_digest.clone());
    reading
}

/// `containerd://ID` → `ID`.
fn runtime_id(container_id: &str) -> String {
    container_id
        .rsplit("://")
        .next()
        .unwrap_or(container_id)
        .to_owned()
}

/// `registry/image@sha256:…` or `sha256:…` → `sha256:…`.
fn digest(image_id: &str) -> Option<String> {
    let digest = image_id.rsplit('@').next().unwrap_or(image_id);
    digest
        .contains(':')
        .then_some(digest)
        .filter(|d| !d.contains('/'))
        .map(str::to_owned)
}
