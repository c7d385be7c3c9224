use crate::domain::records::{DeploymentStatus, RolloutState};
use crate::plan::testing::*;

fn scene() -> Scene {
    Scene::new()
        .definition(definition("d:1", 256, 256))
        .definition(definition("d:2", 256, 256))
        .instance(instance("i1"))
        .service(daemon("d", "d"))
}

#[test]
fn a_bare_family_is_resolved_once_td_4_dep_1() {
    let mut scene = scene();
    let first = scene.settle("d").deployments;
    assert_eq!(first.len(), 1);
    let primary = &first[0];
    assert_eq!(
        (primary.task_definition.as_str(), primary.requested.as_str()),
        ("d:2", "d")
    );
    let digits = primary.id.strip_prefix("ecs-svc/").unwrap();
    assert!(
        digits.len() == 19 && digits.bytes().all(|b| b.is_ascii_digit()),
        "{digits}"
    );
    let scene = scene.definition(definition("d:3", 1, 1));
    assert_eq!(scene.plan("d").deployments, first);
}

#[test]
fn states_and_texts_follow_the_rollout_dep_3_dep_5_evt_16() {
    let mut scene = scene();
    let begun = scene.round("d").deployments.remove(0);
    assert_eq!(begun.rollout_state, RolloutState::InProgress);
    assert_eq!(
        begun.rollout_state_reason.unwrap(),
        format!("ECS deployment {} in progress.", begun.id)
    );
    scene.advance(41);
    let plan = scene.round("d");
    let done = &plan.deployments[0];
    assert_eq!(done.rollout_state, RolloutState::Completed);
    assert_eq!(
        done.rollout_state_reason.as_ref().unwrap(),
        &format!("ECS deployment {} completed.", done.id)
    );
    assert_eq!(
        plan.events,
        [
            format!("(deployment {}) deployment completed.", done.id),
            "has reached a steady state.".to_owned()
        ]
    );
    assert!(done.updated_at > done.created_at);
    scene.advance(1000);
    let later = scene.plan("d");
    assert_eq!(&later.deployments[0], done, "nothing changed: byte-identical");
    assert_eq!(later.events, ["has reached a steady state."]);
}

#[test]
fn a_change_makes_a_new_primary_and_the_old_one_goes_with_its_tasks_roll_1_dep_2() {
    let mut scene = scene();
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:1".to_owned());
    let plan = scene.round("d");
    assert_eq!(plan.deployments.len(), 2);
    let (new, old) = (&plan.deployments[0], &plan.deployments[1]);
    assert_eq!(
        (new.status, old.status),
        (DeploymentStatus::Primary, DeploymentStatus::Active)
    );
    assert_ne!(new.id, old.id);
    assert_eq!(new.task_definition, "d:1");
    assert_eq!(scene.settle("d").deployments.len(), 1);
}

#[test]
fn another_word_for_the_same_revision_is_no_new_deployment() {
    let mut scene = scene();
    let first = scene.settle("d").deployments.remove(0);
    scene.edit_service("d", |s| s.requested_definition = "d:2".to_owned());
    let renamed = scene.plan("d").deployments.remove(0);
    assert_eq!((renamed.id, renamed.requested.as_str()), (first.id, "d:2"));
}

#[test]
fn an_unknown_or_inactive_definition_stalls_and_the_old_goes_on_td_5_td_20() {
    let mut scene = scene();
    scene.settle("d");
    scene.edit_service("d", |s| s.requested_definition = "d:9".to_owned());
    let mut scene = scene.instance(instance("i2"));
    let plan = scene.round("d");
    assert!(
        plan.stalled
            .unwrap()
            .starts_with("Unable to describe task definition. Create")
    );
    assert_eq!(plan.start.len(), 1, "the PRIMARY is kept up");
    assert!(!plan.steady);
    let mut inactive = definition("d:1", 1, 1);
    inactive.active = false;
    let mut scene = scene.definition(inactive);
    scene.edit_service("d", |s| s.requested_definition = "d:1".to_owned());
    assert!(
        scene
            .plan("d")
            .stalled
            .unwrap()
            .starts_with("TaskDefinition is inactive.")
    );
}

