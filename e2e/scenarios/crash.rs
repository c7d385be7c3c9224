//! Operators are killed one after the other, each after another write of a service's life, and whoever is next goes on
//! where they left off: nothing is duplicated or leaked. (design: repair is part of every pass)
//!
//! The n-th operator ends at its n-th write about the n-th service, which has a namespace of its own. Services do not
//! wait for each other: while one begins, those before it are still being mended, by operators that are killed in turn.

use std::time::Instant;

use ecs_operator::api::{ContainerInstance, EcsService, LastStatus};
use futures::future::join_all;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::operator::{Operator, Resting, Setting};
use crate::support::{Scenario, Space, audit, eventually, ground, last, placed_on};

/// No life has more writes than this.
const WRITES_MAX: usize = 80;
/// Seconds for one life: operators are killed all the while, and the last one waits for a fence.
const LIFETIME: u64 = 400;
/// Services that are made ready at a time.
const BATCH: usize = 16;
const SERVICE: &str = "svc";

/// One after the other, operators that are killed; and the lives that they were killed in.
struct Killings {
    scenario: Scenario,
    lives: Vec<JoinHandle<()>>,
    begun: Instant,
}

impl Killings {
    async fn begin(name: &str) -> Self {
        let scenario = Scenario::begin(name).await;
        Self {
            scenario,
            lives: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// A namespace with both revisions of the task definition.
    async fn space(&mut self, n: usize) -> Space {
        let space = self.scenario.another(&n.to_string()).await;
        space.definition("web", 1, 16, json!({})).await;
        space.definition("web", 2, 24, json!({})).await;
        space
    }

    /// Begins the n-th life under an operator that is killed at its n-th write about it; false if the life ended before.
    async fn kill(&mut self, n: usize, space: &Space, life: &JoinHandle<()>) -> bool {
        let number = n.to_string();
        let environment = [
            ("ECS_OPERATOR_TEST_CRASH_AFTER", number.as_str()),
            ("ECS_OPERATOR_TEST_CRASH_IN", &space.namespace),
        ];
        let mut operator = Operator::start("crashing", &environment);
        let died = eventually("the operator is killed or the life ends", LIFETIME, || {
            let found = match (operator.ended(), life.is_finished()) {
                (true, _) => Ok(true),
                (false, true) => Ok(false),
                (false, false) => Err(format!("write {n} has not come")),
            };
            async { found }
        })
        .await;
        if died {
            let words = operator.tail(3);
            let wanted = format!("write={n} ");
            assert!(
                words.contains("ending here") && words.contains(&wanted),
                "{words}"
            );
            let what = words.rsplit_once("what=").map_or("", |(_, what)| what);
            eprintln!("{:.1?}: killed at write {n}, {what}", self.begun.elapsed());
        }
        died
    }

    /// A last operator brings every life to its end; then nothing is left of them.
    async fn end(self, resting: Resting) {
        let written = self.lives.len() - 1;
        assert!((20..WRITES_MAX).contains(&written), "a life had {written} writes");
        let operator = Operator::start("last", &[]);
        for life in join_all(self.lives).await {
            assert!(life.is_ok(), "{}", operator.tail(40));
        }
        self.scenario.quiet(120).await;
        assert_eq!(operator.count("ecs_operator_invariant_violations_total", &[]), 0);
        drop(operator);
        drop(resting);
        let (history, _) = self.scenario.end().await;
        let pods = audit::pods_per_task(&history, None);
        assert!(pods.len() >= written, "{} Pods for {written} lives", pods.len());
        assert!(pods.values().all(|count| *count == 1), "{pods:?}");
        eprintln!(
            "{written} writes, {} Pods, {:?}",
            pods.len(),
            self.begun.elapsed()
        );
    }
}

/// Deletes the service and waits until it is gone and every task of it has STOPPED.
async fn die(space: &Space) {
    let services: Api<EcsService> = space.api();
    services.delete(SERVICE, &DeleteParams::default()).await.unwrap();
    eventually("the service is gone", LIFETIME, || async {
        match services.get_opt(SERVICE).await.unwrap() {
            None => Ok(()),
            Some(_) => Err(space.explain(SERVICE).await),
        }
    })
    .await;
    let tasks = space.tasks(SERVICE).await;
    assert!(tasks.iter().all(|t| last(t) == LastStatus::Stopped), "{tasks:?}");
}

async fn update(space: &Space) {
    space
        .patch::<EcsService>(SERVICE, json!({ "spec": { "taskDefinition": "web:2" } }))
        .await;
    space.rolled_out(SERVICE, "web:2", LIFETIME).await;
}

/// A daemon on one instance: created, rolled on to another revision, deleted.
async fn daemon(space: Space) {
    let only = json!([{ "type": "memberOf", "expression": "attribute:crash == here" }]);
    let spec = json!({ "schedulingStrategy": "DAEMON", "placementConstraints": only });
    space.service(SERVICE, "web:1", spec).await;
    space.rolled_out(SERVICE, "web:1", LIFETIME).await;
    update(&space).await;
    assert_eq!(space.running(SERVICE, 1, LIFETIME).await.len(), 1);
    die(&space).await;
}

/// The instance where daemons of these scenarios run.
async fn mark_one(scenario: &Scenario) -> String {
    let here = scenario.instance_names().await[0].clone();
    let attributes = json!([{ "name": "crash", "value": "here" }]);
    scenario
        .patch_instance(&here, json!({ "attributes": attributes }))
        .await;
    eventually("the attribute was seen", 60, || async {
        let object: ContainerInstance = scenario.instance(&here).await;
        let seen = object.status.as_ref().and_then(|s| s.observed_generation);
        if seen == object.metadata.generation {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
    here
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_of_a_daemons_life_duplicates_and_leaks_nothing() {
    if !ground::rests("a crash at every write") {
        return;
    }
    let mut killings = Killings::begin("crash").await;
    let _soon = Setting::set("healthyAfterSeconds", 0);
    let here = mark_one(&killings.scenario).await;
    let resting = Resting::begin();
    for n in 1..=WRITES_MAX {
        let space = killings.space(n).await;
        let life = tokio::spawn(daemon(space.clone()));
        let died = killings.kill(n, &space, &life).await;
        killings.lives.push(life);
        if !died {
            break;
        }
    }
    let tasks = killings.scenario.all_tasks().await;
    assert!(tasks.iter().all(|t| placed_on(t) == here || t.spec.tombstone));
    killings.end(resting).await;
}

/// Two replicas of which one may be missing and one too many, ready to be rolled on.
async fn settle(space: &Space) {
    let bounds = json!({ "minimumHealthyPercent": 50, "maximumPercent": 150 });
    let spec = json!({ "desiredCount": 2, "deploymentConfiguration": bounds });
    space.service(SERVICE, "web:1", spec).await;
    space.rolled_out(SERVICE, "web:1", LIFETIME).await;
    space.steady(SERVICE, LIFETIME).await;
}

/// A rollout, from the change of the task definition until two tasks of the new one run and nothing else.
async fn roll(space: Space) {
    update(&space).await;
    let tasks = space.running(SERVICE, 2, LIFETIME).await;
    assert!(tasks.iter().all(|t| t.spec.task_definition == "web:2"));
    space.steady(SERVICE, LIFETIME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_of_a_replica_rollout_duplicates_and_leaks_nothing() {
    if !ground::rests("a crash at every write") {
        return;
    }
    let mut killings = Killings::begin("crash-roll").await;
    let _soon = Setting::set("healthyAfterSeconds", 0);
    let resting = Resting::begin();
    let mut n = 0;
    'all: loop {
        let calm = Operator::start("calm", &[]);
        let mut ready = Vec::new();
        for i in 1..=BATCH {
            ready.push(killings.space(n + i).await);
        }
        join_all(ready.iter().map(settle)).await;
        drop(calm);
        for space in ready {
            n += 1;
            assert!(n <= WRITES_MAX, "a rollout has no end");
            let life = tokio::spawn(roll(space.clone()));
            let died = killings.kill(n, &space, &life).await;
            // what has rolled makes room for the next
            killings.lives.push(tokio::spawn(async move {
                life.await.unwrap();
                die(&space).await;
            }));
            if !died {
                break 'all;
            }
        }
    }
    killings.end(resting).await;
}
