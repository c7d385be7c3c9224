//! Histories in which nothing is broken, though it may look so.

use serde_json::json;

use super::scene::{SCALING, Scene, cpu};
use super::{Case, case};
use crate::audit::Kind;

fn good(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let mut scene = Scene::new();
    tell(&mut scene);
    case(name, None, scene.end())
}

fn quiet(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let mut case = good(name, tell);
    case.options.quiet = true;
    case
}

pub(super) fn all() -> Vec<Case> {
    let mut all = whole();
    all.extend(odd());
    all
}

fn whole() -> Vec<Case> {
    let mut wipe = quiet("wiped-and-restored", |s| {
        s.daemon("log", 0);
        s.run("d1", "n1", "log");
        s.edit(Kind::ContainerInstance, "n1", |o| {
            o["status"]["reservations"] = json!([]);
        });
        let mut entry = s.entry("d1", "log", &json!({ "cpu": 5000, "memory": 1, "pods": 1 }));
        entry["restored"] = json!(true);
        entry["uid"] = json!("task-d1");
        s.edit(Kind::ContainerInstance, "n1", |o| {
            o["status"]["reservations"] = json!([entry]);
        });
    });
    wipe.options.expect_wipe = true;
    vec![
        wipe,
        good("share-in-the-write-that-registers", |s| {
            s.daemon("log", 0);
            s.add(Kind::Node, "n3", json!({}));
            let spec = json!({ "cluster": "default", "status": "ACTIVE" });
            s.add(Kind::ContainerInstance, "n3", json!({ "spec": spec }));
            let entry = s.entry("d1", "log", &json!({ "cpu": 10, "memory": 1, "pods": 1 }));
            s.edit(Kind::ContainerInstance, "n3", |o| {
                o["status"] = json!({ "status": "ACTIVE", "reservations": [entry],
                    "registeredResources": { "cpu": 1000, "memory": 1000, "pods": 5 } });
            });
        }),
        quiet("rolling-update-of-replicas", rolling),
        quiet("rolling-update-of-daemons", daemons),
        quiet("drain-with-daemons-last", drain),
        quiet("scale-in-below-the-old-desired-count", |s| {
            s.replica("app", 3, 100, 200);
            for task in ["t1", "t2", "t3"] {
                s.run(task, "n1", "app");
            }
            s.pass(60);
            s.edit(Kind::EcsService, "app", |o| o["spec"]["desiredCount"] = json!(1));
            s.plan("app", &[], &["t1", "t2"], SCALING);
            for task in ["t1", "t2"] {
                s.tell(task, SCALING);
                s.finish(task, "n1");
            }
            s.plan("app", &[], &[], "");
        }),
    ]
}

