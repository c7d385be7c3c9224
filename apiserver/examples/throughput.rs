//! How many objects of a definition the server creates, reads and shows to a watcher in a second, in process.
//!
//! `cargo run --release -p embedded-apiserver --example throughput -- [OBJECTS]`

use embedded_apiserver::{Limits, Server, Sources};
use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object",
                        "x-kubernetes-validations": [{"rule": "self.low <= self.high"}],
                        "properties": {
                            "low": {"type": "integer"}, "high": {"type": "integer", "default": 9},
                            "lines": {"type": "array", "items": {"type": "object", "properties": {
                                "name": {"type": "string", "maxLength": 60}, "value": {"type": "string"},
                            }}},
                        },
                    },
                }},
            }}],
        },
    })
}

fn thing(index: usize) -> Value {
    let lines: Vec<Value> = (0..10)
        .map(|line| json!({"name": format!("line-{line}"), "value": "x".repeat(60)}))
        .collect();
    json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": format!("thing-{index}")},
        "spec": {"low": 1, "lines": lines},
    })
}

fn request(method: &str, path: &str, body: Option<&Value>) -> Result<http::Request<Vec<u8>>, http::Error> {
    let body = body.map(ToString::to_string).unwrap_or_default().into_bytes();
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(2_000), |count| count.parse())?;
    let server = Server::new(Sources::system(), Limits::default());
    let client = Client::new(server.clone(), "default");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client
        .request_text(request("POST", definitions, Some(&definition()))?)
        .await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Thing"));
    let things: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let mut events = things
        .watch(&WatchParams::default(), &server.version().to_string())
        .await?
        .boxed();
    let path = "/apis/example.com/v1/namespaces/default/things";

    let begun = Instant::now();
    for index in 0..count {
        client
            .request_text(request("POST", path, Some(&thing(index)))?)
            .await?;
    }
    report("creates", count, begun);
    let begun = Instant::now();
    for index in 0..count {
        client
            .request_text(request("GET", &format!("{path}/thing-{index}"), None)?)
            .await?;
    }
    report("gets", count, begun);
    let begun = Instant::now();
    for _ in 0..count {
        let Some(Ok(WatchEvent::Added(_))) = events.next().await else {
            return Err("an event is missing".into());
        };
    }
    report("events", count, begun);
    Ok(())
}

fn report(what: &str, count: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let rate = u32::try_from(count).map_or(0.0, f64::from) / seconds;
    eprintln!("{count} {what} in {seconds:.2} s: {rate:.0}/s");
}
