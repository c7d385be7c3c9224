//! What holds in every world, whatever happened to it: checked over random histories of users, nodes and the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use crate::domain::records::{HealthStatus, InstanceStatus, LastStatus, SchedulingStrategy};
use crate::domain::rollout::Bounds;
use crate::plan::eligibility::withheld;
use crate::plan::testing::*;
use crate::plan::world::{Service, Strategy as Rank, Task, World};
use crate::plan::{STARTS_MAX, STOPS_MAX, ServicePlan};

const SERVICES: [&str; 4] = ["d", "e", "r", "s"];

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Plan(usize),
    PlanReserving(usize, usize),
    Create,
    Marks,
    Run,
    End,
    Wait(i64),
    Scale(usize, u32),
    Percent(usize, u32, u32),
    Definition(usize, u32),
    Force(usize, u32),
    Status(usize, bool),
    Connect(usize, bool),
    Attribute(usize, bool),
    Die(usize),
    Health(usize, bool),
    Protect(usize),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let service = 0..SERVICES.len();
    let n = 0..16usize;
    prop_oneof![
        8 => service.clone().prop_map(Step::Plan),
        2 => (service.clone(), 0..3usize).prop_map(|(s, k)| Step::PlanReserving(s, k)),
        3 => Just(Step::Create),
        3 => Just(Step::Marks),
        3 => Just(Step::Run),
        3 => Just(Step::End),
        3 => (1..400i64).prop_map(Step::Wait),
        2 => (2..4usize, 0..7u32).prop_map(|(s, d)| Step::Scale(s, d)),
        1 => (service.clone(), 0..=100u32, 100..=200u32).prop_map(|(s, a, b)| Step::Percent(s, a, b)),
        2 => (service.clone(), 1..4u32).prop_map(|(s, r)| Step::Definition(s, r)),
        1 => (service.clone(), 0..3u32).prop_map(|(s, f)| Step::Force(s, f)),
        2 => (n.clone(), any::<bool>()).prop_map(|(i, b)| Step::Status(i, b)),
        2 => (n.clone(), any::<bool>()).prop_map(|(i, b)| Step::Connect(i, b)),
        1 => (n.clone(), any::<bool>()).prop_map(|(i, b)| Step::Attribute(i, b)),
        2 => n.clone().prop_map(Step::Die),
        1 => (n.clone(), any::<bool>()).prop_map(|(i, b)| Step::Health(i, b)),
        1 => n.prop_map(Step::Protect),
        1 => service.prop_map(Step::Delete),
    ]
}

/// Two daemon and two replica services over a few instances of different sizes and zones.
fn scenes() -> impl Strategy<Value = Scene> {
    let nodes = prop::collection::vec((300..2048i64, 0..3usize), 1..6);
    let demands = prop::collection::vec(50..700i64, 12);
    let shape = (
        0..5usize,
        any::<bool>(),
        any::<bool>(),
        0..7u32,
        0..=100u32,
        100..=200u32,
    );
    (nodes, demands, shape, shape_of_second(), any::<u64>()).prop_map(|(nodes, demands, r, s, seed)| {
        let mut scene = Scene::new();
        scene.world.seed = seed;
        for (n, (cpu, zone)) in nodes.into_iter().enumerate() {
            let node = instance(&format!("i{n}")).size(cpu, 4096);
            let zone = ["a", "b"].get(zone).copied();
            scene = scene.instance(zone.map_or(node.clone(), |z| node.zone(z)));
        }
        for (n, cpu) in demands.into_iter().enumerate() {
            let (service, revision) = (SERVICES[n / 3], n % 3 + 1);
            let cpu = if n < 6 { cpu / 4 } else { cpu };
            let plain = definition(&format!("{service}:{revision}"), cpu, 64);
            scene = scene.definition(if n == 2 || n == 7 { plain.port(80) } else { plain });
        }
        let (strategy, distinct, narrow, desired, minimum, maximum) = r;
        let first = shaped(
            replica("r", "r:1", desired).percent(minimum, maximum),
            strategy,
            distinct,
        );
        let (strategy, distinct, _, desired, minimum, maximum) = s;
        let second = shaped(
            replica("s", "s:1", desired).percent(minimum, maximum),
            strategy,
            distinct,
        );
        let other = daemon("e", "e:1").percent(minimum.min(99), 100);
        let other = if narrow {
            other.member_of("not(attribute:off exists)")
        } else {
            other
        };
        scene
            .service(daemon("d", "d:1"))
            .service(other)
            .service(first)
            .service(second)
    })
}

