use jiff::SignedDuration;

use crate::domain::expr::Expression;
use crate::plan::testing::*;

fn two_of_one_name() -> Scene {
    let mut scene = Scene::new()
        .definition(definition("d:1", 256, 256))
        .instance(instance("i1"))
        .service(daemon("old", "d:1"))
        .service(daemon("new", "d:1"));
    let later = scene.world.now + SignedDuration::from_secs(60);
    for name in ["old", "new"] {
        scene.edit_service(name, |s| s.ecs_name = "agent".to_owned());
    }
    scene.edit_service("new", |s| s.created_at = later);
    scene
}

#[test]
fn the_younger_of_two_services_of_one_name_waits_and_says_so_svc_5() {
    let mut scene = two_of_one_name();
    assert_eq!(scene.plan("old").start.len(), 1);
    let plan = scene.plan("new");
    assert!(plan.start.is_empty());
    assert_eq!(
        plan.stalled.as_deref(),
        Some(
            "Creation of service was not idempotent. EcsService old has the name agent. Delete one of the two, or \
             create this one with another serviceName."
        )
    );
    scene.edit_service("old", |s| s.deleting = true);
    let stalled = scene.plan("new").stalled.unwrap();
    assert!(stalled.starts_with("Unable to Start a service that is still Draining. EcsService old is being"));
    scene.world.remove_service(&key("old"));
    assert_eq!(scene.plan("new").start.len(), 1);
}

#[test]
fn a_name_is_taken_only_within_its_namespace_and_cluster_svc_5() {
    let mut scene = two_of_one_name();
    scene.edit_service("new", |s| s.ecs_name = "other".to_owned());
    assert_eq!(scene.plan("new").stalled, None);
    let mut scene = two_of_one_name();
    let mut elsewhere = scene.get("new").clone();
    scene.world.remove_service(&key("new"));
    elsewhere.key.namespace = "bank".to_owned();
    assert_eq!(crate::plan::permission::may_place(&scene.world, &elsewhere), None);
}

#[test]
fn a_service_that_waits_for_its_name_holds_no_room_back_svc_5_daemon_26() {
    let mut scene = two_of_one_name().service(replica("r", "d:1", 8).percent(0, 100));
    scene.settle("old");
    // 2048 units: the daemon has 256, seven replicas fit; an eighth part held back for `new` would leave six
    assert_eq!(scene.plan("r").start.len(), 7);
}

#[test]
fn ten_constraints_of_service_and_definition_together_are_the_limit_cons_3() {
    let rules = |n: usize| Ok(vec![Expression::parse("attribute:x !exists").unwrap(); n]);
    let mut own = definition("r:1", 1, 1);
    own.constraints = rules(4);
    let mut scene = Scene::new()
        .definition(own)
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1));
    scene.edit_service("r", |s| s.constraints = rules(6));
    assert_eq!(
        (scene.plan("r").stalled.as_deref(), scene.plan("r").start.len()),
        (None, 1)
    );
    scene.edit_service("r", |s| s.distinct_instance = true);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    assert_eq!(
        plan.stalled.as_deref(),
        Some(
            "At most 10 placement constraints are allowed: the service has 7, TaskDefinition r.1 has 4. Remove some, or \
             join expressions by and."
        )
    );
}

#[test]
fn a_cluster_that_is_being_deleted_gets_no_tasks_clu_5() {
    let scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1))
        .cluster(|c| c.deleting = true);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    assert_eq!(
        plan.stalled.as_deref(),
        Some(
            "Cluster default is being deleted. Use another cluster, or create EcsCluster default again once it is gone."
        )
    );
}
