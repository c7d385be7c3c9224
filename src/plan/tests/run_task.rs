use crate::domain::expr::Expression;
use crate::domain::records::{DesiredStatus, InstanceStatus, Reservation};
use crate::plan::run_task::{Decision, Place, Unplaced, decide};
use crate::plan::testing::*;
use crate::plan::world::{RunOnce, Strategy, Task};

/// A run-once task that nobody bound.
fn job(id: &str) -> Task {
    Task {
        instance: None,
        last: crate::domain::records::LastStatus::Pending,
        started_at: None,
        ..standalone(id, "")
    }
}

fn asking(id: &str, edit: impl FnOnce(&mut RunOnce)) -> Task {
    let mut wish = RunOnce::default();
    edit(&mut wish);
    Task {
        run_once: Some(std::sync::Arc::new(wish)),
        ..job(id)
    }
}

fn until(second: i64) -> jiff::Timestamp {
    let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    begin + jiff::SignedDuration::from_secs(second)
}

fn scene() -> Scene {
    Scene::new()
        .definition(definition("job:1", 512, 256))
        .instance(instance("i1"))
        .instance(instance("i2"))
}

fn place(scene: &Scene, id: &str) -> Place {
    match decide(&scene.world, &key(id)) {
        Some(Decision::Bind(place)) => place,
        other => panic!("{other:?}"),
    }
}

fn unplaced(scene: &Scene, id: &str) -> Unplaced {
    match decide(&scene.world, &key(id)) {
        Some(Decision::Fail(unplaced)) => unplaced,
        other => panic!("{other:?}"),
    }
}

/// The share of a task that is not bound yet, as the ledger makes it.
fn share(id: &str, cpu: i64) -> Reservation {
    Reservation {
        namespace: NAMESPACE.to_owned(),
        task: id.to_owned(),
        uid: Some(format!("uid-{id}")),
        service: None,
        amounts: amounts(cpu, 256),
        since: String::new(),
        restored: false,
    }
}

#[test]
fn a_task_without_an_instance_is_placed_where_it_fits_run_1() {
    let mut scene = scene().task(job("t"));
    scene.edit_instance("i1", |i| i.foreign = amounts(1600, 0));
    let found = place(&scene, "t");
    assert_eq!((found.instance.as_str(), found.held), ("i2", false));
    assert_eq!((found.demand.cpu, found.revision.as_str()), (512, "job:1"));
    scene.edit_task("t", |t| t.desired = DesiredStatus::Stopped);
    assert_eq!(decide(&scene.world, &key("t")), None, "it should not run");
    let bound = scene.task(standalone("b", "i1"));
    assert_eq!(decide(&bound.world, &key("b")), None, "it is bound");
}

#[test]
fn without_a_strategy_it_is_random_and_repeatable_strat_9_run_10() {
    let mut scene = scene();
    for n in 0..40 {
        scene = scene.task(job(&format!("t{n}")));
    }
    let chosen =
        |scene: &Scene| -> Vec<String> { (0..40).map(|n| place(scene, &format!("t{n}")).instance).collect() };
    let first = chosen(&scene);
    let on_one = first.iter().filter(|i| *i == "i1").count();
    assert!((10..=30).contains(&on_one), "{on_one} of 40 on one of two");
    assert_eq!(first, chosen(&scene));
    scene.world.seed += 1;
    assert_ne!(first, chosen(&scene));
}

#[test]
fn spread_counts_the_task_group_and_shares_of_tasks_about_to_be_bound_strat_4_run_10() {
    let spread = |id: &str| asking(id, |w| w.strategies = vec![Strategy::SpreadInstance]);
    let other_group = Task {
        group: "family:other".to_owned(),
        ..standalone("o", "i2")
    };
    let mut scene = scene()
        .task(standalone("a", "i1"))
        .task(other_group)
        .task(spread("t"))
        .task(job("b"));
    assert_eq!(place(&scene, "t").instance, "i2");
    scene.edit_instance("i2", |i| i.reservations.push(share("b", 512)));
    scene.edit_task("a", |t| t.desired = DesiredStatus::Stopped);
    assert_eq!(
        place(&scene, "t").instance,
        "i1",
        "who stops does not count, who comes does"
    );
}

