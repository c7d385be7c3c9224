//! What a definition asks for, as its containers find it: words, environment, Secrets, volumes, user, capabilities. What is
//! missing is named in the Task, and a task that cannot start is given up after a minute. (TD-7, TASK-13, TASK-18)

use ecs_operator::api::{LastStatus, StopCode, Task, TaskDefinition};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::support::{MADE_HERE, Scenario, WORKLOAD, eventually, ground, last, placed_on, says};

/// Where paths of nodes that the scenario makes are.
const ON_NODE: &str = "/var/lib/ecs-operator-e2e";
/// Bits of Linux capabilities.
const CHOWN: u32 = 0;
const NET_ADMIN: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn containers_find_what_their_definition_says_and_what_is_missing_is_named() {
    if !ground::runs_containers("what containers find") {
        return;
    }
    let scenario = Scenario::begin("given").await;
    let secret = json!({ "metadata": { "name": "db" }, "stringData": { "password": "s3cret $(PLAIN)" } });
    scenario.create::<Secret>(secret).await;
    let map = json!({ "metadata": { "name": "conf" }, "data": { "mode": "fast" } });
    scenario.create::<ConfigMap>(map).await;
    scenario.definition("fine", 1, 16, json!({})).await;
    scenario
        .service("fine", "fine", json!({ "desiredCount": 1 }))
        .await;
    let claims = tokio::join!(
        inside(&scenario),
        given_up(
            &scenario,
            "no-secret",
            "secret/absent/password",
            r#"secret "absent" not found"#
        ),
        given_up(
            &scenario,
            "no-key",
            "secret/db/absent",
            "couldn't find key absent in Secret"
        ),
        comes_late(&scenario),
        waits_for_its_volume(&scenario),
    );
    // what cannot start keeps nobody else from starting
    scenario.running("fine", 2, 30).await;
    let volumes: Api<PersistentVolume> = Api::all(scenario.client.clone());
    for name in [claims.0, claims.4] {
        volumes.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    scenario.end().await;
}

/// A claim of a volume that is a path of the node; the volume's name.
async fn claim(scenario: &Scenario, name: &str) -> String {
    let volume = format!("{}-{name}", scenario.namespace);
    let size = json!({ "storage": "16Mi" });
    let object: PersistentVolume = serde_json::from_value(json!({
        "metadata": { "name": volume, "labels": { MADE_HERE: "scenario" } },
        "spec": { "capacity": size, "accessModes": ["ReadWriteMany"], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": { "path": format!("{ON_NODE}/{volume}"), "type": "DirectoryOrCreate" },
            "claimRef": { "namespace": scenario.namespace, "name": name } },
    }))
    .unwrap();
    let volumes: Api<PersistentVolume> = Api::all(scenario.client.clone());
    volumes.create(&PostParams::default(), &object).await.unwrap();
    scenario
        .create::<PersistentVolumeClaim>(json!({
            "metadata": { "name": name },
            "spec": { "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": volume,
                "resources": { "requests": size } },
        }))
        .await;
    volume
}

/// Two tasks of this run on one instance: `writer` is root with volumes of every kind, `reader` is nobody special and has
/// the same volumes read-only.
fn definition(namespace: &str) -> Value {
    let mount = |volume: &str, path: &str| json!({ "sourceVolume": volume, "containerPath": path });
    let writer = json!({
        "name": "writer", "image": WORKLOAD, "cpu": 16, "memory": 64, "user": "root", "workingDirectory": "/scratch",
        "entryPoint": ["/workload", "--tick"], "command": ["0s", "--", "$(PLAIN)", "$$HOME"],
        "environment": [{ "name": "PLAIN", "value": "a $(HOME) $$ b" }],
        "secrets": [{ "name": "PASSWORD", "valueFrom": "secret/db/password" },
            { "name": "MODE", "valueFrom": "configmap/conf/mode" }],
        "linuxParameters": { "capabilities": { "add": ["NET_ADMIN"], "drop": ["CAP_CHOWN"] },
            "tmpfs": [{ "containerPath": "/ram", "size": 16 }], "sharedMemorySize": 8 },
        "mountPoints": [mount("scratch", "/scratch"), mount("node", "/node"), mount("claim", "/claim")],
    });
    let reader = json!({
        "name": "reader", "image": WORKLOAD, "cpu": 16, "memory": 64, "user": "1000:2000",
        "readonlyRootFilesystem": true, "dockerSecurityOptions": ["no-new-privileges"],
        "volumesFrom": [{ "sourceContainer": "writer", "readOnly": true }], "mountPoints": [mount("scratch", "/own")],
    });
    json!({
        "metadata": { "name": "inside.1" },
        "spec": { "family": "inside", "revision": 1, "containerDefinitions": [writer, reader],
            "volumes": [{ "name": "scratch" }, { "name": "claim", "persistentVolumeClaim": "data" },
                { "name": "node", "host": { "sourcePath": format!("{ON_NODE}/{namespace}") } }] },
    })
}

/// The `NAME:` line of process 1's status, as a number of base 16.
fn bits(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line.expect("the line").trim(), 16).unwrap()
}

