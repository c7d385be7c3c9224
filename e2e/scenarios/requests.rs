//! Requests for several tasks, by kubectl: some of them where there is no room for all, or all or none of them whoever
//! competes. (RUN-1, RUN-2, RUN-4, SCN-17)

use std::collections::BTreeSet;
use std::process::Command;

use ecs_operator::api::{LastStatus, RunTask, RunTaskStatus, Task};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::support::cluster::kubectl;
use crate::support::{Scenario, eventually, last, placed_on, reservations, says};

/// A definition of which one task fits on each instance, and no two; how many instances there are.
async fn one_on_each(scenario: &Scenario) -> u32 {
    let instances = scenario.instances().await;
    let left = |i: &ecs_operator::api::ContainerInstance| i.status.as_ref().unwrap().remaining_resources.cpu;
    let most = instances.iter().map(left).max().unwrap();
    scenario.definition("half", 1, most / 2 + 1, json!({})).await;
    u32::try_from(instances.len()).unwrap()
}

/// `kubectl apply` of a request: what it says, and whether it was taken.
async fn apply(scenario: &Scenario, name: &str, spec: Value) -> (bool, String) {
    let mut request = json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "RunTask",
        "metadata": { "name": name, "namespace": scenario.namespace }, "spec": { "taskDefinition": "half" } });
    for (member, value) in spec.as_object().unwrap() {
        request["spec"][member] = value.clone();
    }
    let path = std::env::temp_dir().join(format!("{}-{name}.json", scenario.namespace));
    std::fs::write(&path, request.to_string()).unwrap();
    let file = path.to_str().unwrap().to_owned();
    let arguments = ["apply".to_owned(), "--filename".to_owned(), file];
    let output = tokio::task::spawn_blocking(move || Command::new("kubectl").args(arguments).output());
    let output = output.await.unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

async fn wait(scenario: &Scenario, name: &str, condition: &str) -> RunTaskStatus {
    let (object, until) = (format!("runtask/{name}"), format!("--for=condition={condition}"));
    kubectl(&[
        "--namespace",
        &scenario.namespace,
        "wait",
        &object,
        &until,
        "--timeout=60s",
    ])
    .await;
    status(scenario, name).await
}

async fn status(scenario: &Scenario, name: &str) -> RunTaskStatus {
    let request = scenario.api::<RunTask>().get(name).await.unwrap();
    request.status.unwrap_or_default()
}

/// The Tasks of a request that have an instance.
async fn placed(scenario: &Scenario, request: &str) -> Vec<Task> {
    let of = ListParams::default().labels(&format!("ecs-operator.dev/run-task={request}"));
    let mut found = scenario.api::<Task>().list(&of).await.unwrap().items;
    found.retain(|task| task.spec.container_instance.is_some());
    found
}

async fn delete(scenario: &Scenario, name: &str) {
    kubectl(&["--namespace", &scenario.namespace, "delete", "runtask", name]).await;
}

#[tokio::test]
async fn those_that_fit_run_and_for_the_others_there_are_reasons_scn_17_run_2() {
    let scenario = Scenario::begin("requests").await;
    let room = one_on_each(&scenario).await;
    let (count, all) = (room + 2, BTreeSet::from_iter(scenario.instance_names().await));
    let (taken, said) = apply(&scenario, "batch", json!({ "count": count })).await;
    assert!(taken, "{said}");
    let status = wait(&scenario, "batch", "Answered").await;
    assert_eq!(status.placed_count, room, "{status:?}");
    let on: BTreeSet<String> = status
        .tasks
        .iter()
        .map(|t| t.container_instance.clone())
        .collect();
    assert_eq!(on, all);
    let reasons = status.placement_failures.iter();
    let reasons: BTreeSet<_> = reasons
        .map(|f| (f.container_instance.clone(), f.reason.as_str()))
        .collect();
    let full = all.iter().map(|name| (name.clone(), "RESOURCE:CPU"));
    assert_eq!(reasons, full.collect(), "a reason for each instance");
    let told = says(&status.conditions, "Placed");
    let expected = format!("False PartlyPlaced: {room} of {count} tasks are placed. Task batch-");
    assert!(
        told.starts_with(&expected) && told.contains("RESOURCE:CPU"),
        "{told}"
    );
    eventually("those that were placed run", 60, || async {
        let tasks = placed(&scenario, "batch").await;
        let running = tasks.iter().filter(|t| last(t) == LastStatus::Running).count();
        if running == status.tasks.len() {
            Ok(())
        } else {
            Err(format!("{running}"))
        }
    })
    .await;
    let names: BTreeSet<_> = placed(&scenario, "batch")
        .await
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(names, status.tasks.iter().map(|t| t.name.clone()).collect());

    // its name is the token (RUN-4)
    let (taken, said) = apply(&scenario, "batch", json!({ "count": count })).await;
    assert!(taken && said.contains("unchanged"), "{said}");
    let (taken, said) = apply(&scenario, "batch", json!({ "count": 1 })).await;
    assert!(!taken && said.contains("its name is the client token"), "{said}");

    // with the request its tasks go
    delete(&scenario, "batch").await;
    eventually("the garbage collector has let the tasks go", 90, || async {
        let mut left = placed(&scenario, "batch").await;
        left.retain(|task| last(task) != LastStatus::Stopped);
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{} go on", left.len()))
        }
    })
    .await;
    scenario.quiet(60).await;
    scenario.end().await;
}

