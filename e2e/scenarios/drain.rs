//! Whatever drains an instance, its daemon leaves last, and its replicas are replaced within the percent bounds.
//! (DRAIN-1 to DRAIN-4, DAEMON-41 to DAEMON-48, SCN-4)

use std::time::Instant;

use ecs_operator::api::{ContainerInstance, DesiredStatus, HealthStatus, Task};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, assert_daemons_left_last, assert_never_overcommitted, extremes};
use crate::support::{Scenario, cluster, eventually, placed_on, says};

const REPLICAS: usize = 2;

/// A daemon everywhere and both replicas on one instance, which is to drain.
struct Drain {
    scenario: Scenario,
    all: Vec<String>,
    node: String,
    tasks: History<Task>,
    instances: History<ContainerInstance>,
}

impl Drain {
    async fn begin(door: &str) -> Self {
        let scenario = Scenario::begin(&format!("drain-{door}")).await;
        let all = scenario.instance_names().await;
        let slow = json!({ "command": ["--on-term", "3s"] });
        scenario.definition("agent", 1, 64, slow).await;
        // a health check, so that a replacement counts as soon as it has passed
        let checked = json!({
            "command": ["--on-term", "3s"],
            "healthCheck": { "command": ["CMD-SHELL", "exit 0"], "interval": 5, "timeout": 5, "retries": 3 },
        });
        scenario.definition("web", 1, 64, checked).await;
        scenario
            .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
            .await;
        scenario.running_on("agent", &all, 90).await;
        let tasks = History::begin(scenario.api()).await;
        let instances = History::begin(Api::all(scenario.client.clone())).await;
        let together = json!({
            "desiredCount": REPLICAS,
            "placementStrategy": [{ "type": "binpack", "field": "cpu" }],
            "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 200 },
        });
        scenario.service("web", "web", together).await;
        let running = scenario.running("web", REPLICAS, 90).await;
        // until its check has passed a task counts for nothing and may stop at any time (PCT-6)
        eventually("the replicas are healthy", 60, || async {
            let tasks = scenario.tasks("web").await;
            let health: Vec<_> = tasks
                .iter()
                .filter_map(|t| Some(t.status.as_ref()?.health_status))
                .collect();
            if health == [HealthStatus::Healthy; REPLICAS] {
                Ok(())
            } else {
                Err(format!("{health:?}"))
            }
        })
        .await;
        let node = placed_on(&running[0]);
        assert!(running.iter().all(|t| placed_on(t) == node), "binpack");
        Self {
            scenario,
            all,
            node,
            tasks,
            instances,
        }
    }

    /// Waits until nothing is left on the instance, then checks the order in which it went.
    async fn drained(&self, begun: Instant) {
        eventually(&format!("{} is empty", self.node), 120, || async {
            let status = self.scenario.instance(&self.node).await.status.unwrap();
            let left: Vec<_> = status.reservations.iter().map(|r| &r.service).collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{:?}: {left:?}", status.status))
            }
        })
        .await;
        eprintln!("{} was empty after {:?}", self.node, begun.elapsed());
        let elsewhere = self.scenario.running("web", REPLICAS, 60).await;
        assert!(elsewhere.iter().all(|t| placed_on(t) != self.node));
        let history = self.tasks.until_now().await;
        assert_daemons_left_last(&history, &self.node);
        let (fewest, most) = extremes(&history, "web", REPLICAS);
        assert!(fewest >= REPLICAS, "only {fewest} of {REPLICAS} ran at a time");
        assert!(most <= 2 * REPLICAS, "{most} were wanted at a time");
        assert_never_overcommitted(&self.instances.until_now().await);
    }

    /// The instance takes tasks again: its daemon comes back. (DAEMON-48)
    async fn returned(self) {
        self.scenario.running_on("agent", &self.all, 90).await;
        self.scenario.end().await;
    }
}

fn kubectl(arguments: &[&str]) -> tokio::task::JoinHandle<String> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        cluster::command("kubectl", &arguments)
    })
}

#[tokio::test]
async fn an_instance_set_draining_loses_its_daemon_last() {
    let drain = Drain::begin("patch").await;
    let change = |status: &str| json!({ "status": status });
    let begun = Instant::now();
    drain
        .scenario
        .patch_instance(&drain.node, change("DRAINING"))
        .await;
    drain.drained(begun).await;
    drain.scenario.patch_instance(&drain.node, change("ACTIVE")).await;
    drain.returned().await;
}

#[tokio::test]
async fn a_cordoned_node_loses_its_daemon_last() {
    let drain = Drain::begin("cordon").await;
    let begun = Instant::now();
    kubectl(&["cordon", &drain.node]).await.unwrap();
    drain.drained(begun).await;
    kubectl(&["uncordon", &drain.node]).await.unwrap();
    drain.returned().await;
}

