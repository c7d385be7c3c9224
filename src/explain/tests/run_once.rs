//! Run-once tasks that wait for a place: what each instance lacks, and what would become of them. (RUN-1, RUN-2)

use std::sync::Arc;

use super::picture;
use crate::domain::expr::Expression;
use crate::explain::preview::{Asked, preview};
use crate::explain::{task, text, text_preview};
use crate::plan::testing::*;
use crate::plan::world::{RunOnce, Task};

/// A task of 1024 units that waits, for an instance with a disk.
fn job(wish: RunOnce) -> Task {
    Task {
        instance: None,
        run_once: Some(Arc::new(wish)),
        ..standalone("job", "")
    }
}

fn scene(wish: RunOnce) -> Scene {
    Scene::new()
        .definition(definition("job:1", 1024, 1024))
        .instance(instance("i1").attribute("disk", "ssd"))
        .instance(instance("i2"))
        .task(job(wish))
}

fn picky() -> RunOnce {
    RunOnce {
        constraints: Expression::parse("attribute:disk == ssd").map(|e| vec![e]),
        queue_until: Some("2999-01-01T00:00:00Z".parse().unwrap()),
        ..RunOnce::default()
    }
}

/// Each instance with the first check that fails and the smallest change.
fn told(scene: &Scene) -> Vec<(String, String, String)> {
    let found = task::explain(&picture(scene), &key("job")).unwrap();
    let line = |v: crate::explain::service::InstanceVerdict| {
        let change = v.change.map_or_else(String::new, |change| change.told());
        (v.instance, v.reason.unwrap_or_else(|| "fits".to_owned()), change)
    };
    found.instances.into_iter().map(line).collect()
}

fn line(instance: &str, reason: &str, change: &str) -> (String, String, String) {
    (instance.to_owned(), reason.to_owned(), change.to_owned())
}

#[test]
fn a_waiting_task_says_per_instance_what_fails_first_and_what_would_help_run_2() {
    let mut scene = scene(picky());
    scene.edit_instance("i1", |i| i.foreign = amounts(1500, 0));
    let no_disk = "MemberOf placement constraint unsatisfied.";
    assert_eq!(
        told(&scene),
        [
            line("i1", "RESOURCE:CPU", "free 476 CPU units"),
            line("i2", no_disk, "set attribute disk = ssd"),
        ]
    );
    let found = task::explain(&picture(&scene), &key("job")).unwrap();
    let waits = found.waits_for.clone().unwrap();
    assert!(
        waits.starts_with("an instance, until 2999-01-01T00:00:00Z: RESOURCE:CPU (i1"),
        "{waits}"
    );
    let text = text::task(&found).join("\n");
    assert!(
        text.contains("It takes 1024 CPU units, 1024 MiB. On each instance, the closest first:"),
        "{text}"
    );
    scene.edit_instance("i1", |i| i.foreign = amounts(0, 0));
    let found = task::explain(&picture(&scene), &key("job")).unwrap();
    assert_eq!(found.waits_for.as_deref(), Some("being bound: it fits on i1"));
}

#[test]
fn what_a_task_overrides_is_what_the_change_is_about_run_5() {
    let mut scene = scene(picky());
    let big = Arc::new(definition("job:1", 2148, 1024));
    scene.world.overridden.insert(key("job"), Some(big));
    assert_eq!(
        told(&scene)[0],
        line("i1", "RESOURCE:CPU", "ask for 100 CPU units less")
    );
}

#[test]
fn two_of_a_group_on_one_instance_are_told_apart_cons_4() {
    let apart = RunOnce {
        distinct_instance: true,
        ..RunOnce::default()
    };
    let scene = scene(apart)
        .task(standalone("other", "i1"))
        .task(standalone("more", "i2"));
    let crowded = "DistinctInstance placement constraint unsatisfied.";
    let helps = "drop distinctInstance";
    assert_eq!(
        told(&scene),
        [line("i1", crowded, helps), line("i2", crowded, helps)]
    );
}

#[test]
fn what_no_instance_can_mend_is_said_and_no_instance_is_listed_run_2() {
    let mut scene = scene(picky());
    scene.edit_task("job", |t| t.definition = "gone:1".to_owned());
    let found = task::explain(&picture(&scene), &key("job")).unwrap();
    assert_eq!(found.instances, []);
    assert!(found.waits_for.unwrap().contains("gone:1"));
}

#[test]
fn a_rehearsal_binds_a_waiting_task_and_says_which_finds_no_place_run_1_run_2() {
    let mut scene = scene(picky());
    let asked = Asked::default();
    let works = preview(&picture(&scene), &asked);
    let starts = works.run_once[0].starts.as_ref().unwrap();
    assert_eq!(
        (starts.instance.as_deref(), starts.after_seconds),
        (Some("i1"), 0)
    );
    assert!(works.works_out());
    let text = text_preview::preview(&works).join("\n");
    assert!(
        text.contains("Task shop/job (run once)\n  after 0 s: starts on i1"),
        "{text}"
    );

    let added = Asked {
        added: ["i1".to_owned()].into(),
        ..Asked::default()
    };
    let long = Task {
        key: key("a-name-of-ones-own"),
        ..job(picky())
    };
    let text = text_preview::preview(&preview(&picture(&scene.clone().task(long)), &added)).join("\n");
    assert!(
        text.lines()
            .any(|line| line.contains("starts") && line.ends_with("a-name-of-ones-own")),
        "{text}"
    );

    scene.edit_instance("i1", |i| i.foreign = amounts(1500, 0));
    let stuck = preview(&picture(&scene), &asked);
    assert!(!stuck.works_out() && stuck.run_once[0].starts.is_none());
    let text = text_preview::preview(&stuck).join("\n");
    assert!(
        text.contains("finds no place. On each instance") && text.contains("free 476 CPU units"),
        "{text}"
    );
}