#[tokio::test]
async fn all_of_them_run_or_none_whoever_competes_run_1_run_2() {
    let scenario = Scenario::begin("allornone").await;
    let room = one_on_each(&scenario).await;
    let all = usize::try_from(room).unwrap();
    let together = |count: u32| json!({ "count": count, "commit": "AllOrNothing" });
    let mut patient = together(room);
    patient["queueUntil"] = json!("2999-01-01T00:00:00Z");

    // one more than there is room for: none
    apply(&scenario, "many", together(room + 1)).await;
    let status = wait(&scenario, "many", "Answered").await;
    let told = says(&status.conditions, "Placed");
    let begins = format!(
        "False Failed: 0 of {count} tasks are placed. All {count} tasks or none, and {room} of them have a place now. \
         RESOURCE:CPU (",
        count = room + 1
    );
    assert!(told.starts_with(&begins), "{told}");
    assert_eq!(placed(&scenario, "many").await.len(), 0);
    wait(&scenario, "many", "Finished").await;

    // two that each need all the room: one has it, and the other holds nothing
    tokio::join!(
        apply(&scenario, "one", patient.clone()),
        apply(&scenario, "other", patient.clone())
    );
    let (first, second) = eventually("one of them is placed and the other waits", 60, || async {
        let (one, other) = (
            status_of(&scenario, "one").await,
            status_of(&scenario, "other").await,
        );
        match (one.as_str(), other.as_str()) {
            ("True", "False") => Ok(("one", "other")),
            ("False", "True") => Ok(("other", "one")),
            _ => Err(format!("{one} {other}")),
        }
    })
    .await;
    let of: BTreeSet<_> = placed(&scenario, first).await.iter().map(placed_on).collect();
    eventually("all of the first run", 60, || async {
        let tasks = placed(&scenario, first).await;
        let running = tasks.iter().filter(|t| last(t) == LastStatus::Running).count();
        if running == all {
            Ok(())
        } else {
            Err(format!("{running} of {of:?}"))
        }
    })
    .await;
    assert_eq!(placed(&scenario, second).await.len(), 0);
    let shares = scenario.instances().await;
    let shares: usize = shares.iter().map(|i| reservations(i, &scenario.namespace)).sum();
    assert_eq!(shares, all, "who waits holds nothing");

    // what the first had the second gets, all at once
    delete(&scenario, first).await;
    let status = wait(&scenario, second, "Placed").await;
    assert_eq!((status.placed_count, status.committed), (room, true));
    eventually("all of the second run", 60, || async {
        let tasks = placed(&scenario, second).await;
        let running = tasks.iter().filter(|t| last(t) == LastStatus::Running).count();
        if running == all {
            Ok(())
        } else {
            Err(format!("{running}"))
        }
    })
    .await;
    scenario
        .api::<RunTask>()
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    scenario.quiet(60).await;
    scenario.end().await;
}

async fn status_of(scenario: &Scenario, request: &str) -> String {
    let conditions = status(scenario, request).await.conditions;
    let placed = conditions.iter().find(|c| c.type_ == "Placed");
    placed.map(|c| c.status.clone()).unwrap_or_default()
}
