//! EcsServices: snapshot, plan, commit, report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::{ListParams, ObjectList, PartialObjectMeta};
use kube::runtime::events::{Event, EventType};
use kube::{Api, ResourceExt};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Context;
use super::errors::Error;
use super::queue::Action;
use crate::api::{EcsService, SchedulingStrategy, Task, finalizers};
use crate::domain::rollout::Bounds;
use crate::ledger::events::STALLED;
use crate::ledger::fence::FENCE;
use crate::plan::world::{Key, Service, World};
use crate::plan::{self, ServicePlan};
use crate::report::say::say;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// How long a plan waits for the Task store to catch up before it is put off.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Longest time to list all Tasks, by name and version alone.
const LIST_ALL: Duration = Duration::from_secs(10);
/// Most looks for a snapshot without gaps, while tasks of the service change.
const LOOKS_MAX: usize = 10;
/// Wait before planning again after somebody else moved something.
const AGAIN: Duration = Duration::from_millis(40);
/// Wait before trying again what was refused, such as a tombstone in a namespace that is going away.
const RETRY: Duration = Duration::from_secs(2);
/// A plan that found nothing to do is followed by a rest of so many times the time it took.
const REST: u32 = 5;
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(1);
/// Plans are made anew at least this often; that costs no request.
const RESYNC: Duration = Duration::from_secs(300);

/// Plans a service on the newest snapshot and carries the plan out.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(object) = context.cache.services.get(&key) else {
        return Ok(Action::await_change());
    };
    let deleting = object.metadata.deletion_timestamp.is_some();
    if !deleting && !object.finalizers().iter().any(|f| f == finalizers::SERVICE) {
        context.applier.hold_service(&object).await?;
    }
    let Some((world, recorded)) = complete(&context, &key).await else {
        context.metrics.waited("Task");
        return Ok(Action::requeue(jittered(CATCH_UP)));
    };
    let Some(object) = context.cache.services.get(&key) else {
        return Ok(Action::await_change());
    };
    let begun = Instant::now();
    let Some(mut service) = world.services.get(&key).cloned() else {
        return Ok(Action::await_change());
    };
    if recorded == Recorded::False {
        // what is written next records the version that is planned on
        Arc::make_mut(&mut service).observed_task_version = 0;
    }
    if service.version != crate::cache::store::version_of(object.as_ref()) {
        return Ok(Action::requeue(jittered(AGAIN)));
    }
    let due = plan::daemons_due(&world, &service);
    if context.ledger.lane().gives_way(&key, !due.is_empty()) {
        for daemon in due {
            context.queues.services.push(daemon);
        }
        return Ok(Action::requeue(jittered(AGAIN)));
    }
    let plan = plan::service(&world, &key);
    let thought = begun.elapsed();
    debug!(service = %key, starts = plan.start.len(), stops = plan.stop.len(), ?thought, "planned");
    context.metrics.planned("start", plan.start.len());
    context.metrics.planned("stop", plan.stop.len());
    if !plan.start.is_empty() || world.tasks_of(&service.uid).any(|task| task.alive()) {
        context.applier.ensure_hold(&key.namespace).await?;
    }
    let report = context.ledger.commit(&world, &object, &service, &plan).await;
    for instance in &report.release {
        context.queues.instances.push_named(instance);
    }
    publish(&context, &object, &report.said).await;
    context.applier.keep_floor(&object, floor(&service)).await;
    if deleting {
        give_up(&context, &world, &service);
    }
    let given_up = |key: &Key| context.ledger.fences().given_up(&key.namespace, &key.name);
    if deleting && finished(&world, &service, &plan, &given_up) {
        context.applier.release_service(&object).await?;
        return Ok(Action::await_change());
    }
    if report.again {
        return Ok(Action::requeue(jittered(AGAIN)));
    }
    if report.later {
        return Ok(Action::requeue(jittered(CATCH_UP)));
    }
    let wake = plan
        .wake_at
        .map(|at| Duration::try_from(at.duration_since(world.now)).unwrap_or_default());
    if deleting || !service.stopping.is_empty() {
        // what could not be stopped or cancelled is tried again
        return Ok(Action::requeue(jittered(RETRY)));
    }
    let wake = wake.map_or(RESYNC, |wake| {
        wake.saturating_add(Duration::from_millis(50)).min(RESYNC)
    });
    let wake = report.put_off.map_or(wake, |put_off| wake.min(put_off));
    // where plans take long, those that found nothing to do leave the time to others
    let idle = plan.start.is_empty() && plan.stop.is_empty();
    let rest = if idle {
        thought.saturating_mul(REST).min(REST_MAX)
    } else {
        Duration::ZERO
    };
    Ok(Action::requeue(wake).resting(rest))
}

