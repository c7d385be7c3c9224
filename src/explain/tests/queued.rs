//! What is said of tasks that wait behind stopping ones, and of the room they wait for. (OPT-1)

use super::picture;
use crate::explain::rehearsal::{What, rehearse};
use crate::explain::{instance as of_instance, service, task, text};
use crate::plan::testing::*;
use crate::plan::world::Optimistic;

/// Instance i1, full with a task that may take 100 s to stop and has just been told to, and service `n`, which wants one.
fn scene(mode: Optimistic) -> Scene {
    let mut slow = definition("l:1", 2048, 64);
    slow.stop_seconds = 100;
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = mode)
        .definition(slow)
        .definition(definition("n:1", 1024, 64))
        .instance(instance("i1"))
        .service(replica("l", "l:1", 1));
    scene.settle("l");
    scene.edit_service("l", |s| s.desired_count = 0);
    let plan = scene.plan("l");
    scene.commit("l", &plan);
    scene.carry_out_marks();
    let mut scene = scene.service(replica("n", "n:1", 1));
    let plan = scene.plan("n");
    scene.commit("n", &plan);
    scene.look_at_queued();
    scene
}

#[test]
fn a_waiting_task_says_where_it_waits_behind_whom_and_until_when_opt_1() {
    let scene = scene(Optimistic::On);
    let (waiting, stopping) = (scene.alive("n").remove(0), scene.alive("l").remove(0));
    let at = scene.world.now + jiff::SignedDuration::from_secs(100);
    let picture = picture(&scene);
    let found = task::explain(&picture, &waiting.key).unwrap();
    let expected = format!("room on i1: the end of {}, about until {at:.0}", stopping.key);
    assert_eq!(found.waits_for.as_deref(), Some(expected.as_str()));
    let found = of_instance::explain(&picture, "i1").unwrap();
    assert_eq!((found.frees[0].about, found.frees[0].left.cpu), (at, 2048));
    assert_eq!((found.queue[0].about, found.queue[0].takes.cpu), (Some(at), 1024));
    let lines = text::instance(&found).join("\n");
    assert!(
        lines.contains("ROOM FREES UP ABOUT") && lines.contains("WAITS HERE"),
        "{lines}"
    );
    let said = service::explain(&picture, &key("n")).unwrap().says.join("\n");
    assert!(
        said.contains(&format!(
            "1 task waits for room behind stopping tasks (task {} on i1",
            waiting.key.name
        )),
        "{said}"
    );
}

#[test]
fn without_a_queue_it_is_said_when_there_is_room_opt_5() {
    let scene = scene(Optimistic::Off);
    let at = scene.world.now + jiff::SignedDuration::from_secs(100);
    let found = service::explain(&picture(&scene), &key("n")).unwrap();
    assert!(
        found.instances[0]
            .detail
            .ends_with(&format!("; there is room about {at:.0}")),
        "{found:?}"
    );
}

#[test]
fn a_preview_starts_what_waits_when_the_stop_is_over_opt_1() {
    let scene = scene(Optimistic::On);
    let waiting = scene.alive("n").remove(0).key;
    let outcome = rehearse(&picture(&scene));
    let step = outcome.steps.iter().find(|step| step.task == waiting).unwrap();
    assert_eq!(
        (&step.what, step.instance.as_deref()),
        (&What::Starts, Some("i1"))
    );
    assert!(step.at > scene.world.now, "when the other has ended");
}
