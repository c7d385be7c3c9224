//! In every world a remedy is one: with it the planner places the task, and with less it doesn't.

#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::picture;
use crate::domain::expr::Expression;
use crate::domain::records::InstanceStatus;
use crate::domain::resources::Resources;
use crate::explain::change::Change;
use crate::explain::rehearsal::{Rest, rehearse};
use crate::explain::remedy::{Remedy, alone, ask, remedy};
use crate::explain::service::subject;
use crate::plan::testing::*;
use crate::plan::world::{Definition, Instance, RunOnce, Service, Task, World};
use crate::plan::{Asker, Verdict};

const EXPRESSIONS: [&str; 8] = [
    "attribute:a == x",
    "attribute:a in [x, y] and attribute:n > 3",
    "not attribute:a == x",
    "attribute:b exists or attribute:a =~ z.*",
    "attribute:a !exists",
    "not task:group == service:s and attribute:a == y",
    "task:group == service:t",
    "runningTasksCount < 1",
];

fn instances() -> impl Strategy<Value = Instance> {
    let room = (0..3000i64, 0..5000i64, 0..3i64, any::<bool>());
    let taken = (0..3000i64, 0..3000i64, any::<bool>(), any::<bool>());
    let states = (
        0..8u8,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
    );
    let attributes = (prop::option::of(0..4usize), prop::option::of(1..6i64));
    (room, taken, states, attributes).prop_map(|(room, taken, states, attributes)| {
        let mut instance = instance("i").size(room.0, room.1);
        instance.registered.pods = room.2 + 1;
        if room.3 {
            instance.registered.ports.insert(80);
        }
        instance.foreign = Resources {
            pods: i64::from(taken.2),
            ..amounts(taken.0.min(room.0), taken.1.min(room.1))
        };
        if taken.3 {
            instance.foreign.ports.insert(81);
        }
        instance.status = match states.0 {
            0 => InstanceStatus::Draining,
            1 => InstanceStatus::Registering,
            _ => InstanceStatus::Active,
        };
        (instance.connected, instance.schedulable, instance.overcommitted) = (states.1, states.2, states.3);
        if let Some(at) = attributes.0 {
            instance = instance.attribute("a", ["x", "y", "zz", "w"][at]);
        }
        if let Some(n) = attributes.1 {
            instance = instance.attribute("n", &n.to_string());
        }
        instance
    })
}

fn services(name: &'static str) -> impl Strategy<Value = Service> {
    let rules = prop::option::of(0..EXPRESSIONS.len());
    let more = prop::option::of(0..EXPRESSIONS.len());
    (rules, more, any::<bool>(), prop::bool::weighted(0.3), 0..4u32).prop_map(
        move |(rule, more, distinct, is_daemon, count)| {
            let definition = format!("{name}:1");
            let mut service = if is_daemon {
                daemon(name, &definition)
            } else {
                replica(name, &definition, count)
            };
            if let Some(at) = rule {
                service = service.member_of(EXPRESSIONS[at]);
            }
            if let (Some(at), Ok(rules)) = (more, &mut service.constraints) {
                let text = EXPRESSIONS[at];
                rules.extend(crate::domain::expr::Expression::parse(text));
            }
            service.distinct_instance = distinct && !is_daemon;
            service
        },
    )
}

fn scenes() -> impl Strategy<Value = Scene> {
    let sizes = prop::collection::vec((0..1500i64, 0..2500i64, 0..6u8), 3);
    let all = prop::collection::vec(instances(), 1..4);
    (
        all,
        sizes,
        services("r"),
        services("s"),
        services("t"),
        any::<bool>(),
    )
        .prop_map(|(all, sizes, r, s, t, settled)| {
            let mut scene = Scene::new();
            for (n, mut instance) in all.into_iter().enumerate() {
                instance.name = format!("i{n}");
                scene = scene.instance(instance);
            }
            for (name, (cpu, memory, port)) in ["r:1", "s:1", "t:1"].into_iter().zip(sizes) {
                let made = definition(name, cpu, memory);
                let made = if port < 3 {
                    made.port([80, 81, 82][usize::from(port)])
                } else {
                    made
                };
                scene = scene.definition(made);
            }
            scene = scene.service(r).service(s).service(t);
            for name in ["s", "t", "r"].into_iter().filter(|_| settled) {
                scene.round(name);
            }
            scene
        })
}

/// A run-once task that waits for a place, some with overrides.
fn jobs() -> impl Strategy<Value = (Task, Definition, bool)> {
    let rules = prop::collection::vec(0..EXPRESSIONS.len(), 0..3);
    (rules, any::<bool>(), any::<bool>(), 0..2500i64, 0..5000i64).prop_map(
        |(rules, distinct, overrides, cpu, memory)| {
            let wish = RunOnce {
                constraints: rules
                    .into_iter()
                    .map(|at| Expression::parse(EXPRESSIONS[at]))
                    .collect(),
                distinct_instance: distinct,
                ..RunOnce::default()
            };
            let task = Task {
                instance: None,
                definition: "s:1".to_owned(),
                group: "service:s".to_owned(),
                run_once: Some(Arc::new(wish)),
                ..standalone("job", "")
            };
            (task, definition("s:1", cpu, memory), overrides)
        },
    )
}

