//! What a start costs the API server: 2 + 1/k + 1/m writes a task until its Pod exists, with k tasks of the m on each
//! instance, and at most 2 more to mirror its start.

use ecs_operator::api::{EcsService, LastStatus};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::support::audit_log::{AuditLog, tally};
use crate::support::operator::Setting;
use crate::support::{Scenario, eventually, last, placed_on};

/// Tasks of the service put on each instance at once.
const PER_INSTANCE: usize = 4;
const PATCH_TASK: &str = "patch tasks/status";
/// Counts of the whole cluster, said when there is time: no Pod waits for that.
const PATCH_CLUSTER: &str = "patch ecsclusters/status";

/// Waits until every instance counts the tasks that run there, so that no such write is due any more.
async fn counted(scenario: &Scenario) {
    eventually("every instance's counts are those of its tasks", 30, || async {
        let tasks = scenario.all_tasks().await;
        let running = |name: &str| {
            let here = tasks.iter().filter(|task| placed_on(task) == name);
            here.filter(|task| last(task) == LastStatus::Running).count()
        };
        let instances = scenario.instances().await;
        for instance in &instances {
            let (name, status) = (instance.name_any(), instance.status.clone().unwrap_or_default());
            let (says, run) = (status.running_tasks_count, running(&name));
            if usize::try_from(says) != Ok(run) || status.pending_tasks_count != 0 {
                return Err(format!(
                    "{name}: {says} and {} pending; {run} run",
                    status.pending_tasks_count
                ));
            }
        }
        Ok(())
    })
    .await;
}

/// Lets a service at rest start `count` tasks by a change of its spec, and checks the writes that this took.
async fn measure(scenario: &Scenario, service: &str, change: Value, count: usize, per_instance: usize) {
    let before = scenario.tasks(service).await.len();
    counted(scenario).await;
    let log = AuditLog::now("counting writes").unwrap();
    scenario
        .patch::<EcsService>(service, json!({ "spec": change }))
        .await;
    scenario.running(service, before + count, 120).await;
    scenario.steady(service, 90).await;
    let writes = log.writes(&scenario.namespace);
    let last_pod = writes
        .iter()
        .rposition(|w| w.what == "create pods")
        .expect("a Pod");
    // what mirrors the start of a task may come while others are still created; it is counted by itself
    let until_pod: Vec<_> = writes[..=last_pod]
        .iter()
        .filter(|w| w.what != PATCH_TASK && w.what != PATCH_CLUSTER)
        .cloned()
        .collect();
    let mirrored = tally(&writes).get(PATCH_TASK).copied().unwrap_or_default();
    let of = |n: usize| f64::from(u32::try_from(n).unwrap()) / f64::from(u32::try_from(count).unwrap());
    println!(
        "{service}: {count} tasks, {per_instance} on each instance: {:.2} writes a task until its Pod exists {:?}, {:.2} \
         to mirror its start; all until the service is steady: {:?}",
        of(until_pod.len()),
        tally(&until_pod),
        of(mirrored),
        tally(&writes),
    );
    let created = |what| tally(&writes).get(what).copied();
    assert_eq!(created("create tasks"), Some(count));
    assert_eq!(created("create pods"), Some(count));
    // (2 + 1/k + 1/m) for each of m tasks
    let allowed = 2 * count + count / per_instance + 1;
    assert!(
        until_pod.len() <= allowed,
        "{} writes, {allowed} allowed",
        until_pod.len()
    );
    assert!(mirrored <= 2 * count, "{mirrored} writes of status");
}

#[tokio::test]
async fn a_start_takes_two_writes_a_task_and_its_part_of_those_that_tasks_share() {
    if AuditLog::now("writes per task").is_none() {
        return;
    }
    let scenario = Scenario::begin("writes").await;
    let _soon = Setting::set("healthyAfterSeconds", 1);
    let instances = scenario.instance_names().await.len();
    scenario.definition("web", 1, 16, json!({})).await;
    let spread = json!([{ "type": "spread", "field": "instanceId" }]);
    let spec = json!({ "desiredCount": instances, "placementStrategy": spread });
    scenario.service("web", "web", spec).await;
    let nowhere = json!([{ "type": "memberOf", "expression": "attribute:writes == none" }]);
    let spec = json!({ "schedulingStrategy": "DAEMON", "placementConstraints": nowhere });
    scenario.service("agent", "web", spec).await;
    scenario.running("web", instances, 90).await;
    scenario.steady("web", 90).await;
    scenario.steady("agent", 90).await;

    let more = PER_INSTANCE * instances;
    let count = json!({ "desiredCount": instances + more });
    measure(&scenario, "web", count, more, PER_INSTANCE).await;
    let everywhere = json!({ "placementConstraints": [] });
    measure(&scenario, "agent", everywhere, instances, 1).await;
    scenario.end().await;
}
