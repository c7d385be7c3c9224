//! The ledger of an instance emptied by hand: what runs goes on and gets its entries back, and nobody takes the room.
//! (design: step 6)

use std::collections::BTreeMap;

use ecs_operator::api::{ContainerInstance, Task};
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, assert_never_overcommitted};
use crate::support::{Scenario, cluster, eventually, placed_on};

#[tokio::test]
async fn running_tasks_survive_and_get_their_shares_back() {
    let scenario = Scenario::begin("wiped").await;
    let all = scenario.instances().await;
    let fit = |i: &ContainerInstance| i.status.as_ref().unwrap().remaining_resources.cpu / 500;
    let room = usize::try_from(all.iter().map(fit).sum::<i64>()).unwrap();
    scenario.definition("web", 1, 500, json!({})).await;
    // more than fit: the others wait for room that a wiped ledger seems to offer
    scenario
        .service("web", "web", json!({ "desiredCount": room + 4 }))
        .await;
    let running = scenario.running("web", room, 120).await;
    let node = all[0].name_any();
    let pods_of = |tasks: &[Task]| -> BTreeMap<String, Option<String>> {
        let pod = |t: &Task| t.status.as_ref()?.pod.as_ref().map(|p| p.uid.clone());
        tasks.iter().map(|t| (t.name_any(), pod(t))).collect()
    };
    let before = pods_of(&running);
    let held = running.iter().filter(|t| placed_on(t) == node).count();
    let tasks = History::<Task>::begin(scenario.api()).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    for round in 0..3 {
        let name = node.clone();
        let wipe = tokio::task::spawn_blocking(move || {
            let what = [
                "patch",
                "containerinstance",
                name.as_str(),
                "--subresource=status",
            ];
            let how = ["--type=merge", "--patch", r#"{"status":{"reservations":null}}"#];
            cluster::command("kubectl", &[&what[..], &how[..]].concat())
        });
        wipe.await.unwrap();
        eventually("the entries are back, marked as restored", 30, || async {
            let status = scenario.instance(&node).await.status.unwrap();
            let restored = status
                .reservations
                .iter()
                .filter(|r| r.restored && before.contains_key(&r.task))
                .count();
            if restored == held && status.reservations.len() == held {
                Ok(())
            } else {
                Err(format!("round {round}: {:?}", status.reservations))
            }
        })
        .await;
    }
    let now = scenario.running("web", room, 30).await;
    assert_eq!(pods_of(&now), before, "the same tasks in the same Pods");
    let heard = tasks.until_now().await;
    assert!(
        heard.iter().all(|s| before.contains_key(&s.object.name_any())),
        "a task was started meanwhile"
    );
    assert_never_overcommitted(&instances.until_now().await);
    scenario.end().await;
}
