//! Requests for several tasks: all or none of them. (RUN-1, RUN-2)

use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::records::{Commit, DesiredStatus, LastStatus, Reservation, RunTaskRef};
use crate::plan::request::{Next, Request, Stage, next, task_name, tasks};
use crate::plan::run_task::{Decision, Place, Unplaced, decide};
use crate::plan::testing::*;
use crate::plan::world::{Key, RunOnce, Task};

const UID: &str = "abcdef01-2345-4000-8000-000000000001";
const CPU: i64 = 512;

fn request(count: u32) -> Request {
    Request {
        key: key("r"),
        uid: UID.to_owned(),
        count,
        all_or_nothing: true,
        queue_until: None,
        attempt: 1,
        stage: Stage::Gathering,
    }
}

fn member(id: &str, attempt: u32, commit: Commit) -> Task {
    let of = RunTaskRef {
        name: "r".to_owned(),
        uid: UID.to_owned(),
        attempt,
        commit,
    };
    Task {
        instance: None,
        last: LastStatus::Pending,
        started_at: None,
        run_once: Some(Arc::new(RunOnce {
            request: Some(of),
            ..RunOnce::default()
        })),
        ..standalone(id, "")
    }
}

/// A scene with instances i1, i2 … that have this much CPU each, and a request with its Tasks.
fn scene(request: Request, cpu: &[i64]) -> Scene {
    let mut scene = Scene::new().definition(definition("job:1", CPU, 16));
    for (n, cpu) in cpu.iter().enumerate() {
        scene = scene.instance(instance(&format!("i{}", n + 1)).size(*cpu, 8192));
    }
    with(scene, request)
}

fn with(mut scene: Scene, request: Request) -> Scene {
    for task in tasks(&request) {
        scene = scene.task(member(&task.name, request.attempt, Commit::AllOrNothing));
    }
    scene
        .world
        .requests
        .insert(request.key.clone(), Arc::new(request));
    scene
}

fn edit(scene: &mut Scene, edit: impl FnOnce(&mut Request)) {
    edit(Arc::make_mut(scene.world.requests.get_mut(&key("r")).unwrap()));
}

fn step(scene: &Scene) -> Next {
    next(&scene.world, &key("r")).expect("a step")
}

/// Gives these shares, as the ledger would.
fn give(scene: &mut Scene, places: &[(Key, Place)]) {
    for (task, place) in places {
        let uid = scene.world.task(task).unwrap().uid.clone();
        let since = scene.world.now.to_string();
        scene.edit_instance(&place.instance, |i| {
            i.reservations.push(Reservation {
                namespace: task.namespace.clone(),
                task: task.name.clone(),
                uid: Some(uid),
                service: None,
                amounts: place.demand.clone(),
                since,
                restored: false,
            });
        });
    }
}

