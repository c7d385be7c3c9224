//! Which change makes whom look again; nothing here decides anything.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;

use super::hold;
use super::news::{News, asks, same_node, task_asks};
use super::queue::Queues;
use super::task::author;
use crate::api::{
    ContainerInstance, EcsCluster, EcsService, LastStatus, RunTask, SchedulingStrategy, Task, TaskDefinition,
};
use crate::build::{self, Pod};
use crate::cache::store::{Change, key_of};
use crate::cache::{Cache, task_of, wishes};
use crate::domain::resources::Resources;
use crate::ledger::Ledger;
use crate::plan::world::Key;
use crate::report::floor::floor_of;

/// Queues, and what is known of whom a change concerns.
pub(super) struct Wiring {
    pub(super) cache: Arc<Cache>,
    pub(super) queues: Arc<Queues>,
    pub(super) ledger: Ledger,
}

impl Wiring {
    fn all_clusters(&self) {
        for cluster in self.cache.clusters.all() {
            self.queues.clusters.push_named(cluster.name_any());
        }
    }

    /// A startup taint waits for the daemons of the cluster: who they are has changed.
    fn tainted_instances(&self, cluster: &str) {
        let waits = self.cache.clusters.named(cluster);
        if waits.is_none_or(|c| c.spec.startup_taint.is_none()) {
            return;
        }
        for instance in self
            .cache
            .instances
            .all()
            .iter()
            .filter(|i| i.spec.cluster == cluster)
        {
            self.queues.instances.push_named(instance.name_any());
        }
    }

    /// An instance's counts have changed, or may have: they can wait, and with them what else comes up.
    fn recount(&self, instance: &str) {
        let wait = self.ledger.counts_wait(instance);
        self.queues.instances.push_within(Key::new("", instance), wait);
    }

    /// The share that the ledger has of this task on its instance, if nothing there waits for a look because of it.
    fn share(&self, instance: &str, task: &Key, uid: &str) -> Option<Resources> {
        let object = self.cache.instances.named(instance)?;
        let cluster = self.cache.clusters.named(&object.spec.cluster)?;
        let mut entries = object.status.iter().flat_map(|s| &s.reservations);
        let entry = entries.find(|r| r.is_for(&task.namespace, &task.name) && r.admits(uid))?;
        cluster
            .spec
            .startup_taint
            .is_none()
            .then(|| entry.amounts.clone())
    }

    /// Whether what this Pod takes is in the ledger already.
    fn is_accounted(&self, node: &str, pod: &Pod) -> bool {
        let (Some(owner), Some(spec)) = (build::owner(pod), &pod.spec) else {
            return false;
        };
        let task = Key::new(pod.namespace().unwrap_or_default(), owner.task);
        let share = self.share(node, &task, owner.uid);
        share.is_some_and(|share| spec.takes.excess_over(&share) == Resources::default())
    }

    fn definitions_of(&self, namespace: Option<&str>) {
        for definition in self
            .cache
            .definitions
            .all()
            .iter()
            .filter(|d| d.namespace().as_deref() == namespace)
        {
            self.queues.definitions.push(key_of(definition.as_ref()));
        }
    }

    pub(super) fn node(&self, change: &Change<Node>) {
        if let Change::Put(Some(old), new) = change
            && same_node(old, new)
        {
            return;
        }
        let name = change.object().name_any();
        self.queues.nodes.push_named(&name);
        self.queues.instances.push_named(&name);
        let labels_stay = matches!(change, Change::Put(Some(old), new) if old.labels() == new.labels());
        if !labels_stay {
            self.all_clusters();
        }
        if matches!(change, Change::Removed(_)) {
            for task in self.cache.tasks.group(&name) {
                self.queues.tasks.push(key_of(task.as_ref()));
            }
        }
    }

    pub(super) fn pod(&self, change: &Change<Pod>) {
        let pod = change.object();
        if let Some(task) = task_of(pod) {
            self.queues.tasks.push(task);
        }
        if let Some(node) = pod.spec.as_ref().and_then(|s| s.node_name.as_ref()) {
            let ended = crate::cache::node::pod_ended(pod);
            let settled = match change {
                Change::Put(Some(old), _) => {
                    crate::cache::node::pod_ended(old) == ended
                        && old.spec == pod.spec
                        && build::owner(old) == build::owner(pod)
                }
                Change::Put(None, _) | Change::Removed(_) => false,
            };
            match change {
                _ if settled => {}
                Change::Put(None, _) if !ended && self.is_accounted(node, pod) => self.recount(node),
                _ => self.queues.instances.push_named(node),
            }
        }
    }

