//! Histories in which one invariant is broken.

use serde_json::json;

use super::scene::{SCALING, Scene, cpu};
use super::{Case, case};
use crate::audit::Invariant::{I1, I2, I3, I4, I5, I7, I8};
use crate::audit::Kind;

fn scene(tell: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::new();
    tell(&mut scene);
    scene
}

fn i1(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let told = scene(|s| {
        s.replica("app", 2, 100, 200);
        tell(s);
    });
    case(name, Some(I1), told.end())
}

pub(super) fn room() -> Vec<Case> {
    vec![
        i1("I1-more-cpu-than-there-is", |s| {
            s.reserve_amounts("n1", "t1", "app", &cpu(600));
            s.reserve_amounts("n1", "t2", "app", &cpu(500));
        }),
        i1("I1-two-in-one-write", |s| {
            let entries = [s.entry("t1", "app", &cpu(600)), s.entry("t2", "app", &cpu(500))];
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["reservations"] = json!(entries);
            });
        }),
        i1("I1-foreign-pods-count", |s| {
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["foreign"] = json!({ "cpu": 0, "memory": 950, "pods": 1 });
            });
            s.reserve("n1", "t1", "app");
        }),
        i1("I1-a-share-and-a-place-in-the-queue", |s| {
            s.unbound("t1");
            s.reserve("n1", "t1", "");
            s.queue("n1", "t1", "");
        }),
        i1("I1-host-port-of-another-task", |s| {
            let web = json!({ "cpu": 10, "memory": 10, "pods": 1, "ports": [8080] });
            s.reserve_amounts("n1", "t1", "app", &web);
            s.reserve_amounts("n1", "t2", "app", &web);
        }),
        i1("I1-reserved-host-port", |s| {
            let ssh = json!({ "cpu": 10, "memory": 10, "pods": 1, "ports": [22] });
            s.reserve_amounts("n1", "t1", "app", &ssh);
        }),
        i1("I1-no-pod-slot-left", |s| {
            for task in ["t1", "t2", "t3", "t4", "t5", "t6"] {
                s.reserve("n1", task, "app");
            }
        }),
        i1("I1-second-gpu", |s| {
            let gpu = json!({ "cpu": 10, "memory": 10, "pods": 1, "gpu": 1 });
            s.reserve_amounts("n1", "t1", "app", &gpu);
            s.reserve_amounts("n1", "t2", "app", &gpu);
        }),
        i1("I1-restored-for-a-task-that-never-ran", |s| {
            let mut entry = s.entry("t1", "app", &cpu(5000));
            entry["restored"] = json!(true);
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["reservations"] = json!([entry]);
            });
        }),
    ]
}

fn with_daemon(name: &str, invariant: crate::audit::Invariant, tell: impl FnOnce(&mut Scene)) -> Case {
    let told = scene(|s| {
        s.daemon("log", 0);
        tell(s);
    });
    case(name, Some(invariant), told.end())
}

pub(super) fn daemons() -> Vec<Case> {
    vec![
        with_daemon("I2-second-daemon", I2, |s| {
            s.run("d1", "n1", "log");
            s.reserve("n1", "d2", "log");
            s.task("d2", "n1", "log");
        }),
        with_daemon("I2-two-schedulers-at-once", I2, |s| {
            s.reserve("n1", "d1", "log");
            s.reserve("n1", "d2", "log");
            s.task("d1", "n1", "log");
            s.task("d2", "n1", "log");
        }),
        with_daemon("I2-replacement-before-the-old-one-is-told-to-stop", I2, |s| {
            s.run("d1", "n1", "log");
            s.plan("log", &[], &["d1"], SCALING);
            s.reserve("n1", "d2", "log");
            s.task("d2", "n1", "log");
            s.tell("d1", SCALING);
        }),
        with_daemon("I2-moved-to-where-one-is", I2, |s| {
            s.run("d1", "n1", "log");
            s.task("d2", "n2", "log");
            s.edit(Kind::Task, "d2", |o| {
                o["spec"]["containerInstance"] = json!("n1");
            });
        }),
    ]
}