#[tokio::test]
async fn kubectl_drain_ends_by_itself_with_the_daemon_last_and_within_minimum_healthy_percent() {
    let drain = Drain::begin("kubectl").await;
    let budgets: Api<PodDisruptionBudget> = drain.scenario.api();
    let name = "ecs-operator-service-web";
    eventually("the API server knows how many replicas must stay", 30, || async {
        let budget = budgets.get_opt(name).await.unwrap();
        let status = budget.as_ref().and_then(|b| b.status.as_ref());
        match status.filter(|s| s.current_healthy == Some(2) && s.desired_healthy == Some(2)) {
            Some(_) => Ok(()),
            None => Err(format!("{budget:?}")),
        }
    })
    .await;
    let begun = Instant::now();
    let output = kubectl(&[
        "drain",
        &drain.node,
        "--ignore-daemonsets=false",
        "--timeout=180s",
    ])
    .await
    .unwrap();
    eprintln!("kubectl drain ended after {:?}", begun.elapsed());
    assert!(output.contains("drained"), "{output}");
    drain.drained(begun).await;
    kubectl(&["uncordon", &drain.node]).await.unwrap();

    // the budget follows the service
    let share = json!({ "spec": { "deploymentConfiguration": { "minimumHealthyPercent": 50 } } });
    drain
        .scenario
        .patch::<ecs_operator::api::EcsService>("web", share)
        .await;
    eventually("the budget follows minimumHealthyPercent", 30, || async {
        let budget = budgets.get(name).await.unwrap();
        match budget.spec.and_then(|s| s.min_available) {
            Some(IntOrString::Int(1)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let none = json!({ "spec": { "deploymentConfiguration": { "minimumHealthyPercent": 0 } } });
    drain
        .scenario
        .patch::<ecs_operator::api::EcsService>("web", none)
        .await;
    eventually("a service that may lose all has no budget", 30, || async {
        match budgets.get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(budget) => Err(format!("{:?}", budget.spec)),
        }
    })
    .await;
    drain.returned().await;
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_whoever_is_protected_drain_17() {
    let scenario = Scenario::begin("drain-deadline").await;
    let all = scenario.instance_names().await;
    scenario.definition("agent", 1, 64, json!({})).await;
    scenario.definition("web", 1, 64, json!({})).await;
    let everywhere = json!({ "schedulingStrategy": "DAEMON" });
    scenario.service("agent", "agent", everywhere).await;
    scenario.running_on("agent", &all, 90).await;
    let tasks = History::begin(scenario.api()).await;
    scenario.service("web", "web", json!({ "desiredCount": 1 })).await;
    let kept = scenario.running("web", 1, 90).await.remove(0);
    let (name, node) = (kept.name_any(), placed_on(&kept));
    let protection = json!({ "spec": { "protection": { "protectionEnabled": true } } });
    scenario.patch::<Task>(&name, protection).await;
    let by = json!({ "status": "DRAINING", "drainTimeoutSeconds": 600 });
    scenario.patch_instance(&node, by).await;
    let deadline = eventually("the drain says when it ends", 20, || async {
        let status = scenario.instance(&node).await.status.unwrap();
        match says(&status.conditions, "Draining") {
            said if said.contains("is told to stop then") => Ok(status.drain_deadline.unwrap()),
            said => Err(said),
        }
    })
    .await;
    let protected = scenario.api::<Task>().get(&name).await.unwrap();
    assert_eq!(protected.spec.desired_status, DesiredStatus::Running);
    // it may change while the instance drains
    scenario
        .patch_instance(&node, json!({ "drainTimeoutSeconds": 1 }))
        .await;
    eventually(&format!("{node} is empty"), 60, || async {
        let status = scenario.instance(&node).await.status.unwrap();
        if status.reservations.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}, at first {deadline}", status.drain_deadline))
        }
    })
    .await;
    let ended = scenario.api::<Task>().get(&name).await.unwrap();
    let reason = ended.status.unwrap().stopped_reason.unwrap_or_default();
    assert!(reason.contains("deadline"), "{reason}");
    assert_daemons_left_last(&tasks.until_now().await, &node);
    let elsewhere = scenario.running("web", 1, 60).await;
    assert_ne!(placed_on(&elsewhere[0]), node);
    let back = json!({ "status": "ACTIVE", "drainTimeoutSeconds": null });
    scenario.patch_instance(&node, back).await;
    scenario.running_on("agent", &all, 90).await;
    let status = scenario.instance(&node).await.status.unwrap();
    assert_eq!((status.draining_since, status.drain_deadline), (None, None));
    scenario.end().await;
}
