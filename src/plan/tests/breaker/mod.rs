//! The circuit breaker. (CB, DEP-4)

mod back;
mod counting;

use crate::domain::deployment::{CircuitBreakerStatus, Deployment};
use crate::domain::records::{DesiredStatus, LastStatus, StopCode};
use crate::plan::testing::*;
use crate::plan::world::{Service, Task};
use crate::plan::{ServicePlan, texts};

/// A settled service of four tasks of `r:1`, over as many instances as failing tasks need.
fn settled(service: Service) -> Scene {
    let mut scene = Scene::new().service(service);
    for revision in 1..=3 {
        scene = scene.definition(definition(&format!("r:{revision}"), 100, 100));
    }
    for n in 0..8 {
        scene = scene.instance(instance(&format!("i{n}")));
    }
    scene.settle("r");
    scene
}

fn web(rollback: bool) -> Scene {
    settled(replica("r", "r:1", 4).breaker(rollback))
}

fn roll(scene: &mut Scene, definition: &str) {
    scene.edit_service("r", |s| s.requested_definition = definition.to_owned());
}

/// One pass, carried out up to its Tasks and the stops.
fn pass(scene: &mut Scene) -> ServicePlan {
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.create_tasks();
    scene.carry_out_marks();
    scene.end_tasks();
    plan
}

/// Tasks of a revision that are to run.
fn of(scene: &Scene, definition: &str) -> Vec<Task> {
    let all = scene.alive("r").into_iter();
    all.filter(|t| t.definition == definition && t.wanted()).collect()
}

/// A task ends without ever RUNNING.
fn refuse(scene: &mut Scene, task: &Task) {
    scene.refuse_task(&task.key.name);
}

fn run(scene: &mut Scene, task: &Task) {
    let now = scene.world.now;
    scene.edit_task(&task.key.name, |t| {
        (t.last, t.started_at) = (LastStatus::Running, Some(now));
    });
}

/// A running task is told to stop because its health checks failed.
fn fail_health(scene: &mut Scene, task: &Task) {
    let now = scene.world.now;
    scene.edit_task(&task.key.name, |t| {
        (t.desired, t.last) = (DesiredStatus::Stopped, LastStatus::Stopped);
        (t.stop_code, t.stopped_at) = (Some(StopCode::ServiceSchedulerInitiated), Some(now));
        t.stopped_reason = Some(texts::UNHEALTHY.to_owned());
    });
    scene.release();
}

/// Tasks of `r:2` fail to start, one after the other, until there are `failures`; the pass that counted the last.
fn fail_to_start(scene: &mut Scene, failures: usize) -> ServicePlan {
    for _ in 0..failures {
        scene.advance(30);
        let task = of(scene, "r:2").pop().or_else(|| {
            scene.advance(1620);
            pass(scene);
            of(scene, "r:2").pop()
        });
        refuse(scene, &task.unwrap());
    }
    pass(scene)
}

fn primary(scene: &Scene) -> &Deployment {
    scene.get("r").primary().unwrap()
}

fn failures(deployment: &Deployment) -> (i64, i64, CircuitBreakerStatus) {
    let state = deployment.deployment_circuit_breaker.clone().unwrap_or_default();
    (state.failure_count, state.threshold, state.status)
}

/// Whether a pass took the service back.
fn turned(plan: &ServicePlan) -> bool {
    let target = &plan.deployments[0];
    let said = plan.events.contains(&texts::rolling_back_to(&target.id));
    assert_eq!(said, said && target.rollback.is_some());
    said
}
