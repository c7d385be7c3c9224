//! Two operators plan on the same objects, the watches of one lag: they get in each other's way, and nothing is broken.
//! (I1 to I8)

use std::time::{Duration, Instant};

use ecs_operator::api::{DesiredStatus, EcsService, Task};
use futures::future::join_all;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::support::operator::{Operator, Resting, Setting};
use crate::support::{Scenario, audit, eventually, ground, names, wanted};

/// Writes that lost against the other operator, at least.
const CONFLICTS: u64 = 50;
/// Stops that both operators tried, at least.
const RACES: u64 = 10;
/// Time for that.
const PATIENCE: Duration = Duration::from_secs(240);
const REPLICAS: [&str; 3] = ["red", "green", "blue"];

fn conflicts(operators: &[Operator]) -> (u64, u64) {
    let lost = |labels: &[&str]| -> u64 {
        let counts = operators
            .iter()
            .map(|o| o.count("ecs_operator_ledger_commits_total", labels));
        counts.sum()
    };
    (
        lost(&[r#"outcome="conflict""#]),
        lost(&[r#"outcome="conflict""#, r#"object="task_stop""#]),
    )
}

async fn spec(scenario: &Scenario, service: &str, change: Value) {
    scenario
        .patch::<EcsService>(service, json!({ "spec": change }))
        .await;
}

/// One round of changes, each while the one before is under way.
async fn churn(scenario: &Scenario, round: usize, instance: &str) {
    let revision = round % 2 + 1;
    join_all(REPLICAS.iter().enumerate().map(|(i, name)| {
        let count = if (round + i).is_multiple_of(2) { 7 } else { 2 };
        spec(scenario, name, json!({ "desiredCount": count }))
    }))
    .await;
    let drain = if round % 3 == 1 { "DRAINING" } else { "ACTIVE" };
    scenario
        .patch_instance(instance, json!({ "status": drain }))
        .await;
    spec(
        scenario,
        "agent",
        json!({ "taskDefinition": format!("web:{revision}") }),
    )
    .await;
    planned(scenario).await;
    spec(
        scenario,
        REPLICAS[round % 3],
        json!({ "taskDefinition": format!("web:{revision}") }),
    )
    .await;
    // tasks that a user stops: both operators see it
    let tasks: Api<Task> = scenario.api();
    let running = scenario.tasks(REPLICAS[(round + 1) % 3]).await;
    for task in running.iter().filter(|t| wanted(t)).take(2) {
        let deleted = tasks.delete(&task.name_any(), &DeleteParams::default()).await;
        assert!(deleted.is_ok() || matches!(deleted, Err(kube::Error::Api(ref s)) if s.code == 404));
    }
    planned(scenario).await;
}

/// Waits until one of the operators has planned on the newest spec of every service and has told every deleted task to
/// stop. What follows from that is under way then, and the other operator may not know of it yet.
async fn planned(scenario: &Scenario) {
    eventually("the changes are taken up", 60, || async {
        let everything = ListParams::default();
        let services = scenario.api::<EcsService>().list(&everything).await.unwrap();
        let behind = |s: &&EcsService| {
            let seen = s.status.as_ref().and_then(|s| s.observed_generation);
            seen != s.metadata.generation
        };
        let behind = names(services.iter().filter(behind));
        let tasks = scenario.api::<Task>().list(&everything).await.unwrap();
        let untold = |t: &&Task| {
            t.metadata.deletion_timestamp.is_some() && t.spec.desired_status == DesiredStatus::Running
        };
        let untold = names(tasks.iter().filter(untold));
        if behind.is_empty() && untold.is_empty() {
            Ok(())
        } else {
            Err(format!("not planned: {behind:?}, not told to stop: {untold:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_active_operators_contend_and_break_nothing() {
    if !ground::rests("two active operators") {
        return;
    }
    let scenario = Scenario::begin("two").await;
    let _soon = Setting::set("healthyAfterSeconds", 1);
    let all = scenario.instance_names().await;
    scenario.definition("web", 1, 32, json!({})).await;
    scenario.definition("web", 2, 48, json!({})).await;
    let resting = Resting::begin();
    let operators = [
        Operator::start("prompt", &[]),
        Operator::start("lagging", &[("ECS_OPERATOR_TEST_WATCH_DELAY_MS", "0-3000")]),
    ];
    for operator in &operators {
        operator.ready().await;
    }
    for name in REPLICAS {
        scenario
            .service(name, "web:1", json!({ "desiredCount": 2 }))
            .await;
    }
    scenario
        .service("agent", "web:1", json!({ "schedulingStrategy": "DAEMON" }))
        .await;

    let begun = Instant::now();
    let mut round = 0;
    loop {
        let (lost, races) = conflicts(&operators);
        eprintln!(
            "round {round}: {lost} conflicts, {races} of them over stops, {:?}",
            begun.elapsed()
        );
        if lost >= CONFLICTS && races >= RACES {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "only {lost} conflicts and {races} races over stops"
        );
        churn(&scenario, round, &all[round % all.len()]).await;
        round += 1;
    }

    for name in &all {
        scenario.patch_instance(name, json!({ "status": "ACTIVE" })).await;
    }
    for name in REPLICAS {
        spec(&scenario, name, json!({ "desiredCount": 3 })).await;
    }
    for name in REPLICAS {
        scenario.running(name, 3, 120).await;
    }
    scenario.running_on("agent", &all, 120).await;
    scenario.quiet(120).await;
    eventually("no rollout is under way", 120, || async {
        let mut open = Vec::new();
        for name in REPLICAS.iter().chain(&["agent"]) {
            let status = scenario.api::<EcsService>().get(name).await.unwrap().status;
            let status = status.unwrap_or_default();
            if status.deployments.len() != 1 || !status.stopping.is_empty() || !status.allocations.is_empty()
            {
                open.push(format!(
                    "{name}: {} marks, {} ids, {}",
                    status.stopping.len(),
                    status.allocations.len(),
                    scenario.explain(name).await
                ));
            }
        }
        if open.is_empty() {
            Ok(())
        } else {
            Err(open.join("; "))
        }
    })
    .await;
    for operator in &operators {
        assert_eq!(
            operator.count("ecs_operator_invariant_violations_total", &[]),
            0,
            "{}",
            operator.tail(40)
        );
    }
    eprintln!("{:?}", conflicts(&operators));
    drop(operators);
    drop(resting);
    let namespace = scenario.namespace.clone();
    let (history, _) = scenario.end().await;
    let pods = audit::pods_per_task(&history, Some(&namespace));
    assert!(pods.values().all(|count| *count == 1), "{pods:?}");
}
