//! Who edits: what a cluster's users do to it, at times that the seed says, and how they put it right at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecs_operator::audit::Kind;
use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::history::path_of;
use crate::kubelets::CUT_OFF;
use crate::network::{Network, Who, between};

/// The namespace that stays.
pub(crate) const MAIN: &str = "main";
/// The namespace that may be deleted.
const SIDE: &str = "side";
/// Instances that are there from the beginning; the first of them are never taken away.
const NODES: usize = 3;
const NODES_THAT_STAY: usize = 3;
/// Replica services and how many tasks each has in the end.
pub(crate) const REPLICAS: [(&str, i64); 2] = [("red", 2), ("green", 3)];
/// The daemon service.
pub(crate) const DAEMON: &str = "agent";
/// A task that the user names.
const JOB: &str = "job";
/// A request for tasks that the user names.
const BATCH: &str = "batch";
const GROUP: &str = "/apis/ecs-operator.dev/v1alpha1";

/// The user.
pub(crate) struct User {
    network: Arc<Network>,
    rng: StdRng,
    next_node: usize,
    habits: Habits,
    /// The cluster's optimisticPlacement.
    placement: &'static str,
}

/// What a user does, as often as it stands here.
pub(crate) type Habits = &'static [Edit];

/// One thing a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Scale,
    Revise,
    ReviseDaemon,
    Drain,
    Attribute,
    Constraint,
    StopTask,
    DeletePod,
    DeleteService,
    CreateServices,
    CutOff,
    Machine,
    Namespace,
    Cordon,
    Job,
    Protect,
    Run,
    Together,
}

/// All that there is.
pub(crate) const EVERYTHING: Habits = {
    use Edit::{
        Attribute, Constraint, Cordon, CreateServices, CutOff, DeletePod, DeleteService, Drain, Job, Machine,
        Namespace, Protect, Revise, ReviseDaemon, Run, Scale, StopTask,
    };
    &[
        Scale,
        Scale,
        Scale,
        Revise,
        Revise,
        ReviseDaemon,
        Drain,
        Drain,
        Attribute,
        Constraint,
        StopTask,
        StopTask,
        DeletePod,
        DeleteService,
        CreateServices,
        CutOff,
        Machine,
        Namespace,
        Cordon,
        Job,
        Protect,
        Protect,
        Run,
        Run,
    ]
};

impl User {
    /// A user whose ideas come from `seed`.
    pub(crate) fn new(network: Arc<Network>, seed: u64, habits: Habits) -> Self {
        Self {
            habits,
            network,
            rng: StdRng::seed_from_u64(seed),
            next_node: NODES,
            placement: match seed % 4 {
                2 => "on",
                3 => "smart",
                _ => "off",
            },
        }
    }

    /// What there is before anything goes wrong.
    pub(crate) fn set_up(&mut self) {
        for namespace in [MAIN, SIDE] {
            self.create(
                "/api/v1/namespaces",
                &json!({ "metadata": { "name": namespace } }),
            );
        }
        let cluster = json!({ "metadata": { "name": "default" }, "spec": {
            "healthyAfterSeconds": 1, "optimisticPlacement": self.placement } });
        self.create(&format!("{GROUP}/ecsclusters"), &cluster);
        for node in 0..NODES {
            self.node(&format!("n{node}"));
        }
        for namespace in [MAIN, SIDE] {
            let sizes = if self.crowded() { [384, 384] } else { [256, 448] };
            for (revision, cpu) in (1..).zip(sizes) {
                self.create(
                    &format!("{GROUP}/namespaces/{namespace}/taskdefinitions"),
                    &definition("web", revision, cpu),
                );
            }
        }
        for (name, count) in REPLICAS {
            self.replica(MAIN, name, count);
        }
        self.daemon();
        // in a crowded cluster there would be no room for it in the end
        if self.rng.random_bool(0.5) && !self.crowded() {
            self.replica(SIDE, "blue", 2);
        }
    }

    /// Whether there is so little room that tasks wait behind stopping ones: a rollout or a drain is enough. (OPT-1)
    fn crowded(&self) -> bool {
        self.placement != "off"
    }

    fn replica(&self, namespace: &str, name: &str, count: i64) {
        let spec = json!({ "taskDefinition": "web:1", "desiredCount": count });
        let body = json!({ "metadata": { "name": name }, "spec": spec });
        self.create(&format!("{GROUP}/namespaces/{namespace}/ecsservices"), &body);
    }

    fn daemon(&self) {
        let spec = json!({ "taskDefinition": "web:1", "schedulingStrategy": "DAEMON" });
        let body = json!({ "metadata": { "name": DAEMON }, "spec": spec });
        self.create(&format!("{GROUP}/namespaces/{MAIN}/ecsservices"), &body);
    }

