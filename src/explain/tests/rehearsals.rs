//! What would happen: to the fixed point, and never for ever.

#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::collections::BTreeSet;

use super::picture;
use crate::domain::records::{InstanceStatus, QuiesceReason};
use crate::explain::preview::{Asked, StepKind, preview};
use crate::explain::rehearsal::{PASSES_MAX, Rest, What, rehearse, rehearse_within};
use crate::explain::{Picture, instance, task, text, text_preview};
use crate::plan::testing::*;

/// Two instances, a daemon of 512 units and two replicas of 1024, all running.
fn settled() -> Scene {
    let mut scene = Scene::new()
        .definition(definition("d:1", 512, 512))
        .definition(definition("r:1", 1024, 1024))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(daemon("d", "d:1"))
        .service(replica("r", "r:1", 2));
    for name in ["d", "r", "d", "r"] {
        scene.settle(name);
    }
    scene
}

fn draining(scene: &mut Scene, name: &str) -> Picture {
    scene.edit_instance(name, |i| i.status = InstanceStatus::Draining);
    let mut picture = picture(scene);
    picture.stop_seconds = [(key("r.1"), 120), (key("d.1"), 30)].into();
    picture
}

#[test]
fn what_is_at_rest_stays_as_it_is() {
    let outcome = rehearse(&picture(&settled()));
    assert_eq!((outcome.steps.len(), outcome.rest), (0, Rest::Reached));
}

#[test]
fn a_drain_is_shown_with_its_times_daemons_last_drain_3_daemon_42() {
    let mut scene = settled().instance(instance("i3"));
    scene.settle("d");
    let preview = preview(&draining(&mut scene, "i1"), &Asked::default());
    assert!(preview.works_out(), "{preview:?}");
    let drained = &preview.instances[0];
    let steps: Vec<_> = drained
        .steps
        .iter()
        .map(|s| (s.after_seconds, s.what, s.service.clone().unwrap()))
        .collect();
    let line = |at, what, service: &str| (at, what, format!("shop/{service}"));
    // the replacement is healthy after 40 s, the replica has 120 s for its end and the daemon 30 s
    assert_eq!(
        steps,
        [
            line(40, StepKind::ToldToStop, "r"),
            line(160, StepKind::Ended, "r"),
            line(160, StepKind::ToldToStop, "d"),
            line(190, StepKind::Ended, "d"),
        ]
    );
    assert_eq!(drained.empty_after_seconds, Some(190));
    assert_eq!(preview.at_rest_after_seconds, Some(190));
    let text = text_preview::preview(&preview).join("\n");
    assert!(text.contains("empty after 3 min 10 s at the latest"), "{text}");
}

#[test]
fn a_drain_that_finds_no_room_says_what_is_left_and_what_would_help() {
    let mut scene = settled();
    // so that the replica of i1 finds no place on i2
    scene.edit_instance("i2", |i| i.foreign = amounts(512, 0));
    let preview = preview(&draining(&mut scene, "i1"), &Asked::default());
    assert!(!preview.works_out());
    let left = preview.instances[0].left.as_ref().unwrap();
    assert!(
        left.waits_for[0].contains("a task in its place finds no room"),
        "{left:?}"
    );
    assert!(left.daemons[0].contains("it stops when the others have stopped"));
    let service = preview.services.iter().find(|s| s.service == "shop/r").unwrap();
    let other = service.verdicts.iter().find(|v| v.instance == "i2").unwrap();
    assert_eq!(other.reason.as_deref(), Some("RESOURCE:CPU"));
}

#[test]
fn what_is_of_no_service_keeps_a_drain_and_a_protected_task_holds_it_for_its_time_prot_8() {
    let mut scene = settled().instance(instance("i3")).task(standalone("t", "i1"));
    scene.settle("d");
    let now = scene.world.now;
    let id = scene
        .alive("r")
        .iter()
        .find(|t| t.instance.as_deref() == Some("i1"))
        .unwrap()
        .key
        .name
        .clone();
    scene.edit_task(&id, |t| {
        t.protected_until = Some(now + jiff::SignedDuration::from_mins(10));
    });
    let preview = preview(&draining(&mut scene, "i1"), &Asked::default());
    let drained = &preview.instances[0];
    assert_eq!(drained.steps[0].after_seconds, 600, "its protection is over then");
    assert!(drained.left.as_ref().unwrap().waits_for[0].contains("of no service"));
}

