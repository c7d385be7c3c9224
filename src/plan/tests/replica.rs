use jiff::SignedDuration;

use crate::domain::records::{Allocation, LastStatus, StopMark};
use crate::plan::testing::*;
use crate::plan::world::Strategy;

fn scene(desired: u32) -> Scene {
    Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("a1").zone("a"))
        .instance(instance("b1").zone("b"))
        .instance(instance("c1").zone("c"))
        .service(replica("r", "r:1", desired))
}

fn scale(scene: &mut Scene, desired: u32) {
    scene.edit_service("r", |s| s.desired_count = desired);
}

#[test]
fn it_reaches_and_holds_the_desired_count_svc_13_roll_10() {
    let mut scene = scene(6);
    let plan = scene.settle("r");
    assert!(plan.steady && plan.wake_at.is_none());
    assert_eq!(scene.alive("r").len(), 6);
    scale(&mut scene, 9);
    assert_eq!(scene.round("r").start.len(), 3, "upper is of the new count");
    assert!(!scene.plan("r").steady);
    scene.settle("r");
    scale(&mut scene, 0);
    assert_eq!(scene.round("r").stop.len(), 9);
    assert!(scene.plan("r").steady);
}

#[test]
fn a_stopped_task_is_replaced_health_7_svc_15() {
    let mut scene = scene(3);
    scene.settle("r");
    let id = scene.alive("r").remove(0).key.name;
    scene.edit_task(&id, |t| t.last = LastStatus::Stopped);
    assert_eq!(scene.plan("r").start.len(), 1);
}

#[test]
fn a_task_is_started_only_once_while_it_is_on_its_way() {
    let mut scene = scene(3);
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    assert!(scene.plan("r").start.is_empty());
    // The reservations count even if the allocations are gone.
    scene.edit_service("r", |s| s.allocations.clear());
    assert!(scene.plan("r").start.is_empty());
}

fn allocate(scene: &mut Scene, ids: &[&str]) {
    let now = scene.world.now.to_string();
    let deployment = scene.get("r").deployments[0].id.clone();
    scene.edit_service("r", |s| {
        s.allocations = ids
            .iter()
            .map(|id| Allocation {
                id: (*id).to_owned(),
                deployment: deployment.clone(),
                created_at: now.clone(),
                availability_zone: None,
            })
            .collect();
    });
}

#[test]
fn an_id_without_task_and_reservation_is_placed_or_cancelled() {
    let mut scene = scene(2);
    scene.settle("r");
    scale(&mut scene, 3);
    allocate(&mut scene, &["x"]);
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 1);
    assert_eq!(plan.start[0].id.as_deref(), Some("x"));
    assert_eq!(plan.deployments[0].pending_count, 1);
    scale(&mut scene, 2);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(
        (
            plan.stop[0].task.name.as_str(),
            plan.stop[0].uid.as_str(),
            plan.stop[0].version.as_str()
        ),
        ("x", "", "")
    );
    let mark = StopMark {
        id: "x".to_owned(),
        uid: String::new(),
        task_version: String::new(),
        reason: String::new(),
        availability_zone: None,
    };
    scene.edit_service("r", |s| s.stopping = vec![mark]);
    let plan = scene.plan("r");
    assert!(
        plan.start.is_empty() && plan.stop.is_empty(),
        "not cancelled twice"
    );
}

#[test]
fn an_id_of_an_older_deployment_is_cancelled_when_it_has_no_place() {
    let mut scene = scene(2);
    scene.settle("r");
    scale(&mut scene, 3);
    allocate(&mut scene, &["x"]);
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    let plan = scene.plan("r");
    assert!(
        plan.stop
            .iter()
            .any(|s| s.task.name == "x" && s.version.is_empty())
    );
    assert!(plan.start.iter().all(|s| s.id.is_none()));
    assert_eq!(plan.start.len(), 3, "2 running + 1 given out of an upper of 6");
}

