//! A node that its EcsCluster no longer selects keeps what runs and gets nothing new; selected again, it is the instance it
//! was. (decision 0058)

use std::collections::BTreeSet;

use ecs_operator::api::{DesiredStatus, EcsService, Task};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

use crate::support::history::{History, stop_told};
use crate::support::node::Label;
use crate::support::operator::Setting;
use crate::support::{Scenario, eventually, placed_on, says};

const LABEL: &str = "ecs-operator-e2e/pool";

async fn selected(scenario: &Scenario, instance: &str, wanted: &str) -> String {
    eventually(&format!("{instance} says {wanted}"), 30, || async {
        let status = scenario.instance(instance).await.status.unwrap();
        let (selected, schedulable) = (
            says(&status.conditions, "Selected"),
            says(&status.conditions, "Schedulable"),
        );
        if selected.starts_with(wanted) {
            Ok(format!("{selected}\n{schedulable}"))
        } else {
            Err(selected)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_selected_keeps_its_tasks_gets_no_new_ones_and_returns() {
    let scenario = Scenario::begin("selected").await;
    let all = scenario.instance_names().await;
    let (left, others) = all.split_last().unwrap();
    let attributes = json!([{ "name": "rack", "value": "r1" }]);
    scenario
        .patch_instance(left, json!({ "attributes": attributes }))
        .await;
    let expressions = json!([{ "key": LABEL, "operator": "NotIn", "values": ["other"] }]);
    let _selector = Setting::set("nodeSelector", json!({ "matchExpressions": expressions }));
    let _soon = Setting::set("healthyAfterSeconds", 0);
    scenario.definition("web", 1, 32, json!({})).await;
    scenario
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let spread = json!([{ "type": "spread", "field": "instanceId" }]);
    let spec = json!({ "desiredCount": all.len(), "placementStrategy": spread });
    scenario.service("web", "web", spec).await;
    scenario.running_on("agent", &all, 60).await;
    let before = scenario.running_on("web", &all, 60).await;
    let uid = scenario.instance(left).await.uid();
    let tasks = History::<Task>::begin(scenario.api()).await;

    let label = Label::put(left, LABEL, "other").await;
    let said = selected(&scenario, left, "False NotSelected").await;
    assert!(
        said.contains("set spec.status to DRAINING to move its tasks away"),
        "{said}"
    );
    assert!(
        said.contains("False NotSelected: the EcsCluster does not select"),
        "{said}"
    );
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "desiredCount": 2 * all.len() } }))
        .await;
    let more = scenario.running("web", 2 * all.len(), 60).await;
    let new = |t: &&Task| before.iter().all(|b| b.name_any() != t.name_any());
    let used: BTreeSet<String> = more.iter().filter(new).map(placed_on).collect();
    assert!(!used.contains(left.as_str()), "{used:?}");
    // a daemon that ends there is not replaced
    let agents = scenario.tasks("agent").await;
    let agent = agents.iter().find(|t| placed_on(t) == **left).unwrap().name_any();
    scenario
        .api::<Task>()
        .delete(&agent, &DeleteParams::default())
        .await
        .unwrap();
    scenario.running_on("agent", others, 60).await;
    scenario.steady("agent", 30).await;
    let told = tasks.until_now().await;
    let stopped = told
        .iter()
        .filter(|s| s.object.spec.desired_status == DesiredStatus::Stopped);
    let stopped: BTreeSet<String> = stopped.map(|s| s.object.name_any()).collect();
    assert_eq!(stopped, BTreeSet::from([agent]), "what runs there stays");

    drop(label);
    let said = selected(&scenario, left, "True Selected").await;
    assert!(said.contains("True Active"), "{said}");
    scenario.running_on("agent", &all, 60).await;
    let instance = scenario.instance(left).await;
    assert_eq!(instance.uid(), uid, "the same instance");
    assert_eq!(instance.spec.attributes.len(), 1);
    let told = tasks.until_now().await;
    for task in &before {
        assert_eq!(stop_told(&told, &task.name_any()), None);
    }
    scenario.end().await;
}
