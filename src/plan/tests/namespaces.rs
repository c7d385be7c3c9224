use crate::domain::records::DesiredStatus;
use crate::plan::eligibility::withheld;
use crate::plan::start_task::forbidden;
use crate::plan::testing::*;

const WHY: &str = "Namespace shop is being deleted.";

fn going(mut scene: Scene) -> Scene {
    scene.leave_namespace(NAMESPACE);
    scene
}

fn scene() -> Scene {
    Scene::new()
        .definition(definition("web:1", 256, 256))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(replica("web", "web:1", 3))
        .service(daemon("agent", "web:1"))
}

#[test]
fn a_service_in_a_namespace_that_is_being_deleted_starts_nothing_and_says_why() {
    let scene = going(scene());
    for service in ["web", "agent"] {
        let plan = scene.plan(service);
        assert!(plan.start.is_empty() && plan.stop.is_empty(), "{service}");
        assert_eq!(plan.stalled.as_deref(), Some(WHY), "{service}");
        assert!(!plan.steady);
    }
}

#[test]
fn its_running_tasks_are_left_to_the_deletion_and_none_is_replaced() {
    let mut scene = scene();
    scene.settle("web");
    scene.settle("agent");
    let mut scene = going(scene);
    for service in ["web", "agent"] {
        let id = scene.alive(service)[0].key.name.clone();
        scene.edit_task(&id, |task| task.desired = DesiredStatus::Stopped);
        let plan = scene.plan(service);
        assert!(plan.start.is_empty() && plan.stop.is_empty(), "{service}");
    }
}

#[test]
fn its_daemons_hold_back_no_room_from_others_daemon_26() {
    let scene = scene();
    let i1 = scene.world.instances["i1"].clone();
    assert_eq!(withheld(&scene.world, &i1).cpu, 256);
    assert_eq!(withheld(&going(scene).world, &i1).cpu, 0);
}

#[test]
fn other_namespaces_go_on() {
    let mut scene = scene();
    scene.leave_namespace("another");
    assert_eq!(scene.plan("web").start.len(), 3);
}

#[test]
fn a_task_bound_by_hand_is_refused_there_run_6() {
    let scene = going(scene().task(standalone("t", "i1")));
    let definition = definition("web:1", 1, 1);
    assert_eq!(
        forbidden(&scene.world, &key("t"), "i1", &definition).as_deref(),
        Some(WHY)
    );
}
