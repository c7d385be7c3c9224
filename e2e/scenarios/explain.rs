//! What `ecs-operator explain` and `plan` say comes true: the smallest change places the task, and what is previewed happens.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::cluster;
use crate::support::operator::program;
use crate::support::{Scenario, eventually, last, placed_on, wanted};
use ecs_operator::api::LastStatus;

/// Runs the operator's program and waits for its end.
async fn run(words: &[&str]) -> Output {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let ended = tokio::task::spawn_blocking(move || program().args(words).output());
    ended.await.unwrap().unwrap()
}

/// What it answers, as JSON; `code` is its exit code.
async fn ask(words: &[&str], code: i32) -> Value {
    let mut all = words.to_vec();
    all.extend(["-o", "json"]);
    let output = run(&all).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {said}"))
}

fn line<'a>(answer: &'a Value, instance: &str) -> &'a Value {
    let mut lines = answer["instances"].as_array().unwrap().iter();
    lines
        .find(|line| line["instance"] == instance)
        .unwrap_or_else(|| panic!("{instance} is not in {answer}"))
}

/// A saved snapshot says the same as the cluster, in both forms that kubectl prints.
async fn saved_says_the_same(named: &[&str; 5], answer: &Value) {
    let kinds = "ecsclusters,containerinstances,ecsservices,tasks,taskdefinitions,nodes,pods,namespaces";
    for form in ["json", "yaml"] {
        let saved = cluster::kubectl(&["get", kinds, "-A", "-o", form]).await;
        let file = std::env::temp_dir().join(format!("{}.{form}", named[4]));
        std::fs::write(&file, saved).unwrap();
        let path = file.display().to_string();
        let words = [&named[..], &["--snapshot", &path]].concat();
        let again = ask(&words, 0).await;
        std::fs::remove_file(&file).unwrap();
        assert_eq!(again["instances"], answer["instances"], "{form}");
    }
}

/// What a manifest would do; it works out.
async fn preview_of(manifest: Value) -> Value {
    let file = std::env::temp_dir().join(format!("e2e-explain-{:08x}.json", rand::random::<u32>()));
    std::fs::write(&file, manifest.to_string()).unwrap();
    let path = file.display().to_string();
    let preview = ask(&["plan", "-f", &path], 0).await;
    std::fs::remove_file(&file).unwrap();
    preview
}

#[tokio::test]
async fn the_smallest_change_places_the_task_and_a_preview_comes_true() {
    let scenario = Scenario::begin("explain").await;
    let namespace = scenario.namespace.clone();
    let all = scenario.instance_names().await;
    let (home, other) = (&all[0], &all[1]);
    scenario.definition("small", 1, 32, json!({})).await;
    let rule = json!([{ "type": "memberOf", "expression": "attribute:explained == yes" }]);
    let spec = json!({ "desiredCount": 1, "placementConstraints": rule });
    scenario.service("picky", "small", spec).await;
    let named = ["explain", "service", "picky", "-n", &namespace];
    let answer = eventually("the service has a deployment and no place", 60, || async {
        let answer = ask(&named, 0).await;
        if answer["waiting"] == 1 && answer["deployments"][0]["status"] == "PRIMARY" {
            Ok(answer)
        } else {
            Err(answer.to_string())
        }
    })
    .await;
    for instance in [home, other] {
        let line = line(&answer, instance);
        assert_eq!(line["reason"], "MemberOf placement constraint unsatisfied.");
        let wanted = json!([{ "change": "setAttribute", "name": "explained", "value": "yes" }]);
        assert_eq!(line["change"], wanted);
    }

    saved_says_the_same(&named, &answer).await;

    // a preview of the change, then the change itself
    let attribute = json!({ "attributes": [{ "name": "explained", "value": "yes" }] });
    let preview = preview_of(
        json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "ContainerInstance",
        "metadata": { "name": home }, "spec": attribute }),
    )
    .await;
    let service = format!("{namespace}/picky");
    let of = |preview: &Value| {
        let mut services = preview["services"].as_array().unwrap().iter();
        let found = services.find(|s| s["service"] == service.as_str());
        found.unwrap_or_else(|| panic!("{preview}"))["tasks"].clone()
    };
    assert_eq!(of(&preview), json!({ home: 1 }));
    assert_eq!(ask(&named, 0).await["waiting"], 1, "a preview changes nothing");
    scenario.patch_instance(home, attribute.clone()).await;
    let task = &scenario.running("picky", 1, 90).await[0];
    assert_eq!(placed_on(task), *home);

    // the instance and the task
    let id = task.metadata.name.clone().unwrap();
    let held = ask(&["explain", "instance", home], 0).await;
    let tasks: Vec<&Value> = held["tasks"].as_array().unwrap().iter().collect();
    let full = format!("{namespace}/{id}");
    assert!(tasks.iter().any(|t| t["task"] == full.as_str()), "{held}");
    let told = ask(&["explain", "task", &id[..8], "-n", &namespace], 0).await;
    assert_eq!(
        (&told["lastStatus"], &told["instance"]),
        (&json!("RUNNING"), &json!(home))
    );

    // a drain: without room elsewhere it does not end, and with it it goes as previewed
    let stuck = ask(&["plan", "--drain", home], 3).await;
    assert!(
        stuck["instances"][0]["left"]["waitsFor"][0]
            .as_str()
            .unwrap()
            .contains("finds no room"),
        "{stuck}"
    );
    scenario.patch_instance(other, attribute).await;
    let preview = eventually("the drain would end", 30, || async {
        let output = run(&["plan", "--drain", home, "-o", "json"]).await;
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice::<Value>(&output.stdout).unwrap()),
            code => Err(format!("{code:?}")),
        }
    })
    .await;
    assert_eq!(of(&preview), json!({ other: 1 }));
    assert!(
        preview["instances"][0]["emptyAfterSeconds"].as_i64().unwrap() > 0,
        "{preview}"
    );
    scenario
        .patch_instance(home, json!({ "status": "DRAINING" }))
        .await;
    eventually("the drain went as previewed", 180, || async {
        let tasks = scenario.tasks("picky").await;
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for task in tasks
            .iter()
            .filter(|t| wanted(t) && last(t) == LastStatus::Running)
        {
            *places.entry(placed_on(task)).or_default() += 1;
        }
        if json!(places) == json!({ other: 1 }) {
            Ok(())
        } else {
            Err(format!("{places:?}"))
        }
    })
    .await;

    // names that nothing has
    let wrong = run(&["explain", "service", "pickx", "-n", &namespace]).await;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        wrong.status.code() == Some(1) && said.contains("is it picky?"),
        "{said}"
    );
    scenario.end().await;
}
