//! The snapshot itself: maps that everybody reads, and what the world derives from them when it changes.
//!
//! Only the functions here change the maps, and each brings in line what is derived from what it changed. So no index can
//! be older than the map that it is about.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use jiff::Timestamp;

use super::index::{ByKey, enter, leave};
use super::{Cluster, Definition, Instance, Key, Request, Service, Task};
use crate::domain::records::SchedulingStrategy;
use crate::plan::eligibility::{Claim, claims_now};
use crate::plan::fleet::{Fleet, Row};

/// A part of the world that everybody reads and only the world changes, with all that is derived from it. It has no
/// `Clone`, so that none can be put in another's place.
#[derive(Debug)]
pub struct Kept<T>(T);

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The picture of the world.
#[derive(Debug)]
pub struct World {
    /// Wall clock, for convenience deadlines only.
    pub now: Timestamp,
    /// Seed of random choices.
    pub seed: u64,
    /// resourceVersion up to which the Task store is known to be complete.
    pub task_version: u64,
    /// EcsClusters by name.
    pub clusters: Kept<OrdMap<String, Arc<Cluster>>>,
    /// Namespaces that are being deleted: nothing can be created in them.
    pub leaving_namespaces: Kept<OrdSet<String>>,
    /// ContainerInstances by name.
    pub instances: Kept<OrdMap<String, Arc<Instance>>>,
    /// TaskDefinitions by namespace and object name.
    pub definitions: Kept<OrdMap<Key, Arc<Definition>>>,
    /// What tasks run that override members of their definition, as long as they have not ended: `None` while there is no
    /// such definition. (RUN-5)
    pub overridden: OrdMap<Key, Option<Arc<Definition>>>,
    /// EcsServices.
    pub services: Kept<OrdMap<Key, Arc<Service>>>,
    /// RunTasks.
    pub requests: OrdMap<Key, Arc<Request>>,
    tasks: OrdMap<Key, Arc<Task>>,
    derived: Derived,
}

/// What follows from the maps.
#[derive(Clone, Debug, Default)]
struct Derived {
    /// Instances by cluster. From all but the tasks.
    fleets: OrdMap<String, Fleet>,
    /// Names of instances by the uid of a service that they hold a share for.
    holders: OrdMap<String, OrdSet<String>>,
    /// DAEMON services.
    daemons: OrdSet<Key>,
    /// Services by namespace and ECS name.
    namesakes: OrdMap<Key, OrdSet<Key>>,
    /// Definitions by namespace and family.
    families: OrdMap<Key, OrdSet<Key>>,
    /// Tasks by instance.
    by_instance: OrdMap<String, OrdSet<ByKey>>,
    /// Tasks by the uid of their service.
    by_service: OrdMap<String, OrdSet<ByKey>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            seed: 0,
            task_version: 0,
            clusters: Kept(OrdMap::new()),
            leaving_namespaces: Kept(OrdSet::new()),
            instances: Kept(OrdMap::new()),
            definitions: Kept(OrdMap::new()),
            overridden: OrdMap::new(),
            services: Kept(OrdMap::new()),
            requests: OrdMap::new(),
            tasks: OrdMap::new(),
            derived: Derived::default(),
        }
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            clusters: Kept(self.clusters.clone()),
            leaving_namespaces: Kept(self.leaving_namespaces.clone()),
            instances: Kept(self.instances.clone()),
            definitions: Kept(self.definitions.clone()),
            overridden: self.overridden.clone(),
            services: Kept(self.services.clone()),
            tasks: self.tasks.clone(),
            derived: self.derived.clone(),
            requests: self.requests.clone(),
            ..*self
        }
    }
}

/// Changes.
impl World {
    /// The same world without instances and without tasks.
    #[must_use]
    pub fn without_instances(&self) -> Self {
        let derived = Derived {
            daemons: self.derived.daemons.clone(),
            namesakes: self.derived.namesakes.clone(),
            families: self.derived.families.clone(),
            ..Derived::default()
        };
        Self {
            instances: Kept(OrdMap::new()),
            overridden: OrdMap::new(),
            tasks: OrdMap::new(),
            derived,
            ..self.clone()
        }
    }

