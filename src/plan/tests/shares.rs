//! Who may take which room: daemons and replicas next to each other, tasks on their way out.

use crate::domain::records::{DesiredStatus, InstanceStatus, Reservation, RolloutState};
use crate::plan::testing::*;
use crate::plan::texts;
use crate::plan::world::{Strategy, Task};

fn place(scene: &Scene, name: &str) -> Vec<String> {
    scene.plan(name).start.into_iter().map(|s| s.instance).collect()
}

#[test]
fn replicas_that_would_fill_a_new_instance_leave_its_daemons_their_room_daemon_27() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 512, 64))
        .definition(definition("d:1", 256, 64))
        .instance(instance("i1"))
        .service(daemon("d1", "d:1"))
        .service(daemon("d2", "d:1"))
        .service(replica("r", "r:1", 100));
    scene.settle("r");
    assert_eq!(
        scene.where_wanted("r").len(),
        3,
        "the fourth would need the daemons' room"
    );
    for daemon in ["d1", "d2"] {
        assert!(scene.settle(daemon).steady, "{daemon}");
    }
    assert_eq!(scene.where_wanted("r").len(), 3);
}

#[test]
fn room_is_held_back_only_where_the_daemon_still_belongs_daemon_24() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 2048, 64))
        .instance(instance("i1").attribute("env", "prod"))
        .service(daemon("d", "d:1").member_of("attribute:env == prod"))
        .service(replica("r", "d:1", 1));
    assert_eq!(place(&scene, "r"), Vec::<String>::new());
    scene.edit_instance("i1", |i| *i = instance("i1").attribute("env", "test"));
    assert_eq!(place(&scene, "r"), ["i1"]);
}

#[test]
fn changed_constraints_move_a_daemon_at_once_without_a_deployment_daemon_4_svc_10() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1").attribute("env", "prod"))
        .instance(instance("i2"))
        .service(daemon("d", "d:1"));
    let before = scene.settle("d").deployments[0].id.clone();
    scene.edit_service("d", |s| *s = s.clone().member_of("attribute:env == prod"));
    let plan = scene.plan("d");
    assert_eq!(
        (plan.stop.len(), plan.deployments[0].id.clone()),
        (1, before.clone())
    );
    scene.settle("d");
    assert_eq!(scene.where_wanted("d"), ["i1"]);
    assert_eq!(scene.get("d").deployments[0].id, before);
}

#[test]
fn a_replica_can_ask_for_the_host_of_a_daemon_daemon_10() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1"))
        .instance(instance("i2").attribute("logs", "yes"))
        .service(daemon("d", "d:1").member_of("attribute:logs exists"))
        .service(replica("r", "d:1", 2).member_of("task:group == service:d"));
    assert_eq!(place(&scene, "r"), Vec::<String>::new());
    scene.settle("d");
    assert_eq!(place(&scene, "r"), ["i2", "i2"]);
}

#[test]
fn all_daemons_of_a_drained_instance_stop_together_daemon_45() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1"))
        .service(daemon("d1", "d:1"))
        .service(daemon("d2", "d:1"))
        .task(standalone("job", "i1"));
    scene.settle("d1");
    scene.settle("d2");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    let stops = |scene: &Scene| ["d1", "d2"].map(|d| scene.plan(d).stop.len());
    assert_eq!(stops(&scene), [0, 0]);
    scene.edit_task("job", |t| t.last = crate::domain::records::LastStatus::Stopped);
    assert_eq!(stops(&scene), [1, 1]);
}

#[test]
fn a_new_instance_gets_its_daemon_while_another_drains_daemon_47() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"))
        .task(standalone("job", "i1"));
    scene.settle("d");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    let scene = scene.instance(instance("i2"));
    assert_eq!(place(&scene, "d"), ["i2"]);
}

#[test]
fn run_once_tasks_of_a_draining_instance_are_left_alone_and_hold_its_daemons_drain_7_drain_8() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"))
        .service(replica("r", "d:1", 0))
        .task(standalone("job", "i1"));
    scene.settle("d");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    scene.edit_task("job", |t| t.last = crate::domain::records::LastStatus::Pending);
    for service in ["d", "r"] {
        assert!(scene.plan(service).stop.is_empty(), "{service}");
    }
}

#[test]
fn a_run_once_task_that_has_its_share_and_is_not_bound_yet_holds_the_daemons_too_drain_8_daemon_43() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 1, 1))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"));
    scene.settle("d");
    scene.edit_instance("i1", |i| {
        i.status = InstanceStatus::Draining;
        i.reservations.push(Reservation {
            namespace: NAMESPACE.to_owned(),
            task: "job".to_owned(),
            uid: Some("uid-job".to_owned()),
            service: None,
            amounts: amounts(1, 1),
            since: String::new(),
            restored: false,
        });
    });
    let mut job = standalone("job", "");
    job.instance = None;
    let scene = scene.task(job);
    let stops = |edit: &dyn Fn(&mut Task)| {
        let mut scene = scene.clone();
        scene.edit_task("job", edit);
        scene.plan("d").stop.len()
    };
    assert_eq!(stops(&|_| ()), 0, "it may be bound at any moment");
    assert_eq!(stops(&|t| t.instance = Some("i2".to_owned())), 1, "elsewhere");
    assert_eq!(stops(&|t| t.desired = DesiredStatus::Stopped), 1, "never");
    assert_eq!(stops(&|t| t.uid = "another".to_owned()), 1, "its namesake");
}

