use crate::domain::records::{Attribute, InstanceStatus};
use crate::plan::testing::*;
use crate::plan::world::Strategy;

fn places(scene: &Scene, name: &str) -> Vec<String> {
    scene.plan(name).start.into_iter().map(|s| s.instance).collect()
}

fn counts(scene: &Scene, name: &str, instances: &[&str]) -> Vec<usize> {
    let places = places(scene, name);
    instances
        .iter()
        .map(|i| places.iter().filter(|p| p == i).count())
        .collect()
}

fn zones() -> Scene {
    Scene::new()
        .definition(definition("r:1", 100, 100))
        .instance(instance("a1").zone("a"))
        .instance(instance("a2").zone("a"))
        .instance(instance("b1").zone("b"))
        .instance(instance("c1").zone("c"))
}

#[test]
fn by_default_zones_are_balanced_then_instances_strat_8() {
    let scene = zones().service(replica("r", "r:1", 6));
    assert_eq!(counts(&scene, "r", &["a1", "a2", "b1", "c1"]), [1, 1, 2, 2]);
}

#[test]
fn spread_by_instance_counts_only_the_services_own_tasks_strat_3_strat_4() {
    let mut scene = zones()
        .service(replica("other", "r:1", 4).strategy(Strategy::SpreadAttribute("x".to_owned())))
        .service(replica("r", "r:1", 4).strategy(Strategy::SpreadInstance));
    scene.settle("other");
    assert_eq!(counts(&scene, "r", &["a1", "a2", "b1", "c1"]), [1, 1, 1, 1]);
}

#[test]
fn instances_without_the_attribute_are_one_group_strat_5() {
    let scene = zones().instance(instance("n1")).instance(instance("n2")).service(
        replica("r", "r:1", 4).strategy(Strategy::SpreadAttribute("ecs.availability-zone".to_owned())),
    );
    let zone_of = |name: &str| name[..1].to_owned();
    let mut groups: Vec<_> = places(&scene, "r").iter().map(|p| zone_of(p)).collect();
    groups.sort();
    assert_eq!(groups, ["a", "b", "c", "n"]);
}

#[test]
fn a_zone_without_candidate_does_not_block_strat_11() {
    let mut scene = zones().service(replica("r", "r:1", 4));
    scene.edit_instance("c1", |i| i.foreign = amounts(2048, 0));
    assert_eq!(counts(&scene, "r", &["a1", "a2", "b1", "c1"]), [1, 1, 2, 0]);
}

#[test]
fn binpack_memory_takes_the_least_that_fits_scn_11_strat_6() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 400))
        .instance(instance("i1").size(2048, 1000))
        .instance(instance("i2").size(2048, 600))
        .instance(instance("i3").size(2048, 300))
        .service(replica("r", "r:1", 3).strategy(Strategy::BinpackMemory));
    assert_eq!(places(&scene, "r"), ["i2", "i1", "i1"]);
    scene.edit_service("r", |s| s.desired_count = 4);
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 3);
    assert!(
        plan.events[0]
            .contains("The closest matching (container-instance i3) has insufficient memory available.")
    );
}

#[test]
fn strategies_narrow_in_list_order_strat_7() {
    let scene = zones()
        .instance(instance("b2").zone("b").size(2048, 2000))
        .service(
            replica("r", "r:1", 6)
                .strategy(Strategy::SpreadAttribute("ecs.availability-zone".to_owned()))
                .strategy(Strategy::BinpackMemory),
        );
    assert_eq!(counts(&scene, "r", &["b1", "b2", "c1"]), [0, 2, 2]);
    let in_a = counts(&scene, "r", &["a1", "a2"]);
    assert!(
        in_a == [2, 0] || in_a == [0, 2],
        "packed inside the zone: {in_a:?}"
    );
}

#[test]
fn random_is_repeatable_and_depends_on_the_seed_strat_2_place_8() {
    let scene = zones().service(replica("r", "r:1", 12).strategy(Strategy::Random));
    assert_eq!(places(&scene, "r"), places(&scene, "r"));
    let mut other = scene.clone();
    other.world.seed += 1;
    assert_ne!(places(&scene, "r"), places(&other, "r"));
    assert!(
        counts(&scene, "r", &["a1", "a2", "b1", "c1"])
            .iter()
            .all(|n| *n > 0)
    );
}

#[test]
fn a_task_sees_the_ones_placed_before_it_place_1() {
    let scene = zones().service(replica("r", "r:1", 4).member_of("not(task:group == service:r)"));
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 4);
    assert_eq!(counts(&scene, "r", &["a1", "a2", "b1", "c1"]), [1, 1, 1, 1]);
}