    /// All clusters, and the namespaces that are being deleted.
    pub fn set_clusters(
        &mut self,
        clusters: impl IntoIterator<Item = Cluster>,
        leaving_namespaces: impl IntoIterator<Item = String>,
    ) {
        let clusters = clusters.into_iter().map(|c| (c.name.clone(), Arc::new(c)));
        self.clusters.0 = clusters.collect();
        self.leaving_namespaces.0 = leaving_namespaces.into_iter().collect();
        self.claim_all();
    }

    /// Changes every cluster.
    pub fn edit_clusters(&mut self, mut edit: impl FnMut(&mut Cluster)) {
        let changed = self.clusters.iter().map(|(name, cluster)| {
            let mut cluster = Cluster::clone(cluster);
            edit(&mut cluster);
            (name.clone(), Arc::new(cluster))
        });
        self.clusters.0 = changed.collect();
        self.claim_all();
    }

    /// Puts an instance in, or replaces it.
    pub fn put_instance(&mut self, instance: impl Into<Arc<Instance>>) {
        let instance = instance.into();
        let (name, cluster) = (instance.name.clone(), instance.cluster.clone());
        let old = self.instances.0.insert(name.clone(), Arc::clone(&instance));
        self.hold(&name, old.as_deref(), Some(&instance));
        if let Some(old) = old.filter(|old| old.cluster != cluster) {
            self.leave_fleet(&old);
        }
        let claims = self.claims(&cluster);
        let row = Row::new(instance, &claims, self);
        self.derived
            .fleets
            .entry(cluster)
            .or_insert_with(|| Fleet::new(claims))
            .put(name, row);
    }

    /// Changes an instance, if there is one of that name.
    pub fn edit_instance(&mut self, name: &str, edit: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.instances.get(name) {
            let mut instance = Instance::clone(instance);
            edit(&mut instance);
            self.put_instance(instance);
        }
    }

    /// Takes an instance out.
    pub fn remove_instance(&mut self, name: &str) {
        if let Some(old) = self.instances.0.remove(name) {
            self.hold(name, Some(&old), None);
            self.leave_fleet(&old);
        }
    }

    fn leave_fleet(&mut self, old: &Instance) {
        if let Some(fleet) = self.derived.fleets.get_mut(&old.cluster) {
            fleet.remove(&old.name);
            if fleet.is_empty() {
                self.derived.fleets.remove(&old.cluster);
            }
        }
    }

    /// Notes for whom an instance holds shares.
    fn hold(&mut self, name: &str, old: Option<&Instance>, new: Option<&Instance>) {
        fn uids(instance: Option<&Instance>) -> BTreeSet<&str> {
            let shares = instance.into_iter().flat_map(|i| &i.reservations);
            let queue = instance.into_iter().flat_map(|i| &i.queue);
            let services = shares.map(|entry| &entry.service);
            let services = services.chain(queue.map(|entry| &entry.service));
            services
                .filter_map(|service| Some(service.as_ref()?.uid.as_str()))
                .collect()
        }
        let (old, new) = (uids(old), uids(new));
        for gone in old.difference(&new) {
            leave(&mut self.derived.holders, &(*gone).to_owned(), name);
        }
        for come in new.difference(&old) {
            enter(&mut self.derived.holders, (*come).to_owned(), name.to_owned());
        }
    }

    /// Puts a definition in, or replaces it.
    pub fn put_definition(&mut self, definition: impl Into<Arc<Definition>>) {
        let definition = definition.into();
        let key = definition.key.clone();
        self.leave_family(&key);
        let family = Key::new(&key.namespace, &definition.family);
        enter(&mut self.derived.families, family, key.clone());
        self.definitions.0.insert(key, definition);
        self.claim_all();
    }

    /// Changes a definition, if there is one of that key.
    pub fn edit_definition(&mut self, key: &Key, edit: impl FnOnce(&mut Definition)) {
        if let Some(definition) = self.definitions.get(key) {
            let mut definition = Definition::clone(definition);
            edit(&mut definition);
            self.put_definition(definition);
        }
    }

    /// Takes a definition out.
    pub fn remove_definition(&mut self, key: &Key) {
        self.leave_family(key);
        self.definitions.0.remove(key);
        self.claim_all();
    }