fn verdict(world: &World, of: &Asker, instance: &str) -> Option<Verdict> {
    let found = of.prospect(world).ok()?;
    found
        .verdicts
        .into_iter()
        .find(|(name, _)| name == instance)
        .map(|(_, verdict)| verdict)
}

/// The same change with one unit less of each amount in turn.
fn smaller(change: &Change) -> Vec<Change> {
    let amounts = |amounts: &Resources| -> Vec<Resources> {
        let fields: [fn(&mut Resources) -> &mut i64; 4] =
            [|r| &mut r.cpu, |r| &mut r.memory, |r| &mut r.gpu, |r| &mut r.pods];
        let mut found = Vec::new();
        for field in fields {
            let mut less = amounts.clone();
            if *field(&mut less) > 0 {
                *field(&mut less) -= 1;
                found.push(less);
            }
        }
        found
    };
    match change {
        Change::Free { amounts: a } => amounts(a)
            .into_iter()
            .map(|amounts| Change::Free { amounts })
            .collect(),
        Change::AskLess { amounts: a } => amounts(a)
            .into_iter()
            .map(|amounts| Change::AskLess { amounts })
            .collect(),
        Change::Enlarge { amounts: a } => amounts(a)
            .into_iter()
            .map(|amounts| Change::Enlarge { amounts })
            .collect(),
        Change::Wait { seconds } => vec![Change::Wait { seconds: seconds - 1 }],
        _ => Vec::new(),
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn a_remedy_makes_the_instance_fit_and_nothing_of_it_can_be_left_out(scene in scenes(), job in jobs()) {
        let (task, overridden, overrides) = job;
        let mut scene = scene.task(task);
        if overrides {
            scene.world.overridden.insert(key("job"), Some(Arc::new(overridden)));
        }
        let world = &scene.world;
        let services = ["r", "s", "t"].map(|service| Asker::Service(key(service)));
        for service in services.iter().chain([&Asker::Task(key("job"))]) {
            let Ok(found) = service.prospect(world) else { continue };
            for (instance, before) in &found.verdicts {
                let subject = subject(service, &found, instance);
                let small = alone(world, &subject, &found.deployments);
                prop_assert_eq!(ask(&small, &subject), Some(before.clone()), "alone, it is judged as among others");
                let Verdict::Rejected(_) = before else { continue };
                let Some(Remedy(changes)) = remedy(world, &subject, &found) else {
                    prop_assert!(false, "no remedy for {:?} on {}: {:?}", service, instance, before);
                    continue;
                };
                let with = |changes: &[Change]| {
                    let mut world = world.clone();
                    Remedy(changes.to_vec()).apply(&mut world, &subject);
                    verdict(&world, service, instance)
                };
                prop_assert_eq!(with(&changes), Some(Verdict::Fits), "{:?}", &changes);
                for at in 0..changes.len() {
                    let mut fewer = changes.clone();
                    fewer.remove(at);
                    prop_assert_ne!(with(&fewer), Some(Verdict::Fits), "{:?} without the {}th", &changes, at);
                    for less in smaller(&changes[at]) {
                        let mut fewer = changes.clone();
                        fewer[at] = less;
                        prop_assert_ne!(with(&fewer), Some(Verdict::Fits), "{:?} is enough instead of {:?}", &fewer, &changes);
                    }
                }
            }
        }
    }

    #[test]
    fn a_rehearsal_comes_to_rest_and_over_commits_nothing_i1_i2(scene in scenes(), away in 0..3usize, drain in 0..3usize) {
        let mut scene = scene;
        let names: Vec<String> = scene.world.instances.keys().cloned().collect();
        if let Some(name) = names.get(away) {
            scene.edit_instance(name, |i| (i.connected, i.disconnected_since) = (false, Some(Timestamp::UNIX_EPOCH)));
        }
        if let Some(name) = names.get(drain) {
            scene.edit_instance(name, |i| i.status = InstanceStatus::Draining);
        }
        let outcome = rehearse(&picture(&scene));
        prop_assert_eq!(outcome.rest, Rest::Reached);
        for service in ["r", "s", "t"] {
            let plan = crate::plan::service(&outcome.world, &key(service));
            prop_assert!(plan.start.is_empty() && plan.stop.is_empty(), "{:?}", plan);
        }
        for instance in outcome.world.instances.values() {
            let left = instance.remaining();
            prop_assert!(instance.reservations.is_empty() || (left.cpu.min(left.memory).min(left.pods) >= 0), "{:?}", instance);
            for service in ["r", "s", "t"] {
                let ours = instance.reservations.iter().filter(|r| r.service.as_ref().is_some_and(|s| s.daemon && s.name == service));
                prop_assert!(ours.count() <= 1);
            }
        }
    }
}
