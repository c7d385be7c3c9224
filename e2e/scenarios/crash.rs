//! The operator is killed after each single write of a service's life, and another one goes on: nothing is duplicated
//! or leaked. (design: repair is part of every pass)

use std::time::{Duration, Instant};

use ecs_operator::api::{EcsService, RolloutState, Task};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::support::operator::{Operator, Resting, Setting};
use crate::support::{Scenario, audit, eventually, last, placed_on, reservations, wanted};

/// A life has fewer writes than this.
const WRITES_MAX: usize = 60;

/// One life of a service: created, rolled on to another revision, deleted.
async fn live(scenario: &Scenario, name: &str) {
    let one = |definition: &'static str| async move {
        eventually(&format!("{name} runs one task of {definition}"), 120, || async {
            let object = scenario.api::<EcsService>().get(name).await.unwrap();
            let status = object.status.unwrap_or_default();
            let rollouts: Vec<_> = status
                .deployments
                .iter()
                .map(|d| (d.task_definition.as_str(), d.rollout_state))
                .collect();
            let running: Vec<Task> = scenario.tasks(name).await.into_iter().filter(wanted).collect();
            let right = running.iter().all(|t| t.spec.task_definition == definition);
            if rollouts == [(definition, RolloutState::Completed)] && running.len() == 1 && right {
                Ok(())
            } else {
                Err(format!(
                    "{rollouts:?}, {} tasks; {}",
                    running.len(),
                    scenario.explain(name).await
                ))
            }
        })
        .await;
    };
    let only = json!([{ "type": "memberOf", "expression": "attribute:crash == here" }]);
    let spec = json!({ "schedulingStrategy": "DAEMON", "placementConstraints": only });
    scenario.service(name, "agent:1", spec).await;
    one("agent:1").await;
    scenario
        .patch::<EcsService>(name, json!({ "spec": { "taskDefinition": "agent:2" } }))
        .await;
    one("agent:2").await;
    let services: Api<EcsService> = scenario.api();
    services.delete(name, &DeleteParams::default()).await.unwrap();
    eventually(&format!("{name} is gone"), 120, || async {
        match services.get_opt(name).await.unwrap() {
            None => Ok(()),
            Some(_) => Err(scenario.explain(name).await),
        }
    })
    .await;
}

/// Lives through a crash at the n-th write; false if there were fewer writes.
async fn survive(scenario: &Scenario, n: usize) -> bool {
    let number = n.to_string();
    let mut first = Operator::start("crashing", &[("ECS_OPERATOR_TEST_CRASH_AFTER", &number)]);
    let name = format!("agent-{n}");
    let mut second = None;
    let life = live(scenario, &name);
    let watch = async {
        loop {
            if second.is_none() && first.ended() {
                second = Some(Operator::start("next", &[]));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = life => {}
        () = watch => {}
    }
    let Some(second) = second else {
        return false;
    };
    let tasks = scenario.tasks(&name).await;
    let alive = tasks
        .iter()
        .filter(|t| last(t) != ecs_operator::api::LastStatus::Stopped)
        .count();
    assert_eq!(alive, 0, "write {n}: {tasks:?}; {}", second.tail(20));
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_of_a_life_duplicates_and_leaks_nothing() {
    let scenario = Scenario::begin("crash").await;
    let _soon = Setting::set("healthyAfterSeconds", 0);
    let here = scenario.instances().await[0].name_any();
    scenario.definition("agent", 1, 32, json!({})).await;
    scenario.definition("agent", 2, 48, json!({})).await;
    scenario
        .patch_instance(
            &here,
            json!({ "attributes": [{ "name": "crash", "value": "here" }] }),
        )
        .await;
    eventually("the attribute was seen", 60, || async {
        let object = scenario.instance(&here).await;
        let seen = object.status.as_ref().and_then(|s| s.observed_generation);
        if seen == object.metadata.generation {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
    let resting = Resting::begin();
    let history = audit::record(&scenario.client).await;
    let mut survived = 0;
    for n in 1..=WRITES_MAX {
        let begun = Instant::now();
        if !survive(&scenario, n).await {
            break;
        }
        survived = n;
        eprintln!("survived a crash at write {n} in {:?}", begun.elapsed());
    }
    assert!(
        (10..WRITES_MAX).contains(&survived),
        "a life had {survived} writes"
    );
    let last_one = Operator::start("last", &[]);
    last_one.ready().await;
    eventually("nothing is reserved", 90, || async {
        let instances = scenario.instances().await;
        match instances
            .iter()
            .map(|i| reservations(i, &scenario.namespace))
            .sum::<usize>()
        {
            0 => Ok(()),
            left => Err(format!("{left} reservations; {}", last_one.tail(5))),
        }
    })
    .await;
    let (history, report) = audit::sound(history).await;
    let pods = audit::pods_per_task(&history, &scenario.namespace);
    assert!(pods.values().all(|count| *count == 1), "{pods:?}");
    let bound = |t: &Task| placed_on(t) == here || t.spec.tombstone;
    let versions = audit::moments(&history, &scenario.namespace);
    assert!(versions.iter().all(|(_, task)| bound(task)));
    eprintln!("{survived} writes, {} Pods, {:?}", pods.len(), report.figures);
    drop(last_one);
    drop(resting);
    scenario.end().await;
}
