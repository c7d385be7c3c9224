//! Tasks behind stopping ones, in each mode of the cluster. (OPT-1 to OPT-7)

mod trace;

use jiff::SignedDuration;

use crate::domain::records::{DesiredStatus, InstanceStatus, LastStatus, Reservation, ServiceRef, StopCode};
use crate::domain::resources::Resources;
use crate::plan::optimistic::{Turn, turns};
use crate::plan::queued::{Decision, decide};
use crate::plan::testing::*;
use crate::plan::timeline::Timeline;
use crate::plan::world::{Optimistic, Task};

const SMART: Optimistic = Optimistic::Smart(SignedDuration::from_secs(30));

/// A task of a service that is no more, RUNNING on an instance with its share.
pub(super) fn tenant(scene: &mut Scene, id: &str, on: &str, amounts: Resources) {
    let service = ServiceRef {
        name: "gone".to_owned(),
        uid: "uid-gone".to_owned(),
        daemon: false,
        deployment: None,
    };
    let task = Task {
        service: Some(service.clone()),
        definition: "old:1".to_owned(),
        ..standalone(id, on)
    };
    let entry = Reservation {
        namespace: NAMESPACE.to_owned(),
        task: id.to_owned(),
        uid: Some(task.uid.clone()),
        service: Some(service),
        amounts,
        since: String::new(),
        restored: false,
    };
    scene.world.put_task(task);
    scene.edit_instance(on, |i| i.reservations.push(entry));
}

/// The task is told to stop now.
pub(super) fn stops(scene: &mut Scene, id: &str) {
    let now = scene.world.now;
    scene.edit_task(id, |t| {
        (t.desired, t.last, t.stopping_at) = (DesiredStatus::Stopped, LastStatus::Stopping, Some(now));
    });
}

/// The task is STOPPED now, and the instance is described.
pub(super) fn ended(scene: &mut Scene, id: &str) {
    let now = scene.world.now;
    scene.edit_task(id, |t| (t.last, t.stopped_at) = (LastStatus::Stopped, Some(now)));
    scene.release();
}

/// Instances i1, … of 2048 CPU units, each full with a task l1, … that may take so many seconds to stop; and service `n`
/// of tasks of `cpu` units.
fn full(mode: Optimistic, instances: usize, stop_seconds: i64, cpu: i64) -> Scene {
    let mut old = definition("old:1", 2048, 64);
    old.stop_seconds = stop_seconds;
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = mode)
        .definition(old)
        .definition(definition("n:1", cpu, 64))
        .service(replica("n", "n:1", 1));
    for n in 1..=instances {
        scene = scene.instance(instance(&format!("i{n}")));
        tenant(&mut scene, &format!("l{n}"), &format!("i{n}"), amounts(2048, 64));
    }
    scene
}

/// A pass of the service, and what its unbound tasks do then.
fn pass(scene: &mut Scene, name: &str) {
    let plan = scene.plan(name);
    scene.commit(name, &plan);
    scene.create_tasks();
    scene.carry_out_marks();
    scene.look_at_queued();
}

/// Tasks in the queue of an instance.
fn queue(scene: &Scene, instance: &str) -> Vec<String> {
    scene.world.instances[instance]
        .queue
        .iter()
        .map(|q| q.task.clone())
        .collect()
}

#[test]
fn as_many_are_placed_behind_a_stopping_task_as_it_makes_room_for_opt_1_place_7_res_8() {
    let queued = |cpu: i64| {
        let mut scene = full(Optimistic::On, 1, 3600, cpu);
        scene.edit_service("n", |s| s.desired_count = 5);
        assert!(scene.plan("n").start.is_empty(), "nothing is stopping");
        stops(&mut scene, "l1");
        pass(&mut scene, "n");
        assert!(scene.where_wanted("n").is_empty());
        assert_eq!(
            scene.world.instances["i1"].reservations.len(),
            1,
            "it takes no room"
        );
        queue(&scene, "i1").len()
    };
    assert_eq!([queued(2048), queued(1024), queued(700)], [1, 2, 2]);
}