    /// A machine joins.
    fn node(&self, name: &str) {
        let cpu = if self.crowded() { "1200m" } else { "2" };
        let resources = json!({ "cpu": cpu, "memory": "4Gi", "pods": "20" });
        let node = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
            "spec": { "providerID": format!("simulated:///{name}") },
        });
        self.create("/api/v1/nodes", &node);
        let status = json!({ "status": {
            "capacity": resources, "allocatable": resources,
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": { "kubeletVersion": "v1.35.0", "architecture": "amd64", "operatingSystem": "linux",
                "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "machineID": "", "osImage": "", "systemUUID": "" },
        }});
        self.patch(&format!("/api/v1/nodes/{name}/status"), &status);
    }

    /// A kubelet falls silent, or speaks again.
    fn cut_off(&self, node: &str, cut_off: bool) {
        let mark = cut_off.then_some("yes");
        let path = format!("/api/v1/nodes/{node}");
        self.patch(
            &path,
            &json!({ "metadata": { "annotations": { CUT_OFF: mark } } }),
        );
        let ready = if cut_off { "Unknown" } else { "True" };
        let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
        self.patch(&format!("{path}/status"), &status);
    }

    /// Time until the next edit.
    pub(crate) fn pause(&mut self) -> Duration {
        let longest = *[300, 2_000, 12_000, 40_000].choose(&mut self.rng).unwrap();
        between(
            &mut self.rng,
            Duration::from_millis(5),
            Duration::from_millis(longest),
        )
    }

    /// One edit.
    pub(crate) fn edit(&mut self) {
        let node = format!("n{}", self.rng.random_range(0..self.next_node));
        let service = REPLICAS[self.rng.random_range(0..REPLICAS.len())].0;
        let instance = format!("{GROUP}/containerinstances/{node}");
        let services = format!("{GROUP}/namespaces/{MAIN}/ecsservices");
        let mortal = self
            .rng
            .random_range(NODES_THAT_STAY..self.next_node.max(NODES_THAT_STAY + 1));
        let mortal = format!("n{mortal}");
        match *self.habits.choose(&mut self.rng).unwrap() {
            Edit::Scale => {
                let count = self.rng.random_range(0..6);
                self.patch(
                    &format!("{services}/{service}"),
                    &json!({ "spec": { "desiredCount": count } }),
                );
            }
            edit @ (Edit::Revise | Edit::ReviseDaemon) => {
                let whose = if edit == Edit::ReviseDaemon {
                    DAEMON
                } else {
                    service
                };
                let revision = format!("web:{}", self.rng.random_range(1..3));
                let spec = json!({ "spec": { "taskDefinition": revision } });
                self.patch(&format!("{services}/{whose}"), &spec);
            }
            Edit::Drain => {
                let status = if self.rng.random_bool(0.6) {
                    "DRAINING"
                } else {
                    "ACTIVE"
                };
                self.patch(&instance, &json!({ "spec": { "status": status } }));
            }
            Edit::Attribute => {
                let name = "tier";
                let value = *["gold", "tin"].choose(&mut self.rng).unwrap();
                let spec = json!({ "spec": { "attributes": [{ "name": name, "value": value }] } });
                self.patch(&instance, &spec);
            }
            Edit::Constraint => {
                let whose = if self.rng.random_bool(0.5) {
                    DAEMON
                } else {
                    service
                };
                let expression = json!([{ "type": "memberOf", "expression": "not(attribute:tier == tin)" }]);
                let constraints = if self.rng.random_bool(0.5) {
                    expression
                } else {
                    json!([])
                };
                let spec = json!({ "spec": { "placementConstraints": constraints } });
                self.patch(&format!("{services}/{whose}"), &spec);
            }
            Edit::StopTask => self.delete_one_of(Kind::Task, None),
            Edit::DeletePod => {
                let grace = self.rng.random_bool(0.4).then_some(0);
                self.delete_one_of(Kind::Pod, grace);
            }
            Edit::DeleteService => {
                let whose = if self.rng.random_bool(0.3) {
                    DAEMON
                } else {
                    service
                };
                self.delete(&format!("{services}/{whose}"), None);
            }
            Edit::CreateServices => self.put_services_back(),
            Edit::CutOff => {
                let cut_off = self.rng.random_bool(0.6);
                self.cut_off(&node, cut_off);
            }
            Edit::Machine => match self.rng.random_range(0..4) {
                0 => self.delete(&format!("/api/v1/nodes/{mortal}"), None),
                1 => self.delete(&format!("{GROUP}/containerinstances/{mortal}"), None),
                2 => self.node(&mortal),
                _ => {
                    self.node(&format!("n{}", self.next_node));
                    self.next_node += 1;
                }
            },
            Edit::Namespace => self.delete(&format!("/api/v1/namespaces/{SIDE}"), None),
            Edit::Cordon => {
                let cordoned = self.rng.random_bool(0.6).then_some(true);
                let spec = json!({ "spec": { "unschedulable": cordoned } });
                self.patch(&format!("/api/v1/nodes/{node}"), &spec);
            }
            Edit::Job => self.job(&node),
            Edit::Protect => self.protect(),
            Edit::Run => self.run(),
            Edit::Together => {
                self.request(&json!({ "taskDefinition": "web:2", "count": 4, "commit": "AllOrNothing" }));
            }
        }
    }

    fn request(&self, spec: &Value) {
        let requests = format!("{GROUP}/namespaces/{MAIN}/runtasks");
        self.create(&requests, &json!({ "metadata": { "name": BATCH }, "spec": spec }));
    }

    /// Several tasks at once, those that have a place or all or none; or what there is of them ends. The name comes again.
    fn run(&mut self) {
        if self.rng.random_bool(0.3) {
            return self.delete(&format!("{GROUP}/namespaces/{MAIN}/runtasks/{BATCH}"), None);
        }
        let mut spec = json!({ "taskDefinition": "web", "count": self.rng.random_range(1..6) });
        if self.rng.random_bool(0.7) {
            spec["commit"] = json!("AllOrNothing");
        }
        if self.rng.random_bool(0.5) {
            spec["queueUntil"] = json!("2999-01-01T00:00:00Z");
        }
        if self.rng.random_bool(0.5) {
            let cpu = self.rng.random_range(0..1500);
            spec["overrides"] = json!({ "containerOverrides": [{ "name": "main", "cpu": cpu }] });
        }
        self.request(&spec);
    }

    /// A task that the user names and binds, or leaves to the operator to bind, or ends. Its name comes again. (F4)
    fn job(&mut self, node: &str) {
        let tasks = format!("{GROUP}/namespaces/{MAIN}/tasks");
        if self.rng.random_bool(0.4) {
            return self.delete(&format!("{tasks}/{JOB}"), None);
        }
        let mut spec = json!({ "taskDefinition": "web:1" });
        if self.rng.random_bool(0.3) {
            let cpu = self.rng.random_range(0..2048);
            spec["overrides"] = json!({ "containerOverrides": [{ "name": "main", "cpu": cpu }] });
        }
        match self.rng.random_range(0..4) {
            0 | 1 => spec["containerInstance"] = json!(node),
            2 => {
                spec["queueUntil"] = json!("2999-01-01T00:00:00Z");
                spec["placementConstraints"] = json!([{ "type": "distinctInstance" }]);
            }
            _ => (),
        }
        self.create(&tasks, &json!({ "metadata": { "name": JOB }, "spec": spec }));
    }

    /// A task of a service is protected for some minutes, or no longer. (PROT-1, PROT-2)
    fn protect(&mut self) {
        let mut tasks = self.all(Kind::Task);
        tasks.retain(|task| !task["spec"]["service"].is_null() && task["spec"]["desiredStatus"] != "STOPPED");
        let Some(path) = self.one_of(Kind::Task, tasks) else {
            return;
        };
        let renewal = self.rng.random_range(0..1000).to_string();
        let minutes = self.rng.random_range(1..4);
        let protection = if self.rng.random_bool(0.7) {
            json!({ "protectionEnabled": true, "expiresInMinutes": minutes, "renewal": renewal })
        } else {
            json!({ "protectionEnabled": false })
        };
        self.patch(&path, &json!({ "spec": { "protection": protection } }));
    }

    fn put_services_back(&self) {
        for (name, count) in REPLICAS {
            self.replica(MAIN, name, count);
        }
        self.daemon();
    }

    /// Puts everything right, so that there is one state in which the world may come to rest.
    pub(crate) fn mend(&self) {
        for node in self.all(Kind::Node) {
            let name = node["metadata"]["name"].as_str().unwrap();
            self.cut_off(name, false);
            let uncordoned = json!({ "spec": { "unschedulable": null } });
            self.patch(&format!("/api/v1/nodes/{name}"), &uncordoned);
        }
        for instance in self.all(Kind::ContainerInstance) {
            let name = instance["metadata"]["name"].as_str().unwrap();
            let spec = json!({ "spec": { "status": "ACTIVE", "attributes": [] } });
            self.patch(&format!("{GROUP}/containerinstances/{name}"), &spec);
        }
        self.delete(&format!("{GROUP}/namespaces/{MAIN}/tasks/{JOB}"), None);
        self.delete(&format!("{GROUP}/namespaces/{MAIN}/runtasks/{BATCH}"), None);
        for task in self
            .all(Kind::Task)
            .iter()
            .filter(|t| !t["spec"]["protection"].is_null())
        {
            let meta = &task["metadata"];
            let (namespace, name) = (
                meta["namespace"].as_str().unwrap(),
                meta["name"].as_str().unwrap(),
            );
            let path = format!("{GROUP}/namespaces/{namespace}/tasks/{name}");
            self.patch(&path, &json!({ "spec": { "protection": null } }));
        }
        self.settle();
    }

    /// The services as they should be in the end; one that was deleted comes back when its predecessor is gone.
    pub(crate) fn settle(&self) {
        self.put_services_back();
        let counts: BTreeMap<&str, i64> = REPLICAS.into();
        for service in self.all(Kind::EcsService) {
            let meta = &service["metadata"];
            if meta["namespace"] != MAIN || !meta["deletionTimestamp"].is_null() {
                continue;
            }
            let name = meta["name"].as_str().unwrap();
            let mut spec = json!({ "placementConstraints": [] });
            if let Some(count) = counts.get(name) {
                spec["desiredCount"] = json!(count);
            }
            self.patch(
                &format!("{GROUP}/namespaces/{MAIN}/ecsservices/{name}"),
                &json!({ "spec": spec }),
            );
        }
    }

    fn all(&self, kind: Kind) -> Vec<Value> {
        self.network
            .recorded(|recording| recording.all(kind).cloned().collect())
    }

    fn delete_one_of(&mut self, kind: Kind, grace: Option<i64>) {
        let all = self.all(kind);
        if let Some(path) = self.one_of(kind, all) {
            self.delete(&path, grace);
        }
    }

    /// The path of one of these objects.
    fn one_of(&mut self, kind: Kind, mut all: Vec<Value>) -> Option<String> {
        // in the order of names, which the seed fixes as well as it does uids
        all.sort_by_key(|object| object["metadata"]["name"].to_string());
        let one = all.choose(&mut self.rng)?;
        let (namespace, name) = (
            one["metadata"]["namespace"].as_str().unwrap(),
            one["metadata"]["name"].as_str().unwrap(),
        );
        let (prefix, plural) = path_of(kind).rsplit_once('/').unwrap();
        Some(format!("{prefix}/namespaces/{namespace}/{plural}/{name}"))
    }

    fn create(&self, path: &str, object: &Value) {
        self.network
            .note(&format!("the user creates {path} {}", object["metadata"]["name"]));
        let mut object = object.clone();
        let plural = path.rsplit('/').next().unwrap();
        let (version, kind) = match plural {
            "namespaces" => ("v1", "Namespace"),
            "nodes" => ("v1", "Node"),
            "ecsclusters" => ("ecs-operator.dev/v1alpha1", "EcsCluster"),
            "taskdefinitions" => ("ecs-operator.dev/v1alpha1", "TaskDefinition"),
            "ecsservices" => ("ecs-operator.dev/v1alpha1", "EcsService"),
            "runtasks" => ("ecs-operator.dev/v1alpha1", "RunTask"),
            _ => ("ecs-operator.dev/v1alpha1", "Task"),
        };
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        let (code, answer) = self.network.send(Who::User, Method::POST, path, Some(&object));
        // what exists stays, and a namespace that goes takes nothing in
        assert!(matches!(code, 201 | 403 | 404 | 409), "{path}: {code} {answer}");
    }

    fn patch(&self, path: &str, change: &Value) {
        self.network.note(&format!("the user patches {path} {change}"));
        let (code, answer) = self.network.send(Who::User, Method::PATCH, path, Some(change));
        assert!(matches!(code, 200 | 404), "{path}: {code} {answer}");
    }

    fn delete(&self, path: &str, grace: Option<i64>) {
        self.network.note(&format!("the user deletes {path}"));
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace });
        let (code, answer) = self.network.send(Who::User, Method::DELETE, path, Some(&options));
        assert!(matches!(code, 200 | 202 | 404 | 409), "{path}: {code} {answer}");
    }
}

fn definition(family: &str, revision: i64, cpu: i64) -> Value {
    let container = json!({ "name": "main", "image": "web", "cpu": cpu, "memory": 64 });
    json!({
        "metadata": { "name": format!("{family}.{revision}") },
        "spec": { "family": family, "revision": revision, "containerDefinitions": [container] },
    })
}
