use crate::domain::records::{HealthStatus, InstanceStatus, LastStatus};
use crate::plan::testing::*;

fn three() -> Scene {
    Scene::new()
        .definition(definition("d:1", 256, 256))
        .definition(definition("d:2", 512, 256))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .instance(instance("i3"))
        .service(daemon("d", "d:1"))
}

#[test]
fn one_task_on_each_instance_and_then_steady_daemon_1_daemon_5_evt_15() {
    let mut scene = three();
    let plan = scene.plan("d");
    assert_eq!(plan.desired_count, 3);
    let chosen: Vec<_> = plan.start.iter().map(|s| s.instance.as_str()).collect();
    assert_eq!(chosen, ["i1", "i2", "i3"]);
    let end = scene.settle("d");
    assert_eq!(scene.where_wanted("d"), ["i1", "i2", "i3"]);
    assert!(end.steady);
    assert_eq!(end.events, ["has reached a steady state."]);
    let primary = &end.deployments[0];
    assert_eq!(
        (
            primary.desired_count,
            primary.running_count,
            primary.pending_count
        ),
        (3, 3, 0)
    );
}

#[test]
fn nothing_is_placed_twice_while_the_first_is_on_its_way_daemon_11() {
    let mut scene = three();
    let plan = scene.plan("d");
    scene.commit("d", &plan);
    assert!(scene.plan("d").start.is_empty(), "reserved");
    scene.create_tasks();
    assert!(scene.plan("d").start.is_empty(), "pending");
}

#[test]
fn a_task_that_lost_its_reservation_still_holds_its_instance_daemon_35() {
    let mut scene = three();
    scene.settle("d");
    scene.edit_instance("i1", |i| i.reservations.clear());
    let id = scene.world.tasks_on("i1").next().unwrap().key.name.clone();
    assert!(scene.plan("d").start.is_empty());
    scene.edit_task(&id, |t| {
        t.desired = crate::domain::records::DesiredStatus::Stopped;
    });
    assert!(scene.plan("d").start.is_empty(), "stopping ones included");
    scene.edit_task(&id, |t| t.last = LastStatus::Stopped);
    assert_eq!(scene.plan("d").start.len(), 1);
}

#[test]
fn a_disconnected_instance_counts_and_gets_its_daemon_when_it_connects_scn_1_daemon_12() {
    let mut scene = three();
    let now = scene.world.now;
    scene.edit_instance("i3", |i| *i = instance("i3").disconnected(now));
    let plan = scene.settle("d");
    assert_eq!((plan.desired_count, plan.steady), (3, false));
    assert_eq!(scene.where_wanted("d"), ["i1", "i2"]);
    assert_eq!(plan.failures[0].reason, "AGENT");
    assert!(plan.events.is_empty(), "{:?}", plan.events);
    scene.edit_instance("i3", |i| i.connected = true);
    assert_eq!(scene.plan("d").start.len(), 1);
}

#[test]
fn an_instance_that_its_cluster_blocks_is_not_waited_for_and_keeps_what_runs_daemon_5() {
    let mut scene = three();
    scene.edit_instance("i3", |i| i.schedulable = false);
    let plan = scene.settle("d");
    assert_eq!((plan.desired_count, plan.steady), (2, true));
    assert_eq!(scene.where_wanted("d"), ["i1", "i2"]);
    assert!(plan.failures.is_empty(), "{:?}", plan.failures);
    scene.edit_instance("i2", |i| i.schedulable = false);
    let plan = scene.settle("d");
    assert_eq!((plan.desired_count, plan.steady), (2, true), "one runs there");
    scene.edit_instance("i3", |i| i.schedulable = true);
    assert_eq!(scene.settle("d").desired_count, 3);
    assert_eq!(scene.where_wanted("d"), ["i1", "i2", "i3"]);
}

#[test]
fn a_running_daemon_of_a_disconnected_instance_is_left_alone_daemon_12() {
    let mut scene = three();
    scene.settle("d");
    scene.edit_instance("i1", |i| i.connected = false);
    scene.edit_service("d", |s| *s = s.clone().member_of("attribute:env == prod"));
    let stopped: Vec<_> = scene.plan("d").stop.into_iter().map(|s| s.task).collect();
    assert_eq!(stopped.len(), 2);
    scene.edit_instance("i1", |i| i.connected = true);
    assert_eq!(scene.plan("d").stop.len(), 3);
}

