//! Availability Zone rebalancing. (AZ)

use std::collections::BTreeMap;

use crate::domain::records::{HealthStatus, InstanceStatus, LastStatus};
use crate::plan::testing::*;

/// Service `r` of 100 CPU units a task, moved between zones; instances are named after their zone.
fn scene(desired: u32, instances: &[&str]) -> Scene {
    let mut service = replica("r", "r:1", desired);
    service.rebalancing = true;
    let scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .service(service);
    instances.iter().fold(scene, |scene, name| {
        scene.instance(instance(name).zone(&name[..1]))
    })
}

fn per_zone(scene: &Scene) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    for instance in scene.where_wanted("r") {
        *counts.entry(instance[..1].to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// Six tasks in zone a, and an empty zone b.
fn one_sided() -> Scene {
    let mut scene = scene(6, &["a1"]);
    scene.settle("r");
    scene.instance(instance("b1").zone("b"))
}

#[test]
fn it_starts_where_fewest_are_waits_until_they_are_healthy_and_stops_where_most_are_az_4() {
    let mut scene = one_sided();
    let plan = scene.round("r");
    let zones: Vec<_> = plan
        .start
        .iter()
        .map(|s| s.availability_zone.as_deref())
        .collect();
    assert_eq!(zones, [Some("b"); 3]);
    assert!(plan.stop.is_empty() && !plan.steady);
    assert_eq!(
        plan.events,
        ["service (r) is not AZ balanced with 6 tasks in a, 0 tasks in b. AZ Rebalancing in progress."]
    );
    let plan = scene.plan("r");
    assert!(
        plan.stop.is_empty() && plan.start.is_empty(),
        "they run for less than 40 s"
    );
    assert!(plan.wake_at.is_some());
    scene.advance(60);
    let plan = scene.round("r");
    let zones: Vec<_> = plan.stop.iter().map(|s| s.availability_zone.as_deref()).collect();
    assert_eq!(zones, [Some("a"); 3]);
    assert_eq!(per_zone(&scene), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    let plan = scene.plan("r");
    assert!(plan.steady);
    assert_eq!(
        plan.events[0],
        "service (r) is AZ balanced with 3 tasks in a, 3 tasks in b."
    );
    let plan = scene.settle("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
}

#[test]
fn zones_that_differ_by_one_are_balanced_az_4() {
    let mut scene = scene(5, &["a1", "b1"]);
    let plan = scene.settle("r");
    assert!(plan.start.is_empty() && plan.steady);
    scene.edit_service("r", |s| s.desired_count = 3);
    scene.settle("r");
    let counts: Vec<usize> = per_zone(&scene).into_iter().map(|(_, n)| n).collect();
    assert!(counts == [1, 2] || counts == [2, 1], "{counts:?}");
}

#[test]
fn it_moves_no_more_at_a_time_than_upper_allows_az_4_pct_6() {
    let mut scene = one_sided();
    scene.edit_service("r", |s| s.maximum_percent = 117);
    assert_eq!(scene.plan("r").start.len(), 1);
    scene.settle("r");
    assert_eq!(per_zone(&scene), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    scene.edit_service("r", |s| s.rebalancing = false);
    let mut scene = one_sided();
    scene.edit_service("r", |s| s.rebalancing = false);
    assert!(
        scene.plan("r").start.is_empty() && scene.plan("r").steady,
        "DISABLED"
    );
}

#[test]
fn it_waits_for_a_steady_state_az_4() {
    let mut scene = one_sided();
    let id = scene.alive("r").remove(0).key.name;
    scene.edit_task(&id, |t| t.health = HealthStatus::Unhealthy);
    let zoned = |scene: &Scene| {
        let plan = scene.plan("r");
        plan.start.iter().any(|s| s.availability_zone.is_some())
    };
    assert!(!zoned(&scene), "a task is unhealthy");
    scene.edit_task(&id, |t| t.health = HealthStatus::Unknown);
    assert!(zoned(&scene));
    scene.edit_task(&id, |t| t.last = LastStatus::Pending);
    assert!(!zoned(&scene), "a task is on its way");
    scene.edit_task(&id, |t| t.last = LastStatus::Running);
    scene.edit_service("r", |s| s.desired_count = 7);
    assert!(!zoned(&scene), "one is missing");
}

#[test]
fn a_zone_without_room_is_told_and_the_next_takes_what_it_can_az_5() {
    let mut scene = scene(6, &["a1"]);
    scene.settle("r");
    let mut scene = scene
        .instance(instance("b1").zone("b").size(50, 4096))
        .instance(instance("c1").zone("c"));
    let plan = scene.plan("r");
    let zones: Vec<_> = plan
        .start
        .iter()
        .map(|s| s.availability_zone.as_deref())
        .collect();
    assert_eq!(zones, [Some("c"); 3]);
    let full = "service (r) is unable to place a task in b because no container instance met all of its requirements.";
    assert!(plan.events.iter().any(|event| event == full), "{:?}", plan.events);
    let plan = scene.settle("r");
    assert!(plan.start.is_empty());
    assert_eq!(per_zone(&scene), [("a".to_owned(), 3), ("c".to_owned(), 3)]);
    assert!(
        plan.events.iter().any(|event| event == full),
        "as long as it is so"
    );
    scene.edit_instance("b1", |i| i.registered.cpu = 2048);
    scene.settle("r");
    assert_eq!(
        per_zone(&scene),
        [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 2)],
        "room came up"
    );
}

#[test]
fn zones_in_which_it_may_not_run_do_not_count_az_4() {
    let mut scene = one_sided();
    scene.edit_instance("b1", |i| i.status = InstanceStatus::Draining);
    assert!(scene.plan("r").start.is_empty());
    scene.edit_instance("b1", |i| i.status = InstanceStatus::Active);
    scene.edit_service("r", |s| {
        s.constraints = Ok(vec![
            crate::domain::expr::Expression::parse("attribute:gpu exists").unwrap(),
        ]);
    });
    assert!(scene.plan("r").start.is_empty());
}

#[test]
fn protected_tasks_stay_and_none_is_started_for_one_that_may_not_stop_az_5_prot_7() {
    let mut scene = one_sided();
    let until = scene.world.now + jiff::SignedDuration::from_hours(1);
    for task in scene.alive("r").into_iter().skip(2) {
        scene.edit_task(&task.key.name, |t| t.protected_until = Some(until));
    }
    assert_eq!(scene.plan("r").start.len(), 2);
    let plan = scene.settle("r");
    assert_eq!(per_zone(&scene), [("a".to_owned(), 4), ("b".to_owned(), 2)]);
    assert_eq!(plan.wake_at, Some(until));
    scene.advance(3600);
    scene.settle("r");
    assert_eq!(per_zone(&scene), [("a".to_owned(), 3), ("b".to_owned(), 3)]);
}

#[test]
fn a_user_who_scales_in_meanwhile_gets_it_and_the_balance_az_4_scalein_1() {
    let mut scene = one_sided();
    scene.round("r");
    scene.edit_service("r", |s| s.desired_count = 4);
    let plan = scene.round("r");
    assert!(!plan.stop.is_empty(), "what runs beyond it goes now");
    assert!(
        plan.stop.iter().all(|stop| stop.availability_zone.is_none()),
        "nobody moves for the balance"
    );
    scene.settle("r");
    assert_eq!(per_zone(&scene), [("a".to_owned(), 2), ("b".to_owned(), 2)]);
}
