//! Histories made by hand: a small cluster whose writes are recorded one by one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::audit::{Event, History, Kind, Record};

/// Namespace of everything that has one.
const NAMESPACE: &str = "web";
/// Reason of scale-in, deployment and drain.
pub(super) const SCALING: &str = "Scaling activity initiated by (deployment ecs-svc/1)";

/// A cluster of two instances, `n1` and `n2`, with 1000 CPU units, 1000 MiB, 5 Pod slots and 1 GPU each.
pub(super) struct Scene {
    version: u64,
    now: Timestamp,
    records: Vec<Record>,
    objects: BTreeMap<(Kind, String), Value>,
}

fn record(version: u64, event: Event, kind: Kind, object: Option<Value>) -> Record {
    Record {
        version,
        event,
        kind,
        number: None,
        at: None,
        object,
        note: None,
    }
}

pub(super) fn cpu(units: i64) -> Value {
    json!({ "cpu": units, "memory": 100, "pods": 1 })
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Self {
            version: 90,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            records: Vec::new(),
            objects: BTreeMap::new(),
        };
        scene.add(Kind::EcsCluster, "default", json!({ "spec": {} }));
        for name in ["n1", "n2"] {
            scene.add(Kind::Node, name, json!({}));
            let registered = json!({ "cpu": 1000, "memory": 1000, "pods": 5, "gpu": 1, "ports": [22] });
            let status = json!({ "status": "ACTIVE", "agentConnected": true, "schedulable": true,
                "registeredResources": registered, "ledgerVersion": 1, "reservations": [] });
            let spec = json!({ "cluster": "default", "status": "ACTIVE" });
            let object = json!({ "spec": spec, "status": status });
            scene.add(Kind::ContainerInstance, name, object);
        }
        scene.version = 100;
        for record in &mut scene.records {
            (record.event, record.version, record.at) = (Event::Listed, 100, None);
        }
        scene.sync();
        scene
    }

    /// Every kind is complete up to here.
    pub(super) fn sync(&mut self) {
        let version = self.version;
        self.records
            .extend(Kind::ALL.map(|kind| record(version, Event::Sync, kind, None)));
    }

    pub(super) fn end(mut self) -> History {
        self.sync();
        History::new(self.records)
    }

    /// The records so far, to be broken.
    pub(super) fn records(mut self) -> Vec<Record> {
        self.sync();
        self.records
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub(super) fn in_seconds(&self, seconds: i64) -> String {
        self.now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap()
            .to_string()
    }

    fn write(&mut self, event: Event, kind: Kind, object: &Value) {
        let mut written = record(self.version, event, kind, Some(object.clone()));
        written.at = Some(self.now);
        self.records.push(written);
    }

    pub(super) fn add(&mut self, kind: Kind, name: &str, mut object: Value) {
        self.version += 1;
        let meta = &mut object["metadata"];
        meta["name"] = json!(name);
        meta["uid"] = json!(format!("{kind}-{name}").to_lowercase());
        meta["generation"] = json!(1);
        meta["resourceVersion"] = json!(self.version.to_string());
        meta["creationTimestamp"] = json!(self.now.to_string());
        if matches!(kind, Kind::EcsService | Kind::Task | Kind::Pod) {
            meta["namespace"] = json!(NAMESPACE);
        }
        self.write(Event::Added, kind, &object);
        self.objects.insert((kind, name.to_owned()), object);
    }

    pub(super) fn edit(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        self.version += 1;
        let key = (kind, name.to_owned());
        let mut object = self.objects[&key].clone();
        change(&mut object);
        let deleting = |o: &Value| o["metadata"]["deletionTimestamp"].is_null();
        if object["spec"] != self.objects[&key]["spec"] || deleting(&object) != deleting(&self.objects[&key])
        {
            let generation = object["metadata"]["generation"].as_i64().unwrap();
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.write(Event::Modified, kind, &object);
        self.objects.insert(key, object);
    }

    /// Its deletion is asked for.
    pub(super) fn ask_away(&mut self, kind: Kind, name: &str) {
        let now = self.now.to_string();
        self.edit(kind, name, |o| o["metadata"]["deletionTimestamp"] = json!(now));
    }

    pub(super) fn delete(&mut self, kind: Kind, name: &str) {
        self.version += 1;
        let mut object = self.objects.remove(&(kind, name.to_owned())).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.write(Event::Deleted, kind, &object);
    }

    fn get(&self, kind: Kind, name: &str) -> &Value {
        &self.objects[&(kind, name.to_owned())]
    }

    pub(super) fn replica(&mut self, name: &str, desired: i64, minimum: i64, maximum: i64) {
        let percent = json!({ "minimumHealthyPercent": minimum, "maximumPercent": maximum });
        let spec = json!({ "cluster": "default", "taskDefinition": "web:1", "schedulingStrategy": "REPLICA",
            "desiredCount": desired, "deploymentConfiguration": percent });
        let status = json!({ "status": "ACTIVE", "desiredCount": desired });
        self.add(Kind::EcsService, name, json!({ "spec": spec, "status": status }));
    }

    pub(super) fn daemon(&mut self, name: &str, minimum: i64) {
        let percent = json!({ "minimumHealthyPercent": minimum });
        let spec = json!({ "cluster": "default", "taskDefinition": "log:1", "schedulingStrategy": "DAEMON",
            "deploymentConfiguration": percent });
        let status = json!({ "status": "ACTIVE", "desiredCount": 2 });
        self.add(Kind::EcsService, name, json!({ "spec": spec, "status": status }));
    }

    /// What tasks and shares say of their service.
    fn service_of(&self, service: &str) -> Value {
        if service.is_empty() {
            return Value::Null;
        }
        let object = self.get(Kind::EcsService, service);
        let daemon = object["spec"]["schedulingStrategy"] == "DAEMON";
        json!({ "name": service, "uid": object["metadata"]["uid"], "daemon": daemon, "deployment": "ecs-svc/1" })
    }

    pub(super) fn entry(&self, task: &str, service: &str, amounts: &Value) -> Value {
        json!({ "namespace": NAMESPACE, "task": task, "service": self.service_of(service), "amounts": amounts,
            "since": self.now.to_string() })
    }

    pub(super) fn reserve_amounts(&mut self, instance: &str, task: &str, service: &str, amounts: &Value) {
        let entry = self.entry(task, service, amounts);
        self.edit(Kind::ContainerInstance, instance, |o| {
            o["status"]["reservations"].as_array_mut().unwrap().push(entry);
        });
    }

    pub(super) fn reserve(&mut self, instance: &str, task: &str, service: &str) {
        self.reserve_amounts(instance, task, service, &cpu(100));
    }

    pub(super) fn release(&mut self, instance: &str, task: &str) {
        self.edit(Kind::ContainerInstance, instance, |o| {
            let entries = o["status"]["reservations"].as_array_mut().unwrap();
            entries.retain(|entry| entry["task"] != task);
        });
    }

    pub(super) fn task(&mut self, task: &str, instance: &str, service: &str) {
        let service = self.service_of(service);
        let spec = json!({ "cluster": "default", "containerInstance": instance, "taskDefinition": "web:1",
            "desiredStatus": "RUNNING", "service": service });
        self.add(Kind::Task, task, json!({ "spec": spec }));
    }

    /// A task waits in an instance's queue.
    pub(super) fn queue(&mut self, instance: &str, task: &str, service: &str) {
        let mut entry = self.entry(task, service, &cpu(100));
        entry["uid"] = self.get(Kind::Task, task)["metadata"]["uid"].clone();
        self.edit(Kind::ContainerInstance, instance, |o| {
            o["status"]["queue"] = json!([entry]);
        });
    }

    /// A run-once task that nobody has bound.
    pub(super) fn unbound(&mut self, task: &str) {
        let spec = json!({ "cluster": "default", "taskDefinition": "web:1", "desiredStatus": "RUNNING" });
        self.add(Kind::Task, task, json!({ "spec": spec }));
    }

    pub(super) fn pod(&mut self, name: &str, task: &str, node: &str) {
        let uid = self.get(Kind::Task, task)["metadata"]["uid"].clone();
        let owner = json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "name": task,
            "uid": uid, "controller": true });
        let meta = json!({ "labels": { "ecs-operator.dev/task": task }, "ownerReferences": [owner] });
        let spec = json!({ "nodeName": node, "containers": [{ "name": "main" }] });
        self.add(
            Kind::Pod,
            name,
            json!({ "metadata": meta, "spec": spec, "status": { "phase": "Pending" } }),
        );
    }

    pub(super) fn phase(&mut self, pod: &str, phase: &str) {
        self.edit(Kind::Pod, pod, |o| o["status"]["phase"] = json!(phase));
    }

    /// The Task's status says so.
    pub(super) fn last(&mut self, task: &str, status: &str) {
        let now = self.now.to_string();
        self.edit(Kind::Task, task, |o| {
            o["status"]["lastStatus"] = json!(status);
            if status == "RUNNING" {
                o["status"]["startedAt"] = json!(now);
            }
        });
    }

    /// A task with everything, from its share to RUNNING.
    pub(super) fn run(&mut self, task: &str, instance: &str, service: &str) {
        self.reserve(instance, task, service);
        self.create(task, instance, service);
    }

    /// The same for a task that has its share.
    pub(super) fn create(&mut self, task: &str, instance: &str, service: &str) {
        self.task(task, instance, service);
        self.pod(&format!("{task}-pod"), task, instance);
        self.phase(&format!("{task}-pod"), "Running");
        self.last(task, "RUNNING");
    }

    /// The Task is told to stop by a scheduler.
    pub(super) fn tell(&mut self, task: &str, reason: &str) {
        self.edit(Kind::Task, task, |o| {
            o["spec"]["desiredStatus"] = json!("STOPPED");
            o["spec"]["stopCode"] = json!("ServiceSchedulerInitiated");
            o["spec"]["stoppedReason"] = json!(reason);
        });
    }

    /// A task that was told to stop ends, and gives its share back.
    pub(super) fn finish(&mut self, task: &str, instance: &str) {
        self.phase(&format!("{task}-pod"), "Succeeded");
        self.last(task, "STOPPED");
        self.release(instance, task);
    }

    pub(super) fn protect(&mut self, task: &str, seconds: i64) {
        let until = self.in_seconds(seconds);
        self.edit(Kind::Task, task, |o| o["status"]["protectedUntil"] = json!(until));
    }

    fn task_version(&self) -> String {
        let versions = self.records.iter().filter(|r| r.kind == Kind::Task);
        versions.map(|r| r.version).max().unwrap().to_string()
    }

    /// A planning write: ids given out and tasks to stop; what the lists held before goes.
    pub(super) fn plan(&mut self, service: &str, start: &[&str], stop: &[&str], reason: &str) {
        let seen = self.task_version();
        let start: Vec<Value> = start
            .iter()
            .map(|id| json!({ "id": id, "deployment": "ecs-svc/1", "createdAt": self.now.to_string() }))
            .collect();
        let mark = |id: &&str| {
            let meta = &self.get(Kind::Task, id)["metadata"];
            json!({ "id": id, "uid": meta["uid"], "taskVersion": meta["resourceVersion"], "reason": reason })
        };
        let stop: Vec<Value> = stop.iter().map(mark).collect();
        self.edit(Kind::EcsService, service, |o| {
            o["status"]["allocations"] = json!(start);
            o["status"]["stopping"] = json!(stop);
            o["status"]["observedTaskVersion"] = json!(seen);
        });
    }

    pub(super) fn drain(&mut self, instance: &str) {
        self.edit(Kind::ContainerInstance, instance, |o| {
            o["spec"]["status"] = json!("DRAINING");
        });
        self.edit(Kind::ContainerInstance, instance, |o| {
            o["status"]["status"] = json!("DRAINING");
        });
    }

    /// A Task that takes the place of one that never came.
    pub(super) fn tombstone(&mut self, task: &str, service: &str) {
        let service = self.service_of(service);
        let spec = json!({ "cluster": "default", "containerInstance": "n1", "taskDefinition": "web:1",
            "desiredStatus": "STOPPED", "tombstone": true, "service": service });
        self.add(Kind::Task, task, json!({ "spec": spec }));
    }
}