#[test]
fn distinct_instance_looks_at_the_task_group_cons_4_cons_5_cons_7() {
    let mut scene = scene()
        .task(standalone("a", "i1"))
        .task(standalone("b", "i2"))
        .task(asking("t", |w| w.distinct_instance = true));
    let failed = unplaced(&scene, "t");
    assert_eq!(
        failed.failures[0].reason,
        "DistinctInstance placement constraint unsatisfied."
    );
    scene.edit_task("a", |t| t.desired = DesiredStatus::Stopped);
    assert_eq!(
        place(&scene, "t").instance,
        "i1",
        "a stopping one is not in the way"
    );
    scene.edit_instance("i1", |i| i.reservations.push(share("unseen", 1)));
    assert_eq!(
        unplaced(&scene, "t").failures.len(),
        2,
        "a share whose task is not seen may be of the group"
    );
}

#[test]
fn constraints_of_call_and_definition_all_hold_and_ten_are_the_limit_cons_3_run_1() {
    let rule = |text: &str| Expression::parse(text).unwrap();
    let mut picky = definition("job:1", 1, 1);
    picky.constraints = Ok(vec![rule("attribute:disk == ssd")]);
    let wish = |n: usize| asking("t", |w| w.constraints = Ok(vec![rule("attribute:rack == r1"); n]));
    let scene = Scene::new()
        .definition(picky)
        .instance(instance("i1").attribute("disk", "ssd"))
        .instance(instance("i2").attribute("rack", "r1"))
        .task(wish(1));
    let failed = unplaced(&scene, "t");
    assert_eq!(failed.failures.len(), 2);
    assert!(
        failed
            .failures
            .iter()
            .all(|f| f.reason == "MemberOf placement constraint unsatisfied.")
    );
    let scene = scene
        .instance(instance("i3").attribute("rack", "r1").attribute("disk", "ssd"))
        .task(wish(9));
    assert_eq!(place(&scene, "t").instance, "i3");
    let scene = scene.task(wish(10));
    assert!(unplaced(&scene, "t").reason.contains("11 placement constraints"));
}

#[test]
fn a_constraint_that_cannot_be_read_is_never_waited_for_cons_9() {
    let scene = scene().task(asking("t", |w| {
        w.constraints = Expression::parse("attribute:x ==").map(|e| vec![e]);
        w.queue_until = Some(until(60));
    }));
    assert!(!unplaced(&scene, "t").reason.is_empty());
}

