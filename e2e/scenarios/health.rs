//! Health checks: what a container says of itself stands in its Task, an unhealthy replica is replaced by one that is healthy
//! first, an unhealthy daemon makes room. (TASK-16, HEALTH-2 to HEALTH-5, HEALTH-10)

use ecs_operator::api::{ContainerInstance, HealthStatus, LastStatus, Task};
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, Seen, assert_never_overcommitted, extremes, stop_told, stopped};
use crate::support::{Scenario, eventually, last, placed_on, says, wanted};

fn health(task: &Task) -> HealthStatus {
    task.status.as_ref().map(|s| s.health_status).unwrap_or_default()
}

/// Waits until every task that a service wants is RUNNING and HEALTHY.
async fn healthy(scenario: &Scenario, service: &str, count: usize) -> Vec<Task> {
    eventually(&format!("{service} has {count} HEALTHY tasks"), 60, || async {
        let tasks: Vec<Task> = scenario.tasks(service).await.into_iter().filter(wanted).collect();
        let found: Vec<_> = tasks.iter().map(|t| (last(t), health(t))).collect();
        if found.len() == count
            && found
                .iter()
                .all(|f| *f == (LastStatus::Running, HealthStatus::Healthy))
        {
            Ok(tasks)
        } else {
            Err(format!("{found:?}; {}", scenario.explain(service).await))
        }
    })
    .await
}

/// Waits until a sick task has stopped and as many others are healthy.
async fn without(scenario: &Scenario, service: &str, count: usize, sick: &str) -> Vec<Task> {
    eventually(&format!("{sick} of {service} has stopped"), 90, || async {
        let task: Task = scenario.api().get(sick).await.unwrap();
        match last(&task) {
            LastStatus::Stopped => Ok(()),
            other => Err(format!("{other:?} {:?}", health(&task))),
        }
    })
    .await;
    healthy(scenario, service, count).await
}

/// When a task was first like this.
fn first(told: &[Seen<Task>], task: &str, is: impl Fn(&Task) -> bool) -> Option<u64> {
    let mut of = told.iter().filter(|s| s.object.name_any() == task);
    of.find(|s| is(&s.object)).map(|s| s.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_replica_is_replaced_start_first_and_an_unhealthy_daemon_makes_room() {
    let scenario = Scenario::begin("health").await;
    let all = scenario.instance_names().await;
    // a container is sick once it finds the file
    let check =
        json!({ "command": ["CMD-SHELL", "test ! -e /tmp/sick"], "interval": 5, "timeout": 2, "retries": 1 });
    scenario
        .definition("web", 1, 32, json!({ "healthCheck": check }))
        .await;
    let tasks = History::<Task>::begin(scenario.api()).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    scenario.service("web", "web", json!({ "desiredCount": 2 })).await;
    scenario
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let web = healthy(&scenario, "web", 2).await;
    let agents = healthy(&scenario, "agent", all.len()).await;
    let containers = &web[0].status.as_ref().unwrap().containers;
    assert_eq!(containers[0].health_status, HealthStatus::Healthy);
    let (replica, daemon) = (&web[0], &agents[0]);
    tokio::join!(
        scenario.fall_ill(replica, "main"),
        scenario.fall_ill(daemon, "main"),
    );
    let sick = [replica.name_any(), daemon.name_any()];
    let (web_now, agents_now) = tokio::join!(
        without(&scenario, "web", 2, &sick[0]),
        without(&scenario, "agent", all.len(), &sick[1]),
    );

    let told = tasks.until_now().await;
    for (service, sick) in [("web", replica.name_any()), ("agent", daemon.name_any())] {
        let unhealthy = told
            .iter()
            .find(|s| s.object.name_any() == sick && health(&s.object) == HealthStatus::Unhealthy)
            .expect("it is UNHEALTHY");
        let status = unhealthy.object.status.as_ref().unwrap();
        assert_eq!(status.containers[0].health_status, HealthStatus::Unhealthy);
        let ready = says(&status.conditions, "Ready");
        assert!(
            ready.starts_with("False Unhealthy: the health check of"),
            "{ready}"
        );
        let ended: Task = scenario.api().get(&sick).await.unwrap();
        let reason = ended.status.and_then(|s| s.stopped_reason);
        assert_eq!(reason.as_deref(), Some("Task failed container health checks"));
        let said = scenario.events(service).await;
        let event = format!("(task {sick}) failed container health checks.");
        assert!(said.iter().any(|e| e.contains(&event)), "{said:?}");
    }
    let new = |t: &&Task| web.iter().all(|old| old.name_any() != t.name_any());
    let replacement = web_now.iter().find(new).expect("a replacement").name_any();
    let good = first(&told, &replacement, |t| health(t) == HealthStatus::Healthy).unwrap();
    let stop = stop_told(&told, &replica.name_any()).unwrap();
    assert!(
        good < stop,
        "the replacement was HEALTHY at {good}, the old one was stopped at {stop}"
    );
    let here = |t: &&Task| placed_on(t) == placed_on(daemon);
    let replacement = agents_now.iter().find(here).expect("a daemon").name_any();
    let begun = first(&told, &replacement, |_| true).unwrap();
    let ended = stopped(&told, &daemon.name_any()).unwrap();
    assert!(
        ended < begun,
        "the new daemon came at {begun}, the old one was STOPPED at {ended}"
    );
    // two of them ran all the while, and never more than one too many
    let (fewest, most) = extremes(&told, "web", 2);
    assert!(fewest >= 2 && most <= 3, "{fewest} to {most} replicas");
    assert_never_overcommitted(&instances.until_now().await);
    scenario.end().await;
}
