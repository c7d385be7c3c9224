//! Replicas near to and far from another service's tasks, and never two on an instance. (CONS-4, CONS-8, CQL-16)

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Scenario, eventually, placed_on};

#[tokio::test]
async fn replicas_keep_to_task_groups_and_to_distinct_instances() {
    let scenario = Scenario::begin("constraint").await;
    let all = BTreeSet::from_iter(scenario.instance_names().await);
    scenario.definition("small", 1, 32, json!({})).await;
    let member = |expression: &str| json!([{ "type": "memberOf", "expression": expression }]);

    // near a service that is not there yet: nobody can say where (CONS-8)
    let near = json!({ "desiredCount": 3, "placementConstraints": member("task:group == service:db") });
    scenario.service("near", "small", near).await;
    eventually("nothing is near a service without tasks", 60, || async {
        let said = scenario.events("near").await;
        if said.iter().any(|e| e.contains("was unable to place a task")) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
    assert!(scenario.tasks("near").await.is_empty());
    scenario
        .service("db", "small", json!({ "desiredCount": 1 }))
        .await;
    let home = placed_on(&scenario.running("db", 1, 90).await[0]);
    let near = scenario.running("near", 3, 90).await;
    assert!(near.iter().all(|t| placed_on(t) == home), "affinity");

    let far = json!({ "desiredCount": 4, "placementConstraints": member("not(task:group == service:db)") });
    scenario.service("far", "small", far).await;
    let far = scenario.running("far", 4, 90).await;
    assert!(far.iter().all(|t| placed_on(t) != home), "anti-affinity");

    // one more than there are instances: it waits and the service says so
    let apart = json!({
        "desiredCount": all.len() + 1,
        "placementConstraints": [{ "type": "distinctInstance" }],
    });
    scenario.service("apart", "small", apart).await;
    let apart = scenario.running("apart", all.len(), 90).await;
    let used: BTreeSet<String> = apart.iter().map(placed_on).collect();
    assert_eq!(used, all, "distinctInstance");
    eventually("the service says that a task has no place", 60, || async {
        let said = scenario.events("apart").await;
        if said.iter().any(|e| e.contains("was unable to place a task")) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
    scenario.end().await;
}