/// A snapshot for planning a service, without gaps: all Tasks are known up to the version of its last decision, and up to the
/// newest of its tasks that is known. The answer to a write of ours shows one task, not what happened to others before.
/// `None`: they are not known yet.
async fn complete(context: &Context, key: &Key) -> Option<(World, Recorded)> {
    let needed = |world: &World| {
        let service = world.services.get(key)?;
        let newest = world.tasks_of(&service.uid).map(|task| task.version).max();
        Some(service.observed_task_version.max(newest.unwrap_or(0)))
    };
    let draw = context.cache.services.get(key).map_or(0, |object| seed(&object));
    let mut world = context.cache.snapshot(source::now(), draw);
    for _ in 0..LOOKS_MAX {
        let version = needed(&world).unwrap_or(0);
        // nobody plans on an older Task store than the last decision was made on
        let recorded = if context.cache.tasks.reached(version, CATCH_UP).await {
            Recorded::Reached
        } else {
            caught_up(context, version).await
        };
        if recorded == Recorded::Ahead {
            return None;
        }
        world = context.cache.snapshot(source::now(), draw);
        if needed(&world).unwrap_or(0) <= version {
            return Some((world, recorded));
        }
    }
    None
}

/// How the Task version that a service's last decision was made on stands to what this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    /// All Tasks up to it are known.
    Reached,
    /// Not all are known yet.
    Ahead,
    /// It lies in a future that never was: etcd was restored, or somebody wrote the status. All there is is known.
    False,
}

/// Asks the API server itself how far Tasks have come: in a quiet cluster no event carries the store on.
async fn caught_up(context: &Context, observed: u64) -> Recorded {
    let api: Api<Task> = Api::all(context.client.clone());
    let page = tokio::time::timeout(CATCH_UP, api.list_metadata(&ListParams::default().limit(1))).await;
    let version = |page: &ObjectList<PartialObjectMeta<Task>>| {
        page.metadata.resource_version.as_ref()?.parse::<u64>().ok()
    };
    let Some(now) = page.ok().and_then(Result::ok).as_ref().and_then(version) else {
        return Recorded::Ahead;
    };
    if now >= observed {
        // everything up to `now` is on its way on the watch; a bookmark or event brings the store there
        let reached = context.cache.tasks.reached(observed, CATCH_UP).await;
        return if reached {
            Recorded::Reached
        } else {
            Recorded::Ahead
        };
    }
    // no event may come for long: what is known is compared with all there is
    let all = tokio::time::timeout(LIST_ALL, api.list_metadata(&ListParams::default())).await;
    let Ok(Ok(all)) = all else { return Recorded::Ahead };
    let known: BTreeSet<_> = context
        .cache
        .tasks
        .all()
        .iter()
        .map(|task| identity(&task.metadata))
        .collect();
    let there: BTreeSet<_> = all.items.iter().map(|task| identity(&task.metadata)).collect();
    if known != there {
        return Recorded::Ahead;
    }
    warn!(
        observed,
        now, "the recorded Task version is ahead of the API server: it is not believed"
    );
    Recorded::False
}

fn identity(object: &ObjectMeta) -> (Option<String>, Option<String>) {
    (object.uid.clone(), object.resource_version.clone())
}

/// Choices among equals change with every version of the service, and are the same for the same one.
fn seed(object: &EcsService) -> u64 {
    crate::cache::store::version_of(object)
}

/// How many Pods of the service evictions must leave. Daemons are held altogether.
fn floor(service: &Service) -> u32 {
    match service.strategy {
        _ if service.deleting => 0,
        SchedulingStrategy::Daemon => 0,
        SchedulingStrategy::Replica => {
            Bounds::new(
                service.desired_count,
                service.minimum_healthy_percent,
                service.maximum_percent,
            )
            .lower
        }
    }
}

/// Ids given out that can't become Tasks any more although no tombstone can be made: the namespace is going away, and
/// so is whoever might still create one. (F1)
fn give_up(context: &Context, world: &World, service: &Service) {
    let namespace = &service.key.namespace;
    let known = context.cache.namespaces.named(namespace);
    if known.is_some_and(|n| n.metadata.deletion_timestamp.is_none()) {
        return;
    }
    let fences = context.ledger.fences();
    for id in service.allocations.iter().map(|a| &a.id) {
        let missing = world.task(&Key::new(namespace, id)).is_none();
        if missing && fences.unseen_for(namespace, id) >= FENCE {
            fences.give_up(namespace, id);
        }
    }
}