#[test]
fn a_stopping_task_keeps_its_share_until_it_is_stopped_place_7_opt_1_opt_7() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100).port(80))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1))
        .service(replica("next", "r:1", 1));
    scene.settle("r");
    scene.edit_service("r", |s| s.desired_count = 0);
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.carry_out_marks();
    assert_eq!(scene.alive("r")[0].desired, DesiredStatus::Stopped);
    assert_eq!(place(&scene, "next"), Vec::<String>::new(), "stopping");
    scene.end_tasks();
    scene.release();
    assert_eq!(place(&scene, "next"), ["i1"]);
}

#[test]
fn a_task_told_to_stop_does_not_count_for_the_spread_strat_12() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .instance(instance("a1").zone("a"))
        .instance(instance("b1").zone("b"))
        .service(replica("r", "r:1", 2));
    scene.settle("r");
    let leaving = scene
        .alive("r")
        .into_iter()
        .find(|t| t.instance.as_deref() == Some("a1"))
        .unwrap();
    assert_eq!(place(&scene, "r"), Vec::<String>::new());
    scene.edit_task(&leaving.key.name, |t| t.desired = DesiredStatus::Stopped);
    assert_eq!(place(&scene, "r"), ["a1"], "else both zones would tie");
    scene.world.seed = 7;
    assert_eq!(place(&scene, "r"), ["a1"]);
}

#[test]
fn binpack_compares_what_is_left_before_the_task_is_placed_strat_10() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .instance(instance("i1").size(700, 4096))
        .instance(instance("i2").size(500, 4096))
        .instance(instance("i3").size(600, 50))
        .service(replica("r", "r:1", 1).strategy(Strategy::BinpackCpu));
    assert_eq!(place(&scene, "r"), ["i2"]);
    scene.edit_instance("i1", |i| i.foreign = amounts(300, 0));
    assert_eq!(place(&scene, "r"), ["i1"]);
}

#[test]
fn constraints_bind_and_strategies_never_prevent_a_placement_place_5() {
    let scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1).strategy(Strategy::SpreadAttribute("rack".to_owned())))
        .service(replica("s", "r:1", 1).member_of("attribute:rack exists"));
    assert_eq!(place(&scene, "r"), ["i1"]);
    assert_eq!(place(&scene, "s"), Vec::<String>::new());
    assert_eq!(
        scene.plan("s").failures[0].reason,
        "MemberOf placement constraint unsatisfied."
    );
}

#[test]
fn the_constraint_is_told_where_room_is_missing_too_place_2_place_3() {
    let scene = Scene::new()
        .definition(definition("r:1", 9999, 100))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1).member_of("attribute:rack exists"));
    assert_eq!(
        scene.plan("r").failures[0].reason,
        "MemberOf placement constraint unsatisfied."
    );
}

#[test]
fn what_no_instance_can_hold_is_a_placement_failure_that_says_what_to_change_val_13() {
    let scene = Scene::new()
        .definition(definition("cpu:1", 9999, 100))
        .definition(definition("memory:1", 1, 9999))
        .instance(instance("i1"))
        .service(replica("cpu", "cpu:1", 1))
        .service(replica("memory", "memory:1", 1));
    let told = |name: &str| scene.plan(name).failures[0].detail.clone();
    let advice = "ask for less in the task definition, or add a bigger node";
    assert_eq!(
        told("cpu"),
        format!("asked 9999 CPU units, the instance has 2048 in all: {advice}")
    );
    assert_eq!(
        told("memory"),
        format!("asked 9999 MiB, the instance has 4096 in all: {advice}")
    );
    assert_eq!(scene.plan("cpu").stalled, None, "accepted");
}

#[test]
fn an_attribute_without_a_value_exists_and_equals_nothing_attr_1() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .instance(instance("i1"))
        .service(replica("there", "r:1", 1).member_of("attribute:ssd exists"))
        .service(replica("equal", "r:1", 1).member_of("attribute:ssd == fast"));
    scene.edit_instance("i1", |i| drop(i.attributes.insert("ssd".to_owned(), None)));
    assert_eq!(
        (place(&scene, "there").len(), place(&scene, "equal").len()),
        (1, 0)
    );
}

