//! Machines on the embedded API server, with time that stands still until somebody waits for it.

mod budgets;
mod health;
mod nodes;
mod start;
mod stop;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_apiserver::{Limits, Server, Sources};
use jiff::Timestamp;
use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Machine, Settings};
use crate::runtime::source::{Simulated, simulate};

const BEGIN: &str = "2026-01-01T00:00:00Z";

/// A server with machines that run.
pub(super) struct Scene {
    pub(super) client: Client,
    pub(super) server: Server,
    begun: Instant,
    running: Option<DropGuard>,
    _rule: Simulated,
}

impl Scene {
    /// A server and running machines, with time under the test's rule.
    pub(super) fn new(settings: Settings) -> Self {
        let epoch: Timestamp = BEGIN.parse().unwrap();
        let begun = Instant::now();
        let clock = move || epoch.saturating_add(begun.elapsed()).unwrap();
        let server = Server::new(Sources::seeded(Arc::new(clock), 1), Limits::default());
        let client = Client::new(server.clone(), "default");
        let mut scene = Self {
            client,
            server,
            begun,
            running: None,
            _rule: simulate(1, epoch),
        };
        scene.start(settings);
        scene
    }

    /// Starts the process of the machines, anew if it runs.
    pub(super) fn start(&mut self, settings: Settings) {
        let stop = CancellationToken::new();
        tokio::spawn(super::run(self.client.clone(), settings, stop.clone()));
        self.running = Some(stop.drop_guard());
    }

    /// Adds a machine with 2 cpus and 4 GiB.
    pub(super) async fn machine(&self, name: &str) {
        let machine = Machine {
            name: name.to_owned(),
            cpu: "2".to_owned(),
            memory: "4Gi".to_owned(),
            zone: Some("eu-west-1a".to_owned()),
            ..Machine::default()
        };
        super::add(&self.client, &machine).await.unwrap();
    }

    pub(super) async fn create(&self, path: &str, object: Value) -> Value {
        let request = Request::new(path).create(&PostParams::default(), object.to_string().into_bytes());
        self.client.request(request.unwrap()).await.unwrap()
    }

    /// Creates a Pod in `default`, bound to `node`: `spec` is merged into one with a container `app`.
    pub(super) async fn pod(&self, name: &str, node: &str, notes: Value, spec: Value) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": notes},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "example/app:1"}]},
        });
        let members = spec.as_object().unwrap().clone();
        pod["spec"].as_object_mut().unwrap().extend(members);
        self.create("/api/v1/namespaces/default/pods", pod).await
    }

    /// The object at a path, or null.
    pub(super) async fn get(&self, path: &str) -> Value {
        let (path, name) = path.rsplit_once('/').unwrap();
        let request = Request::new(path).get(name, &GetParams::default()).unwrap();
        match self.client.request(request).await {
            Ok(object) => object,
            Err(kube::Error::Api(status)) if status.is_not_found() => Value::Null,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    pub(super) async fn get_pod(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/namespaces/default/pods/{name}")).await
    }

    /// Deletes the object at a path, with its own grace.
    pub(super) async fn delete(&self, path: &str) {
        let (path, name) = path.rsplit_once('/').unwrap();
        let request = Request::new(path).delete(name, &DeleteParams::default()).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    pub(super) async fn delete_pod(&self, name: &str) {
        self.delete(&format!("/api/v1/namespaces/default/pods/{name}"))
            .await;
    }

    /// Merges into the object at a path.
    pub(super) async fn merge(&self, path: &str, change: Value) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let request = Request::new(parent)
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Seconds since the scene began.
    pub(super) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Waits until something holds of the object at a path; the object and the seconds since the scene began.
    pub(super) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> (Value, u64) {
        let seen = Mutex::new(Value::Null);
        let wait = async {
            loop {
                let object = self.get(path).await;
                if holds(&object) {
                    return object;
                }
                *seen.lock().unwrap() = object;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(1_000), wait).await {
            Ok(object) => (object, self.seconds()),
            Err(late) => panic!("{late}: {path} {:#}", seen.lock().unwrap()),
        }
    }

    pub(super) async fn until_pod(&self, name: &str, holds: impl Fn(&Value) -> bool) -> (Value, u64) {
        self.until(&format!("/api/v1/namespaces/default/pods/{name}"), holds)
            .await
    }

    /// Merges into the status of an object.
    pub(super) async fn set_status(&self, path: &str, name: &str, change: Value) {
        let merged = Patch::Strategic(change);
        let request = Request::new(path).patch_subresource("status", name, &PatchParams::default(), &merged);
        self.client.request::<Value>(request.unwrap()).await.unwrap();
    }

    /// Deletes the object at a path without any grace.
    pub(super) async fn delete_now(&self, path: &str) {
        let (path, name) = path.rsplit_once('/').unwrap();
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        let request = Request::new(path).delete(name, &params).unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Lets that much time pass.
    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// The time so many seconds after the beginning.
pub(super) fn moment(seconds: u64) -> String {
    let begin: Timestamp = BEGIN.parse().unwrap();
    begin
        .saturating_add(Duration::from_secs(seconds))
        .unwrap()
        .to_string()
}

/// The status of a condition, or nothing.
pub(super) fn condition<'a>(object: &'a Value, type_: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|c| c["type"] == type_);
    found.and_then(|c| c["status"].as_str()).unwrap_or_default()
}

pub(super) fn is_ready(object: &Value) -> bool {
    condition(object, "Ready") == "True"
}

pub(super) fn has_phase(phase: &str) -> impl Fn(&Value) -> bool + '_ {
    move |object| object["status"]["phase"] == phase
}
