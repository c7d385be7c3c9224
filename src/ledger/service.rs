//! EcsService status: what is decided for a service is written here first, in one conditional update. (design: step 1)

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};

use super::outcome::Outcome;
use super::{FIELD_MANAGER, Ledger, patch};
use crate::api::conditions::{self, State};
use crate::api::{EcsService, EcsServiceStatus, ServiceEvent, labels};
use crate::build::not_yet;
use crate::domain::records::{Allocation, DesiredStatus, LastStatus, SchedulingStrategy, StopMark};
use crate::plan::world::{Key, Service, World};
use crate::plan::{ServicePlan, Start, UNPLACED};
use crate::runtime::source;

/// Events kept in status. (EVT-1)
const EVENTS_MAX: usize = 100;
/// A repeated identical message is suppressed for this many seconds. (EVT-2)
const REPEAT_SECONDS: i64 = 6 * 3600;

/// A start with the id of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Id of the task.
    pub id: String,
    /// What is started where.
    pub start: Start,
}

/// Gives every start its id: the one allocated earlier, or a new one.
#[must_use]
pub fn draw_ids(plan: &ServicePlan) -> Vec<Placed> {
    let placed = |start: &Start| Placed {
        id: start.id.clone().unwrap_or_else(source::id),
        start: start.clone(),
    };
    plan.start.iter().map(placed).collect()
}

/// Whether a stop that was decided on is still to be carried out.
#[must_use]
pub fn due(world: &World, service: &Service, mark: &StopMark) -> bool {
    match world.task(&Key::new(&service.key.namespace, &mark.id)) {
        // still as it was decided on; anything else was carried out or is void
        Some(task) => task.wanted() && !mark.uid.is_empty() && task.version.to_string() == mark.task_version,
        None => mark.uid.is_empty() && given_out(world, service, &mark.id),
    }
}

/// Whether an id without a Task may become one: it stands in the service's list, or, a daemon's, among the shares.
fn given_out(world: &World, service: &Service, id: &str) -> bool {
    let reserved = || {
        let mut shares = world.instances.values().flat_map(|i| &i.reservations);
        shares.any(|r| {
            r.is_for(&service.key.namespace, id) && r.service.as_ref().is_some_and(|s| s.uid == service.uid)
        })
    };
    service.allocations.iter().any(|a| a.id == id) || reserved()
}

/// The lists after this pass: what was seen leaves them, what is decided enters them.
#[must_use]
pub fn lists(
    world: &World,
    service: &Service,
    plan: &ServicePlan,
    placed: &[Placed],
) -> (Vec<Allocation>, Vec<StopMark>) {
    let key = |id: &str| Key::new(&service.key.namespace, id);
    let mut allocations: Vec<Allocation> = service
        .allocations
        .iter()
        .filter(|a| world.task(&key(&a.id)).is_none())
        .cloned()
        .collect();
    if service.strategy == SchedulingStrategy::Replica {
        for Placed { id, start } in placed.iter().filter(|p| p.start.id.is_none()) {
            let created_at = world.now.to_string();
            allocations.push(Allocation {
                id: id.clone(),
                deployment: start.deployment.clone(),
                created_at,
            });
        }
    }
    let mut stopping: Vec<StopMark> = service
        .stopping
        .iter()
        .filter(|mark| due(world, service, mark))
        .cloned()
        .collect();
    for stop in &plan.stop {
        if !stopping.iter().any(|mark| mark.id == stop.task.name) {
            stopping.push(StopMark {
                id: stop.task.name.clone(),
                uid: stop.uid.clone(),
                task_version: stop.version.clone(),
                reason: stop.reason.clone(),
            });
        }
    }
    (allocations, stopping)
}

/// Adds event texts, newest first, leaving out what was said before and whose cause has not gone. (EVT-1, EVT-2)
pub fn add_events(
    events: &mut Vec<ServiceEvent>,
    name: &str,
    texts: &[String],
    now: Timestamp,
) -> Vec<String> {
    let mut said = Vec::new();
    for text in texts {
        let message: String = format!("(service {name}) {text}")
            .chars()
            .take(super::task::REASON_MAX)
            .collect();
        let repeats = !text.starts_with("has started ") && !text.starts_with("has stopped ");
        // a start or stop since then means that the cause had gone
        let still = events
            .iter()
            .take_while(|e| !e.message.contains(") has started ") && !e.message.contains(") has stopped "))
            .find(|e| e.message == message);
        let recent = still.is_some_and(|e| {
            e.created_at
                .parse::<Timestamp>()
                .is_ok_and(|at| now.duration_since(at).as_secs() < REPEAT_SECONDS)
        });
        if repeats && recent {
            continue;
        }
        events.insert(
            0,
            ServiceEvent {
                id: source::id(),
                created_at: now.to_string(),
                message: message.clone(),
            },
        );
        said.push(message);
    }
    events.truncate(EVENTS_MAX);
    said
}