    fn leave_family(&mut self, key: &Key) {
        if let Some(old) = self.definitions.get(key) {
            let family = Key::new(&key.namespace, &old.family);
            leave(&mut self.derived.families, &family, key);
        }
    }

    /// Puts a service in, or replaces it.
    pub fn put_service(&mut self, service: impl Into<Arc<Service>>) {
        let service = service.into();
        let (key, cluster) = (service.key.clone(), service.cluster.clone());
        if let Some(moved_from) = self.leave_services(&key).filter(|old| *old != cluster) {
            self.claim(&moved_from);
        }
        let name = Key::new(&key.namespace, &service.ecs_name);
        enter(&mut self.derived.namesakes, name, key.clone());
        if service.strategy == SchedulingStrategy::Daemon {
            self.derived.daemons.insert(key.clone());
        }
        self.services.0.insert(key, service);
        self.claim(&cluster);
    }

    /// Changes a service, if there is one of that key.
    pub fn edit_service(&mut self, key: &Key, edit: impl FnOnce(&mut Service)) {
        if let Some(service) = self.services.get(key) {
            let mut service = Service::clone(service);
            edit(&mut service);
            self.put_service(service);
        }
    }

    /// Takes a service out.
    pub fn remove_service(&mut self, key: &Key) {
        if let Some(cluster) = self.leave_services(key) {
            self.claim(&cluster);
        }
    }

    /// Takes a service out, and says in which cluster it was.
    fn leave_services(&mut self, key: &Key) -> Option<String> {
        let old = self.services.0.remove(key)?;
        let name = Key::new(&key.namespace, &old.ecs_name);
        leave(&mut self.derived.namesakes, &name, key);
        self.derived.daemons.remove(key);
        Some(old.cluster.clone())
    }

    /// Brings in line what daemons hold back, in all clusters.
    fn claim_all(&mut self) {
        let clusters: Vec<String> = self.derived.fleets.keys().cloned().collect();
        for cluster in &clusters {
            self.claim(cluster);
        }
    }

    /// Brings in line what daemons hold back in a cluster.
    fn claim(&mut self, cluster: &str) {
        let Some(fleet) = self.derived.fleets.get(cluster) else {
            return;
        };
        let claims = claims_now(self, cluster);
        if claims[..] != fleet.claims()[..] {
            let fleet = fleet.claimed(claims.into(), self);
            self.derived.fleets.insert(cluster.to_owned(), fleet);
        }
    }

    /// Puts a task in, or replaces it.
    pub fn put_task(&mut self, task: Task) {
        let task = Arc::new(task);
        self.remove_task(&task.key);
        if let Some(instance) = &task.instance {
            let here = &mut self.derived.by_instance;
            enter(here, instance.clone(), ByKey::new(&task));
        }
        if let Some(service) = &task.service {
            let of = &mut self.derived.by_service;
            enter(of, service.uid.clone(), ByKey::new(&task));
        }
        self.tasks.insert(task.key.clone(), task);
    }

    /// Takes a task out.
    pub fn remove_task(&mut self, key: &Key) {
        let Some(old) = self.tasks.remove(key) else { return };
        if let Some(instance) = &old.instance {
            leave(&mut self.derived.by_instance, instance, key);
        }
        if let Some(service) = &old.service {
            leave(&mut self.derived.by_service, &service.uid, key);
        }
    }
}

/// Questions.
impl World {
    /// A task by its key.
    #[must_use]
    pub fn task(&self, key: &Key) -> Option<&Arc<Task>> {
        self.tasks.get(key)
    }