async fn inside(scenario: &Scenario) -> String {
    let volume = claim(scenario, "data").await;
    scenario
        .create::<TaskDefinition>(definition(&scenario.namespace))
        .await;
    let instance = scenario.instance_names().await.remove(0);
    let only = scenario.only_on(&instance).await;
    let spec = json!({ "desiredCount": 2, "placementConstraints": only });
    scenario.service("inside", "inside", spec).await;
    let tasks = scenario.running("inside", 2, 60).await;
    assert!(tasks.iter().all(|t| placed_on(t) == instance));
    let (one, other) = (&tasks[0], &tasks[1]);
    let status = "grep -E '^(Uid|Gid|CapEff|NoNewPrivs):' /proc/1/status";

    let words = scenario.inside(
        one,
        "writer",
        r"tr '\0' ' ' </proc/1/cmdline; readlink /proc/1/cwd",
    );
    assert_eq!(words.await, "/workload --tick 0s -- $(PLAIN) $$HOME /scratch");
    let variables = r"tr '\0' '\n' </proc/1/environ | grep -E '^(PLAIN|PASSWORD|MODE)=' | sort";
    let found = scenario.inside(one, "writer", variables).await;
    assert_eq!(found, "MODE=fast\nPASSWORD=s3cret $(PLAIN)\nPLAIN=a $(HOME) $$ b");
    let root = scenario.inside(one, "writer", status).await;
    let may = bits(&root, "CapEff:");
    assert!(
        root.contains("Uid:\t0\t") && may & (1 << NET_ADMIN) != 0,
        "{root}"
    );
    assert!(
        may & (1 << CHOWN) == 0 && root.contains("NoNewPrivs:\t0"),
        "{root}"
    );
    let memory = scenario
        .inside(one, "writer", "grep -E ' (/ram|/dev/shm) ' /proc/mounts")
        .await;
    for (path, size) in [("/ram", "size=16384k"), ("/dev/shm", "size=8192k")] {
        let line = memory.lines().find(|l| l.contains(path)).unwrap_or_default();
        assert!(line.contains("tmpfs") && line.contains(size), "{memory}");
    }
    let write = "echo mine >/scratch/f && echo the-nodes >/node/f && echo claimed >/claim/f";
    scenario.inside(one, "writer", write).await;

    let plain = scenario.inside(one, "reader", status).await;
    assert!(
        plain.contains("Uid:\t1000\t") && plain.contains("Gid:\t2000\t"),
        "{plain}"
    );
    assert!(
        bits(&plain, "CapEff:") == 0 && plain.contains("NoNewPrivs:\t1"),
        "{plain}"
    );
    let found = scenario
        .inside(one, "reader", "cat /scratch/f /node/f /claim/f")
        .await;
    assert_eq!(found, "mine\nthe-nodes\nclaimed");
    let refused = "touch /x /scratch/x /node/x /claim/x 2>&1; echo also mine >/own/g && cat /scratch/g";
    let said = scenario.inside(one, "reader", refused).await;
    assert_eq!(said.matches("Read-only file system").count(), 4, "{said}");
    assert!(said.ends_with("also mine"), "{said}");

    // a volume without host is the task's alone; a path is the node's, and a claim the namespace's
    let shared = "ls /scratch; cat /node/f /claim/f; rm -f /node/f /claim/f";
    assert_eq!(
        scenario.inside(other, "writer", shared).await,
        "the-nodes\nclaimed"
    );
    volume
}

