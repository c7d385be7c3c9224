//! The smallest change, check by check in ECS's order. (PLACE-3, PLACE-4, FAIL)

use jiff::Timestamp;

use super::{picture, subject};
use crate::domain::records::{Attribute, InstanceStatus};
use crate::explain::remedy::remedy;
use crate::explain::service::explain;
use crate::plan::testing::*;
use crate::plan::world::Service;

/// A service `r` of 1024 units and 1024 MiB beside an instance `i1` of 2048 and 4096.
fn scene(service: Service) -> Scene {
    Scene::new()
        .definition(definition("r:1", 1024, 1024))
        .definition(definition("d:1", 512, 512))
        .instance(instance("i1"))
        .service(service)
}

fn told(scene: &Scene) -> String {
    let prospect = crate::plan::prospect(&scene.world, &key("r")).unwrap();
    let found = remedy(&scene.world, &subject("r", "i1"), &prospect);
    found.map_or_else(|| "none".to_owned(), |remedy| remedy.told())
}

/// What takes so much of the instance.
fn taken(scene: &mut Scene, cpu: i64, memory: i64) {
    scene.edit_instance("i1", |i| i.foreign = amounts(cpu, memory));
}

#[test]
fn what_fits_needs_no_change_and_what_is_short_is_freed_to_the_unit() {
    let mut scene = scene(replica("r", "r:1", 1));
    assert_eq!(told(&scene), "");
    taken(&mut scene, 1025, 3100);
    assert_eq!(told(&scene), "free 1 CPU unit, 28 MiB");
    scene.edit_instance("i1", |i| i.registered.cpu = 1000);
    taken(&mut scene, 0, 0);
    assert_eq!(told(&scene), "ask for 24 CPU units less");
}

#[test]
fn the_states_of_an_instance_are_mended_in_the_order_of_the_checks_place_4() {
    let mut scene = scene(replica("r", "r:1", 1));
    scene.edit_instance("i1", |i| {
        i.status = InstanceStatus::Draining;
        (i.connected, i.schedulable, i.overcommitted) = (false, false, true);
    });
    assert_eq!(
        told(&scene),
        "make it ACTIVE; make the node ready; let the node take tasks: uncordon it, or take its taint off; wait until \
         the ledger is complete"
    );
}

#[test]
fn attributes_are_set_as_definition_and_constraints_ask_attr_9_cons_1() {
    let mut scene = scene(replica("r", "r:1", 1).member_of("attribute:stack == prod and attribute:gen >= 3"));
    let mut picky = definition("r:1", 1024, 1024);
    picky.required_attributes = vec![Attribute {
        name: "ssd".to_owned(),
        value: None,
    }];
    scene = scene.definition(picky);
    assert_eq!(
        told(&scene),
        "set attribute ssd; set attribute stack = prod; set attribute gen = 3"
    );
    scene.edit_instance("i1", |i| {
        i.attributes.insert("ssd".to_owned(), None);
        i.attributes.insert("gen".to_owned(), Some("5".to_owned()));
        i.attributes.insert("stack".to_owned(), Some("test".to_owned()));
    });
    assert_eq!(told(&scene), "set attribute stack = prod");
}

#[test]
fn what_a_node_is_by_nature_asks_for_another_node() {
    let scene = scene(replica("r", "r:1", 1).member_of("attribute:ecs.availability-zone == b"));
    assert_eq!(told(&scene), "take a node whose ecs.availability-zone is b");
}

#[test]
fn a_constraint_that_nobody_can_meet_is_named() {
    let scene = scene(replica("r", "r:1", 1).member_of("registeredAt < 2020-01-01"));
    assert_eq!(told(&scene), "drop the constraint `registeredAt < 2020-01-01`");
}

#[test]
fn neighbours_come_and_go_cql_16() {
    let mut near = scene(replica("r", "r:1", 1).member_of("task:group == service:db"));
    assert_eq!(told(&near), "run a task of service:db there");
    let mut task = standalone("t", "i1");
    task.group = "service:db".to_owned();
    near = near.task(task.clone());
    assert_eq!(told(&near), "");
    let far = scene(replica("r", "r:1", 1).member_of("not task:group == service:db")).task(task);
    assert_eq!(told(&far), "end the tasks of shop/service:db there");
}

