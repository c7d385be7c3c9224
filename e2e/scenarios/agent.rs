//! A task protects itself at the URI that it was told, hears that it should finish, ends its protection and goes. (PROT-20 to
//! PROT-24, PROT-11)

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use ecs_operator::api::{EcsService, Task};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::Api;
use serde_json::{Value, json};

use crate::support::{Scenario, eventually, ground, says};

const PROTECTION: &str = "task-protection/v1/state";
const QUIESCE: &str = "task-quiesce/v1/state";

async fn pod(scenario: &Scenario, task: &Task) -> Pod {
    let name = task.status.clone().unwrap().pod.unwrap().name;
    scenario.api::<Pod>().get(&name).await.unwrap()
}

/// What a container of the task finds in `ECS_AGENT_URI`: host and port, and the path.
async fn told(scenario: &Scenario, task: &Task) -> (String, String) {
    let pod = pod(scenario, task).await;
    let variables = pod.spec.unwrap().containers.remove(0).env.unwrap();
    let found = variables.into_iter().find(|v| v.name == "ECS_AGENT_URI");
    let uri = found.expect("its agent").value.unwrap();
    let (host, path) = uri.strip_prefix("http://").unwrap().split_once('/').unwrap();
    (host.to_owned(), format!("/{path}"))
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: agent\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Where a Service is, by its name in the DNS: the cluster may have none.
async fn service_address(scenario: &Scenario, host: &str) -> String {
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next().unwrap(), parts.next().unwrap());
    let services: Api<Service> = Api::namespaced(scenario.client.clone(), namespace);
    let service = services.get(name).await.unwrap();
    service.spec.unwrap().cluster_ip.unwrap()
}

/// Asks as the task's container does: within it, or where none runs, from here.
async fn ask(
    scenario: &Scenario,
    task: &Task,
    method: &str,
    resource: &str,
    body: &str,
) -> Result<Value, String> {
    let (host, path) = told(scenario, task).await;
    let text = request(method, &format!("{path}/{resource}"), body);
    let said = if ground::is_local() {
        let exchanged = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(host)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(text.as_bytes())?;
            let mut said = String::new();
            stream.read_to_string(&mut said).map(|_| said)
        });
        exchanged
            .await
            .unwrap()
            .map_err(|error: std::io::Error| error.to_string())?
    } else {
        let (host, port) = host.rsplit_once(':').unwrap();
        let address = if host.parse::<IpAddr>().is_ok() {
            host.to_owned()
        } else {
            service_address(scenario, host).await
        };
        let text = text
            .replace(&path, "/${ECS_AGENT_URI#http://*/}")
            .replace("\r\n", "\\r\\n")
            .replace('"', "\\\"");
        let script = format!("printf \"{text}\" | nc -w 20 {address} {port}");
        scenario.inside(task, "main", &script).await
    };
    let (head, body) = said
        .split_once("\r\n\r\n")
        .ok_or(format!("no answer: {said:?}"))?;
    assert!(!head.starts_with("HTTP/1.1 4"), "{said}");
    let status = head.lines().next().unwrap_or_default();
    if status != "HTTP/1.1 200 OK" {
        return Err(said);
    }
    serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))
}

/// Asks until the answer is this. A call may end without one, on a slow machine; it can be made again.
async fn hears(
    scenario: &Scenario,
    task: &Task,
    asked: [&str; 3],
    expected: impl Fn(&Value) -> bool,
) -> Value {
    let [method, resource, body] = asked;
    eventually(&format!("an answer to {asked:?}"), 60, || async {
        let said = ask(scenario, task, method, resource, body).await?;
        if expected(&said) {
            Ok(said)
        } else {
            Err(said.to_string())
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_protects_itself_hears_that_it_should_finish_and_goes_when_it_has_prot_20_prot_22_prot_11() {
    let scenario = Scenario::begin("agent").await;
    let label = json!({ "dockerLabels": { "ecs-operator.dev/quiesce-directory": "/var/run/ecs-operator" } });
    scenario.definition("web", 1, 64, label).await;
    let spec = json!({ "desiredCount": 2, "deploymentConfiguration": { "minimumHealthyPercent": 0 } });
    scenario.service("web", "web:1", spec).await;
    let tasks = scenario.running("web", 2, 90).await;
    let (task, name) = (&tasks[0], tasks[0].name_any());

    let off = |said: &Value| said["protection"]["ProtectionEnabled"] == false;
    hears(&scenario, task, ["GET", PROTECTION, ""], off).await;
    let ask_for_more = r#"{"ProtectionEnabled":true,"ExpiresInMinutes":90}"#;
    let granted = hears(&scenario, task, ["PUT", PROTECTION, ask_for_more], |said| {
        said["protection"]["ProtectionEnabled"] == true
    })
    .await;
    let now = scenario.api::<Task>().get(&name).await.unwrap();
    assert_eq!(now.spec.protection.unwrap().expires_in_minutes, Some(90));
    let until = now.status.unwrap().protected_until.unwrap();
    assert_eq!(granted["protection"]["ExpirationDate"], until);
    let quiet = |said: &Value| said["quiesce"]["Requested"] == false;
    hears(&scenario, task, ["GET", QUIESCE, ""], quiet).await;

    let none = json!({ "spec": { "desiredCount": 0 } });
    scenario.patch::<EcsService>("web", none).await;
    let left = scenario.running("web", 1, 60).await;
    assert_eq!(left[0].name_any(), name);
    let scaled = |said: &Value| said["quiesce"]["Reason"] == "ScaleIn";
    let said = hears(&scenario, task, ["GET", QUIESCE, ""], scaled).await;
    assert_eq!(said["quiesce"]["Requested"], true);
    let status = scenario.api::<Task>().get(&name).await.unwrap().status.unwrap();
    assert!(
        says(&status.conditions, "Quiesce").contains("ScaleIn"),
        "{:?}",
        status.conditions
    );
    eventually("the Pod and the file in its container say so", 120, || async {
        let pod = pod(&scenario, task).await;
        let said = pod.annotations().get("ecs-operator.dev/quiesce").cloned();
        let file = if ground::is_local() {
            "ScaleIn".to_owned()
        } else {
            scenario
                .inside(task, "main", "cat /var/run/ecs-operator/quiesce")
                .await
        };
        if said.as_deref() == Some("ScaleIn") && file.trim() == "ScaleIn" {
            Ok(())
        } else {
            Err(format!("{said:?}, {file:?}"))
        }
    })
    .await;

    hears(
        &scenario,
        task,
        ["PUT", PROTECTION, r#"{"ProtectionEnabled":false}"#],
        off,
    )
    .await;
    scenario.running("web", 0, 60).await;
    scenario.end().await;
}
