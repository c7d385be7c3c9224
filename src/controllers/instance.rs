//! ContainerInstances: status from the Node, repair of the ledger, deregistration. (CI-6 to CI-8, DRAIN-23)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::Instant;
use tracing::error;

use super::Context;
use super::errors::Error;
use super::hold;
use super::queue::Action;
use crate::api::{
    ContainerInstance, ContainerInstanceStatus, EcsCluster, InstanceStatus, TaskSpec, finalizers,
};
use crate::build;
use crate::cache::convert;
use crate::cache::node::{describe as describe_node, pod_ended};
use crate::cache::task_of;
use crate::domain::records::{Reservation, SchedulingStrategy, StopCode};
use crate::ledger::commit::service_task;
use crate::ledger::describe::{Bound, Surroundings, describe};
use crate::ledger::lane::Due;
use crate::ledger::membership::GRACE;
use crate::ledger::outcome::Outcome;
use crate::ledger::pod::belongs;
use crate::ledger::queue;
use crate::ledger::service::Placed;
use crate::plan;
use crate::plan::world::{Key, World};
use crate::report::say::say;
use crate::runtime::source;

/// A reservation whose Task does not show up for this long is looked into: its creator may have crashed.
const UNSEEN: Duration = Duration::from_secs(3);
/// The status is compared with the world at least this often; that costs no request.
const RESYNC: Duration = Duration::from_secs(300);

/// Brings the instance's status up to date and repairs its ledger.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(object) = context.cache.instances.named(&key.name) else {
        return Ok(Action::await_change());
    };
    let node = match context.cache.nodes.named(&key.name) {
        Some(node) => Some(node),
        None => live_node(&context, &key.name).await?.map(Arc::new),
    };
    let cluster = match context.cache.clusters.named(&object.spec.cluster) {
        Some(cluster) => cluster,
        // its finalizer was taken off by hand
        None => Arc::new(deleted(&object.spec.cluster)?),
    };
    if object.metadata.deletion_timestamp.is_some() && node.is_some() {
        force_deregistration(&context, &object).await?;
    }
    end_orphans(&context, &key.name, node.is_some()).await;
    let wake = repair(&context, &object).await;
    let facts = node.as_ref().map(|node| describe_node(node, &cluster));
    let cache = context.cache.clone();
    let fences = context.ledger.fences();
    // from the first look at an instance until its daemons have their Pods, replicas give way
    let lane = object.status.is_none().then(|| context.ledger.lane().enter());
    let looked = Instant::now();
    let (known, wake_lost) = without_share(&context, &object).await;
    let outcome = context
        .ledger
        .describe_instance(&key.name, |newest| {
            let world = cache.snapshot(source::now(), 0);
            let mut bound = bound_tasks(&context, &world, &key.name);
            bound.retain(|b| !lacks_share(b, newest) || known.contains(&b.task.key));
            let around = Surroundings {
                node: facts.as_ref(),
                on_cordon: cluster.spec.on_cordon,
                drain_timeout_seconds: cluster.spec.drain_timeout_seconds,
                task: &|key| world.task(key).cloned(),
                bound: &bound,
                foreign: &|share| cache.foreign(&key.name, share),
                given_up: &|entry: &Reservation| fences.given_up(&entry.namespace, &entry.task),
                now: world.now,
            };
            let mut status = describe(newest, &around);
            queue::settle(newest, &mut status, &world);
            let due = due_with(&world, newest, &status);
            (status, due)
        })
        .await;
    let put_off = match outcome {
        Outcome::Applied(described) => {
            for due in &described.given {
                let namespace = &due.service.key.namespace;
                context.applier.ensure_hold(namespace).await?;
            }
            let lane = lane.or_else(|| (!described.given.is_empty()).then(|| context.ledger.lane().enter()));
            if context
                .ledger
                .start_given(&key.name, described.given, looked)
                .await
            {
                context.queues.instances.push_named(&key.name);
            }
            drop(lane);
            if let Some(note) = described.newer {
                warn_of(&context, &object, note).await;
            }
            described.put_off
        }
        Outcome::Gone => None,
        other => return other.certain().map(|_| Action::await_change()),
    };
    disown(&context, &key.name).await;
    let wake_deadline = end_drain(&context, &key.name).await;
    let newest = context.cache.instances.named(&key.name);
    if newest.is_some_and(|o| {
        o.status
            .as_ref()
            .is_some_and(|s| s.status == InstanceStatus::Inactive)
    }) {
        deregister(&context, &key.name).await;
    } else {
        context.applier.hold_instance(&object).await?;
    }
    if let (Some(node), Some(taint)) = (&node, &cluster.spec.startup_taint) {
        lift_startup_taint(&context, node, taint).await?;
    }
    let wakes = [wake, put_off, wake_lost, wake_deadline];
    let wake = wakes.into_iter().flatten().min();
    Ok(Action::requeue(wake.unwrap_or(RESYNC.min(GRACE))))
}

