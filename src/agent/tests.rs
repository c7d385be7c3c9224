//! The desk on the embedded API server, whose Tasks a leader of the test's own answers; and the sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "what users, the kubelet and the leader do"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use embedded_apiserver::{Limits, Server, Sources};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::call::Call::{GetProtection, GetQuiesce, UpdateProtection};
use super::desk::Desk;
use super::{Endpoint, serve};
use crate::api::{EcsCluster, LastStatus, Task, TaskDefinition, all_crds};
use crate::build;
use crate::cache::Cache;
use crate::cache::feed::{self, Scope, trim_meta};
use crate::ledger::Ledger;
use crate::plan::world::Key;
use crate::runtime::metrics::Metrics;

const NAMESPACE: &str = "shop";
const ON: &[u8] = br#"{"ProtectionEnabled":true,"ExpiresInMinutes":60}"#;
const OFF: &[u8] = br#"{"ProtectionEnabled":false}"#;

struct Scene {
    client: Client,
    cache: Arc<Cache>,
    ledger: Ledger,
    desk: Desk,
    /// Ends the watch.
    stop: CancellationToken,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn begin() -> Scene {
    let server = Server::new(Sources::system(), Limits::default());
    let client = Client::new(server, "default");
    for crd in all_crds() {
        Api::all(client.clone())
            .create(&PostParams::default(), &crd)
            .await
            .unwrap();
    }
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let (cache, stop) = (Arc::new(Cache::default()), CancellationToken::new());
    let (api, store, ended) = (Api::<Task>::all(client.clone()), cache.clone(), stop.clone());
    tokio::spawn(async move {
        feed::run(api, Scope::default(), &store.tasks, trim_meta, |_| {}, ended).await;
    });
    let ledger = Ledger::new(client.clone(), cache.clone(), Metrics::default());
    Scene {
        desk: Desk::new(ledger.clone(), cache.clone()),
        client,
        cache,
        ledger,
        stop,
    }
}

impl Scene {
    fn tasks(&self) -> Api<Task> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// A task and its Pod, as the operator makes them: the id that its containers are told.
    async fn task(&self, name: &str, service: Option<&str>) -> String {
        let service = service.map(|name| json!({ "name": name, "uid": "s-1" }));
        let spec = json!({ "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1",
            "service": service });
        let mut task = Task::new(name, serde_json::from_value(spec).unwrap());
        task.metadata.namespace = Some(NAMESPACE.to_owned());
        let task = self.tasks().create(&PostParams::default(), &task).await.unwrap();
        let containers = json!([{ "name": "web", "image": "web", "memory": 10 }]);
        let spec = json!({ "family": "web", "revision": 1, "containerDefinitions": containers });
        let secret = crate::runtime::source::id();
        let pod = build::pod(&build::PodInput {
            task: &task,
            definition: &TaskDefinition::new("web.1", serde_json::from_value(spec).unwrap()),
            cluster: &EcsCluster::new("default", serde_json::from_value(json!({})).unwrap()),
            daemon: false,
            node_name: "n1",
            agent: Some(build::AgentEndpoint {
                base: "http://agent",
                secret: &secret,
            }),
        });
        let pod = self
            .pods()
            .create(&PostParams::default(), &pod.unwrap())
            .await
            .unwrap();
        let uri = pod
            .spec
            .unwrap()
            .containers
            .remove(0)
            .env
            .unwrap()
            .remove(0)
            .value
            .unwrap();
        uri.strip_prefix("http://agent/api/").unwrap().to_owned()
    }

