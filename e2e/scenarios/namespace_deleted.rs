//! A namespace is deleted while tasks run in it and the operator is up. (SVC-3, F1, F5)

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::support::{Scenario, audit, eventually, reservations};

/// A scenario with a daemon and replicas that run.
async fn populated(name: &str) -> Scenario {
    let scenario = Scenario::begin(name).await;
    let names: Vec<String> = scenario
        .instances()
        .await
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    scenario.definition("web", 1, 64, json!({})).await;
    scenario
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario.service("web", "web", json!({ "desiredCount": 3 })).await;
    scenario.running_on("agent", &all, 60).await;
    scenario.running("web", 3, 90).await;
    scenario
}

fn namespaces(scenario: &Scenario) -> Api<Namespace> {
    Api::all(scenario.client.clone())
}

async fn delete(scenario: &Scenario) {
    let params = DeleteParams::default();
    namespaces(scenario)
        .delete(&scenario.namespace, &params)
        .await
        .unwrap();
}

/// What the namespace says of what holds it; `None` once it is gone.
async fn held(scenario: &Scenario) -> Option<String> {
    let namespace = namespaces(scenario).get_opt(&scenario.namespace).await.unwrap()?;
    let conditions = namespace.status.and_then(|s| s.conditions).unwrap_or_default();
    let said: Vec<String> = conditions
        .iter()
        .filter(|c| c.status == "True")
        .map(|c| format!("{}: {}", c.type_, c.message.clone().unwrap_or_default()))
        .collect();
    Some(said.join("; "))
}

async fn gone(scenario: &Scenario, seconds: u64) {
    eventually("the namespace is gone", seconds, || async {
        match held(scenario).await {
            None => Ok(()),
            Some(why) => Err(why),
        }
    })
    .await;
}

async fn released(scenario: &Scenario) {
    eventually("every share is released", 90, || async {
        let instances = scenario.instances().await;
        match instances
            .iter()
            .map(|i| reservations(i, &scenario.namespace))
            .sum::<usize>()
        {
            0 => Ok(()),
            left => Err(format!("{left} reservations")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_namespace_with_running_tasks_goes_while_the_operator_is_up() {
    let scenario = populated("ns-up").await;
    let history = audit::record(&scenario.client).await;
    delete(&scenario).await;
    gone(&scenario, 90).await;
    released(&scenario).await;
    audit::sound(history).await;
}
