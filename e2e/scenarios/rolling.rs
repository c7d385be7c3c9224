//! Rolling updates keep within the percent bounds, seen in every version of every Task. (PCT-3, ROLL-2, DAEMON-22, EVT-16)

use std::collections::BTreeMap;

use ecs_operator::api::{DesiredStatus, EcsService, LastStatus, RolloutState, StopCode, Task};
use ecs_operator::audit::History;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;

use crate::support::operator::Setting;
use crate::support::{Scenario, audit, eventually, last, placed_on, wanted};

/// Seconds after which a task without health checks is healthy.
const HEALTHY_AFTER: i64 = 2;

/// Waits until the service has completed a deployment of this definition and nothing else is left.
async fn completed(scenario: &Scenario, service: &str, definition: &str) {
    eventually(&format!("{definition} is rolled out"), 120, || async {
        let object = scenario.api::<EcsService>().get(service).await.unwrap();
        let status = object.status.unwrap_or_default();
        let found: Vec<_> = status
            .deployments
            .iter()
            .map(|d| (d.task_definition.clone(), d.rollout_state, d.id.clone()))
            .collect();
        match &found[..] {
            [(of, RolloutState::Completed, id)] if of == definition => {
                let text = format!("(service {service}) (deployment {id}) deployment completed.");
                if status.events.iter().any(|e| e.message == text) {
                    Ok(())
                } else {
                    Err(format!("no event {text:?}: {:?}", status.events))
                }
            }
            _ => Err(format!("{found:?}; {}", scenario.explain(service).await)),
        }
    })
    .await;
}

/// What the history of a rollout showed.
#[derive(Debug)]
struct Seen {
    /// Most tasks that should run at a time.
    most: usize,
    /// Fewest healthy tasks that should run, right after a stop of ours.
    least: usize,
    /// Stops of ours.
    stops: usize,
}

fn healthy(task: &Task, now: Timestamp) -> bool {
    let started = task.status.as_ref().and_then(|s| s.started_at.as_ref());
    let started: Option<Timestamp> = started.and_then(|at| at.parse().ok());
    wanted(task)
        && last(task) == LastStatus::Running
        && started.is_some_and(|at| at + SignedDuration::from_secs(HEALTHY_AFTER) <= now)
}

fn sample(history: &History, namespace: &str) -> Seen {
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    let mut seen = Seen {
        most: 0,
        least: usize::MAX,
        stops: 0,
    };
    for (at, task) in audit::moments(history, namespace) {
        let told = task.spec.desired_status == DesiredStatus::Stopped
            && task.spec.stop_code == Some(StopCode::ServiceSchedulerInitiated)
            && tasks.get(&task.name_any()).is_some_and(wanted);
        tasks.insert(task.name_any(), task);
        seen.most = seen.most.max(tasks.values().filter(|t| wanted(t)).count());
        if let (true, Some(at)) = (told, at) {
            seen.stops += 1;
            seen.least = seen.least.min(tasks.values().filter(|t| healthy(t, at)).count());
        }
    }
    seen
}

#[tokio::test]
async fn a_replica_rollout_keeps_within_its_bounds_and_completes() {
    let scenario = Scenario::begin("roll").await;
    let _soon = Setting::set("healthyAfterSeconds", HEALTHY_AFTER);
    let history = audit::record(&scenario.client).await;
    scenario.definition("web", 1, 64, json!({})).await;
    scenario.definition("web", 2, 96, json!({})).await;
    // of four: never fewer than three healthy, never more than five
    let bounds = json!({ "minimumHealthyPercent": 75, "maximumPercent": 125 });
    scenario
        .service(
            "web",
            "web:1",
            json!({ "desiredCount": 4, "deploymentConfiguration": bounds }),
        )
        .await;
    scenario.running("web", 4, 90).await;
    completed(&scenario, "web", "web:1").await;
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "taskDefinition": "web:2" } }))
        .await;
    completed(&scenario, "web", "web:2").await;
    let tasks = scenario.running("web", 4, 60).await;
    assert!(tasks.iter().all(|t| t.spec.task_definition == "web:2"));
    scenario.quiet(90).await;
    let (history, report) = audit::sound(history).await;
    let seen = sample(&history, &scenario.namespace);
    assert_eq!(seen.stops, 4, "{seen:?}");
    assert!(seen.most <= 5 && seen.least >= 3, "{seen:?}");
    assert!(report.figures.planning > 0, "{:?}", report.figures);
    eprintln!("{seen:?}, {:?}", report.figures);
    scenario.end().await;
}

#[tokio::test]
async fn a_daemon_rollout_keeps_within_its_bounds_and_completes() {
    let scenario = Scenario::begin("roll-daemon").await;
    let _soon = Setting::set("healthyAfterSeconds", HEALTHY_AFTER);
    let history = audit::record(&scenario.client).await;
    let names: Vec<String> = scenario
        .instances()
        .await
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    scenario.definition("agent", 1, 64, json!({})).await;
    scenario.definition("agent", 2, 96, json!({})).await;
    let bounds = json!({ "minimumHealthyPercent": 50 });
    scenario
        .service(
            "agent",
            "agent:1",
            json!({ "schedulingStrategy": "DAEMON", "deploymentConfiguration": bounds }),
        )
        .await;
    scenario.running_on("agent", &all, 60).await;
    completed(&scenario, "agent", "agent:1").await;
    scenario
        .patch::<EcsService>("agent", json!({ "spec": { "taskDefinition": "agent:2" } }))
        .await;
    completed(&scenario, "agent", "agent:2").await;
    let tasks = scenario.running_on("agent", &all, 60).await;
    assert!(tasks.iter().all(|t| t.spec.task_definition == "agent:2"));
    let mut on: Vec<String> = tasks.iter().map(placed_on).collect();
    on.dedup();
    assert_eq!(on.len(), all.len());
    scenario.quiet(90).await;
    let (history, _) = audit::sound(history).await;
    let seen = sample(&history, &scenario.namespace);
    assert_eq!(seen.stops, all.len(), "{seen:?}");
    assert!(
        seen.most <= all.len() && seen.least >= all.len().div_ceil(2),
        "{seen:?}"
    );
    eprintln!("{seen:?}");
    scenario.end().await;
}
