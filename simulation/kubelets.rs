//! Kubelets, as little of them as there must be: Pods run after a while, end when they are deleted, and some end by
//! themselves. A node that is cut off does nothing until it is back; Pods of a node that is gone are collected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_operator::audit::Kind;
use ecs_operator::runtime::source;
use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::network::{Network, Who, between};

/// Annotation of a Node whose kubelet says and does nothing.
pub(crate) const CUT_OFF: &str = "simulation/cut-off";

/// Time after which the garbage collector takes Pods of a node that is gone.
const COLLECTED_AFTER: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Its containers start.
    Runs,
    /// A container exits.
    Exits,
    /// Its containers were stopped.
    Ends,
    /// Its node is gone.
    Collected,
}

/// All kubelets.
pub(crate) struct Kubelets {
    network: Arc<Network>,
    rng: StdRng,
    pods: BTreeMap<String, Value>,
    nodes: BTreeMap<String, Value>,
    due: BTreeSet<(Instant, String, Step)>,
    told: BTreeSet<(String, Step)>,
    /// Chance of a Pod to end by itself.
    exits: f64,
}

impl Kubelets {
    /// Kubelets of all nodes.
    pub(crate) fn new(network: Arc<Network>, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let exits = if rng.random_bool(0.3) { 0.1 } else { 0.0 };
        Self {
            network,
            rng,
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            due: BTreeSet::new(),
            told: BTreeSet::new(),
            exits,
        }
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// No Pod ends by itself any more.
    pub(crate) fn calm(&mut self) {
        self.exits = 0.0;
    }

    /// Takes news in and does what is due.
    pub(crate) fn act(&mut self) {
        loop {
            let news = self.network.take_news();
            for one in news {
                let meta = &one.object["metadata"];
                if one.kind == Kind::Node {
                    let name = meta["name"].as_str().unwrap().to_owned();
                    if one.gone {
                        self.nodes.remove(&name);
                    } else {
                        self.nodes.insert(name, one.object);
                    }
                    let pods: Vec<Value> = self.pods.values().cloned().collect();
                    for pod in &pods {
                        self.look(pod);
                    }
                    continue;
                }
                let uid = meta["uid"].as_str().unwrap().to_owned();
                if one.gone {
                    self.pods.remove(&uid);
                } else {
                    self.pods.insert(uid, one.object.clone());
                    self.look(&one.object);
                }
            }
            let now = Instant::now();
            let Some(next) = self.due.first().filter(|(at, ..)| *at <= now).cloned() else {
                return;
            };
            self.due.remove(&next);
            self.step(&next.1, next.2);
        }
    }

    fn plan(&mut self, uid: &str, step: Step, after: Duration) {
        if self.told.insert((uid.to_owned(), step)) {
            self.due.insert((Instant::now() + after, uid.to_owned(), step));
        }
    }

    /// What is to become of a Pod.
    fn look(&mut self, pod: &Value) {
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let Some(node) = pod["spec"]["nodeName"].as_str() else {
            return;
        };
        let ms = Duration::from_millis;
        let Some(node) = self.nodes.get(node) else {
            let after = COLLECTED_AFTER + between(&mut self.rng, ms(0), ms(20_000));
            return self.plan(uid, Step::Collected, after);
        };
        if node["metadata"]["annotations"][CUT_OFF].is_string() {
            return;
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            let longest = if self.rng.random_bool(0.2) { 30_000 } else { 2_000 };
            let after = between(&mut self.rng, ms(20), ms(longest));
            return self.plan(uid, Step::Ends, after);
        }
        match pod["status"]["phase"].as_str().unwrap_or("Pending") {
            "Pending" => {
                let after = between(&mut self.rng, ms(50), ms(3_000));
                self.plan(uid, Step::Runs, after);
            }
            "Running" if self.rng.random_bool(self.exits) => {
                let after = between(&mut self.rng, ms(100), ms(60_000));
                self.plan(uid, Step::Exits, after);
            }
            _ => {}
        }
    }

    fn step(&mut self, uid: &str, step: Step) {
        self.told.remove(&(uid.to_owned(), step));
        let Some(pod) = self.pods.get(uid).cloned() else {
            return;
        };
        let node = pod["spec"]["nodeName"]
            .as_str()
            .and_then(|name| self.nodes.get(name));
        let cut_off = node.is_some_and(|node| node["metadata"]["annotations"][CUT_OFF].is_string());
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let deleting = !pod["metadata"]["deletionTimestamp"].is_null();
        match step {
            Step::Collected if node.is_none() => self.delete(&pod),
            Step::Collected => {}
            _ if cut_off || node.is_none() => {}
            Step::Runs if !deleting && !ended => self.report(&pod, "Running"),
            Step::Exits if !deleting && !ended => self.report(&pod, "Failed"),
            Step::Ends => {
                if !ended {
                    self.report(&pod, "Succeeded");
                }
                self.delete(&pod);
            }
            Step::Runs | Step::Exits => {}
        }
    }

    fn report(&self, pod: &Value, phase: &str) {
        let now = source::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let running = phase == "Running";
        let state = if running {
            json!({ "running": { "startedAt": now } })
        } else {
            let (code, reason) = if phase == "Failed" {
                (1, "Error")
            } else {
                (0, "Completed")
            };
            json!({ "running": null, "terminated": { "exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now } })
        };
        let containers: Vec<Value> = pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| {
                json!({
                    "name": container["name"], "image": container["image"], "imageID": "sha256:0", "restartCount": 0,
                    "ready": running, "started": running, "state": state,
                })
            })
            .collect();
        let ready = if running { "True" } else { "False" };
        let status = json!({ "status": {
            "phase": phase, "startTime": now, "containerStatuses": containers,
            "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": now }],
        }});
        self.network.send(
            Who::Kubelet,
            Method::PATCH,
            &format!("{}/status", path(pod)),
            Some(&status),
        );
    }

    fn delete(&self, pod: &Value) {
        let now = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "preconditions": { "uid": pod["metadata"]["uid"] },
        });
        self.network
            .send(Who::Kubelet, Method::DELETE, &path(pod), Some(&now));
    }
}

fn path(pod: &Value) -> String {
    let meta = &pod["metadata"];
    format!(
        "/api/v1/namespaces/{}/pods/{}",
        meta["namespace"].as_str().unwrap(),
        meta["name"].as_str().unwrap()
    )
}
