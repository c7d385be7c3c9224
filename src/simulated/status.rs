//! What a kubelet says about a Pod.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::life::{Cause, Container, Ended, Facts, Life, Role, Stage, containers};
use super::wire::{Condition, Container as ContainerSpec, holds};

/// What stands in a status beside the life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) host_ip: &'a str,
    pub(crate) pod_ip: &'a str,
    pub(crate) generation: Option<i64>,
    /// Conditions that stand there, the kubelet's own and others.
    pub(crate) conditions: &'a [Condition],
}

const UNKNOWN: &str = "ContainerStatusUnknown";
const NOT_LOCATED: &str = "The container could not be located when the pod was terminated";

/// A container with all that is said about it.
struct Seen<'a> {
    role: Role,
    spec: &'a ContainerSpec,
    container: &'a Container,
    started: bool,
    ready: bool,
    /// Nobody knows how it ended, or whether it ran.
    lost: bool,
}

/// The status of a Pod and its conditions.
pub(crate) fn status(
    life: &Life,
    facts: &Facts<'_>,
    place: &Place<'_>,
    now: Timestamp,
) -> (Value, Vec<Condition>) {
    if let Some((reason, message)) = &life.refused {
        let status = json!({"phase": "Failed", "reason": reason, "message": message});
        return refused(status, place, now);
    }
    let seen = see(life, facts, now);
    let phase = phase(&seen, life);
    let conditions = conditions(&seen, phase, facts, place, now);
    let of = |init: bool| {
        let some = seen.iter().filter(|seen| (seen.role != Role::Main) == init);
        some.map(|seen| container_status(seen, facts)).collect::<Vec<_>>()
    };
    let mut status = json!({
        "phase": phase,
        "startTime": time(life.begun),
        "hostIP": place.host_ip,
        "hostIPs": [{"ip": place.host_ip}],
        "podIP": place.pod_ip,
        "podIPs": [{"ip": place.pod_ip}],
        "conditions": conditions.iter().map(condition_value).collect::<Vec<_>>(),
        "containerStatuses": of(false),
    });
    let init = of(true);
    put(
        &mut status,
        "initContainerStatuses",
        (!init.is_empty()).then(|| init.into()),
    );
    put(
        &mut status,
        "observedGeneration",
        place.generation.map(Into::into),
    );
    if life
        .stopping
        .is_some_and(|stopping| stopping.cause == Cause::Deadline)
        && phase == "Failed"
    {
        put(&mut status, "reason", Some("DeadlineExceeded".into()));
        let message = "Pod was active on the node longer than the specified deadline";
        put(&mut status, "message", Some(message.into()));
    }
    (status, conditions)
}

/// A Pod that had begun and is refused now has no containers any more and is not ready.
fn refused(mut status: Value, place: &Place<'_>, now: Timestamp) -> (Value, Vec<Condition>) {
    let known = |type_: &str| place.conditions.iter().find(|condition| condition.type_ == type_);
    let conditions = ["Ready", "ContainersReady"].into_iter().filter_map(known);
    let conditions: Vec<Condition> = conditions
        .map(|before| Condition {
            status: "False".to_owned(),
            reason: "PodFailed".to_owned(),
            message: String::new(),
            last_transition_time: before
                .last_transition_time
                .filter(|_| before.status == "False")
                .or(Some(now)),
            ..before.clone()
        })
        .collect();
    if !conditions.is_empty() {
        let values = conditions.iter().map(condition_value).collect::<Vec<_>>();
        put(&mut status, "conditions", Some(values.into()));
        put(&mut status, "containerStatuses", Some(Value::Null));
        put(&mut status, "initContainerStatuses", Some(Value::Null));
    }
    (status, conditions)
}

fn put(to: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(members), Some(value)) = (to, value) {
        members.insert(name.to_owned(), value);
    }
}

/// As `metav1.Time` is written.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn see<'a>(life: &'a Life, facts: &Facts<'a>, now: Timestamp) -> Vec<Seen<'a>> {
    let health = life.health(facts, now);
    let all = life.containers.iter().zip(containers(facts.spec)).zip(health);
    let mut seen: Vec<Seen<'a>> = all
        .map(|((container, (role, spec)), (started, ready))| {
            let succeeded = container.ended().is_some_and(|ended| ended.code == 0);
            let ready = ready && role != Role::Init || role == Role::Init && succeeded;
            Seen {
                role,
                spec,
                container,
                started,
                ready,
                lost: false,
            }
        })
        .collect();
    if life.is_over() {
        mark_lost(&mut seen);
    }
    seen
}