#[test]
fn preconditions_are_checked_before_all_place_4() {
    let mut scene = zones().service(replica("r", "r:1", 1));
    let now = scene.world.now;
    scene.edit_instance("a1", |i| i.status = InstanceStatus::Draining);
    scene.edit_instance("a2", |i| *i = i.clone().disconnected(now));
    scene.edit_instance("b1", |i| i.schedulable = false);
    scene.edit_instance("c1", |i| i.overcommitted = true);
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    let reasons: Vec<_> = plan.failures.iter().map(|f| f.reason.as_str()).collect();
    assert_eq!(reasons, ["INACTIVE", "AGENT", "INACTIVE", "INACTIVE"]);
}

#[test]
fn an_instance_whose_ledger_is_newer_is_no_candidate_and_its_rejection_says_so() {
    let mut scene = zones().service(replica("r", "r:1", 4));
    scene.edit_instance("a1", |i| i.newer_ledger = Some(99));
    assert!(scene.plan("r").start.iter().all(|s| s.instance != "a1"));
    for name in ["a2", "b1", "c1"] {
        scene.edit_instance(name, |i| i.newer_ledger = Some(99));
    }
    let plan = scene.plan("r");
    assert!(plan.start.is_empty());
    assert_eq!(
        plan.failures[0].detail,
        "its status.ledgerVersion 99 is newer than this operator's 1"
    );
}

#[test]
fn a_required_attribute_must_be_there_attr_9() {
    let mut wanting = definition("r:2", 1, 1);
    wanting.required_attributes = vec![Attribute {
        name: "gpu".to_owned(),
        value: None,
    }];
    let mut scene = zones().definition(wanting).service(replica("r", "r:2", 1));
    let plan = scene.plan("r");
    assert!(
        plan.events[0].contains("(container-instance a1) is missing an attribute required by your task.")
    );
    scene.edit_instance("c1", |i| *i = i.clone().attribute("gpu", "a100"));
    assert_eq!(places(&scene, "r"), ["c1"]);
}

#[test]
fn constraints_of_service_and_definition_all_hold_cons_3_cons_6() {
    let mut narrow = definition("r:2", 1, 1);
    narrow.constraints = Ok(vec![
        crate::domain::expr::Expression::parse("attribute:ecs.availability-zone in [a, b]").unwrap(),
    ]);
    let mut scene = zones()
        .definition(narrow)
        .service(replica("r", "r:2", 2).member_of("attribute:ecs.availability-zone != a"));
    assert_eq!(places(&scene, "r"), ["b1", "b1"]);
    scene.settle("r");
    scene.edit_instance("b1", |i| i.attributes.clear());
    let plan = scene.plan("r");
    assert!(
        plan.stop.is_empty() && plan.steady,
        "running replicas are never re-checked"
    );
}

#[test]
fn distinct_instance_looks_at_desired_running_of_its_own_service_cons_4_cons_7() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(replica("other", "r:1", 2).distinct())
        .service(replica("r", "r:1", 3).distinct());
    scene.settle("other");
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 2);
    assert!(plan.events[0].contains(
        "(container-instance i1) encountered error \"DistinctInstance placement constraint unsatisfied.\"."
    ));
    scene.settle("r");
    assert_eq!(scene.where_wanted("r"), ["i1", "i2"]);
}

#[test]
fn a_static_host_port_is_taken_once_scn_18_place_6() {
    let scene = Scene::new()
        .definition(definition("r:1", 1, 1).port(80))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 2));
    let plan = scene.plan("r");
    assert_eq!(plan.start.len(), 1);
    assert!(
        plan.events[0].contains("(container-instance i1) is already using a port required by your task.")
    );
    assert_eq!(plan.failures[0].reason, "RESOURCE:PORTS");
    assert_eq!(
        plan.failures[0].detail,
        "host port 80/tcp is taken there, or among the reservedPorts of the EcsCluster: wait until it is free, or ask for \
         another in the task definition"
    );
}

#[test]
fn the_hundred_first_host_port_is_said_to_be_one_too_many_res_7() {
    let taken = (1000..1100).collect();
    let scene = Scene::new()
        .definition(definition("r:1", 1, 1).port(80))
        .instance(instance("i1"))
        .service(replica("r", "r:1", 1));
    let mut scene = scene;
    scene.edit_instance("i1", |i| i.foreign.ports = taken);
    let plan = scene.plan("r");
    assert_eq!(
        plan.failures[0].detail,
        "more than 100 host ports would be taken: ask for fewer in the task definition"
    );
}

