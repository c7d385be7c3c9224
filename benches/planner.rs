//! What planning costs as a fleet grows: 10 tasks on an instance, 100 tasks in a service, three zones, ECS's default
//! placement for one half of the services and binpack for the other; a daemon everywhere.
//!
//! `cargo bench --bench planner`
//!
//! `from nothing` plans every service once, and nothing else is timed: what a plan decides is put into the world between two
//! plans. `one change` is a pass after a task of a full fleet stopped: which daemons come first, then its service. The
//! curve is printed at the end: the same per instance at every size is linear growth.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "counts of a fleet that is made here, told to whoever ran it"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use ecs_operator::domain::deployment::{CircuitBreaker, SuccessCriteria};
use ecs_operator::domain::records::{
    DesiredStatus, HealthStatus, InstanceStatus, LastStatus, Reservation, SchedulingStrategy, ServiceRef,
};
use ecs_operator::domain::resources::Resources;
use ecs_operator::plan::world::{
    Cluster, Definition, Instance, Key, Optimistic, Service, Strategy, Task, World,
};
use ecs_operator::plan::{self, ServicePlan};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Instances of each fleet.
const SIZES: [usize; 4] = [625, 1250, 2500, 5000];
const TASKS_PER_INSTANCE: usize = 10;
const TASKS_PER_SERVICE: usize = 100;
const ZONES: [&str; 3] = ["a", "b", "c"];
const NAMESPACE: &str = "shop";
const AGENT: &str = "agent";
/// How long the tasks of a full fleet have run.
const AGE: SignedDuration = SignedDuration::from_hours(1);

fn key(name: &str) -> Key {
    Key::new(NAMESPACE, name)
}

fn amounts(cpu: i64, memory: i64, pods: i64) -> Resources {
    Resources {
        cpu,
        memory,
        pods,
        ..Resources::default()
    }
}

fn instance(number: usize) -> Instance {
    let name = format!("i-{number:05}");
    let zone = ZONES[number % ZONES.len()].to_owned();
    Instance {
        uid: format!("uid-{name}"),
        version: 1,
        cluster: "default".to_owned(),
        status: InstanceStatus::Active,
        connected: true,
        disconnected_since: None,
        schedulable: true,
        agent_version: None,
        ec2_instance_id: name.clone(),
        registered_at: None,
        attributes: [("ecs.availability-zone".to_owned(), Some(zone))].into(),
        registered: amounts(4096, 16384, 110),
        foreign: amounts(200, 512, 4),
        reservations: Vec::new(),
        overcommitted: false,
        newer_ledger: None,
        queue: Vec::new(),
        name,
    }
}

fn definition(family: &str, cpu: i64, memory: i64) -> Definition {
    let name = format!("{family}.1");
    Definition {
        uid: format!("uid-{name}"),
        key: key(&name),
        family: family.to_owned(),
        revision: 1,
        active: true,
        deleting: false,
        demand: Ok(amounts(cpu, memory, 1)),
        constraints: Ok(Vec::new()),
        required_attributes: Vec::new(),
        health_checked: false,
        stop_seconds: 30,
    }
}

fn service(name: &str, definition: &str, strategies: Vec<Strategy>) -> Service {
    let daemon = name == AGENT;
    Service {
        key: key(name),
        uid: format!("uid-{name}"),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        ecs_name: name.to_owned(),
        cluster: "default".to_owned(),
        deleting: false,
        strategy: if daemon {
            SchedulingStrategy::Daemon
        } else {
            SchedulingStrategy::Replica
        },
        desired_count: if daemon {
            0
        } else {
            u32::try_from(TASKS_PER_SERVICE).unwrap_or(u32::MAX)
        },
        requested_definition: definition.to_owned(),
        forced: None,
        minimum_healthy_percent: if daemon { 0 } else { 100 },
        maximum_percent: if daemon { 100 } else { 200 },
        circuit_breaker: CircuitBreaker::default(),
        success: SuccessCriteria::default(),
        depends_on_daemons: Vec::new(),
        health_check_grace_period_seconds: 0,
        constraints: Ok(Vec::new()),
        distinct_instance: false,
        strategies,
        rebalancing: !daemon,
        deployments: Vec::new(),
        history: Vec::new(),
        allocations: Vec::new(),
        stopping: Vec::new(),
        observed_task_version: 0,
    }
}

/// A fleet without tasks.
fn fleet(instances: usize) -> World {
    let mut world = World::default();
    (world.now, world.seed) = (Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1000), 7);
    let cluster = Cluster {
        name: "default".to_owned(),
        deleting: false,
        healthy_after_seconds: 40,
        disconnected_task_timeout_seconds: 300,
        replicas_wait_for_daemons: false,
        allowed_namespaces: None,
        daemon_namespaces: None,
        optimistic: Optimistic::Off,
    };
    world.set_clusters([cluster], []);
    for one in (0..instances).map(instance) {
        world.put_instance(one);
    }
    for one in [definition("web", 256, 1024), definition(AGENT, 128, 256)] {
        world.put_definition(one);
    }
    let replicas = (0..instances * TASKS_PER_INSTANCE / TASKS_PER_SERVICE).map(|number| {
        let strategies = if number % 2 == 0 {
            vec![
                Strategy::SpreadAttribute("ecs.availability-zone".to_owned()),
                Strategy::SpreadInstance,
            ]
        } else {
            vec![Strategy::BinpackMemory]
        };
        service(&format!("s-{number:04}"), "web:1", strategies)
    });
    for one in std::iter::once(service(AGENT, "agent:1", Vec::new())).chain(replicas) {
        world.put_service(one);
    }
    world
}