    async fn status(&self, task: &str, status: &Value) {
        let change = Patch::Merge(json!({ "status": status }));
        self.tasks()
            .patch_status(task, &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    async fn asked(&self, task: &str) -> Value {
        let task = self.tasks().get(task).await.unwrap();
        serde_json::to_value(task.spec.protection).unwrap()
    }

    /// The leader's answer to the next request in a task.
    async fn answers(&self, task: &str, granted: &Value) {
        let had = self.asked(task).await;
        let request = loop {
            let asked = self.asked(task).await;
            if asked != had {
                break asked;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // a merge patch takes nothing off that it does not name
        let mut whole = json!({ "expiresInMinutes": null });
        whole
            .as_object_mut()
            .unwrap()
            .extend(request.as_object().unwrap().clone());
        let mut status = json!({ "protection": { "request": whole } });
        if let Some(failure) = granted.get("failure") {
            status["protection"]["failure"] = failure.clone();
        } else {
            status["protectedUntil"] = granted.clone();
        }
        self.status(task, &status).await;
    }

    async fn says(&self, call: super::call::Call, id: &str, body: &[u8]) -> (u16, Value) {
        let answer = self.desk.answer(call, id, body).await;
        (answer.status(), answer.parsed())
    }

    /// A call of UpdateTaskProtection while a leader answers.
    async fn protects(&self, task: &str, id: &str, body: &[u8], granted: &Value) -> (u16, Value) {
        let (said, ()) = tokio::join!(self.says(UpdateProtection, id, body), self.answers(task, granted));
        said
    }
}

const UNTIL: &str = "2999-01-01T00:00:00Z";

#[tokio::test(start_paused = true)]
async fn a_task_protects_itself_for_as_long_as_the_leader_says_and_ends_it_prot_20_prot_22() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let none = scene.says(GetProtection, &id, &[]).await.1;
    assert_eq!(none["protection"]["ProtectionEnabled"], false);
    let (status, said) = scene.protects("t1", &id, ON, &json!(UNTIL)).await;
    let arn = "arn:aws:ecs::shop:task/default/t1";
    let expected =
        json!({ "protection": { "ExpirationDate": UNTIL, "ProtectionEnabled": true, "TaskArn": arn } });
    assert_eq!((status, &said), (200, &expected));
    let asked = scene.asked("t1").await;
    assert_eq!(
        (&asked["protectionEnabled"], &asked["expiresInMinutes"]),
        (&json!(true), &json!(60))
    );
    assert_eq!(scene.says(GetProtection, &id, &[]).await, (200, expected));

    scene
        .protects("t1", &id, ON, &json!("2999-01-01T01:00:00Z"))
        .await;
    let renewed = scene.asked("t1").await;
    assert_ne!(
        asked["renewal"], renewed["renewal"],
        "each call begins the period anew (PROT-2)"
    );

    let (status, said) = scene.protects("t1", &id, OFF, &Value::Null).await;
    assert_eq!(
        (status, &said["protection"]["ExpirationDate"]),
        (200, &Value::Null)
    );
    assert_eq!(
        scene.asked("t1").await.get("expiresInMinutes"),
        None,
        "nothing of the old request stays"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refuses_is_a_failure_and_no_error_prot_23() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let blocked = json!({ "failure": "DEPLOYMENT_BLOCKED" });
    let (status, said) = scene.protects("t1", &id, ON, &blocked).await;
    assert_eq!(
        (status, &said["failure"]["Reason"]),
        (200, &json!("DEPLOYMENT_BLOCKED"))
    );

    let alone = scene.task("t2", None).await;
    for (call, body) in [
        (UpdateProtection, ON),
        (UpdateProtection, OFF),
        (GetProtection, &[][..]),
    ] {
        let (status, said) = scene.says(call, &alone, body).await;
        assert_eq!(
            (status, &said["failure"]["Reason"]),
            (200, &json!("TASK_NOT_VALID"))
        );
    }
    assert_eq!(scene.asked("t2").await, Value::Null);

    let stop = Patch::Merge(json!({ "spec": { "desiredStatus": "STOPPED" } }));
    scene
        .tasks()
        .patch("t1", &PatchParams::default(), &stop)
        .await
        .unwrap();
    let (status, said) = scene.says(UpdateProtection, &id, ON).await;
    assert_eq!(
        (status, &said["failure"]["Reason"]),
        (200, &json!("TASK_NOT_VALID"))
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_taken_for_a_task_that_it_is_not_prot_20_prot_24() {
    let scene = begin().await;
    let (one, two) = (
        scene.task("t1", Some("web")).await,
        scene.task("t2", Some("web")).await,
    );
    let unknown = |said: (u16, Value)| {
        assert_eq!(
            (said.0, &said.1["error"]["Code"]),
            (404, &json!("ResourceNotFoundException"))
        );
    };
    let secret = |id: &str| id.rsplit_once('_').unwrap().1.to_owned();
    let with_secret_of_two = one.replace(&secret(&one), &secret(&two));
    let of_nobody = one.replace("t1-", "t3-");
    for id in [
        with_secret_of_two.as_str(),
        &of_nobody,
        "",
        "shop_t1_x",
        "shop/t1",
        "no-such_t1-00000000_x",
    ] {
        unknown(scene.says(GetProtection, id, &[]).await);
        unknown(scene.says(UpdateProtection, id, ON).await);
    }
    assert_eq!(scene.asked("t1").await, Value::Null);

    // somebody's Pod in the place of the task's: it has the name, the owner and a secret, and another uid
    scene
        .status("t1", &json!({ "pod": { "name": "x", "uid": "the-first" } }))
        .await;
    unknown(scene.says(GetQuiesce, &one, &[]).await);
    // one that has ended
    let name = two.split('_').nth(1).unwrap();
    let ended = Patch::Merge(json!({ "status": { "phase": "Succeeded" } }));
    scene
        .pods()
        .patch_status(name, &PatchParams::default(), &ended)
        .await
        .unwrap();
    unknown(scene.says(GetProtection, &two, &[]).await);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_pod_is_of_no_task_prot_20() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let name = id.split('_').nth(1).unwrap();
    let mut copy = scene.pods().get(name).await.unwrap();
    let own = id.rsplit_once('_').unwrap().1;
    copy.metadata.name = Some("t1-c0b1ed00".to_owned());
    copy.metadata.resource_version = None;
    copy.metadata.uid = None;
    let copied = scene.pods().create(&PostParams::default(), &copy).await.unwrap();
    let forged = format!("{NAMESPACE}_{}_{own}", copied.name_any());
    assert_eq!(scene.says(GetProtection, &forged, &[]).await.0, 404);
    assert_eq!(scene.says(GetProtection, &id, &[]).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_is_refused_before_and_one_that_lacks_something_after_the_task_is_known_prot_24()
 {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let more = br#"{"ProtectionEnabled":true,"Tasks":[]}"#;
    assert_eq!(scene.says(UpdateProtection, "nobody", more).await.0, 400);
    assert_eq!(scene.says(UpdateProtection, "nobody", b"{}").await.0, 404);
    let (status, said) = scene.says(UpdateProtection, &id, b"{}").await;
    assert_eq!(status, 400);
    assert!(
        said["error"]["Message"]
            .as_str()
            .unwrap()
            .contains("'ProtectionEnabled'")
    );
    assert_eq!(said["error"]["Arn"], "arn:aws:ecs::shop:task/default/t1");
}

#[tokio::test(start_paused = true)]
async fn without_anybody_who_plans_a_call_ends_in_time_and_the_request_stands_prot_24() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let begun = tokio::time::Instant::now();
    let (status, said) = scene.says(UpdateProtection, &id, ON).await;
    assert_eq!((status, &said["error"]["Code"]), (504, &json!("RequestCanceled")));
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    assert_eq!(scene.asked("t1").await["protectionEnabled"], true);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_another_write_is_made_anew_prot_2() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    let key = Key::new(NAMESPACE, "t1");
    let stale = scene.ledger.read_task(&key).await.unwrap();
    scene.status("t1", &json!({ "lastStatus": "RUNNING" })).await;
    let request = serde_json::from_value(json!({ "protectionEnabled": true })).unwrap();
    let outcome = scene.ledger.ask_protection(&stale, &request).await;
    assert_eq!(
        outcome.label(),
        "conflict",
        "a request names the version that was seen"
    );
    let newest = scene.cache.tasks.get(&key).unwrap();
    assert_eq!(newest.status.as_ref().unwrap().last_status, LastStatus::Running);
    // all at once: each finds the others' writes
    let (a, b, c, ()) = tokio::join!(
        scene.says(UpdateProtection, &id, ON),
        scene.says(UpdateProtection, &id, ON),
        scene.says(UpdateProtection, &id, ON),
        async {
            for _ in 0..200 {
                let asked = scene.asked("t1").await;
                let status = json!({ "protection": { "request": asked }, "protectedUntil": UNTIL });
                if asked != Value::Null {
                    scene.status("t1", &status).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    );
    for (status, said) in [a, b, c] {
        assert_eq!(
            (status, &said["protection"]["ExpirationDate"]),
            (200, &json!(UNTIL)),
            "{said}"
        );
    }
}

/// What comes back for these bytes until the other side ends the connection.
async fn exchange(address: &str, bytes: &[u8]) -> String {
    let (address, bytes) = (address.to_owned(), bytes.to_vec());
    let exchanged = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(&bytes)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    });
    exchanged.await.unwrap().expect("the connection ends")
}

#[tokio::test]
async fn calls_come_by_http_within_bounds_prot_20_prot_21_prot_25() {
    let scene = begin().await;
    let id = scene.task("t1", Some("web")).await;
    scene
        .status(
            "t1",
            &json!({ "quiesce": { "reason": "ScaleIn", "since": UNTIL } }),
        )
        .await;
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), None)
        .await
        .unwrap();
    let address = endpoint.base().strip_prefix("http://").unwrap().to_owned();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        endpoint,
        scene.ledger.clone(),
        scene.cache.clone(),
        stop.clone(),
    ));

    let get = |resource: &str| format!("GET /api/{id}/{resource} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes();
    let told = exchange(&address, &get("task-quiesce/v1/state")).await;
    assert!(
        told.starts_with("HTTP/1.1 200 OK\r\n") && told.contains("content-type: application/json"),
        "{told}"
    );
    assert!(told.contains(r#""Reason":"ScaleIn","Requested":true"#), "{told}");
    assert!(
        exchange(&address, &get("elsewhere"))
            .await
            .starts_with("HTTP/1.1 404 ")
    );

    let put = |length: usize, body: &str| {
        let head =
            format!("PUT /api/{id}/task-protection/v1/state HTTP/1.1\r\nhost: a\r\ncontent-length: {length}");
        format!("{head}\r\n\r\n{body}").into_bytes()
    };
    let body = String::from_utf8(ON.to_vec()).unwrap();
    let whole = put(body.len(), &body);
    let until = json!(UNTIL);
    let (said, ()) = tokio::join!(exchange(&address, &whole), scene.answers("t1", &until));
    assert!(
        said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains(UNTIL),
        "{said}"
    );
    let long = format!("{{\"ProtectionEnabled\":true{}}}", " ".repeat(5000));
    let said = exchange(&address, &put(long.len(), &long)).await;
    assert!(
        said.starts_with("HTTP/1.1 400 ") && said.contains("failed to decode"),
        "{said}"
    );

    // whoever says nothing is not waited for
    assert_eq!(exchange(&address, b"GET /api").await, "");

    let ask = get("task-protection/v1/state");
    let mut refused = None;
    for _ in 0..500 {
        let said = exchange(&address, &ask).await;
        if said.starts_with("HTTP/1.1 429 ") {
            refused = Some(said);
            break;
        }
    }
    assert!(
        refused
            .unwrap()
            .ends_with("You have reached maximum request limit.")
    );
    stop.cancel();
    served.await.unwrap();
}
