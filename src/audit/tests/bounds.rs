//! Histories in which decisions take a service out of its bounds.

use serde_json::json;

use super::scene::{SCALING, Scene};
use super::{Case, case};
use crate::audit::Invariant::I6;
use crate::audit::Kind;

fn i6(name: &str, tell: impl FnOnce(&mut Scene)) -> Case {
    let mut scene = Scene::new();
    tell(&mut scene);
    case(name, Some(I6), scene.end())
}

/// Four healthy replicas.
fn four(s: &mut Scene, minimum: i64, maximum: i64) {
    s.replica("app", 4, minimum, maximum);
    for (task, instance) in [("t1", "n1"), ("t2", "n2"), ("t3", "n1"), ("t4", "n2")] {
        s.run(task, instance, "app");
    }
    s.pass(60);
}

pub(super) fn all() -> Vec<Case> {
    vec![
        i6("I6-above-upper", |s| {
            four(s, 50, 100);
            s.plan("app", &["t5"], &[], "");
        }),
        i6("I6-ids-given-out-count", |s| {
            s.replica("app", 2, 100, 150);
            s.run("t1", "n1", "app");
            s.plan("app", &["t2", "t3"], &[], "");
            s.plan("app", &["t2", "t3", "t4"], &[], "");
        }),
        i6("I6-marked-tasks-count-until-they-are-told", |s| {
            four(s, 50, 100);
            s.plan("app", &[], &["t1"], SCALING);
            s.plan("app", &["t5"], &["t1"], SCALING);
        }),
        i6("I6-below-lower", |s| {
            four(s, 50, 100);
            s.plan("app", &[], &["t1", "t2", "t3"], SCALING);
        }),
        i6("I6-below-lower-in-two-writes", |s| {
            four(s, 75, 100);
            s.plan("app", &[], &["t1"], SCALING);
            s.plan("app", &[], &["t1", "t2"], SCALING);
        }),
        i6("I6-lower-is-rounded-up", |s| {
            s.replica("app", 3, 50, 100);
            for task in ["t1", "t2", "t3"] {
                s.run(task, "n1", "app");
            }
            s.pass(60);
            s.plan("app", &[], &["t1", "t2"], SCALING);
        }),
        i6("I6-replacements-are-not-healthy-yet", |s| {
            s.replica("app", 1, 100, 200);
            s.run("t1", "n1", "app");
            s.pass(60);
            s.plan("app", &["t2"], &[], "");
            s.run("t2", "n2", "app");
            s.pass(10);
            s.plan("app", &[], &["t1"], SCALING);
        }),
        i6("I6-replacements-are-unhealthy", |s| {
            s.replica("app", 1, 100, 200);
            s.run("t1", "n1", "app");
            s.plan("app", &["t2"], &[], "");
            s.run("t2", "n2", "app");
            s.pass(60);
            s.edit(Kind::Task, "t2", |o| {
                o["status"]["healthStatus"] = json!("UNHEALTHY");
            });
            s.plan("app", &[], &["t1"], SCALING);
        }),
        i6("I6-both-daemons-at-once", |s| {
            s.daemon("log", 50);
            s.run("d1", "n1", "log");
            s.run("d2", "n2", "log");
            s.pass(60);
            s.plan("log", &[], &["d1", "d2"], SCALING);
        }),
        i6("I6-decided-on-nothing", |s| {
            four(s, 50, 200);
            s.plan("app", &["t5"], &[], "");
            s.edit(Kind::EcsService, "app", |o| {
                o["status"]["allocations"] = json!([]);
                o["status"]["observedTaskVersion"] = json!(null);
            });
            s.edit(Kind::EcsService, "app", |o| {
                o["status"]["allocations"] =
                    json!([{ "id": "t6", "deployment": "ecs-svc/1", "createdAt": "" }]);
            });
        }),
    ]
}