/// An EcsCluster that is gone, as the last thing that was to be seen of it: being deleted, with no settings of its own.
fn deleted(name: &str) -> Result<EcsCluster, Error> {
    let spec = serde_json::from_value(json!({})).map_err(|error| Error::Refused(error.to_string()))?;
    let mut cluster = EcsCluster::new(name, spec);
    cluster.metadata.deletion_timestamp = Some(Time(source::now()));
    Ok(cluster)
}

/// Publishes what the status can't say because it must not be written; a failure is dropped.
async fn warn_of(context: &Context, object: &ContainerInstance, note: String) {
    let event = Event {
        type_: EventType::Warning,
        reason: "LedgerIsNewer".to_owned(),
        note: Some(note),
        action: "Describe".to_owned(),
        secondary: None,
    };
    say(&context.recorder, &event, &object.object_ref(&())).await;
}

/// Lets Pods of others come once the daemons that belong on the node run there.
async fn lift_startup_taint(context: &Context, node: &Node, taint: &str) -> Result<(), Error> {
    let world = context.cache.snapshot(source::now(), 0);
    let instance = world.instances.get(&node.name_any());
    if instance.is_some_and(|instance| crate::plan::daemons_run(&world, instance)) {
        context.applier.lift_startup_taint(node, taint).await?;
    }
    Ok(())
}

/// Daemons that are due on the instance as it is described now.
fn due_with(world: &World, object: &ContainerInstance, status: &ContainerInstanceStatus) -> Vec<Due> {
    let described = ContainerInstance {
        status: Some(status.clone()),
        ..object.clone()
    };
    let instance = convert::instance(&described);
    let due = plan::daemons_due_on(world, &instance).into_iter();
    due.map(|(service, start)| Due {
        service,
        placed: Placed {
            id: source::id(),
            start,
        },
    })
    .collect()
}

/// Whether the Node exists, asked of the API server itself.
pub(super) async fn live_node(context: &Context, name: &str) -> Result<Option<Node>, Error> {
    let api: Api<Node> = Api::all(context.client.clone());
    match tokio::time::timeout(crate::ledger::REQUEST_TIMEOUT, api.get_opt(name)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Error::Uncertain(error.to_string())),
        Err(_) => Err(Error::Uncertain("no answer within the deadline".to_owned())),
    }
}

fn bound_tasks(context: &Context, world: &World, instance: &str) -> Vec<Bound> {
    let pod_of = |key: &Key| {
        let object = context.cache.tasks.get(key)?;
        let name = build::pod_name(&object)?;
        let pod = context.cache.pods.get(&Key::new(&key.namespace, name))?;
        let spec = pod.spec.as_ref().filter(|_| !pod_ended(&pod));
        spec.map(|spec| spec.takes.clone())
    };
    let bound = |task: &Arc<crate::plan::world::Task>| {
        let object = context.cache.tasks.get(&task.key);
        let had_pod = object.is_some_and(|o| o.status.as_ref().is_some_and(|s| s.pod.is_some()));
        Bound {
            task: task.clone(),
            pod: pod_of(&task.key),
            expects_share: task.alive() && had_pod,
        }
    };
    world.tasks_on(instance).map(bound).collect()
}

/// Whether a task is owed a share of the instance and has none.
fn lacks_share(bound: &Bound, object: &ContainerInstance) -> bool {
    let key = &bound.task.key;
    let mut entries = object.status.iter().flat_map(|s| &s.reservations);
    let owed = bound.task.alive() && (bound.expects_share || bound.pod.is_some());
    owed && !entries.any(|entry| entry.is_for(&key.namespace, &key.name))
}