#[test]
fn what_waits_starts_with_the_very_release_and_is_bound_hrm_6_hrm_16() {
    let mut scene = full(Optimistic::On, 1, 3600, 1024);
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    let task = scene.alive("n").remove(0);
    assert_eq!((task.last, task.instance), (LastStatus::Pending, None));
    assert_eq!(scene.plan("n").deployments[0].pending_count, 1);
    assert!(!scene.plan("n").steady);
    ended(&mut scene, "l1");
    assert!(queue(&scene, "i1").is_empty());
    assert!(scene.world.instances["i1"].reservation(&task.key).is_some());
    assert!(matches!(decide(&scene.world, &task.key), Some(Decision::Bind(place)) if place.held));
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("n"), ["i1"]);
}

#[test]
fn with_off_nothing_waits_on_an_instance_and_what_did_leaves_opt_5() {
    let mut scene = full(Optimistic::Off, 1, 3600, 1024);
    stops(&mut scene, "l1");
    assert!(scene.plan("n").start.is_empty());
    let mut scene = scene.cluster(|c| c.optimistic = Optimistic::On);
    pass(&mut scene, "n");
    assert_eq!(queue(&scene, "i1").len(), 1);
    let mut scene = scene.cluster(|c| c.optimistic = Optimistic::Off);
    scene.release();
    assert!(queue(&scene, "i1").is_empty());
    assert!(matches!(
        scene.look_at_queued().as_slice(),
        [(_, Decision::Unplaced(..))]
    ));
    ended(&mut scene, "l1");
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("n"), ["i1"]);
}

#[test]
fn room_that_is_free_comes_before_room_that_will_be_opt_5() {
    for mode in [Optimistic::On, SMART] {
        let mut scene = full(mode, 1, 5, 1024).instance(instance("i2"));
        stops(&mut scene, "l1");
        let plan = scene.plan("n");
        assert_eq!(
            (plan.start[0].instance.as_str(), plan.start[0].behind),
            ("i2", None)
        );
    }
}

#[test]
fn a_host_port_of_a_stopping_task_is_waited_for_opt_7() {
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = Optimistic::On)
        .definition(definition("n:1", 64, 64).port(80))
        .instance(instance("i1"))
        .service(replica("n", "n:1", 2));
    let mut taken = amounts(64, 64);
    taken.ports.insert(80);
    tenant(&mut scene, "l1", "i1", taken);
    assert!(scene.plan("n").start.is_empty());
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    assert_eq!(queue(&scene, "i1").len(), 1, "the port can be had once");
    ended(&mut scene, "l1");
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("n"), ["i1"]);
}

#[test]
fn with_on_a_waiting_task_stays_and_with_smart_it_moves_to_room_elsewhere_opt_3() {
    for (mode, place) in [(Optimistic::On, Vec::new()), (SMART, vec!["i2".to_owned()])] {
        let mut scene = full(mode, 1, 20, 1024);
        stops(&mut scene, "l1");
        pass(&mut scene, "n");
        assert_eq!(queue(&scene, "i1").len(), 1);
        let mut scene = scene.instance(instance("i2"));
        scene.look_at_queued();
        scene.release();
        assert_eq!(scene.where_wanted("n"), place, "{mode:?}");
        assert_eq!(queue(&scene, "i1").len(), 1 - place.len());
    }
}

#[test]
fn smart_waits_only_behind_what_ends_soon_and_at_the_first_to_end_opt_4_opt_5() {
    let mut scene = full(SMART, 2, 100, 1024);
    stops(&mut scene, "l1");
    let plan = scene.plan("n");
    assert!(plan.start.is_empty() && !plan.failures.is_empty());
    let soon = scene.world.now + SignedDuration::from_secs(70);
    assert_eq!(plan.wake_at, Some(soon), "30 s before its end");
    scene.advance(10);
    stops(&mut scene, "l2");
    scene.advance(59);
    assert!(scene.plan("n").start.is_empty());
    scene.advance(15);
    pass(&mut scene, "n");
    assert_eq!((queue(&scene, "i1").len(), queue(&scene, "i2").len()), (1, 0));
    // it should have ended by now: nobody can tell how long it takes yet, and the other is sooner
    scene.advance(25);
    scene.look_at_queued();
    assert_eq!((queue(&scene, "i1").len(), queue(&scene, "i2").len()), (0, 1));
    // both are late beyond the bound
    scene.advance(200);
    assert!(matches!(
        scene.look_at_queued().as_slice(),
        [(_, Decision::Unplaced(..))]
    ));
    assert!(queue(&scene, "i2").is_empty());
    ended(&mut scene, "l1");
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("n"), ["i1"]);
}