#[test]
fn run_2_without_a_place_it_fails_with_a_reason_for_each_instance_and_what_to_change() {
    let mut scene = scene()
        .instance(instance("i3").status(InstanceStatus::Draining))
        .task(job("t"));
    scene.edit_instance("i1", |i| i.foreign = amounts(1600, 0));
    scene.edit_instance("i2", |i| i.connected = false);
    let Unplaced { reason, failures } = unplaced(&scene, "t");
    let reasons: Vec<_> = failures
        .iter()
        .map(|f| (f.container_instance.as_str(), f.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [("i1", "RESOURCE:CPU"), ("i2", "AGENT"), ("i3", "INACTIVE")]
    );
    assert_eq!(
        reason,
        "RESOURCE:CPU (i1: asked 512 CPU units, 448 left), and nothing fits on 2 other instances: \
         status.placementFailures says why. Create the task again when that has changed, or with spec.queueUntil, a time \
         until which it waits."
    );
}

#[test]
fn without_any_instance_it_says_so_run_11() {
    let mut scene = Scene::new().definition(definition("job:1", 1, 1)).task(job("t"));
    assert!(
        unplaced(&scene, "t")
            .reason
            .starts_with("No Container Instances were found in your cluster. Label nodes")
    );
    scene = scene.instance(instance("i1").status(InstanceStatus::Inactive));
    assert!(unplaced(&scene, "t").failures.is_empty(), "INACTIVE is as gone");
}

#[test]
fn with_queue_until_it_waits_until_then_run_2() {
    let mut scene = scene().task(asking("t", |w| w.queue_until = Some(until(60))));
    for name in ["i1", "i2"] {
        scene.edit_instance(name, |i| i.foreign = amounts(1600, 0));
    }
    let waits = |scene: &Scene| matches!(decide(&scene.world, &key("t")), Some(Decision::Wait(..)));
    assert!(waits(&scene));
    scene.advance(59);
    assert!(waits(&scene));
    scene.advance(1);
    assert!(
        unplaced(&scene, "t")
            .reason
            .contains("It waited until 2026-01-01T00:01:00Z")
    );
    scene.edit_instance("i2", |i| i.foreign = amounts(0, 0));
    assert_eq!(
        place(&scene, "t").instance,
        "i2",
        "what fits at its last look is taken"
    );
}

#[test]
fn a_missing_or_inactive_definition_and_a_missing_cluster_are_named_td_20_clu_7() {
    let mut scene = Scene::new().instance(instance("i1")).task(job("t"));
    assert!(
        unplaced(&scene, "t")
            .reason
            .starts_with("Unable to describe task definition.")
    );
    let mut old = definition("job:1", 1, 1);
    old.active = false;
    scene = scene.definition(old);
    assert!(
        unplaced(&scene, "t")
            .reason
            .starts_with("TaskDefinition is inactive.")
    );
    scene.edit_task("t", |t| t.cluster = "nowhere".to_owned());
    assert!(unplaced(&scene, "t").reason.starts_with("Cluster not found."));
}

#[test]
fn what_may_have_been_created_just_before_the_task_is_waited_for_a_moment_run_2_td_20() {
    let mut scene = Scene::new().instance(instance("i1")).task(job("t"));
    scene.edit_task("t", |t| t.created_at = until(-1));
    let decided = |scene: &Scene| decide(&scene.world, &key("t"));
    let waits = |scene: &Scene| match decided(scene) {
        Some(Decision::Wait(unplaced, at)) => at == until(4) && unplaced.failures.is_empty(),
        _ => false,
    };
    assert!(waits(&scene), "its definition");
    let mut scene = scene.definition(definition("job:1", 1, 1));
    assert!(matches!(decided(&scene), Some(Decision::Bind(_))));
    scene.edit_task("t", |t| t.cluster = "nowhere".to_owned());
    assert!(waits(&scene), "its cluster");
    scene.edit_task("t", |t| t.created_at = until(-5));
    assert!(unplaced(&scene, "t").reason.starts_with("Cluster not found."));
}

#[test]
fn a_task_that_has_its_share_does_not_keep_it_while_it_waits_run_2_state_12() {
    let mut scene = Scene::new()
        .instance(instance("i1"))
        .task(asking("t", |w| w.queue_until = Some(until(3600))));
    scene.edit_task("t", |t| t.created_at = until(-1));
    assert!(matches!(
        decide(&scene.world, &key("t")),
        Some(Decision::Wait(..))
    ));
    scene.edit_instance("i1", |i| i.reservations = vec![share("t", 512)]);
    assert!(unplaced(&scene, "t").reason.starts_with("Unable to describe"));
}

#[test]
fn a_run_once_task_does_not_take_what_daemons_hold_back_daemon_25_daemon_26() {
    let scene = Scene::new()
        .definition(definition("job:1", 512, 256))
        .definition(definition("d:1", 1800, 1))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"))
        .task(job("t"));
    assert_eq!(unplaced(&scene, "t").failures[0].reason, "RESOURCE:CPU");
}

#[test]
fn a_share_that_stands_there_for_this_very_task_is_gone_on_with_state_12() {
    let mut scene = scene().task(job("t"));
    scene.edit_instance("i1", |i| {
        i.reservations.push(share("t", 512));
        i.status = InstanceStatus::Draining;
    });
    let found = place(&scene, "t");
    assert_eq!((found.instance.as_str(), found.held), ("i1", true));
    scene.edit_instance("i1", |i| {
        i.reservations[0].uid = Some("uid-of-a-namesake".to_owned());
    });
    assert_eq!(
        place(&scene, "t").instance,
        "i2",
        "a namesake's share is not ours (F4)"
    );
    scene.edit_instance("i1", |i| i.reservations = vec![share("t", 100)]);
    assert!(unplaced(&scene, "t").reason.contains("got another revision"));
}