#[test]
fn attributes_move_the_daemon_scn_2_daemon_2_daemon_3() {
    let mut scene = three();
    scene.edit_service("d", |s| *s = s.clone().member_of("attribute:env == prod"));
    scene.edit_instance("i1", |i| *i = i.clone().attribute("env", "prod"));
    scene.settle("d");
    assert_eq!(scene.where_wanted("d"), ["i1"]);
    scene.edit_instance("i2", |i| *i = i.clone().attribute("env", "prod"));
    scene.settle("d");
    assert_eq!(scene.where_wanted("d"), ["i1", "i2"]);
    scene.edit_instance("i1", |i| i.attributes.clear());
    let plan = scene.round("d");
    assert_eq!(plan.stop.len(), 1);
    assert!(
        plan.stop[0]
            .reason
            .contains("MemberOf placement constraint unsatisfied."),
        "{plan:?}"
    );
    assert!(plan.events[0].contains("SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED"));
    assert_eq!(scene.where_wanted("d"), ["i2"]);
}

#[test]
fn a_daemon_is_not_moved_by_what_it_does_itself_cql_15() {
    let mut scene = three();
    scene.edit_service("d", |s| *s = s.clone().member_of("runningTasksCount == 0"));
    scene.settle("d");
    assert_eq!(scene.where_wanted("d").len(), 3);
}

#[test]
fn without_room_it_waits_and_says_so_daemon_23_evt_21() {
    let mut scene = three();
    scene.edit_instance("i2", |i| i.foreign = amounts(2000, 0));
    scene.edit_instance("i3", |i| i.foreign = amounts(1900, 0));
    let plan = scene.plan("d");
    assert_eq!(plan.start.len(), 1);
    assert_eq!(
        plan.events,
        [
            "was unable to place a task because no container instance met all of its requirements. The closest \
          matching (container-instance i3) has insufficient CPU units available. For more information, see the \
          Troubleshooting section of the Amazon ECS Developer Guide."
        ]
    );
    let failures: Vec<_> = plan
        .failures
        .iter()
        .map(|f| (f.container_instance.as_str(), f.reason.as_str()))
        .collect();
    assert_eq!(failures, [("i2", "RESOURCE:CPU"), ("i3", "RESOURCE:CPU")]);
}

#[test]
fn daemons_do_not_withhold_from_each_other_daemon_26() {
    let scene = three().service(daemon("e", "d:2"));
    let mut tight = scene.clone();
    for name in ["i1", "i2", "i3"] {
        tight.edit_instance(name, |i| *i = i.clone().size(600, 1000));
    }
    assert_eq!(tight.plan("d").start.len(), 3);
    assert_eq!(tight.plan("e").start.len(), 3);
}

#[test]
fn an_update_stops_first_and_waits_for_stopped_daemon_33_daemon_35() {
    let mut scene = three();
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let plan = scene.plan("d");
    assert_eq!(
        (plan.start.len(), plan.stop.len()),
        (0, 3),
        "minimum 0: all at once"
    );
    scene.commit("d", &plan);
    assert!(scene.plan("d").stop.is_empty(), "not stopped twice");
    scene.carry_out_marks();
    let waiting = scene.plan("d");
    assert!(
        waiting.start.is_empty() && waiting.stop.is_empty(),
        "stopping ones still hold the instance"
    );
    scene.end_tasks();
    assert_eq!(scene.plan("d").start.len(), 3);
    let end = scene.settle("d");
    assert!(end.steady && end.deployments.len() == 1);
}

#[test]
fn an_update_keeps_the_lower_bound_daemon_34() {
    let mut scene = three();
    scene.edit_service("d", |s| s.minimum_healthy_percent = 50);
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    // ceil(3 * 50 %) = 2 stay.
    assert_eq!(scene.round("d").stop.len(), 1);
    let plan = scene.round("d");
    assert_eq!((plan.start.len(), plan.stop.len()), (1, 0));
    assert_eq!(scene.plan("d").stop.len(), 0, "the new one is not healthy yet");
    assert!(scene.plan("d").wake_at.is_some());
    scene.advance(41);
    assert_eq!(scene.plan("d").stop.len(), 1);
}