/// The tasks that are owed a share of the instance, have none, and are there still, as the API server itself says: what is
/// known here of Tasks may be old, and the share of one that has ended must not come back. What nobody can say now is asked
/// again after the time given. (I5)
async fn without_share(context: &Context, object: &ContainerInstance) -> (BTreeSet<Key>, Option<Duration>) {
    let world = context.cache.snapshot(source::now(), 0);
    let mut lost = bound_tasks(context, &world, &object.name_any());
    lost.retain(|bound| lacks_share(bound, object));
    let mut known = BTreeSet::new();
    for Bound { task, .. } in &lost {
        if context.ledger.read_task(&task.key).await.is_some() {
            known.insert(task.key.clone());
        }
    }
    let wake = (known.len() < lost.len()).then_some(UNSEEN);
    (known, wake)
}

/// Looks after reservations whose Task cannot be seen: created again if still wanted, else given up by a tombstone.
/// (design: step 6, F1)
async fn repair(context: &Context, object: &ContainerInstance) -> Option<Duration> {
    let fences = context.ledger.fences();
    let world = context.cache.snapshot(source::now(), 0);
    let mut wake = None;
    let entries = object.status.iter().flat_map(|s| &s.reservations);
    for entry in entries {
        let key = Key::new(&entry.namespace, &entry.task);
        if world.task(&key).is_some() {
            fences.seen_task(&key.namespace, &key.name);
            continue;
        }
        let age = fences.unseen_for(&key.namespace, &key.name);
        if age < UNSEEN {
            wake = Some(UNSEEN);
            continue;
        }
        wake = Some(UNSEEN);
        if let Some(spec) = wanted(&world, object, entry) {
            let ledger = &context.ledger;
            let looked = Instant::now();
            if ledger.pods_ended(&key).await
                && hold::ensure(context, &key.namespace, build::always_held(&spec))
                    .await
                    .is_ok()
                && ledger.still_reserved(&object.name_any(), &key).await
            {
                ledger.create_and_run(&key, spec, looked).await;
            }
            continue;
        }
        let reason = "the task was no longer wanted before it was created";
        let outcome = context
            .ledger
            .tombstone(&key, &object.spec.cluster, Some(&object.name_any()), reason)
            .await;
        // no tombstone can be made in a namespace that is going away: wait, then release (F1)
        let namespace = context.cache.namespaces.named(&key.namespace);
        let going = namespace.is_none_or(|ns| ns.metadata.deletion_timestamp.is_some());
        let refused = matches!(outcome, Outcome::Refused(_) | Outcome::Gone);
        if refused && going && age >= crate::ledger::fence::FENCE {
            fences.give_up(&key.namespace, &key.name);
        }
    }
    wake
}

/// The backstop: a Pod of ours whose Task is gone is deleted, and let go once it has ended. (F5)
async fn end_orphans(context: &Context, instance: &str, node_exists: bool) {
    for pod in context.cache.pods.group(instance) {
        if !pod.finalizers().iter().any(|f| f == finalizers::POD) {
            continue;
        }
        let Some(key) = task_of(&pod) else {
            continue;
        };
        let owned = context
            .cache
            .tasks
            .get(&key)
            .is_some_and(|task| belongs(&task, &pod));
        if owned || !context.ledger.owner_is_gone(&key, &pod).await {
            continue;
        }
        if pod.metadata.deletion_timestamp.is_none() && !pod_ended(&pod) {
            error!(pod = pod.name_any(), task = %key, "a Pod runs whose Task is gone; deleting it");
            context.metrics.violated("pod_without_task");
        }
        if pod.metadata.deletion_timestamp.is_none() {
            context.ledger.delete_pod(&pod).await;
        } else if pod_ended(&pod) || !node_exists {
            context.ledger.free_pod(&pod).await;
        }
    }
}

