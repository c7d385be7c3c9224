//! Tasks that depend on a daemon come after it on each instance, and it leaves a draining one after them. (DAEMON-43)

use std::collections::BTreeMap;

use ecs_operator::api::{HealthStatus, LastStatus, Task};
use kube::ResourceExt;
use serde_json::json;

use crate::support::history::{History, Seen, stop_told, stopped};
use crate::support::{Scenario, eventually, last, placed_on};

fn of(task: &Task, service: &str) -> bool {
    task.spec.service.as_ref().is_some_and(|s| s.name == service)
}

/// When a task of the service was first like this on each instance.
fn first(told: &[Seen<Task>], service: &str, is: impl Fn(&Task) -> bool) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for seen in told.iter().filter(|s| of(&s.object, service) && is(&s.object)) {
        found.entry(placed_on(&seen.object)).or_insert(seen.version);
    }
    found
}

fn healthy(task: &Task) -> bool {
    let health = task.status.as_ref().map(|s| s.health_status);
    last(task) == LastStatus::Running && health == Some(HealthStatus::Healthy)
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_come_after_the_daemon_they_depend_on_and_go_before_it() {
    let scenario = Scenario::begin("awaited").await;
    let all = scenario.instance_names().await;
    let tasks = History::<Task>::begin(scenario.api()).await;
    let check = json!({ "command": ["CMD-SHELL", "exit 0"], "interval": 5, "timeout": 2, "retries": 1 });
    let net = json!({ "healthCheck": check });
    scenario.definition("net", 1, 32, net).await;
    scenario
        .definition("web", 1, 32, json!({ "command": ["--on-term", "2s"] }))
        .await;
    let after = json!({ "desiredCount": all.len(), "dependsOnDaemons": ["net"] });
    scenario.service("web", "web", after).await;
    eventually("a daemon that is not there is named", 30, || async {
        let said = scenario.explain("web").await;
        if said.contains("dependsOnDaemons names net") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
    let everywhere = json!({ "schedulingStrategy": "DAEMON" });
    scenario.service("net", "net", everywhere).await;
    let running = scenario.running("web", all.len(), 90).await;
    let told = tasks.until_now().await;
    let (ready, came) = (first(&told, "net", healthy), first(&told, "web", |_| true));
    for (instance, at) in &came {
        let ready = ready.get(instance);
        assert!(
            ready.is_some_and(|ready| ready < at),
            "{instance}: at {at}, the daemon was healthy at {ready:?}"
        );
    }

    let node = placed_on(&running[0]);
    let daemons = scenario.running_on("net", &all, 30).await;
    let daemon = daemons.iter().find(|t| placed_on(t) == node).unwrap().name_any();
    scenario
        .patch_instance(&node, json!({ "status": "DRAINING" }))
        .await;
    eventually(&format!("{node} is empty"), 120, || async {
        let status = scenario.instance(&node).await.status.unwrap();
        let left = status.reservations.len();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left"))
        }
    })
    .await;
    let told = tasks.until_now().await;
    let leaves = stop_told(&told, &daemon).unwrap();
    for task in running.iter().filter(|t| placed_on(t) == node) {
        let end = stopped(&told, &task.name_any()).unwrap();
        assert!(end < leaves, "STOPPED at {end}, the daemon told at {leaves}");
    }
    scenario
        .patch_instance(&node, json!({ "status": "ACTIVE" }))
        .await;
    scenario.running_on("net", &all, 90).await;
    scenario.end().await;
}