#[test]
fn room_that_daemons_hold_back_counts_as_taken_daemon_26() {
    let mut scene = scene(replica("r", "r:1", 1)).service(daemon("d", "d:1"));
    taken(&mut scene, 1024, 0);
    assert_eq!(told(&scene), "free 512 CPU units");
    scene.edit_service("d", |s| s.deleting = true);
    assert_eq!(told(&scene), "");
}

#[test]
fn room_of_the_services_own_tasks_is_not_to_be_freed_for_its_next() {
    let mut scene = scene(replica("r", "r:1", 2));
    scene.settle("r");
    assert_eq!(told(&scene), "take a node with 1024 CPU units more");
    let mut apart = self::scene(replica("r", "r:1", 1).distinct());
    apart.settle("r");
    assert_eq!(told(&apart), "drop distinctInstance");
}

#[test]
fn host_ports_are_freed_unreserved_or_done_without_res_5() {
    let scene = |taken: fn(&mut crate::plan::world::Instance)| {
        let mut scene = Scene::new()
            .definition(definition("r:1", 1, 1).port(80))
            .instance(instance("i1"))
            .service(replica("r", "r:1", 1));
        scene.edit_instance("i1", taken);
        scene
    };
    let foreign = scene(|i| i.foreign.ports = [80].into());
    assert_eq!(told(&foreign), "free host port 80/tcp");
    let reserved = scene(|i| i.registered.ports = [80].into());
    assert_eq!(
        told(&reserved),
        "take host port 80/tcp off the reservedPorts of the EcsCluster"
    );
    let mut full = scene(|i| i.foreign.ports = (100..200).collect());
    assert_eq!(told(&full), "ask for host port 80/tcp less");
    full = scene(|_| {})
        .definition(definition("d:1", 1, 1).port(80))
        .service(daemon("d", "d:1"));
    assert_eq!(
        told(&full),
        "ask for host port 80/tcp less",
        "a daemon holds it back"
    );
}

#[test]
fn a_start_that_was_refused_is_tried_again_after_a_wait() {
    let mut scene = scene(replica("r", "r:1", 1));
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.create_tasks();
    let id = scene.alive("r")[0].key.name.clone();
    scene.refuse_task(&id);
    assert_eq!(told(&scene), "wait 1 s");
}

#[test]
fn a_service_says_what_its_next_task_meets_the_closest_instance_first() {
    let mut scene = scene(replica("r", "r:1", 3))
        .instance(instance("i2").status(InstanceStatus::Draining))
        .instance(instance("i3").disconnected(Timestamp::UNIX_EPOCH))
        .instance(instance("i4").size(512, 4096));
    scene.settle("r");
    let found = explain(&picture(&scene), &key("r")).unwrap();
    assert_eq!((found.running, found.desired, found.waiting), (2, 3, 1));
    let lines: Vec<_> = found
        .instances
        .iter()
        .map(|v| {
            let change = v.change.as_ref().unwrap().told();
            format!("{} {}: {change}", v.instance, v.reason.as_ref().unwrap())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "i4 RESOURCE:CPU: ask for 512 CPU units less",
            "i1 RESOURCE:CPU: take a node with 1024 CPU units more",
            "i2 INACTIVE: make it ACTIVE",
            "i3 AGENT: make the node ready",
        ]
    );
}

#[test]
fn a_daemon_is_explained_with_the_instances_that_have_it() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1024, 1024))
        .instance(instance("i1"))
        .service(daemon("r", "r:1"));
    scene.settle("r");
    let scene = scene.instance(instance("i2").size(1000, 4096));
    let found = explain(&picture(&scene), &key("r")).unwrap();
    assert_eq!((found.desired, found.running, found.waiting), (2, 1, 1));
    let [short, there] = found.instances.as_slice() else {
        panic!("{:?}", found.instances)
    };
    assert_eq!(short.reason.as_deref(), Some("RESOURCE:CPU"));
    assert_eq!(there.detail, "it has its task of this daemon");
}