/// Puts into the world what a plan decides, as if every write succeeded and every task ran for a while.
fn carry_out(world: &mut World, key: &Key, plan: &ServicePlan) {
    world.edit_service(key, |service| {
        service.deployments.clone_from(&plan.deployments);
        service.history.clone_from(&plan.history);
    });
    let Some(service) = world.services.get(key).cloned() else {
        return;
    };
    for start in &plan.start {
        world.task_version += 1;
        let id = format!("{:032x}", world.task_version);
        let owner = ServiceRef {
            name: key.name.clone(),
            uid: service.uid.clone(),
            daemon: service.strategy == SchedulingStrategy::Daemon,
            deployment: Some(start.deployment.clone()),
        };
        world.edit_instance(&start.instance, |instance| {
            instance.reservations.push(Reservation {
                namespace: key.namespace.clone(),
                task: id.clone(),
                uid: None,
                service: Some(owner.clone()),
                amounts: start.demand.clone(),
                since: String::new(),
                restored: false,
            });
        });
        world.put_task(Task {
            uid: format!("uid-{id}"),
            key: Key::new(&key.namespace, id),
            version: world.task_version,
            created_at: world.now - AGE,
            cluster: service.cluster.clone(),
            instance: Some(start.instance.clone()),
            group: service.group(),
            service: Some(owner),
            started_by: start.deployment.clone(),
            definition: service.requested_definition.clone(),
            desired: DesiredStatus::Running,
            last: LastStatus::Running,
            health: HealthStatus::Unknown,
            healthy_since: None,
            started_at: Some(world.now - AGE),
            stopped_at: None,
            stop_code: None,
            stopping_at: None,
            stopped_reason: None,
            held_up: None,
            tombstone: false,
            protected_until: None,
            told: None,
            run_once: None,
        });
    }
}

/// Plans all services, the daemon first, until each has what it asks for: how long the plans took, and how many there were.
/// A plan starts a bounded number of tasks, so that the daemon needs several.
fn fill(world: &mut World) -> (Duration, usize) {
    let (mut taken, mut plans) = (Duration::ZERO, 0);
    let keys: Vec<Key> = world.services.keys().cloned().collect();
    for key in keys {
        loop {
            let begun = Instant::now();
            let plan = plan::service(world, &key);
            taken += begun.elapsed();
            plans += 1;
            carry_out(world, &key, &plan);
            if plan.start.is_empty() {
                break;
            }
        }
    }
    (taken, plans)
}

/// A full fleet in which a task of a service stopped, and that service.
fn one_stopped(full: &World) -> (World, Key) {
    let mut world = full.clone();
    let victim = world
        .tasks()
        .find(|task| !task.is_daemon())
        .map(|task| Task::clone(task));
    let Some(mut task) = victim else {
        return (world, key(AGENT));
    };
    let owner = task.service.as_ref().map(|of| key(&of.name));
    task.last = LastStatus::Stopped;
    task.stopped_at = Some(world.now);
    if let Some(on) = &task.instance {
        world.edit_instance(on, |instance| {
            let entries = &mut instance.reservations;
            entries.retain(|entry| !entry.is_for(NAMESPACE, &task.key.name));
        });
    }
    world.put_task(task);
    (world, owner.unwrap_or_else(|| key(AGENT)))
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut curve = String::new();
    for instances in SIZES {
        let empty = fleet(instances);
        let mut full = empty.clone();
        let (first, plans) = fill(&mut full);
        let tasks = full.tasks().count();
        let _ = writeln!(
            curve,
            "{instances:6} instances, {tasks:6} tasks, {plans:4} plans: from nothing {:7.1} ms, {:5.2} µs a task",
            first.as_secs_f64() * 1e3,
            first.as_secs_f64() * 1e6 / f64::from(u32::try_from(tasks).unwrap_or(u32::MAX)),
        );
        criterion.bench_function(&format!("from nothing/{instances}"), |bench| {
            bench.iter_custom(|times| (0..times).map(|_| fill(&mut empty.clone()).0).sum());
        });
        let (changed, concerned) = one_stopped(&full);
        let plan = plan::service(&changed, &concerned);
        assert_eq!(plan.start.len(), 1, "a task that stopped is replaced");
        criterion.bench_function(&format!("one change/{instances}"), |bench| {
            let service = &changed.services[&concerned];
            bench.iter(|| {
                black_box(plan::daemons_due(&changed, service));
                black_box(plan::service(&changed, &concerned))
            });
        });
    }
    print!("{curve}");
    criterion.final_summary();
}
