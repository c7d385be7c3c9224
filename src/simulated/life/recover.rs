//! A life is taken up again from what the Pod's status says, as a process does that did not see its beginning.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus};

use super::{Container, Ended, Life, Role, Running, Stage, containers};
use crate::simulated::wire::Pod;

/// The first and the longest wait before a container is started again, in seconds.
const BACKOFF_SECONDS: (i64, i64) = (10, 300);

impl Life {
    /// The life of a Pod that somebody began; none if nobody did.
    pub(crate) fn recover(pod: &Pod) -> Option<Self> {
        let begun = pod.status.start_time?;
        let said = || {
            pod.status
                .init_container_statuses
                .iter()
                .chain(&pod.status.container_statuses)
        };
        let all: Vec<_> = containers(&pod.spec)
            .map(|(role, spec)| {
                let status = said().find(|status| status.name == spec.name);
                (role, status.map_or_else(Container::new, container))
            })
            .collect();
        let initialized = all
            .iter()
            .any(|(role, container)| *role == Role::Main && container.has_run());
        let containers = all.into_iter().map(|(_, container)| container).collect();
        Some(Self {
            begun,
            containers,
            stopping: None,
            refused: None,
            initialized,
        })
    }
}

fn container(status: &ContainerStatus) -> Container {
    let restarts = u32::try_from(status.restart_count).unwrap_or(0);
    let terminated = |state: &Option<ContainerState>| state.as_ref()?.terminated.as_ref().map(ended);
    let last = terminated(&status.last_state);
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let stage = if let Some(running) = running {
        let since = running
            .started_at
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Stage::Running(Running { since, stop: None })
    } else if let Some(ended) = terminated(&status.state).or_else(|| last.clone()) {
        Stage::Ended(ended)
    } else {
        Stage::Idle
    };
    let wait = BACKOFF_SECONDS
        .0
        .saturating_mul(2_i64.saturating_pow(restarts.saturating_sub(1)));
    let since = last.as_ref().and_then(|last| last.finished);
    let backoff = since
        .filter(|_| restarts > 0)
        .map(|since| (wait.min(BACKOFF_SECONDS.1), since));
    Container {
        stage,
        last,
        restarts,
        backoff,
    }
}

fn ended(state: &ContainerStateTerminated) -> Ended {
    Ended {
        code: state.exit_code,
        reason: state.reason.clone().unwrap_or_default(),
        message: state.message.clone(),
        started: state.started_at.as_ref().map(|time| time.0),
        finished: state.finished_at.as_ref().map(|time| time.0),
    }
}
