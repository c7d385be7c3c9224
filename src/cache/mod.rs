//! What is known of the cluster: one store per kind, and the planner's world kept in step with them.

pub mod convert;
#[cfg(feature = "testing")]
mod delay;
pub mod feed;
pub mod node;
pub mod service;
pub mod store;
mod wishes;

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;

use crate::api::{ContainerInstance, EcsCluster, EcsService, Task, TaskDefinition};
use crate::build::{Pod, named_for, owner};
use crate::domain::resources::Resources;
use crate::plan::world::{Key, World};
use store::{Store, key_of};

/// The Task that a Pod may be the own Pod of, whatever became of the Pod's labels and owners. (F5)
pub fn task_of(pod: &Pod) -> Option<Key> {
    let task = named_for(pod)?;
    Some(Key::new(pod.namespace().unwrap_or_default(), task))
}

/// All stores, and the world made of them.
#[derive(Debug)]
pub struct Cache {
    /// Nodes.
    pub nodes: Store<Node>,
    /// Pods, grouped by node.
    pub pods: Store<Pod>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// EcsClusters.
    pub clusters: Store<EcsCluster>,
    /// ContainerInstances.
    pub instances: Store<ContainerInstance>,
    /// TaskDefinitions.
    pub definitions: Store<TaskDefinition>,
    /// EcsServices.
    pub services: Store<EcsService>,
    /// Tasks, grouped by the instance they are bound to.
    pub tasks: Store<Task>,
    /// PodDisruptionBudgets of ours.
    pub budgets: Store<PodDisruptionBudget>,
    world: RwLock<World>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            nodes: Store::new(|_| None),
            pods: Store::new(|pod| pod.spec.as_ref().and_then(|s| s.node_name.clone())),
            namespaces: Store::new(|_| None),
            clusters: Store::new(|_| None),
            instances: Store::new(|_| None),
            definitions: Store::new(|_| None),
            services: Store::new(|_| None),
            tasks: Store::new(|task| Some(task.spec.container_instance.clone().unwrap_or_default())),
            budgets: Store::new(|_| None),
            world: RwLock::new(World::default()),
        }
    }
}

impl Cache {
    /// A snapshot of the world as known now.
    pub fn snapshot(&self, now: Timestamp, seed: u64) -> World {
        let mut world = self.world.read().unwrap_or_else(PoisonError::into_inner).clone();
        world.now = now;
        world.seed = seed;
        world.task_version = self.tasks.version();
        world
    }