/// Ids given out whose Tasks are seen now: this pass's planning write takes them off the list and tells the start, so
/// that each is told once, whoever created it. (EVT-10)
#[must_use]
pub fn arrived(world: &World, service: &Service) -> Vec<String> {
    let exists = |id: &&String| {
        let task = world.task(&Key::new(&service.key.namespace, *id));
        task.is_some_and(|task| !task.tombstone)
    };
    let ids = service.allocations.iter().map(|a| &a.id);
    ids.filter(exists).cloned().collect()
}

/// How the text begins that says what the user has to change.
pub const STALLED: &str = "is stalled";

/// Event texts of a planning write in the order in which things happened: what was stopped, what was started, what the
/// plan says. That tasks find no place is said only if `settled`: while others are on their way, it is said after them.
#[must_use]
pub fn texts(plan: &ServicePlan, started: &[String], stopped: &[String], settled: bool) -> Vec<String> {
    let mut texts = Vec::new();
    if !stopped.is_empty() {
        texts.push(stopped_text(stopped));
    }
    if !started.is_empty() {
        texts.push(started_text(started));
    }
    let now = |text: &&String| settled || !text.starts_with(UNPLACED);
    texts.extend(plan.events.iter().filter(now).cloned());
    if let Some(why) = &plan.stalled
        && !plan.events.iter().any(|event| why.ends_with(event))
    {
        texts.push(format!("{STALLED}: {why}"));
    }
    texts
}

/// EVT-10 for tasks that exist.
#[must_use]
fn started_text(ids: &[String]) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
    format!("has started {} tasks: {}.", ids.len(), list.join(" "))
}

/// EVT-11 for the tasks told to stop in a pass.
#[must_use]
fn stopped_text(ids: &[String]) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
    format!("has stopped {} running tasks: {}.", ids.len(), list.join(" "))
}

/// What the status says after this pass; `texts` are the events to add. Returns the messages that are new.
#[must_use]
pub fn next_status(
    world: &World,
    object: &EcsService,
    service: &Service,
    plan: &ServicePlan,
    placed: &[Placed],
    texts: &[String],
) -> (EcsServiceStatus, Vec<String>) {
    let old = object.status.clone().unwrap_or_default();
    let mut next = old.clone();
    let count = |last: fn(LastStatus) -> bool| {
        let tasks = world
            .tasks_of(&service.uid)
            .filter(|t| t.desired == DesiredStatus::Running && last(t.last));
        i64::try_from(tasks.count()).unwrap_or(i64::MAX)
    };
    if service.deleting { "DRAINING" } else { "ACTIVE" }.clone_into(&mut next.status);
    next.observed_generation = object.metadata.generation;
    next.desired_count = i64::from(plan.desired_count);
    next.running_count = count(|last| last == LastStatus::Running);
    next.pending_count = count(|last| last < LastStatus::Running);
    next.selector = Some(format!("{}={}", labels::SERVICE, object.name_any()));
    next.deployments.clone_from(&plan.deployments);
    (next.allocations, next.stopping) = lists(world, service, plan, placed);
    next.placement_failures.clone_from(&plan.failures);
    let [ready, progressing, stalled] = progress(plan);
    let unsupported = not_yet::of_service(&object.spec);
    let complete = if unsupported.is_empty() {
        State::yes("AllMembers", "every member has its effect")
    } else {
        State::no("NotYetSupported", &unsupported.join(" "))
    };
    let states = [
        ("Complete", complete),
        ("Ready", ready),
        ("Progressing", progressing),
        ("Stalled", stalled),
    ];
    next.conditions = conditions::merge(&old.conditions, &states, object.metadata.generation, world.now);
    let said = add_events(&mut next.events, &service.ecs_name, texts, world.now);
    if next != old {
        let newest = world.tasks_of(&service.uid).map(|t| t.version).max().unwrap_or(0);
        let seen = service.observed_task_version.max(world.task_version).max(newest);
        next.observed_task_version = Some(seen.to_string());
    }
    (next, said)
}

/// Ready, Progressing and Stalled.
fn progress(plan: &ServicePlan) -> [State; 3] {
    let moving = plan
        .warming
        .as_deref()
        .unwrap_or("tasks are being started or stopped");
    let failing = plan.failing.as_deref().filter(|_| !plan.steady);
    let ready = if plan.steady {
        State::yes("SteadyState", "the service has reached a steady state")
    } else if let Some(why) = &plan.stalled {
        State::no("Stalled", why)
    } else if !plan.failures.is_empty() {
        let parts = [Some(placement_summary(plan)), failing.map(str::to_owned)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        State::no("PlacementFailed", &parts.join("; "))
    } else if let Some(why) = failing {
        State::no("TasksFailToStart", why)
    } else {
        State::no("InProgress", moving)
    };
    let progressing = if plan.steady || plan.stalled.is_some() {
        State::no("Idle", "nothing is to be done")
    } else {
        State::yes("InProgress", moving)
    };
    let stalled = match (&plan.stalled, failing) {
        (Some(why), _) => State::yes("ActionNeeded", why),
        (None, Some(why)) if plan.impaired => State::yes("TasksFailToStart", why),
        (None, _) => State::no("AsExpected", "nothing is needed from the user"),
    };
    [ready, progressing, stalled]
}

fn placement_summary(plan: &ServicePlan) -> String {
    let parts: Vec<String> = plan
        .failures
        .iter()
        .take(5)
        .map(|f| {
            let detail = if f.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", f.detail)
            };
            format!("{}: {}{detail}", f.container_instance, f.reason)
        })
        .collect();
    let more = plan.failures.len().saturating_sub(parts.len());
    let tail = if more > 0 {
        format!("; and {more} more in status.placementFailures")
    } else {
        String::new()
    };
    format!("a task waits for room: {}{tail}", parts.join("; "))
}

