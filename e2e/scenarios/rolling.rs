//! Rolling updates keep within the percent bounds, seen in every version of every Task. (PCT-3, ROLL-2, DAEMON-22, EVT-16)

use std::collections::BTreeMap;

use ecs_operator::api::{DesiredStatus, EcsService, LastStatus, StopCode, Task};
use ecs_operator::audit::History;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;

use crate::support::operator::Setting;
use crate::support::{Scenario, audit, last, placed_on, wanted};

/// Seconds after which a task without health checks is healthy.
const HEALTHY_AFTER: i64 = 2;

/// Waits until the service has completed a deployment of this definition and nothing else is left, and says so.
async fn completed(scenario: &Scenario, service: &str, definition: &str) {
    scenario.rolled_out(service, definition, 120).await;
    let status = scenario.api::<EcsService>().get(service).await.unwrap().status;
    let id = status.unwrap().deployments[0].id.clone();
    let text = format!("(service {service}) (deployment {id}) deployment completed.");
    let said = scenario.events(service).await;
    assert!(said.contains(&text), "no event {text:?}: {said:?}");
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

fn sample(history: &History, namespace: &str, until: u64) -> Seen {
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    let mut seen = Seen {
        most: 0,
        least: usize::MAX,
        stops: 0,
    };
    for (at, task) in audit::moments(history, namespace, until) {
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
    scenario.definition("web", 1, 64, json!({})).await;
    scenario.definition("web", 2, 96, json!({})).await;
    // of four: never fewer than three healthy, never more than five
    let bounds = json!({ "minimumHealthyPercent": 75, "maximumPercent": 125 });
    scenario
        .service(
            "web",
            "web:1",
            json!({ "desiredCount": 4, "deploymentConfiguration": bounds, "availabilityZoneRebalancing": "DISABLED" }),
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
    let (namespace, until) = (scenario.namespace.clone(), scenario.version().await);
    let (history, report) = scenario.end().await;
    let seen = sample(&history, &namespace, until);
    assert_eq!(seen.stops, 4, "{seen:?}");
    assert!(seen.most <= 5 && seen.least >= 3, "{seen:?}");
    assert!(report.figures.planning > 0, "{:?}", report.figures);
    eprintln!("{seen:?}, {:?}", report.figures);
}

#[tokio::test]
async fn a_daemon_rollout_keeps_within_its_bounds_and_completes() {
    let scenario = Scenario::begin("roll-daemon").await;
    let _soon = Setting::set("healthyAfterSeconds", HEALTHY_AFTER);
    let all = scenario.instance_names().await;
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
    let (namespace, until) = (scenario.namespace.clone(), scenario.version().await);
    let (history, _) = scenario.end().await;
    let seen = sample(&history, &namespace, until);
    assert_eq!(seen.stops, all.len(), "{seen:?}");
    assert!(
        seen.most <= all.len() && seen.least >= all.len().div_ceil(2),
        "{seen:?}"
    );
    eprintln!("{seen:?}");
}