/// Whether a deleted service may go: no task of it lives, its lists are empty, no share is left. (SVC-3)
fn finished(world: &World, service: &Service, plan: &ServicePlan, given_up: &impl Fn(&Key) -> bool) -> bool {
    let held = || {
        let mut shares = world.holding(&service.uid).flat_map(|i| &i.reservations);
        shares.any(|r| {
            r.namespace == service.key.namespace && r.service.as_ref().is_some_and(|s| s.uid == service.uid)
        })
    };
    plan.start.is_empty()
        && plan.stop.is_empty()
        && service
            .allocations
            .iter()
            .map(|a| Key::new(&service.key.namespace, &a.id))
            .all(|key| world.task(&key).is_some() || given_up(&key))
        && world.tasks_of(&service.uid).all(|task| !task.alive())
        && !held()
}

/// Publishes service events as Kubernetes events; failures are dropped, an event never fails a reconcile.
async fn publish(context: &Context, object: &EcsService, messages: &[String]) {
    for message in messages.iter().rev() {
        // the service's name is the user's: only what follows it decides
        let text = message
            .split_once(") ")
            .map_or(message.as_str(), |(_, text)| text);
        let warning = ["was unable to", "is unable to", "failed", STALLED]
            .iter()
            .any(|part| text.contains(part));
        let (reason, action) = words(text);
        let event = Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(message.clone()),
            // equal events within minutes become one series that keeps its first note: what varies goes in here
            action: format!("{action}-{}", short_hash(message)),
            secondary: None,
        };
        if !say(&context.recorder, &event, &object.object_ref(&())).await {
            // whoever does not take this one does not take the next one
            return;
        }
    }
}

fn words(message: &str) -> (&'static str, &'static str) {
    for (part, reason, action) in [
        (STALLED, "Stalled", "Schedule"),
        ("has started", "TasksStarted", "Start"),
        ("has stopped", "TasksStopped", "Stop"),
        ("unable to scale in", "ScaleInBlocked", "Stop"),
        ("steady state", "SteadyState", "Settle"),
        ("deployment completed", "DeploymentCompleted", "Deploy"),
        ("deployment failed", "DeploymentFailed", "Deploy"),
        ("rolling back", "DeploymentRollback", "Deploy"),
        ("AZ balanced", "AvailabilityZoneRebalancing", "Rebalance"),
        ("unable to place", "TaskPlacementFailure", "Place"),
        ("unable to stop or start", "DeploymentBlocked", "Deploy"),
        ("unable to consistently start", "TaskStartImpaired", "Start"),
        ("constraint", "DaemonPlacementConstraintViolated", "Stop"),
    ] {
        if message.contains(part) {
            return (reason, action);
        }
    }
    ("ServiceEvent", "Schedule")
}

fn short_hash(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::records::Allocation;
    use crate::plan::testing::{Scene, definition, key, replica};

    #[test]
    fn event_texts_become_kubernetes_events_with_a_reason_eb_5_eb_6() {
        for (text, reason) in [
            ("has started 1 tasks: (task t).", "TasksStarted"),
            ("has stopped 1 running tasks: (task t).", "TasksStopped"),
            ("has reached a steady state.", "SteadyState"),
            (
                "(deployment ecs-svc/1) deployment completed.",
                "DeploymentCompleted",
            ),
            (
                "(deployment ecs-svc/1) deployment failed: tasks failed to start.",
                "DeploymentFailed",
            ),
            ("rolling back to deployment ecs-svc/1.", "DeploymentRollback"),
            ("was unable to place a task because no …", "TaskPlacementFailure"),
            (
                "stopped (task t) because (container-instance i) no longer satisfies the placement constraints of the \
                 daemon (SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED).",
                "DaemonPlacementConstraintViolated",
            ),
            (
                "was unable to reach steady state because task set (ecs-svc/1) was unable to scale in. Reason: The \
                 number of protected tasks are more than the desired count of tasks.",
                "ScaleInBlocked",
            ),
            (
                "is unable to consistently start tasks successfully.",
                "TaskStartImpaired",
            ),
        ] {
            assert_eq!(words(text).0, reason, "{text}");
        }
    }

    #[test]
    fn a_deleted_service_waits_for_an_id_until_its_task_is_seen_or_given_up() {
        let mut scene = Scene::new()
            .definition(definition("web:1", 100, 100))
            .service(replica("web", "web:1", 1));
        scene.edit_service("web", |service| {
            service.deleting = true;
            service.allocations = vec![Allocation {
                id: "a".to_owned(),
                deployment: "ecs-svc/1".to_owned(),
                created_at: String::new(),
                availability_zone: None,
            }];
        });
        let done = |given_up: bool| {
            let plan = ServicePlan::default();
            finished(&scene.world, scene.get("web"), &plan, &|found| {
                given_up && *found == key("a")
            })
        };
        assert!(!done(false), "a late create may come");
        assert!(done(true));
    }
}
