use crate::domain::deployment::{EarlySuccess, SuccessCriteria};
use crate::domain::records::{HealthStatus, RolloutState};
use crate::plan::ServicePlan;
use crate::plan::testing::*;
use crate::plan::texts;

const BAKE_MINUTES: u16 = 5;

/// Four tasks of `r:1`, and a wish for `r:2`: two at a time are replaced.
fn rolling(success: SuccessCriteria) -> Scene {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(replica("r", "r:1", 4).percent(50, 100));
    scene.settle("r");
    scene.edit_service("r", |s| {
        s.requested_definition = "r:2".to_owned();
        s.success = success;
    });
    scene
}

fn early(healthy_percent: u32, blocking: bool) -> SuccessCriteria {
    SuccessCriteria {
        early: Some(EarlySuccess {
            healthy_percent,
            blocking,
        }),
        bake_minutes: 0,
    }
}

fn baking() -> SuccessCriteria {
    SuccessCriteria {
        bake_minutes: BAKE_MINUTES,
        ..SuccessCriteria::default()
    }
}

fn state(plan: &ServicePlan) -> RolloutState {
    plan.deployments[0].rollout_state
}

fn completed(plan: &ServicePlan) -> bool {
    plan.events
        .contains(&texts::deployment_completed(&plan.deployments[0].id))
}

/// Runs passes until nothing is left to do, without the time that makes new tasks healthy.
fn still(scene: &mut Scene) -> ServicePlan {
    for _ in 0..20 {
        let plan = scene.round("r");
        if plan.start.is_empty() && plan.stop.is_empty() {
            return plan;
        }
    }
    panic!("no end");
}

#[test]
fn a_deferred_deployment_is_complete_when_enough_are_healthy_roll_9() {
    let mut scene = rolling(early(50, false));
    assert_eq!(
        state(&still(&mut scene)),
        RolloutState::InProgress,
        "two run, none is healthy"
    );
    scene.advance(40);
    let plan = scene.plan("r");
    assert!(completed(&plan) && !plan.steady);
    assert!(
        !scene.alive("r").iter().all(|t| t.definition == "r:2"),
        "old tasks still run"
    );
    scene.commit("r", &plan);
    let end = scene.settle("r");
    assert!(end.steady, "the others are started and stopped all the same");
    assert_eq!((end.deployments.len(), scene.where_wanted("r").len()), (1, 4));
}

#[test]
fn a_blocking_deployment_waits_until_older_tasks_were_told_to_stop_roll_9() {
    let mut scene = rolling(early(50, true));
    still(&mut scene);
    scene.advance(40);
    let plan = scene.round("r");
    assert_eq!((plan.stop.len(), state(&plan)), (2, RolloutState::InProgress));
    let plan = scene.plan("r");
    assert!(
        completed(&plan),
        "two of four are healthy, and nothing else is wanted"
    );
    assert!(!plan.steady);
}

#[test]
fn less_than_the_share_is_not_enough_roll_9() {
    let mut scene = rolling(early(75, false));
    still(&mut scene);
    scene.advance(40);
    assert_eq!(state(&scene.plan("r")), RolloutState::InProgress, "two of four");
}

#[test]
fn without_criteria_everything_must_have_arrived_roll_8() {
    let mut scene = rolling(SuccessCriteria::default());
    still(&mut scene);
    scene.advance(40);
    let plan = scene.round("r");
    assert_eq!(state(&plan), RolloutState::InProgress);
    assert_eq!(state(&scene.plan("r")), RolloutState::InProgress, "two of four");
}

#[test]
fn a_deployment_that_bakes_says_until_when_and_completes_then_roll_9() {
    let mut scene = rolling(baking());
    let plan = scene.settle("r");
    assert_eq!((state(&plan), plan.steady), (RolloutState::InProgress, false));
    let since = plan.deployments[0].baking_since.clone().expect("it bakes");
    let told = plan.warming.expect("it says what it waits for");
    assert!(told.contains("bake time"), "{told}");
    let left = plan
        .wake_at
        .expect("it looks again")
        .duration_since(scene.world.now);
    assert!(left.as_secs() > 0 && left.as_secs() <= i64::from(BAKE_MINUTES) * 60);
    scene.advance(left.as_secs() - 1);
    let plan = scene.round("r");
    assert_eq!(plan.deployments[0].baking_since.as_deref(), Some(since.as_str()));
    scene.advance(1);
    let plan = scene.plan("r");
    assert!(completed(&plan) && plan.steady);
    assert_eq!(plan.deployments[0].baking_since, None);
}

#[test]
fn what_fails_while_a_deployment_bakes_begins_its_time_anew_roll_9() {
    let mut scene = rolling(baking());
    scene.settle("r");
    let first = scene.alive("r")[0].key.name.clone();
    scene.edit_task(&first, |t| t.health = HealthStatus::Unhealthy);
    let plan = scene.round("r");
    assert_eq!(
        (state(&plan), &plan.deployments[0].baking_since),
        (RolloutState::InProgress, &None)
    );
    let plan = scene.settle("r");
    assert!(plan.deployments[0].baking_since.is_some());
}
