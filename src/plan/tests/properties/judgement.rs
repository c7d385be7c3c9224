//! The placer beside the plain form of the same: every instance judged by the whole chain of checks for every task, and the
//! best of those left by the criteria one after the other.

use proptest::prelude::*;

use super::history::{play, scenes, step};
use super::{SERVICES, config};
use crate::domain::expr::Expression;
use crate::domain::records::{InstanceStatus, Reservation, SchedulingStrategy, ServiceRef};
use crate::domain::resources::Resources;
use crate::plan::choice::draw;
use crate::plan::deployment::{self, Recipe};
use crate::plan::eligibility::{
    check_refused, check_resources, check_rules, check_status, claims_now, is_distinct, left, not_distinct,
};
use crate::plan::members::members;
use crate::plan::placement::Placer;
use crate::plan::prospect::Verdict;
use crate::plan::ranking::Ranking;
use crate::plan::testing::*;
use crate::plan::world::{Instance, Rejection, Service, World};
use crate::plan::zones::zone_of;
use crate::plan::{backoff, daemons_due, service};

/// Rules that depend on the instance alone, on the tasks there, on the service's own.
const RULES: [&str; 6] = [
    "attribute:off !exists",
    "not(task:group == service:s)",
    "task:group != service:r",
    "runningTasksCount < 3",
    "task:group exists or attribute:off exists",
    "agentConnected == true",
];

fn verdict(
    world: &World,
    service: &Service,
    recipe: Recipe<'_>,
    instance: &Instance,
) -> Result<Resources, Rejection> {
    let (namespace, definition) = (&service.key.namespace, recipe.definition);
    let left = left(world, instance, &claims_now(world, &service.cluster));
    let full = service.distinct_instance && !is_distinct(world, instance, service);
    let waits = backoff::instance_until(world, service, None, &instance.name);
    check_status(instance)
        .or_else(|| check_rules(world, instance, namespace, None, definition, recipe.constraints))
        .or_else(|| full.then(|| not_distinct(instance)))
        .or_else(|| waits.map(|_| check_refused(instance)))
        .or_else(|| check_resources(instance, &left, recipe.demand))
        .map_or(Ok(left), Err)
}

/// Instances of the cluster with what they are to the next task.
fn judged(
    world: &World,
    service: &Service,
    recipe: Recipe<'_>,
) -> Vec<(Instance, Result<Resources, Rejection>)> {
    let all = world.instances.values().filter(|i| i.cluster == service.cluster);
    let all = all.filter(|i| i.status != InstanceStatus::Inactive);
    all.map(|i| (Instance::clone(i), verdict(world, service, recipe, i)))
        .collect()
}

fn edited(mut scene: Scene, rules: (usize, usize)) -> Scene {
    for (name, rule) in [("r", rules.0), ("e", rules.1)] {
        if let Some(rule) = RULES.get(rule) {
            let rule = Expression::parse(rule).unwrap();
            scene.edit_service(name, |s| s.constraints = Ok(vec![rule]));
        }
    }
    scene
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn the_placer_chooses_as_the_plain_form_does_place_2_place_3_strat_10(
        scene in scenes(),
        rules in (0..9usize, 0..9usize),
        steps in prop::collection::vec(step(), 0..40),
        zones in prop::collection::vec(prop::option::weighted(0.2, prop::sample::select(vec!["a", "b"])), 8),
    ) {
        let mut scene = edited(scene, rules);
        for step in &steps {
            play(&mut scene, step);
        }
        let world = &scene.world;
        for asking in ["r", "s"].map(|name| scene.get(name)) {
            let found = members(world, asking);
            let mut plan = deployment::begin(world, asking, &found);
            let Some(recipe) = deployment::recipe(world, asking, &mut plan) else { continue };
            let mut placer = Placer::new(world, asking, recipe, &found);
            let mut ranking = Ranking::new(world, asking, &found);
            let mut plain = world.clone();
            for (n, zone) in zones.iter().enumerate() {
                let id = format!("id-{n}");
                let rows = judged(&plain, asking, recipe);
                let expected: Vec<(String, Verdict)> = rows
                    .iter()
                    .map(|(i, v)| (i.name.clone(), v.clone().map_or_else(Verdict::Rejected, |_| Verdict::Fits)))
                    .collect();
                prop_assert_eq!(placer.verdicts().collect::<Vec<_>>(), expected);
                let fit = rows.iter().filter_map(|(i, v)| Some((i, v.as_ref().ok()?)));
                let fit = fit.filter(|(i, _)| zone.is_none() || zone_of(i) == *zone);
                let lot = draw(plain.seed, &[&asking.uid, &id]);
                let chosen = ranking.best(fit.collect(), |(i, room)| (i, room), lot).map(|(i, _)| i);
                prop_assert_eq!(placer.place_in(&id, *zone), chosen.map(|i| i.name.clone()));
                let Some(chosen) = chosen else { continue };
                ranking.add(chosen, 1);
                plain.edit_instance(&chosen.name, |i| i.reservations.push(Reservation {
                    namespace: asking.key.namespace.clone(),
                    task: format!("#{n}"),
                    uid: None,
                    service: Some(ServiceRef {
                        name: asking.key.name.clone(),
                        uid: asking.uid.clone(),
                        daemon: false,
                        deployment: None,
                    }),
                    amounts: recipe.demand.clone(),
                    since: String::new(),
                    restored: false,
                }));
            }
        }
    }

    #[test]
    fn daemons_that_are_due_are_those_whose_plans_start_something_daemon_20(
        scene in scenes(),
        rules in (0..9usize, 0..9usize),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut scene = edited(scene, rules);
        for step in &steps {
            play(&mut scene, step);
        }
        let starts = |name: &&str| {
            let of = scene.get(name);
            of.strategy == SchedulingStrategy::Daemon && !of.deleting
                && !service(&scene.world, &of.key).start.is_empty()
        };
        let expected: Vec<_> = SERVICES.into_iter().filter(starts).map(key).collect();
        prop_assert_eq!(daemons_due(&scene.world, scene.get("r")), expected);
    }
}
