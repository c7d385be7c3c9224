//! What holds in every world, whatever happened to it: checked over random histories of users, nodes and the ledger.
//!
//! The properties of this folder play 10,000 histories; `PROPTEST_CASES` says how many each of them plays instead. Whatever a
//! history is for, each plan in it is held to I1 to I7 and to the percentages.

mod checks;
mod history;
mod judgement;
mod upkeep;

use proptest::prelude::*;

use crate::domain::records::{HealthStatus, InstanceStatus};
use crate::domain::rollout::Bounds;
use crate::plan::testing::*;
use crate::plan::world::{Cluster, World};
use checks::{balanced, check, check_ledger, check_rest};
use history::{play, scenes, step};

const SERVICES: [&str; 4] = ["d", "e", "r", "s"];

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
            (t.health, t.protected_until) = (HealthStatus::Unknown, None);
        });
    }
}

fn everyone_rounds(scene: &mut Scene) -> bool {
    let mut quiet = true;
    for name in SERVICES {
        let plan = scene.plan(name);
        check(scene, name, &plan);
        quiet &= plan.start.is_empty() && plan.stop.is_empty() && plan.tell.is_empty();
        quiet &= plan.deployments == scene.get(name).deployments;
        scene.tell(&plan);
        scene.carry_out(name, &plan);
        check_ledger(scene);
    }
    scene.advance(60);
    quiet
}

/// So many cases, or what `PROPTEST_CASES` says.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(3000))]

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
        check_rest(&scene);
        for name in SERVICES {
            let (service, plan) = (scene.get(name), scene.plan(name));
            // A daemon may wait for a replica that can't leave its DRAINING instance: that one explains itself.
            let waits = scene.alive(name).iter().any(|t| {
                let at = t.instance.as_deref().unwrap_or_default();
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
                let full = plan.events.iter().any(|event| event.contains("is unable to place a task in"));
                let upper = Bounds::new(service.desired_count, 0, service.maximum_percent).upper;
                let moves = service.rebalancing && upper > service.desired_count;
                prop_assert!(!moves || full || balanced(&scene, name), "{} is not balanced: {:?}", name, plan);
                prop_assert!(scene.alive(name).iter().all(|t| t.told.is_none() || waits), "PROT-11");
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn a_service_that_fits_is_placed_within_two_passes_place_1(
        mut scene in scenes(),
        steps in prop::collection::vec(step(), 0..30),
        turn in 0..4usize,
    ) {
        for step in &steps {
            play(&mut scene, step);
        }
        calm(&mut scene);
        for name in SERVICES {
            scene.edit_service(name, |s| s.deleting = s.deleting || ["r", "s"].contains(&name) && turn < 2);
        }
        scene.advance(100_000);
        // a service that is new, on an instance that is new and has room for it next to the daemons
        scene = scene
            .definition(definition("new:1", 100, 64))
            .instance(instance("new").size(40_000, 65_536))
            .service(replica("new", "new:1", 3).member_of("attribute:kind == new"));
        scene.edit_instance("new", |i| drop(i.attributes.insert("kind".to_owned(), Some("new".to_owned()))));
        // whoever else plans first
        let mut order = ["new", "d", "e", "r", "s"];
        order.rotate_left(turn);
        for _ in 0..2 {
            for name in order {
                let plan = scene.plan(name);
                scene.carry_out(name, &plan);
            }
            scene.advance(60);
        }
        let placed = scene.where_wanted("new");
        prop_assert_eq!(placed, ["new", "new", "new"]);
    }

    #[test]
    fn fresh_instances_get_all_daemons_even_if_replicas_are_planned_first_daemon_20(
        mut scene in scenes(),
        known in any::<bool>(),
    ) {
        if known {
            let daemons = scene.clone();
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
        other.set_clusters(world.clusters.values().map(|c| Cluster::clone(c)), []);
        let turned = |n: usize| (0..n).map(move |i| n - 1 - (i + rotation) % n);
        let instances: Vec<_> = world.instances.values().cloned().collect();
        for i in turned(instances.len()) {
            let mut instance = (*instances[i]).clone();
            instance.reservations.reverse();
            other.put_instance(instance);
        }
        let tasks: Vec<_> = world.tasks().cloned().collect();
        for i in turned(tasks.len()) {
            other.put_task((*tasks[i]).clone());
        }
        for definition in world.definitions.values().rev() {
            other.put_definition(definition.clone());
        }
        for service in world.services.values().rev() {
            let mut service = (**service).clone();
            service.allocations.reverse();
            service.stopping.reverse();
            other.put_service(service);
        }
        for name in SERVICES {
            prop_assert_eq!(crate::plan::service(&other, &key(name)), scene.plan(name));
        }
    }
}