pub(super) fn inactive() -> Vec<Case> {
    vec![
        with_daemon("I3-share-after-the-user-set-draining", I3, |s| {
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["spec"]["status"] = json!("DRAINING");
            });
            s.reserve("n1", "d1", "log");
        }),
        with_daemon("I3-share-on-a-cordoned-instance", I3, |s| {
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["status"] = json!("DRAINING");
            });
            s.reserve("n1", "d1", "log");
        }),
        with_daemon("I3-share-in-the-write-that-drains", I3, |s| {
            let entry = s.entry("d1", "log", &cpu(10));
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["status"] = json!("DRAINING");
                o["status"]["reservations"] = json!([entry]);
            });
        }),
        with_daemon("I3-share-while-it-is-deregistered", I3, |s| {
            s.ask_away(Kind::ContainerInstance, "n1");
            s.reserve("n1", "d1", "log");
        }),
        with_daemon("I3-share-before-it-is-registered", I3, |s| {
            let spec = json!({ "cluster": "default", "status": "ACTIVE" });
            s.add(Kind::Node, "n3", json!({}));
            s.add(Kind::ContainerInstance, "n3", json!({ "spec": spec }));
            let entry = s.entry("d1", "log", &cpu(10));
            s.edit(Kind::ContainerInstance, "n3", |o| {
                o["status"] = json!({ "status": "REGISTERING", "reservations": [entry],
                    "registeredResources": { "cpu": 1000, "memory": 1000, "pods": 5 } });
            });
        }),
    ]
}

fn draining(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    with_daemon(name, I4, |s| {
        s.replica("app", 1, 0, 200);
        s.run("d1", "n1", "log");
        tell(s);
        s.plan("log", &[], &["d1"], SCALING);
        s.tell("d1", SCALING);
    })
}

pub(super) fn order() -> Vec<Case> {
    vec![
        draining("I4-while-a-replica-runs", |s| {
            s.run("t1", "n1", "app");
            s.drain("n1");
        }),
        draining("I4-while-a-replica-is-stopping", |s| {
            s.run("t1", "n1", "app");
            s.drain("n1");
            s.plan("app", &[], &["t1"], SCALING);
            s.tell("t1", SCALING);
            s.last("t1", "STOPPING");
        }),
        draining("I4-while-a-run-once-task-runs", |s| {
            s.run("job", "n1", "");
            s.drain("n1");
        }),
        draining("I4-while-a-task-may-still-come", |s| {
            s.plan("app", &["t1"], &[], "");
            s.reserve("n1", "t1", "app");
            s.drain("n1");
        }),
        draining("I4-while-a-run-once-task-has-its-share-and-is-not-bound", |s| {
            s.unbound("job");
            s.reserve("n1", "job", "");
            s.drain("n1");
        }),
        draining("I4-though-the-daemon-service-is-deleted", |s| {
            s.run("t1", "n1", "app");
            s.drain("n1");
            s.ask_away(Kind::EcsService, "log");
        }),
    ]
}

pub(super) fn pods() -> Vec<Case> {
    let mut strict = vec![
        with_daemon("I5-pod-without-a-share", I5, |s| {
            s.task("d1", "n1", "log");
            s.pod("d1-pod", "d1", "n1");
        }),
        with_daemon("I5-pod-on-another-node-than-its-share", I5, |s| {
            s.reserve("n1", "d1", "log");
            s.task("d1", "n1", "log");
            s.pod("d1-pod", "d1", "n2");
        }),
        with_daemon("I5-share-wiped", I5, |s| {
            s.run("d1", "n1", "log");
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["reservations"] = json!([]);
            });
        }),
        with_daemon("I5-share-released-while-stopping", I5, |s| {
            s.run("d1", "n1", "log");
            s.tell("d1", SCALING);
            s.last("d1", "STOPPING");
            s.release("n1", "d1");
        }),
        with_daemon("I5-stopped-before-its-pod-ended", I5, |s| {
            s.run("d1", "n1", "log");
            s.tell("d1", SCALING);
            s.last("d1", "STOPPED");
            s.release("n1", "d1");
        }),
        with_daemon("I5-second-pod-of-a-task", I5, |s| {
            s.run("d1", "n1", "log");
            s.phase("d1-pod", "Failed");
            s.delete(Kind::Pod, "d1-pod");
            s.pod("d1-pod-again", "d1", "n1");
        }),
        with_daemon("I5-name-used-twice", I5, |s| {
            s.run("d1", "n1", "log");
            s.tell("d1", SCALING);
            s.phase("d1-pod", "Succeeded");
            s.delete(Kind::Pod, "d1-pod");
            s.last("d1", "STOPPED");
            s.release("n1", "d1");
            s.delete(Kind::Task, "d1");
            s.reserve("n1", "d1", "log");
            s.task("d1", "n1", "log");
        }),
        with_daemon("I5-given-up-without-a-tombstone", I5, |s| {
            s.reserve("n1", "d1", "log");
            s.release("n1", "d1");
        }),
    ];
    let mut licence = with_daemon("I5-a-wipe-is-no-licence-for-new-pods", I5, |s| {
        s.run("d1", "n1", "log");
        s.edit(Kind::ContainerInstance, "n1", |o| {
            o["status"]["reservations"] = json!([]);
        });
        s.task("d2", "n2", "log");
        s.pod("d2-pod", "d2", "n2");
    });
    licence.options.expect_wipe = true;
    strict.push(licence);
    strict
}

