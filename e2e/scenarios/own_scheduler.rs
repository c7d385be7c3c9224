//! Schedulers of one's own, those of `examples/`, one in Rust and one with kubectl alone: whoever competes, nothing is
//! over-committed, and each task runs or says why not. (RUN-6, RUN-8)

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use ecs_operator::api::{LastStatus, StopCode, Task, TaskDefinition};
use futures::future::join_all;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::support::{Scenario, WORKLOAD, eventually, last, placed_on, wanted};

#[allow(dead_code, reason = "what only the program needs")]
#[path = "../../examples/scheduler.rs"]
mod scheduler;

/// So many tasks of the scenario fit on the fullest instance.
const FIT: i64 = 4;

/// What the two call themselves in startedBy.
const SCHEDULERS: [&str; 2] = ["scheduler-rs", "scheduler-sh"];

/// Lets so many of the one, all with the same picture, start a task of a definition each, and beside them the other
/// one so many. Each ends when it has, or when there is no room.
async fn both(scenario: &Scenario, definition: &str, count: u32) {
    let known = definition.replace(':', ".");
    eventually("the definition says what a task of it takes", 60, || async {
        let found = scenario.api::<TaskDefinition>().get(&known).await.unwrap();
        let takes = found.status.and_then(|s| s.required_resources);
        takes.map(drop).ok_or_else(|| "nothing".to_owned())
    })
    .await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scheduler.sh");
    let mut with_kubectl = Command::new(script);
    with_kubectl
        .args([definition, &count.to_string()])
        .env("NAMESPACE", &scenario.namespace);
    let one = |_| scheduler::schedule(&scenario.client, &scenario.namespace, definition, 1);
    let in_rust = join_all((0..count).map(one));
    let with_kubectl = tokio::task::spawn_blocking(move || with_kubectl.output().unwrap());
    let (in_rust, with_kubectl) = tokio::join!(in_rust, with_kubectl);
    let output = with_kubectl.unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    for error in in_rust.iter().filter_map(|ended| ended.as_ref().err()) {
        println!("{error:#}");
    }
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The tasks that a scheduler of one's own made.
async fn made_by(scenario: &Scenario, name: &str) -> Vec<Task> {
    let mut tasks = scenario.all_tasks().await;
    tasks.retain(|task| task.spec.started_by.as_deref() == Some(name));
    tasks
}

/// Splits answered tasks into those that run and those that were refused, with the reasons.
fn answers(tasks: Vec<Task>) -> (Vec<Task>, BTreeSet<String>) {
    let (run, refused): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| last(t) == LastStatus::Running);
    let reasons = refused.into_iter().map(|task| {
        let (name, status) = (task.name_any(), task.status.unwrap_or_default());
        assert_eq!(status.last_status, LastStatus::Stopped, "{name}");
        assert_eq!(status.stop_code, Some(StopCode::TaskFailedToStart), "{name}");
        status.stopped_reason.unwrap_or_default()
    });
    let reasons = reasons.collect();
    (run, reasons)
}

#[tokio::test]
async fn schedulers_of_ones_own_compete_with_a_service_and_nobody_over_commits_run_6_run_8() {
    let scenario = Scenario::begin("ownsched").await;
    let instances = scenario.instances().await;
    let left = |i: &ecs_operator::api::ContainerInstance| i.status.as_ref().unwrap().remaining_resources.cpu;

    // they know nothing of constraints: refused on each instance that they like better, they come to the right one
    let fullest = instances.iter().min_by_key(|i| left(i)).expect("an instance");
    let there = fullest.name_any();
    let constraints = scenario.only_on(&there).await;
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 32, "memory": 64 });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": "choosy.1" },
            "spec": { "family": "choosy", "revision": 1, "containerDefinitions": [main],
                "placementConstraints": constraints },
        }))
        .await;
    both(&scenario, "choosy:1", 1).await;
    for name in SCHEDULERS {
        let tasks = made_by(&scenario, name).await;
        let (count, (run, reasons)) = (tasks.len(), answers(tasks));
        let places: Vec<_> = run.iter().map(placed_on).collect();
        assert_eq!((places.len(), places.first()), (1, Some(&there)), "{name}");
        let expected = BTreeSet::from(["MemberOf placement constraint unsatisfied.".to_owned()]);
        assert_eq!((count, reasons), (instances.len(), expected), "{name}");
    }
    let everything = (DeleteParams::default(), ListParams::default());
    let tasks = scenario.api::<Task>();
    tasks
        .delete_collection(&everything.0, &everything.1)
        .await
        .unwrap();
    scenario.quiet(60).await;

    // half as many again as there is room for
    let cpu = left(fullest) / FIT;
    let room: i64 = instances.iter().map(|i| left(i) / cpu).sum();
    let half = room / 2;
    scenario.definition("web", 1, cpu, json!({})).await;
    let service = scenario.service("web", "web", json!({ "desiredCount": half }));
    let count = u32::try_from(half).unwrap();
    tokio::join!(service, both(&scenario, "web:1", count));
    let all = usize::try_from(room).unwrap();
    eventually("everything that fits runs", 90, || async {
        let tasks = scenario.all_tasks().await;
        let wanted: Vec<_> = tasks.iter().filter(|t| wanted(t)).collect();
        let running = wanted.iter().filter(|t| last(t) == LastStatus::Running).count();
        if (running, wanted.len()) == (all, all) {
            Ok(())
        } else {
            Err(format!("{running} RUNNING of {} of {all}", wanted.len()))
        }
    })
    .await;
    let mut theirs = 0;
    for name in SCHEDULERS {
        let tasks = made_by(&scenario, name).await;
        let (run, mut reasons) = answers(
            tasks
                .into_iter()
                .filter(|t| t.spec.task_definition == "web:1")
                .collect(),
        );
        reasons.remove("RESOURCE:CPU");
        assert_eq!(reasons, BTreeSet::new(), "{name}");
        theirs += run.len();
    }
    assert!(
        theirs >= all - all / 2,
        "{theirs} of {all}: the service wants no more than half"
    );
    tasks
        .delete_collection(&everything.0, &everything.1)
        .await
        .unwrap();
    scenario.end().await;
}
