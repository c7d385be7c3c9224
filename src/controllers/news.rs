//! What of a change of an instance, or of its Node, concerns those who plan.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::api::{ContainerInstance, EcsService, Task};
use crate::cache::convert;
use crate::cache::store::key_of;
use crate::domain::expr::Expression;
use crate::domain::records::Reservation;
use crate::plan::world::World;

/// What is new of an instance to those who plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing: counts, conditions, what is known of a share.
    Nothing,
    /// Shares were added, or tasks queued, of the services with these uids.
    Taken(Vec<String>),
    /// Something else.
    Any,
}

impl News {
    #[must_use]
    pub(super) fn of(old: &ContainerInstance, new: &ContainerInstance) -> Self {
        let asked = |object: &ContainerInstance| {
            let meta = &object.metadata;
            (
                meta.uid.clone(),
                meta.generation,
                meta.deletion_timestamp.clone(),
                meta.finalizers.clone(),
            )
        };
        if old.spec != new.spec || asked(old) != asked(new) {
            return Self::Any;
        }
        let (mut before, after) = (convert::instance(old), convert::instance(new));
        before.version = after.version;
        if before == after {
            return Self::Nothing;
        }
        let same = |a: &Reservation, b: &Reservation| {
            a.is_for(&b.namespace, &b.task) && a.amounts == b.amounts && a.service == b.service
        };
        let (held, entries) = (std::mem::take(&mut before.reservations), &after.reservations);
        before.reservations.clone_from(entries);
        let waiting = std::mem::take(&mut before.queue);
        before.queue.clone_from(&after.queue);
        let queued = after.queue.strip_prefix(waiting.as_slice());
        let kept = queued.is_some()
            && held.len() <= entries.len()
            && held.iter().zip(entries).all(|(a, b)| same(a, b));
        if before != after || !kept {
            return Self::Any;
        }
        let added = entries.iter().skip(held.len()).map(|r| &r.service);
        let added = added.chain(queued.into_iter().flatten().map(|q| &q.service));
        let services: Vec<_> = added.map(|s| s.as_ref().map(|s| s.uid.clone())).collect();
        match services.into_iter().collect::<Option<Vec<String>>>() {
            Some(services) if services.is_empty() => Self::Nothing,
            Some(services) => Self::Taken(services),
            None => Self::Any,
        }
    }
}

/// Whether where the service's tasks may run depends on what else runs there: it or a definition it may use has
/// expressions, or they cannot be read. (CQL-15, CQL-16)
#[must_use]
pub(super) fn asks(world: &World, service: &EcsService) -> bool {
    let key = key_of(service);
    world.services.get(&key).is_none_or(|service| {
        let used = service.deployments.iter().map(|d| d.task_definition.as_str());
        let mut used = used.chain([service.requested_definition.as_str()]);
        any(service.constraints.as_deref().ok())
            || service.distinct_instance
            || used.any(|reference| definition_asks(world, &key.namespace, reference))
    })
}

/// The same of a task that waits for a place. (RUN-2)
#[must_use]
pub(super) fn task_asks(world: &World, task: &Task) -> bool {
    let namespace = &key_of(task).namespace;
    !task.spec.placement_constraints.is_empty()
        || definition_asks(world, namespace, &task.spec.task_definition)
}

fn definition_asks(world: &World, namespace: &str, reference: &str) -> bool {
    let definition = world.definition_in_use(namespace, reference);
    definition.is_some_and(|definition| any(definition.constraints.as_deref().ok()))
}

fn any(rules: Option<&[Expression]>) -> bool {
    rules.is_none_or(|rules| !rules.is_empty())
}