/// A service of one task whose container wants this Secret.
async fn wanting(scenario: &Scenario, name: &str, value_from: &str) {
    let secrets = json!({ "secrets": [{ "name": "PASSWORD", "valueFrom": value_from }] });
    scenario.definition(name, 1, 16, secrets).await;
    scenario.service(name, name, json!({ "desiredCount": 1 })).await;
}

/// Waits until the first task of a service says this of itself.
async fn task_that_says(scenario: &Scenario, service: &str, what: &str, seconds: u64) -> Task {
    eventually(&format!("a task of {service} says {what}"), seconds, || async {
        let mut tasks = scenario.tasks(service).await;
        tasks.sort_by_key(ResourceExt::creation_timestamp);
        let said = tasks
            .first()
            .and_then(|t| Some(says(&t.status.as_ref()?.conditions, "Ready")));
        match said {
            Some(said) if said.contains(what) => Ok(tasks.remove(0)),
            other => Err(format!("{other:?}; {}", scenario.explain(service).await)),
        }
    })
    .await
}

/// A task whose Secret is not there says so, what to change, and is given up after a minute.
async fn given_up(scenario: &Scenario, service: &str, value_from: &str, why: &str) {
    wanting(scenario, service, value_from).await;
    let said = format!("False Pending: container main: ResourceInitializationError: {why}");
    let task = task_that_says(scenario, service, &said, 45).await;
    assert!(last(&task) == LastStatus::Pending);
    let change = "create it in the namespace of the task, or name another in 'secrets' of container 'main'";
    let ready = says(&task.status.as_ref().unwrap().conditions, "Ready");
    assert!(ready.contains(change), "{ready}");
    scenario
        .patch::<ecs_operator::api::EcsService>("fine", json!({ "spec": { "desiredCount": 2 } }))
        .await;

    let task = task_that_says(
        scenario,
        service,
        "False Stopped: ResourceInitializationError",
        90,
    )
    .await;
    let status = task.status.as_ref().unwrap();
    let reason = status.stopped_reason.clone().unwrap_or_default();
    assert_eq!(status.stop_code, Some(StopCode::TaskFailedToStart), "{reason}");
    assert!(reason.contains(why) && reason.contains(change), "{reason}");
    let ended: Timestamp = status.stopped_at.as_ref().unwrap().parse().unwrap();
    let took = ended
        .duration_since(task.creation_timestamp().unwrap().0)
        .as_secs();
    assert!((60..=80).contains(&took), "given up after {took} s");
    eventually("the service says why", 30, || async {
        let said = scenario.explain(service).await;
        if said.contains("Ready=False the newest task") && said.contains(change) {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
}

/// A task whose Secret is made in time runs.
async fn comes_late(scenario: &Scenario) {
    wanting(scenario, "late", "secret/late/password").await;
    let task = task_that_says(scenario, "late", r#"secret "late" not found"#, 45).await;
    let secret = json!({ "metadata": { "name": "late" }, "stringData": { "password": "x" } });
    scenario.create::<Secret>(secret).await;
    let runs = scenario.running("late", 1, 60).await;
    assert_eq!(runs[0].name_any(), task.name_any());
}

/// A task whose volume is not there says where to look, is not given up, and runs once it is; the volume's name.
async fn waits_for_its_volume(scenario: &Scenario) -> String {
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 16, "memory": 64,
        "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }] });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": "no-claim.1" },
            "spec": { "family": "no-claim", "revision": 1, "containerDefinitions": [main],
                "volumes": [{ "name": "data", "persistentVolumeClaim": "to-come" }] },
        }))
        .await;
    scenario
        .service("no-claim", "no-claim", json!({ "desiredCount": 1 }))
        .await;
    let said = "the node has not prepared the volumes and the network within 60 s";
    let task = task_that_says(scenario, "no-claim", said, 90).await;
    let ready = says(&task.status.as_ref().unwrap().conditions, "Ready");
    assert!(ready.contains("kubectl describe pod"), "{ready}");
    let volume = claim(scenario, "to-come").await;
    let runs = scenario.running("no-claim", 1, 60).await;
    assert_eq!(runs[0].name_any(), task.name_any());
    let ready = says(&runs[0].status.as_ref().unwrap().conditions, "Ready");
    assert!(ready.starts_with("True"), "{ready}");
    volume
}
