//! What the world derives from its objects never lags behind them: after any changes it is what a world has into which the
//! same objects are put one by one.

use proptest::prelude::*;

use super::config;
use crate::domain::records::{InstanceStatus, Reservation, ServiceRef};
use crate::domain::resources::Resources;
use crate::plan::testing::*;
use crate::plan::world::{Cluster, Instance, Key, Service, World};

#[derive(Clone, Debug)]
enum Change {
    Instance(usize, usize, usize, Vec<usize>),
    NoInstance(usize),
    Service(usize, usize, usize, usize),
    NoService(usize),
    Definition(usize, i64, bool),
    NoDefinition(usize),
    Task(usize, usize, usize),
    NoTask(usize),
    Clusters(bool, bool, bool),
}

fn change() -> impl Strategy<Value = Change> {
    let n = 0..4usize;
    let shares = prop::collection::vec(0..4usize, 0..4);
    prop_oneof![
        4 => (n.clone(), 0..2usize, 0..4usize, shares).prop_map(|(i, c, z, s)| Change::Instance(i, c, z, s)),
        1 => n.clone().prop_map(Change::NoInstance),
        4 => (n.clone(), 0..2usize, 0..2usize, 0..6usize).prop_map(|(s, c, d, r)| Change::Service(s, c, d, r)),
        1 => n.clone().prop_map(Change::NoService),
        2 => (0..2usize, 1..300i64, any::<bool>()).prop_map(|(d, cpu, a)| Change::Definition(d, cpu, a)),
        1 => (0..2usize).prop_map(Change::NoDefinition),
        2 => (n.clone(), n.clone(), n.clone()).prop_map(|(t, i, s)| Change::Task(t, i, s)),
        1 => n.prop_map(Change::NoTask),
        1 => any::<(bool, bool, bool)>().prop_map(|(a, b, c)| Change::Clusters(a, b, c)),
    ]
}

const CLUSTERS: [&str; 2] = ["default", "other"];

fn service_of(n: usize, cluster: usize, definition: usize, kind: usize) -> Service {
    let (name, definition) = (format!("s{n}"), format!("d{definition}:1"));
    let mut service = match kind {
        0 => replica(&name, &definition, 2),
        1 => daemon(&name, &definition).member_of("task:group !exists"),
        2 => daemon(&name, &definition).member_of("attribute:ecs.availability-zone == a"),
        _ => daemon(&name, &definition),
    };
    CLUSTERS[cluster].clone_into(&mut service.cluster);
    if kind == 5 {
        // the name of another
        "s0".clone_into(&mut service.ecs_name);
    }
    service
}

fn instance_of(n: usize, cluster: usize, zone: usize, shares: &[usize]) -> Instance {
    let mut instance = instance(&format!("i{n}"));
    CLUSTERS[cluster].clone_into(&mut instance.cluster);
    if let Some(zone) = ["a", "b"].get(zone) {
        instance = instance.zone(zone);
    }
    if zone == 3 {
        instance.status = InstanceStatus::Draining;
    }
    let entry = |(n, of): (usize, &usize)| Reservation {
        namespace: NAMESPACE.to_owned(),
        task: format!("{of}-{n}"),
        uid: None,
        service: (*of > 0).then(|| ServiceRef {
            name: format!("s{of}"),
            uid: format!("uid-s{of}"),
            daemon: true,
            deployment: None,
        }),
        amounts: Resources {
            cpu: 100,
            memory: 10,
            pods: 1,
            ..Resources::default()
        },
        since: String::new(),
        restored: false,
    };
    instance.reservations = shares.iter().enumerate().map(entry).collect();
    instance
}

fn make(world: &mut World, change: &Change) {
    match change {
        Change::Instance(n, cluster, zone, shares) => {
            world.put_instance(instance_of(*n, *cluster, *zone, shares));
        }
        Change::NoInstance(n) => world.remove_instance(&format!("i{n}")),
        Change::Service(n, cluster, definition, kind) => {
            world.put_service(service_of(*n, *cluster, *definition, *kind));
        }
        Change::NoService(n) => world.remove_service(&key(&format!("s{n}"))),
        Change::Definition(n, cpu, active) => {
            let mut made = definition(&format!("d{n}:1"), *cpu, 64);
            made.active = *active;
            world.put_definition(made);
        }
        Change::NoDefinition(n) => world.remove_definition(&key(&format!("d{n}.1"))),
        Change::Task(n, instance, service) => {
            let mut task = standalone(&format!("t{n}"), &format!("i{instance}"));
            task.service = (*service > 0).then(|| ServiceRef {
                name: format!("s{service}"),
                uid: format!("uid-s{service}"),
                daemon: true,
                deployment: None,
            });
            world.put_task(task);
        }
        Change::NoTask(n) => world.remove_task(&key(&format!("t{n}"))),
        Change::Clusters(first, second, leaving) => {
            let clusters = CLUSTERS.iter().zip([first, second]).map(|(name, deleting)| {
                let scene = Scene::new();
                let known = Cluster::clone(&scene.world.clusters["default"]);
                Cluster {
                    name: (*name).to_owned(),
                    deleting: *deleting,
                    ..known
                }
            });
            let leaving = leaving.then(|| NAMESPACE.to_owned());
            world.set_clusters(clusters, leaving);
        }
    }
}

/// The same objects, put in one by one.
fn anew(world: &World) -> World {
    let mut other = World::default();
    (other.now, other.seed, other.task_version) = (world.now, world.seed, world.task_version);
    world.tasks().for_each(|t| other.put_task(t.as_ref().clone()));
    world
        .instances
        .values()
        .rev()
        .for_each(|i| other.put_instance(i.clone()));
    world
        .services
        .values()
        .rev()
        .for_each(|s| other.put_service(s.clone()));
    world
        .definitions
        .values()
        .rev()
        .for_each(|d| other.put_definition(d.clone()));
    let clusters = world.clusters.values().map(|c| Cluster::clone(c));
    other.set_clusters(clusters, world.leaving_namespaces.iter().cloned());
    other
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn what_the_world_derives_never_lags_behind_its_objects(changes in prop::collection::vec(change(), 1..30)) {
        let mut world = Scene::new().world;
        for change in &changes {
            make(&mut world, change);
        }
        prop_assert_eq!(format!("{:?}", anew(&world)), format!("{world:?}"));
        let removed: Vec<Key> = world.services.keys().cloned().collect();
        for key in &removed {
            world.remove_service(key);
        }
        let instances: Vec<String> = world.instances.keys().cloned().collect();
        for name in &instances {
            world.remove_instance(name);
        }
        prop_assert_eq!(format!("{:?}", anew(&world)), format!("{world:?}"));
    }
}