fn shape_of_second() -> impl Strategy<Value = (usize, bool, bool, u32, u32, u32)> {
    (
        0..5usize,
        any::<bool>(),
        any::<bool>(),
        0..7u32,
        0..=100u32,
        100..=200u32,
    )
}

fn shaped(service: Service, strategy: usize, distinct: bool) -> Service {
    let service = match strategy {
        0 => service,
        1 => service.strategy(Rank::Random),
        2 => service.strategy(Rank::SpreadInstance),
        3 => service.strategy(Rank::BinpackCpu),
        _ => service
            .strategy(Rank::SpreadAttribute("ecs.availability-zone".to_owned()))
            .strategy(Rank::BinpackMemory),
    };
    if distinct { service.distinct() } else { service }
}

/// Does one step; plans are checked before they are committed.
fn play(scene: &mut Scene, step: &Step) {
    let instances: Vec<String> = scene.world.instances.keys().cloned().collect();
    let instance_of = |n: usize| instances[n % instances.len()].clone();
    let tasks: Vec<String> = scene
        .world
        .tasks()
        .filter(|t| t.alive())
        .map(|t| t.key.name.clone())
        .collect();
    let task_of = |n: usize| tasks.get(n % tasks.len().max(1)).cloned();
    let now = scene.world.now;
    match step {
        Step::Plan(s) => checked(scene, SERVICES[*s], usize::MAX),
        Step::PlanReserving(s, k) => checked(scene, SERVICES[*s], *k),
        Step::Create => scene.create_tasks(),
        Step::Marks => scene.carry_out_marks(),
        Step::Run => scene.run_tasks(),
        Step::End => scene.end_tasks(),
        Step::Wait(seconds) => scene.advance(*seconds),
        Step::Scale(s, desired) => scene.edit_service(SERVICES[*s], |v| v.desired_count = *desired),
        Step::Percent(s, a, b) => scene.edit_service(SERVICES[*s], |v| {
            let daemon = v.strategy == SchedulingStrategy::Daemon;
            *v = v.clone().percent(*a, if daemon { 100 } else { *b });
        }),
        Step::Definition(s, revision) => {
            let name = SERVICES[*s];
            scene.edit_service(name, |v| v.requested_definition = format!("{name}:{revision}"));
        }
        Step::Force(s, n) => scene.edit_service(SERVICES[*s], |v| v.forced = Some(n.to_string())),
        Step::Status(i, active) => scene.edit_instance(&instance_of(*i), |v| {
            v.status = if *active {
                InstanceStatus::Active
            } else {
                InstanceStatus::Draining
            };
        }),
        Step::Connect(i, connected) => scene.edit_instance(&instance_of(*i), |v| {
            v.connected = *connected;
            v.disconnected_since = (!connected).then(|| v.disconnected_since.unwrap_or(now));
        }),
        Step::Attribute(i, off) => scene.edit_instance(&instance_of(*i), |v| {
            if *off {
                v.attributes.insert("off".to_owned(), None);
            } else {
                v.attributes.remove("off");
            }
        }),
        Step::Die(n) => {
            if let Some(id) = task_of(*n) {
                scene.edit_task(&id, |t| t.last = LastStatus::Stopped);
                scene.end_tasks();
            }
        }
        Step::Health(n, bad) => {
            if let Some(id) = task_of(*n) {
                let health = if *bad {
                    HealthStatus::Unhealthy
                } else {
                    HealthStatus::Unknown
                };
                scene.edit_task(&id, |t| t.health = health);
            }
        }
        Step::Protect(n) => {
            if let Some(id) = task_of(*n) {
                scene.edit_task(&id, |t| {
                    t.protected_until = Some(now + SignedDuration::from_secs(900))
                });
            }
        }
        Step::Delete(s) => scene.edit_service(SERVICES[*s], |v| v.deleting = true),
    }
}