    fn edit(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether every store has its first list.
    pub fn synced(&self) -> bool {
        self.nodes.synced()
            && self.pods.synced()
            && self.namespaces.synced()
            && self.clusters.synced()
            && self.instances.synced()
            && self.definitions.synced()
            && self.services.synced()
            && self.tasks.synced()
            && self.budgets.synced()
    }

    /// Keeps the world in step with a change of the clusters or of the namespaces.
    pub fn clusters_changed(&self) {
        let namespaces = self.namespaces.all();
        let clusters = self.clusters.all();
        let leaving = namespaces
            .iter()
            .filter(|ns| ns.metadata.deletion_timestamp.is_some());
        let leaving = leaving.map(|ns| ns.name_any());
        let clusters = clusters.iter().map(|c| convert::cluster(c, &namespaces));
        self.edit(|world| world.set_clusters(clusters, leaving));
    }

    /// Keeps the world in step with a ContainerInstance. Like its siblings it reads the store under the world's lock,
    /// so that of two changes that race the later one stands.
    pub fn instance_changed(&self, key: &Key) {
        self.edit(|world| match self.instances.get(key) {
            Some(object) => world.put_instance(convert::instance(&object)),
            None => world.remove_instance(&key.name),
        });
    }

    /// Keeps the world in step with a TaskDefinition.
    pub fn definition_changed(&self, key: &Key) {
        self.edit(|world| {
            match self.definitions.get(key) {
                Some(object) => world.put_definition(convert::definition(&object)),
                None => world.remove_definition(key),
            }
            // any of them may run it, by its name or as the newest of its family
            let overriding: Vec<Key> = world.overridden.keys().cloned().collect();
            for task in overriding.iter().filter(|t| t.namespace == key.namespace) {
                self.override_definition(world, task);
            }
        });
    }

    /// Notes what a task runs that overrides members of its definition. (RUN-5)
    fn override_definition(&self, world: &mut World, key: &Key) {
        let object = self.tasks.get(key);
        let overrides = object
            .as_ref()
            .and_then(|object| object.spec.overrides.as_deref());
        let task = world.task(key).filter(|task| task.alive());
        let (Some(overrides), Some(task)) = (overrides, task) else {
            world.overridden.remove(key);
            return;
        };
        let known = world.definition(&key.namespace, &task.definition);
        let stored = known.and_then(|known| self.definitions.get(&known.key));
        let definition = stored.map(|stored| Arc::new(convert::overridden(&stored, overrides)));
        world.overridden.insert(key.clone(), definition);
    }

    /// Keeps the world in step with an EcsService.
    pub fn service_changed(&self, key: &Key) {
        self.edit(|world| match self.services.get(key) {
            Some(object) => world.put_service(service::service(&object)),
            None => world.remove_service(key),
        });
    }

    /// Keeps the world in step with a Task.
    pub fn task_changed(&self, key: &Key) {
        self.edit(|world| {
            match self.tasks.get(key) {
                Some(object) => world.put_task(convert::task(&object)),
                None => world.remove_task(key),
            }
            self.override_definition(world, key);
        });
    }

    /// Takes in a ContainerInstance that a write answered.
    pub fn learn_instance(&self, object: ContainerInstance) {
        if let Some(change) = self.instances.put(object) {
            self.instance_changed(&key_of(change.object().as_ref()));
        }
    }

    /// Takes in an EcsService that a write answered.
    pub fn learn_service(&self, object: EcsService) {
        if let Some(change) = self.services.put(object) {
            self.service_changed(&key_of(change.object().as_ref()));
        }
    }

    /// Takes in a Task that a write answered.
    pub fn learn_task(&self, object: Task) {
        if let Some(change) = self.tasks.put(object) {
            self.task_changed(&key_of(change.object().as_ref()));
        }
    }

    /// What Pods on a node take beyond their shares in this ledger, asked for by task and uid: those that are not ours,
    /// copies of ours, any of ours that runs without a share, and what one of ours asks for above its share since it was
    /// resized or injected into. (I1)
    pub fn foreign(&self, node: &str, share: impl Fn(&Key, &str) -> Option<Resources>) -> Resources {
        let beyond = self.beyond_shares(node, share);
        Resources::sum(beyond.iter().map(|(_, amounts)| amounts))
    }

    /// The same Pod by Pod.
    pub fn beyond_shares(
        &self,
        node: &str,
        share: impl Fn(&Key, &str) -> Option<Resources>,
    ) -> Vec<(Arc<Pod>, Resources)> {
        let mut found = Vec::new();
        for pod in self.pods.group(node) {
            let Some(taken) = pod.spec.as_ref().map(|spec| spec.takes.clone()) else {
                continue;
            };
            if node::pod_ended(&pod) {
                continue;
            }
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let share = owner(&pod).and_then(|owner| share(&Key::new(namespace, owner.task), owner.uid));
            let beyond = share.map_or_else(|| taken.clone(), |share| taken.excess_over(&share));
            found.push((pod, beyond));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_world_knows_which_namespaces_are_being_deleted() {
        let cache = Cache::default();
        for (name, deleted) in [("going", Some(Time(Timestamp::UNIX_EPOCH))), ("stays", None)] {
            cache.namespaces.put(Namespace {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    deletion_timestamp: deleted,
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            });
        }
        cache.clusters_changed();
        let world = cache.snapshot(Timestamp::UNIX_EPOCH, 0);
        assert!(world.leaving_namespaces.iter().eq(["going"]));
    }

    /// CPU units that a task takes which overrides some of its definition, in the order in which the two are seen.
    #[test]
    fn what_a_task_overrides_counts_whichever_of_the_two_is_seen_first_run_5() {
        let definition = |revision: i64, cpu: i64| -> TaskDefinition {
            let container = json!({ "name": "main", "image": "i", "cpu": cpu, "memory": 64 });
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "TaskDefinition",
                "metadata": { "name": format!("job.{revision}"), "namespace": "shop", "resourceVersion": "1" },
                "spec": { "family": "job", "revision": revision, "containerDefinitions": [container] },
            }))
            .unwrap()
        };
        let task = |name: &str, last: &str, overrides: Value| -> Task {
            serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
                "metadata": { "name": name, "namespace": "shop", "resourceVersion": last.len().to_string() },
                "spec": { "taskDefinition": "job", "overrides": overrides }, "status": { "lastStatus": last },
            }))
            .unwrap()
        };
        let cache = Cache::default();
        let learn = |object: TaskDefinition| {
            cache.definitions.put(object.clone());
            cache.definition_changed(&key_of(&object));
        };
        let takes = |name: &str| {
            let world = cache.snapshot(Timestamp::UNIX_EPOCH, 0);
            let definition = world.definition_for(world.task(&Key::new("shop", name)).unwrap())?;
            Some(
                definition
                    .demand
                    .clone()
                    .map(|demand| (demand.cpu, demand.memory)),
            )
        };
        let more = json!({ "containerOverrides": [{ "name": "main", "memory": 512 }] });
        cache.learn_task(task("t1", "PENDING", more));
        assert_eq!(takes("t1"), None, "there is no such definition yet");
        learn(definition(1, 100));
        cache.learn_task(task("t2", "PENDING", json!(null)));
        assert_eq!(
            (takes("t1"), takes("t2")),
            (Some(Ok((100, 512))), Some(Ok((100, 64))))
        );
        learn(definition(2, 200));
        assert_eq!(takes("t1"), Some(Ok((200, 512))), "the newest of its family");
        let strange = json!({ "containerOverrides": [{ "name": "other" }] });
        cache.learn_task(task("t3", "PENDING", strange.clone()));
        assert!(takes("t3").unwrap().unwrap_err()[0].starts_with("Override for container named other "));
        let held = || cache.snapshot(Timestamp::UNIX_EPOCH, 0).overridden.len();
        assert_eq!(held(), 2);
        cache.learn_task(task("t3", "DEPROVISIONING", strange));
        assert_eq!(held(), 2, "it has not ended");
        cache.task_changed(&Key::new("shop", "gone"));
        let mut ended = task("t3", "STOPPED", json!({}));
        ended.metadata.resource_version = Some("99".to_owned());
        cache.learn_task(ended);
        assert_eq!(held(), 1);
    }

    fn pod(name: &str, uid: &str) -> Value {
        let owner = json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "name": "t1",
            "uid": uid, "controller": true });
        json!({ "metadata": { "name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
                "labels": { "ecs-operator.dev/task": "t1" }, "ownerReferences": [owner] },
            "spec": { "nodeName": "n1", "containers": [{ "name": "app",
                "resources": { "requests": { "cpu": "500m" } } }] } })
    }

    /// CPU units that count as foreign beside the share of t1, whose uid begins with eight times `a`.
    fn foreign(pod: &Value) -> i64 {
        let cache = Cache::default();
        cache.pods.put(serde_json::from_value(pod.clone()).unwrap());
        let share = |task: &Key, uid: &str| {
            let has = *task == Key::new("shop", "t1") && uid == "aaaaaaaa-1";
            has.then(|| Resources {
                cpu: 512,
                pods: 1,
                ..Resources::default()
            })
        };
        cache.foreign("n1", share).cpu
    }

    #[test]
    fn what_a_resized_pod_asks_for_above_its_share_is_foreign_i1() {
        let mut resized = pod("t1-aaaaaaaa", "aaaaaaaa-1");
        resized["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1500m");
        assert_eq!(foreign(&resized), 1024);
        resized["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("100m");
        assert_eq!(foreign(&resized), 0, "its share stays its share");
    }

    #[test]
    fn a_copy_of_a_tasks_pod_is_foreign_whatever_its_labels_say_i1() {
        assert_eq!(foreign(&pod("t1-aaaaaaaa", "aaaaaaaa-1")), 0, "its own");
        assert_eq!(foreign(&pod("t1-copy", "aaaaaaaa-1")), 512);
        assert_eq!(foreign(&pod("t1-bbbbbbbb", "aaaaaaaa-1")), 512);
        assert_eq!(
            foreign(&pod("t1-bbbbbbbb", "bbbbbbbb-1")),
            512,
            "of a namesake (F4)"
        );
        let mut copy = pod("t1-copy", "aaaaaaaa-1");
        copy["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(foreign(&copy), 512);
    }

    #[test]
    fn a_tasks_pod_that_lost_its_label_is_its_own_still_and_counted_once_i1_f5() {
        let mut bare = pod("t1-aaaaaaaa", "aaaaaaaa-1");
        bare["metadata"]["labels"] = json!({});
        assert_eq!(foreign(&bare), 0);
        let bare = serde_json::from_value(bare).unwrap();
        assert_eq!(task_of(&bare), Some(Key::new("shop", "t1")));
    }
}