#[test]
fn a_deployment_is_rolled_out_within_its_bounds_and_what_has_no_place_is_told_roll_1() {
    let mut scene = settled().definition(definition("r:2", 1500, 1024));
    scene.edit_service("r", |s| "r:2".clone_into(&mut s.requested_definition));
    let asked = Asked {
        services: BTreeSet::from([key("r")]),
        ..Asked::default()
    };
    // 1536 units beside the daemon: a new one fits only where the old one is gone, and lower keeps both
    let stuck = preview(&picture(&scene), &asked);
    assert!(!stuck.works_out());
    scene.edit_service("r", |s| s.minimum_healthy_percent = 50);
    let moving = preview(&picture(&scene), &asked);
    assert!(moving.works_out(), "{moving:?}");
    let service = &moving.services[0];
    let starts = service.steps.iter().filter(|s| s.what == StepKind::Starts);
    assert_eq!((starts.count(), service.tasks.len()), (2, 2));
}

#[test]
fn a_world_without_rest_is_told_as_such() {
    let mut scene = settled().instance(instance("i3"));
    let picture = draining(&mut scene, "i1");
    assert_eq!(rehearse_within(&picture, 2).rest, Rest::NotReached);
    let outcome = rehearse(&picture);
    assert!(outcome.passes < PASSES_MAX && outcome.rest == Rest::Reached);
}

#[test]
fn nobody_says_when_a_task_on_a_disconnected_instance_has_ended() {
    let mut scene = settled().instance(instance("i3"));
    let long_ago = scene.world.now - jiff::SignedDuration::from_hours(1);
    scene.edit_instance("i1", |i| {
        (i.connected, i.disconnected_since) = (false, Some(long_ago));
    });
    let outcome = rehearse(&picture(&scene));
    let told = outcome.steps.iter().find_map(|s| match &s.what {
        What::ToldToStop { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(told, Some(None));
    assert_eq!(outcome.rest, Rest::Reached);
}

#[test]
fn an_instance_says_who_holds_its_room_and_what_would_fit() {
    let mut scene = settled();
    scene.edit_instance("i1", |i| i.registered.cpu = 4096);
    let found = instance::explain(&picture(&scene), "i1").unwrap();
    assert_eq!((found.left.cpu, found.tasks.len()), (4096 - 512 - 1024, 2));
    assert_eq!((found.replicas[0].here, found.replicas[0].more), (1, 2));
    assert!(found.daemons[0].task.is_some());
}

#[test]
fn a_task_says_that_and_why_it_should_finish_prot_11() {
    let mut scene = settled();
    let id = scene.alive("r").remove(0).key.name;
    let said = |scene: &Scene| {
        let found = task::explain(&picture(scene), &key(&id)).unwrap();
        (found.should_finish, text::task(&found).concat())
    };
    assert_eq!(said(&scene).0, None);
    scene.edit_task(&id, |t| t.told = Some(QuiesceReason::Drain));
    let (should_finish, text) = said(&scene);
    assert_eq!(should_finish, Some("its container instance drains"));
    assert!(
        text.contains("told that it should finish: its container instance drains"),
        "{text}"
    );
}

#[test]
fn a_task_says_who_told_it_to_stop_and_by_when_it_has_task_13() {
    let mut scene = settled();
    let id = scene.alive("r")[0].key.name.clone();
    let mut picture = picture(&scene);
    let found = task::explain(&picture, &key(&id)).unwrap();
    assert_eq!((found.stop, found.waits_for), (None, None));
    scene.edit_service("r", |s| s.desired_count = 0);
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    picture.world = scene.world.clone();
    let found = task::explain(&picture, &key(&id)).unwrap();
    assert!(found.stop.unwrap().by.contains("about to tell it"));
    scene.carry_out_marks();
    picture.world = scene.world.clone();
    let killed_at = scene.world.now + jiff::SignedDuration::from_secs(33);
    let pod = crate::explain::picture::PodFacts {
        name: "pod".to_owned(),
        killed_at: Some(killed_at),
        grace_seconds: Some(60),
    };
    picture.pods.insert(key(&id), pod);
    let stop = task::explain(&picture, &key(&id)).unwrap().stop.unwrap();
    assert_eq!(stop.by, "the scheduler of service shop/r");
    assert_eq!(stop.at_the_latest, Some(killed_at));
}
