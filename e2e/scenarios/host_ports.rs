//! A host port of an instance is one task's: the next waits, says so, and gets it when the first is STOPPED. (RES-5, PLACE-6,
//! OPT-7)

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ecs_operator::api::{Task, TaskDefinition};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::support::history::{History, stopped};
use crate::support::{Scenario, WORKLOAD, eventually, ground, placed_on};

/// The host port; nothing else on a node has it.
const PORT: u16 = 18_080;

/// A task that answers on the host port: through a mapping of the task's own network, or on the node's.
async fn definition(scenario: &Scenario, family: &str, mode: &str, mapping: Value, arguments: &[&str]) {
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 16, "memory": 64, "command": arguments,
        "portMappings": [mapping] });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": format!("{family}.1") },
            "spec": { "family": family, "revision": 1, "networkMode": mode, "containerDefinitions": [main] },
        }))
        .await;
}

/// Who answers on the host port of a node: the host name that its process sees.
fn ask(address: &str) -> Result<String, std::io::Error> {
    let socket = format!("{address}:{PORT}").parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&socket, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /who HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().trim().to_owned())
}

async fn answers(address: &str, who: &str) {
    eventually(&format!("{who} answers on port {PORT}"), 30, || async {
        match ask(address) {
            Ok(said) if said == format!("{who} /who") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_port_is_reachable_and_the_next_task_gets_it_when_the_first_has_stopped() {
    if !ground::runs_containers("a port that answers") {
        return;
    }
    let scenario = Scenario::begin("ports").await;
    let instance = scenario.instance_names().await.remove(0);
    let node = Api::<Node>::all(scenario.client.clone())
        .get(&instance)
        .await
        .unwrap();
    let addresses = node.status.unwrap().addresses.unwrap_or_default();
    let address = addresses.iter().find(|a| a.type_ == "InternalIP").unwrap();
    let only = scenario.only_on(&instance).await;
    let port = PORT.to_string();
    let mapping = json!({ "containerPort": 8080, "hostPort": PORT });
    let lingers = ["--serve", "8080", "--on-term", "2s"];
    definition(&scenario, "first", "bridge", mapping, &lingers).await;
    let mapping = json!({ "containerPort": PORT });
    definition(&scenario, "next", "host", mapping, &["--serve", &port]).await;
    let tasks = History::<Task>::begin(scenario.api()).await;
    let spec = json!({ "desiredCount": 1, "placementConstraints": only });
    scenario.service("first", "first", spec.clone()).await;
    let first = scenario.running("first", 1, 60).await.remove(0);
    assert_eq!(placed_on(&first), instance);
    let pod = first.status.as_ref().unwrap().pod.clone().unwrap().name;
    answers(&address.address, &pod).await;

    scenario.service("next", "next", spec).await;
    let says = eventually("the next service says which port it waits for", 30, || async {
        let events = scenario.events("next").await;
        let why = format!("(container-instance {instance}) is already using a port required by your task");
        let object = scenario
            .api::<ecs_operator::api::EcsService>()
            .get("next")
            .await
            .unwrap();
        let failures = object.status.unwrap_or_default().placement_failures;
        match failures.iter().find(|f| f.container_instance == instance) {
            Some(failure) if events.iter().any(|e| e.contains(&why)) => Ok(failure.clone()),
            _ => Err(format!("{events:?} {failures:?}")),
        }
    })
    .await;
    assert_eq!(says.reason, "RESOURCE:PORTS");
    assert!(
        says.detail.contains(&format!("host port {PORT}/tcp is taken")),
        "{says:?}"
    );

    // the first task needs 2 s to stop, and has its port until then
    let services = scenario.api::<ecs_operator::api::EcsService>();
    services.delete("first", &DeleteParams::default()).await.unwrap();
    let next = scenario.running("next", 1, 60).await.remove(0);
    assert_eq!(placed_on(&next), instance);
    answers(&address.address, &instance).await;
    let told = tasks.until_now().await;
    let of_next = told
        .iter()
        .filter(|s| s.object.spec.service.as_ref().is_some_and(|s| s.name == "next"));
    let begun = of_next.map(|s| s.version).min().unwrap();
    let ended = stopped(&told, &first.name_any()).unwrap();
    assert!(
        begun > ended,
        "a task of the port was there at {begun}, the first one STOPPED at {ended}"
    );
    scenario.end().await;
}