#[test]
fn a_mark_holds_until_its_task_moves_on() {
    let mut scene = scene(3);
    scene.settle("r");
    scale(&mut scene, 2);
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 1);
    scene.commit("r", &plan);
    assert!(scene.plan("r").stop.is_empty());
    scale(&mut scene, 3);
    let id = plan.stop[0].task.name.clone();
    assert_eq!(
        scene.plan("r").start.len(),
        1,
        "upper 6 lets the marked one be replaced"
    );
    scene.edit_service("r", |s| s.maximum_percent = 100);
    assert!(
        scene.plan("r").start.is_empty(),
        "it counts for upper until it is told to stop"
    );
    scene.edit_task(&id, |_| {});
    let plan = scene.plan("r");
    assert!(
        plan.start.is_empty() && plan.stop.is_empty(),
        "the mark is void: three run"
    );
}

#[test]
fn at_most_200_starts_and_stops_a_pass() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .service(replica("r", "r:1", 450));
    for n in 0..10 {
        scene = scene.instance(instance(&format!("i{n}")));
    }
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 200);
    scene.commit("r", &plan);
    assert!(scene.plan("r").start.is_empty(), "200 are on their way");
    scene.settle("r");
    assert_eq!(scene.alive("r").len(), 450);
    scale(&mut scene, 0);
    let plan = scene.plan("r");
    assert_eq!(plan.stop.len(), 200);
    scene.commit("r", &plan);
    assert!(scene.plan("r").stop.is_empty());
}

#[test]
fn scale_in_takes_from_the_fullest_zone_scn_10_scalein_2() {
    let mut scene = scene(6);
    scene.settle("r");
    scale(&mut scene, 5);
    scene.settle("r");
    let zones = |scene: &Scene| {
        ["a1", "b1", "c1"].map(|z| scene.where_wanted("r").iter().filter(|i| *i == z).count())
    };
    let mut after = zones(&scene);
    after.sort_unstable();
    assert_eq!(after, [1, 2, 2]);
    let before = zones(&scene);
    scale(&mut scene, 4);
    scene.settle("r");
    let after = zones(&scene);
    for (b, a) in before.iter().zip(after) {
        assert!(a == *b || *b == 2, "{before:?} -> {after:?}");
    }
    scale(&mut scene, 3);
    scene.settle("r");
    assert_eq!(zones(&scene), [1, 1, 1]);
}

#[test]
fn scale_in_keeps_the_spread_and_empties_the_least_used_scalein_1() {
    let mut spread = scene(6);
    spread.edit_service("r", |s| *s = s.clone().strategy(Strategy::SpreadInstance));
    spread.settle("r");
    scale(&mut spread, 3);
    spread.settle("r");
    assert_eq!(spread.where_wanted("r"), ["a1", "b1", "c1"]);

    let mut pack = scene(30);
    pack.edit_service("r", |s| *s = s.clone().strategy(Strategy::BinpackCpu));
    pack.settle("r");
    let before = pack.where_wanted("r");
    let full = before
        .iter()
        .max_by_key(|n| before.iter().filter(|m| m == n).count())
        .unwrap()
        .clone();
    scale(&mut pack, 20);
    pack.settle("r");
    assert!(
        pack.where_wanted("r").iter().all(|i| *i == full),
        "the least used instance is emptied"
    );
}

#[test]
fn pending_tasks_go_before_running_ones_scalein_4() {
    let mut scene = scene(2);
    scene.settle("r");
    scale(&mut scene, 4);
    let plan = scene.plan("r");
    scene.commit("r", &plan);
    scene.create_tasks();
    scale(&mut scene, 2);
    let plan = scene.plan("r");
    let pending: Vec<_> = scene
        .alive("r")
        .into_iter()
        .filter(|t| t.last == LastStatus::Pending)
        .map(|t| t.key)
        .collect();
    let mut stopped: Vec<_> = plan.stop.iter().map(|s| s.task.clone()).collect();
    stopped.sort();
    assert_eq!(stopped, pending);
    assert!(
        plan.stop[0]
            .reason
            .starts_with("Scaling activity initiated by (deployment ecs-svc/")
    );
}

#[test]
fn minimum_does_not_restrict_a_smaller_desired_count_scalein_5() {
    let mut scene = scene(4);
    scene.edit_service("r", |s| *s = s.clone().percent(100, 100));
    scene.settle("r");
    scale(&mut scene, 1);
    assert_eq!(scene.plan("r").stop.len(), 3);
}