    pub(super) fn namespace(&self, change: &Change<Namespace>) {
        self.cache.clusters_changed();
        let name = change.object().name_any();
        self.services_where(|service| service.namespace().as_deref() == Some(&name));
        self.waiting_where(|task| task.namespace().as_deref() == Some(&name));
    }

    pub(super) fn cluster(&self, change: &Change<EcsCluster>) {
        self.cache.clusters_changed();
        let name = change.object().name_any();
        self.queues.clusters.push_named(&name);
        let status_only = matches!(change, Change::Put(Some(old), new) if old.metadata.generation == new.metadata.generation
            && old.metadata.deletion_timestamp == new.metadata.deletion_timestamp);
        if status_only {
            return;
        }
        // another cluster may select the same nodes
        self.all_clusters();
        for node in self.cache.nodes.all() {
            self.queues.nodes.push_named(node.name_any());
        }
        for instance in self.cache.instances.all() {
            self.queues.instances.push_named(instance.name_any());
        }
        self.services_where(|service| service.spec.cluster == name);
        self.waiting_where(|task| task.spec.cluster == name);
    }

    pub(super) fn instance(&self, change: &Change<ContainerInstance>) {
        let object = change.object();
        self.cache.instance_changed(&key_of(object.as_ref()));
        let name = object.name_any();
        self.queues.clusters.push_named(&object.spec.cluster);
        if matches!(change, Change::Removed(_)) {
            self.queues.nodes.push_named(&name);
        }
        let news = match change {
            Change::Put(Some(old), new) => News::of(old, new),
            Change::Put(None, _) | Change::Removed(_) => News::Any,
        };
        let taken_by = match news {
            News::Any => {
                self.queues.instances.push_named(&name);
                self.services_where(|service| service.spec.cluster == object.spec.cluster);
                self.waiting_where(|task| task.spec.cluster == object.spec.cluster);
                return;
            }
            News::Nothing => Vec::new(),
            News::Taken(by) => by,
        };
        self.recount(&name);
        // less room lets nobody start; who asks what runs here, and whose tasks these are, may do something
        let world = self.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
        self.services_where(|service| {
            service.spec.cluster == object.spec.cluster
                && (service.uid().is_some_and(|uid| taken_by.contains(&uid)) || asks(&world, service))
        });
        self.waiting_where(|task| task.spec.cluster == object.spec.cluster && task_asks(&world, task));
    }

    pub(super) fn definition(&self, change: &Change<TaskDefinition>) {
        let object = change.object();
        self.cache.definition_changed(&key_of(object.as_ref()));
        self.queues.definitions.push(key_of(object.as_ref()));
        self.services_where(|service| service.namespace() == object.namespace());
        self.waiting_where(|task| task.namespace() == object.namespace());
    }

    pub(super) fn service(&self, change: &Change<EcsService>) {
        let object = change.object();
        self.cache.service_changed(&key_of(object.as_ref()));
        self.queues.services.push(key_of(object.as_ref()));
        // what a daemon holds back decides on the others' room
        let daemon = object.spec.scheduling_strategy == SchedulingStrategy::Daemon;
        let deployments = |service: &EcsService| {
            service
                .status
                .iter()
                .flat_map(|s| &s.deployments)
                .map(|d| (d.id.clone(), d.rollout_state))
                .collect::<Vec<_>>()
        };
        let same = matches!(change, Change::Put(Some(old), new) if old.metadata.generation == new.metadata.generation
            && deployments(old) == deployments(new));
        if daemon && !same {
            self.services_where(|other| other.spec.cluster == object.spec.cluster);
            self.waiting_where(|task| task.spec.cluster == object.spec.cluster);
            self.tainted_instances(&object.spec.cluster);
        }
        if !same || matches!(change, Change::Removed(_)) {
            self.definitions_of(object.namespace().as_deref());
        }
        if !same {
            self.queues.clusters.push_named(&object.spec.cluster);
        }
    }