#[test]
fn a_percentage_that_forbids_the_update_is_named_pct_8_evt_32() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 256, 256))
        .definition(definition("d:2", 512, 256))
        .instance(instance("i1"))
        .service(daemon("d", "d:1").percent(50, 100));
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let plan = scene.plan("d");
    assert!(plan.stop.is_empty());
    assert_eq!(plan.events, [crate::plan::texts::DEADLOCK]);
}

#[test]
fn unhealthy_instances_are_updated_first_then_the_oldest_daemon_36() {
    let mut scene = three();
    scene.edit_service("d", |s| s.minimum_healthy_percent = 67);
    scene.settle("d");
    let tasks = scene.alive("d");
    let now = scene.world.now;
    scene.edit_task(&tasks[0].key.name, |t| t.created_at = now);
    scene.edit_task(&tasks[1].key.name, |t| t.health = HealthStatus::Unhealthy);
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let plan = scene.plan("d");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(plan.stop[0].task, tasks[1].key);
    scene.edit_service("d", |s| s.minimum_healthy_percent = 34);
    scene.edit_task(&tasks[1].key.name, |t| t.health = HealthStatus::Healthy);
    let plan = scene.plan("d");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(plan.stop[0].task, tasks[1].key, "older than the first");
}

#[test]
fn a_new_instance_gets_the_new_revision_in_an_update_daemon_37() {
    let mut scene = three();
    scene.edit_service("d", |s| s.minimum_healthy_percent = 99);
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let mut scene = scene.instance(instance("i4"));
    let plan = scene.round("d");
    assert_eq!(plan.start.len(), 1);
    assert_eq!(plan.start[0].definition, "d.2");
}

#[test]
fn a_force_replaces_all_tasks_daemon_38() {
    let mut scene = three();
    scene.settle("d");
    scene.edit_service("d", |s| s.forced = Some("now".to_owned()));
    assert_eq!(scene.plan("d").stop.len(), 3);
}

#[test]
fn an_unhealthy_daemon_is_replaced_one_at_a_time_health_5_evt_35() {
    let mut scene = three();
    scene.settle("d");
    for task in scene.alive("d") {
        scene.edit_task(&task.key.name, |t| t.health = HealthStatus::Unhealthy);
    }
    let plan = scene.round("d");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(plan.stop[0].reason, "Task failed container health checks");
    assert!(plan.events[0].ends_with("failed container health checks."));
}

#[test]
fn a_protected_daemon_is_held_in_an_update_only_prot_12() {
    let mut scene = three();
    scene.settle("d");
    let task = scene.alive("d").remove(0);
    let until = scene.world.now + jiff::SignedDuration::from_secs(600);
    scene.edit_task(&task.key.name, |t| t.protected_until = Some(until));
    let mut updated = scene.clone();
    updated.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let plan = updated.plan("d");
    assert_eq!(plan.stop.len(), 2);
    assert_eq!(plan.wake_at, Some(until));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    assert_eq!(scene.plan("d").stop.len(), 1);
}

#[test]
fn draining_stops_daemons_last_and_places_none_daemon_40_to_44_scn_7() {
    let mut scene = three();
    scene.settle("d");
    let mut scene = scene
        .task(standalone("job", "i1"))
        .instance(instance("i4").status(InstanceStatus::Draining));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    let plan = scene.plan("d");
    assert_eq!((plan.desired_count, plan.start.len(), plan.stop.len()), (2, 0, 0));
    assert!(!plan.steady, "DRAIN-12");
    scene.edit_task("job", |t| t.last = LastStatus::Stopping);
    assert!(
        scene.plan("d").stop.is_empty(),
        "STOPPED, not merely leaving RUNNING"
    );
    scene.edit_task("job", |t| t.last = LastStatus::Stopped);
    let plan = scene.round("d");
    assert_eq!(plan.stop.len(), 1);
    assert_eq!(scene.where_wanted("d"), ["i2", "i3"]);
    scene.settle("d");
    assert!(scene.plan("d").steady);
}