impl Ledger {
    /// Writes a service's status, if it differs, on the version the plan was made on.
    pub async fn write_service(&self, object: &EcsService, next: &EcsServiceStatus) -> Outcome<()> {
        let before = object.status.clone().unwrap_or_default();
        let (uid, version) = (
            object.uid().unwrap_or_default(),
            object.resource_version().unwrap_or_default(),
        );
        let change = match &object.status {
            None => patch::whole("status", next, &uid, &version),
            Some(_) => patch::conditional("status", &before, next, &uid, &version),
        };
        let Some(change) = change else {
            return Outcome::Applied(());
        };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let api = self.services(&namespace);
        let outcome = self
            .send(
                "ecsservice",
                api.patch_status(&name, &params, &Patch::Merge(change)),
            )
            .await;
        if matches!(outcome, Outcome::Stale)
            && let Some(read) = self.send("ecsservice_get", api.get(&name)).await.applied()
        {
            self.cache.learn_service(read);
        }
        outcome.map(|answer| self.cache.learn_service(answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{Scene, definition, replica};

    #[test]
    fn a_service_says_which_of_its_members_have_no_effect_yet_cb_1() {
        let scene = Scene::new()
            .definition(definition("web:1", 1, 1))
            .service(replica("web", "web:1", 1));
        let says = |members: serde_json::Value| {
            let mut object: EcsService = serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsService",
                "metadata": { "name": "web", "namespace": "shop" },
                "spec": { "taskDefinition": "web", "desiredCount": 1 },
            }))
            .unwrap();
            object.spec.deployment_configuration = serde_json::from_value(members).unwrap();
            let plan = scene.plan("web");
            let (status, _) = next_status(&scene.world, &object, scene.get("web"), &plan, &[], &[]);
            let found = status
                .conditions
                .into_iter()
                .find(|c| c.type_ == "Complete")
                .unwrap();
            format!("{} {}: {}", found.status, found.reason, found.message)
        };
        assert_eq!(says(json!({})), "True AllMembers: every member has its effect");
        let said = says(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } }));
        assert!(
            said.starts_with("False NotYetSupported: deploymentConfiguration.deploymentCircuitBreaker"),
            "{said}"
        );
    }

    fn said(plan: &ServicePlan) -> Vec<String> {
        let shown = |s: &State| format!("{s:?}");
        progress(plan).iter().map(shown).collect()
    }

    #[test]
    fn conditions_name_what_the_user_has_to_change_and_nothing_else() {
        let failing = ServicePlan {
            failing: Some("the newest task t failed to start: no image".to_owned()),
            ..ServicePlan::default()
        };
        let once = said(&failing);
        assert!(
            once[0].contains("no image") && once[0].contains("TasksFailToStart"),
            "{once:?}"
        );
        assert!(once[2].contains("nothing is needed"), "{once:?}");
        let impaired = said(&ServicePlan {
            impaired: true,
            ..failing.clone()
        });
        assert!(
            impaired[2].contains("TasksFailToStart") && impaired[2].contains("no image"),
            "{impaired:?}"
        );
        let over = said(&ServicePlan {
            steady: true,
            impaired: true,
            ..failing
        });
        assert!(
            over[0].contains("SteadyState") && over[2].contains("nothing is needed"),
            "{over:?}"
        );
    }

    #[test]
    fn a_service_that_waits_for_health_by_age_says_so_health_1() {
        let mut scene = Scene::new()
            .instance(crate::plan::testing::instance("i1"))
            .definition(definition("web:1", 1, 1))
            .service(replica("web", "web:1", 1));
        let starting = scene.round("web");
        assert_eq!(starting.warming, None);
        scene.run_tasks();
        let plan = scene.plan("web");
        assert!(plan.start.is_empty() && plan.stop.is_empty());
        let young = said(&plan);
        assert!(
            young[0].contains("the tasks run") && young[0].contains("s after their start"),
            "{young:?}"
        );
        scene.advance(1000);
        assert_eq!(scene.plan("web").warming, None);
    }

    #[test]
    fn why_a_service_is_stalled_is_an_event_unless_another_says_it() {
        let stalled = |events: &[&str]| {
            let plan = ServicePlan {
                stalled: Some("The service was unable".to_owned()),
                events: events.iter().map(ToString::to_string).collect(),
                ..ServicePlan::default()
            };
            texts(&plan, &[], &[], true)
        };
        assert_eq!(stalled(&[]), ["is stalled: The service was unable"]);
        assert_eq!(stalled(&["was unable"]), ["was unable"]);
    }
}