fn failed(step: Next) -> Unplaced {
    match step {
        Next::Fail(unplaced) => unplaced,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_follow_from_the_request_and_are_never_those_of_another_run_4() {
    assert_eq!(task_name("batch", UID, 5, 1, 0), "batch-abcdef01-0");
    assert_eq!(task_name("batch", UID, 5, 1, 4), "batch-abcdef01-4");
    assert_eq!(
        task_name("batch", UID, 5, 2, 0),
        "batch-abcdef01-5",
        "another attempt"
    );
    let longest = task_name(&"n".repeat(48), UID, 10, 999, 9);
    assert!(longest.len() <= 63, "{longest}");
}

#[test]
fn all_get_their_shares_and_only_then_is_it_committed_run_1() {
    let mut scene = scene(request(3), &[1024, 600]);
    let Next::Reserve(places) = step(&scene) else {
        panic!()
    };
    let mut on: Vec<_> = places.iter().map(|(_, place)| place.instance.as_str()).collect();
    on.sort_unstable();
    assert_eq!(on, ["i1", "i1", "i2"]);
    for task in tasks(&request(3)) {
        assert_eq!(decide(&scene.world, &task), Some(Decision::Together));
    }
    give(&mut scene, &places[..2]);
    let Next::Reserve(rest) = step(&scene) else {
        panic!()
    };
    assert_eq!(rest.len(), 1, "who has a share keeps it");
    give(&mut scene, &rest);
    let Next::Commit(all) = step(&scene) else { panic!() };
    assert_eq!(all.len(), 3);
    edit(&mut scene, |r| r.stage = Stage::Committed);
    assert_eq!(next(&scene.world, &key("r")), None);
    for (task, instance) in all {
        let Some(Decision::Bind(place)) = decide(&scene.world, &task) else {
            panic!()
        };
        assert_eq!((place.instance, place.held), (instance, true));
    }
}

#[test]
fn while_one_has_no_place_none_is_given_a_share_run_2() {
    let mut scene = scene(request(3), &[1024]);
    let unplaced = failed(step(&scene));
    assert!(
        unplaced
            .reason
            .starts_with("All 3 tasks or none, and 2 of them have a place now. RESOURCE:CPU (i1: "),
        "{}",
        unplaced.reason
    );
    assert!(
        unplaced.reason.ends_with("or with commit: Partial."),
        "{}",
        unplaced.reason
    );
    assert_eq!(unplaced.failures[0].reason, "RESOURCE:CPU");
    let until = scene.world.now + jiff::SignedDuration::from_secs(60);
    edit(&mut scene, |r| r.queue_until = Some(until));
    assert!(matches!(step(&scene), Next::Wait(_, at) if at == until));
    scene.advance(60);
    assert!(failed(step(&scene)).reason.contains("It waited until"));
    scene.edit_instance("i1", |i| i.registered.cpu = 1536);
    assert!(
        matches!(step(&scene), Next::Reserve(_)),
        "what fits at its last look is taken"
    );
}

#[test]
fn shares_that_the_rest_cannot_join_are_given_back_at_once_and_others_after_a_while_run_2() {
    let mut scene = scene(request(2), &[1024]);
    let Next::Reserve(places) = step(&scene) else {
        panic!()
    };
    give(&mut scene, &places[..1]);
    let held = scene.clone();
    scene.edit_instance("i1", |i| i.foreign = amounts(512, 0));
    assert!(matches!(step(&scene), Next::GiveBack(_)));
    let mut slow = held;
    slow.advance(10);
    assert!(matches!(step(&slow), Next::Reserve(_)));
    slow.advance(1);
    assert!(matches!(step(&slow), Next::GiveBack(_)));
}

#[test]
fn who_does_not_wait_gives_up_after_five_attempts_and_who_waits_does_not() {
    let attempt = |attempt: u32, queued: bool| {
        let mut asked = Request {
            attempt,
            ..request(2)
        };
        if queued {
            asked.queue_until = Some(jiff::Timestamp::MAX);
        }
        let mut scene = scene(asked, &[1024]);
        let Next::Reserve(places) = step(&scene) else {
            panic!()
        };
        give(&mut scene, &places[..1]);
        scene.edit_instance("i1", |i| i.foreign = amounts(512, 0));
        step(&scene)
    };
    assert!(matches!(attempt(4, false), Next::GiveBack(_)));
    assert!(failed(attempt(5, false)).reason.contains("in each of 5 attempts"));
    assert!(matches!(attempt(5, true), Next::GiveBack(_)));
    assert!(matches!(attempt(999, true), Next::Fail(_)));
}

#[test]
fn a_task_of_an_attempt_that_was_given_up_is_over_and_one_of_a_failed_request_says_why_run_2() {
    let mut scene = scene(request(1), &[1024]);
    let task = tasks(&request(1)).remove(0);
    let reason = |scene: &Scene| match decide(&scene.world, &task) {
        Some(Decision::Fail(unplaced)) => unplaced.reason,
        other => panic!("{other:?}"),
    };
    edit(&mut scene, |r| r.attempt = 2);
    assert!(reason(&scene).starts_with("The request gave its shares back"));
    edit(&mut scene, |r| {
        (r.attempt, r.stage) = (1, Stage::Failed("why".to_owned()));
    });
    assert_eq!(reason(&scene), "why");
    edit(&mut scene, |r| (r.attempt, r.stage) = (0, Stage::Creating));
    assert_eq!(decide(&scene.world, &task), Some(Decision::Together), "seen late");
    edit(&mut scene, |r| {
        (r.stage, r.uid) = (Stage::Committed, "another".to_owned());
    });
    assert_eq!(
        decide(&scene.world, &task),
        Some(Decision::Together),
        "a namesake (F4)"
    );
}

#[test]
fn tasks_of_a_partial_request_are_placed_like_any_others_run_1() {
    let mut scene = scene(request(1), &[1024]);
    let task = tasks(&request(1)).remove(0);
    scene = scene.task(member(&task.name, 1, Commit::Partial));
    edit(&mut scene, |r| {
        (r.all_or_nothing, r.stage) = (false, Stage::Creating);
    });
    assert!(matches!(decide(&scene.world, &task), Some(Decision::Bind(_))));
    assert_eq!(next(&scene.world, &key("r")), None);
}

#[test]
fn one_that_was_stopped_bound_or_is_not_the_requests_ends_it_run_2() {
    let first = tasks(&request(2)).remove(0);
    let end = |edit: &dyn Fn(&mut Task)| {
        let mut scene = scene(request(2), &[2048]);
        scene.edit_task(&first.name, edit);
        failed(step(&scene)).reason
    };
    assert!(end(&|t| t.desired = DesiredStatus::Stopped).contains("was stopped before all"));
    assert!(end(&|t| t.instance = Some("i1".to_owned())).contains("was bound to i1 by somebody else"));
    assert!(end(&|t| t.run_once = None).contains("was not made for this request"));
    let mut unseen = scene(request(2), &[2048]);
    unseen.world.remove_task(&first);
    assert_eq!(step(&unseen), Next::Unseen(first));
}

#[test]
fn what_may_have_been_created_just_before_is_waited_for_and_what_never_heals_is_not_td_20() {
    let mut scene = scene(request(2), &[2048]);
    let all: Vec<Key> = scene.world.definitions.keys().cloned().collect();
    for definition in &all {
        scene.world.remove_definition(definition);
    }
    let names: Vec<String> = tasks(&request(2)).into_iter().map(|key| key.name).collect();
    for name in &names {
        let now = scene.world.now;
        scene.edit_task(name, |t| t.created_at = now);
    }
    assert!(matches!(step(&scene), Next::Wait(..)));
    scene.advance(5);
    assert!(
        failed(step(&scene))
            .reason
            .contains("Unable to describe task definition.")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// As many fit as fit: equal tasks have places for all exactly if the instances' rooms add up.
    #[test]
    fn all_have_a_place_exactly_if_there_is_room_for_all_run_1(
        count in 1u32..=10,
        cpu in prop::collection::vec(0i64..2600, 1..6),
    ) {
        let scene = scene(request(count), &cpu);
        let room: i64 = cpu.iter().map(|cpu| cpu / CPU).sum();
        match step(&scene) {
            Next::Reserve(places) => {
                prop_assert!(room >= i64::from(count));
                prop_assert_eq!(places.len(), count as usize);
                let mut after = scene.clone();
                give(&mut after, &places);
                for instance in after.world.instances.values() {
                    prop_assert!(instance.remaining().cpu >= 0, "{} is over-committed", instance.name);
                }
                prop_assert!(matches!(step(&after), Next::Commit(_)));
            }
            Next::Fail(_) => prop_assert!(room < i64::from(count)),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Whatever others take and give back meanwhile, and whatever shares are given or refused: it is committed only when
    /// all stand, nobody may be bound before, and shares are not held for long.
    #[test]
    fn it_is_committed_only_when_all_stand_and_holds_nothing_for_long_run_2(
        count in 1u32..=6,
        turns in prop::collection::vec((0usize..3, 0i64..2600, 0usize..=6, 0i64..6), 1..40),
    ) {
        let until = jiff::Timestamp::MAX;
        let mut scene = scene(Request { queue_until: Some(until), ..request(count) }, &[2048, 2048, 2048]);
        let mut held_since = None;
        for (which, foreign, given, seconds) in turns {
            scene.edit_instance(&format!("i{}", which + 1), |i| i.foreign = amounts(foreign, 0));
            let asked = scene.world.requests[&key("r")].as_ref().clone();
            let members = tasks(&asked);
            let standing = |scene: &Scene| {
                let all = scene.world.instances.values().flat_map(|i| &i.reservations);
                all.filter(|r| members.iter().any(|m| m.name == r.task)).count()
            };
            if standing(&scene) > 0 {
                held_since.get_or_insert(scene.world.now);
            }
            for task in &members {
                prop_assert_eq!(decide(&scene.world, task), Some(Decision::Together));
            }
            match step(&scene) {
                Next::Reserve(places) => {
                    let late = held_since.is_some_and(|at| {
                        scene.world.now.duration_since(at) > jiff::SignedDuration::from_secs(10)
                    });
                    prop_assert!(!late, "held for long");
                    let given = given.min(places.len());
                    give(&mut scene, &places[..given]);
                }
                Next::Commit(placed) => {
                    prop_assert_eq!(placed.len(), count as usize);
                    prop_assert_eq!(standing(&scene), count as usize);
                    return Ok(());
                }
                Next::GiveBack(_) => {
                    prop_assert!(standing(&scene) > 0, "there is something to give back");
                    for name in ["i1", "i2", "i3"] {
                        scene.edit_instance(name, |i| i.reservations.clear());
                    }
                    for member in &members {
                        scene.edit_task(&member.name, |t| t.desired = DesiredStatus::Stopped);
                    }
                    held_since = None;
                    let anew = Request { attempt: asked.attempt + 1, ..asked };
                    scene = with(scene, anew);
                }
                Next::Wait(..) => prop_assert_eq!(standing(&scene), 0, "who waits holds nothing"),
                other => prop_assert!(false, "{:?}", other),
            }
            scene.advance(seconds);
        }
    }
}