#[test]
fn scale_in_during_a_deployment_takes_old_tasks_first_scalein_6() {
    let mut scene = scene(4);
    scene.edit_service("r", |s| *s = s.clone().percent(50, 150));
    scene.settle("r");
    scene.edit_service("r", |s| s.requested_definition = "r:2".to_owned());
    scene.round("r");
    scale(&mut scene, 3);
    let plan = scene.plan("r");
    let old = &plan.deployments[1].id;
    let stopped: Vec<_> = plan
        .stop
        .iter()
        .map(|s| scene.world.task(&s.task).unwrap().started_by.clone())
        .collect();
    assert!(stopped.iter().all(|d| d == old), "{stopped:?}");
}

#[test]
fn protected_tasks_stay_when_scaled_in_scn_13_prot_7_prot_9_scalein_3_evt_33() {
    let mut scene = scene(3);
    scene.settle("r");
    let until = scene.world.now + SignedDuration::from_secs(3600);
    for task in scene.alive("r").iter().take(2) {
        scene.edit_task(&task.key.name, |t| t.protected_until = Some(until));
    }
    scale(&mut scene, 1);
    let plan = scene.round("r");
    assert_eq!(plan.stop.len(), 1);
    let plan = scene.plan("r");
    assert_eq!(scene.where_wanted("r").len(), 2);
    assert!(plan.stop.is_empty() && !plan.steady);
    let id = &plan.deployments[0].id;
    assert_eq!(
        plan.events,
        [format!(
            "was unable to reach steady state because task set ({id}) was unable to scale in. Reason: The number of \
             protected tasks are more than the desired count of tasks."
        )]
    );
    assert_eq!(plan.wake_at, Some(until));
    scene.advance(3600);
    assert_eq!(scene.plan("r").stop.len(), 1);
}

#[test]
fn what_may_not_place_keeps_what_runs() {
    let mut scene = scene(3);
    scene.settle("r");
    let mut scene = scene.cluster(|c| c.allowed_namespaces = Some([].into()));
    scene.edit_service("r", |s| {
        (s.desired_count, s.requested_definition) = (5, "r:2".to_owned());
    });
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty() && !plan.steady);
    assert!(plan.stalled.unwrap().contains("allowedNamespaces"));
    scale(&mut scene, 1);
    scene.edit_service("r", |s| s.requested_definition = "r:1".to_owned());
    assert_eq!(
        scene.plan("r").stop.len(),
        2,
        "the user's own scale-in still works"
    );
}

#[test]
fn nothing_starts_in_a_namespace_that_is_being_deleted() {
    let mut scene = scene(3).service(daemon("d", "r:1"));
    assert!(!scene.plan("r").start.is_empty() && !scene.plan("d").start.is_empty());
    scene.leave_namespace(&key("r").namespace);
    for name in ["r", "d"] {
        let plan = scene.plan(name);
        assert!(plan.start.is_empty() && plan.stop.is_empty(), "{name}");
        assert!(plan.stalled.unwrap().contains("is being deleted"), "{name}");
    }
}

#[test]
fn an_unreadable_constraint_starts_nothing_and_stops_nothing_cons_9() {
    let mut scene = scene(3);
    scene.settle("r");
    scene.edit_service("r", |s| {
        *s = s.clone().member_of("and");
        s.desired_count = 4;
    });
    let plan = scene.plan("r");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert!(
        plan.stalled
            .unwrap()
            .starts_with("EcsService r: Invalid expression: ")
    );
}

#[test]
fn a_missing_cluster_is_named_clu_7() {
    let mut scene = scene(1);
    scene.world.set_clusters([], []);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    assert!(plan.stalled.unwrap().starts_with("Cluster not found."));
}

#[test]
fn a_deleted_service_stops_all_and_cancels_what_was_given_out_svc_3_svc_6() {
    let mut scene = scene(3);
    scene.settle("r");
    let until = scene.world.now + SignedDuration::from_secs(60);
    let id = scene.alive("r").remove(0).key.name;
    scene.edit_task(&id, |t| t.protected_until = Some(until));
    allocate(&mut scene, &["x"]);
    scene.edit_service("r", |s| s.deleting = true);
    let plan = scene.round("r");
    assert_eq!((plan.start.len(), plan.stop.len(), plan.steady), (0, 4, false));
    assert!(scene.alive("r").is_empty() && scene.get("r").allocations.is_empty());
}
