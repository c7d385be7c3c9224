//! Tasks that somebody else created and bound: the checks that our own schedulers make. (RUN-6, RUN-8)

use super::eligibility::{check_rules, check_status};
use super::permission::namespace_forbidden;
use super::texts::no_definition;
use super::world::{Definition, Key, World};

/// Reason of a task bound to an instance that is not there. (RUN-8)
#[must_use]
pub fn missing(instance: &str) -> String {
    format!(
        "MISSING: there is no ContainerInstance {instance}. Name one that `kubectl get containerinstances` lists."
    )
}

/// Reason of a task whose definition is not there. (TD-20)
#[must_use]
pub fn undefined(world: &World, task: &Key, wanted: &str) -> String {
    no_definition(world, &task.namespace, wanted, "then the task again")
}

/// Why such a task may not run on the instance, in ECS's words; room is the ledger's to check.
#[must_use]
pub fn forbidden(world: &World, task: &Key, instance: &str, definition: &Definition) -> Option<String> {
    let task = world.task(task)?;
    if task.service.is_some() {
        return Some("spec.service is set by the operator; leave it out".to_owned());
    }
    let Some(bound) = world.instances.get(instance) else {
        return Some(missing(instance));
    };
    if bound.cluster != task.cluster {
        return Some(format!(
            "Identifier is for {}. Your cluster is {}",
            bound.cluster, task.cluster
        ));
    }
    let namespace = &task.key.namespace;
    if let Some(why) = namespace_forbidden(world, &task.cluster, namespace) {
        return Some(why);
    }
    if let Err(error) = &definition.constraints {
        return Some(error.to_string());
    }
    let refused =
        check_status(bound).or_else(|| check_rules(world, bound, namespace, None, definition, &[]))?;
    Some(refused.failure.reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::expr::Expression;
    use crate::domain::records::{Attribute, InstanceStatus};
    use crate::plan::testing::{Scene, daemon, definition, instance, key, standalone};

    fn reason(scene: &Scene, definition: &Definition) -> Option<String> {
        forbidden(&scene.world, &key("t"), "i1", definition)
    }

    #[test]
    fn run_6_a_task_bound_by_hand_passes_the_checks_of_our_schedulers_run_8_drain_2() {
        let plain = definition("f:1", 1, 1);
        let mut scene = Scene::new().instance(instance("i1")).task(standalone("t", "i1"));
        assert_eq!(reason(&scene, &plain), None);
        let mut picky = plain.clone();
        picky.required_attributes = vec![Attribute {
            name: "ssd".to_owned(),
            value: None,
        }];
        assert_eq!(reason(&scene, &picky).as_deref(), Some("ATTRIBUTE"));
        let mut bound = plain.clone();
        bound.constraints = Expression::parse("attribute:ssd exists").map(|e| vec![e]);
        assert_eq!(
            reason(&scene, &bound).as_deref(),
            Some("MemberOf placement constraint unsatisfied.")
        );
        scene.edit_instance("i1", |i| i.status = InstanceStatus::Draining);
        assert_eq!(reason(&scene, &plain).as_deref(), Some("INACTIVE"));
        assert_eq!(
            forbidden(&scene.world, &key("t"), "gone", &plain),
            Some(missing("gone"))
        );
    }

    #[test]
    fn a_task_bound_by_hand_may_take_what_daemons_hold_back_daemon_25() {
        let big = definition("d:1", 2048, 1);
        let scene = Scene::new()
            .definition(big.clone())
            .instance(instance("i1"))
            .service(daemon("d", "d:1"))
            .task(standalone("t", "i1"));
        let held = crate::plan::eligibility::withheld(&scene.world, &scene.world.instances["i1"]);
        assert_eq!((held.cpu, reason(&scene, &big)), (2048, None));
    }

    #[test]
    fn a_namespace_that_may_not_place_may_not_bind_by_hand_either() {
        let scene = Scene::new()
            .cluster(|c| c.allowed_namespaces = Some(BTreeSet::new()))
            .instance(instance("i1"))
            .task(standalone("t", "i1"));
        assert!(
            reason(&scene, &definition("f:1", 1, 1)).is_some_and(|why| why.contains("allowedNamespaces"))
        );
    }
}
