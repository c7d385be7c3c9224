//! Which protected tasks are told that they should finish, and when no more. (PROT-11)

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::records::{InstanceStatus, QuiesceReason};
use crate::plan::testing::*;
use crate::plan::world::{ASKED, Key};

fn keys(scene: &Scene) -> Vec<Key> {
    scene.alive("r").into_iter().map(|t| t.key.clone()).collect()
}

/// Protects all tasks of the service for one hour after the other.
fn protect(scene: &mut Scene) -> Vec<Key> {
    let keys = keys(scene);
    for (hours, key) in (1..).zip(&keys) {
        let until = scene.world.now + SignedDuration::from_hours(hours);
        scene.edit_task(&key.name, |t| t.protected_until = Some(until));
    }
    keys
}

/// What the next plan tells whom; it is carried out.
fn told(scene: &mut Scene) -> BTreeMap<String, Option<QuiesceReason>> {
    let plan = scene.plan("r");
    for tell in &plan.tell {
        let stopped = plan.stop.iter().any(|stop| stop.task == tell.task);
        assert!(!stopped, "what is stopped is left as it was seen");
    }
    scene.tell(&plan);
    assert!(scene.plan("r").tell.is_empty(), "said once");
    plan.tell
        .into_iter()
        .map(|tell| (tell.task.name, tell.reason))
        .collect()
}

fn one(key: &Key, reason: Option<QuiesceReason>) -> BTreeMap<String, Option<QuiesceReason>> {
    BTreeMap::from([(key.name.clone(), reason)])
}

const NOBODY: BTreeMap<String, Option<QuiesceReason>> = BTreeMap::new();

#[test]
fn as_many_are_told_as_are_too_many_those_first_whose_protection_ends_first_prot_11() {
    let mut scene = running(3, 0, 100);
    let held = protect(&mut scene);
    assert_eq!(told(&mut scene), NOBODY, "all are wanted");
    scene.edit_service("r", |s| s.desired_count = 2);
    assert_eq!(told(&mut scene), one(&held[0], Some(QuiesceReason::ScaleIn)));
    // it asks for more time: it is the one that goes all the same
    let later = scene.world.now + SignedDuration::from_hours(40);
    scene.edit_task(&held[0].name, |t| t.protected_until = Some(later));
    assert_eq!(told(&mut scene), NOBODY);
    scene.edit_service("r", |s| s.desired_count = 1);
    assert_eq!(told(&mut scene), one(&held[1], Some(QuiesceReason::ScaleIn)));
    // it has finished
    scene.edit_task(&held[0].name, |t| t.protected_until = None);
    let plan = scene.plan("r");
    assert_eq!((plan.stop.len(), &plan.stop[0].task), (1, &held[0]));
    scene.settle("r");
    assert_eq!(told(&mut scene), NOBODY);
    scene.edit_service("r", |s| s.desired_count = 2);
    assert_eq!(told(&mut scene), one(&held[1], None), "it is wanted again");
}

#[test]
fn tasks_without_protection_go_before_any_is_told_prot_11() {
    let mut scene = running(3, 0, 100);
    let held = protect(&mut scene);
    scene.edit_task(&held[2].name, |t| t.protected_until = None);
    scene.edit_service("r", |s| s.desired_count = 2);
    let plan = scene.plan("r");
    assert_eq!((plan.stop.len(), plan.tell.len()), (1, 0));
    assert_eq!(plan.stop[0].task, held[2]);
}

#[test]
fn a_request_without_answer_is_no_reason_to_tell_yet_prot_11() {
    let mut scene = running(1, 0, 100);
    let held = protect(&mut scene);
    scene.edit_task(&held[0].name, |t| t.protected_until = Some(ASKED));
    scene.edit_service("r", |s| s.desired_count = 0);
    assert_eq!(told(&mut scene), NOBODY);
    let later = scene.world.now + SignedDuration::from_hours(1);
    scene.edit_task(&held[0].name, |t| t.protected_until = Some(later));
    assert_eq!(told(&mut scene), one(&held[0], Some(QuiesceReason::ScaleIn)));
    // it asks again, or protection has expired and the stop is on its way: nothing is taken back
    scene.edit_task(&held[0].name, |t| t.protected_until = Some(ASKED));
    assert_eq!(told(&mut scene), NOBODY);
}

#[test]
fn a_deployment_tells_old_tasks_once_new_ones_stand_in_for_them_prot_11_pct_5() {
    let mut scene = running(2, 100, 200);
    protect(&mut scene);
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    assert_eq!(told(&mut scene), NOBODY, "nobody stands in for them yet");
    scene.settle("r");
    let said = told(&mut scene);
    assert_eq!(said.len(), 2);
    assert!(
        said.values()
            .all(|reason| *reason == Some(QuiesceReason::Deployment))
    );
    scene.edit_service("r", |s| s.requested_definition = "r:1".to_owned());
    scene.round("r");
    let back = told(&mut scene);
    assert!(back.values().all(Option::is_none) || back.is_empty());
}

#[test]
fn half_of_the_tasks_at_a_time_are_told_where_half_must_stay_prot_11_pct_5() {
    let mut scene = running(2, 50, 100);
    let held = protect(&mut scene);
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    let first = told(&mut scene);
    assert_eq!(first.len(), 1);
    let first = held.iter().find(|key| first.contains_key(&key.name)).unwrap();
    assert_eq!(told(&mut scene), NOBODY, "the other stays until there is another");
    scene.edit_task(&first.name, |t| t.protected_until = None);
    scene.settle("r");
    let other = held.iter().find(|key| *key != first).unwrap();
    assert_eq!(told(&mut scene), one(other, Some(QuiesceReason::Deployment)));
}

#[test]
fn a_drain_tells_those_on_the_instance_prot_11_drain_15() {
    let mut scene = running(2, 0, 100);
    protect(&mut scene);
    let here = scene
        .alive("r")
        .into_iter()
        .find(|t| t.instance.as_deref() == Some("i1"))
        .map(|t| t.key.clone());
    let here = here.unwrap();
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    assert_eq!(told(&mut scene), one(&here, Some(QuiesceReason::Drain)));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Active);
    assert_eq!(told(&mut scene), one(&here, None));
}

#[test]
fn a_daemon_is_told_of_its_update_only_prot_11_prot_12() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .service(daemon("r", "r:1"));
    scene.settle("r");
    let held = protect(&mut scene);
    let until: Timestamp = scene.world.now + SignedDuration::from_hours(1);
    assert_eq!(scene.world.task(&held[0]).unwrap().protected_until, Some(until));
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    assert_eq!(told(&mut scene), one(&held[0], Some(QuiesceReason::Deployment)));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    let plan = scene.plan("r");
    assert_eq!((plan.tell.len(), plan.stop.len()), (0, 1));
}