    pub(super) fn task(&self, change: &Change<Task>) {
        let object = change.object();
        let uid = object.uid().unwrap_or_default();
        match change {
            Change::Put(..) => self.ledger.fences().seen_author(&uid, &author(object)),
            Change::Removed(_) => self.ledger.fences().forget(&uid),
        }
        self.cache.task_changed(&key_of(object.as_ref()));
        self.queues.tasks.push(key_of(object.as_ref()));
        if let Some(of) = &object.spec.run_task {
            let request = Key::new(object.namespace().unwrap_or_default(), &of.name);
            self.queues.requests.push(request);
        }
        self.queues.clusters.push_named(&object.spec.cluster);
        let ended = |task: &Task| {
            task.status
                .as_ref()
                .is_some_and(|s| s.last_status == LastStatus::Stopped)
        };
        let lives = matches!(change, Change::Put(..)) && !ended(object) && !object.spec.tombstone;
        if let Some(instance) = &object.spec.container_instance {
            let share = || self.share(instance, &key_of(object.as_ref()), &uid);
            if lives && share().is_some() {
                self.recount(instance);
            } else {
                self.queues.instances.push_named(instance);
            }
        }
        if let Some(service) = &object.spec.service {
            self.queues
                .services
                .push(Key::new(object.namespace().unwrap_or_default(), &service.name));
        }
        self.begins_to_stop(change);
        let over = ended(object) || matches!(change, Change::Removed(_));
        let unbound = |task: &Task| task.spec.container_instance.is_none();
        let left = matches!(change, Change::Put(Some(old), new) if unbound(old)
            && (!unbound(new) || old.uid() != new.uid()));
        if left || (over && unbound(object)) {
            self.holders_of(&key_of(object.as_ref()));
        }
        if over {
            self.definitions_of(object.namespace().as_deref());
        }
        self.neighbours(change);
    }

    /// What is decided on a request is decided on its tasks.
    pub(super) fn request(&self, change: &Change<RunTask>) {
        let object = change.object();
        self.cache.request_changed(&key_of(object.as_ref()));
        self.queues.requests.push(key_of(object.as_ref()));
        let tasks = match change {
            Change::Put(Some(old), new) if wishes::request(old) == wishes::request(new) => return,
            Change::Put(..) => self.cache.tasks.group(""),
            Change::Removed(_) => self.cache.tasks.all(),
        };
        let of = |task: &Task| task.spec.run_task.as_ref().map(|of| &of.uid) == object.metadata.uid.as_ref();
        for task in tasks.iter().filter(|task| of(task)) {
            self.queues.tasks.push(key_of(task.as_ref()));
        }
    }

    /// A budget of ours that somebody changed or deleted is put right.
    pub(super) fn budget(&self, change: &Change<PodDisruptionBudget>) {
        if let Some(task) = hold::concerned(&self.cache, change) {
            self.queues.tasks.push(task);
        }
        let budget = change.object();
        let settled = matches!(change, Change::Put(Some(old), new) if old.spec == new.spec);
        if let Some(service) = floor_of(&budget.name_any()).filter(|_| !settled) {
            self.queues
                .services
                .push(Key::new(budget.namespace().unwrap_or_default(), service));
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::Client;
    use serde_json::{Value, json};

    use super::*;
    use crate::runtime::metrics::Metrics;

    fn wiring() -> Wiring {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>("nothing is asked for")
        });
        let cache = Arc::new(Cache::default());
        let ledger = Ledger::new(Client::new(service, "default"), cache.clone(), Metrics::default());
        Wiring {
            cache,
            queues: Arc::default(),
            ledger,
        }
    }

