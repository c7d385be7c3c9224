use crate::domain::records::{HealthStatus, InstanceStatus, SchedulingStrategy};
use crate::plan::daemons_due_on;
use crate::plan::testing::*;
use crate::plan::world::Service;

fn after(mut service: Service, daemons: &[&str]) -> Service {
    service.depends_on_daemons = daemons.iter().map(ToString::to_string).collect();
    service
}

/// An instance, a daemon `net` with health checks, and a service and a daemon that wait for it.
fn scene() -> Scene {
    Scene::new()
        .definition(definition("net:1", 100, 100).health_checked())
        .definition(definition("d:1", 100, 100))
        .definition(definition("r:1", 100, 100))
        .instance(instance("i1"))
        .service(daemon("net", "net:1"))
        .service(after(daemon("logs", "d:1"), &["net"]))
        .service(after(replica("web", "r:1", 1), &["net"]))
}

fn health(scene: &mut Scene, service: &str, health: HealthStatus) {
    let id = scene.alive(service).remove(0).key.name;
    scene.edit_task(&id, |task| task.health = health);
}

#[test]
fn tasks_come_when_the_daemon_they_depend_on_is_healthy_on_the_instance() {
    let mut scene = scene();
    let waits = |scene: &Scene, service: &str| {
        let plan = scene.plan(service);
        assert_eq!(plan.stalled, None);
        let failure = plan.failures.first();
        plan.start.is_empty()
            && failure.is_some_and(|f| f.reason == "DAEMON" && f.detail.contains("daemon net "))
    };
    assert!(waits(&scene, "web") && waits(&scene, "logs"), "there is none");
    scene.round("net");
    assert!(waits(&scene, "web") && waits(&scene, "logs"), "not healthy yet");
    health(&mut scene, "net", HealthStatus::Healthy);
    assert_eq!(scene.plan("web").start.len(), 1);
    assert_eq!(scene.plan("logs").start.len(), 1);
    scene.round("web");
    health(&mut scene, "net", HealthStatus::Unhealthy);
    assert!(scene.plan("web").stop.is_empty(), "what runs stays");
    assert!(waits(&scene, "logs"));
}

#[test]
fn a_new_instance_starts_the_daemons_that_wait_for_nobody_first() {
    let mut scene = scene();
    for service in ["net", "logs"] {
        let mut plan = scene.plan(service);
        plan.start.clear();
        scene.commit(service, &plan);
    }
    let due = daemons_due_on(&scene.world, &scene.world.instances["i1"]);
    let names: Vec<&str> = due.iter().map(|(service, _)| service.key.name.as_str()).collect();
    assert_eq!(names, ["net"]);
}

#[test]
fn a_daemon_leaves_a_draining_instance_after_those_that_depend_on_it_daemon_43() {
    let mut scene = scene();
    scene.round("net");
    health(&mut scene, "net", HealthStatus::Healthy);
    scene.round("logs");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    assert!(scene.plan("net").stop.is_empty());
    assert_eq!(scene.round("logs").stop.len(), 1);
    scene.release();
    assert_eq!(scene.plan("net").stop.len(), 1);
}

#[test]
fn daemons_that_wait_for_each_other_hold_up_no_drain_daemon_43() {
    let mut scene = scene();
    scene.round("net");
    health(&mut scene, "net", HealthStatus::Healthy);
    scene.round("logs");
    scene.edit_service("net", |s| s.depends_on_daemons = vec!["logs".to_owned()]);
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    assert_eq!(scene.plan("net").stop.len(), 1);
    assert_eq!(scene.plan("logs").stop.len(), 1);
}

#[test]
fn what_can_never_be_is_told_with_what_to_change() {
    let told = |scene: &Scene, service: &str| scene.plan(service).stalled.expect("stalled");
    let mut scene = scene();
    scene.edit_service("web", |s| s.depends_on_daemons = vec!["nobody".to_owned()]);
    assert!(told(&scene, "web").contains("names nobody, and namespace"));
    scene.edit_service("net", |s| s.depends_on_daemons = vec!["logs".to_owned()]);
    assert!(told(&scene, "net").contains("net → logs → net"));
    assert!(told(&scene, "logs").contains("logs → net → logs"));
    scene.edit_service("net", |s| s.depends_on_daemons = vec!["net".to_owned()]);
    assert!(told(&scene, "net").contains("net → net"));
    scene.edit_service("net", |s| {
        s.depends_on_daemons.clear();
        s.strategy = SchedulingStrategy::Replica;
    });
    assert!(told(&scene, "logs").contains("with the DAEMON strategy"));
}

#[test]
fn where_the_cluster_says_so_replicas_come_after_all_daemons() {
    let mut scene = Scene::new()
        .cluster(|c| c.replicas_wait_for_daemons = true)
        .definition(definition("d:1", 100, 100))
        .definition(definition("r:1", 100, 100))
        .instance(instance("i1"))
        .instance(instance("i2").attribute("gpu", "yes"))
        .service(daemon("logs", "d:1").member_of("not (attribute:gpu == yes)"))
        .service(replica("web", "r:1", 4));
    let plan = scene.plan("web");
    let places: Vec<&str> = plan.start.iter().map(|start| start.instance.as_str()).collect();
    assert_eq!(places, ["i2"; 4], "no daemon belongs there");
    scene.round("logs");
    let plan = scene.plan("web");
    assert!(plan.start.iter().any(|start| start.instance == "i1"));
}