/// Whether two versions of a Node differ in nothing but heartbeats.
#[must_use]
pub(super) fn same_node(old: &Node, new: &Node) -> bool {
    let read = |node: &Node| {
        let status = node.status.as_ref();
        let ready: Vec<_> = status
            .iter()
            .flat_map(|s| s.conditions.iter().flatten())
            .filter(|c| c.type_ == "Ready")
            .map(|c| c.status.clone())
            .collect();
        let allocatable = status.and_then(|s| s.allocatable.clone());
        let version = status
            .and_then(|s| s.node_info.as_ref())
            .map(|i| i.kubelet_version.clone());
        let leaving = node.metadata.deletion_timestamp.is_some();
        (ready, allocatable, version, leaving, node.uid())
    };
    old.spec == new.spec
        && old.labels() == new.labels()
        && old.annotations() == new.annotations()
        && read(old) == read(new)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{Scene, definition, replica};
    use crate::plan::world::Key;

    fn instance(status: &Value) -> ContainerInstance {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "ContainerInstance",
            "metadata": { "name": "n1", "uid": "u" }, "spec": { "cluster": "default" }, "status": status,
        }))
        .unwrap()
    }

    fn share(task: &str, service: Option<&str>, uid: Option<&str>) -> Value {
        let service = service.map(|name| json!({ "name": name, "uid": format!("uid-{name}") }));
        json!({ "namespace": "ns", "task": task, "uid": uid, "service": service, "amounts": { "cpu": 1 }, "since": "" })
    }

    #[test]
    fn counts_are_no_news_shares_that_are_added_are_their_services_and_all_else_is_everybodys() {
        let of = |old: Value, new: Value| News::of(&instance(&old), &instance(&new));
        let with = |shares: &[Value]| json!({ "status": "ACTIVE", "reservations": shares });
        let (a, b) = (share("a", Some("web"), None), share("b", Some("job"), None));
        let seen = share("a", Some("web"), Some("u1"));
        let mut counted = with(std::slice::from_ref(&seen));
        counted["runningTasksCount"] = 1.into();
        assert_eq!(of(with(std::slice::from_ref(&a)), counted), News::Nothing);
        let both = with(&[seen, b.clone()]);
        let job = News::Taken(vec!["uid-job".to_owned()]);
        assert_eq!(of(with(std::slice::from_ref(&a)), both.clone()), job);
        assert_eq!(of(both, with(std::slice::from_ref(&a))), News::Any, "room");
        assert_eq!(
            of(with(std::slice::from_ref(&a)), with(&[b])),
            News::Any,
            "another's share"
        );
        assert_eq!(
            of(with(&[]), with(&[share("c", None, None)])),
            News::Any,
            "nobody's task"
        );
        let mut draining = with(std::slice::from_ref(&a));
        draining["status"] = "DRAINING".into();
        assert_eq!(of(with(&[a]), draining.clone()), News::Any);
        let mut deleted = instance(&draining);
        deleted.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(
            News::of(&instance(&draining), &deleted),
            News::Any,
            "to whoever lets it go"
        );
    }

    #[test]
    fn who_has_rules_asks_what_runs_on_an_instance() {
        let asked = |constraint: Option<&str>, of_definition: Option<&str>| {
            let rules = |text: Option<&str>| {
                let parsed = text.map(|text| Expression::parse(text).unwrap());
                Ok(parsed.into_iter().collect::<Vec<_>>())
            };
            let mut web = definition("web:1", 1, 1);
            web.constraints = rules(of_definition);
            let mut scene = Scene::new().definition(web).service(replica("web", "web:1", 1));
            scene.edit_service("web", |service| service.constraints = rules(constraint));
            let Key { namespace, name } = scene.get("web").key.clone();
            let meta = json!({ "name": name, "namespace": namespace });
            let spec = json!({ "taskDefinition": "web:1" });
            let object = serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap();
            let constraint = constraint.map(|text| json!({ "type": "memberOf", "expression": text }));
            let spec = json!({ "taskDefinition": "web:1", "cluster": "default",
                "placementConstraints": constraint.into_iter().collect::<Vec<_>>() });
            let task = serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap();
            let (service, task) = (asks(&scene.world, &object), task_asks(&scene.world, &task));
            assert_eq!(service, task, "who waits for a place asks as services do");
            service
        };
        let rule = Some("task:group == service:x");
        assert!(!asked(None, None));
        assert!(asked(rule, None) && asked(None, rule));
    }
}