fn checked(scene: &mut Scene, name: &str, reserved: usize) {
    let plan = scene.plan(name);
    assert_eq!(plan, scene.plan(name), "same world, same plan");
    check(scene, name, &plan);
    scene.commit_until(name, &plan, reserved);
    check_ledger(scene);
}

fn marked(service: &Service, task: &Task) -> bool {
    service
        .stopping
        .iter()
        .any(|m| m.id == task.key.name && m.task_version == task.version.to_string())
}

fn lost(world: &World, task: &Task) -> bool {
    let instance = task.instance.as_ref().and_then(|i| world.instances.get(i));
    let since = instance.and_then(|i| i.disconnected_since);
    since.is_some_and(|s| world.now.duration_since(s) >= SignedDuration::from_secs(300))
}

fn healthy(world: &World, task: &Task) -> bool {
    task.wanted()
        && task.last == LastStatus::Running
        && task.health != HealthStatus::Unhealthy
        && task
            .started_at
            .is_some_and(|at| world.now.duration_since(at) >= SignedDuration::from_secs(40))
}

/// Ids that count for the upper bound: with Task or reservation, and given out only.
fn wanted(scene: &Scene, service: &Service) -> (BTreeSet<String>, BTreeSet<String>) {
    let world = &scene.world;
    let unseen = |id: &str| world.task(&key(id)).is_none();
    let tasks = world.tasks_of(&service.uid).filter(|t| t.wanted());
    let mut placed: BTreeSet<String> = tasks.map(|t| t.key.name.clone()).collect();
    for entry in world.instances.values().flat_map(|i| &i.reservations) {
        if entry.service.as_ref().is_some_and(|s| s.uid == service.uid) && unseen(&entry.task) {
            placed.insert(entry.task.clone());
        }
    }
    let ids = service.allocations.iter().map(|a| a.id.clone());
    let given_out = ids.filter(|id| unseen(id) && !placed.contains(id)).collect();
    (placed, given_out)
}

/// I2, I3, I4, I6, I7, limits, and that nothing is decided twice.
fn check(scene: &Scene, name: &str, plan: &ServicePlan) {
    let (world, service) = (&scene.world, scene.get(name));
    assert!(plan.start.len() <= STARTS_MAX && plan.stop.len() <= STOPS_MAX);
    assert!(!plan.steady || (plan.start.is_empty() && plan.stop.is_empty() && plan.stalled.is_none()));
    let stopped: BTreeSet<&str> = plan.stop.iter().map(|s| s.task.name.as_str()).collect();
    assert_eq!(stopped.len(), plan.stop.len(), "a task is stopped once");
    for stop in &plan.stop {
        if let Some(task) = world.task(&stop.task) {
            assert!(task.wanted() && !marked(service, task));
            assert_eq!((&stop.uid, &stop.version), (&task.uid, &task.version.to_string()));
            let held = task.protected_until.is_some_and(|u| u > world.now) && !service.deleting;
            let replica = service.strategy == SchedulingStrategy::Replica;
            assert!(
                !held || !replica || lost(world, task) || task.health == HealthStatus::Unhealthy,
                "I7: {stop:?}"
            );
            if task.is_daemon() {
                let at = task.instance.as_deref().unwrap();
                let others = world.tasks_on(at).any(|t| t.alive() && !t.is_daemon());
                assert!(
                    !others || world.instances[at].status != InstanceStatus::Draining,
                    "I4: {stop:?}"
                );
            }
        }
    }
    let mut daemons_here: BTreeMap<&str, usize> = BTreeMap::new();
    for start in &plan.start {
        assert!(!service.deleting);
        assert!(start.id.as_ref().is_none_or(|id| !stopped.contains(id.as_str())));
        let instance = &world.instances[&start.instance];
        assert!(
            instance.status == InstanceStatus::Active && instance.connected,
            "I3"
        );
        *daemons_here.entry(&start.instance).or_default() += 1;
        if service.strategy == SchedulingStrategy::Daemon {
            let reserved = instance
                .reservations
                .iter()
                .any(|r| r.service.as_ref().is_some_and(|s| s.uid == service.uid));
            let alive = world
                .tasks_on(&start.instance)
                .any(|t| t.alive() && t.service.as_ref().is_some_and(|s| s.uid == service.uid));
            assert!(
                !reserved && !alive && daemons_here[start.instance.as_str()] == 1,
                "I2, DAEMON-35"
            );
        } else {
            let room = instance.remaining().remaining(&withheld(world, instance));
            assert_eq!(room.lack_for(&start.demand), None, "daemons' room is left alone");
        }
    }
    if service.strategy == SchedulingStrategy::Replica {
        check_bounds(scene, service, plan, &stopped);
    }
}