#[test]
fn a_definition_in_the_way_of_the_one_that_is_named_is_told_td_20() {
    let mut other = definition("D:3", 256, 256);
    other.key = key("d.3");
    let mut scene = scene().definition(other);
    scene.edit_service("d", |s| s.requested_definition = "d:3".to_owned());
    let stalled = scene.plan("d").stalled.unwrap();
    assert!(
        stalled.contains("TaskDefinition d.3 is of family D: name D:3 instead of d:3."),
        "{stalled}"
    );
}

#[test]
fn a_revision_that_was_replaced_under_its_name_is_another_td_20() {
    let mut scene = scene();
    scene.settle("d");
    let mut other = definition("d:2", 256, 256);
    other.uid = "another".to_owned();
    let plan = scene.definition(other).instance(instance("i2")).plan("d");
    let stalled = plan.stalled.unwrap();
    assert!(
        stalled.contains("the one of that name now is another"),
        "{stalled}"
    );
    assert!(plan.start.is_empty());
}

#[test]
fn a_revision_gone_inactive_still_scales_td_5() {
    let mut scene = scene();
    scene.settle("d");
    let mut inactive = definition("d:2", 256, 256);
    inactive.active = false;
    let scene = scene.definition(inactive).instance(instance("i2"));
    let plan = scene.plan("d");
    assert_eq!((plan.start.len(), plan.stalled), (1, None));
}

#[test]
fn an_impossible_definition_starts_and_stops_nothing() {
    let mut scene = scene();
    scene.settle("d");
    let mut bad = definition("d:3", 1, 1);
    bad.demand = Err(vec!["links are not supported".to_owned()]);
    let mut scene = scene.definition(bad);
    scene.edit_service("d", |s| s.requested_definition = "d:3".to_owned());
    let plan = scene.plan("d");
    assert_eq!(plan.stalled.as_deref(), Some("links are not supported"));
    assert!(plan.start.is_empty() && plan.stop.is_empty());
    assert_eq!(plan.deployments[0].task_definition, "d:2");
}

#[test]
fn an_unreadable_constraint_starts_and_stops_nothing_cons_9() {
    let mut scene = scene();
    scene.settle("d");
    scene.edit_service("d", |s| *s = s.clone().member_of("attribute:a == "));
    let scene = scene.instance(instance("i2"));
    let plan = scene.plan("d");
    assert!(
        plan.stalled
            .as_deref()
            .unwrap()
            .starts_with("EcsService d: Invalid expression: "),
        "{plan:?}"
    );
    assert!(plan.start.is_empty() && plan.stop.is_empty() && !plan.steady);
    assert_eq!(plan.desired_count, 1);
}

#[test]
fn a_sixth_deployment_is_refused_dep_6_prot_10_quota_18() {
    let mut scene = scene();
    let far = scene.world.now + jiff::SignedDuration::from_hours(48);
    scene.settle("d");
    for n in 0..4 {
        for task in scene.alive("d") {
            scene.edit_task(&task.key.name, |t| t.protected_until = Some(far));
        }
        scene = scene.instance(instance(&format!("j{n}")));
        scene.edit_service("d", |s| s.forced = Some(n.to_string()));
        scene.settle("d");
    }
    assert_eq!(scene.get("d").deployments.len(), 5);
    scene.edit_service("d", |s| s.forced = Some("again".to_owned()));
    let plan = scene.plan("d");
    assert_eq!(plan.deployments.len(), 5);
    assert!(
        plan.stalled
            .unwrap()
            .starts_with("5 active deployments exist, unable to create new deployment.")
    );
}

#[test]
fn a_service_that_lost_its_status_takes_its_tasks_up_again() {
    let mut scene = scene();
    let before = scene.settle("d").deployments.remove(0);
    scene.edit_service("d", |s| s.deployments.clear());
    let plan = scene.plan("d");
    assert_eq!(plan.deployments[0].id, before.id);
    assert!(plan.start.is_empty() && plan.stop.is_empty());
}

#[test]
fn a_revision_that_is_being_deleted_serves_what_runs_it_and_nothing_new_td_6() {
    let mut going = definition("web:1", 1, 1);
    going.deleting = true;
    let world = Scene::new().definition(going).world;
    assert!(world.definition_in_use(NAMESPACE, "web:1").is_some());
    assert!(world.definition(NAMESPACE, "web:1").is_none());
}
