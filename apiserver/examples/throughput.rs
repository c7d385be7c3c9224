//! How many objects of a definition the server creates and reads in a second, in process, and whether a watcher keeps up.
//!
//! `cargo run --release -p embedded-apiserver --example throughput -- [OBJECTS]`
//!
//! With SERVER and TOKEN in the environment the same is asked of that API server too, in turns, and the ratio is said:
//! `KUBE_BIN=DIR apiserver/hack/real-api-server.sh target/release/examples/throughput`

use std::sync::Arc;

use embedded_apiserver::{Limits, Server, Sources};
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};
use kube::config::AuthInfo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each server is asked, after a first time that counts for nothing.
const ROUNDS: usize = 3;
/// Requests under way at a time.
const IN_FLIGHT: [usize; 2] = [1, 16];
/// How long a watcher may be behind.
const BEHIND_MAX: Duration = Duration::from_secs(30);
const PATH: &str = "/apis/example.com/v1/namespaces/default/things";

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

/// About as large as a Task.
fn thing(name: &str) -> Value {
    let lines: Vec<Value> = (0..10)
        .map(|line| json!({"name": format!("line-{line}"), "value": "x".repeat(60)}))
        .collect();
    json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name},
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

fn things(client: &Client) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Thing"));
    Api::default_namespaced_with(client.clone(), &resource)
}

/// Defines things, and waits until they are served.
async fn define(client: &Client) -> Result<(), Failure> {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client
        .request_text(request("POST", definitions, Some(&definition()))?)
        .await?;
    while things(client).list(&ListParams::default()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Sends a request for each name, so many at a time; how many were answered in a second.
async fn rate(
    client: &Client,
    names: &Arc<Vec<String>>,
    in_flight: usize,
    create: bool,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let workers = (0..in_flight).map(|worker| {
        let (client, names) = (client.clone(), names.clone());
        tokio::spawn(async move {
            for name in names.iter().skip(worker).step_by(in_flight) {
                let asked = if create {
                    request("POST", PATH, Some(&thing(name)))?
                } else {
                    request("GET", &format!("{PATH}/{name}"), None)?
                };
                client.request_text(asked).await?;
            }
            Ok::<(), Failure>(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let count = u32::try_from(names.len()).map_or(0.0, f64::from);
    Ok(count / begun.elapsed().as_secs_f64())
}

/// Creates and gets in a second, beside a watcher that must see every object once.
async fn measure(client: &Client, names: Vec<String>, in_flight: usize) -> Result<[f64; 2], Failure> {
    let (api, names) = (things(client), Arc::new(names));
    let version = api.list_metadata(&ListParams::default().limit(1)).await?.metadata;
    let version = version.resource_version.ok_or("a list without a version")?;
    let mut events = api.watch(&WatchParams::default(), &version).await?.boxed();
    let count = names.len();
    let watcher = tokio::spawn(async move {
        for _ in 0..count {
            let Some(Ok(WatchEvent::Added(_))) = events.next().await else {
                return Err("an event is missing");
            };
        }
        Ok(())
    });
    let creates = rate(client, &names, in_flight, true).await?;
    tokio::time::timeout(BEHIND_MAX, watcher).await???;
    let gets = rate(client, &names, in_flight, false).await?;
    Ok([creates, gets])
}

/// The API server that the environment names.
fn real() -> Result<Option<Client>, Failure> {
    let (Ok(server), Ok(token)) = (std::env::var("SERVER"), std::env::var("TOKEN")) else {
        return Ok(None);
    };
    let mut config = Config::new(server.parse()?);
    config.accept_invalid_certs = true;
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    Ok(Some(Client::try_from(config)?))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).map_or(Ok(2_000), |count| count.parse())?;
    let server = Server::new(Sources::system(), Limits::default());
    let mut servers = vec![("embedded", Client::new(server, "default"))];
    servers.extend(real()?.map(|client| ("real", client)));
    for (_, client) in &servers {
        define(client).await?;
    }
    for in_flight in IN_FLIGHT {
        let mut sums = vec![[0.0; 2]; servers.len()];
        for round in 0..=ROUNDS {
            for ((what, client), sum) in servers.iter().zip(&mut sums) {
                let name = |index| format!("thing-{in_flight}-{round}-{index}");
                let [creates, gets] = measure(client, (0..count).map(name).collect(), in_flight).await?;
                if round > 0 {
                    eprintln!("{what}, {in_flight} at a time: {creates:.0} creates/s, {gets:.0} gets/s");
                    *sum = [sum[0] + creates, sum[1] + gets];
                }
            }
        }
        if let [[creates, gets], [real_creates, real_gets]] = sums.as_slice() {
            let (creates, gets) = (creates / real_creates, gets / real_gets);
            eprintln!("{in_flight} at a time: {creates:.1} times the creates/s, {gets:.1} times the gets/s");
        }
    }
    Ok(())
}
