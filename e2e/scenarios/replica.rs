//! Replica services: as many tasks as are desired, over the zones, packed, and reasons when there is no room.
//! (SVC-8, STRAT, SCALEIN-1, SCALEIN-2, EVT-10, EVT-11, EVT-21)

use std::collections::{BTreeMap, BTreeSet};

use ecs_operator::api::{EcsService, Task};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::support::operator::Setting;
use crate::support::{Scenario, cluster, eventually, placed_on, wanted};

fn scale(scenario: &Scenario, service: &str, count: usize) {
    let replicas = format!("--replicas={count}");
    let namespace = format!("--namespace={}", scenario.namespace);
    cluster::command(
        "kubectl",
        &["scale", "ecsservice", service, &replicas, &namespace],
    );
}

/// Zone of each node; a node without one is a zone of its own.
async fn zones(scenario: &Scenario) -> BTreeMap<String, String> {
    let nodes: Api<Node> = Api::all(scenario.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let zone = |node: &Node| node.labels().get("topology.kubernetes.io/zone").cloned();
    nodes
        .iter()
        .map(|node| (node.name_any(), zone(node).unwrap_or_default()))
        .collect()
}

/// Number of tasks in the fullest and in the emptiest zone.
fn unevenness(tasks: &[Task], zones: &BTreeMap<String, String>) -> usize {
    let mut counts: BTreeMap<&str, usize> = zones.values().map(|zone| (zone.as_str(), 0)).collect();
    for task in tasks {
        *counts.get_mut(zones[&placed_on(task)].as_str()).unwrap() += 1;
    }
    counts.values().max().unwrap() - counts.values().min().unwrap()
}

/// Ids named in the events that begin like this; panics if an event's number is not that of its ids.
fn named(events: &[String], begin: &str) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        let Some((number, rest)) = event.strip_prefix(begin).and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let ids: Vec<String> = rest
            .split("(task ")
            .skip(1)
            .map(|part| part.split(')').next().unwrap().to_owned())
            .collect();
        assert_eq!(number.parse(), Ok(ids.len()), "{event}");
        found.extend(ids);
    }
    found
}

fn names(tasks: &[Task]) -> BTreeSet<String> {
    BTreeSet::from_iter(crate::support::names(tasks))
}

#[tokio::test]
async fn the_desired_count_is_followed_evenly_over_the_zones_and_every_start_and_stop_is_told() {
    let scenario = Scenario::begin("scale").await;
    let _soon = Setting::set("healthyAfterSeconds", 1);
    let zones = zones(&scenario).await;
    scenario.definition("web", 1, 64, json!({})).await;
    scenario.service("web", "web", json!({ "desiredCount": 6 })).await;
    let six = scenario.running("web", 6, 90).await;
    assert!(unevenness(&six, &zones) <= 1, "six tasks over {zones:?}");

    scale(&scenario, "web", 9);
    let nine = scenario.running("web", 9, 90).await;
    assert!(unevenness(&nine, &zones) <= 1, "nine tasks over {zones:?}");
    assert!(names(&nine).is_superset(&names(&six)));

    scale(&scenario, "web", 4);
    let four = scenario.running("web", 4, 90).await;
    assert!(unevenness(&four, &zones) <= 1, "four tasks over {zones:?}");
    let (four, nine) = (names(&four), names(&nine));
    assert!(nine.is_superset(&four), "scaling in starts nothing");
    eventually("the service says that it is steady", 90, || async {
        let service = scenario.api::<EcsService>().get("web").await.unwrap();
        let status = service.status.unwrap_or_default();
        let counts = (status.desired_count, status.running_count, status.pending_count);
        let steady = status
            .events
            .first()
            .is_some_and(|e| e.message == "(service web) has reached a steady state.");
        if counts == (4, 4, 0) && steady {
            Ok(())
        } else {
            Err(format!("{counts:?}, {:?}", status.events.first()))
        }
    })
    .await;

    let events = scenario.events("web").await;
    let started = named(&events, "(service web) has started ");
    assert_eq!(started.len(), 9, "each start is told once: {events:?}");
    assert_eq!(started.into_iter().collect::<BTreeSet<_>>(), nine);
    let stopped = named(&events, "(service web) has stopped ");
    assert_eq!(stopped.len(), 5, "each stop is told once: {events:?}");
    let gone: BTreeSet<String> = nine.difference(&four).cloned().collect();
    assert_eq!(stopped.into_iter().collect::<BTreeSet<_>>(), gone);

    scale(&scenario, "web", 0);
    scenario.running("web", 0, 90).await;
    scenario.quiet(90).await;
    scenario.end().await;
}

#[tokio::test]
async fn binpack_by_memory_fills_one_instance_and_empties_it_last() {
    let scenario = Scenario::begin("binpack").await;
    scenario.definition("web", 1, 32, json!({})).await;
    let pack = json!([{ "type": "binpack", "field": "memory" }]);
    scenario
        .service(
            "web",
            "web",
            json!({ "desiredCount": 5, "placementStrategy": pack }),
        )
        .await;
    let least = scenario
        .instances()
        .await
        .iter()
        .map(|i| i.status.as_ref().unwrap().remaining_resources.memory)
        .min()
        .unwrap();
    assert!(least > 5 * 64, "the tasks fit on any instance");
    let five = scenario.running("web", 5, 90).await;
    let on: BTreeSet<String> = five.iter().map(placed_on).collect();
    assert_eq!(on.len(), 1, "all on one instance");
    scale(&scenario, "web", 2);
    let two = scenario.running("web", 2, 90).await;
    assert_eq!(two.iter().map(placed_on).collect::<BTreeSet<_>>(), on);
    scenario.end().await;
}

#[tokio::test]
async fn what_does_not_fit_says_for_each_instance_why() {
    let scenario = Scenario::begin("full").await;
    let instances = scenario.instances().await;
    // more than half of the largest instance: at most one task on each
    let most = instances
        .iter()
        .map(|i| i.status.as_ref().unwrap().registered_resources.cpu);
    let cpu = most.max().unwrap() * 5 / 8;
    scenario.definition("big", 1, cpu, json!({})).await;
    scenario
        .service("big", "big", json!({ "desiredCount": instances.len() + 2 }))
        .await;
    scenario.running("big", instances.len(), 90).await;
    eventually("a reason for every instance", 60, || async {
        let service = scenario.api::<EcsService>().get("big").await.unwrap();
        let status = service.status.unwrap_or_default();
        let reasons: BTreeMap<String, String> = status
            .placement_failures
            .into_iter()
            .map(|f| (f.container_instance, f.reason))
            .collect();
        let all = instances
            .iter()
            .all(|i| reasons.get(&i.name_any()).is_some_and(|r| r == "RESOURCE:CPU"));
        let told = status.events.iter().any(|e| {
            e.message.starts_with(
                "(service big) was unable to place a task because no container instance met all of its requirements. \
                 The closest matching (container-instance ",
            ) && e.message.contains("insufficient CPU units available")
        });
        if all && told && reasons.len() == instances.len() {
            Ok(())
        } else {
            Err(format!("{reasons:?}; {:?}", status.events))
        }
    })
    .await;
    // when nothing waits any more, nothing is said
    scale(&scenario, "big", instances.len());
    eventually("no reasons", 60, || async {
        let service = scenario.api::<EcsService>().get("big").await.unwrap();
        let left = service.status.unwrap_or_default().placement_failures;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
    let tasks = scenario.tasks("big").await;
    assert_eq!(tasks.iter().filter(|t| wanted(t)).count(), instances.len());
    scenario.end().await;
}
