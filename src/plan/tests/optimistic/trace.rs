//! One trace of stops played in each mode: when do the tasks that wait start?

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{ended, stops, tenant};
use crate::plan::testing::*;
use crate::plan::world::Optimistic;

/// Seconds that a trace is played; by then every stop is over.
const LENGTH: i64 = 140;

/// A task that is there at the beginning.
#[derive(Clone, Debug)]
struct Tenant {
    instance: usize,
    units: i64,
    /// When it is told to stop, and how long it takes.
    told: i64,
    takes: i64,
}

#[derive(Clone, Debug)]
struct Trace {
    instances: usize,
    tenants: Vec<Tenant>,
    /// Units of each new task, and when they are asked for.
    demand: i64,
    asked: Vec<(i64, u32)>,
    stop_seconds: i64,
    /// How long earlier stops took that are learned from: it need not be true.
    learned: Option<i64>,
    bound: i64,
}

fn tenant_of(instances: usize) -> impl Strategy<Value = Tenant> {
    (0..instances, 1i64..=4, 0i64..60, 0i64..60).prop_map(|(instance, units, told, takes)| Tenant {
        instance,
        units,
        told,
        takes,
    })
}

fn trace() -> impl Strategy<Value = Trace> {
    (1usize..=3).prop_flat_map(|instances| {
        (
            prop::collection::vec(tenant_of(instances), 0..10),
            1i64..=3,
            prop::collection::vec((0i64..80, 1u32..3), 1..3),
            0i64..90,
            prop::option::of(0i64..40),
            1i64..40,
        )
            .prop_map(
                move |(tenants, demand, asked, stop_seconds, learned, bound)| Trace {
                    instances,
                    tenants,
                    demand,
                    asked,
                    stop_seconds,
                    learned,
                    bound,
                },
            )
    })
}

/// The seconds at which tasks started, in their order.
fn starts(trace: &Trace, mode: Optimistic) -> Vec<i64> {
    let mut old = definition("old:1", 0, 0);
    old.stop_seconds = trace.stop_seconds;
    let mut scene = Scene::new()
        .cluster(|c| c.optimistic = mode)
        .definition(old)
        .definition(definition("n:1", trace.demand * 512, 0))
        .service(replica("n", "n:1", 0));
    for n in 0..trace.instances {
        scene = scene.instance(instance(&format!("i{n}")));
    }
    let mut there = Vec::new();
    for (n, lodger) in trace.tenants.iter().enumerate() {
        let (id, on) = (format!("l{n}"), format!("i{}", lodger.instance));
        let share = amounts(lodger.units * 512, 0);
        if scene.world.instances[&on].remaining().lack_for(&share).is_none() {
            tenant(&mut scene, &id, &on, share);
            there.push((id, lodger));
        }
    }
    if let Some(seconds) = trace.learned {
        tenant(&mut scene, "before", "i0", amounts(0, 0));
        stops(&mut scene, "before");
        scene.advance(seconds);
        ended(&mut scene, "before");
    }
    let (begin, mut found) = (scene.world.now, Vec::new());
    for second in 0..LENGTH {
        scene.world.now = begin + SignedDuration::from_secs(second);
        for (id, lodger) in &there {
            if lodger.told == second {
                stops(&mut scene, id);
            }
            if lodger.told + lodger.takes == second {
                ended(&mut scene, id);
            }
        }
        let asked: u32 = trace
            .asked
            .iter()
            .filter(|(at, _)| *at <= second)
            .map(|(_, n)| n)
            .sum();
        scene.edit_service("n", |s| s.desired_count = asked);
        scene.look_at_queued();
        let plan = scene.plan("n");
        assert!(plan.stop.is_empty());
        scene.commit("n", &plan);
        scene.create_tasks();
        scene.look_at_queued();
        scene.run_tasks();
        found.resize(scene.where_wanted("n").len(), second);
        for instance in scene.world.instances.values() {
            assert_eq!(
                instance.remaining().lack_for(&amounts(0, 0)),
                None,
                "over-committed: {instance:?}"
            );
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn smart_starts_nothing_later_than_off_and_on_by_more_than_the_bound_opt_5(trace in trace()) {
        let smart = starts(&trace, Optimistic::Smart(SignedDuration::from_secs(trace.bound)));
        for other in [Optimistic::Off, Optimistic::On] {
            let other_starts = starts(&trace, other);
            prop_assert!(smart.len() >= other_starts.len(), "{:?}: {:?} {:?}", other, smart, other_starts);
            for (mine, theirs) in smart.iter().zip(&other_starts) {
                prop_assert!(*mine <= theirs + trace.bound, "{:?}: {:?} {:?}", other, smart, other_starts);
            }
        }
    }
}
