//! ContainerInstances: status from the Node, repair of the ledger, deregistration. (CI-6 to CI-8, DRAIN-23)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::Context;
use super::errors::Error;
use crate::api::{ContainerInstance, InstanceStatus, TaskSpec};
use crate::build;
use crate::cache::node::{describe as describe_node, pod_ended};
use crate::domain::records::{Reservation, SchedulingStrategy};
use crate::ledger::commit::service_task;
use crate::ledger::describe::{Bound, Surroundings, describe};
use crate::ledger::outcome::Outcome;
use crate::plan::world::{Key, World};

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
    let Some(cluster) = context.cache.clusters.named(&object.spec.cluster) else {
        return Ok(Action::requeue(RESYNC));
    };
    let wake = repair(&context, &object).await;
    let facts = node.as_ref().map(|node| describe_node(node, &cluster));
    let cache = context.cache.clone();
    let fences = context.ledger.fences();
    let outcome = context
        .ledger
        .describe_instance(&key.name, |newest| {
            let world = cache.snapshot(Timestamp::now(), 0);
            let bound = bound_tasks(&context, &world, &key.name);
            describe(
                newest,
                &Surroundings {
                    node: facts.as_ref(),
                    on_cordon: cluster.spec.on_cordon,
                    task: &|key| world.task(key).cloned(),
                    bound: &bound,
                    foreign: &|reserved| cache.foreign(&key.name, reserved),
                    given_up: &|entry: &Reservation| fences.given_up(&entry.namespace, &entry.task),
                    now: world.now,
                },
            )
        })
        .await;
    match outcome {
        Outcome::Applied(()) | Outcome::Gone => {}
        Outcome::Refused(text) => return Err(Error::Refused(text)),
        other => return Err(Error::Uncertain(other.label().to_owned())),
    }
    if facts.is_none() {
        deregister(&context, &key.name).await;
    }
    Ok(Action::requeue(wake.unwrap_or(RESYNC)))
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
        pod.spec
            .as_ref()
            .map(build::effective_request)
            .filter(|_| !pod_ended(&pod))
    };
    world
        .tasks_on(instance)
        .map(|task| Bound {
            task: task.clone(),
            pod: pod_of(&task.key),
        })
        .collect()
}

/// Looks after reservations whose Task cannot be seen: created again if still wanted, else given up by a tombstone.
/// (design: step 6, F1)
async fn repair(context: &Context, object: &ContainerInstance) -> Option<Duration> {
    let fences = context.ledger.fences();
    let world = context.cache.snapshot(Timestamp::now(), 0);
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
            context.ledger.create_and_run(&key, spec).await;
            continue;
        }
        let spec = TaskSpec {
            cluster: object.spec.cluster.clone(),
            container_instance: Some(object.name_any()),
            task_definition: "cancelled:0".to_owned(),
            ..TaskSpec::default()
        };
        let reason = "the task was no longer wanted before it was created";
        let outcome = context.ledger.tombstone(&key, spec, reason).await;
        // no tombstone can be made in a namespace that is going away: wait, then release (F1)
        let refused = matches!(outcome, Outcome::Refused(_) | Outcome::Gone);
        if refused && age >= crate::ledger::fence::FENCE {
            fences.give_up(&key.namespace, &key.name);
        }
    }
    wake
}

/// The Task that a reservation without one is for, if it is still wanted.
fn wanted(world: &World, object: &ContainerInstance, entry: &Reservation) -> Option<TaskSpec> {
    let reference = entry.service.as_ref()?;
    let service = world.services.get(&Key::new(&entry.namespace, &reference.name))?;
    if service.uid != reference.uid || service.deleting {
        return None;
    }
    let status = object.status.as_ref().map(|s| s.status).unwrap_or_default();
    let deployment = service
        .deployments
        .iter()
        .find(|d| Some(&d.id) == reference.deployment.as_ref())?;
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

/// Lets an instance go whose Node is gone, once nothing is reserved on it. (CI-8, CI-14)
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