#[test]
fn room_for_absent_daemons_is_withheld_scn_3_daemon_21_daemon_26() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 512, 256))
        .definition(definition("r:1", 2048, 256))
        .instance(instance("i9"))
        .service(daemon("d", "d:1"))
        .service(replica("r", "r:1", 1));
    let plan = scene.plan("r");
    assert!(
        plan.start.is_empty(),
        "also before the daemon was planned for the first time"
    );
    assert!(plan.events[0].contains("(container-instance i9) has insufficient CPU units available."));
    assert_eq!(plan.failures[0].detail, "asked 2048 CPU units, 1536 left");
    scene.settle("d");
    assert_eq!(scene.where_wanted("d"), ["i9"]);
    assert!(scene.plan("r").start.is_empty());
}

#[test]
fn a_bigger_daemon_revision_is_withheld_at_once_daemon_22() {
    let mut scene = Scene::new()
        .definition(definition("d:1", 512, 256))
        .definition(definition("d:2", 1024, 256))
        .definition(definition("r:1", 1500, 256))
        .instance(instance("i1"))
        .service(daemon("d", "d:1"))
        .service(replica("r", "r:1", 1));
    scene.settle("d");
    assert_eq!(places(&scene, "r"), ["i1"]);
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    assert!(places(&scene, "r").is_empty());
}

#[test]
fn an_empty_cluster_says_so_evt_20_evt_5() {
    let scene = Scene::new()
        .definition(definition("r:1", 1, 1))
        .service(replica("r", "r:1", 1));
    assert!(scene.plan("r").no_instances);
    assert_eq!(
        scene.plan("r").events,
        [
            "was unable to place a task because no container instance met all of its requirements. Reason: No \
          Container Instances were found in your cluster. For more information, see the Troubleshooting section of \
          the Amazon ECS Developer Guide."
        ]
    );
}

#[test]
fn the_closest_instance_passed_most_stages_then_has_most_left_evt_7() {
    let mut scene = zones().service(replica("r", "r:1", 1));
    scene.edit_instance("a1", |i| i.connected = false);
    for (name, cpu) in [("a2", 10), ("b1", 70), ("c1", 70)] {
        scene.edit_instance(name, |i| *i = i.clone().size(cpu, 4096));
    }
    let plan = scene.plan("r");
    assert!(plan.events[0].contains("The closest matching (container-instance b1) has insufficient CPU"));
    let names: Vec<_> = plan
        .failures
        .iter()
        .map(|f| f.container_instance.as_str())
        .collect();
    assert_eq!(names, ["a1", "a2", "b1", "c1"]);
}

#[test]
fn the_closest_instance_says_in_ecs_words_what_it_lacks_evt_6() {
    type Edit = fn(&mut crate::plan::world::Instance);
    let edits: [(Edit, &str); 9] = [
        (|i| i.registered.cpu = 1, "has insufficient CPU units available"),
        (|i| i.registered.memory = 1, "has insufficient memory available"),
        (
            |i| i.registered.ports = [80].into(),
            "is already using a port required by your task",
        ),
        (|i| i.registered.gpu = 0, "encountered error \"RESOURCE:GPU\""),
        (|i| i.registered.pods = 0, "encountered error \"RESOURCE:PODS\""),
        (
            |i| drop(i.attributes.remove("ssd")),
            "is missing an attribute required by your task",
        ),
        (|i| i.connected = false, "encountered error \"AGENT\""),
        (
            |i| drop(i.attributes.insert("stack".to_owned(), None)),
            "encountered error \"MemberOf placement constraint unsatisfied.\"",
        ),
        (
            |i| i.status = InstanceStatus::Draining,
            "encountered error \"INACTIVE\"",
        ),
    ];
    for (edit, words) in edits {
        let mut wanting = definition("r:1", 100, 100).port(80);
        wanting.demand.as_mut().unwrap().gpu = 1;
        wanting.required_attributes = vec![Attribute {
            name: "ssd".to_owned(),
            value: None,
        }];
        let mut scene = Scene::new()
            .definition(wanting)
            .instance(instance("i1").attribute("ssd", "1").attribute("stack", "prod"))
            .service(replica("r", "r:1", 1).member_of("attribute:stack == prod"));
        scene.edit_instance("i1", |i| i.registered.gpu = 1);
        assert_eq!(places(&scene, "r"), ["i1"]);
        scene.edit_instance("i1", edit);
        let expected = format!("The closest matching (container-instance i1) {words}. For more");
        let said = scene.plan("r").events;
        assert!(said.iter().any(|e| e.contains(&expected)), "{words}: {said:?}");
    }
}

#[test]
fn failures_are_bounded_and_sorted() {
    let mut scene = Scene::new()
        .definition(definition("r:1", 9999, 1))
        .service(replica("r", "r:1", 1));
    for n in 0..60 {
        scene = scene.instance(instance(&format!("i{n:02}")));
    }
    let failures = scene.plan("r").failures;
    assert_eq!(
        (failures.len(), failures[49].container_instance.as_str()),
        (50, "i49")
    );
}
