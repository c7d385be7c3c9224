//! Conversations of the real `kube::Client` with a server in the same process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod apply;
mod collect;
mod custom;
mod deletion;
mod lists;
mod repeatable;
mod watches;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use embedded_apiserver::{Limits, Server, Sources};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

/// A server under a clock of its own, and a client of it.
struct World {
    server: Server,
    client: Client,
    seconds: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let seconds = Arc::new(AtomicI64::new(0));
        let clock = {
            let seconds = seconds.clone();
            let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            Arc::new(move || start + SignedDuration::from_secs(seconds.load(Ordering::Relaxed)))
        };
        let server = Server::new(Sources::seeded(clock, 1), limits);
        let client = Client::new(server.clone(), "default");
        Self {
            server,
            client,
            seconds,
        }
    }

    fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if ["Namespace", "Node", "CustomResourceDefinition"].contains(&kind) {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    fn config_maps(&self) -> Api<DynamicObject> {
        self.api("v1", "ConfigMap")
    }

    fn widgets(&self) -> Api<DynamicObject> {
        self.api("example.com/v1", "Widget")
    }

    async fn define_widgets(&self) {
        let definitions = self.api("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        definitions
            .create(&PostParams::default(), &object(widget_definition()))
            .await
            .unwrap();
    }
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str) -> DynamicObject {
    object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}))
}

fn pod(name: &str, spec: Value) -> DynamicObject {
    let mut whole = json!({"containers": [{"name": "c", "image": "i:1"}]});
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    object(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}))
}

fn widget(name: &str) -> DynamicObject {
    object(
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}}),
    )
}

fn widget_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["size"],
                            "properties": {
                                "size": {"type": "integer", "maximum": 100},
                                "color": {"type": "string", "default": "blue"},
                            },
                        },
                        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    },
                }},
            }],
        },
    })
}

/// The `Status` that a call was refused with.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> kube::core::Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}