fn check_bounds(scene: &Scene, service: &Service, plan: &ServicePlan, stopped: &BTreeSet<&str>) {
    let world = &scene.world;
    let bounds = Bounds::new(
        service.desired_count,
        service.minimum_healthy_percent,
        service.maximum_percent,
    );
    let (placed, given_out) = wanted(scene, service);
    let fresh = plan.start.iter().filter(|s| s.id.is_none()).count();
    if fresh > 0 {
        assert!(
            placed.len() + given_out.len() + fresh <= bounds.upper as usize,
            "I6 upper"
        );
    }
    if !plan.start.is_empty() {
        assert!(
            placed.len() + plan.start.len() <= bounds.upper as usize,
            "I6 upper"
        );
    }
    let counts = |t: &&std::sync::Arc<Task>| healthy(world, t) && !marked(service, t) && !lost(world, t);
    let before: Vec<_> = world.tasks_of(&service.uid).filter(counts).collect();
    let after = before
        .iter()
        .filter(|t| !stopped.contains(t.key.name.as_str()))
        .count();
    if after < before.len() && !service.deleting {
        assert!(after >= bounds.lower as usize, "I6 lower: {plan:?}");
    }
}

/// I1: no instance has given away more than it has, and no port twice.
fn check_ledger(scene: &Scene) {
    for instance in scene.world.instances.values() {
        let left = instance.remaining();
        assert!(
            left.cpu >= 0 && left.memory >= 0 && left.pods >= 0,
            "I1: {instance:?}"
        );
        let ports = instance
            .reservations
            .iter()
            .map(|r| r.amounts.ports.len())
            .sum::<usize>();
        assert_eq!(left.ports.len(), ports, "I1: a port is taken twice");
    }
}

/// Everybody calms down: nodes are back, health and protection are over, deletions are finished.
fn calm(scene: &mut Scene) {
    for name in scene.world.instances.keys().cloned().collect::<Vec<_>>() {
        scene.edit_instance(&name, |i| (i.connected, i.disconnected_since) = (true, None));
    }
    let alive = scene
        .world
        .tasks()
        .filter(|t| t.alive())
        .map(|t| t.key.name.clone());
    for id in alive.collect::<Vec<_>>() {
        scene.edit_task(&id, |t| {
            (t.health, t.protected_until) = (HealthStatus::Unknown, None)
        });
    }
}