    /// All tasks, sorted by key.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// Tasks bound to an instance, stopped ones included, sorted by key.
    pub fn tasks_on<'a>(&'a self, instance: &str) -> impl Iterator<Item = &'a Arc<Task>> {
        let here = self.derived.by_instance.get(instance);
        here.into_iter().flatten().map(ByKey::task)
    }

    /// Tasks of a service by its uid, stopped ones included, sorted by key.
    pub fn tasks_of<'a>(&'a self, service_uid: &str) -> impl Iterator<Item = &'a Arc<Task>> {
        let of = self.derived.by_service.get(service_uid);
        of.into_iter().flatten().map(ByKey::task)
    }

    /// Instances that hold a share for a service by its uid, sorted by name.
    pub fn holding<'a>(&'a self, service_uid: &str) -> impl Iterator<Item = &'a Arc<Instance>> {
        let names = self.holders(service_uid).into_iter().flatten();
        names.filter_map(|name| self.instances.get(name))
    }

    /// The names of [`World::holding`].
    pub(in crate::plan) fn holders(&self, service_uid: &str) -> Option<&OrdSet<String>> {
        self.derived.holders.get(service_uid)
    }

    /// DAEMON services, sorted by key.
    pub fn daemons(&self) -> impl Iterator<Item = &Arc<Service>> {
        let keys = self.derived.daemons.iter();
        keys.filter_map(|key| self.services.get(key))
    }

    /// Services of a namespace with this ECS name, sorted by key.
    pub fn services_named<'a>(
        &'a self,
        namespace: &str,
        ecs_name: &str,
    ) -> impl Iterator<Item = &'a Arc<Service>> {
        let keys = self.derived.namesakes.get(&Key::new(namespace, ecs_name));
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.services.get(key))
    }

    /// What daemons hold back on the instances of a cluster.
    pub(in crate::plan) fn claims(&self, cluster: &str) -> Arc<[Claim]> {
        match self.derived.fleets.get(cluster) {
            Some(fleet) => fleet.claims(),
            None => claims_now(self, cluster).into(),
        }
    }

    /// The instances of a cluster, if it has any, with what they are to every task.
    pub(in crate::plan) fn fleet(&self, cluster: &str) -> Option<&Fleet> {
        self.derived.fleets.get(cluster)
    }

    /// Instances of a cluster, sorted by name.
    pub fn instances_of<'a>(&'a self, cluster: &str) -> impl Iterator<Item = &'a Arc<Instance>> {
        let fleet = self.fleet(cluster).into_iter();
        fleet.flat_map(|fleet| fleet.rows().map(Row::instance))
    }

    /// A TaskDefinition by namespace and what a user wrote: `family`, `family:revision` or an ARN that ends so. A
    /// bare family is its latest ACTIVE revision. (TD-4, ARN-2)
    #[must_use]
    pub fn definition(&self, namespace: &str, reference: &str) -> Option<&Arc<Definition>> {
        let (family, revision) = named(reference)?;
        self.revisions_of(namespace, family)
            .filter(|d| !d.deleting && revision.map_or(d.active, |r| r == d.revision))
            .max_by_key(|d| d.revision)
    }

    /// The definition that stands in the way of one for this reference: it has its name, and another family. (TD-1)
    #[must_use]
    pub fn namesake(&self, namespace: &str, reference: &str) -> Option<&Arc<Definition>> {
        let (family, revision) = named(reference)?;
        let name = format!("{family}.{}", revision?);
        let found = self.definitions.get(&Key::new(namespace, name));
        found.filter(|d| d.family != family)
    }

    /// The definition that a task runs or would run, with what it overrides of it. (TD-4, RUN-5)
    #[must_use]
    pub fn definition_for(&self, task: &Task) -> Option<&Arc<Definition>> {
        match self.overridden.get(&task.key) {
            Some(overridden) => overridden.as_ref(),
            None => self.definition(&task.key.namespace, &task.definition),
        }
    }

    /// As [`World::definition`], for what runs already: its revision serves until it is gone, even if its deletion was
    /// asked for. (TD-6)
    #[must_use]
    pub fn definition_in_use(&self, namespace: &str, reference: &str) -> Option<&Arc<Definition>> {
        match named(reference)? {
            (family, Some(revision)) => self
                .revisions_of(namespace, family)
                .find(|d| d.revision == revision),
            (_, None) => self.definition(namespace, reference),
        }
    }

    fn revisions_of(&self, namespace: &str, family: &str) -> impl Iterator<Item = &Arc<Definition>> {
        let keys = self.derived.families.get(&Key::new(namespace, family));
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.definitions.get(key))
    }
}

/// Family and revision of `family`, `family:revision` or an ARN that ends so; `None` if the revision is no number.
fn named(reference: &str) -> Option<(&str, Option<i64>)> {
    let short = reference.rsplit_once('/').map_or(reference, |(_, last)| last);
    match short.rsplit_once(':') {
        Some((family, revision)) => Some((family, Some(revision.parse().ok()?))),
        None => Some((short, None)),
    }
}