fn odd() -> Vec<Case> {
    vec![
        good(
            "a-stopping-task-keeps-its-share-and-others-start-around-it",
            |s| {
                s.replica("app", 2, 0, 200);
                s.run("t1", "n1", "app");
                s.plan("app", &[], &["t1"], SCALING);
                s.tell("t1", SCALING);
                s.last("t1", "STOPPING");
                s.plan("app", &["t2"], &[], "");
                s.run("t2", "n1", "app");
            },
        ),
        good("a-task-waits-behind-a-stopping-one-and-takes-its-share", |s| {
            s.replica("app", 1, 0, 200);
            s.run("t1", "n1", "app");
            s.plan("app", &[], &["t1"], SCALING);
            s.tell("t1", SCALING);
            s.unbound("t2");
            s.queue("n1", "t2", "");
            s.phase("t1-pod", "Succeeded");
            s.last("t1", "STOPPED");
            let share = s.entry("t2", "", &cpu(100));
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["reservations"] = json!([share]);
                o["status"]["queue"] = json!([]);
            });
        }),
        quiet("an-uncertain-task-ends-as-a-tombstone", |s| {
            s.replica("app", 1, 0, 200);
            s.plan("app", &["t1"], &[], "");
            s.reserve("n1", "t1", "app");
            s.tombstone("t1", "app");
            s.release("n1", "t1");
            s.plan("app", &[], &[], "");
        }),
        quiet("the-node-went-and-took-its-pods-along", |s| {
            s.daemon("log", 0);
            s.run("d1", "n1", "log");
            s.delete(Kind::Node, "n1");
            s.edit(Kind::Task, "d1", |o| {
                o["spec"]["desiredStatus"] = json!("STOPPED");
                o["spec"]["stopCode"] = json!("TerminationNotice");
            });
            s.last("d1", "STOPPED");
            s.add(Kind::Node, "n1", json!({}));
            s.release("n1", "d1");
        }),
        good(
            "a-daemon-is-stopped-for-its-constraints-whatever-the-bounds",
            |s| {
                s.daemon("log", 99);
                s.run("d1", "n1", "log");
                s.run("d2", "n2", "log");
                s.pass(60);
                let reason =
                    "The container instance no longer satisfies the placement constraints of the daemon";
                s.plan("log", &[], &["d1"], reason);
                s.tell("d1", reason);
            },
        ),
        good("allocatable-shrinks-under-what-is-reserved", |s| {
            s.replica("app", 2, 0, 200);
            s.run("t1", "n1", "app");
            s.edit(Kind::ContainerInstance, "n1", |o| {
                o["status"]["registeredResources"]["cpu"] = json!(50);
            });
            let rest = json!({ "cpu": 0, "memory": 10, "pods": 1 });
            s.reserve_amounts("n1", "t2", "app", &rest);
        }),
        good("protection-that-has-expired-or-does-not-bind", |s| {
            s.replica("app", 0, 0, 200);
            s.daemon("log", 0);
            for (task, service) in [("t1", "app"), ("t2", "app"), ("d1", "log")] {
                s.run(task, "n1", service);
                s.protect(task, 60);
            }
            s.pass(61);
            s.tell("t1", SCALING);
            s.protect("t2", 60);
            s.protect("d1", 60);
            s.tell("t2", "Task failed container health checks");
            s.finish("t1", "n1");
            s.finish("t2", "n1");
            s.drain("n1");
            s.tell("d1", SCALING);
        }),
    ]
}

fn rolling(s: &mut Scene) {
    s.replica("app", 2, 100, 200);
    s.run("t1", "n1", "app");
    s.run("t2", "n2", "app");
    s.pass(60);
    s.edit(Kind::EcsService, "app", |o| {
        o["spec"]["taskDefinition"] = json!("web:2");
    });
    s.plan("app", &["u1", "u2"], &[], "");
    s.run("u1", "n1", "app");
    s.run("u2", "n2", "app");
    s.pass(46);
    s.plan("app", &[], &["t1", "t2"], SCALING);
    for (task, instance) in [("t1", "n1"), ("t2", "n2")] {
        s.tell(task, SCALING);
        s.finish(task, instance);
    }
    s.plan("app", &[], &[], "");
}

fn daemons(s: &mut Scene) {
    s.daemon("log", 50);
    s.run("d1", "n1", "log");
    s.run("d2", "n2", "log");
    s.pass(60);
    for (old, new, instance) in [("d1", "e1", "n1"), ("d2", "e2", "n2")] {
        s.plan("log", &[], &[old], SCALING);
        s.tell(old, SCALING);
        s.finish(old, instance);
        s.run(new, instance, "log");
        s.pass(60);
    }
    s.plan("log", &[], &[], "");
}

fn drain(s: &mut Scene) {
    s.replica("app", 1, 100, 200);
    s.daemon("log", 0);
    s.run("d1", "n1", "log");
    s.run("d2", "n2", "log");
    s.run("t1", "n1", "app");
    s.pass(60);
    s.drain("n1");
    s.plan("app", &["t2"], &[], "");
    s.run("t2", "n2", "app");
    s.pass(60);
    s.plan("app", &[], &["t1"], SCALING);
    s.tell("t1", SCALING);
    s.finish("t1", "n1");
    s.plan("app", &[], &[], "");
    s.plan("log", &[], &["d1"], SCALING);
    s.tell("d1", SCALING);
    s.finish("d1", "n1");
    s.plan("log", &[], &[], "");
}
