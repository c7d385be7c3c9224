//! Waiting after starts that failed. (THR)

use jiff::SignedDuration;

use crate::domain::records::{DesiredStatus, LastStatus, StopCode};
use crate::plan::testing::{Scene, daemon, definition, instance, replica};
use crate::plan::world::Task;

/// One pass of a service, carried out up to its Tasks.
fn pass(scene: &mut Scene, service: &str) {
    let plan = scene.plan(service);
    scene.commit(service, &plan);
    scene.create_tasks();
}

/// Ends every task that is alive as one that never started, `seconds` from now.
fn refuse_all(scene: &mut Scene, service: &str, seconds: i64) {
    scene.advance(seconds);
    let now = scene.world.now;
    for task in scene.alive(service) {
        scene.edit_task(&task.key.name, |t: &mut Task| {
            (t.desired, t.last) = (DesiredStatus::Stopped, LastStatus::Stopped);
            (t.stop_code, t.stopped_at) = (Some(StopCode::TaskFailedToStart), Some(now));
            t.stopped_reason = Some("CannotPullContainerError: no such image".to_owned());
        });
    }
    scene.release();
}

#[test]
fn a_refused_daemon_is_tried_again_on_its_instance_with_doubling_waits() {
    let mut scene = Scene::new()
        .instance(instance("i1"))
        .definition(definition("d:1", 256, 256))
        .service(daemon("d", "d:1"));
    for wait in [1, 2, 4, 8] {
        pass(&mut scene, "d");
        assert_eq!(scene.alive("d").len(), 1);
        refuse_all(&mut scene, "d", 0);
        let plan = scene.plan("d");
        assert!(plan.start.is_empty(), "waits {wait} s");
        assert_eq!(
            plan.wake_at,
            Some(scene.world.now + SignedDuration::from_secs(wait))
        );
        scene.advance(wait);
        assert_eq!(scene.plan("d").start.len(), 1, "after {wait} s");
    }
}

#[test]
fn a_refused_replica_goes_elsewhere_at_once() {
    let mut scene = Scene::new()
        .instance(instance("i1"))
        .instance(instance("i2"))
        .definition(definition("r:1", 256, 256))
        .service(replica("r", "r:1", 1));
    pass(&mut scene, "r");
    let first = scene.where_wanted("r");
    refuse_all(&mut scene, "r", 0);
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 1);
    assert_ne!(Some(&plan.start[0].instance), first.first());
}

#[test]
fn a_replica_that_is_told_to_stop_because_it_failed_is_not_replaced_on_its_instance() {
    let told = |task: &mut Task| {
        task.desired = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::TaskFailedToStart);
    };
    for others in [0, 1] {
        let mut scene = Scene::new()
            .instance(instance("i1"))
            .definition(definition("r:1", 256, 256))
            .service(replica("r", "r:1", 1));
        pass(&mut scene, "r");
        let task = scene.alive("r").remove(0);
        scene.edit_task(&task.key.name, told);
        if others == 1 {
            scene = scene.instance(instance("i2"));
        }
        let plan = scene.plan("r");
        let chosen: Vec<&str> = plan.start.iter().map(|s| s.instance.as_str()).collect();
        assert_eq!(chosen, &["i2"][..others], "its Pod has not ended yet");
        if others == 0 {
            assert_eq!(plan.failures[0].reason, "TaskFailedToStart");
            assert!(plan.wake_at.is_some());
        }
    }
}

#[test]
fn a_replica_that_its_service_stops_says_nothing_of_its_instance() {
    let mut scene = Scene::new()
        .instance(instance("i1"))
        .definition(definition("r:1", 256, 256))
        .service(replica("r", "r:1", 1));
    pass(&mut scene, "r");
    let task = scene.alive("r").remove(0);
    scene.edit_task(&task.key.name, |t: &mut Task| {
        t.desired = DesiredStatus::Stopped;
        t.stop_code = Some(StopCode::ServiceSchedulerInitiated);
    });
    assert_eq!(scene.plan("r").start.len(), 1);
}

#[test]
fn thr_1_to_4_starts_that_fail_in_a_row_are_throttled_until_a_new_deployment_thr_6() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 256, 256))
        .definition(definition("r:2", 256, 256))
        .service(replica("r", "r:1", 1));
    for n in 0..6 {
        scene = scene.instance(instance(&format!("i{n}")));
    }
    for failed in 0..4 {
        let plan = scene.plan("r");
        assert_eq!(
            (plan.failing.is_some(), plan.impaired),
            (failed > 0, false),
            "{failed}"
        );
        pass(&mut scene, "r");
        refuse_all(&mut scene, "r", 0);
    }
    let plan = scene.plan("r");
    let why = plan.failing.clone().unwrap();
    assert!(
        why.starts_with("the newest task ")
            && why.ends_with(" failed to start: CannotPullContainerError: no such image"),
        "{why}"
    );
    assert!(plan.impaired);
    assert!(
        plan.start.is_empty(),
        "the fourth failure in a row waits 15 s (THR-2)"
    );
    assert_eq!(
        plan.wake_at,
        Some(scene.world.now + SignedDuration::from_secs(15))
    );
    assert!(
        plan.events
            .iter()
            .any(|e| e.starts_with("is unable to consistently start tasks")),
        "EVT-30"
    );
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    pass(&mut scene, "r");
    assert_eq!(scene.alive("r").len(), 1, "a new deployment begins anew (THR-4)");
    let plan = scene.plan("r");
    assert_eq!((plan.failing, plan.impaired), (None, false));
}