/// Takes our labels and our finalizer off Pods that are not ours, such as copies: budgets would count them as tasks or hold
/// them for ever, and nobody would let them go. What cannot be written now is tried with the next look. (DAEMON-43, PCT-1)
async fn disown(context: &Context, instance: &str) {
    for pod in context.cache.pods.group(instance) {
        let may_be_ours = build::owner(&pod).is_some()
            || task_of(&pod).is_some_and(|key| {
                context.cache.tasks.get(&key).is_some()
                    || pod.finalizers().iter().any(|f| f == finalizers::POD)
            });
        if !may_be_ours {
            context.ledger.disown_pod(&pod).await;
        }
    }
}

/// The Task that a reservation without one is for, if it is still wanted.
fn wanted(world: &World, object: &ContainerInstance, entry: &Reservation) -> Option<TaskSpec> {
    let reference = entry.service.as_ref()?;
    let service = world.services.get(&Key::new(&entry.namespace, &reference.name))?;
    if service.uid != reference.uid || service.deleting || world.leaving_namespaces.contains(&entry.namespace)
    {
        return None;
    }
    let status = object.status.as_ref().map(|s| s.status).unwrap_or_default();
    let deployment = service
        .deployments
        .iter()
        .find(|d| Some(&d.id) == reference.deployment.as_ref() && !d.failed())?;
    let marked = service.stopping.iter().any(|m| m.id == entry.task);
    let wanted = match service.strategy {
        SchedulingStrategy::Daemon => {
            status == InstanceStatus::Active && service.primary()?.id == deployment.id
        }
        SchedulingStrategy::Replica => service.allocations.iter().any(|a| a.id == entry.task),
    };
    (wanted && !marked).then(|| {
        service_task(
            service,
            &deployment.id,
            &deployment.task_definition,
            &object.name_any(),
        )
    })
}

/// `kubectl delete containerinstance`: a forced deregistration. The Node remembers it, so that it does not register again,
/// and the instance's tasks are told to stop. (DRAIN-21)
async fn force_deregistration(context: &Context, object: &ContainerInstance) -> Result<(), Error> {
    let name = object.name_any();
    context.applier.remember_deregistration(&name).await?;
    let world = context.cache.snapshot(source::now(), 0);
    let reason = "Container instance deregistration forced by user";
    let there = world.tasks_on(&name).filter(|task| task.wanted());
    stop_there(context, there, reason).await;
    Ok(())
}

/// Past the deadline of a drain, tells what still runs there to stop; daemons leave by themselves when the others have. How
/// long it is until then. (DRAIN-17, DAEMON-43)
async fn end_drain(context: &Context, name: &str) -> Option<Duration> {
    let object = context.cache.instances.named(name)?;
    let deadline: Timestamp = object.status.as_ref()?.drain_deadline.as_ref()?.parse().ok()?;
    let left = deadline.duration_since(source::now());
    if left.is_positive() {
        return Duration::try_from(left).ok();
    }
    let world = context.cache.snapshot(source::now(), 0);
    let there = world
        .tasks_on(name)
        .filter(|task| !task.is_daemon() && task.wanted());
    let is_over = stop_there(
        context,
        there,
        "The deadline of the container instance's drain has passed",
    )
    .await
        == 0;
    (!is_over).then_some(UNSEEN)
}

/// Tells tasks to stop, as somebody would by hand. How many they were.
async fn stop_there(
    context: &Context,
    tasks: impl Iterator<Item = &Arc<plan::world::Task>>,
    reason: &str,
) -> usize {
    let mut told: usize = 0;
    for task in tasks {
        let version = task.version.to_string();
        let ledger = &context.ledger;
        ledger
            .stop_task(&task.key, &task.uid, &version, StopCode::UserInitiated, reason)
            .await;
        told = told.saturating_add(1);
    }
    told
}

/// Lets an INACTIVE instance go once nothing is reserved on it: its Node is gone, it was deleted, or its cluster does
/// not select it any more. (CI-8, CI-14)
async fn deregister(context: &Context, name: &str) {
    let Some(object) = context.cache.instances.named(name) else {
        return;
    };
    let empty = object.status.as_ref().is_none_or(|s| s.reservations.is_empty());
    if empty {
        context.applier.delete_instance(&object).await;
    } else {
        for task in context.cache.tasks.group(name) {
            context
                .queues
                .tasks
                .push(crate::cache::store::key_of(task.as_ref()));
        }
    }
}