fn protected(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let told = scene(|s| {
        s.replica("app", 2, 0, 200);
        s.daemon("log", 0);
        s.run("t1", "n1", "app");
        s.run("d1", "n1", "log");
        s.protect("t1", 3600);
        s.protect("d1", 3600);
        tell(s);
    });
    case(name, Some(I7), told.end())
}

pub(super) fn protection() -> Vec<Case> {
    vec![
        protected("I7-scale-in", |s| {
            s.edit(Kind::EcsService, "app", |o| o["spec"]["desiredCount"] = json!(0));
            s.plan("app", &[], &["t1"], SCALING);
            s.tell("t1", SCALING);
        }),
        protected("I7-deployment", |s| {
            s.edit(Kind::EcsService, "app", |o| {
                o["spec"]["taskDefinition"] = json!("web:2");
            });
            s.pass(600);
            s.plan("app", &[], &["t1"], SCALING);
            s.tell("t1", SCALING);
        }),
        protected("I7-daemon-deployment", |s| {
            s.edit(Kind::EcsService, "log", |o| {
                o["spec"]["taskDefinition"] = json!("log:2");
            });
            s.plan("log", &[], &["d1"], SCALING);
            s.tell("d1", SCALING);
        }),
        protected("I7-drain-of-a-replica", |s| {
            s.drain("n1");
            s.plan("app", &[], &["t1"], SCALING);
            s.tell("t1", SCALING);
        }),
        protected("I7-protected-after-the-decision", |s| {
            s.edit(Kind::Task, "t1", |o| o["status"]["protectedUntil"] = json!(null));
            s.plan("app", &[], &["t1"], SCALING);
            s.protect("t1", 60);
            s.tell("t1", SCALING);
        }),
    ]
}

fn left(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let told = scene(|s| {
        s.replica("app", 1, 0, 200);
        s.run("t1", "n1", "app");
        s.pass(60);
        tell(s);
    });
    let mut left = case(name, Some(I8), told.end());
    left.options.quiet = true;
    left
}

pub(super) fn rest() -> Vec<Case> {
    vec![
        left("I8-share-of-a-stopped-task", |s| {
            s.tell("t1", SCALING);
            s.phase("t1-pod", "Succeeded");
            s.last("t1", "STOPPED");
        }),
        left("I8-share-of-no-task", |s| s.reserve("n1", "t2", "app")),
        left("I8-share-of-a-task-bound-elsewhere", |s| {
            s.run("t2", "n1", "app");
            s.reserve("n2", "t2", "app");
        }),
        left("I8-queued-and-bound", |s| s.queue("n2", "t1", "app")),
        left("I8-queued-and-stopped", |s| {
            s.unbound("t2");
            s.last("t2", "STOPPED");
            s.queue("n1", "t2", "");
        }),
        left("I8-queued-twice", |s| {
            s.unbound("t2");
            s.queue("n1", "t2", "");
            s.queue("n2", "t2", "");
        }),
        left("I8-task-without-a-share", |s| s.task("t2", "n1", "app")),
        left("I8-id-given-out", |s| s.plan("app", &["t2"], &[], "")),
        left("I8-stop-mark", |s| s.plan("app", &[], &["t1"], SCALING)),
    ]
}
