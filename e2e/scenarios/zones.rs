//! A zone that comes back gets its part of the running tasks, and none stops before another is healthy. (AZ-4, EVT-8)

use std::collections::BTreeMap;

use ecs_operator::api::Task;
use serde_json::json;

use crate::support::history::{History, extremes};
use crate::support::node::Label;
use crate::support::operator::Setting;
use crate::support::{Scenario, eventually, placed_on};

const ZONE: &str = "topology.kubernetes.io/zone";

#[tokio::test(flavor = "multi_thread")]
async fn running_tasks_are_moved_into_a_zone_that_opens_az_4_evt_8() {
    let scenario = Scenario::begin("zones").await;
    let all = scenario.instance_names().await;
    let [first, second, ..] = &all[..] else {
        panic!("two instances are needed: {all:?}");
    };
    let _here = Label::put(first, ZONE, "here").await;
    let _there = Label::put(second, ZONE, "there").await;
    let _soon = Setting::set("healthyAfterSeconds", 1);
    let attributes = json!([{ "name": "open", "value": "yes" }]);
    scenario
        .patch_instance(first, json!({ "attributes": attributes }))
        .await;
    scenario.definition("web", 1, 32, json!({})).await;
    let open = json!([{ "type": "memberOf", "expression": "attribute:open exists" }]);
    let spec = json!({ "desiredCount": 4, "placementConstraints": open });
    scenario.service("web", "web", spec).await;
    let tasks = scenario.running("web", 4, 60).await;
    assert!(tasks.iter().all(|task| placed_on(task) == *first));
    scenario.steady("web", 60).await;
    let history = History::<Task>::begin(scenario.api()).await;

    scenario
        .patch_instance(second, json!({ "attributes": attributes }))
        .await;
    eventually("two tasks are in each zone", 90, || async {
        let mut places = BTreeMap::<String, usize>::new();
        for task in scenario.tasks("web").await {
            let ended = task.status.as_ref().is_some_and(|s| s.stopped_at.is_some());
            *places.entry(placed_on(&task)).or_default() += usize::from(!ended);
        }
        if places.values().copied().eq([2, 2]) {
            Ok(())
        } else {
            Err(format!("{places:?}"))
        }
    })
    .await;
    scenario.steady("web", 60).await;
    let (fewest, most) = extremes(&history.until_now().await, "web", 4);
    assert!(fewest >= 4 && most <= 8, "from {fewest} to {most} tasks");
    let said = scenario.events("web").await;
    let first_said = |part: &str| {
        let found = said.iter().rev().position(|event| event.contains(part));
        found.unwrap_or_else(|| panic!("{part:?} in {said:?}"))
    };
    let order = [
        "service (web) is not AZ balanced with 4 tasks in here, 0 tasks in there. AZ Rebalancing in progress.",
        "web has started 2 tasks in there to AZ Rebalance: ",
        "web has stopped 2 running tasks in here due to AZ rebalancing: ",
        "service (web) is AZ balanced with 2 tasks in here, 2 tasks in there.",
    ]
    .map(first_said);
    assert!(order.is_sorted(), "{order:?} in {said:?}");
    scenario.end().await;
}
