use crate::domain::records::{InstanceStatus, LastStatus};
use crate::plan::daemons_run;
use crate::plan::testing::*;

fn arrived(scene: &Scene, instance: &str) -> bool {
    daemons_run(&scene.world, &scene.world.instances[instance])
}

#[test]
fn an_instance_has_its_daemons_when_all_that_belong_there_are_running() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 256, 256))
        .instance(instance("i1"))
        .service(daemon("logs", "d:1"))
        .service(daemon("net", "d:1"));
    assert!(!arrived(&scene, "i1"));
    scene.settle("logs");
    assert!(!arrived(&scene, "i1"), "one of two");
    let plan = scene.plan("net");
    scene.commit("net", &plan);
    assert!(!arrived(&scene, "i1"), "reserved");
    scene.create_tasks();
    assert!(!arrived(&scene, "i1"), "PENDING");
    scene.run_tasks();
    assert!(arrived(&scene, "i1"));
    let id = scene.alive("net").remove(0).key.name;
    scene.edit_task(&id, |t| t.last = LastStatus::Stopped);
    assert!(!arrived(&scene, "i1"));
}

#[test]
fn daemons_that_do_not_belong_or_can_never_fit_are_not_waited_for() {
    let scene = Scene::new()
        .definition(definition("d:1", 256, 256))
        .definition(definition("big:1", 9999, 256))
        .instance(instance("i1"))
        .service(daemon("gpu", "d:1").member_of("attribute:gpu exists"))
        .service(daemon("big", "big:1"));
    assert!(arrived(&scene, "i1"));
}

#[test]
fn an_instance_that_takes_no_tasks_or_is_away_has_not_got_its_daemons() {
    let mut scene = Scene::new().instance(instance("i1"));
    assert!(arrived(&scene, "i1"), "no daemon at all");
    scene.edit_instance("i1", |i| i.connected = false);
    assert!(!arrived(&scene, "i1"));
    scene.edit_instance("i1", |i| *i = instance("i1").status(InstanceStatus::Draining));
    assert!(!arrived(&scene, "i1"));
}
