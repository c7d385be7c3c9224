//! Random worlds and what may happen in them: users, nodes, and a ledger that does its work in pieces.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::SERVICES;
use super::checks::checked;
use crate::domain::records::{
    HealthStatus, InstanceStatus, LastStatus, SchedulingStrategy, ThresholdConfiguration, ThresholdType,
};
use crate::plan::testing::*;
use crate::plan::world::{Optimistic, Service, Strategy as Rank};

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
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
    Refuse(usize),
    Breaker(usize, bool, bool),
    Health(usize, bool),
    Protect(usize),
    Delete(usize),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
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
        3 => n.clone().prop_map(Step::Refuse),
        1 => (service.clone(), any::<bool>(), any::<bool>()).prop_map(|(s, a, b)| Step::Breaker(s, a, b)),
        1 => (n.clone(), any::<bool>()).prop_map(|(i, b)| Step::Health(i, b)),
        1 => n.prop_map(Step::Protect),
        1 => service.prop_map(Step::Delete),
    ]
}

/// Two daemon and two replica services over a few instances of different sizes and zones.
pub(super) fn scenes() -> impl Strategy<Value = Scene> {
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
        let mode = match seed % 4 {
            0 | 1 => Optimistic::Off,
            2 => Optimistic::On,
            _ => Optimistic::Smart(SignedDuration::from_secs(30)),
        };
        let mut scene = Scene::new().cluster(|c| c.optimistic = mode);
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
    let mut service = match strategy {
        0 => service,
        1 => service.strategy(Rank::Random),
        2 => service.strategy(Rank::SpreadInstance),
        3 => service.strategy(Rank::BinpackCpu),
        _ => service
            .strategy(Rank::SpreadAttribute("ecs.availability-zone".to_owned()))
            .strategy(Rank::BinpackMemory),
    };
    service.rebalancing = matches!(strategy, 0 | 4) && service.maximum_percent > 100;
    if distinct { service.distinct() } else { service }
}

/// Does one step; plans are checked before they are committed.
pub(super) fn play(scene: &mut Scene, step: &Step) {
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
        Step::Create => {
            scene.create_tasks();
            scene.look_at_queued();
        }
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
        Step::Refuse(n) => {
            let id = task_of(*n).filter(|id| {
                let task = scene.world.task(&key(id)).unwrap();
                task.wanted() && task.started_at.is_none()
            });
            if let Some(id) = id {
                scene.refuse_task(&id);
            }
        }
        Step::Breaker(s, enable, rollback) => scene.edit_service(SERVICES[*s], |v| {
            (v.circuit_breaker.enable, v.circuit_breaker.rollback) = (*enable, *rollback);
            // so that short histories reach it
            v.circuit_breaker.threshold = ThresholdConfiguration {
                type_: ThresholdType::Count,
                value: Some(2),
            };
        }),
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
                    t.protected_until = Some(now + SignedDuration::from_secs(900));
                });
            }
        }
        Step::Delete(s) => scene.edit_service(SERVICES[*s], |v| v.deleting = true),
    }
}