/// Of a Pod that is over, what has no end that was seen counts as failed, unless it cannot have begun.
fn mark_lost(seen: &mut [Seen<'_>]) {
    let begun = |seen: &Seen<'_>| seen.container.has_run();
    let last_init = seen.iter().rev().find(|seen| seen.role != Role::Main);
    let initialized = last_init.is_none_or(|seen| seen.ready)
        || seen.iter().any(|seen| seen.role == Role::Main && begun(seen));
    let inits = seen
        .iter()
        .enumerate()
        .filter(|(_, seen)| seen.role != Role::Main && begun(seen));
    let inits_begun = inits
        .max_by_key(|(index, _)| *index)
        .map_or(0, |(index, _)| index);
    for (index, seen) in seen.iter_mut().enumerate() {
        let counts = if seen.role == Role::Main {
            initialized
        } else {
            index <= inits_begun
        };
        seen.lost = counts && seen.container.ended().is_none();
    }
}

fn code(seen: &Seen<'_>) -> Option<i32> {
    if seen.lost {
        Some(137)
    } else {
        seen.container.ended().map(|ended| ended.code)
    }
}

/// The phase, as the kubelet makes it from its containers.
fn phase(seen: &[Seen<'_>], life: &Life) -> &'static str {
    if life.is_over() {
        let mut mains = seen.iter().filter(|seen| seen.role == Role::Main);
        let deadline = life
            .stopping
            .is_some_and(|stopping| stopping.cause == Cause::Deadline);
        return if !deadline && mains.all(|seen| code(seen) == Some(0)) {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    let mut initialized = true;
    let (mut waiting, mut running, mut stopped) = (0_usize, 0_usize, 0_usize);
    for seen in seen {
        let last = seen.container.last.is_some();
        match (&seen.container.stage, seen.role) {
            (Stage::Running(_), Role::Init) => initialized = false,
            (Stage::Running(_), Role::Sidecar) => {
                initialized &= seen.started || life.is_initialized();
                running = running.saturating_add(1);
            }
            (Stage::Running(_), Role::Main) => running = running.saturating_add(1),
            (Stage::Ended(_), Role::Main) => stopped = stopped.saturating_add(1),
            (_, Role::Main) if last => stopped = stopped.saturating_add(1),
            (_, Role::Main) => waiting = waiting.saturating_add(1),
            (Stage::Ended(_), _) => {}
            (_, Role::Init) => initialized &= last,
            (_, Role::Sidecar) => initialized &= last || life.is_initialized(),
        }
    }
    match (initialized && waiting == 0, running.saturating_add(stopped)) {
        (true, 1..) => "Running",
        _ => "Pending",
    }
}

fn conditions(
    seen: &[Seen<'_>],
    phase: &str,
    facts: &Facts<'_>,
    place: &Place<'_>,
    now: Timestamp,
) -> Vec<Condition> {
    let list = |text: &str, names: &[&str]| format!("{text}: [{}]", names.join(" "));
    let names = |which: &dyn Fn(&Seen<'_>) -> bool| -> Vec<&str> {
        seen.iter()
            .filter(|seen| which(seen))
            .map(|seen| seen.spec.name.as_str())
            .collect()
    };
    let unready = names(&|seen| seen.role != Role::Init && !seen.ready);
    let incomplete = names(&|seen| match seen.role {
        Role::Main => false,
        Role::Init => !seen.ready,
        Role::Sidecar => !seen.started,
    });
    let any_main = seen
        .iter()
        .any(|seen| seen.role == Role::Main && seen.container.has_run());
    let initialized = match phase {
        "Succeeded" => (true, "PodCompleted", String::new()),
        _ if any_main || incomplete.is_empty() => (true, "", String::new()),
        _ => (
            false,
            "ContainersNotInitialized",
            list("containers with incomplete status", &incomplete),
        ),
    };
    let containers_ready = match phase {
        "Succeeded" => (false, "PodCompleted", String::new()),
        "Failed" => (false, "PodFailed", String::new()),
        _ if unready.is_empty() => (true, "", String::new()),
        _ => (
            false,
            "ContainersNotReady",
            list("containers with unready status", &unready),
        ),
    };
    let ready = if containers_ready.0 {
        gates(facts, place)
    } else {
        containers_ready.clone()
    };
    let sandbox = !["Succeeded", "Failed"].contains(&phase);
    let all = [
        ("PodReadyToStartContainers", (sandbox, "", String::new())),
        ("Initialized", initialized),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
        ("PodScheduled", (true, "", String::new())),
    ];
    all.into_iter()
        .map(|(type_, (holds, reason, message))| {
            let status = if holds { "True" } else { "False" };
            let before = place
                .conditions
                .iter()
                .find(|c| c.type_ == type_ && c.status == status);
            Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                observed_generation: place.generation,
                last_transition_time: before.and_then(|c| c.last_transition_time).or(Some(now)),
            }
        })
        .collect()
}

/// What others have to say before a Pod is ready.
fn gates(facts: &Facts<'_>, place: &Place<'_>) -> (bool, &'static str, String) {
    let missing = facts
        .spec
        .readiness_gates
        .iter()
        .map(|gate| gate.condition_type.as_str());
    let missing: Vec<String> = missing
        .filter(|gate| !holds(place.conditions, gate))
        .map(|gate| match place.conditions.iter().find(|c| c.type_ == gate) {
            Some(condition) => {
                format!(
                    "the status of pod readiness gate \"{gate}\" is not \"True\", but {}",
                    condition.status
                )
            }
            None => format!("corresponding condition of pod readiness gate \"{gate}\" does not exist."),
        })
        .collect();
    if missing.is_empty() {
        (true, "", String::new())
    } else {
        (false, "ReadinessGatesNotReady", missing.join(", "))
    }
}

fn condition_value(condition: &Condition) -> Value {
    let mut value = json!({
        "type": condition.type_, "status": condition.status, "lastProbeTime": null,
        "lastTransitionTime": condition.last_transition_time.map(time),
        // taken off when there is none
        "reason": (!condition.reason.is_empty()).then_some(&condition.reason),
        "message": (!condition.message.is_empty()).then_some(&condition.message),
    });
    put(
        &mut value,
        "observedGeneration",
        condition.observed_generation.map(Into::into),
    );
    value
}

fn container_status(seen: &Seen<'_>, facts: &Facts<'_>) -> Value {
    let Seen { spec, container, .. } = seen;
    let [_, _, uid] = facts.names;
    let id = |restarts: u32| {
        format!(
            "simulated://{}",
            digest(&[uid, &spec.name, &restarts.to_string()])
        )
    };
    let restarts = container.restarts;
    let mut state = Map::new();
    let (kind, value) = match &container.stage {
        _ if seen.lost => {
            let times = json!(null);
            let value = json!({"exitCode": 137, "reason": UNKNOWN, "message": NOT_LOCATED,
                "startedAt": times, "finishedAt": times});
            ("terminated", value)
        }
        Stage::Running(running) => ("running", json!({"startedAt": time(running.since)})),
        Stage::Ended(ended) => ("terminated", terminated(ended, &id(restarts))),
        other => ("waiting", waiting(other, spec, facts)),
    };
    state.insert(kind.to_owned(), value);
    let has_run = container.has_run();
    let image = &spec.image;
    let repository = image
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .map_or(image.as_str(), |(name, _)| name);
    let mut value = json!({
        "name": spec.name, "image": image, "restartCount": restarts, "ready": seen.ready,
        "started": seen.started, "state": state, "lastState": {},
        "imageID": if has_run { format!("{repository}@sha256:{}", digest(&[image])) } else { String::new() },
    });
    if has_run {
        put(&mut value, "containerID", Some(id(restarts).into()));
    }
    if let Some(last) = &container.last {
        let before =
            id(restarts.saturating_sub(u32::from(container.is_running() || container.ended().is_some())));
        put(
            &mut value,
            "lastState",
            Some(json!({"terminated": terminated(last, &before)})),
        );
    }
    value
}

fn terminated(ended: &Ended, id: &str) -> Value {
    let mut value = json!({
        "exitCode": ended.code, "reason": ended.reason, "containerID": id,
        "startedAt": ended.started.map(time), "finishedAt": ended.finished.map(time),
    });
    put(&mut value, "message", ended.message.clone().map(Into::into));
    value
}

fn waiting(stage: &Stage, spec: &ContainerSpec, facts: &Facts<'_>) -> Value {
    let [namespace, name, uid] = facts.names;
    match stage {
        Stage::Held(why) => {
            let (reason, message) = why
                .split_once(": ")
                .unwrap_or((why, "an annotation of the Pod holds it"));
            json!({"reason": reason, "message": message})
        }
        Stage::BackOff { seconds, .. } => {
            let wait = match (seconds.checked_div(60), seconds.checked_rem(60)) {
                (Some(minutes @ 1..), Some(seconds)) => format!("{minutes}m{seconds}s"),
                _ => format!("{seconds}s"),
            };
            let whom = format!("container={} pod={name}_{namespace}({uid})", spec.name);
            json!({"reason": "CrashLoopBackOff", "message": format!("back-off {wait} restarting failed {whom}")})
        }
        _ if facts.spec.init_containers.is_empty() => json!({"reason": "ContainerCreating"}),
        _ => json!({"reason": "PodInitializing"}),
    }
}

/// 64 hex digits that stand for these texts: the same every time.
pub(crate) fn digest(texts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut digits = String::with_capacity(64);
    for round in 0..4_u8 {
        for byte in texts
            .iter()
            .flat_map(|text| text.bytes().chain([0xff]))
            .chain([round])
        {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // writing to a String does not fail
        let _ = write!(digits, "{hash:016x}");
    }
    digits
}