#[test]
fn a_reservation_that_may_become_a_task_holds_daemons_daemon_43() {
    let mut scene = three();
    scene.settle("d");
    scene.edit_instance("i1", |i| {
        i.status = InstanceStatus::Draining;
        let mut entry = i.reservations[0].clone();
        (entry.task, entry.service) = ("coming".to_owned(), None);
        i.reservations.push(entry);
    });
    assert!(scene.plan("d").stop.is_empty());
    scene.edit_instance("i1", |i| i.reservations.truncate(1));
    assert_eq!(scene.plan("d").stop.len(), 1);
}

#[test]
fn back_from_draining_the_daemon_is_kept_or_started_anew_daemon_48() {
    let mut scene = three();
    scene.settle("d");
    let mut scene = scene.task(standalone("job", "i1"));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    scene.round("d");
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Active);
    let plan = scene.plan("d");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
}

#[test]
fn a_namespace_no_longer_allowed_keeps_what_runs() {
    let mut scene = three();
    scene.settle("d");
    let mut scene = scene
        .cluster(|c| c.daemon_namespaces = Some([].into()))
        .instance(instance("i4"));
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let plan = scene.plan("d");
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert!(plan.stalled.unwrap().contains("daemonNamespaces"));
}

#[test]
fn a_deleted_service_stops_all_but_keeps_the_drain_order_svc_3() {
    let mut scene = three();
    scene.settle("d");
    let mut scene = scene.task(standalone("job", "i1"));
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    scene.edit_service("d", |s| s.deleting = true);
    assert_eq!(scene.round("d").stop.len(), 2);
    scene.edit_task("job", |t| t.last = LastStatus::Stopped);
    assert_eq!(scene.round("d").stop.len(), 1);
    assert!(scene.alive("d").is_empty());
}

#[test]
fn daemon_20_a_replica_sees_which_daemons_are_due_and_a_daemon_waits_for_nobody() {
    let mut scene = Scene::new()
        .instance(instance("i1"))
        .definition(definition("d:1", 256, 256))
        .definition(definition("r:1", 256, 256))
        .service(daemon("d", "d:1"))
        .service(replica("r", "r:1", 1));
    let due = |scene: &Scene, name: &str| crate::plan::daemons_due(&scene.world, scene.get(name));
    assert_eq!(due(&scene, "r"), [key("d")]);
    assert_eq!(due(&scene, "d"), []);
    let plan = scene.plan("d");
    scene.commit("d", &plan);
    assert_eq!(due(&scene, "r"), [], "its share is there");
}

#[test]
fn an_instance_alone_shows_the_same_starts_as_the_whole_pass_daemon_2_daemon_20() {
    let mut scene = three().service(daemon("e", "d:2"));
    let on = |scene: &Scene, name: &str| -> Vec<(String, String)> {
        let instance = scene.world.instances.get(name).unwrap();
        crate::plan::daemons_due_on(&scene.world, instance)
            .into_iter()
            .map(|(service, start)| (service.key.name.clone(), start.definition))
            .collect()
    };
    assert_eq!(
        on(&scene, "i1"),
        [],
        "a deployment is made by the service's own pass"
    );
    scene.settle("d");
    scene.settle("e");
    scene = scene.instance(instance("i4"));
    let both = [
        ("d".to_owned(), "d.1".to_owned()),
        ("e".to_owned(), "d.2".to_owned()),
    ];
    assert_eq!(on(&scene, "i4"), both);
    assert_eq!(on(&scene, "i1"), [], "it has them");
    scene.edit_instance("i4", |i| i.status = InstanceStatus::Draining);
    assert_eq!(on(&scene, "i4"), []);
    scene.edit_instance("i4", |i| i.status = InstanceStatus::Active);
    scene.edit_instance("i4", |i| i.registered.cpu = 300);
    assert_eq!(on(&scene, "i4"), both[..1], "the other has no room");
    let plan = scene.plan("d");
    scene.commit("d", &plan);
    assert_eq!(on(&scene, "i4"), [], "reserved");
}