#[test]
fn smart_learns_from_the_stops_of_the_same_definition_opt_5() {
    let mut scene = full(SMART, 1, 3600, 1024);
    let began = scene.world.now;
    for (n, seconds) in [(0, 7), (1, 9)] {
        let id = format!("before{n}");
        tenant(&mut scene, &id, "i1", amounts(0, 0));
        stops(&mut scene, &id);
        scene.advance(seconds);
        ended(&mut scene, &id);
    }
    assert!(scene.world.now > began);
    stops(&mut scene, "l1");
    let timeline = |scene: &Scene| {
        let instance = &scene.world.instances["i1"];
        let timeline = Timeline::of(&scene.world, instance, Resources::default());
        (timeline.departures()[0].at.duration_since(scene.world.now)).as_secs()
    };
    assert_eq!(timeline(&scene), 9, "the longest of the newest stops");
    pass(&mut scene, "n");
    assert_eq!(queue(&scene, "i1").len(), 1);
    scene.advance(10);
    assert_eq!(timeline(&scene), 3590, "longer than usual: until it is killed");
    scene.look_at_queued();
    assert!(
        queue(&scene, "i1").is_empty(),
        "what it learned was wrong, and it waits there no more"
    );
    scene.advance(3600);
    assert_eq!(timeline(&scene), 10, "late by 10 s");
}

#[test]
fn what_fits_starts_and_nobody_waits_for_who_stands_before_hrm_5_hrm_14_scn_8() {
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = Optimistic::On)
        .definition(definition("s1:1", 1024, 64))
        .definition(definition("s2:1", 512, 64))
        .definition(definition("s3:1", 256, 64))
        .instance(instance("i1"));
    tenant(&mut scene, "l", "i1", amounts(1024, 64));
    stops(&mut scene, "l");
    for name in ["s1", "s2", "s3"] {
        scene = scene.service(replica(name, &format!("{name}:1"), 1));
        pass(&mut scene, name);
    }
    assert_eq!(scene.where_wanted("s1"), ["i1"], "beside the stopping task");
    assert_eq!(queue(&scene, "i1").len(), 2);
    // room for the one behind only
    scene.edit_instance("i1", |i| i.registered.cpu += 256);
    scene.release();
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("s3"), ["i1"]);
    assert_eq!(queue(&scene, "i1").len(), 1);
    ended(&mut scene, "l");
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("s2"), ["i1"]);
}

#[test]
fn room_that_a_waiting_task_needs_is_not_given_to_others_opt_1() {
    // 512 are free, 1536 are stopping; a task of 2048 waits for both
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = Optimistic::On)
        .definition(definition("big:1", 2048, 64))
        .definition(definition("small:1", 256, 64))
        .instance(instance("i1"))
        .service(replica("big", "big:1", 1))
        .service(replica("small", "small:1", 4));
    tenant(&mut scene, "l", "i1", amounts(1536, 64));
    stops(&mut scene, "l");
    pass(&mut scene, "big");
    assert_eq!(queue(&scene, "i1").len(), 1);
    assert!(scene.plan("small").start.is_empty());
    ended(&mut scene, "l");
    scene.look_at_queued();
    assert_eq!(scene.where_wanted("big"), ["i1"]);
}

#[test]
fn who_is_told_to_stop_while_it_waits_takes_nothing_hrm_7_stop_9_scn_9() {
    let mut scene = full(Optimistic::On, 1, 3600, 1024);
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    let task = scene.alive("n").remove(0);
    scene.edit_task(&task.key.name, |t| {
        (t.desired, t.last) = (DesiredStatus::Stopped, LastStatus::Stopped);
        t.stop_code = Some(StopCode::UserInitiated);
    });
    assert_eq!(turns(&scene.world, &scene.world.instances["i1"]), [Turn::Goes]);
    assert_eq!(decide(&scene.world, &task.key), None);
    ended(&mut scene, "l1");
    assert!(scene.world.instances["i1"].reservations.is_empty());
}

