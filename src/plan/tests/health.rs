use jiff::SignedDuration;

use crate::domain::records::HealthStatus;
use crate::plan::testing::*;

fn scene(desired: u32) -> Scene {
    Scene::new()
        .definition(definition("r:1", 100, 100))
        .instance(instance("a1").zone("a"))
        .instance(instance("b1").zone("b"))
        .instance(instance("c1").zone("c"))
        .service(replica("r", "r:1", desired))
}

#[test]
fn healthy_is_40_seconds_after_running_or_by_health_check_health_1() {
    let mut scene = scene(1).definition(definition("h:1", 1, 1).health_checked());
    scene.round("r");
    scene.advance(39);
    let plan = scene.plan("r");
    assert!(!plan.steady && plan.wake_at.is_some());
    scene.world.now = plan.wake_at.unwrap();
    assert!(scene.plan("r").steady);

    let mut scene = scene.service(replica("h", "h:1", 1));
    scene.round("h");
    scene.advance(1000);
    assert!(!scene.plan("h").steady);
    let id = scene.alive("h").remove(0).key.name;
    scene.edit_task(&id, |t| t.health = HealthStatus::Healthy);
    assert!(scene.plan("h").steady);
}

fn with_one_unhealthy(minimum: u32, maximum: u32) -> (Scene, String) {
    let mut scene = scene(2).definition(definition("h:1", 1, 1).health_checked());
    let service = replica("r", "h:1", 2).percent(minimum, maximum);
    scene = scene.service(service);
    scene.round("r");
    let tasks = scene.alive("r");
    scene.edit_task(&tasks[0].key.name, |t| t.health = HealthStatus::Unhealthy);
    scene.edit_task(&tasks[1].key.name, |t| t.health = HealthStatus::Healthy);
    (scene, tasks[0].key.name.clone())
}

#[test]
fn an_unhealthy_task_is_replaced_start_first_scn_19_health_2_health_3_health_4() {
    let (mut scene, bad) = with_one_unhealthy(100, 200);
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (1, 0));
    let plan = scene.plan("r");
    assert!(
        plan.start.is_empty() && plan.stop.is_empty(),
        "it keeps running meanwhile"
    );
    let fresh = scene
        .alive("r")
        .into_iter()
        .find(|t| t.health == HealthStatus::Unknown)
        .unwrap();
    scene.edit_task(&fresh.key.name, |t| t.health = HealthStatus::Healthy);
    let plan = scene.round("r");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(
        (plan.stop[0].task.name.as_str(), plan.stop[0].reason.as_str()),
        (bad.as_str(), "Task failed container health checks")
    );
    assert_eq!(
        plan.events,
        [format!("(task {bad}) failed container health checks.")]
    );
    assert!(scene.plan("r").steady);
}

#[test]
fn an_unhealthy_replacement_does_not_pile_up_health_4() {
    let (mut scene, _) = with_one_unhealthy(100, 200);
    scene.round("r");
    let fresh = scene
        .alive("r")
        .into_iter()
        .find(|t| t.health == HealthStatus::Unknown)
        .unwrap();
    scene.edit_task(&fresh.key.name, |t| t.health = HealthStatus::Unhealthy);
    assert_eq!(scene.plan("r").stop.len(), 1, "either of the two");
}

#[test]
fn without_room_the_unhealthy_task_stops_first_scn_19_health_5() {
    let (mut scene, bad) = with_one_unhealthy(50, 100);
    let plan = scene.plan("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 1));
    assert_eq!(plan.stop[0].task.name, bad);
    scene.commit("r", &plan);
    assert!(scene.plan("r").start.is_empty());
    scene.carry_out_marks();
    assert_eq!(
        scene.plan("r").start.len(),
        1,
        "from the moment it is told to stop"
    );
}

#[test]
fn a_task_that_fails_its_check_stops_with_ecs_words_health_10() {
    let (scene, bad) = with_one_unhealthy(0, 100);
    let stop = scene.plan("r").stop.remove(0);
    assert_eq!(
        (stop.task.name, stop.reason.as_str()),
        (bad, "Task failed container health checks")
    );
}

#[test]
fn unhealthy_tasks_without_room_go_one_at_a_time_health_5() {
    let mut scene = scene(3);
    scene.edit_service("r", |s| *s = s.clone().percent(0, 100));
    scene.settle("r");
    for task in scene.alive("r") {
        scene.edit_task(&task.key.name, |t| t.health = HealthStatus::Unhealthy);
    }
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 1);
    scene.commit("r", &plan);
    assert!(scene.plan("r").stop.is_empty());
}

#[test]
fn recovered_tasks_leave_a_surplus_that_is_stopped_health_6() {
    let (mut scene, bad) = with_one_unhealthy(100, 200);
    scene.round("r");
    for task in scene.alive("r") {
        scene.edit_task(&task.key.name, |t| t.health = HealthStatus::Healthy);
    }
    assert!(!bad.is_empty());
    assert_eq!(scene.plan("r").stop.len(), 1);
    assert_eq!(scene.settle("r").desired_count, 2);
    assert_eq!(scene.alive("r").len(), 2);
}

#[test]
fn a_disconnected_instance_loses_its_replicas_after_the_timeout_task_19() {
    let mut scene = scene(3);
    scene.settle("r");
    let now = scene.world.now;
    scene.edit_instance("a1", |i| *i = i.clone().disconnected(now));
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert_eq!(plan.wake_at, Some(now + SignedDuration::from_secs(300)));
    scene.advance(300);
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (1, 1));
    assert_eq!(
        plan.stop[0].reason,
        "Container instance a1 is disconnected for too long"
    );
    let mut never = scene.clone().cluster(|c| c.disconnected_task_timeout_seconds = 0);
    let now = never.world.now;
    never.edit_instance("b1", |i| *i = i.clone().disconnected(now));
    never.advance(100_000);
    assert!(never.plan("r").stop.is_empty(), "0 = never");
}
