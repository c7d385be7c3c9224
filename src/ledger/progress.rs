//! What a service's conditions say: whether it is steady, what it waits for, what its user has to change.

use crate::api::conditions::State;
use crate::plan::ServicePlan;

/// The conditions of a service with this plan.
#[must_use]
pub fn states(plan: &ServicePlan) -> [(&'static str, State); 4] {
    let [ready, progressing, stalled] = progress(plan);
    [
        // an older operator may have written that a member has none
        (
            "Complete",
            State::yes("AllMembers", "every member has its effect"),
        ),
        ("Ready", ready),
        ("Progressing", progressing),
        ("Stalled", stalled),
    ]
}

/// Why a task waits in a cluster without instances. (EVT-20)
const NO_INSTANCES: &str = "a task waits: its cluster has no container instance; let the nodeSelector of the EcsCluster \
     select nodes, or add nodes that it selects";

/// Ready, Progressing and Stalled.
fn progress(plan: &ServicePlan) -> [State; 3] {
    let moving = plan
        .warming
        .as_deref()
        .unwrap_or("tasks are being started or stopped");
    let failing = plan.failing.as_deref().filter(|_| !plan.steady);
    let placement = if plan.no_instances {
        Some(NO_INSTANCES.to_owned())
    } else {
        (!plan.failures.is_empty()).then(|| placement_summary(plan))
    };
    let waits: Vec<(&str, String)> = [
        ("PlacementFailed", placement),
        ("TasksFailToStart", failing.map(str::to_owned)),
        ("TasksHeldUp", plan.held_up.clone()),
        ("TasksProtected", plan.protected.clone()),
    ]
    .into_iter()
    .filter_map(|(reason, why)| Some((reason, why?)))
    .collect();
    let rolled_back = plan.rolled_back.as_deref();
    let ready = if let (true, Some(what)) = (plan.steady, rolled_back) {
        // steady, but not with what the spec asks for
        State::no("RolledBack", what)
    } else if plan.steady {
        State::yes("SteadyState", "the service has reached a steady state")
    } else if let Some(why) = &plan.stalled {
        State::no("Stalled", why)
    } else if let Some((reason, _)) = waits.first() {
        let all: Vec<&str> = waits.iter().map(|(_, why)| why.as_str()).collect();
        State::no(reason, &all.join("; "))
    } else {
        State::no("InProgress", moving)
    };
    let progressing = if plan.stalled.is_some() {
        State::no("Stalled", "nothing goes on until what Stalled says is changed")
    } else if plan.steady {
        State::no("Idle", "nothing is to be done")
    } else {
        State::yes("InProgress", moving)
    };
    let stalled = match (plan.stalled.as_deref().or(rolled_back), failing) {
        (Some(why), _) if plan.stalled.is_none() => State::yes("RolledBack", why),
        (Some(why), _) => State::yes("ActionNeeded", why),
        (None, Some(why)) if plan.impaired => State::yes("TasksFailToStart", why),
        (None, _) => State::no("AsExpected", "nothing is needed from the user"),
    };
    [ready, progressing, stalled]
}

fn placement_summary(plan: &ServicePlan) -> String {
    let parts: Vec<String> = plan
        .failures
        .iter()
        .take(5)
        .map(|f| {
            let detail = if f.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", f.detail)
            };
            format!("{}: {}{detail}", f.container_instance, f.reason)
        })
        .collect();
    let more = plan.failures.len().saturating_sub(parts.len());
    let tail = if more > 0 {
        format!("; and {more} more in status.placementFailures")
    } else {
        String::new()
    };
    format!("a task waits for room: {}{tail}", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{Scene, definition, replica};

    #[test]
    fn in_a_cluster_without_instances_a_service_says_what_to_change_evt_20() {
        let scene = Scene::new()
            .definition(definition("web:1", 1, 1))
            .service(replica("web", "web:1", 1));
        let [ready, progressing, _] = progress(&scene.plan("web"));
        assert_eq!(ready, State::no("PlacementFailed", NO_INSTANCES));
        assert!(progressing.holds());
    }

    #[test]
    fn a_service_that_went_back_is_not_ready_and_says_what_failed_cb_10() {
        let back = ServicePlan {
            rolled_back: Some("deployment ecs-svc/2 of web:2 failed".to_owned()),
            ..ServicePlan::default()
        };
        let [ready, progressing, stalled] = progress(&back);
        assert_eq!(
            ready,
            State::no("InProgress", "tasks are being started or stopped")
        );
        assert!(progressing.holds());
        let why = "deployment ecs-svc/2 of web:2 failed";
        assert_eq!(stalled, State::yes("RolledBack", why));
        let [ready, progressing, stalled] = progress(&ServicePlan { steady: true, ..back });
        assert_eq!(ready, State::no("RolledBack", why));
        assert_eq!(progressing, State::no("Idle", "nothing is to be done"));
        assert_eq!(stalled, State::yes("RolledBack", why));
    }

    fn said(plan: &ServicePlan) -> Vec<String> {
        let shown = |s: &State| format!("{s:?}");
        progress(plan).iter().map(shown).collect()
    }

    #[test]
    fn conditions_name_what_the_user_has_to_change_and_nothing_else() {
        let failing = ServicePlan {
            failing: Some("the newest task t failed to start: no image".to_owned()),
            ..ServicePlan::default()
        };
        let once = said(&failing);
        assert!(
            once[0].contains("no image") && once[0].contains("TasksFailToStart"),
            "{once:?}"
        );
        assert!(once[2].contains("nothing is needed"), "{once:?}");
        let impaired = said(&ServicePlan {
            impaired: true,
            ..failing.clone()
        });
        assert!(
            impaired[2].contains("TasksFailToStart") && impaired[2].contains("no image"),
            "{impaired:?}"
        );
        let over = said(&ServicePlan {
            steady: true,
            impaired: true,
            ..failing
        });
        assert!(
            over[0].contains("SteadyState") && over[2].contains("nothing is needed"),
            "{over:?}"
        );
    }

    #[test]
    fn what_holds_tasks_up_stands_beside_what_else_the_service_waits_for() {
        let held = ServicePlan {
            held_up: Some("2 tasks can't start yet: no image".to_owned()),
            ..ServicePlan::default()
        };
        let ready = &progress(&held)[0];
        assert_eq!(
            *ready,
            State::no("TasksHeldUp", "2 tasks can't start yet: no image")
        );
        let both = ServicePlan {
            failing: Some("the newest task t failed to start".to_owned()),
            ..held
        };
        let expected = "the newest task t failed to start; 2 tasks can't start yet: no image";
        assert_eq!(progress(&both)[0], State::no("TasksFailToStart", expected));
    }

    #[test]
    fn a_service_that_waits_for_health_by_age_says_so_health_1() {
        let mut scene = Scene::new()
            .instance(crate::plan::testing::instance("i1"))
            .definition(definition("web:1", 1, 1))
            .service(replica("web", "web:1", 1));
        let starting = scene.round("web");
        assert_eq!(starting.warming, None);
        scene.run_tasks();
        let plan = scene.plan("web");
        assert!(plan.start.is_empty() && plan.stop.is_empty());
        let young = said(&plan);
        assert!(
            young[0].contains("the tasks run") && young[0].contains("s after their start"),
            "{young:?}"
        );
        scene.advance(1000);
        assert_eq!(scene.plan("web").warming, None);
    }
}