#[test]
fn waiting_tasks_leave_an_instance_that_drains_and_go_elsewhere_drain_2() {
    let mut scene = full(Optimistic::On, 2, 3600, 1024);
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    let id = scene.alive("n")[0].key.name.clone();
    scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
    stops(&mut scene, "l2");
    scene.release();
    assert!(queue(&scene, "i1").is_empty());
    assert!(scene.plan("n").stop.is_empty(), "the task itself stays");
    scene.look_at_queued();
    assert_eq!(queue(&scene, "i2"), [id]);
}

#[test]
fn a_missing_daemons_room_is_not_queued_for_daemon_26() {
    let mut scene = full(Optimistic::On, 1, 3600, 1024)
        .definition(definition("d:1", 1025, 64))
        .service(daemon("d", "d:1"));
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    assert!(queue(&scene, "i1").is_empty());
    scene.edit_instance("i1", |i| i.registered.cpu += 1);
    pass(&mut scene, "n");
    assert_eq!(queue(&scene, "i1").len(), 1);
    ended(&mut scene, "l1");
    scene.look_at_queued();
    assert_eq!(scene.plan("d").start.len(), 1, "its room is there");
}

#[test]
fn scale_in_and_deployments_take_waiting_tasks_first_scalein_1() {
    let mut scene = full(Optimistic::On, 2, 3600, 1024);
    scene.edit_service("n", |s| s.desired_count = 2);
    stops(&mut scene, "l1");
    ended(&mut scene, "l1");
    tenant(&mut scene, "l3", "i1", amounts(1024, 64));
    stops(&mut scene, "l2");
    pass(&mut scene, "n");
    scene.run_tasks();
    assert_eq!(scene.where_wanted("n").len(), 1);
    let waiting = queue(&scene, "i2");
    scene.advance(60);
    scene.edit_service("n", |s| s.desired_count = 1);
    let plan = scene.plan("n");
    assert_eq!(
        plan.stop.iter().map(|s| s.task.name.clone()).collect::<Vec<_>>(),
        waiting
    );
    // a failure of the old revision it is not
    scene.commit("n", &plan);
    scene.carry_out_marks();
    scene.edit_task(&waiting[0], |t| t.last = LastStatus::Stopped);
    assert_eq!(scene.plan("n").deployments[0].failed_tasks, 0);
}

#[test]
fn a_task_that_only_says_it_is_a_services_is_refused_svc_14() {
    let mut scene = full(Optimistic::On, 1, 3600, 1024);
    stops(&mut scene, "l1");
    pass(&mut scene, "n");
    let true_one = scene.alive("n").remove(0);
    scene.advance(60);
    let refused = |edit: fn(&mut Task)| {
        let mut scene = scene.clone();
        scene.edit_task(&true_one.key.name, edit);
        matches!(decide(&scene.world, &true_one.key),
            Some(Decision::Stop(why)) if why.contains("spec.service is set by the operator"))
    };
    assert!(!refused(|_| {}));
    assert!(refused(|t| t.definition = "old:1".to_owned()));
    assert!(refused(|t| t.started_by = "me".to_owned()));
    assert!(refused(|t| t.group = "service:other".to_owned()));
    assert!(refused(
        |t| t.service.as_mut().unwrap().uid = "uid-other".to_owned()
    ));
}

#[test]
fn who_stands_in_two_queues_leaves_one() {
    let mut scene = full(Optimistic::On, 2, 3600, 1024);
    stops(&mut scene, "l1");
    stops(&mut scene, "l2");
    pass(&mut scene, "n");
    let task = scene.alive("n").remove(0);
    let from = if queue(&scene, "i1").is_empty() {
        "i2"
    } else {
        "i1"
    };
    let entry = scene.world.instances[from].queue[0].clone();
    for name in ["i1", "i2"] {
        scene.edit_instance(name, |i| i.queue = vec![entry.clone()]);
    }
    assert_eq!(
        decide(&scene.world, &task.key),
        Some(Decision::Leave("i2".to_owned()))
    );
    scene.look_at_queued();
    assert_eq!(queue(&scene, "i1").len() + queue(&scene, "i2").len(), 1);
}