#[test]
fn several_member_of_constraints_are_joined_by_and_cql_23() {
    let rules = |scene: &mut Scene, texts: &[&str]| {
        let parsed = texts
            .iter()
            .map(|t| crate::domain::expr::Expression::parse(t))
            .collect();
        scene.edit_service("r", |s| s.constraints = parsed);
    };
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .instance(instance("i1").attribute("a", "1"))
        .instance(instance("i2").attribute("a", "1").attribute("b", "2"))
        .service(replica("r", "r:1", 1));
    rules(&mut scene, &["attribute:a == 1", "attribute:b == 2"]);
    assert_eq!(place(&scene, "r"), ["i2"]);
    rules(&mut scene, &["attribute:a == 1", "attribute:b == 3"]);
    assert_eq!(place(&scene, "r"), Vec::<String>::new());
}

#[test]
fn a_deployment_without_room_goes_on_for_ever_and_is_not_throttled_roll_12_thr_5() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 2000, 100))
        .instance(instance("i1").size(1000, 4096))
        .service(replica("r", "r:1", 1));
    for _ in 0..20 {
        scene.round("r");
        scene.advance(86_400);
    }
    let plan = scene.plan("r");
    assert_eq!(plan.deployments[0].rollout_state, RolloutState::InProgress);
    assert!(!plan.events.contains(&texts::IMPAIRED.to_owned()));
    scene.edit_instance("i1", |i| *i = instance("i1"));
    assert_eq!(place(&scene, "r"), ["i1"], "at once");
}

#[test]
fn a_task_lost_in_a_deployment_is_replaced_by_the_new_revision_under_a_new_id_health_8_health_9() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 2).percent(100, 100));
    scene.settle("r");
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    let lost = scene.alive("r").remove(0).key.name;
    scene.edit_task(&lost, |t| t.last = crate::domain::records::LastStatus::Stopped);
    scene.release();
    let plan = scene.plan("r");
    let started: Vec<_> = plan
        .start
        .iter()
        .map(|s| (s.definition.as_str(), &s.id))
        .collect();
    assert_eq!(started, [("r.2", &None)]);
    scene.round("r");
    assert!(scene.alive("r").iter().all(|t| t.key.name != lost));
}

#[test]
fn a_stopping_task_does_not_count_for_the_upper_bound_pct_4() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 2).percent(50, 100));
    scene.settle("r");
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    let plan = scene.plan("r");
    assert_eq!((plan.start.len(), plan.stop.len()), (0, 1));
    scene.commit("r", &plan);
    assert!(
        scene.plan("r").start.is_empty(),
        "marked, and still RUNNING wanted"
    );
    scene.carry_out_marks();
    assert_eq!(scene.alive("r").len(), 2, "it has not ended");
    assert_eq!(scene.plan("r").start.len(), 1);
}

/// An instance of 2048 CPU units where task L of so many is stopping.
fn stopping(cpu: i64) -> Scene {
    let mut scene = Scene::new()
        .definition(definition("l:1", cpu, 64))
        .instance(instance("i1"))
        .service(replica("l", "l:1", 1));
    scene.settle("l");
    scene.edit_service("l", |s| s.desired_count = 0);
    let plan = scene.plan("l");
    scene.commit("l", &plan);
    scene.carry_out_marks();
    scene
}

#[test]
fn what_fits_beside_a_long_stop_runs_and_what_does_not_waits_nowhere_in_line_scn_8_hrm_5() {
    let mut scene = stopping(1024)
        .definition(definition("s:1", 1024, 64))
        .definition(definition("s:2", 512, 64))
        .definition(definition("s:3", 256, 64));
    for (name, definition) in [("s1", "s:1"), ("s2", "s:2"), ("s3", "s:3")] {
        scene = scene.service(replica(name, definition, 1));
    }
    assert_eq!(place(&scene, "s1"), ["i1"]);
    scene.edit_instance("i1", |i| i.registered.cpu += 256);
    let plan = scene.plan("s1");
    scene.commit("s1", &plan);
    assert_eq!(place(&scene, "s2"), Vec::<String>::new(), "256 are left");
    assert_eq!(place(&scene, "s3"), ["i1"], "nothing waits behind s2");
    scene.end_tasks();
    scene.release();
    assert_eq!(place(&scene, "s2"), ["i1"]);
}

#[test]
fn a_task_is_placed_behind_a_stop_only_when_the_stop_is_over_scn_9() {
    let mut scene = stopping(2048)
        .definition(definition("n:1", 1024, 64))
        .service(replica("n", "n:1", 1));
    let plan = scene.plan("n");
    assert!(plan.start.is_empty());
    assert_eq!(plan.failures[0].reason, "RESOURCE:CPU");
    // nobody has placed it, so nothing is left of it that could be stopped
    scene.edit_service("n", |s| s.desired_count = 0);
    let plan = scene.round("n");
    assert!(plan.stop.is_empty() && scene.alive("n").is_empty());
    scene.edit_service("n", |s| s.desired_count = 1);
    scene.end_tasks();
    scene.release();
    assert_eq!(place(&scene, "n"), ["i1"]);
}