fn everyone_rounds(scene: &mut Scene) -> bool {
    let mut quiet = true;
    for name in SERVICES {
        let plan = scene.plan(name);
        check(scene, name, &plan);
        quiet &=
            plan.start.is_empty() && plan.stop.is_empty() && plan.deployments == scene.get(name).deployments;
        scene.round(name);
        check_ledger(scene);
    }
    scene.advance(60);
    quiet
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn no_history_breaks_an_invariant_and_every_world_comes_to_rest(
        mut scene in scenes(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        for step in &steps {
            play(&mut scene, step);
        }
        calm(&mut scene);
        // One quiet round may just wait for a task to start or to get healthy.
        let mut quiet = 0;
        let rounds = (0..60).position(|_| {
            quiet = if everyone_rounds(&mut scene) { quiet + 1 } else { 0 };
            quiet == 3
        });
        prop_assert!(rounds.is_some(), "not at rest after 60 rounds");
        scene.advance(100_000);
        prop_assert!(everyone_rounds(&mut scene), "at rest, but not for good");
        for name in SERVICES {
            let (service, plan) = (scene.get(name), scene.plan(name));
            // A daemon may wait for a replica that can't leave its DRAINING instance: that one explains itself.
            let waits = scene.alive(name).iter().any(|t| {
                let at = t.instance.as_deref().unwrap();
                t.is_daemon()
                    && scene.world.instances[at].status == InstanceStatus::Draining
                    && scene.world.tasks_on(at).any(|o| o.alive() && !o.is_daemon())
            });
            let explained =
                plan.stalled.is_some() || !plan.events.is_empty() || !plan.failures.is_empty() || waits;
            prop_assert!(service.deleting || explained, "neither steady nor explained: {:?}", plan);
                        let running = scene.alive(name).len();
            if service.deleting {
                prop_assert!(running == 0 || waits);
            } else if plan.steady {
                prop_assert_eq!(running, plan.desired_count as usize);
            }
        }
    }

    #[test]
    fn fresh_instances_get_all_daemons_even_if_replicas_are_planned_first_daemon_20(
        mut scene in scenes(),
        known in any::<bool>(),
    ) {
        if known {
            let mut daemons = scene.clone();
            for name in ["d", "e"] {
                let plan = daemons.plan(name);
                scene.edit_service(name, |s| s.deployments = plan.deployments);
            }
        }
        for name in ["r", "s", "d", "e"] {
            let plan = scene.plan(name);
            scene.commit(name, &plan);
        }
        for instance in scene.world.instances.values() {
            let mut room = instance.registered.remaining(&instance.foreign);
            for name in ["d", "e"] {
                let demand = scene.world.definitions[&key(&format!("{name}.1"))].demand.clone().unwrap();
                if room.lack_for(&demand).is_none() {
                    room = room.remaining(&demand);
                    let there = instance.reservations.iter().any(|r| r.task.starts_with(&format!("{name}-")));
                    prop_assert!(there, "{} lacks {name}", instance.name);
                }
            }
        }
    }

    #[test]
    fn the_order_of_arrival_changes_nothing(
        mut scene in scenes(),
        steps in prop::collection::vec(step(), 0..40),
        rotation in 1..7usize,
    ) {
        for step in &steps {
            play(&mut scene, step);
        }
        let world = &scene.world;
        let mut other = World::default();
        (other.now, other.seed, other.task_version) = (world.now, world.seed, world.task_version);
        other.clusters = world.clusters.clone();
        let turned = |n: usize| (0..n).map(move |i| n - 1 - (i + rotation) % n);
        let instances: Vec<_> = world.instances.values().cloned().collect();
        for i in turned(instances.len()) {
            let mut instance = (*instances[i]).clone();
            instance.reservations.reverse();
            other.instances.insert(instance.name.clone(), instance.into());
        }
        let tasks: Vec<_> = world.tasks().cloned().collect();
        for i in turned(tasks.len()) {
            other.put_task((*tasks[i]).clone());
        }
        for (key, definition) in world.definitions.iter().rev() {
            other.definitions.insert(key.clone(), definition.clone());
        }
        for (key, service) in world.services.iter().rev() {
            let mut service = (**service).clone();
            service.allocations.reverse();
            service.stopping.reverse();
            other.services.insert(key.clone(), service.into());
        }
        for name in SERVICES {
            prop_assert_eq!(crate::plan::service(&other, &key(name)), scene.plan(name));
        }
    }
}