    fn pod(name: &str, phase: &str, labels: &Value) -> Arc<Pod> {
        let pod = json!({ "metadata": { "name": name, "namespace": "shop", "labels": labels },
            "spec": { "nodeName": "n1", "containers": [] }, "status": { "phase": phase } });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[tokio::test]
    async fn what_waits_for_a_place_looks_again_when_an_instance_changes_the_oldest_first_run_2() {
        let wiring = wiring();
        let task = |name: &str, second: u32, spec: Value| -> Task {
            let at = format!("2026-01-01T00:00:{second:02}Z");
            let meta = json!({ "name": name, "namespace": "shop", "uid": name, "resourceVersion": "5",
                "creationTimestamp": at });
            serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
        };
        let waiting = json!({ "cluster": "default", "taskDefinition": "job" });
        let mut stopped = waiting.clone();
        stopped["desiredStatus"] = json!("STOPPED");
        let bound = json!({ "cluster": "default", "taskDefinition": "job", "containerInstance": "n2" });
        let other = json!({ "cluster": "other", "taskDefinition": "job" });
        for (name, second, spec) in [
            ("a-younger", 9, &waiting),
            ("b-older", 3, &waiting),
            ("c", 1, &stopped),
            ("d", 1, &bound),
            ("e", 1, &other),
        ] {
            wiring.cache.tasks.put(task(name, second, spec.clone()));
        }
        let instance = json!({ "metadata": { "name": "n1" }, "spec": { "cluster": "default" } });
        let instance: ContainerInstance = serde_json::from_value(instance).unwrap();
        wiring.instance(&Change::Put(None, Arc::new(instance)));
        let looks: Vec<Key> = std::iter::from_fn(|| wiring.queues.tasks.take()).collect();
        assert_eq!(looks, ["b-older", "a-younger"].map(|name| Key::new("shop", name)));
    }

    #[tokio::test]
    async fn counts_of_an_instance_are_news_to_who_asks_what_runs_there_cql_15() {
        let wiring = wiring();
        let rule = |expression: &str| json!([{ "type": "memberOf", "expression": expression }]);
        for (name, rules) in [("asks", rule("runningTasksCount == 0")), ("does-not", json!([]))] {
            let spec =
                json!({ "taskDefinition": "job", "cluster": "default", "placementConstraints": rules });
            let meta = json!({ "name": name, "namespace": "shop", "resourceVersion": "5" });
            let object = json!({ "metadata": meta, "spec": spec });
            wiring
                .cache
                .tasks
                .put(serde_json::from_value(object.clone()).unwrap());
            wiring
                .cache
                .learn_service(serde_json::from_value(object).unwrap());
        }
        let instance = |running: u32| -> Arc<ContainerInstance> {
            let object = json!({ "metadata": { "name": "n1" }, "spec": { "cluster": "default" },
                "status": { "status": "ACTIVE", "runningTasksCount": running } });
            Arc::new(serde_json::from_value(object).unwrap())
        };
        wiring.instance(&Change::Put(Some(instance(1)), instance(0)));
        let asked = Some(Key::new("shop", "asks"));
        for queue in [&wiring.queues.tasks, &wiring.queues.services] {
            assert_eq!((queue.take(), queue.take()), (asked.clone(), None));
        }
        assert_eq!(wiring.queues.instances.take(), None, "which waits for more");
    }

    #[tokio::test]
    async fn a_share_elsewhere_is_looked_at_when_its_task_is_bound_or_replaced_run_1() {
        let wiring = wiring();
        let entry = json!({ "namespace": "shop", "task": "t", "uid": "t", "since": "",
            "amounts": { "cpu": 1, "memory": 1, "pods": 1 } });
        let held = json!({ "metadata": { "name": "n1", "resourceVersion": "1" }, "spec": { "cluster": "default" },
            "status": { "status": "ACTIVE", "reservations": [entry] } });
        wiring.cache.instances.put(serde_json::from_value(held).unwrap());
        let task = |uid: &str, instance: Option<&str>| -> Arc<Task> {
            let spec =
                json!({ "cluster": "default", "taskDefinition": "job", "containerInstance": instance });
            let meta = json!({ "name": "t", "namespace": "shop", "uid": uid });
            Arc::new(serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap())
        };
        let looks = |change: Change<Task>| {
            wiring.task(&change);
            std::iter::from_fn(|| wiring.queues.instances.take())
                .filter(|key| key.name == "n1")
                .count()
        };
        assert_eq!(
            looks(Change::Put(None, task("t", None))),
            0,
            "it may be bound there yet"
        );
        assert_eq!(
            looks(Change::Put(Some(task("t", None)), task("t", Some("n2")))),
            1
        );
        assert_eq!(looks(Change::Put(Some(task("t", None)), task("u", None))), 1);
        assert_eq!(looks(Change::Removed(task("t", None))), 1);
        assert_eq!(
            looks(Change::Put(Some(task("t", Some("n2"))), task("t", Some("n2")))),
            0
        );
    }

    #[tokio::test]
    async fn the_end_of_a_pod_that_lost_its_label_is_its_tasks_business_still_f5() {
        let wiring = wiring();
        let old = pod("t1-aaaaaaaa", "Running", &json!({}));
        let new = pod("t1-aaaaaaaa", "Succeeded", &json!({}));
        wiring.pod(&Change::Put(Some(old), new));
        assert_eq!(wiring.queues.tasks.take(), Some(Key::new("shop", "t1")));
    }
}
